package stack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

var (
	addrA = netip.MustParsePrefix("10.0.0.1/24")
	addrB = netip.MustParsePrefix("10.0.0.2/24")
	macA  = wire.MAC{2, 0, 0, 0, 0, 1}
	macB  = wire.MAC{2, 0, 0, 0, 0, 2}
)

// world is two hosts on a wire of the test's own making.
type world struct {
	t      testing.TB
	loop   *sim.Loop
	trace  *trace.Log
	a, b   *Host
	delay  time.Duration
	lose   func(fromA bool, n int, data []byte) bool // of the frame's number in its direction
	frames []string                                  // "time direction summary", if record
	record bool
	hash   hash.Hash
	count  [2]int
	ids    uint64                        // of the frames on the wire
	tap    func(fromA bool, data []byte) // sees every frame, if set
	drops  map[trace.DropReason]int
	texts  []string
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, loop: sim.NewLoop(sim.Config{Seed: seed}), delay: 10 * time.Millisecond, hash: sha256.New(), drops: map[trace.DropReason]int{}}
	w.trace = trace.NewLog(w.loop.Now)
	w.trace.Subscribe(func(e *trace.Event) {
		if e.Kind == trace.KindDrop {
			w.drops[e.Reason]++
		}
		w.texts = append(w.texts, fmt.Sprintf("%v %s %s %s %s", e.T, e.Node, e.Kind, e.Reason, e.Text))
	})
	t.Cleanup(func() {
		w.close()
		w.loop.Close()
	})
	return w
}

func (w *world) close() {
	for _, h := range []*Host{w.a, w.b} {
		if h != nil {
			h.Close()
		}
	}
}

// wire returns one way through the wire, to the host that to returns.
func (w *world) wire(fromA bool, to func() link.Sink) link.Sink {
	return link.SinkFunc(func(f *link.Frame) {
		way := 0
		name := "b>a"
		if fromA {
			way, name = 1, "a>b"
		}
		w.count[way]++
		var at [8]byte
		binary.BigEndian.PutUint64(at[:], uint64(w.loop.Now()))
		w.hash.Write(at[:])
		w.hash.Write(f.Data)
		w.ids++
		f.ID = w.ids
		if w.tap != nil {
			w.tap(fromA, f.Data)
		}
		lost := w.lose != nil && w.lose(fromA, w.count[way], f.Data)
		if w.record {
			s := fmt.Sprintf("%v %s %s", w.loop.Now(), name, wire.Summary(f.Data))
			if lost {
				s += " lost"
			}
			w.frames = append(w.frames, s)
		}
		if lost {
			f.Release()
			return
		}
		if w.delay == 0 {
			to().Put(f)
			return
		}
		w.loop.After(w.delay, func() { to().Put(f) })
	})
}

func (w *world) hosts(profileA, profileB Profile) *world {
	var err error
	w.a, err = New(w.loop, w.trace, Config{Node: "a", MAC: macA, Addr: addrA, Profile: profileA}, w.wire(true, func() link.Sink { return w.b }))
	if err != nil {
		w.t.Fatal(err)
	}
	w.b, err = New(w.loop, w.trace, Config{Node: "b", MAC: macB, Addr: addrB, Profile: profileB}, w.wire(false, func() link.Sink { return w.a }))
	if err != nil {
		w.t.Fatal(err)
	}
	return w
}

func (w *world) run(until time.Duration) {
	w.t.Helper()
	if err := w.loop.Run(sim.Time(until)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sum() string { return hex.EncodeToString(w.hash.Sum(nil)) }

// find returns the recorded frames whose text has all parts.
func (w *world) find(parts ...string) []string {
	var out []string
next:
	for _, f := range w.frames {
		for _, p := range parts {
			if !strings.Contains(f, p) {
				continue next
			}
		}
		out = append(out, f)
	}
	return out
}

// stream is what one end of a connection has seen.
type stream struct {
	conn      *Conn
	got       bytes.Buffer
	connected int
	err       error
	closed    int
	pending   []byte
	closeNow  bool // close when all is written
}

func (s *stream) attach(c *Conn) *stream {
	s.conn = c
	c.OnConnected(func() { s.connected++; s.push() })
	c.OnData(func(d []byte) { s.got.Write(d) })
	c.OnClosed(func(err error) { s.closed++; s.err = err })
	c.OnWritable(s.push)
	return s
}

func (s *stream) send(data []byte) {
	s.pending = append(s.pending, data...)
	s.push()
}

func (s *stream) push() {
	for len(s.pending) > 0 {
		n := s.conn.Write(s.pending)
		if n == 0 {
			return
		}
		s.pending = s.pending[n:]
	}
	if s.closeNow {
		s.closeNow = false
		s.conn.Close()
	}
}

// pattern returns n bytes that differ from place to place.
func pattern(n int, salt byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)*7 ^ byte(i>>16)*13 ^ salt
	}
	return b
}

// dial connects a to a listener of b and returns both ends.
func (w *world) dial(port uint16) (client, server *stream) {
	w.t.Helper()
	client, server = new(stream), new(stream)
	if _, err := w.b.Listen(port, 0, func(c *Conn) { server.attach(c) }); err != nil {
		w.t.Fatal(err)
	}
	c, err := w.a.Dial(netip.AddrPortFrom(addrB.Addr(), port))
	if err != nil {
		w.t.Fatal(err)
	}
	client.attach(c)
	return client, server
}
