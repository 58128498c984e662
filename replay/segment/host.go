package segment

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/wire"
)

// A Host is an IPv4 host whose TCP cuts its stream into the segments that it is
// told to: those of a recording. Sequence numbers, acknowledgements, checksums
// and retransmissions are its own, and live: it sends nothing that its peer could
// not accept, and acknowledges only what came. It announces what the recorded side
// announced (MSS, window scale, timestamps, SACK, window, TTL), and acknowledges
// every segment at once. As a Sink it takes the frames that arrive.
//
// It is a TCP for playing a side of a recording, not for traffic: a window of
// constant size, a slow start up to 64 segments, RFC 6298's time-out.
//
// Reading list: RFC 9293 (TCP) 3.5, 3.8, 3.10; RFC 6298 (RTO); RFC 7323 (window
// scale, timestamps); RFC 2018, RFC 6675 (SACK); RFC 5681 3.2 (fast retransmit); RFC 826 (ARP).
type Host struct {
	cfg   HostConfig
	rand  *sim.Rand
	macs  map[netip.Addr]wire.MAC
	asked map[netip.Addr]*question
	conns map[flowKey]*Conn
	all   []*Conn // in order
	port  uint16
	ports map[uint16]*listener
	ipID  uint16
	stats HostStats
}

// HostConfig configures a Host.
type HostConfig struct {
	Loop    *sim.Loop
	Node    string // random numbers depend on it
	MAC     wire.MAC
	Addr    netip.Prefix // IPv4
	Gateway netip.Addr   // for everything else; the zero Addr: none
	MTU     int          // 0 = 1500
	Out     link.Sink
}

// HostStats count what a Host did.
type HostStats struct {
	Sent, Retransmitted uint64 // segments
	Taken               uint64
	BadChecksums        uint64
	Foreign             uint64 // frames that are neither ARP nor TCP for the host, and segments of no connection
	OutOfOrder          uint64
	Drops               Drops
}

// Drops count what a Host dropped for want of room or of a way, by reason.
type Drops struct {
	WaitingFull uint64 // frames: too many waited for the same hardware address; the oldest goes
	NoAnswer    uint64 // frames that waited for a hardware address until the end, or wait for it
	NoWay       uint64 // frames for addresses beyond the network, without a gateway
	PiecesFull  uint64 // segments that arrived: too many were behind a hole already
	BeyondRoom  uint64 // segments that arrived beyond the window
}

// Facts are what a side's TCP announces.
type Facts struct {
	MSS         uint16 // 0: what the MTU leaves
	WindowScale int    // negative: none
	Timestamps  bool
	SACK        bool
	Window      uint16 // 0 = 65,535
	TTL         uint8  // 0 = 64
}

// Events tell of a Conn, on the loop.
type Events struct {
	Connected func() // dialled only
	Data      func([]byte)
	// Closed is called once: io.EOF when the peer has closed its direction.
	Closed func(error)
}

type flowKey struct {
	remote netip.AddrPort
	port   uint16
}

type listener struct {
	facts  func() Facts
	accept func(*Conn) *Events
}

// A question is an ARP request under way and the frames that wait for the answer.
type question struct {
	at      sim.Time
	waiting []*link.Frame
}

// Limits of a Host.
const (
	maxConns   = 16384
	maxWaiting = 16 // frames for one unknown address; the oldest is dropped for another, and counted
	arpAgain   = time.Second
	firstPort  = 49152
)

// NewHost returns a host.
func NewHost(cfg HostConfig) (*Host, error) {
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	switch {
	case cfg.Loop == nil || cfg.Out == nil:
		return nil, errors.New("segment: no loop or no way out")
	case !cfg.Addr.Addr().Is4():
		return nil, fmt.Errorf("segment: %v is no IPv4 address with a prefix length", cfg.Addr)
	case cfg.MTU < 576 || cfg.MTU > 65535:
		return nil, fmt.Errorf("segment: MTU %d is not between 576 and 65535", cfg.MTU)
	}
	h := &Host{
		cfg: cfg, rand: sim.NewRand(cfg.Loop.Seed(), "segment/"+cfg.Node), macs: map[netip.Addr]wire.MAC{},
		asked: map[netip.Addr]*question{}, conns: map[flowKey]*Conn{}, ports: map[uint16]*listener{},
	}
	h.port = firstPort + uint16(h.rand.IntN(8192))
	return h, nil
}

