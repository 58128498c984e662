package embedded

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// Config configures an IP instance.
type Config struct {
	Node    string       // device, for the trace
	MAC     wire.MAC     // zero: the NIC's
	Addr    netip.Prefix // IPv4 address and network; the zero Prefix: none yet, see SetAddress and DHCPClient
	Gateway netip.Addr   // none: only the own network is reached
	Profile Profile      // zero: NetXDuo()
	Quirks  *Quirks      // nil: DefaultQuirks()
	Pool    *nic.Pool    // control packets, ARP and ICMP come from it
	// AuxiliaryPool, if there is one, is asked first for TCP control packets
	// and ARP requests: NX_ENABLE_DUAL_PACKET_POOL.
	AuxiliaryPool *nic.Pool
	NIC           *nic.NIC
	// Rand is what NX_RAND draws from. nil: the C library's rand, unseeded, so
	// that first sequence numbers and ports are the same after each boot.
	Rand *sim.Rand
	// Latency is the time from the first of some frames' arrival until the IP
	// thread runs: those that arrive meanwhile are handled together, before any
	// thread sees what they bring. 0: each is handled as it arrives.
	Latency time.Duration
	// ISN and Ports are used in their order, before the profile's rules, for
	// the first sequence number and client port of connections: with them a run
	// can be laid beside a recording.
	ISN   []uint32
	Ports []uint16
}

// Counters count what an IP instance did.
type Counters struct {
	FramesIn, FramesOut       uint64
	Dropped                   uint64 // each with an event
	ARPRequests, ARPReplies   uint64 // sent
	Reassembled, Fragments    uint64
	SegmentsIn, SegmentsOut   uint64 // with data
	Retransmits               uint64 // data packets sent again
	Probes                    uint64
	ResetsIn, ResetsOut       uint64
	ControlNotSent            uint64 // for want of a packet
	RetryLimits               uint64 // connections ended at the retry limit
	FastRetransmits, DataAcks uint64 // DataAcks: pure ACKs sent
}

// IP is one NX_IP: a device's stack on one interface.
type IP struct {
	loop    *sim.Loop
	kernel  *rtos.Kernel
	trace   *trace.Log
	cfg     Config
	profile Profile
	quirks  Quirks
	rates   rates

	mac       wire.MAC
	prefix    netip.Prefix // 0.0.0.0/0 without an address
	addr      netip.Addr
	broadcast netip.Addr // of the own network
	gateway   netip.Addr
	onAddress func()
	nic       *nic.NIC
	pool      *nic.Pool

	clock clock
	fast  *periodic // TCP
	slow  *periodic // ARP, reassembly

	depth     int // calls inside the engine
	inbox     *nic.Packet
	inboxTail *nic.Packet
	arrival   *sim.Timer // ends the latency

	rand    random
	isnUsed int
	ports   int
	nextID  uint16

	arp        []*arpEntry // oldest first
	defend     int
	datagrams  []*datagram // in reassembly, oldest first
	sockets    []*TCPSocket
	listeners  []*listener
	udp        []*UDPSocket
	pings      waitList
	pingNumber uint16

	closed bool
	count  Counters
}

// maxLatency bounds Config.Latency: beyond it the timers would be disturbed.
const maxLatency = 10 * time.Millisecond

// New returns an IP instance that takes the frames of cfg.NIC. The phases of
// its timers count from the kernel's present tick.
func New(loop *sim.Loop, kernel *rtos.Kernel, tr *trace.Log, cfg Config) (*IP, error) {
	if cfg.Profile.Name == "" {
		cfg.Profile = NetXDuo()
	}
	quirks := DefaultQuirks()
	if cfg.Quirks != nil {
		quirks = *cfg.Quirks
	}
	switch {
	case kernel == nil || kernel.Loop() != loop:
		return nil, errors.New("embedded: the kernel belongs to another loop")
	case cfg.NIC == nil || cfg.Pool == nil:
		return nil, errors.New("embedded: no NIC or no pool")
	case cfg.Addr.IsValid() && (!cfg.Addr.Addr().Is4() || cfg.Addr.Addr().IsUnspecified()):
		return nil, fmt.Errorf("embedded: address %v, want an IPv4 address with its network", cfg.Addr)
	case cfg.Latency < 0 || cfg.Latency > maxLatency:
		return nil, fmt.Errorf("embedded: latency of %v, want 0 to %v", cfg.Latency, maxLatency)
	case cfg.Gateway.IsValid() && !cfg.Addr.Masked().Contains(cfg.Gateway):
		return nil, fmt.Errorf("embedded: gateway %v is not in %v", cfg.Gateway, cfg.Addr.Masked())
	}
	if cfg.MAC == (wire.MAC{}) {
		cfg.MAC = wire.MAC(cfg.NIC.MAC())
	}
	if err := cfg.Profile.validate(); err != nil {
		return nil, err
	}
	ip := &IP{
		loop: loop, kernel: kernel, trace: tr, cfg: cfg, profile: cfg.Profile, quirks: quirks,
		mac: cfg.MAC, gateway: cfg.Gateway, nic: cfg.NIC, pool: cfg.Pool,
		clock: newClock(kernel), rand: newRandom(cfg.Rand), nextID: cfg.Profile.IP.FirstID,
	}
	ip.setPrefix(cfg.Addr)
	ip.rates = ip.profile.rates(ip.clock.perSecond)
	ip.fast = newPeriodic(&ip.clock, ip.rates.fast, ip.fastTick)
	ip.slow = newPeriodic(&ip.clock, ip.rates.slow, ip.slowTick)
	ip.arrival = loop.NewTimer(func() { ip.protect(func() {}) })
	ip.pings = waitList{ip: ip, what: "ICMP echo reply", onTimeout: func() nic.Status { return NoResponse }}
	cfg.NIC.SetUpper(ip.receive)
	return ip, nil
}

