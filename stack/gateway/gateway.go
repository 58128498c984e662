package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hilnet/sim"
	"hilnet/stack"
	"hilnet/trace"
)

// Limits.
const (
	// MaxUp is how many bytes of a TCP connection may wait for the machine's socket.
	MaxUp = 256 << 10
	// MaxDown is how many bytes of it may wait for the device's window.
	MaxDown = 64 << 10
	// MaxFlows is how many UDP flows (source and destination) there may be.
	MaxFlows = 1024
	// MaxDatagrams is how many datagrams of a flow may wait, each way.
	MaxDatagrams = 64
	// DefaultConnections is Config.Connections when it is not set.
	DefaultConnections = 4096
	// DialTimeout is how long the machine may take to connect.
	DialTimeout = 20 * time.Second
	// FlowIdle is how long a UDP flow lives after its last datagram, RFC 4787
	// REQ-5's least.
	FlowIdle = 2 * time.Minute
)

// stage is the gateway's in the trace.
const stage = "gateway"

// Config says what a Gateway joins.
type Config struct {
	Loop  *sim.Loop   // in real time; required
	Trace *trace.Log  // may be nil
	Host  *stack.Host // on the emulated network, which is nobody's gateway yet; required
	Node  string      // name in the trace; required

	// To is where TCP connections and UDP datagrams to the host's own addresses
	// and Port lead: see ParseTarget. Other ports lead to 127.0.0.1.
	To   string
	Port uint16
	// Own6 is the host's IPv6 address, if it has one.
	Own6 netip.Addr
	// Allow is what else connections may lead to.
	Allow []Destination
	// Connections is how many TCP connections there may be. 0: DefaultConnections.
	Connections int
	// Idle is how long a TCP connection may carry nothing before it is reset. 0: for ever.
	Idle time.Duration
	// Client returns the MQTT client identifier of the device at an address, for
	// the trace. May be nil.
	Client func(netip.Addr) string
}

// Counters count connections and what passed. Requested = Refused + Unreachable +
// Prohibited + Limited + GivenUp + Opened + those that wait for an answer.
type Counters struct {
	Requested                                 uint64 // TCP connections that devices asked for
	Refused, Unreachable, Prohibited, Limited uint64 // of these, not made
	GivenUp                                   uint64 // by the device, before they were made
	Opened, Closed                            uint64
	MaxOpen, OpenAtEnd                        int    // at the same time; when Close was called
	UpBytes, DownBytes                        uint64 // given to the machine's sockets; given to the devices' TCP
	Undelivered                               uint64 // bytes that ended with their connection
	Flows, Datagrams, DatagramsBack           uint64 // of UDP
}

// A Gateway joins an emulated network to the machine's sockets.
type Gateway struct {
	cfg     Config
	policy  policy
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	closing atomic.Bool
	workers sync.WaitGroup

	// The loop's.
	conns    map[*conn]bool // asked for or open; iterated in the order of their numbers only
	last     uint64
	flows    map[flowKey]*flow // likewise
	count    Counters
	finished bool
}

// New makes a gateway of a host.
func New(cfg Config) (*Gateway, error) {
	if cfg.Connections == 0 {
		cfg.Connections = DefaultConnections
	}
	switch {
	case cfg.Loop == nil || cfg.Host == nil || cfg.Node == "":
		return nil, errors.New("gateway: a config without Loop, Host or Node")
	case !cfg.Loop.RealTime():
		return nil, errors.New("gateway: the machine's sockets need real time, this run is in virtual time")
	case cfg.Connections < 0 || cfg.Idle < 0:
		return nil, fmt.Errorf("gateway: %d connections, idle for %v", cfg.Connections, cfg.Idle)
	}
	if _, err := ParseTarget(cfg.To); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, conns: map[*conn]bool{}, flows: map[flowKey]*flow{}}
	g.policy = policy{own: cfg.Host.Addr(), own6: cfg.Own6, port: cfg.Port, to: cfg.To, allow: cfg.Allow, lookup: lookup}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	if err := cfg.Host.Forward(g.connect, g.datagram); err != nil {
		g.cancel()
		return nil, err
	}
	return g, nil
}

// Counters returns the counters so far.
func (g *Gateway) Counters() Counters { return g.count }

// Close closes all sockets. It returns when the gateway's goroutines have ended,
// and may be called again.
func (g *Gateway) Close() error {
	if g.finished {
		return nil
	}
	g.finished = true
	g.closing.Store(true)
	g.cancel()
	g.count.OpenAtEnd = int(g.count.Opened - g.count.Closed)
	for _, c := range g.ordered() {
		c.end(ending{why: "the run has ended", leaveDevice: true})
	}
	flows := make([]*flow, 0, len(g.flows))
	for _, f := range g.flows {
		flows = append(flows, f)
	}
	slices.SortFunc(flows, func(a, b *flow) int { return cmp.Compare(a.number, b.number) })
	for _, f := range flows {
		f.end()
	}
	g.workers.Wait()
	for _, f := range flows {
		if n := f.arriving.Load(); n > 0 {
			g.cfg.Trace.Emit(trace.Event{
				Kind: trace.KindDrop, Node: g.cfg.Node, Stage: stage, Reason: trace.DropGatewayUndelivered,
				Text: fmt.Sprintf("%v to %v: datagrams on their way to the loop", f.key.to, f.key.from), Values: []trace.Value{{Name: "frames", N: n}},
			})
		}
	}
	return nil
}

// ordered returns the connections by their numbers.
func (g *Gateway) ordered() []*conn {
	all := make([]*conn, 0, len(g.conns))
	for c := range g.conns {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *conn) int { return cmp.Compare(a.number, b.number) })
	return all
}

// postRetry is how soon a goroutine asks again when the loop is overloaded.
const postRetry = time.Millisecond

// post hands fn to the loop, and waits while the loop has too much to do. It
// reports false when the gateway closes, and fn is never called.
func (g *Gateway) post(fn func()) bool {
	for !g.closing.Load() {
		if g.cfg.Loop.Post(func() {
			if !g.finished {
				fn()
			}
		}) {
			return true
		}
		time.Sleep(postRetry)
	}
	return false
}

// work runs fn on a goroutine that Close waits for.
func (g *Gateway) work(fn func()) {
	g.workers.Add(1)
	go func() {
		defer g.workers.Done()
		fn()
	}()
}

// drop reports something that goes no further.
func (g *Gateway) drop(reason trace.DropReason, frame uint64, n int, text string) {
	g.cfg.Trace.Emit(trace.Event{Kind: trace.KindDrop, Node: g.cfg.Node, Stage: stage, Reason: reason, Frame: frame, Len: n, Text: text})
}

func (g *Gateway) client(a netip.Addr) string {
	if g.cfg.Client == nil {
		return ""
	}
	return g.cfg.Client(a)
}
