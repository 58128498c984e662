package stack

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// DefaultMTU is Ethernet's.
const DefaultMTU = 1500

// The limits of Config.MTU: the smallest that IPv4 allows (RFC 791), the largest
// that IPv4's total length allows.
const (
	minMTU = 68
	maxMTU = 65535
)

// nicID is the only interface of a gVisor stack here.
const nicID tcpip.NICID = 1

// Config configures a Host.
type Config struct {
	Node    string       // name in the trace; random numbers depend on it
	MAC     wire.MAC     // a unicast address
	Addr    netip.Prefix // IPv4 address and the length of its network, such as 10.0.0.2/24
	Gateway netip.Addr   // for everything else; the zero Addr: no default route
	MTU     int          // largest IP packet; 0: DefaultMTU
	Profile Profile      // the zero value: Linux()
}

// Counters count what passed the host's port and what was dropped there.
type Counters struct {
	RxFrames, RxBytes uint64
	TxFrames, TxBytes uint64
	Dropped           uint64 // in either direction, each with a drop event
}

// A Host is an IP and TCP host with one Ethernet port. As a link.Sink it takes
// the frames that arrive at the port.
type Host struct {
	loop    *sim.Loop
	trace   *trace.Log
	cfg     Config
	profile Profile
	wire    func(*link.Frame) // the port's way out
	gvisor  *gstack.Stack
	dev     netdev
	clock   *clock
	arp     arpCache
	pings   []*ping
	pingSeq uint16
	ipID    uint16
	stats   tcpip.Stats // gVisor's counters
	count   Counters
	closed  bool

	// Of a device with packet pools; nil otherwise.
	kernel  *rtos.Kernel
	nic     *nic.NIC
	sockets map[flow]*PacketSocket // looked up, never ranged over
	scratch []byte

	readBuffer bytes.Buffer // of the Conn that is reading

	endpoints []closer // in the order they were made
	arriving  *gstack.PacketBuffer
	arrival   *arrival // what arriving is to a PacketSocket
	deliver   func()
	flushing  bool
	sortSent  bool // what gVisor writes next has no order of its own
	waker     *sim.Timer
	unmatched int // segments of the delivery under way that no socket took

	mu       sync.Mutex // guards what gVisor's goroutine writes
	sent     []*gstack.PacketBuffer
	spare    []*gstack.PacketBuffer
	notified []notifiable
}

// closer is an endpoint that Host.Close must end.
type closer interface{ destroy() }

// notifiable is an endpoint with a waiter entry.
type notifiable interface {
	// note marks the endpoint as waiting for ready and reports whether it was
	// not; ready is called on the loop.
	note() bool
	ready()
}