// Close ends the instance as if the device's power was cut: nothing more is sent,
// no timer runs, and the NIC drops what arrives. Threads that wait in its calls
// wait for ever; packets that it holds stay held.
func (ip *IP) Close() {
	ip.closed = true
	ip.fast.timer.Stop()
	ip.slow.timer.Stop()
	ip.arrival.Stop()
	ip.nic.SetUpper(nil)
}

// Profile returns the profile in use.
func (ip *IP) Profile() Profile { return ip.profile }

// Counters returns what the instance has counted.
func (ip *IP) Counters() Counters { return ip.count }

// Sockets returns the TCP sockets that exist, in order of creation.
func (ip *IP) Sockets() []*TCPSocket { return append([]*TCPSocket(nil), ip.sockets...) }

// protect runs fn inside the engine: in interrupt context, so that threads it
// wakes run when the engine is left, and with frames that arrive meanwhile kept
// back until fn is done. NetX has the mutex nx_ip_protection for this.
func (ip *IP) protect(fn func()) {
	ip.kernel.Interrupt(func() {
		ip.depth++
		fn()
		ip.leave()
	})
}

func (ip *IP) leave() {
	if ip.depth == 1 {
		for ip.inbox != nil && !ip.arrival.Armed() {
			p := ip.inbox
			ip.inbox = p.QueueNext
			p.QueueNext = nil
			ip.input(p)
		}
		ip.armTimers()
	}
	ip.depth--
}

// inboxHolder holds frames that the engine has not looked at.
const inboxHolder = "ip input"

// receive gets an Ethernet frame from the NIC, in interrupt context.
func (ip *IP) receive(p *nic.Packet) {
	if ip.cfg.Latency > 0 && ip.inbox == nil {
		ip.arrival.ResetAfter(ip.cfg.Latency)
	}
	if ip.depth > 0 || ip.cfg.Latency > 0 {
		p.SetHolder(inboxHolder)
		if ip.inbox == nil {
			ip.inbox = p
		} else {
			ip.inboxTail.QueueNext = p
		}
		ip.inboxTail = p
		return
	}
	ip.depth++
	ip.input(p)
	ip.leave()
}

// input dispatches an Ethernet frame.
func (ip *IP) input(p *nic.Packet) {
	ip.count.FramesIn++
	b := p.Bytes()
	if len(b) < wire.EthernetHeaderLen {
		ip.drop(p, "ethernet", trace.DropMalformed)
		return
	}
	eth := wire.Ethernet(b[:wire.EthernetHeaderLen])
	if dst := eth.Dst(); dst != ip.mac && !dst.IsMulticast() {
		ip.drop(p, "ethernet", trace.DropNotForUs)
		return
	}
	etherType := eth.EtherType()
	p.Trim(wire.EthernetHeaderLen)
	switch etherType {
	case wire.EtherTypeIPv4:
		ip.ipv4Input(p)
	case wire.EtherTypeARP:
		ip.arpInput(p)
	default:
		ip.drop(p, "ethernet", trace.DropUnknown)
	}
}

// drop releases a packet that goes no further, and says why.
func (ip *IP) drop(p *nic.Packet, stage string, reason trace.DropReason) {
	ip.dropEvent(stage, reason, p.Len(), "")
	p.Release()
}

// dropSent is drop for a packet on its way out, which TCP may still hold.
func (ip *IP) dropSent(p *nic.Packet, stage string, reason trace.DropReason) {
	ip.dropEvent(stage, reason, p.Len(), "")
	p.TransmitRelease()
}

func (ip *IP) dropEvent(stage string, reason trace.DropReason, length int, text string) {
	ip.count.Dropped++
	ip.trace.Emit(trace.Event{
		Kind: trace.KindDrop, Node: ip.cfg.Node, Stage: stage, Reason: reason, Len: length, Text: text,
	})
}

// controlPacket allocates a packet for something the stack itself sends. An
// empty pool means that it is not sent, and nobody in the device is told.
func (ip *IP) controlPacket(typ nic.PacketType, length int, what string) *nic.Packet {
	var p *nic.Packet
	status := nic.NoPacket
	if ip.cfg.AuxiliaryPool != nil {
		p, status = ip.cfg.AuxiliaryPool.Allocate(typ, rtos.NoWait)
	}
	if status != nic.Success {
		p, status = ip.pool.Allocate(typ, rtos.NoWait)
	}
	if status == nic.Success {
		p.SetHolder(what)
		if p.Extend(length) != nil {
			return p
		}
		p.Release()
	}
	ip.count.ControlNotSent++
	ip.dropEvent("control", trace.DropControl, length, what)
	return nil
}

// armTimers starts the timers that have something to do.
func (ip *IP) armTimers() {
	if ip.closed {
		return
	}
	if !ip.fast.timer.Armed() {
		for _, s := range ip.sockets {
			if s.needsTimer() {
				ip.fast.arm()
				break
			}
		}
	}
	if !ip.slow.timer.Armed() && (ip.arpNeedsTimer() || len(ip.datagrams) > 0) {
		ip.slow.arm()
	}
}

// fastTick is _nx_tcp_fast_periodic_processing.
func (ip *IP) fastTick() {
	ip.protect(func() {
		for _, s := range ip.sockets {
			s.fastTick()
		}
	})
}

// slowTick is what _nx_ip_thread_entry does each NX_IP_PERIODIC_RATE.
func (ip *IP) slowTick() {
	ip.protect(func() {
		ip.arpTick()
		ip.reassemblyTick()
	})
}
