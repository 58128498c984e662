package embedded

import (
	"fmt"
	"net/netip"
	"slices"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/trace"
	"hilnet/wire"
)

// Reading list: RFC 826, RFC 5227 (defence), nx_ip_driver_packet_send.c,
// nx_arp_packet_send.c, nx_arp_packet_receive.c, nx_arp_periodic_update.c,
// nx_arp_queue_send.c, nx_arp_entry_allocate.c.

// An arpEntry maps an address, or waits to.
type arpEntry struct {
	addr    netip.Addr
	mac     wire.MAC
	known   bool
	static  bool
	update  int // slow periods until the next request, or the end of an answer; 0: never
	retries int
	queue   *nic.Packet // waiting, oldest first, by QueueNext
	queued  int
}

const arpHolder = "arp queue"

func (ip *IP) arpFind(addr netip.Addr) *arpEntry {
	for _, e := range ip.arp {
		if e.addr == addr {
			return e
		}
	}
	return nil
}

// AddStaticARP fixes the hardware address of a neighbour: nx_arp_static_entry_create.
func (ip *IP) AddStaticARP(addr netip.Addr, mac wire.MAC) {
	ip.protect(func() {
		e := ip.arpFind(addr)
		if e == nil {
			e = ip.arpAllocate(addr)
		}
		e.known, e.static, e.mac, e.update = true, true, mac, 0
		ip.arpFlush(e)
	})
}

// resolve sends an IP packet to its next hop, or queues it until the hop's
// hardware address is known.
func (ip *IP) resolve(p *nic.Packet, next netip.Addr) {
	e := ip.arpFind(next)
	if e != nil && e.known {
		ip.transmit(p, e.mac)
		return
	}
	if !p.Queued() {
		p.SetHolder(arpHolder)
	}
	p.QueueNext = nil
	if e == nil {
		e = ip.arpAllocate(next)
		e.update = ip.profile.ARP.Retry
		e.queue, e.queued = p, 1
		ip.arpRequest(next)
		return
	}
	last := &e.queue
	for *last != nil {
		last = &(*last).QueueNext
	}
	*last = p
	if e.queued++; e.queued > ip.profile.ARP.QueueDepth {
		oldest := e.queue
		e.queue, oldest.QueueNext = oldest.QueueNext, nil
		e.queued--
		ip.dropSent(oldest, "arp", trace.DropARPQueue)
	}
}

// arpAllocate returns a new entry; if the table is full the oldest dynamic one
// goes, and what waits there.
func (ip *IP) arpAllocate(addr netip.Addr) *arpEntry {
	if len(ip.arp) >= ip.profile.ARP.Entries {
		i := max(slices.IndexFunc(ip.arp, func(e *arpEntry) bool { return !e.static }), 0)
		ip.arpDropQueue(ip.arp[i], DropARPTable)
		ip.arp = slices.Delete(ip.arp, i, i+1)
	}
	e := &arpEntry{addr: addr}
	ip.arp = append(ip.arp, e)
	return e
}

func (ip *IP) arpDropQueue(e *arpEntry, reason trace.DropReason) {
	for e.queue != nil {
		p := e.queue
		e.queue, p.QueueNext = p.QueueNext, nil
		ip.dropSent(p, "arp", reason)
	}
	e.queued = 0
}

// arpFlush sends all that waited, back to back.
func (ip *IP) arpFlush(e *arpEntry) {
	for e.queue != nil {
		p := e.queue
		e.queue, p.QueueNext = p.QueueNext, nil
		ip.transmit(p, e.mac)
	}
	e.queued = 0
}

// arpRequest asks for an address, if there is a packet to ask with.
func (ip *IP) arpRequest(target netip.Addr) {
	p := ip.controlPacket(nic.PhysicalHeader, wire.ARPLen, "arp request")
	if p == nil {
		return
	}
	wire.PutARP(p.Bytes(), wire.ARPRequest, ip.mac, ip.addr, wire.MAC{}, target)
	ip.count.ARPRequests++
	ip.arpEvent("request %v", target)
	ip.arpTransmit(p, wire.BroadcastMAC)
}

