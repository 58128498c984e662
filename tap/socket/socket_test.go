//go:build unix

package socket_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/link"
	"hilnet/sim"
	"hilnet/tap/socket"
	"hilnet/trace"
)

// Nothing here takes longer unless something is wrong.
const patience = 20 * time.Second

// A bench is a loop in real time and what comes out of a socket.
type bench struct {
	*testing.T
	loop   *sim.Loop
	clock  func() sim.Time
	log    *trace.Log
	events []trace.Event
	got    [][]byte
}

func newBench(t *testing.T) *bench {
	t.Helper()
	linktest.NoLeaks(t)
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, loop: sim.NewLoop(sim.Config{Pacer: pacer}), clock: pacer.Now}
	if err := b.loop.StartPacer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.loop.Close() })
	b.log = trace.NewLog(b.loop.Now)
	b.log.Subscribe(func(e *trace.Event) { b.events = append(b.events, *e) })
	return b
}

func (b *bench) open(cfg socket.Config) *socket.Socket {
	b.Helper()
	cfg.Loop, cfg.Trace, cfg.Clock = b.loop, b.log, b.clock
	s, err := socket.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	err = s.Start(link.SinkFunc(func(f *link.Frame) {
		b.got = append(b.got, bytes.Clone(f.Data))
		f.Release()
	}))
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// until runs the loop until what is wanted is so.
func (b *bench) until(what string, so func() bool) {
	b.Helper()
	deadline := b.clock().Add(patience)
	for !so() {
		if b.clock() > deadline {
			b.Fatalf("not after %v: %s; events %+v", patience, what, b.events)
		}
		if err := b.loop.Run(b.loop.Now().Add(2 * time.Millisecond)); err != nil {
			b.Fatal(err)
		}
	}
}

func frame(n int, fill byte) []byte { return bytes.Repeat([]byte{fill}, n) }

// framed is a frame as QEMU's stream carries it.
func framed(data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
}

func dial(t testing.TB, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t testing.TB, c net.Conn, data []byte) {
	t.Helper()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
}

func readFrame(t testing.TB, c net.Conn) []byte {
	t.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(c, data); err != nil {
		t.Fatal(err)
	}
	return data
}

// balanced sees that every frame is accounted for, in the counters and the trace.
func (b *bench) balanced(s *socket.Socket) socket.Counters {
	b.Helper()
	c := s.Counters()
	dropped := uint64(0)
	for _, e := range b.events {
		if e.Kind != trace.KindDrop {
			continue
		}
		if n, ok := e.Value("frames"); ok {
			dropped += uint64(n)
		} else {
			dropped++
		}
	}
	if c.Read != c.Delivered+c.Backlog+c.Malformed || c.Put != c.Written+c.Waiting+c.WriteFailed+c.Overflow+c.NoPeer ||
		dropped != c.Backlog+c.Malformed+c.WriteFailed+c.Overflow+c.NoPeer {
		b.Errorf("unaccounted: %+v, %d drops in the trace", c, dropped)
	}
	return c
}

func TestAnEmulatorComesGoesAndComesBack(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "s")
	s := b.open(socket.Config{Mode: socket.Stream, Path: path})
	s.Put(link.CopyFrame(frame(60, 9))) // nobody is there
	for round := range 2 {
		c := dial(t, path)
		b.until("connected", s.Connected)
		send(t, c, append(framed(frame(60, 1)), framed(frame(1514, 2))...))
		b.until("two frames", func() bool { return len(b.got) == 2*round+2 })
		s.Put(link.CopyFrame(frame(100, 3)))
		if got := readFrame(t, c); !bytes.Equal(got, frame(100, 3)) {
			t.Errorf("the emulator got %x", got)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		b.until("gone", func() bool { return !s.Connected() })
	}
	if !bytes.Equal(b.got[1], frame(1514, 2)) {
		t.Errorf("the loop got %x", b.got[1])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c := b.balanced(s); c.NoPeer != 1 || c.Connections != 2 || c.Written != 2 || c.Delivered != 4 {
		t.Errorf("%+v", c)
	}
	edges := 0
	for _, e := range b.events {
		if e.Kind == trace.KindEdge {
			edges++
		}
	}
	if edges != 4 {
		t.Errorf("%d comings and goings, want 4", edges)
	}
}

func TestDatagramsAreFrames(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	s := b.open(socket.Config{Mode: socket.Dgram, Path: ours, Remote: theirs})
	s.Put(link.CopyFrame(frame(60, 9))) // the emulator is not there yet
	c, err := net.DialUnix("unixgram", &net.UnixAddr{Name: theirs, Net: "unixgram"}, &net.UnixAddr{Name: ours, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send(t, c, frame(60, 1))
	send(t, c, frame(5, 1)) // no Ethernet frame
	b.until("a frame", func() bool { return len(b.got) == 1 && s.Counters().Malformed == 1 })
	s.Put(link.CopyFrame(frame(100, 3)))
	buf := make([]byte, 2000)
	if n, err := c.Read(buf); err != nil || !bytes.Equal(buf[:n], frame(100, 3)) {
		t.Errorf("the emulator got %x, %v", buf[:n], err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c := b.balanced(s); c.NoPeer != 1 || c.Written != 1 || c.Delivered != 1 {
		t.Errorf("%+v", c)
	}
}

// An emulator that stands still gets what waits when it goes on, in order; what
// is too much is dropped with its reason, and the loop never waits.
func TestAnEmulatorThatDoesNotReadHoldsUpNobody(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "s")
	s := b.open(socket.Config{Mode: socket.Stream, Path: path})
	c := dial(t, path)
	defer c.Close()
	b.until("connected", s.Connected)
	const frames = 3 * socket.MaxBacklog
	began := b.clock()
	for i := range frames {
		s.Put(link.CopyFrame(frame(1000, byte(i))))
	}
	if took := b.clock().Sub(began); took > patience/4 {
		t.Errorf("the loop waited for %v", took)
	}
	sent := s.Counters()
	if sent.Overflow == 0 || sent.Waiting != socket.MaxBacklog {
		t.Fatalf("%+v", sent)
	}
	kept := int(sent.Written + sent.Waiting)
	done := make(chan bool, 1)
	go func() {
		ok := true
		for i := range kept {
			ok = ok && bytes.Equal(readFrame(t, c), frame(1000, byte(i)))
		}
		done <- ok
	}()
	b.until("all read", func() bool { return s.Counters().Waiting == 0 })
	if !<-done {
		t.Error("frames came damaged or out of order")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b.balanced(s)
}

// What does not speak the protocol loses its connection, and the next one is served.
func TestGarbageEndsOneConnection(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "s")
	s := b.open(socket.Config{Mode: socket.Stream, Path: path})
	bad := dial(t, path)
	defer bad.Close()
	send(t, bad, []byte("GET / HTTP/1.1\r\n\r\n"))
	b.until("refused", func() bool { return s.Counters().Connections == 1 && !s.Connected() })
	if e := b.events[len(b.events)-1]; !strings.Contains(e.Text, "does not speak QEMU's -netdev stream") {
		t.Errorf("%+v", e)
	}
	good := dial(t, path)
	defer good.Close()
	send(t, good, framed(frame(60, 7)))
	b.until("a frame", func() bool { return len(b.got) == 1 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b.balanced(s)
}

func TestTheSocketOfAProgramThatIsGoneIsReplaced(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := socket.Config{Mode: socket.Stream, Path: path, Loop: b.loop, Clock: b.clock}
	if _, err := socket.Open(cfg); err == nil || !strings.Contains(err.Error(), "another program has") {
		t.Errorf("a socket that is served: %v", err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(cfg)
	cfg.Path = t.TempDir()
	if _, err := socket.Open(cfg); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a folder: %v", err)
	}
	virtual := sim.NewLoop(sim.Config{})
	cfg.Loop = virtual
	if _, err := socket.Open(cfg); err == nil || !strings.Contains(err.Error(), "real time") {
		t.Errorf("virtual time: %v", err)
	}
}

// An emulator that connects while the loop can take no more is let in as soon as it
// can.
func TestAnOverloadedLoopForgetsNoEmulator(t *testing.T) {
	b := newBench(t)
	for b.loop.Post(func() {}) {
	}
	s := b.open(socket.Config{Mode: socket.Stream, Path: filepath.Join(t.TempDir(), "s")})
	c := dial(t, s.Path())
	defer c.Close()
	time.Sleep(50 * time.Millisecond) // while nobody can be told
	b.until("the emulator is let in", s.Connected)
	c.Close()
	b.until("its end is known", func() bool { return !s.Connected() })
}
