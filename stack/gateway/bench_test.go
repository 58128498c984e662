package gateway_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/link"
	"hilnet/sim"
	"hilnet/stack"
	"hilnet/stack/gateway"
	"hilnet/trace"
	"hilnet/wire"
)

// Nothing here takes longer unless something is wrong.
const patience = 20 * time.Second

// The gateway's address and port, and where the tests' device is.
var (
	gatewayAt = netip.MustParseAddrPort("10.0.0.1:1883")
	deviceNet = netip.MustParsePrefix("10.0.0.2/24")
)

// A bench is a device and a gateway, joined without a link, in real time.
type bench struct {
	*testing.T
	loop   *sim.Loop
	device *stack.Host
	gw     *gateway.Gateway
	events []trace.Event // the loop's
	lose   atomic.Bool   // frames from the device go nowhere
}

// newBench makes a bench whose gateway leads to target. change may alter its
// configuration.
func newBench(t *testing.T, target string, change func(*gateway.Config)) *bench {
	t.Helper()
	linktest.NoLeaks(t)
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, loop: sim.NewLoop(sim.Config{Seed: 1, Pacer: pacer})}
	log := trace.NewLog(b.loop.Now)
	log.Subscribe(func(e *trace.Event) {
		c := *e
		b.events = append(b.events, c)
	})
	var server *stack.Host
	toServer := link.SinkFunc(func(f *link.Frame) {
		if b.lose.Load() {
			f.Release()
			return
		}
		b.loop.After(0, func() { server.Put(f) })
	})
	b.device, err = stack.New(b.loop, log, stack.Config{
		Node: "device", MAC: wire.MAC{2, 0, 0, 0, 0, 2}, Addr: deviceNet, Gateway: gatewayAt.Addr(), Addr6: netip.MustParsePrefix("fd00::2/64"),
	}, toServer)
	if err != nil {
		t.Fatal(err)
	}
	toDevice := link.SinkFunc(func(f *link.Frame) { b.loop.After(0, func() { b.device.Put(f) }) })
	server, err = stack.New(b.loop, log, stack.Config{
		Node: "broker", MAC: wire.MAC{2, 0, 0, 0, 0, 1}, Addr: netip.PrefixFrom(gatewayAt.Addr(), 24), Addr6: netip.MustParsePrefix("fd00::1/64"),
	}, toDevice)
	if err != nil {
		t.Fatal(err)
	}
	cfg := gateway.Config{
		Loop: b.loop, Trace: log, Host: server, Node: "broker", To: target, Port: gatewayAt.Port(), Own6: netip.MustParseAddr("fd00::1"),
	}
	if change != nil {
		change(&cfg)
	}
	if b.gw, err = gateway.New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := b.loop.StartPacer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.gw.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
		b.device.Close()
		if err := b.loop.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// run runs the loop until done reports true, which it is asked every millisecond.
func (b *bench) run(what string, done func() bool) {
	b.Helper()
	var look *sim.Timer
	ok := false
	look = b.loop.NewTimer(func() {
		if ok = done(); ok {
			b.loop.Stop()
			return
		}
		look.ResetAfter(time.Millisecond)
	})
	look.ResetAfter(0)
	if err := b.loop.Run(b.loop.Now().Add(patience)); err != nil {
		b.Fatal(err)
	}
	look.Stop()
	if !ok {
		b.Fatalf("it did not happen: %s; events: %s", what, b.story())
	}
}

// settle runs the loop until a number has not changed for a while: so many turns
// of the loop, for a machine with much else to do may stand still for as long.
func (b *bench) settle(what string, number func() uint64) uint64 {
	b.Helper()
	const turns = 400
	last, same := number(), 0
	b.run(what, func() bool {
		if n := number(); n != last {
			last, same = n, 0
		}
		same++
		return same > turns
	})
	return last
}

// story is what the trace has, in words.
func (b *bench) story() string {
	var all []string
	for _, e := range b.events {
		all = append(all, strings.TrimSpace(string(e.Kind)+" "+string(e.Reason)+" "+e.Text))
	}
	return strings.Join(all, "\n")
}

// dropped returns how many drop events have a reason.
func (b *bench) dropped(reason trace.DropReason) (n int) {
	for _, e := range b.events {
		if e.Kind == trace.KindDrop && e.Reason == reason {
			n++
		}
	}
	return n
}

// A client is a connection of the device.
type client struct {
	*stack.Conn
	connected, eof bool
	err            error
	got            []byte
}

func (b *bench) dial(to netip.AddrPort) *client {
	b.Helper()
	conn, err := b.device.Dial(to)
	if err != nil {
		b.Fatal(err)
	}
	c := &client{Conn: conn}
	c.OnConnected(func() { c.connected = true })
	c.OnData(func(data []byte) { c.got = append(c.got, data...) })
	c.OnClosed(func(err error) { c.eof, c.err = true, err })
	return c
}

// listen returns a listener of this machine.
func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // it may be closed already
	return l
}

// accept accepts one connection while the loop runs.
func (b *bench) accept(l *net.TCPListener) *net.TCPConn {
	b.Helper()
	got := make(chan *net.TCPConn, 1)
	go func() {
		c, err := l.AcceptTCP()
		if err != nil && !errors.Is(err, net.ErrClosed) {
			b.Error(err)
		}
		got <- c
	}()
	var c *net.TCPConn
	b.run("a connection to accept", func() bool {
		select {
		case c = <-got:
			return true
		default:
			return false
		}
	})
	b.Cleanup(func() { _ = c.Close() }) // it may be closed already
	return c
}

// background runs fn on a goroutine of its own, and the loop until it has ended.
func (b *bench) background(what string, fn func() error) {
	b.Helper()
	done := make(chan error, 1)
	go func() { done <- fn() }()
	var err error
	b.run(what, func() bool {
		select {
		case err = <-done:
			return true
		default:
			return false
		}
	})
	if err != nil {
		b.Errorf("%s: %v", what, err)
	}
}
