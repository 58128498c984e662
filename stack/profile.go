package stack

import (
	"fmt"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// A Profile holds the constants in which hosts differ. Start from [Linux] or
// [NetX] and change what you need.
type Profile struct {
	Name string

	TTL uint8

	// RTO is the retransmission time-out if it is constant; 0: adaptive, as in
	// RFC 6298.
	RTO time.Duration
	// Retries is how often a segment is sent again before the connection is given
	// up; 0: gVisor's 15.
	Retries int
	// SACK allows selective acknowledgements.
	SACK bool
	// PlainSYN sends a maximum segment size as a SYN's only option, padded to
	// eight bytes by NOP, NOP, NOP and end of list, and ignores all others of the
	// peer.
	PlainSYN bool
	// MaxWindow is the receive window; 0: gVisor's own.
	MaxWindow int
	// PushAlways sets PSH on every segment with data.
	PushAlways bool
	// CountIPID numbers the packets sent from 1; otherwise the IP identification
	// is gVisor's, 0 with DF.
	CountIPID bool
	// FirstPort is the lowest ephemeral port; the highest is LastPort.
	FirstPort, LastPort uint16
	// TimeWait is how long a connection that was closed first keeps its port.
	TimeWait time.Duration

	// TxQueuePackets and TxQueueBytes limit what a PacketSocket keeps
	// unacknowledged. The peer's window limits it as well.
	TxQueuePackets, TxQueueBytes int

	ARP ARPConfig
}

// ARPConfig is the schedule of address resolution.
type ARPConfig struct {
	Interval  time.Duration // between requests, and from the last one to giving up
	Requests  int           // sent before the waiting packets are dropped
	QueueSize int           // packets that wait for one address; the oldest goes first
	// Lifetime is how long an answer is used without asking again; 0: for ever.
	Lifetime time.Duration
	// TellTCP reports a failed resolution to TCP, so that a connect ends with
	// ErrUnreachable at once, as arp_error_report of Linux does.
	TellTCP bool
}

// Linux returns the profile of a Linux-like host: gVisor's defaults.
func Linux() Profile {
	return Profile{
		Name: "linux", TTL: 64, SACK: true,
		FirstPort: 32768, LastPort: 60999, // net.ipv4.ip_local_port_range
		TimeWait:       tcp.DefaultTCPTimeWaitTimeout,
		TxQueuePackets: 1024, TxQueueBytes: 256 << 10,
		// net.ipv4.neigh.default: mcast_solicit, retrans_time_ms, unres_qlen.
		ARP: ARPConfig{Interval: time.Second, Requests: 3, QueueSize: 101, TellTCP: true},
	}
}

// NetX returns an approximation of NetX Duo 6.4.2 with its default options; see
// the package comment for what it lacks.
func NetX() Profile {
	return Profile{
		Name:       "netx",
		TTL:        128,         // NX_IP_TIME_TO_LIVE
		RTO:        time.Second, // NX_TCP_TRANSMIT_TIMER_RATE, NX_TCP_RETRY_SHIFT 0
		Retries:    10,          // NX_TCP_MAXIMUM_RETRIES
		PlainSYN:   true,        // nx_tcp_packet_send_syn.c
		MaxWindow:  8192,        // NXD_MQTT_CLIENT_SOCKET_WINDOW_SIZE
		PushAlways: true,        // nx_tcp_socket_send_internal.c
		CountIPID:  true,        // NX_INIT_PACKET_ID
		// nx_tcp_client_socket_bind.c: 0xC000 + NX_RAND % 0x4000.
		FirstPort: 0xC000, LastPort: 0xFFFF,
		TxQueuePackets: 20, TxQueueBytes: 64 << 10, // NX_TCP_MAXIMUM_TX_QUEUE
		// NX_ARP_UPDATE_RATE, NX_ARP_MAXIMUM_RETRIES 18 after the first request,
		// NX_ARP_MAX_QUEUE_DEPTH.
		ARP: ARPConfig{Interval: 10 * time.Second, Requests: 19, QueueSize: 4},
	}
}

// sendBuffer is gVisor's send buffer of a PacketSocket. It must never be what
// limits a send, for gVisor takes part of a packet then.
const sendBuffer = 4 << 20

// profileReceiveBuffer is gVisor's receive buffer when MaxWindow limits the window:
// gVisor's own window is half of it and shrinks with the overhead of small
// segments, so it must be large.
const profileReceiveBuffer = 1 << 20

func (p *Profile) validate() error {
	switch {
	case p.TTL == 0:
		return fmt.Errorf("stack: profile %q: TTL 0", p.Name)
	case p.RTO < 0 || p.TimeWait < 0 || p.Retries < 0:
		return fmt.Errorf("stack: profile %q: negative time or count", p.Name)
	case p.MaxWindow < 0 || p.MaxWindow > 65535:
		return fmt.Errorf("stack: profile %q: window %d, want 0 to 65535", p.Name, p.MaxWindow)
	case p.MaxWindow > 0 && !p.PlainSYN:
		return fmt.Errorf("stack: profile %q: MaxWindow needs PlainSYN, for a scaled window is another number", p.Name)
	case p.FirstPort == 0 || p.LastPort < p.FirstPort:
		return fmt.Errorf("stack: profile %q: ports %d to %d", p.Name, p.FirstPort, p.LastPort)
	case p.TxQueuePackets <= 0 || p.TxQueueBytes <= 0 || p.TxQueueBytes > sendBuffer/4:
		return fmt.Errorf("stack: profile %q: transmit queue of %d packets, %d bytes (at most %d)",
			p.Name, p.TxQueuePackets, p.TxQueueBytes, sendBuffer/4)
	case p.ARP.Interval <= 0 || p.ARP.Requests <= 0 || p.ARP.QueueSize <= 0 || p.ARP.Lifetime < 0:
		return fmt.Errorf("stack: profile %q: ARP %+v", p.Name, p.ARP)
	}
	return nil
}

// apply sets gVisor's options. They must be in force before the first endpoint
// is made.
func (p *Profile) apply(s *gstack.Stack) error {
	ttl := tcpip.DefaultTTLOption(p.TTL)
	if err := s.SetNetworkProtocolOption(ipv4.ProtocolNumber, &ttl); err != nil {
		return wrap("set TTL", err)
	}
	if err := s.SetPortRange(p.FirstPort, p.LastPort); err != nil {
		return wrap("set port range", err)
	}
	sack, wait := tcpip.TCPSACKEnabled(p.SACK), tcpip.TCPTimeWaitTimeoutOption(p.TimeWait)
	options := []tcpip.SettableTransportProtocolOption{&sack, &wait}
	if p.RTO > 0 {
		// The minimum first: gVisor checks each against the other.
		low, high := tcpip.TCPMinRTOOption(p.RTO), tcpip.TCPMaxRTOOption(p.RTO)
		options = append(options, &low, &high)
	}
	if p.Retries > 0 {
		retries := tcpip.TCPMaxRetriesOption(p.Retries)
		options = append(options, &retries)
	}
	if p.MaxWindow > 0 {
		moderate := tcpip.TCPModerateReceiveBufferOption(false)
		options = append(options, &moderate, &tcpip.TCPReceiveBufferSizeRangeOption{
			Min: tcp.MinBufferSize, Default: profileReceiveBuffer, Max: profileReceiveBuffer,
		})
	}
	for _, o := range options {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return wrap(fmt.Sprintf("set %T", o), err)
		}
	}
	return nil
}
