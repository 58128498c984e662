package layer3

import (
	"net/netip"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// An Adapter stands between an interface without Ethernet and a link.
type Adapter struct {
	cfg        Config
	neighbours map[netip.Addr]*neighbour // looked up, never ranged over
	order      []*neighbour              // by creation, the oldest first
	counters   Counters
}

// Counters count frames at the link's side. FromInterface + ARP = Sent + Dropped +
// those that wait; FromLink = Delivered + Answered + Refused.
type Counters struct {
	FromInterface uint64 // packets
	ARP           uint64 // requests and replies that the adapter sent itself
	Sent          uint64 // frames to the link, those of ARP too
	Dropped       uint64 // packets of the interface
	FromLink      uint64
	Delivered     uint64 // to the interface
	Answered      uint64 // ARP packets for the adapter, which end here
	Refused       uint64 // for others, or no IPv4
}

// A neighbour is where a packet goes next.
type neighbour struct {
	addr     netip.Addr
	mac      wire.MAC
	known    bool
	expires  sim.Time
	requests int
	waiting  []*link.Frame
	timer    *sim.Timer
}

// New returns an Adapter.
func New(cfg Config) (*Adapter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Adapter{cfg: cfg, neighbours: map[netip.Addr]*neighbour{}}, nil
}

// Counters returns the counters so far.
func (a *Adapter) Counters() Counters { return a.counters }

// Close releases the packets that wait for an answer.
func (a *Adapter) Close() {
	for _, n := range a.order {
		n.timer.Stop()
		a.giveUp(n, trace.DropARPTimeout, "the run ended before an answer came")
	}
	a.order, a.neighbours = nil, map[netip.Addr]*neighbour{}
}

// FromInterface takes a frame of the interface: a packet behind a header without
// addresses.
func (a *Adapter) FromInterface(f *link.Frame) {
	a.counters.FromInterface++
	if len(f.Data) < headerLen+minIPv4 || f.Data[headerLen]>>4 != versionsOfIPv4 {
		a.drop(f, &a.counters.Dropped, trace.DropUnknown, "the interface has no Ethernet, and its packet is not IPv4")
		return
	}
	to := netip.AddrFrom4([4]byte(f.Data[destinationAt:]))
	if mac, ok := a.group(to); ok {
		a.send(f, mac, wire.EtherTypeIPv4)
		return
	}
	if !a.cfg.Address.Contains(to) {
		if to = a.cfg.Gateway; !to.IsValid() {
			a.drop(f, &a.counters.Dropped, trace.DropNoRoute, "there is no gateway")
			return
		}
	}
	a.toNeighbour(f, to)
}

// group returns the Ethernet address of a broadcast or multicast address.
func (a *Adapter) group(to netip.Addr) (wire.MAC, bool) {
	ip := to.As4()
	last := lastOf(a.cfg.Address)
	switch {
	case to == netip.AddrFrom4([4]byte{255, 255, 255, 255}), to == last && a.cfg.Address.Bits() < 31:
		return wire.BroadcastMAC, true
	case to.IsMulticast(): // RFC 1112 6.4
		return wire.MAC{0x01, 0x00, 0x5e, ip[1] & 0x7f, ip[2], ip[3]}, true
	}
	return wire.MAC{}, false
}

// lastOf returns the last address of a network, its broadcast address.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

func (a *Adapter) send(f *link.Frame, to wire.MAC, etherType uint16) {
	wire.PutEthernet(f.Data, to, a.cfg.MAC, etherType)
	a.counters.Sent++
	if a.cfg.Sent != nil {
		a.cfg.Sent(f)
	}
	a.cfg.Up.Put(f)
}

func (a *Adapter) drop(f *link.Frame, counter *uint64, reason trace.DropReason, text string) {
	*counter++
	a.cfg.Trace.Emit(trace.Event{
		Kind: trace.KindDrop, Node: a.cfg.Node, Stage: stage, Frame: f.ID, Reason: reason, Len: len(f.Data), Text: text,
	})
	f.Release()
}

// toNeighbour sends a packet to a neighbour, now or when it has answered.
func (a *Adapter) toNeighbour(f *link.Frame, to netip.Addr) {
	n := a.neighbours[to]
	if n != nil && n.known && a.cfg.Loop.Now() < n.expires {
		a.send(f, n.mac, wire.EtherTypeIPv4)
		return
	}
	if n == nil {
		n = a.add(to)
	}
	ask := n.known || len(n.waiting) == 0
	n.known = false
	if len(n.waiting) == MaxWaiting {
		oldest := n.waiting[0]
		n.waiting = append(n.waiting[:0], n.waiting[1:]...)
		a.drop(oldest, &a.counters.Dropped, trace.DropARPQueue, "for "+to.String())
	}
	n.waiting = append(n.waiting, f)
	if ask {
		n.requests = 0
		a.request(n)
	}
}

// add makes room for a neighbour: the oldest goes.
func (a *Adapter) add(addr netip.Addr) *neighbour {
	if len(a.order) == MaxNeighbours {
		oldest := a.order[0]
		a.giveUp(oldest, trace.DropARPQueue, "for "+oldest.addr.String()+", whose place is taken by another")
		a.forget(oldest)
	}
	n := &neighbour{addr: addr}
	n.timer = a.cfg.Loop.NewTimer(func() { a.retry(n) })
	a.neighbours[addr] = n
	a.order = append(a.order, n)
	return n
}

func (a *Adapter) forget(n *neighbour) {
	n.timer.Stop()
	delete(a.neighbours, n.addr)
	for i, other := range a.order {
		if other == n {
			a.order = append(a.order[:i], a.order[i+1:]...)
			return
		}
	}
}

func (a *Adapter) giveUp(n *neighbour, reason trace.DropReason, text string) {
	waiting := n.waiting
	n.waiting = nil
	for _, f := range waiting {
		a.drop(f, &a.counters.Dropped, reason, text)
	}
}

func (a *Adapter) request(n *neighbour) {
	n.requests++
	n.timer.ResetAfter(RequestEvery)
	a.arp(wire.ARPRequest, wire.BroadcastMAC, wire.MAC{}, n.addr)
}

// retry asks again, or gives up.
func (a *Adapter) retry(n *neighbour) {
	if n.requests < Requests {
		a.request(n)
		return
	}
	a.forget(n)
	a.cfg.Trace.Emit(trace.Event{Kind: trace.KindARP, Node: a.cfg.Node, Text: "no answer from " + n.addr.String(), Count: int64(n.requests)})
	a.giveUp(n, trace.DropARPTimeout, "for "+n.addr.String())
}

// arp sends an ARP packet.
func (a *Adapter) arp(operation uint16, to, targetMAC wire.MAC, target netip.Addr) {
	f := link.NewFrame(arpFrame)
	wire.PutARP(f.Data[headerLen:], operation, a.cfg.MAC, a.cfg.Address.Addr(), targetMAC, target)
	a.counters.ARP++
	a.send(f, to, wire.EtherTypeARP)
}

// Put takes a frame from the link.
func (a *Adapter) Put(f *link.Frame) {
	a.counters.FromLink++
	eth, rest, err := wire.ParseEthernet(f.Data)
	forUs := err == nil && (eth.Dst() == a.cfg.MAC || eth.Dst().IsMulticast())
	if forUs && eth.EtherType() == wire.EtherTypeIPv4 && len(eth) == headerLen {
		a.counters.Delivered++
		a.cfg.Interface.Put(f)
		return
	}
	if a.cfg.Heard != nil {
		a.cfg.Heard(f)
	}
	switch {
	case err != nil:
		a.drop(f, &a.counters.Refused, trace.DropMalformed, err.Error())
	case !forUs:
		a.drop(f, &a.counters.Refused, trace.DropNotForUs, "for "+eth.Dst().String())
	case eth.EtherType() == wire.EtherTypeARP:
		a.hear(f, rest)
	default:
		a.drop(f, &a.counters.Refused, trace.DropUnknown, "the interface has no Ethernet, and its packets are IPv4")
	}
}

// hear takes an ARP packet: the receiving algorithm of RFC 826.
func (a *Adapter) hear(f *link.Frame, b []byte) {
	p, _, err := wire.ParseARP(b)
	if err != nil || p.SenderMAC().IsMulticast() {
		a.drop(f, &a.counters.Refused, trace.DropMalformed, "no ARP for Ethernet and IPv4")
		return
	}
	sender, mac := p.Sender(), p.SenderMAC()
	n := a.neighbours[sender]
	ours := p.Target() == a.cfg.Address.Addr()
	if n == nil && !ours {
		a.drop(f, &a.counters.Refused, trace.DropNotForUs, "for "+p.Target().String())
		return
	}
	answer := ours && p.Operation() == wire.ARPRequest
	a.counters.Answered++
	f.Release()
	if n != nil {
		n.mac, n.known, n.expires = mac, true, a.cfg.Loop.Now().Add(Lifetime)
		n.timer.Stop()
		waiting := n.waiting
		n.waiting = nil
		for _, w := range waiting {
			a.send(w, mac, wire.EtherTypeIPv4)
		}
	}
	if answer {
		a.arp(wire.ARPReply, mac, mac, sender)
	}
}
