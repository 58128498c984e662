package embedded

import (
	"net/netip"
	"slices"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// Reading list: nx_tcp_server_socket_listen.c, nx_tcp_server_socket_accept.c,
// nx_tcp_server_socket_relisten.c, nx_tcp_server_socket_unaccept.c,
// nx_tcp_server_socket_unlisten.c, nx_tcp_packet_process.c.

// Codes of nx_api.h that only a server sees.
const (
	MaxListen         nic.Status = 0x33
	DuplicateListen   nic.Status = 0x34
	NotListenState    nic.Status = 0x36
	InvalidRelisten   nic.Status = 0x47
	ConnectionPending nic.Status = 0x48
)

// A listener is a port with at most one socket ready for the next connection,
// and SYNs that wait for one.
type listener struct {
	ip      *IP
	port    uint16
	socket  *TCPSocket
	backlog int
	queue   []pendingSYN
	notify  func(*TCPSocket)
}

type pendingSYN struct {
	p   *nic.Packet
	seg segment
	src netip.Addr
}

func (ip *IP) findListener(port uint16) *listener {
	for _, l := range ip.listeners {
		if l.port == port {
			return l
		}
	}
	return nil
}

// Listen makes a port a server's. The first connection is this socket's, later
// ones wait, up to backlog, for a socket that Relisten brings. notify, if not
// nil, is called for each connection that got a socket; the application then
// calls Accept.
func (s *TCPSocket) Listen(port uint16, backlog int, notify func(*TCPSocket)) nic.Status {
	ip := s.ip
	switch {
	case s.state != Closed:
		return nic.NotClosed
	case s.bound:
		return nic.AlreadyBound
	case port == 0:
		return nic.InvalidPort
	case ip.findListener(port) != nil:
		return DuplicateListen
	case ip.profile.TCP.ListenRequests > 0 && len(ip.listeners) >= ip.profile.TCP.ListenRequests:
		return MaxListen
	}
	ip.listeners = append(ip.listeners, &listener{ip: ip, port: port, socket: s, backlog: backlog, notify: notify})
	s.server, s.port, s.timeout = true, port, 0
	s.setState(Listening)
	return nic.Success
}

// Unlisten closes a port to new connections.
func (ip *IP) Unlisten(port uint16) nic.Status {
	i := slices.IndexFunc(ip.listeners, func(l *listener) bool { return l.port == port })
	if i < 0 {
		return nic.NotBound
	}
	l := ip.listeners[i]
	ip.listeners = slices.Delete(ip.listeners, i, i+1)
	ip.protect(func() {
		for _, w := range l.queue {
			ip.drop(w.p, "tcp", DropBacklog)
		}
		if l.socket != nil {
			l.socket.server = false
			l.socket.setState(Closed)
		}
	})
	return nic.Success
}

// Relisten makes a closed socket the next one of a port that listens. If a SYN
// is waiting the socket gets it, and the result is ConnectionPending.
func (s *TCPSocket) Relisten(port uint16) nic.Status {
	switch {
	case s.state != Closed:
		return nic.NotClosed
	case s.bound:
		return nic.AlreadyBound
	}
	l := s.ip.findListener(port)
	if l == nil || l.socket != nil {
		return InvalidRelisten
	}
	s.server, s.port = true, port
	s.setState(Listening)
	if len(l.queue) == 0 {
		l.socket = s
		return nic.Success
	}
	s.ip.protect(func() {
		w := l.queue[0]
		l.queue = slices.Delete(l.queue, 0, 1)
		l.assign(s, &w.seg, w.src)
		w.p.Release()
	})
	return ConnectionPending
}

// Accept answers the SYN that came, or the next one, and waits at most wait
// ticks until the connection stands. Without a wait it returns InProgress.
func (s *TCPSocket) Accept(wait rtos.Ticks) nic.Status {
	ip := s.ip
	switch s.state {
	case Established:
		return nic.Success
	case Listening, SynReceived:
	default:
		return NotListenState
	}
	if s.bound && !s.peer.IsValid() {
		return NotListenState // its last connection wants an Unaccept first
	}
	accept := func() bool {
		if s.state == Listening {
			s.open()
			s.setState(SynReceived)
			s.timeout = 0
			if s.bound {
				s.answerSYN()
			}
		}
		return true
	}
	if !ip.mayWait(wait) {
		ip.protect(func() { accept() })
		return nic.InProgress
	}
	v, _ := s.connecting.do(wait, 0, accept)
	status := v.(nic.Status)
	if status != nic.Success {
		ip.protect(func() {
			s.setState(Listening)
			s.timeout = 0
		})
	}
	return status
}

// answerSYN sends the SYN,ACK.
func (s *TCPSocket) answerSYN() {
	s.rxSeq++
	s.txSeq++
	s.timeout, s.retries = int(s.ip.rates.syn), 0
	s.sendSYN(s.txSeq - 1)
}

// Unaccept ends a server connection that was disconnected, so that the socket
// can listen again.
func (s *TCPSocket) Unaccept() nic.Status {
	ip := s.ip
	if s.state != Listening && s.state < CloseWait && !(s.state == Closed && s.bound) {
		return NotListenState
	}
	ip.protect(func() {
		s.disconnecting.flush()
		if !s.bound {
			if l := ip.findListener(s.port); l != nil && l.socket == s {
				l.socket = nil
			}
		}
		s.flushTransmit()
		s.flushReceive()
		s.peer, s.bound, s.server, s.timeout = netip.AddrPort{}, false, false, 0
		s.setState(Closed)
	})
	return nic.Success
}

// input takes a segment without ACK for the port.
func (l *listener) input(p *nic.Packet, seg *segment, info ipInfo) {
	ip := l.ip
	i := slices.IndexFunc(l.queue, func(w pendingSYN) bool { return w.src == info.src && w.seg.srcPort == seg.srcPort })
	switch {
	case seg.has(flagRST):
		if i >= 0 {
			ip.drop(l.queue[i].p, "tcp", DropBacklog)
			l.queue = slices.Delete(l.queue, i, i+1)
		}
		p.Release()
	case !seg.has(flagSYN):
		ip.refuse(seg, info)
		ip.drop(p, "tcp", trace.DropNoPort)
	case l.socket != nil:
		s := l.socket
		l.socket = nil
		p.Release()
		l.assign(s, seg, info.src)
	case i >= 0:
		ip.drop(p, "tcp", DropDuplicate)
	default:
		p.SetHolder("tcp listen queue")
		l.queue = append(l.queue, pendingSYN{p: p, seg: *seg, src: info.src})
		if len(l.queue) > l.backlog {
			ip.drop(l.queue[0].p, "tcp", DropBacklog)
			l.queue = slices.Delete(l.queue, 0, 1)
		}
	}
}

// assign gives a connection attempt to a socket.
func (l *listener) assign(s *TCPSocket, seg *segment, src netip.Addr) {
	ip := l.ip
	s.bound = true
	s.peer = netip.AddrPortFrom(src, seg.srcPort)
	s.setRoute(ip.nextHop(src))
	s.rxSeq = seg.seq
	s.peerMSS = ip.statedMSS(seg)
	s.cwnd, s.outstanding = s.peerMSS, 0
	if s.state == SynReceived { // Accept waits already
		s.answerSYN()
	}
	if l.notify != nil {
		l.notify(s)
	}
}
