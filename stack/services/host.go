package services

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// Config configures a Host. A service that is nil is not there.
type Config struct {
	Node string       // in the trace
	MAC  wire.MAC     // a unicast address
	Addr netip.Prefix // IPv4 address and the length of its network
	DHCP *DHCPConfig
	DNS  *DNSConfig
	SNTP *SNTPConfig
	// Unicast sends what DHCP broadcasts to the Ethernet address of its client
	// only, as the relay in an access node does (TR-101 3.9.1): in a fleet a
	// broadcast for each client would be one for everybody each.
	Unicast bool
}

// Counters count what passed the host's port.
type Counters struct {
	RxFrames, TxFrames uint64
	Requests           uint64 // that a service understood
	Answers            uint64 // that it sent
	Dropped            uint64 // each with a drop event
}

// A Host is a station with services. As a link.Sink it takes the frames that
// arrive at its port.
type Host struct {
	loop    *sim.Loop
	trace   *trace.Log
	cfg     Config
	out     link.Sink
	dhcp    *dhcpServer
	dns     *dnsServer
	sntp    *sntpServer
	waiting int // answers that a service's delay holds
	ipID    uint16
	count   Counters
	closed  bool
}

// MaxWaiting bounds the answers that wait for the delay of a service.
const MaxWaiting = 1024

// MaxDelay bounds the delay of a service.
const MaxDelay = time.Hour

// The names of the services, which are stages in the trace.
const (
	StageDHCP = "dhcp"
	StageDNS  = "dns"
	StageSNTP = "sntp"
)

// DropWaiting is why an answer beyond MaxWaiting is not sent.
const DropWaiting = trace.DropQueueFull