// New returns a host whose frames go to out. A device with packet pools has no
// out: it gets a NIC with Attach.
func New(loop *sim.Loop, tr *trace.Log, cfg Config, out link.Sink) (*Host, error) {
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	if cfg.Profile.Name == "" {
		cfg.Profile = Linux()
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	h := &Host{loop: loop, trace: tr, cfg: cfg, profile: cfg.Profile, sockets: make(map[flow]*PacketSocket)}
	if out != nil {
		h.wire = out.Put
	}
	h.dev.host = h
	h.arp.init(h)
	h.clock = newClock(loop, h.enter)
	h.deliver = h.deliverArriving
	h.waker = loop.NewTimer(h.runNotified)
	random := sim.NewRand(loop.Seed(), "stack/"+cfg.Node)
	h.gvisor = newGVisorStack(gstack.Options{
		NetworkProtocols:   []gstack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []gstack.TransportProtocolFactory{tcp.NewProtocol},
		Clock:              h.clock,
		RandSource:         randSource{random},
		SecureRNG:          random,
		IPTables:           noIPTables,
	})
	h.stats = h.gvisor.Stats()
	if err := h.configure(); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// noIPTables is shared by all stacks, which never change it.
var noIPTables = &gstack.IPTables{}

func (cfg *Config) validate() error {
	switch {
	case cfg.Node == "":
		return errors.New("stack: a host needs a node name")
	case cfg.MAC == wire.MAC{} || cfg.MAC.IsMulticast():
		return fmt.Errorf("stack: host %q: %v is no unicast Ethernet address", cfg.Node, cfg.MAC)
	case !cfg.Addr.IsValid() || !cfg.Addr.Addr().Is4() || cfg.Addr.Addr().IsUnspecified() || cfg.Addr.Addr().IsMulticast():
		return fmt.Errorf("stack: host %q: %v is no IPv4 address with prefix length", cfg.Node, cfg.Addr)
	case cfg.Gateway.IsValid() && (!cfg.Gateway.Is4() || !cfg.Addr.Contains(cfg.Gateway) || cfg.Gateway == cfg.Addr.Addr()):
		return fmt.Errorf("stack: host %q: gateway %v is no neighbour in %v", cfg.Node, cfg.Gateway, cfg.Addr.Masked())
	case cfg.MTU < minMTU || cfg.MTU > maxMTU:
		return fmt.Errorf("stack: host %q: MTU %d, want %d to %d", cfg.Node, cfg.MTU, minMTU, maxMTU)
	}
	return cfg.Profile.validate()
}

func (h *Host) configure() error {
	if err := h.profile.apply(h.gvisor); err != nil {
		return err
	}
	h.gvisor.SetTransportProtocolHandler(tcp.ProtocolNumber, h.noSocket)
	if err := h.gvisor.CreateNIC(nicID, &h.dev); err != nil {
		return wrap("create interface", err)
	}
	addr := tcpip.AddressWithPrefix{Address: toGVisor(h.cfg.Addr.Addr()), PrefixLen: h.cfg.Addr.Bits()}
	err := h.gvisor.AddProtocolAddress(nicID, tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: addr}, gstack.AddressProperties{})
	if err != nil {
		return wrap("set address", err)
	}
	routes := []tcpip.Route{{Destination: addr.Subnet(), NIC: nicID}}
	if h.cfg.Gateway.IsValid() {
		routes = append(routes, tcpip.Route{Destination: header.IPv4EmptySubnet, Gateway: toGVisor(h.cfg.Gateway), NIC: nicID})
	}
	h.gvisor.SetRouteTable(routes)
	return nil
}

// Attach connects the host to a NIC with packet pools: arriving frames are
// packets of its pool, and what the host sends of its own accord takes a packet
// of it for the moment of sending. Call it once, before the first frame, for a
// host made with a nil out.
func (h *Host) Attach(kernel *rtos.Kernel, n *nic.NIC) error {
	switch {
	case h.wire != nil:
		return fmt.Errorf("stack: host %q has a port already", h.cfg.Node)
	case kernel == nil || kernel.Loop() != h.loop:
		return fmt.Errorf("stack: host %q: the kernel belongs to another loop", h.cfg.Node)
	case wire.MAC(n.MAC()) != h.cfg.MAC:
		return fmt.Errorf("stack: host %q has the address %v, its NIC %v", h.cfg.Node, h.cfg.MAC, wire.MAC(n.MAC()))
	case n.MTU() < h.cfg.MTU:
		return fmt.Errorf("stack: host %q has the MTU %d, its NIC %d", h.cfg.Node, h.cfg.MTU, n.MTU())
	}
	h.kernel, h.nic = kernel, n
	h.wire = n.Transmit
	n.SetUpper(h.putPacket)
	return nil
}

// Addr returns the host's address.
func (h *Host) Addr() netip.Addr { return h.cfg.Addr.Addr() }

// MAC returns the port's Ethernet address.
func (h *Host) MAC() wire.MAC { return h.cfg.MAC }

// Profile returns the host's profile.
func (h *Host) Profile() Profile { return h.profile }

// Counters returns the port's counters.
func (h *Host) Counters() Counters { return h.count }

// Close ends the host as if its power was cut: nothing more is sent and nothing
// is called back. It returns when gVisor's goroutine has ended. Frames that
// arrive later are dropped.
func (h *Host) Close() {
	if h.closed {
		return
	}
	h.closed = true
	h.clock.stop()
	h.waker.Stop()
	for _, e := range h.endpoints {
		e.destroy()
	}
	h.endpoints = nil
	for _, p := range h.pings {
		p.timer.Stop()
	}
	h.pings = nil
	h.arp.close()
	h.gvisor.Destroy()
	h.clock.stop()
	for _, p := range h.sent {
		p.DecRef()
	}
	h.sent, h.notified = nil, nil
}

// register makes Close end e.
func (h *Host) register(e closer) { h.endpoints = append(h.endpoints, e) }

// unregister forgets an endpoint that has ended.
func (h *Host) unregister(e closer) {
	for i, other := range h.endpoints {
		if other == e {
			h.endpoints = append(h.endpoints[:i], h.endpoints[i+1:]...)
			return
		}
	}
}

// notify is called by gVisor, on any goroutine and maybe under its locks, when
// something about n has changed.
func (h *Host) notify(n notifiable) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n.note() {
		h.notified = append(h.notified, n)
	}
}

// wakeNotified schedules runNotified if there is something for it.
func (h *Host) wakeNotified() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.notified) > 0 && !h.waker.Armed() {
		h.waker.ResetAfter(0)
	}
}

// runNotified is an event of the loop: it tells endpoints that they have
// something to look at.
func (h *Host) runNotified() {
	h.mu.Lock()
	list := h.notified
	h.notified = nil
	h.mu.Unlock()
	for _, n := range list {
		if h.closed {
			return
		}
		n.ready()
	}
}

// drop counts and reports something that goes no further.
func (h *Host) drop(stage string, reason trace.DropReason, frame uint64, n int, text string) {
	h.count.Dropped++
	h.trace.Emit(trace.Event{
		Kind: trace.KindDrop, Node: h.cfg.Node, Stage: "stack/" + stage, Reason: reason, Frame: frame, Len: n, Text: text,
	})
}

// randSource makes a sim.Rand a math/rand Source.
type randSource struct{ r *sim.Rand }

// Int63 implements rand.Source.
func (s randSource) Int63() int64 { return int64(s.r.Uint64() >> 1) }

// Seed implements rand.Source. The seed is the run's.
func (randSource) Seed(int64) {}

func toGVisor(a netip.Addr) tcpip.Address { return tcpip.AddrFrom4(a.As4()) }

func fromGVisor(a tcpip.FullAddress) netip.AddrPort {
	if a.Addr.Len() != 4 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom4(a.Addr.As4()), a.Port)
}
