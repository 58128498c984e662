package embedded

import (
	"net/netip"
	"slices"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// Reading list: RFC 768, nxd_udp_socket_send.c, nx_udp_packet_receive.c,
// nx_udp_socket_bind.c, nx_udp_socket_receive.c.

// UDPConfig configures a UDP socket.
type UDPConfig struct {
	Queue        int   // datagrams kept for the application; 0: DefaultUDPQueue
	TTL          uint8 // 0: the profile's
	TOS          uint8
	DontFragment bool
}

// DefaultUDPQueue is the queue of a socket that does not say.
const DefaultUDPQueue = 8

// UDPSocket is an NX_UDP_SOCKET.
type UDPSocket struct {
	ip      *IP
	cfg     UDPConfig
	port    uint16 // 0: not bound
	queue   []udpDatagram
	waiters waitList
	notify  func()
}

type udpDatagram struct {
	p    *nic.Packet
	from netip.AddrPort
}

// NewUDPSocket returns a socket that is not bound.
func (ip *IP) NewUDPSocket(cfg UDPConfig) *UDPSocket {
	if cfg.Queue <= 0 {
		cfg.Queue = DefaultUDPQueue
	}
	if cfg.TTL == 0 {
		cfg.TTL = ip.profile.IP.TTL
	}
	s := &UDPSocket{ip: ip, cfg: cfg}
	s.waiters = waitList{ip: ip, what: "UDP receive", onTimeout: func() nic.Status { return nic.NoPacket }}
	return s
}

// Bind gives the socket a port, 0 for any.
func (s *UDPSocket) Bind(port uint16) nic.Status {
	ip := s.ip
	if s.port != 0 {
		return nic.AlreadyBound
	}
	taken := func(port uint16) bool {
		return slices.ContainsFunc(ip.udp, func(o *UDPSocket) bool { return o.port == port })
	}
	if port == 0 {
		if port = ip.anyPort(taken); port == 0 {
			return nic.NoFreePorts
		}
	} else if taken(port) {
		return nic.PortUnavailable
	}
	s.port = port
	ip.udp = append(ip.udp, s)
	return nic.Success
}

// Port returns the socket's port, 0 if it is not bound.
func (s *UDPSocket) Port() uint16 { return s.port }

// Unbind frees the port and drops what was not read.
func (s *UDPSocket) Unbind() nic.Status {
	ip := s.ip
	if s.port == 0 {
		return nic.NotBound
	}
	ip.protect(func() {
		s.port = 0
		i := slices.Index(ip.udp, s)
		ip.udp = slices.Delete(ip.udp, i, i+1)
		s.waiters.flush()
		for _, d := range s.queue {
			ip.drop(d.p, "udp", DropFlushed)
		}
		s.queue = nil
	})
	return nic.Success
}

// ReceiveNotify sets a function that is called for each datagram that arrives.
func (s *UDPSocket) ReceiveNotify(fn func()) { s.notify = fn }

// Send sends p, which needs headroom for the headers ([nic.UDP]). On Success the
// socket owns the packet, else the caller still does.
func (s *UDPSocket) Send(p *nic.Packet, to netip.AddrPort) nic.Status {
	ip := s.ip
	next := ip.nextHop(to.Addr())
	switch {
	case s.port == 0:
		return nic.NotBound
	case !next.IsValid():
		return nic.IPAddressError
	case to.Port() == 0:
		return nic.InvalidPort
	case len(p.Headroom()) < wire.IPv4HeaderLen+wire.UDPHeaderLen:
		return nic.Underflow
	}
	ip.protect(func() {
		n := p.Len() + wire.UDPHeaderLen
		h := p.Prepend(wire.UDPHeaderLen)
		copy(h, []byte{byte(s.port >> 8), byte(s.port), byte(to.Port() >> 8), byte(to.Port()), byte(n >> 8), byte(n), 0, 0})
		p.SetHolder("udp tx")
		ip.send(p, route{
			dst: to.Addr(), next: next, ttl: s.cfg.TTL, tos: s.cfg.TOS, df: s.cfg.DontFragment, protocol: wire.ProtocolUDP,
		}, false)
	})
	return nic.Success
}

// Receive returns the oldest datagram, which the caller then owns, positioned at
// its data, and its sender. It waits for one at most wait ticks.
func (s *UDPSocket) Receive(wait rtos.Ticks) (*nic.Packet, netip.AddrPort, nic.Status) {
	if s.port == 0 {
		return nil, netip.AddrPort{}, nic.NotBound
	}
	if len(s.queue) == 0 && s.ip.mayWait(wait) {
		v, waited := s.waiters.do(wait, 0, func() bool { return len(s.queue) == 0 })
		if waited && v != nic.Success {
			return nil, netip.AddrPort{}, v.(nic.Status)
		}
	}
	if len(s.queue) == 0 {
		return nil, netip.AddrPort{}, nic.NoPacket
	}
	d := s.queue[0]
	s.queue = slices.Delete(s.queue, 0, 1)
	return d.p, d.from, nic.Success
}

func (ip *IP) udpInput(p *nic.Packet, info ipInfo) {
	b := p.Bytes()
	if len(b) < wire.UDPHeaderLen {
		ip.drop(p, "udp", trace.DropMalformed)
		return
	}
	h := wire.UDP(b[:wire.UDPHeaderLen])
	if h.Len() < wire.UDPHeaderLen || h.Len() > p.Len() {
		ip.drop(p, "udp", trace.DropMalformed)
		return
	}
	p.TrimTail(p.Len() - h.Len())
	if h.Checksum() != 0 && wire.Fold(chainSum(wire.PseudoSum(info.src, info.dst, wire.ProtocolUDP, h.Len()), p)) != 0 {
		ip.drop(p, "udp", trace.DropChecksum)
		return
	}
	i := slices.IndexFunc(ip.udp, func(s *UDPSocket) bool { return s.port == h.DstPort() })
	if i < 0 {
		ip.icmpError(p, info, wire.ICMPUnreachable, wire.ICMPPortUnreachable)
		ip.drop(p, "udp", trace.DropNoPort)
		return
	}
	s := ip.udp[i]
	if len(s.waiters.waiting) == 0 && p.Pool().Low() {
		ip.drop(p, "udp", DropLowPool)
		return
	}
	p.Trim(wire.UDPHeaderLen)
	p.SetHolder("udp rx")
	s.queue = append(s.queue, udpDatagram{p: p, from: netip.AddrPortFrom(info.src, h.SrcPort())})
	if !s.waiters.wake(nic.Success) && len(s.queue) > s.cfg.Queue {
		ip.drop(s.queue[0].p, "udp", DropUDPQueue)
		s.queue = slices.Delete(s.queue, 0, 1)
	}
	if s.notify != nil {
		s.notify()
	}
}
