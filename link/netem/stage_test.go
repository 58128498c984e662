package netem_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/link"
	"hilnet/link/netem"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// world is a link with netem on its way up.
type world struct {
	t      testing.TB
	loop   *sim.Loop
	link   *link.Link
	stage  *netem.Stage
	left   []leave
	events []trace.Event
}

func newWorld(t testing.TB, seed uint64, text string) *world {
	t.Helper()
	w := &world{t: t, loop: sim.NewLoop(sim.Config{Seed: seed})}
	log := trace.NewLog(w.loop.Now)
	log.Subscribe(func(e *trace.Event) { w.events = append(w.events, *e) })
	l, err := link.New(link.World{Loop: w.loop, Trace: log, IDs: new(link.IDs)}, link.Config{Name: "link"})
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, text)
	tables, err := c.LoadTables()
	if err != nil {
		t.Fatal(err)
	}
	if w.stage, err = netem.Add(l.Up.Direction, c, tables); err != nil {
		t.Fatal(err)
	}
	l.Connect(link.SinkFunc((*link.Frame).Release), link.SinkFunc(func(f *link.Frame) {
		w.left = append(w.left, leave{w.loop.Now(), f.Ordinal, f.Copy})
		f.Release()
	}))
	w.link = l
	return w
}

func (w *world) run(until sim.Time) {
	w.t.Helper()
	if err := w.loop.Run(until); err != nil {
		w.t.Fatal(err)
	}
	if err := w.link.Check(); err != nil {
		w.t.Error(err)
	}
}

func ExampleAdd() {
	loop := sim.NewLoop(sim.Config{Seed: 1})
	l, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{Name: "link"})
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := netem.Parse("delay 100ms 10ms seed 1")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := netem.Add(l.Up.Direction, c, netem.Tables{}); err != nil {
		fmt.Println(err)
		return
	}
	l.Connect(link.SinkFunc((*link.Frame).Release), link.SinkFunc(func(f *link.Frame) {
		fmt.Println(loop.Now())
		f.Release()
	}))
	l.Up.Put(link.NewFrame(60))
	if err := loop.Run(sim.Never); err != nil {
		fmt.Println(err)
	}
	// Output: 0.106959246s
}

// With everything on, every frame is accounted for at every moment, and the link
// does what the Qdisc alone does.
func TestTheStageAccountsForEveryFrame(t *testing.T) {
	const text = "delay 20ms 10ms loss gemodel 5% 50% duplicate 10% corrupt 5% reorder 10% gap 3 limit 30 slot 1ms packets 4 seed 42"
	w := newWorld(t, 1, text)
	for i := range 5000 {
		w.loop.At(sim.Time(i)*300e3, func() { w.link.Up.Put(link.NewFrame(100)) })
	}
	for at := sim.Time(0); at < 1500e6; at += 97e6 {
		w.run(at)
	}
	w.run(sim.Never - 1)
	s, c := w.stage.Counters(), w.link.Up.Counters()
	if c.InFlight != 0 || c.Duplicated != s.Duplicated || c.Dropped != s.Lost+s.Limited || c.Out != uint64(len(w.left)) || c.In != 5000 {
		t.Errorf("link %+v, netem %+v, %d left", c, s, len(w.left))
	}
	if s.Lost == 0 || s.Limited == 0 || s.Duplicated == 0 || s.Cancelled == 0 || s.Corrupted == 0 || s.Reordered == 0 {
		t.Errorf("something never happened: %+v", s)
	}
	var drops, copies, corrupted uint64
	for _, e := range w.events {
		switch e.Kind {
		case trace.KindDrop:
			drops++
			if e.Stage != "up/netem" || e.Reason != trace.DropLoss && e.Reason != trace.DropQueueFull || e.Text == "" {
				t.Fatalf("%+v", e)
			}
		case trace.KindDuplicate:
			copies++
		case trace.KindCorrupt:
			corrupted++
		}
	}
	if drops != c.Dropped || copies != c.Duplicated || corrupted != s.Corrupted {
		t.Errorf("events: %d drops, %d copies, %d corrupted; %+v, %+v", drops, copies, corrupted, c, s)
	}
}

