package segment_test

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/replay/segment"
	"hilnet/sim"
	"hilnet/stack"
	"hilnet/trace"
	"hilnet/wire"
)

// A bench is a Host and a Linux-like host of package stack, with a way in between
// that delays by 5 ms and loses what lose says.
type bench struct {
	loop  *sim.Loop
	host  *segment.Host
	peer  *stack.Host
	lose  func(up bool, n int) bool
	sizes []int // of the Host's segments with data
	bad   int   // frames of the Host that the peer could not have accepted
	edge  uint32
	known bool
}

var (
	ours   = netip.MustParsePrefix("10.0.0.2/24")
	theirs = netip.MustParsePrefix("10.0.0.1/24")
)

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{loop: sim.NewLoop(sim.Config{Seed: 7})}
	t.Cleanup(func() { b.loop.Close() })
	counts := [2]int{}
	way := func(up bool, to func() link.Sink) link.Sink {
		i := map[bool]int{true: 1}[up]
		return link.SinkFunc(func(f *link.Frame) {
			counts[i]++
			b.watch(up, f.Data)
			if b.lose != nil && b.lose(up, counts[i]) {
				f.Release()
				return
			}
			b.loop.After(5*time.Millisecond, func() { to().Put(f) })
		})
	}
	var err error
	b.host, err = segment.NewHost(segment.HostConfig{
		Loop: b.loop, Node: "player", MAC: wire.MAC{2, 0, 0, 0, 0, 2}, Addr: ours, Out: way(true, func() link.Sink { return b.peer }),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.peer, err = stack.New(b.loop, trace.NewLog(b.loop.Now), stack.Config{
		Node: "peer", MAC: wire.MAC{2, 0, 0, 0, 0, 1}, Addr: theirs,
	}, way(false, func() link.Sink { return b.host }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.peer.Close)
	return b
}

// watch sees each frame: what the peer offers, and whether the Host keeps to it.
func (b *bench) watch(up bool, data []byte) {
	var l wire.Layers
	if err := l.Parse(data); err != nil || l.TCP == nil {
		return
	}
	if !up {
		if o, _ := l.TCP.Options(); !l.TCP.Has(wire.TCPSyn) || !o.HasWindowScale {
			if e := l.TCP.Ack() + uint32(l.TCP.Window()); !b.known || int32(e-b.edge) > 0 {
				b.edge, b.known = e, true
			}
		}
		return
	}
	if n := len(l.Payload); n > 0 {
		b.sizes = append(b.sizes, n)
		if end := l.TCP.Seq() + uint32(n); b.known && int32(end-b.edge) > 1 { // one byte may probe
			b.bad++
		}
		if !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) || !l.IPv4.ChecksumOK() {
			b.bad++
		}
	}
}

var facts = segment.Facts{MSS: 1460, WindowScale: -1, Timestamps: true, Window: 29200, TTL: 64}

// pattern is n bytes that tell where they are.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i*7)
	}
	return b
}

// Each way the bytes arrive whole and in order, over losses of every kind, and the
// connection is closed; nothing goes out that the peer could not accept.
func TestBytesArriveWholeOverALossyWay(t *testing.T) {
	for name, lose := range map[string]func(bool, int) bool{
		"clean":          nil,
		"every seventh":  func(_ bool, n int) bool { return n%7 == 3 },
		"up only":        func(up bool, n int) bool { return up && n%5 == 2 },
		"down only":      func(up bool, n int) bool { return !up && n%4 == 1 },
		"the beginnings": func(_ bool, n int) bool { return n == 2 || n == 3 || n == 4 },
	} {
		for _, n := range []int{0, 1, 2, 3} {
			dials, facts := n < 2, facts
			facts.SACK = n%2 == 1
			t.Run(fmt.Sprintf("%s, host dials %v, SACK %v", name, dials, facts.SACK), func(t *testing.T) {
				b := newBench(t)
				b.lose = lose
				sent := pattern(60_000)
				var got, back []byte
				var sizes []int
				for n := 0; n < len(sent); n += 777 {
					sizes = append(sizes, min(777, len(sent)-n))
				}
				closed := []error{}
				var mine *segment.Conn
				events := &segment.Events{Data: func(p []byte) { back = append(back, p...) }, Closed: func(err error) { closed = append(closed, err) }}
				write := func() {
					mine.Write(sent, sizes)
					mine.Close()
				}
				echo := func(c *stack.Conn) {
					var waiting []byte
					pump := func() {
						waiting = waiting[c.Write(waiting):]
						if len(got) == len(sent) && len(waiting) == 0 {
							c.Close()
						}
					}
					c.OnData(func(p []byte) {
						got, waiting = append(got, p...), append(waiting, p...)
						pump()
					})
					c.OnWritable(pump)
					c.OnClosed(func(err error) {
						if err != io.EOF {
							closed = append(closed, err)
						}
					})
				}
				if dials {
					if _, err := b.peer.Listen(1883, 0, echo); err != nil {
						t.Fatal(err)
					}
					b.loop.At(0, func() { mine = b.host.Dial(netip.AddrPortFrom(theirs.Addr(), 1883), facts, events) })
					events.Connected = write
				} else {
					err := b.host.Listen(1883, func() segment.Facts { return facts }, func(c *segment.Conn) *segment.Events {
						mine = c
						b.loop.After(0, write)
						return events
					})
					if err != nil {
						t.Fatal(err)
					}
					b.loop.At(0, func() {
						c, err := b.peer.Dial(netip.AddrPortFrom(ours.Addr(), 1883))
						if err != nil {
							t.Error(err)
							return
						}
						echo(c)
					})
				}
				if err := b.loop.Run(sim.Time(30 * time.Minute)); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, sent) {
					t.Errorf("%d bytes of %d arrived", len(got), len(sent))
				}
				if b.bad > 0 || len(closed) > 0 {
					t.Errorf("%d segments beyond the window or damaged; closed %v", b.bad, closed)
				}
				if lose == nil && (!slices.Equal(b.sizes, sizes) || b.host.Stats().Retransmitted != 0) {
					t.Errorf("segments of %v", b.sizes)
				}
				if name == "up only" && b.host.Stats().Retransmitted == 0 {
					t.Error("nothing was sent again")
				}
			})
		}
	}
}

