package stack

import (
	"net/netip"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// maxARPEntries bounds the cache; beyond it nothing is learned from others'
// requests, and packets to new addresses are dropped. It is as large as a
// switch's table: a fleet's broker has them all for neighbours.
const maxARPEntries = 16_384

// arpCache resolves next hops (RFC 826). There is no gratuitous ARP.
type arpCache struct {
	host    *Host
	cfg     ARPConfig
	entries map[netip.Addr]*arpEntry // looked up, never ranged over
	order   []*arpEntry              // by creation
}

type arpEntry struct {
	addr     netip.Addr
	mac      wire.MAC
	resolved bool
	expires  sim.Time // of a resolved entry
	requests int      // sent for an unresolved one
	queue    []waiting
	timer    *sim.Timer
}

// waiting is a frame that lacks its destination, and the packet that pays for
// it, which stays allocated meanwhile as NetX's does.
type waiting struct {
	frame  *link.Frame
	charge *nic.Packet
}

func (c *arpCache) init(h *Host) {
	c.host, c.cfg, c.entries = h, h.profile.ARP, make(map[netip.Addr]*arpEntry)
}

// send sends an IP packet to a neighbour, now or when it has answered.
func (c *arpCache) send(f *link.Frame, to netip.Addr, charge *nic.Packet) {
	e := c.entries[to]
	if e != nil && e.resolved && c.host.loop.Now() < e.expires {
		c.host.transmit(f, e.mac, wire.EtherTypeIPv4, charge)
		return
	}
	if e == nil {
		if e = c.add(to); e == nil {
			c.drop(waiting{f, charge}, trace.DropARPQueue, "the ARP cache is full")
			return
		}
	}
	ask := e.resolved || len(e.queue) == 0
	e.resolved = false
	if len(e.queue) == c.cfg.QueueSize {
		oldest := e.queue[0]
		e.queue = append(e.queue[:0], e.queue[1:]...)
		c.drop(oldest, trace.DropARPQueue, "for "+to.String())
	}
	e.queue = append(e.queue, waiting{f, charge})
	if ask {
		e.requests = 0
		c.request(e)
	}
}

func (c *arpCache) add(addr netip.Addr) *arpEntry {
	if len(c.order) >= maxARPEntries {
		return nil
	}
	e := &arpEntry{addr: addr}
	e.timer = c.host.loop.NewTimer(func() { c.retry(e) })
	c.entries[addr] = e
	c.order = append(c.order, e)
	return e
}

// request asks for an entry's address and arms the next try. Without a packet
// the request is not sent, but the schedule goes on.
func (c *arpCache) request(e *arpEntry) {
	e.requests++
	e.timer.ResetAfter(c.cfg.Interval)
	c.transmit(wire.ARPRequest, wire.BroadcastMAC, wire.MAC{}, e.addr)
}

func (c *arpCache) transmit(operation uint16, to, targetMAC wire.MAC, target netip.Addr) {
	h := c.host
	f := link.NewFrame(wire.EthernetHeaderLen + wire.ARPLen)
	wire.PutARP(f.Data[wire.EthernetHeaderLen:], operation, h.cfg.MAC, h.Addr(), targetMAC, target)
	if charge, ok := h.charge(true, f); ok {
		h.transmit(f, to, wire.EtherTypeARP, charge)
	}
}

// retry asks again, or gives up.
func (c *arpCache) retry(e *arpEntry) {
	if e.requests < c.cfg.Requests {
		c.request(e)
		return
	}
	queue := e.queue
	e.queue = nil
	c.forget(e)
	c.host.trace.Emit(trace.Event{
		Kind: trace.KindARP, Node: c.host.cfg.Node, Text: "no answer from " + e.addr.String(), Count: int64(e.requests),
	})
	for _, w := range queue {
		if c.cfg.TellTCP {
			c.host.tellUnreachable(w.frame)
		}
		c.drop(w, trace.DropARPTimeout, "for "+e.addr.String())
	}
}

func (c *arpCache) forget(e *arpEntry) {
	e.timer.Stop()
	delete(c.entries, e.addr)
	for i, other := range c.order {
		if other == e {
			c.order = append(c.order[:i], c.order[i+1:]...)
			return
		}
	}
}

func (c *arpCache) drop(w waiting, reason trace.DropReason, text string) {
	c.host.drop("arp", reason, 0, len(w.frame.Data), text)
	w.frame.Release()
	releasePacket(w.charge)
}

// input handles an ARP packet: the receiving algorithm of RFC 826.
func (c *arpCache) input(a wire.ARP, id uint64, n int) {
	h := c.host
	sender, mac := a.Sender(), a.SenderMAC()
	forUs := a.Target() == h.Addr()
	switch {
	case mac.IsMulticast() || mac == wire.MAC{}:
		h.drop("arp", trace.DropMalformed, id, n, "sender has the address "+mac.String())
		return
	case sender == h.Addr():
		// Two hosts with one address, or our own broadcast come back.
		h.drop("arp", trace.DropMalformed, id, n, "sender has our own address; it is at "+mac.String())
		return
	}
	e := c.entries[sender]
	switch {
	case e != nil:
		c.learn(e, mac)
	case forUs && h.cfg.Addr.Contains(sender):
		// A probe (RFC 5227) has the sender 0.0.0.0, which is outside the network.
		if e = c.add(sender); e != nil {
			c.learn(e, mac)
		}
	}
	if !forUs {
		if e == nil {
			h.drop("arp", trace.DropNotForUs, id, n, "for "+a.Target().String())
		}
		return
	}
	if a.Operation() == wire.ARPRequest {
		c.transmit(wire.ARPReply, mac, mac, sender)
	}
}

// learn sets an entry's address and sends what waited for it.
func (c *arpCache) learn(e *arpEntry, mac wire.MAC) {
	e.mac, e.resolved, e.expires = mac, true, sim.Never
	if c.cfg.Lifetime > 0 {
		e.expires = c.host.loop.Now().Add(c.cfg.Lifetime)
	}
	e.timer.Stop()
	queue := e.queue
	e.queue = nil
	for _, w := range queue {
		c.host.transmit(w.frame, e.mac, wire.EtherTypeIPv4, w.charge)
	}
}

// close releases what waits.
func (c *arpCache) close() {
	for _, e := range c.order {
		e.timer.Stop()
		for _, w := range e.queue {
			w.frame.Release()
			releasePacket(w.charge)
		}
		e.queue = nil
	}
}
