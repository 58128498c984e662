package stack

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// nicID is the only interface of a gVisor stack here.
const nicID tcpip.NICID = 1

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
	inet6   *inet6      // nil without IPv6
	forward *forwarding // nil: it is nobody's gateway
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
	frameID uint64 // of the frame that the NIC is being given, if known

	readBuffer bytes.Buffer // of the Conn that is reading

	endpoints    []closer // in the order they were made
	arriving     *gstack.PacketBuffer
	arrivingType tcpip.NetworkProtocolNumber
	arrival      *arrival // what arriving is to a PacketSocket
	deliver      func()
	flushing     bool
	sortSent     bool // what gVisor writes next has no order of its own
	waker        *sim.Timer
	unmatched    int // segments of the delivery under way that no socket took

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
	draws := "stack/" + cfg.Node
	if cfg.Boot > 0 {
		draws += "/boot/" + strconv.Itoa(cfg.Boot)
	}
	random := sim.NewRand(loop.Seed(), draws)
	h.gvisor = newGVisorStack(gstack.Options{
		NetworkProtocols:   cfg.networkProtocols(),
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

func (h *Host) configure() error {
	if err := h.profile.apply(h.gvisor, &h.cfg); err != nil {
		return err
	}
	h.gvisor.SetTransportProtocolHandler(tcp.ProtocolNumber, h.noSocket)
	if err := h.gvisor.CreateNIC(nicID, &h.dev); err != nil {
		return wrap("create interface", err)
	}
	var routes []tcpip.Route
	if h.cfg.hasIPv4() {
		if err := h.addAddress(h.cfg.Addr); err != nil {
			return err
		}
		routes = append(routes, tcpip.Route{Destination: toGVisorPrefix(h.cfg.Addr).Subnet(), NIC: nicID})
	}
	if h.cfg.Gateway.IsValid() {
		routes = append(routes, tcpip.Route{Destination: header.IPv4EmptySubnet, Gateway: toGVisor(h.cfg.Gateway), NIC: nicID})
	}
	if h.cfg.hasIPv6() {
		// Which neighbour is next is for inet6 to say.
		routes = append(routes, tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: nicID})
	}
	h.gvisor.SetRouteTable(routes)
	if h.cfg.hasIPv6() {
		h.inet6 = newInet6(h)
		h.inet6.start()
	}
	return nil
}

// addAddress makes gVisor take an address for its own.
func (h *Host) addAddress(a netip.Prefix) error {
	err := h.gvisor.AddProtocolAddress(nicID, tcpip.ProtocolAddress{
		Protocol: networkProtocol(a.Addr()), AddressWithPrefix: toGVisorPrefix(a),
	}, gstack.AddressProperties{})
	return wrap("set address "+a.String(), err)
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

// Port returns the sink for frames that arrive at the host's port: the host
// itself, or its NIC. Drop events of a host with a NIC name the frame only if it
// came in here, for packets do not know their frame.
func (h *Host) Port() link.Sink {
	if h.nic == nil {
		return h
	}
	return link.SinkFunc(func(f *link.Frame) {
		outer := h.frameID // a link without delay may bring an answer within
		h.frameID = f.ID
		h.nic.Put(f)
		h.frameID = outer
	})
}

// Addr returns the host's IPv4 address, the zero Addr if it has none. For IPv6
// see Addr6 and Addrs6.
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
	if h.inet6 != nil {
		h.inet6.close()
	}
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

func toGVisor(a netip.Addr) tcpip.Address {
	if a.Is4() {
		return tcpip.AddrFrom4(a.As4())
	}
	return tcpip.AddrFrom16(a.As16())
}

func toGVisorPrefix(p netip.Prefix) tcpip.AddressWithPrefix {
	return tcpip.AddressWithPrefix{Address: toGVisor(p.Addr()), PrefixLen: p.Bits()}
}

// endpointAddress names the interface as well, which gVisor wants to know of
// link-local addresses.
func endpointAddress(a netip.Addr, port uint16) tcpip.FullAddress {
	full := tcpip.FullAddress{Addr: toGVisor(a), Port: port}
	if a.Is6() && a.IsLinkLocalUnicast() {
		full.NIC = nicID
	}
	return full
}

func networkProtocol(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func fromGVisor(a tcpip.FullAddress) netip.AddrPort {
	switch a.Addr.Len() {
	case 4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr.As4()), a.Port)
	case 16:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr.As16()), a.Port)
	}
	return netip.AddrPort{}
}