// What the peer sends back is delivered too, out of order or not.
func TestTheHostDeliversWhatComes(t *testing.T) {
	b := newBench(t)
	b.lose = func(up bool, n int) bool { return !up && n%6 == 5 }
	sent := pattern(100_000)
	var got []byte
	ended := error(nil)
	if _, err := b.peer.Listen(1883, 0, func(c *stack.Conn) {
		rest := sent[c.Write(sent):]
		c.OnWritable(func() {
			if rest = rest[c.Write(rest):]; len(rest) == 0 {
				c.Close()
			}
		})
		c.OnData(func([]byte) {})
	}); err != nil {
		t.Fatal(err)
	}
	b.loop.At(0, func() {
		b.host.Dial(netip.AddrPortFrom(theirs.Addr(), 1883), facts, &segment.Events{
			Connected: func() {}, Data: func(p []byte) { got = append(got, p...) }, Closed: func(err error) { ended = err },
		})
	})
	if err := b.loop.Run(sim.Time(30 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) || b.host.Stats().OutOfOrder == 0 {
		t.Errorf("%d bytes of %d, %+v, ended %v", len(got), len(sent), b.host.Stats(), ended)
	}
}

// A reader that stops closes the window, and the Host waits and asks.
func TestTheHostWaitsForAClosedWindow(t *testing.T) {
	b := newBench(t)
	sent := pattern(3 << 20)
	var got []byte
	if _, err := b.peer.Listen(1883, 0, func(c *stack.Conn) {
		b.loop.After(20*time.Second, func() { c.OnData(func(p []byte) { got = append(got, p...) }) })
	}); err != nil {
		t.Fatal(err)
	}
	b.loop.At(0, func() {
		var c *segment.Conn
		c = b.host.Dial(netip.AddrPortFrom(theirs.Addr(), 1883), segment.Facts{WindowScale: 7}, &segment.Events{
			Connected: func() { c.Write(sent, nil) }, Data: func([]byte) {}, Closed: func(err error) { t.Error(err) },
		})
	})
	if err := b.loop.Run(sim.Time(10 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d", len(got), len(sent))
	}
}

// Nobody there, a port that is closed, a reset: each is told once.
func TestFailuresAreToldOnce(t *testing.T) {
	b := newBench(t)
	told := map[string][]error{}
	dial := func(name string, to netip.AddrPort) {
		b.host.Dial(to, facts, &segment.Events{Data: func([]byte) {}, Closed: func(err error) { told[name] = append(told[name], err) }})
	}
	if _, err := b.peer.Listen(1883, 0, func(c *stack.Conn) { c.Abort() }); err != nil {
		t.Fatal(err)
	}
	b.loop.At(0, func() {
		dial("closed port", netip.AddrPortFrom(theirs.Addr(), 1))
		dial("nobody", netip.MustParseAddrPort("10.0.0.99:1883"))
		dial("no way", netip.MustParseAddrPort("192.0.2.1:1883"))
		dial("reset", netip.AddrPortFrom(theirs.Addr(), 1883))
	})
	if err := b.loop.Run(sim.Time(2 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"closed port", "nobody", "no way", "reset"} {
		if len(told[name]) != 1 {
			t.Errorf("%s: %v", name, told[name])
		}
	}
}

func TestAHostThatCannotBeIsAnError(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	out := link.SinkFunc(func(f *link.Frame) { f.Release() })
	for name, cfg := range map[string]segment.HostConfig{
		"no loop": {Addr: ours, Out: out}, "IPv6": {Loop: loop, Out: out, Addr: netip.MustParsePrefix("fd00::1/64")},
		"MTU": {Loop: loop, Out: out, Addr: ours, MTU: 100},
	} {
		if _, err := segment.NewHost(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzHost: whatever arrives, the host lives and holds a bounded amount.
func FuzzHost(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, times uint8) {
		loop := sim.NewLoop(sim.Config{})
		defer loop.Close()
		host, err := segment.NewHost(segment.HostConfig{Loop: loop, MAC: wire.MAC{2, 0, 0, 0, 0, 2}, Addr: ours, Out: link.SinkFunc(func(f *link.Frame) { f.Release() })})
		if err != nil {
			t.Fatal(err)
		}
		_ = host.Listen(1883, func() segment.Facts { return facts }, func(*segment.Conn) *segment.Events {
			return &segment.Events{Data: func([]byte) {}, Closed: func(error) {}}
		})
		for i := range int(times) {
			if len(data) > 0 {
				data[i%len(data)]++
			}
			host.Put(link.CopyFrame(data))
		}
		if err := loop.Run(sim.Time(time.Second)); err != nil {
			t.Fatal(err)
		}
	})
}
