package stack

import (
	"fmt"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// A Profile holds the constants in which hosts differ. Start from [Linux] or
// [NetX] and change what you need.
type Profile struct {
	Name string

	TTL      uint8
	HopLimit uint8 // of IPv6, until a router advertises another

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
	// BareRST resets a PacketSocket's connection by RST without ACK.
	BareRST bool
	// CountIPID numbers the IPv4 packets sent from 1, a segment of a PacketSocket
	// that is sent again unchanged with the number that it had; otherwise the IP
	// identification is gVisor's, 0 with DF.
	CountIPID bool
	// FirstPort is the lowest ephemeral port; the highest is LastPort.
	FirstPort, LastPort uint16
	// TimeWait is how long a connection that was closed first keeps its port.
	TimeWait time.Duration

	// TxQueuePackets and TxQueueBytes limit what a PacketSocket keeps
	// unacknowledged. The peer's window limits it as well.
	TxQueuePackets, TxQueueBytes int

	ARP ARPConfig
	ND  NDConfig
}

// NDConfig is the schedule of IPv6's neighbour discovery (RFC 4861 section 10).
type NDConfig struct {
	Interval  time.Duration // between solicitations, until a router advertises another
	Requests  int           // multicast ones before giving up, unicast ones before asking all again
	QueueSize int           // packets that wait for one address; the oldest goes first
	Reachable time.Duration // how long an answer is good, until a router advertises another
	Delay     time.Duration // from the use of an old entry to the first probe
	TellTCP   bool          // as ARPConfig.TellTCP

	RouterInterval time.Duration // between router solicitations
	RouterRequests int           // before giving up, if no router answers
	// MaxDelay bounds the random delay of the first router solicitation and of
	// the first solicitation for a duplicate.
	MaxDelay time.Duration
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
		Name: "linux", TTL: 64, HopLimit: 64, SACK: true,
		FirstPort: 32768, LastPort: 60999, // net.ipv4.ip_local_port_range
		TimeWait:       tcp.DefaultTCPTimeWaitTimeout,
		TxQueuePackets: 1024, TxQueueBytes: 256 << 10,
		// net.ipv4.neigh.default: mcast_solicit, retrans_time_ms, unres_qlen.
		ARP: ARPConfig{Interval: time.Second, Requests: 3, QueueSize: 101, TellTCP: true},
		// net.ipv6.neigh.default: retrans_time_ms, mcast_solicit and ucast_solicit,
		// unres_qlen, base_reachable_time_ms, delay_first_probe_time;
		// net.ipv6.conf: router_solicitation_interval, router_solicitation_delay.
		ND: NDConfig{
			Interval: time.Second, Requests: 3, QueueSize: 101, Reachable: 30 * time.Second, Delay: 5 * time.Second, TellTCP: true,
			RouterInterval: 4 * time.Second, RouterRequests: 3, MaxDelay: time.Second,
		},
	}
}

// NetX returns an approximation of NetX Duo 6.4.2 with its default options; see
// the package comment for what it lacks.
func NetX() Profile {
	return Profile{
		Name:       "netx",
		TTL:        128,         // NX_IP_TIME_TO_LIVE
		HopLimit:   255,         // nxd_ipv6_enable.c
		RTO:        time.Second, // NX_TCP_TRANSMIT_TIMER_RATE, NX_TCP_RETRY_SHIFT 0
		Retries:    10,          // NX_TCP_MAXIMUM_RETRIES
		PlainSYN:   true,        // nx_tcp_packet_send_syn.c
		MaxWindow:  8192,        // NXD_MQTT_CLIENT_SOCKET_WINDOW_SIZE
		PushAlways: true,        // nx_tcp_socket_send_internal.c
		BareRST:    true,        // nx_tcp_packet_send_rst.c
		CountIPID:  true,        // NX_INIT_PACKET_ID
		// nx_tcp_client_socket_bind.c: 0xC000 + NX_RAND % 0x4000.
		FirstPort: 0xC000, LastPort: 0xFFFF,
		TxQueuePackets: 20, TxQueueBytes: 64 << 10, // NX_TCP_MAXIMUM_TX_QUEUE
		// NX_ARP_UPDATE_RATE, NX_ARP_MAXIMUM_RETRIES 18 after the first request,
		// NX_ARP_MAX_QUEUE_DEPTH.
		ARP: ARPConfig{Interval: 10 * time.Second, Requests: 19, QueueSize: 4},
		// NX_RETRANS_TIMER, NX_MAX_MULTICAST_SOLICIT and NX_MAX_UNICAST_SOLICIT,
		// NX_ND_MAX_QUEUE_DEPTH, NX_REACHABLE_TIME, NX_DELAY_FIRST_PROBE_TIME,
		// NX_ICMPV6_RTR_SOLICITATION_INTERVAL, NX_ICMPV6_MAX_RTR_SOLICITATIONS,
		// NX_ICMPV6_RTR_SOLICITATION_DELAY.
		ND: NDConfig{
			Interval: time.Second, Requests: 3, QueueSize: 4, Reachable: 30 * time.Second, Delay: 5 * time.Second,
			RouterInterval: 4 * time.Second, RouterRequests: 3, MaxDelay: time.Second,
		},
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
	case p.TTL == 0 || p.HopLimit == 0:
		return fmt.Errorf("stack: profile %q: TTL %d, hop limit %d", p.Name, p.TTL, p.HopLimit)
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
	case !p.ND.valid():
		return fmt.Errorf("stack: profile %q: ND %+v", p.Name, p.ND)
	}
	return nil
}

func (c *NDConfig) valid() bool {
	return c.Interval > 0 && c.Requests > 0 && c.QueueSize > 0 && c.Reachable > 0 && c.Delay > 0 &&
		c.RouterInterval > 0 && c.RouterRequests > 0 && c.MaxDelay >= 0
}

// apply sets gVisor's options. They must be in force before the first endpoint
// is made.
func (p *Profile) apply(s *gstack.Stack, cfg *Config) error {
	ttl, hops := tcpip.DefaultTTLOption(p.TTL), tcpip.DefaultTTLOption(p.HopLimit)
	if cfg.hasIPv4() {
		if err := s.SetNetworkProtocolOption(ipv4.ProtocolNumber, &ttl); err != nil {
			return wrap("set TTL", err)
		}
	}
	if cfg.hasIPv6() {
		if err := s.SetNetworkProtocolOption(ipv6.ProtocolNumber, &hops); err != nil {
			return wrap("set hop limit", err)
		}
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