// In the exact mode, and only there, one thing moves another: it is why package
// link has its own models.
func TestJitterMovesTheLosses(t *testing.T) {
	lost := func(text string) (all []uint64) {
		w := newWorld(t, 1, text)
		for i := range 200 {
			w.loop.At(sim.Time(i)*1e6, func() { w.link.Up.Put(link.NewFrame(60)) })
		}
		w.run(sim.Never - 1)
		for _, e := range w.events {
			if e.Kind == trace.KindDrop {
				all = append(all, uint64(e.Count))
			}
		}
		return all[:10]
	}
	if got, want := lost("loss 10% seed 42"), []uint64{14, 28, 38, 39, 40, 44, 50, 54, 66, 77}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := lost("delay 5ms 1ms loss 10% seed 42"), []uint64{20, 21, 40, 42, 55, 86, 88, 99, 110, 126}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Without a seed in the string the world's decides, and all of it: two runs are
// alike, two seeds are not.
func TestTheWorldsSeedDecidesTheRest(t *testing.T) {
	run := func(seed uint64) string {
		w := newWorld(t, seed, "delay 5ms 1ms 10% loss 10% 20% corrupt 50% 10% duplicate 5% 10% slot 1ms 2ms packets 2 ")
		for i := range 300 {
			w.loop.At(sim.Time(i)*1e6, func() { w.link.Up.Put(link.NewFrame(60)) })
		}
		w.run(sim.Never - 1)
		var b strings.Builder
		for _, e := range w.events {
			fmt.Fprintln(&b, e.T, e.Kind, e.Frame, e.Text)
		}
		return b.String()
	}
	if run(1) != run(1) {
		t.Error("one seed, two runs")
	}
	if run(1) == run(2) {
		t.Error("two seeds, one run")
	}
}

func TestECNMarksWhatCanBeMarked(t *testing.T) {
	frame := func(ethertype uint16, tos byte) *link.Frame {
		f := link.NewFrame(14 + 40)
		clear(f.Data)
		binary.BigEndian.PutUint16(f.Data[12:], ethertype)
		ip := f.Data[14:]
		if ethertype == wire.EtherTypeIPv4 {
			wire.PutIPv4(ip, wire.IPv4Fields{TOS: tos, TTL: 64, Protocol: 6, Src: netip.AddrFrom4([4]byte{10, 0, 0, 1}), Dst: netip.AddrFrom4([4]byte{10, 0, 0, 2})}, 20)
		} else {
			ip[0], ip[1] = 6<<4|tos>>4, tos<<4
			ip[7] = 64
		}
		return f
	}
	for _, v := range []struct {
		ethertype uint16
		tos, want byte
		passes    bool
	}{
		{wire.EtherTypeIPv4, 0, 0, false}, {wire.EtherTypeIPv4, 1, 3, true}, {wire.EtherTypeIPv4, 0xb2, 0xb3, true}, {wire.EtherTypeIPv4, 3, 3, true},
		{wire.EtherTypeIPv6, 0, 0, false}, {wire.EtherTypeIPv6, 2, 3, true}, {wire.EtherTypeIPv6, 0xb1, 0xb3, true},
		{0x0806, 2, 0, false},
	} {
		w := newWorld(t, 1, "loss 100% ecn")
		var got []byte
		w.link.Connect(nil, link.SinkFunc(func(f *link.Frame) { got = slices.Clone(f.Data); f.Release() }))
		w.link.Up.Put(frame(v.ethertype, v.tos))
		w.run(1)
		if (got != nil) != v.passes {
			t.Errorf("%+v: passes %v", v, got != nil)
			continue
		}
		if got == nil {
			continue
		}
		tos := got[15]
		if v.ethertype == wire.EtherTypeIPv6 {
			tos = got[14]<<4 | got[15]>>4
		} else if _, _, err := wire.ParseIPv4(got[14:]); err != nil {
			t.Errorf("%+v: %v", v, err)
		}
		if tos != v.want || w.stage.Counters().Marked != 1 {
			t.Errorf("%+v: type of service %#x", v, tos)
		}
	}
}

func TestAChangeKeepsTheQueue(t *testing.T) {
	w := newWorld(t, 1, "delay 100ms limit 10")
	w.link.Up.Put(link.NewFrame(60))
	w.run(10e6)
	if err := w.stage.Set(parse(t, "delay 1ms rate 48kbit"), netem.Tables{}); err != nil {
		t.Fatal(err)
	}
	w.link.Up.Put(link.NewFrame(60))
	w.run(sim.Never - 1)
	// 60 B at 48 kbit/s are 10 ms, behind the packet that leaves at 100 ms.
	if w.left[0].at != 100e6 || w.left[1].at != 110e6 {
		t.Errorf("left %v", w.left)
	}
	bad := parse(t, "delay 1ms")
	bad.Delay = -1
	if err := w.stage.Set(bad, netem.Tables{}); err == nil {
		t.Error("a negative delay passes")
	}
	if _, err := netem.Add(w.link.Down.Direction, bad, netem.Tables{}); err == nil {
		t.Error("a negative delay passes Add")
	}
	if _, err := netem.Add(w.link.Up.Direction, parse(t, "delay 1ms"), netem.Tables{}); err == nil {
		t.Error("two stages of one name pass")
	}
}

// No setting takes unbounded memory, and none runs over.
func TestWildSettingsHold(t *testing.T) {
	for _, text := range []string{
		"delay 9000000000s", "delay 9000000000s rate 8bit", "rate 8bit 2147483647", "rate 8bit -2147483648", "rate 1tbit 0 4294967295 2147483647",
		"slot 9000000000s", "slot 0 9000000000s packets 1", "delay 1ns 2s", "limit 4294967295 delay 1s", "slot distribution normal 9000000000s 2s",
		"delay 9000000000s 2s distribution pareto",
	} {
		w := newWorld(t, 1, text)
		for i := range 300 {
			w.loop.At(sim.Time(i)*1e6, func() { w.link.Up.Put(link.NewFrame(60)) })
		}
		w.run(sim.Time(time.Hour))
		if c := w.link.Up.Counters(); c.In != 300 || c.Out+c.InFlight+c.Dropped != 300 {
			t.Errorf("%s: %+v", text, c)
		}
	}
}

func TestTheQueueHasALimitOfItsOwn(t *testing.T) {
	linktest.Soak(t)
	w := newWorld(t, 1, "delay 1000s limit 4294967295")
	for range netem.MaxQueued + 10 {
		w.link.Up.Put(link.NewFrame(0))
	}
	if c := w.link.Up.Counters(); c.InFlight != netem.MaxQueued || c.Dropped != 10 {
		t.Errorf("%+v", c)
	}
}

// The way of a packet allocates nothing; a flipped bit is told with a text.
func TestAPacketAllocatesNothing(t *testing.T) {
	w := newWorld(t, 1, "delay 5ms 1ms distribution normal loss 1% reorder 5% rate 1gbit limit 100")
	w.events = nil
	now := sim.Time(0)
	step := func() {
		for range 100 {
			now += 100e3
			w.loop.At(now, func() {})
			w.run(now)
			w.link.Up.Put(link.NewFrame(100))
		}
	}
	w.link.Connect(nil, link.SinkFunc((*link.Frame).Release))
	step()
	// What the loop of this test allocates itself: a closure a step.
	idle := testing.AllocsPerRun(20, func() {
		for range 100 {
			now += 100e3
			w.loop.At(now, func() {})
			w.run(now)
		}
	})
	if n := testing.AllocsPerRun(20, step); n > idle+3 {
		t.Errorf("%.1f allocations for 100 packets, %.1f without", n, idle)
	}
}

func BenchmarkStage(b *testing.B) {
	for _, text := range []string{"loss 1%", "delay 5ms 1ms distribution normal loss 1% rate 1gbit"} {
		b.Run(text, func(b *testing.B) {
			w := newWorld(b, 1, text)
			w.link.Connect(nil, link.SinkFunc((*link.Frame).Release))
			n := 0
			var timer *sim.Timer
			timer = w.loop.NewTimer(func() {
				w.link.Up.Put(link.NewFrame(100))
				w.events = w.events[:0]
				if n++; n < b.N {
					timer.ResetAfter(100 * time.Microsecond)
				}
			})
			timer.ResetAfter(0)
			b.ReportAllocs()
			b.ResetTimer()
			if err := w.loop.Run(sim.Never); err != nil {
				b.Fatal(err)
			}
		})
	}
}
