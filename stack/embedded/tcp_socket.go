package embedded

import (
	"fmt"
	"net/netip"
	"slices"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// Reading list: RFC 9293, nx_tcp_socket_create.c, nx_tcp_client_socket_bind.c,
// nx_tcp_free_port_find.c, nxd_tcp_client_socket_connect.c.

// A TCPState is the state of a connection. The numbers are NetX's, and some of
// its rules compare them.
type TCPState uint8

// The states of nx_api.h.
const (
	Closed TCPState = iota + 1
	Listening
	SynSent
	SynReceived
	Established
	CloseWait
	FinWait1
	FinWait2
	Closing
	TimeWait
	LastAck
)

var stateNames = [...]string{
	"", "CLOSED", "LISTEN", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT_1", "FIN_WAIT_2",
	"CLOSING", "TIME_WAIT", "LAST_ACK",
}

// String returns the name of RFC 9293.
func (s TCPState) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("TCPState(%d)", uint8(s))
}

// maxWindow is the largest window without scaling.
const maxWindow = 65535

// SocketConfig configures a TCP socket. NetX's MQTT client asks for
// DontFragment and leaves the rest at zero.
type SocketConfig struct {
	Name         string // for the trace; "" is "tcp"
	Window       uint32 // receive window; 0: the profile's, at most 65535
	MSS          uint32 // 0: as large as the MTU allows
	TTL          uint8  // 0: the profile's
	TOS          uint8
	DontFragment bool
}

// TCPSocket is an NX_TCP_SOCKET. It is made for one connection after the other,
// as a client (Connect) or as a server (Listen, Accept).
type TCPSocket struct {
	ip      *IP
	cfg     SocketConfig
	state   TCPState
	server  bool
	deleted bool
	bound   bool
	port    uint16

	peer  netip.AddrPort
	route route

	mss     uint32 // of the connection: nx_tcp_socket_connect_mss
	peerMSS uint32

	// Receiving.
	rxSeq       uint32 // next expected
	rxAcked     uint32 // last acknowledged
	rxWindow    uint32 // free
	rxTold      uint32 // what the peer knows of it: rx_window_last_sent
	rxDefault   uint32
	rx          []rxSegment
	ackIn       int // ticks until a delayed ACK is due
	unacked     int // data segments since the last ACK
	finReceived bool
	finSeq      uint32

	// Sending.
	txSeq       uint32 // next to send
	txWindow    uint32 // the peer's
	outstanding uint32 // bytes sent and not acknowledged
	tx          []txSegment
	cwnd        uint32
	ssthresh    uint32
	dupAcks     int
	recovery    bool // fast recovery
	recover     uint32
	highestAck  uint32
	finAcked    bool
	probe       windowProbe

	timeout int // ticks until something is sent again; 0: off
	retries int

	connecting    waitList
	disconnecting waitList
	receiving     waitList
	sending       waitList

	onReceive, onDisconnect, onEstablish func()
}

// A windowProbe is what a probe of a closed window sends.
type windowProbe struct {
	armed    bool // zero_window_probe_has_data
	data     byte
	seq      uint32
	failures int
}

// NewTCPSocket returns a closed socket.
func (ip *IP) NewTCPSocket(cfg SocketConfig) *TCPSocket {
	if cfg.Name == "" {
		cfg.Name = "tcp"
	}
	if cfg.Window == 0 {
		cfg.Window = ip.profile.TCP.Window
	}
	cfg.Window = min(cfg.Window, maxWindow)
	if cfg.TTL == 0 {
		cfg.TTL = ip.profile.TCP.TTL
	}
	s := &TCPSocket{
		ip: ip, cfg: cfg, state: Closed, rxDefault: cfg.Window, rxWindow: cfg.Window, ackIn: ip.rates.ack,
	}
	s.connecting = waitList{ip: ip, what: "TCP connection", onTimeout: s.connectCleanup}
	s.disconnecting = waitList{ip: ip, what: "TCP disconnection", onTimeout: func() nic.Status { return nic.DisconnectFailed }}
	s.receiving = waitList{ip: ip, what: "TCP data", onTimeout: s.receiveCleanup}
	s.sending = waitList{ip: ip, what: "TCP window", onTimeout: s.sendCleanup}
	ip.sockets = append(ip.sockets, s)
	return s
}

// State returns the state of the socket's connection.
func (s *TCPSocket) State() TCPState { return s.state }

// Port returns the local port, 0 when not bound.
func (s *TCPSocket) Port() uint16 {
	if !s.bound {
		return 0
	}
	return s.port
}

// Peer returns the address of the connection's other end, the zero AddrPort
// without one.
func (s *TCPSocket) Peer() netip.AddrPort { return s.peer }

// Queued returns the packets in the transmit and in the receive queue.
func (s *TCPSocket) Queued() (tx, rx int) { return len(s.tx), len(s.rx) }