// Stats returns what happened so far.
func (h *Host) Stats() HostStats {
	s := h.stats
	for _, q := range h.asked { // a sum: the order does not matter
		s.Drops.NoAnswer += uint64(len(q.waiting))
	}
	return s
}

// Dial begins a connection.
func (h *Host) Dial(to netip.AddrPort, facts Facts, events *Events) *Conn {
	h.port++
	if h.port < firstPort {
		h.port = firstPort
	}
	c := h.newConn(flowKey{to, h.port}, facts)
	c.events, c.dialled = events, true
	if !h.hasRoom() || h.nextHop(to.Addr()) == (netip.Addr{}) {
		h.cfg.Loop.After(0, func() { c.lost(fmt.Errorf("no way to %v", to)) })
		return c
	}
	h.conns[c.key] = c
	h.all = append(h.all, c)
	c.push(&out{syn: true})
	return c
}

// Listen takes connections to a port; accept returns who is told of them, nil to
// refuse one.
func (h *Host) Listen(port uint16, facts func() Facts, accept func(*Conn) *Events) error {
	if h.ports[port] != nil {
		return fmt.Errorf("segment: port %d is taken", port)
	}
	h.ports[port] = &listener{facts, accept}
	return nil
}

// Unlisten stops that.
func (h *Host) Unlisten(port uint16) { delete(h.ports, port) }

// Close ends everything without a word.
func (h *Host) Close() {
	for _, c := range h.all {
		c.timer.Stop()
		c.state = stateClosed
	}
	for _, q := range h.asked {
		h.stats.Drops.NoAnswer += uint64(len(q.waiting))
		for _, f := range q.waiting {
			f.Release()
		}
	}
	h.asked = map[netip.Addr]*question{}
}

// Put takes a frame.
func (h *Host) Put(f *link.Frame) {
	defer f.Release()
	var l wire.Layers
	if err := l.Parse(f.Data); err != nil || l.Ethernet.Dst() != h.cfg.MAC && !l.Ethernet.Dst().IsMulticast() {
		h.stats.Foreign++
		return
	}
	switch {
	case l.ARP != nil:
		h.hearARP(l.ARP)
	case l.TCP != nil && l.IPv4 != nil && l.Dst() == h.cfg.Addr.Addr():
		if !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
			h.stats.BadChecksums++
			return
		}
		h.stats.Taken++
		h.segment(&l)
	default:
		h.stats.Foreign++
	}
}

// segment finds the connection of a segment.
func (h *Host) segment(l *wire.Layers) {
	key := flowKey{netip.AddrPortFrom(l.Src(), l.TCP.SrcPort()), l.TCP.DstPort()}
	c, flags := h.conns[key], l.TCP.Flags()
	again := c != nil && c.state == stateClosed && flags&(wire.TCPSyn|wire.TCPAck) == wire.TCPSyn
	if c != nil && !again {
		c.take(l.TCP, l.Payload)
		return
	}
	listener := h.ports[key.port]
	switch {
	case flags&wire.TCPRst != 0:
	case listener != nil && flags&(wire.TCPSyn|wire.TCPAck) == wire.TCPSyn && h.hasRoom():
		c = h.newConn(key, listener.facts())
		c.listener = listener
		h.conns[key] = c
		h.all = append(h.all, c)
		c.hearSYN(l.TCP)
		c.push(&out{syn: true})
	default:
		h.stats.Foreign++
		h.reset(key, l)
	}
}

// hasRoom reports whether there may be another connection. Those that are closed stay
// until there is none, for what is still under way to them.
func (h *Host) hasRoom() bool {
	if len(h.all) >= maxConns {
		h.all = slices.DeleteFunc(h.all, func(c *Conn) bool {
			if c.state == stateClosed && h.conns[c.key] == c {
				delete(h.conns, c.key)
			}
			return c.state == stateClosed
		})
	}
	return len(h.all) < maxConns
}