// New returns a host whose frames go to out.
func New(loop *sim.Loop, tr *trace.Log, cfg Config, out link.Sink) (*Host, error) {
	switch {
	case out == nil:
		return nil, errors.New("services: no way out")
	case cfg.Node == "":
		return nil, errors.New("services: a host needs a node name")
	case cfg.MAC == wire.MAC{} || cfg.MAC.IsMulticast():
		return nil, fmt.Errorf("services: %v is no unicast Ethernet address", cfg.MAC)
	case !cfg.Addr.IsValid() || !cfg.Addr.Addr().Is4() || cfg.Addr.Addr().IsUnspecified():
		return nil, fmt.Errorf("services: address %v, want an IPv4 address with its network", cfg.Addr)
	}
	h := &Host{loop: loop, trace: tr, cfg: cfg, out: out}
	var err error
	if cfg.DHCP != nil {
		if h.dhcp, err = newDHCP(h, *cfg.DHCP); err != nil {
			return nil, err
		}
	}
	if cfg.DNS != nil {
		if h.dns, err = newDNS(h, *cfg.DNS); err != nil {
			return nil, err
		}
	}
	if cfg.SNTP != nil {
		if h.sntp, err = newSNTP(h, *cfg.SNTP); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Close takes the host off the network: what arrives is dropped, and what it was
// about to send is not sent.
func (h *Host) Close() { h.closed = true }

// Addr returns the host's address.
func (h *Host) Addr() netip.Addr { return h.cfg.Addr.Addr() }

// Counters returns what the host has counted.
func (h *Host) Counters() Counters { return h.count }

// Put takes a frame.
func (h *Host) Put(f *link.Frame) {
	h.arrive(f.Data, f.ID)
	f.Release()
}

// A request is a datagram and whom to answer.
type request struct {
	frame   uint64
	mac     wire.MAC // that it came from
	src     netip.AddrPort
	dst     netip.Addr
	payload []byte // the frame's, until the handler returns
}

func (h *Host) arrive(frame []byte, id uint64) {
	h.count.RxFrames++
	var l wire.Layers
	err := l.Parse(frame)
	switch {
	case h.closed:
		h.drop("ethernet", trace.DropNoUpper, id, frame, "the host is closed")
	case err != nil:
		h.drop("parse", trace.DropMalformed, id, frame, err.Error())
	case l.Ethernet.Dst() != h.cfg.MAC && l.Ethernet.Dst() != wire.BroadcastMAC:
		h.drop("ethernet", trace.DropNotForUs, id, frame, l.Ethernet.Dst().String())
	case len(l.Ethernet) > wire.EthernetHeaderLen:
		h.drop("ethernet", trace.DropUnknown, id, frame, "802.1Q tag")
	case l.ARP != nil:
		h.arriveARP(&l, frame, id)
	case l.IPv4 != nil:
		h.arriveIPv4(&l, frame, id)
	default:
		h.drop("ethernet", trace.DropUnknown, id, frame, wire.Summary(frame))
	}
}

func (h *Host) arriveARP(l *wire.Layers, frame []byte, id uint64) {
	if l.ARP.Operation() != wire.ARPRequest || l.ARP.Target() != h.Addr() {
		return // what others tell each other concerns nobody here: it is no loss
	}
	f := link.NewFrame(wire.EthernetHeaderLen + wire.ARPLen)
	wire.PutEthernet(f.Data, l.Ethernet.Src(), h.cfg.MAC, wire.EtherTypeARP)
	wire.PutARP(f.Data[wire.EthernetHeaderLen:], wire.ARPReply, h.cfg.MAC, h.Addr(), l.ARP.SenderMAC(), l.ARP.Sender())
	h.transmit(f)
}

func (h *Host) arriveIPv4(l *wire.Layers, frame []byte, id uint64) {
	dst := l.IPv4.Dst()
	broadcast := dst == limitedBroadcast || dst == lastAddr(h.cfg.Addr)
	switch {
	case !l.IPv4.ChecksumOK():
		h.drop("ip", trace.DropChecksum, id, frame, "IPv4 header")
	case dst != h.Addr() && (!broadcast || l.UDP == nil):
		h.drop("ip", trace.DropNotForUs, id, frame, dst.String())
	case !h.isHost(l.IPv4.Src()) && !(l.IPv4.Src().IsUnspecified() && l.UDP != nil && l.UDP.DstPort() == wire.DHCPServerPort):
		h.drop("ip", trace.DropMalformed, id, frame, fmt.Sprintf("from %v, which is no other host's address", l.IPv4.Src()))
	case l.IPv4.MoreFragments() || l.IPv4.FragmentOffset() != 0:
		h.drop("ip", trace.DropUnknown, id, frame, "IP fragment")
	case l.ICMPv4 != nil:
		h.arriveICMP(l, frame, id)
	case l.UDP != nil:
		if !l.UDP.ChecksumOK(l.IPv4.Src(), dst, l.Payload) {
			h.drop("udp", trace.DropChecksum, id, frame, "UDP")
			return
		}
		h.arriveUDP(l, frame, id, broadcast)
	case l.TCP != nil:
		h.reset(l)
		h.drop("tcp", trace.DropNoPort, id, frame, "TCP to "+netip.AddrPortFrom(dst, l.TCP.DstPort()).String())
	default:
		h.drop("ip", trace.DropUnknown, id, frame, wire.Summary(frame))
	}
}

// isHost reports whether another host may send from an address: what it answers
// would go to everybody, or to itself (RFC 1122 3.2.1.3).
func (h *Host) isHost(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != limitedBroadcast && a != lastAddr(h.cfg.Addr) && a != h.Addr()
}

func (h *Host) arriveICMP(l *wire.Layers, frame []byte, id uint64) {
	switch {
	case !l.ICMPv4.ChecksumOK(l.Payload):
		h.drop("icmp", trace.DropChecksum, id, frame, "ICMP")
	case l.ICMPv4.Type() != wire.ICMPEchoRequest:
		h.drop("icmp", trace.DropUnknown, id, frame, wire.Summary(frame))
	default:
		f := h.packet(l.Ethernet.Src(), l.IPv4.Src(), wire.ProtocolICMP, wire.ICMPHeaderLen+len(l.Payload))
		wire.PutICMPv4Echo(body(f), wire.ICMPEchoReply, l.ICMPv4.EchoID(), l.ICMPv4.EchoSeq(), l.Payload)
		h.transmit(f)
	}
}

// arriveUDP gives a datagram to its service.
func (h *Host) arriveUDP(l *wire.Layers, frame []byte, id uint64, broadcast bool) {
	r := request{
		frame: id, mac: l.Ethernet.Src(), src: netip.AddrPortFrom(l.IPv4.Src(), l.UDP.SrcPort()),
		dst: l.IPv4.Dst(), payload: l.Payload,
	}
	var reason trace.DropReason
	var text string
	switch port := l.UDP.DstPort(); {
	case port == wire.DHCPServerPort && h.dhcp != nil && h.dhcp.answer != DHCPOff:
		reason, text = h.dhcp.serve(&r)
	case port == wire.DNSPort && h.dns != nil && h.dns.answer != DNSOff && !broadcast:
		reason, text = h.dns.serve(&r)
	case port == wire.NTPPort && h.sntp != nil && h.sntp.answer != SNTPOff && !broadcast:
		reason, text = h.sntp.serve(&r)
	default:
		reason, text = trace.DropNoPort, fmt.Sprintf("UDP port %d", port)
		if !broadcast { // RFC 1122 3.2.2
			h.unreachable(l)
		}
	}
	if reason != "" {
		h.drop("udp", reason, id, frame, text)
	}
}

// unreachable says that a port is closed.
func (h *Host) unreachable(l *wire.Layers) {
	original := slices.Concat([]byte(l.IPv4), []byte(l.UDP), l.Payload)
	f := h.packet(l.Ethernet.Src(), l.IPv4.Src(), wire.ProtocolICMP, wire.ICMPv4ErrorLen(original))
	wire.PutICMPv4Error(body(f), wire.ICMPUnreachable, wire.ICMPPortUnreachable, 0, original)
	h.transmit(f)
}

// reset answers a segment: nobody listens (RFC 9293 3.5.2).
func (h *Host) reset(l *wire.Layers) {
	t := l.TCP
	if t.Flags()&wire.TCPRst != 0 || !t.ChecksumOK(l.IPv4.Src(), l.IPv4.Dst(), l.Payload) {
		return
	}
	fields := wire.TCPFields{SrcPort: t.DstPort(), DstPort: t.SrcPort(), Flags: wire.TCPRst | wire.TCPAck}
	if t.Flags()&wire.TCPAck != 0 {
		fields.Flags, fields.Seq = wire.TCPRst, t.Ack()
	} else {
		fields.Ack = t.Seq() + uint32(len(l.Payload))
		if t.Flags()&wire.TCPSyn != 0 {
			fields.Ack++
		}
		if t.Flags()&wire.TCPFin != 0 {
			fields.Ack++
		}
	}
	f := h.packet(l.Ethernet.Src(), l.IPv4.Src(), wire.ProtocolTCP, wire.TCPHeaderLen)
	wire.PutTCP(body(f), fields, h.Addr(), l.IPv4.Src(), 0)
	h.transmit(f)
}

// timeToLive is that of Linux.
const timeToLive = 64

// packet makes a frame with an IP packet whose payload is still to be written.
func (h *Host) packet(mac wire.MAC, dst netip.Addr, protocol uint8, n int) *link.Frame {
	f := link.NewFrame(wire.EthernetHeaderLen + wire.IPv4HeaderLen + n)
	wire.PutEthernet(f.Data, mac, h.cfg.MAC, wire.EtherTypeIPv4)
	h.ipID++
	wire.PutIPv4(f.Data[wire.EthernetHeaderLen:], wire.IPv4Fields{
		ID: h.ipID, TTL: timeToLive, Protocol: protocol, Src: h.Addr(), Dst: dst,
	}, n)
	return f
}

// body is the IP payload of a frame that packet made.
func body(f *link.Frame) []byte { return f.Data[wire.EthernetHeaderLen+wire.IPv4HeaderLen:] }

// answer sends a datagram, after a service's delay.
func (h *Host) answer(stage string, delay time.Duration, mac wire.MAC, from uint16, to netip.AddrPort, payload []byte) {
	send := func() {
		h.count.Answers++
		f := h.packet(mac, to.Addr(), wire.ProtocolUDP, wire.UDPHeaderLen+len(payload))
		copy(body(f)[wire.UDPHeaderLen:], payload)
		wire.PutUDP(body(f), from, to.Port(), h.Addr(), to.Addr(), len(payload))
		h.transmit(f)
	}
	if delay == 0 {
		send()
		return
	}
	if h.waiting >= MaxWaiting {
		h.count.Dropped++
		h.trace.Emit(trace.Event{
			Kind: trace.KindDrop, Node: h.cfg.Node, Stage: stage, Reason: DropWaiting, Len: len(payload),
			Text: fmt.Sprintf("%d answers wait already", MaxWaiting),
		})
		return
	}
	h.waiting++
	h.loop.After(delay, func() {
		h.waiting--
		if !h.closed {
			send()
		}
	})
}

func (h *Host) transmit(f *link.Frame) {
	h.count.TxFrames++
	h.out.Put(f)
}

// served records a request and what became of it.
func (h *Host) served(stage string, r *request, text string) {
	h.count.Requests++
	h.trace.Emit(trace.Event{Kind: trace.KindService, Node: h.cfg.Node, Stage: stage, Frame: r.frame, Len: len(r.payload), Text: text})
}

func (h *Host) drop(stage string, reason trace.DropReason, id uint64, frame []byte, text string) {
	h.count.Dropped++
	h.trace.Emit(trace.Event{
		Kind: trace.KindDrop, Node: h.cfg.Node, Stage: "services/" + stage, Reason: reason, Frame: id, Len: len(frame), Text: text,
	})
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// lastAddr is the broadcast address of a network.
func lastAddr(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

// checkDelay refuses a delay that no service has.
func checkDelay(stage string, d time.Duration) error {
	if d < 0 || d > MaxDelay {
		return fmt.Errorf("services: %s: delay of %v, want 0 to %v", stage, d, MaxDelay)
	}
	return nil
}