// ReceiveNotify sets a function that is called when data can be received.
func (s *TCPSocket) ReceiveNotify(fn func()) { s.onReceive = fn }

// DisconnectNotify sets a function that is called when the peer closes or the
// connection ends by itself, or never came to be. It is not called while the
// connection is being closed by Disconnect. NetX calls it for a connection that
// was established only; whoever models its callers tells the two apart.
func (s *TCPSocket) DisconnectNotify(fn func()) { s.onDisconnect = fn }

// EstablishNotify sets a function that is called when the connection stands. A
// default build of NetX does not have it (NX_DISABLE_EXTENDED_NOTIFY_SUPPORT);
// whoever models one does not set it.
func (s *TCPSocket) EstablishNotify(fn func()) { s.onEstablish = fn }

// Connect opens a connection, from a port of its own if the socket is not
// bound, and waits at most wait ticks for it. Without a wait it returns
// InProgress; the SYN is on its way.
func (s *TCPSocket) Connect(server netip.AddrPort, wait rtos.Ticks) nic.Status {
	ip := s.ip
	server = netip.AddrPortFrom(server.Addr().Unmap(), server.Port())
	next := ip.nextHop(server.Addr())
	switch {
	case s.deleted:
		return nic.NotCreated
	case !next.IsValid():
		return nic.IPAddressError
	case server.Port() == 0:
		return nic.InvalidPort
	case s.state != Closed && s.state != TimeWait:
		return nic.NotClosed
	}
	if !s.bound {
		if status := s.Bind(0); status != nic.Success {
			return status
		}
	}
	start := func() bool {
		if ip.trace != nil {
			s.event(fmt.Sprintf("connect to %v from port %d", server, s.port), int64(wait))
		}
		s.peer = server
		s.setRoute(next)
		s.open()
		s.txSeq++
		s.timeout, s.retries = int(ip.rates.syn), 0
		s.setState(SynSent)
		s.sendSYN(s.txSeq - 1)
		return true
	}
	if !ip.mayWait(wait) {
		ip.protect(func() { start() })
		return nic.InProgress
	}
	v, _ := s.connecting.do(wait, 0, start)
	return v.(nic.Status)
}

// Bind gives the socket a local port, 0 for any.
func (s *TCPSocket) Bind(port uint16) nic.Status {
	if s.bound {
		return nic.AlreadyBound
	}
	taken := func(port uint16) bool {
		return slices.ContainsFunc(s.ip.sockets, func(o *TCPSocket) bool { return o.bound && o.port == port })
	}
	if port == 0 {
		if port = s.ip.anyPort(taken); port == 0 {
			return nic.NoFreePorts
		}
	} else if taken(port) {
		return nic.PortUnavailable
	}
	s.bound, s.port = true, port
	return nic.Success
}

// anyPort draws a free port, 0 if there is none.
func (ip *IP) anyPort(taken func(uint16) bool) uint16 {
	first := ip.profile.TCP.PortFirst
	if ip.ports < len(ip.cfg.Ports) {
		first := ip.cfg.Ports[ip.ports]
		ip.ports++
		if first != 0 && !taken(first) {
			return first
		}
	}
	n := 1<<16 - int(first)
	draw := int(ip.rand.next()) % n
	for i := range n {
		if port := first + uint16((draw+i)%n); !taken(port) {
			return port
		}
	}
	return 0
}

func (s *TCPSocket) setRoute(next netip.Addr) {
	s.route = route{
		dst: s.peer.Addr(), next: next, ttl: s.cfg.TTL, tos: s.cfg.TOS, df: s.cfg.DontFragment, protocol: protocolTCP,
	}
}

// open makes the socket ready for a new connection and draws its first
// sequence number.
func (s *TCPSocket) open() {
	ip := s.ip
	switch {
	case ip.isnUsed < len(ip.cfg.ISN):
		s.txSeq = ip.cfg.ISN[ip.isnUsed]
		ip.isnUsed++
	case s.txSeq == 0:
		s.txSeq = ip.rand.next() << 16
		s.txSeq |= ip.rand.next()
	default:
		s.txSeq += ip.profile.TCP.ISNIncrease + ip.rand.next()
	}
	s.rxWindow, s.rxTold = s.rxDefault, s.rxDefault
	s.finReceived, s.finAcked = false, false
	s.flushReceive()
	s.cwnd, s.outstanding, s.unacked = 0, 0, 0
}

func (s *TCPSocket) setState(to TCPState) {
	if s.state == to {
		return
	}
	s.state = to
	if s.ip.trace != nil {
		s.event(to.String(), 0)
	}
}

// event records something about the connection; count is a number that goes
// with the text.
func (s *TCPSocket) event(text string, count int64) {
	s.ip.trace.Emit(trace.Event{Kind: trace.KindTCP, Node: s.ip.cfg.Node, Stage: s.cfg.Name, Text: text, Count: count})
}