// reset answers a segment of no connection (RFC 9293 section 3.10.7.1).
func (h *Host) reset(key flowKey, l *wire.Layers) {
	f := wire.TCPFields{SrcPort: key.port, DstPort: key.remote.Port(), Flags: wire.TCPRst, Seq: l.TCP.Ack()}
	if !l.TCP.Has(wire.TCPAck) {
		f.Flags, f.Seq, f.Ack = wire.TCPRst|wire.TCPAck, 0, l.TCP.Seq()+l.TCP.SegmentLen(l.Payload)
	}
	h.send(key.remote.Addr(), f, nil, 0)
}

// send puts a segment on the wire.
func (h *Host) send(to netip.Addr, t wire.TCPFields, payload []byte, ttl uint8) {
	const head = wire.EthernetHeaderLen + wire.IPv4HeaderLen
	size := wire.TCPHeaderLen + len(t.Options) + len(payload)
	f := link.NewFrame(head + size)
	copy(f.Data[head+size-len(payload):], payload)
	wire.PutTCP(f.Data[head:], t, h.cfg.Addr.Addr(), to, len(payload))
	if ttl == 0 {
		ttl = 64
	}
	h.ipID++
	wire.PutIPv4(f.Data[wire.EthernetHeaderLen:], wire.IPv4Fields{
		ID: h.ipID, DontFragment: true, TTL: ttl, Protocol: wire.ProtocolTCP, Src: h.cfg.Addr.Addr(), Dst: to,
	}, size)
	h.stats.Sent++
	h.resolve(h.nextHop(to), f)
}

// nextHop is who gets packets to an address; the zero Addr when nobody does.
func (h *Host) nextHop(to netip.Addr) netip.Addr {
	if h.cfg.Addr.Contains(to) {
		return to
	}
	return h.cfg.Gateway
}

// resolve sends a frame when its receiver's hardware address is known.
func (h *Host) resolve(hop netip.Addr, f *link.Frame) {
	if !hop.IsValid() {
		h.stats.Drops.NoWay++
		f.Release()
		return
	}
	if mac, ok := h.macs[hop]; ok {
		wire.PutEthernet(f.Data, mac, h.cfg.MAC, wire.EtherTypeIPv4)
		h.cfg.Out.Put(f)
		return
	}
	q := h.asked[hop]
	if q == nil {
		q = &question{at: h.cfg.Loop.Now() - sim.Time(arpAgain)}
		h.asked[hop] = q
	}
	if len(q.waiting) == maxWaiting { // TCP sends it again
		h.stats.Drops.WaitingFull++
		q.waiting[0].Release()
		q.waiting = q.waiting[:copy(q.waiting, q.waiting[1:])]
	}
	q.waiting = append(q.waiting, f)
	if h.cfg.Loop.Now().Sub(q.at) >= arpAgain {
		q.at = h.cfg.Loop.Now()
		h.arp(wire.ARPRequest, wire.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, wire.MAC{}, hop)
	}
}

// arpFrame is the length of an ARP frame, padded as Ethernet wants it.
const arpFrame = 60

func (h *Host) arp(operation uint16, dst, target wire.MAC, addr netip.Addr) {
	f := link.NewFrame(arpFrame)
	clear(f.Data)
	wire.PutEthernet(f.Data, dst, h.cfg.MAC, wire.EtherTypeARP)
	wire.PutARP(f.Data[wire.EthernetHeaderLen:], operation, h.cfg.MAC, h.cfg.Addr.Addr(), target, addr)
	h.cfg.Out.Put(f)
}

func (h *Host) hearARP(a wire.ARP) {
	sender := a.Sender()
	q := h.asked[sender]
	if a.Target() == h.cfg.Addr.Addr() || q != nil {
		h.macs[sender] = a.SenderMAC()
	}
	if a.Operation() == wire.ARPRequest && a.Target() == h.cfg.Addr.Addr() {
		h.arp(wire.ARPReply, a.SenderMAC(), a.SenderMAC(), sender)
	}
	if q != nil {
		delete(h.asked, sender)
		for _, f := range q.waiting {
			h.resolve(sender, f)
		}
	}
	const maxKnown = 4096
	if len(h.macs) > maxKnown { // somebody makes them up
		h.macs = map[netip.Addr]wire.MAC{}
	}
}