// arpTransmit gives an ARP packet to the driver.
func (ip *IP) arpTransmit(p *nic.Packet, dst wire.MAC) {
	f := link.NewFrame(max(wire.EthernetHeaderLen+wire.ARPLen, ip.profile.IP.MinimumFrame))
	wire.PutEthernet(f.Data, dst, ip.mac, wire.EtherTypeARP)
	n := wire.EthernetHeaderLen + copy(f.Data[wire.EthernetHeaderLen:], p.Bytes()[:wire.ARPLen])
	clear(f.Data[n:])
	ip.count.FramesOut++
	ip.nic.Transmit(f)
	p.TransmitRelease()
}

// arpInput takes an ARP packet. Whoever asks or answers is remembered.
func (ip *IP) arpInput(p *nic.Packet) {
	a, _, err := wire.ParseARP(p.Bytes())
	if err != nil || (a.Operation() != wire.ARPRequest && a.Operation() != wire.ARPReply) {
		ip.drop(p, "arp", trace.DropMalformed)
		return
	}
	sender, mac := a.Sender(), a.SenderMAC()
	if sender == ip.addr && !sender.IsUnspecified() {
		if mac != ip.mac {
			ip.arpDefend(mac)
		}
		ip.drop(p, "arp", trace.DropNotForUs)
		return
	}
	if a.Operation() == wire.ARPRequest && a.Target() == ip.addr {
		ip.count.ARPReplies++
		wire.PutARP(p.Bytes(), wire.ARPReply, ip.mac, ip.addr, mac, sender)
		ip.arpTransmit(p, mac) // the request's own packet
	} else {
		p.Release()
	}
	if sender.IsUnspecified() {
		return
	}
	e := ip.arpFind(sender)
	if e == nil {
		e = ip.arpAllocate(sender)
	}
	if e.static {
		return
	}
	if !e.known || e.mac != mac {
		ip.arpEvent("%v is at "+mac.String(), sender)
	}
	e.known, e.mac, e.retries, e.update = true, mac, 0, ip.profile.ARP.Expire
	ip.arpFlush(e)
}

// arpDefend answers a host that claims our address: RFC 5227 2.4.
func (ip *IP) arpDefend(mac wire.MAC) {
	ip.arpEvent("conflict: %v is claimed by "+mac.String(), ip.addr)
	if ip.defend > 0 {
		return
	}
	ip.defend = ip.profile.ARP.Defend
	ip.arpRequest(ip.addr)
}

func (ip *IP) arpNeedsTimer() bool {
	for _, e := range ip.arp {
		if e.update > 0 {
			return true
		}
	}
	return ip.defend > 0
}

// arpTick is _nx_arp_periodic_update.
func (ip *IP) arpTick() {
	ip.defend = max(ip.defend-1, 0)
	for i := 0; i < len(ip.arp); i++ {
		e := ip.arp[i]
		if e.update == 0 {
			continue
		}
		if e.update--; e.update > 0 {
			continue
		}
		if e.retries >= ip.profile.ARP.Retries {
			ip.arpEvent("no answer from %v, given up", e.addr)
			ip.arp = slices.Delete(ip.arp, i, i+1)
			i--
			ip.arpDropQueue(e, trace.DropARPTimeout)
			continue
		}
		e.retries++
		e.update = ip.profile.ARP.Retry
		ip.arpRequest(e.addr)
	}
}

func (ip *IP) arpEvent(format string, addr netip.Addr) {
	if ip.trace != nil {
		ip.trace.Emit(trace.Event{Kind: trace.KindARP, Node: ip.cfg.Node, Text: fmt.Sprintf(format, addr)})
	}
}
