package stack

import (
	"fmt"
	"net/netip"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// Reading list: RFC 9293 3.10.7.1 (RST for a SYN), RFC 1812 5.2.7.1 and 5.3.9 and
// RFC 4443 3.1 (codes of "destination unreachable"); gVisor
// pkg/tcpip/stack/stack.go, SetPromiscuousMode and SetSpoofing.

// Limits of a host that forwards.
const (
	// MaxForwardPorts bounds the destination ports of TCP connections that it has
	// let in, in all the time it runs: each has a listener.
	MaxForwardPorts = 1024
	// forwardBacklog is the backlog of each, above which gVisor uses SYN cookies.
	forwardBacklog = 4096
	// forwardHandshake is how long a peer may take to complete the handshake. A
	// Linux peer gives up after 127 s without an answer, but this one has one.
	forwardHandshake = 75 * time.Second
)

// forwarding is what a host does with what is for everybody.
type forwarding struct {
	host      *Host
	tcp       func(*Request)
	udp       func(*Datagram)
	requests  map[flow]*Request // until the connection is there; looked up, never ranged over
	conns     map[flow]*Conn    // that are there and in use; likewise
	listeners map[listenerKey]bool
}

type listenerKey struct {
	v4   bool
	port uint16
}

// Forward makes the host take what is for addresses outside its network, too, as
// a gateway does, and hands TCP connections and UDP datagrams to its callers
// before anybody is answered. tcp is called with each new SYN and must see to it
// that the request is accepted or refused in the end, udp with each datagram.
// IPv6 packets for other hosts than this one are not taken. Call it once, before
// the first frame, of a host without packet pools.
func (h *Host) Forward(tcp func(*Request), udp func(*Datagram)) error {
	switch {
	case h.forward != nil:
		return fmt.Errorf("stack: host %q forwards already", h.cfg.Node)
	case h.nic != nil:
		return fmt.Errorf("stack: host %q has packet pools and cannot forward", h.cfg.Node)
	}
	if err := h.gvisor.SetPromiscuousMode(nicID, true); err != nil {
		return wrap("take packets for everybody", err)
	}
	if err := h.gvisor.SetSpoofing(nicID, true); err != nil {
		return wrap("answer for everybody", err)
	}
	h.forward = &forwarding{
		host: h, tcp: tcp, udp: udp, requests: map[flow]*Request{}, conns: map[flow]*Conn{}, listeners: map[listenerKey]bool{},
	}
	return nil
}

// takes reports whether the host forwards packets to an IPv4 address that is not
// its own.
func (f *forwarding) takes(dst netip.Addr) bool {
	return f != nil && !dst.IsMulticast() && !dst.IsLoopback() && !dst.IsUnspecified() && !f.host.cfg.Addr.Contains(dst)
}

// A Request is a TCP connection that somebody asks for and nobody has answered.
type Request struct {
	f       *forwarding
	flow    flow
	frame   []byte // of the newest SYN
	id      uint64
	timer   *sim.Timer
	done    func(*Conn) // set by Accept
	settled bool
}

// From returns who asks.
func (r *Request) From() netip.AddrPort { return r.flow.remote }

// To returns where the connection is to go.
func (r *Request) To() netip.AddrPort { return r.flow.local }

// arriveTCP looks at a segment and reports whether it was taken: others go on to
// gVisor, which resets what it does not know.
func (f *forwarding) arriveTCP(l *wire.Layers, frame []byte, id uint64) (taken bool) {
	key := flow{netip.AddrPortFrom(l.Src(), l.TCP.SrcPort()), netip.AddrPortFrom(l.Dst(), l.TCP.DstPort())}
	r := f.requests[key]
	const control = wire.TCPSyn | wire.TCPAck | wire.TCPRst | wire.TCPFin
	switch kind := l.TCP.Flags() & control; {
	case kind == wire.TCPSyn && r == nil && f.conns[key] == nil:
		r = &Request{f: f, flow: key, frame: append([]byte(nil), frame...), id: id}
		f.requests[key] = r
		f.tcp(r)
		return true
	case r == nil:
		return false
	case kind&wire.TCPRst != 0:
		// A peer that has given up, answered or not.
		f.host.drop("tcp", trace.DropNoPort, id, len(frame), wire.Summary(frame))
		r.end(nil)
		return true
	case r.done == nil && kind == wire.TCPSyn:
		f.host.drop("tcp", DropDuplicate, r.id, len(r.frame), "the SYN came again while the gateway connects")
		r.frame, r.id = append(r.frame[:0], frame...), id
		return true
	}
	return false
}

// Ended reports whether the peer has given up, so that there is nothing to answer.
func (r *Request) Ended() bool { return r.settled || r.f.host.closed }

// end settles the request and tells the one who accepted it.
func (r *Request) end(c *Conn) {
	if r.settled {
		return
	}
	r.settled = true
	if r.f.requests[r.flow] == r {
		delete(r.f.requests, r.flow)
	}
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.done != nil {
		r.done(c)
	}
}

// Accept answers the SYN. done is called with the connection when the handshake
// is complete, or with nil when the peer does not complete it. An error means
// that no more ports can be listened to; the request is as it was.
func (r *Request) Accept(done func(*Conn)) error {
	h := r.f.host
	if r.Ended() {
		done(nil)
		return nil
	}
	if err := r.f.listen(r.flow.local); err != nil {
		return err
	}
	r.done = done
	r.timer = h.loop.NewTimer(func() { r.end(nil) })
	r.timer.ResetAfter(forwardHandshake)
	h.deliverIP(r.frame, r.id, true)
	return nil
}

// listen makes gVisor take connections to a port, whatever the address is.
func (f *forwarding) listen(to netip.AddrPort) error {
	key := listenerKey{to.Addr().Is4(), to.Port()}
	switch {
	case f.listeners[key]:
		return nil
	case len(f.listeners) >= MaxForwardPorts:
		return fmt.Errorf("stack: connections to %d ports have been let in, as many as a gateway takes", MaxForwardPorts)
	}
	wildcard := netip.IPv4Unspecified()
	if !key.v4 {
		wildcard = netip.IPv6Unspecified()
	}
	if _, err := f.host.listen(fmt.Sprintf("forward port %d", to.Port()), wildcard, to.Port(), forwardBacklog, f.accepted); err != nil {
		return err
	}
	f.listeners[key] = true
	return nil
}

// accepted takes a connection whose handshake is complete.
func (f *forwarding) accepted(c *Conn) {
	key := flow{c.Remote(), c.Local()}
	r := f.requests[key]
	if r == nil {
		c.Abort() // its request has ended meanwhile
		return
	}
	f.conns[key] = c
	c.onReleased = func() { delete(f.conns, key) }
	r.end(c)
}

// Refuse answers with RST. Reason and text are for the trace.
func (r *Request) Refuse(reason trace.DropReason, text string) {
	if r.Ended() {
		return
	}
	h, from, to := r.f.host, r.flow.remote, r.flow.local
	var l wire.Layers
	must(l.Parse(r.frame))
	n := ipHeaderLen(to.Addr())
	f := link.NewFrame(wire.EthernetHeaderLen + n + wire.TCPHeaderLen)
	ip := f.Data[wire.EthernetHeaderLen:]
	wire.PutTCP(ip[n:], wire.TCPFields{
		SrcPort: to.Port(), DstPort: from.Port(), Ack: l.TCP.Seq() + l.TCP.SegmentLen(l.Payload), Flags: wire.TCPRst | wire.TCPAck,
	}, to.Addr(), from.Addr(), 0)
	h.putIP(ip, to.Addr(), from.Addr(), wire.ProtocolTCP, true, wire.TCPHeaderLen)
	h.drop("tcp", reason, r.id, len(r.frame), text)
	r.end(nil)
	h.sendIP(f, true)
}

// Unreachable answers with ICMP. Reason and text are for the trace.
func (r *Request) Unreachable(why Unreachable, reason trace.DropReason, text string) {
	if r.Ended() {
		return
	}
	r.f.host.drop("tcp", reason, r.id, len(r.frame), text)
	packet := r.frame[wire.EthernetHeaderLen:]
	r.end(nil)
	r.f.host.SendUnreachable(why, packet)
}

// must panics when a frame that was parsed before cannot be parsed.
func must(err error) {
	if err != nil {
		panic("stack: a frame that was parsed before: " + err.Error())
	}
}

// Unreachable is why a packet does not reach its destination.
type Unreachable uint8

// The reasons.
const (
	NetUnreachable Unreachable = iota + 1
	HostUnreachable
	PortUnreachable
	Prohibited // by whoever decides here
)

// codes are those of ICMP and of ICMPv6.
func (u Unreachable) codes() (v4, v6 uint8) {
	switch u {
	case NetUnreachable:
		return wire.ICMPNetUnreachable, icmpv6NoRoute
	case PortUnreachable:
		return wire.ICMPPortUnreachable, icmpv6PortUnreachable
	case Prohibited:
		return wire.ICMPAdminProhibited, icmpv6Prohibited
	default:
		return wire.ICMPHostUnreachable, wire.ICMPv6AddressUnreachable
	}
}

// Codes of RFC 4443 3.1 that package wire has no use for.
const (
	icmpv6NoRoute         uint8 = 0
	icmpv6Prohibited      uint8 = 1
	icmpv6PortUnreachable uint8 = 4
)

// SendUnreachable tells the sender of an IP packet, or of the beginning of one,
// that it goes nowhere.
func (h *Host) SendUnreachable(why Unreachable, packet []byte) {
	if h.closed {
		return
	}
	v4, v6 := why.codes()
	if packet[0]>>4 == 4 {
		to := wire.IPv4(packet).Src()
		f := link.NewFrame(wire.EthernetHeaderLen + wire.IPv4HeaderLen + wire.ICMPv4ErrorLen(packet))
		ip := f.Data[wire.EthernetHeaderLen:]
		n := wire.PutICMPv4Error(ip[wire.IPv4HeaderLen:], wire.ICMPUnreachable, v4, 0, packet)
		h.putIP(ip, h.Addr(), to, wire.ProtocolICMP, false, n)
		h.sendIP(f, true)
		return
	}
	to := wire.IPv6(packet).Src()
	from := h.inet6.source(to)
	if !from.IsValid() {
		from = wire.IPv6(packet).Dst()
	}
	f := link.NewFrame(wire.EthernetHeaderLen + wire.IPv6HeaderLen + wire.ICMPv6ErrorLen(packet))
	ip := f.Data[wire.EthernetHeaderLen:]
	n := wire.PutICMPv6Error(ip[wire.IPv6HeaderLen:], wire.ICMPv6Unreachable, v6, 0, packet, from, to)
	h.putIP(ip, from, to, wire.ProtocolICMPv6, false, n)
	h.sendIP(f, true)
}

// A Datagram is a UDP datagram to be forwarded. Packet and Payload are the
// host's again when the call ends.
type Datagram struct {
	From, To netip.AddrPort
	Payload  []byte
	Packet   []byte // the IP packet
	Frame    uint64
}

// datagram takes a UDP datagram of IPv4.
func (f *forwarding) datagram(l *wire.Layers, frame []byte, id uint64) {
	f.udp(&Datagram{
		From: netip.AddrPortFrom(l.Src(), l.UDP.SrcPort()), To: netip.AddrPortFrom(l.Dst(), l.UDP.DstPort()),
		Payload: l.Payload, Packet: frame[wire.EthernetHeaderLen : wire.EthernetHeaderLen+l.IPv4.TotalLen()], Frame: id,
	})
}

// SendDatagram sends a UDP datagram of IPv4 to a neighbour in the name of anybody. One that
// does not fit a packet is dropped.
func (h *Host) SendDatagram(from, to netip.AddrPort, payload []byte) {
	n := wire.UDPHeaderLen + len(payload)
	switch {
	case h.closed:
		return
	case wire.IPv4HeaderLen+n > h.cfg.MTU:
		h.drop("udp", trace.DropTooLong, 0, n, fmt.Sprintf("a datagram of %d bytes from %v for %v: it would need fragments", len(payload), from, to))
		return
	}
	f := link.NewFrame(wire.EthernetHeaderLen + wire.IPv4HeaderLen + n)
	ip := f.Data[wire.EthernetHeaderLen:]
	copy(ip[wire.IPv4HeaderLen+wire.UDPHeaderLen:], payload)
	wire.PutUDP(ip[wire.IPv4HeaderLen:], from.Port(), to.Port(), from.Addr(), to.Addr(), len(payload))
	h.putIP(ip, from.Addr(), to.Addr(), wire.ProtocolUDP, false, n)
	h.sendIP(f, true)
}
