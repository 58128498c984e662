package link_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
)

// bench is a link with a sink at each end that notes what arrives.
type bench struct {
	t       testing.TB
	loop    *sim.Loop
	link    *link.Link
	up      []arrival
	drops   []trace.Event
	entered int
	left    int
}

type arrival struct {
	at      sim.Time
	ordinal uint64
	id      uint64
	first   byte
}

func newBench(t testing.TB, seed uint64, up link.DirectionConfig) *bench {
	t.Helper()
	b := &bench{t: t, loop: sim.NewLoop(sim.Config{Seed: seed})}
	log := trace.NewLog(b.loop.Now)
	log.Subscribe(func(e *trace.Event) {
		if e.Kind == trace.KindDrop {
			b.drops = append(b.drops, *e)
		}
	})
	l, err := link.New(link.World{Loop: b.loop, Trace: log, IDs: new(link.IDs)}, link.Config{Name: "link", Up: up})
	if err != nil {
		t.Fatal(err)
	}
	b.link = l
	l.Up.Observe(b)
	l.Connect(link.SinkFunc((*link.Frame).Release), link.SinkFunc(func(f *link.Frame) {
		b.up = append(b.up, arrival{b.loop.Now(), f.Ordinal, f.ID, f.Data[0]})
		f.Release()
	}))
	return b
}

func (b *bench) Entered(*link.Direction, *link.Frame)               { b.entered++ }
func (b *bench) Left(*link.Direction, *link.Frame)                  { b.left++ }
func (b *bench) Dropped(*link.Direction, *link.Frame, link.Verdict) {}

func (b *bench) send(first byte, n int) {
	f := link.NewFrame(n)
	f.Data[0] = first
	b.link.Up.Put(f)
}

func (b *bench) run(d time.Duration) {
	b.t.Helper()
	if err := b.loop.Run(b.loop.Now().Add(d)); err != nil {
		b.t.Fatal(err)
	}
	if err := b.link.Check(); err != nil {
		b.t.Error(err)
	}
}

func ExampleNew() {
	loop := sim.NewLoop(sim.Config{Seed: 1})
	l, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{
		Name: "link",
		Up:   link.DirectionConfig{Delay: 100 * time.Millisecond},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	l.Connect(link.SinkFunc((*link.Frame).Release), link.SinkFunc(func(f *link.Frame) {
		fmt.Println(loop.Now(), "frame", f.ID, "of", len(f.Data), "bytes")
		f.Release()
	}))
	l.Up.Put(link.NewFrame(60))
	if err := loop.Run(sim.Never); err != nil {
		fmt.Println(err)
	}
	// Output: 0.100000000s frame 1 of 60 bytes
}

func TestDelayHoldsEveryFrameForItsTime(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Delay: 100 * time.Millisecond})
	for i := range byte(3) {
		b.loop.At(sim.Time(i)*1e6, func() { b.send(i, 60) })
	}
	b.run(50 * time.Millisecond)
	if c := b.link.Up.Counters(); c.InFlight != 3 || c.In != 3 || c.Out != 0 {
		t.Errorf("half-way: %+v", c)
	}
	b.run(time.Second)
	for i, a := range b.up {
		if want := sim.Time(100e6 + i*1e6); a.at != want || a.id != uint64(i+1) {
			t.Errorf("frame %d came at %v with id %d, want %v", i, a.at, a.id, want)
		}
	}
	if len(b.up) != 3 || b.entered != 3 || b.left != 3 {
		t.Errorf("%d frames came, observers saw %d enter and %d leave", len(b.up), b.entered, b.left)
	}
}

func TestAShorterDelayDoesNotReorder(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Delay: 100 * time.Millisecond})
	b.send(0, 60)
	if err := b.link.Up.Delay.Set(time.Millisecond); err != nil {
		t.Fatal(err)
	}
	b.send(1, 60)
	b.run(time.Second)
	if len(b.up) != 2 || b.up[0].first != 0 || b.up[1].at != b.up[0].at {
		t.Errorf("arrivals %+v", b.up)
	}
}

func TestADeliveryIsAnEventOfItsOwnEvenWithoutDelay(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{})
	b.send(0, 60)
	if len(b.up) != 0 {
		t.Error("delivered inside Put")
	}
	b.run(0)
	if len(b.up) != 1 || b.up[0].at != 0 {
		t.Errorf("arrivals %+v", b.up)
	}
}

func TestLossHasItsProbabilityAndNamesEachLostFrame(t *testing.T) {
	const n, p = 100_000, 0.05
	b := newBench(t, 3, link.DirectionConfig{Loss: p})
	for range n {
		b.send(0, 60)
	}
	b.run(time.Second)
	lost := len(b.drops)
	if z := (float64(lost) - n*p) / math.Sqrt(n*p*(1-p)); math.Abs(z) > 4.5 {
		t.Errorf("%d lost of %d, %.1f sigma from 5 %%", lost, n, z)
	}
	if len(b.up)+lost != n {
		t.Errorf("%d came, %d lost, of %d", len(b.up), lost, n)
	}
	d := b.drops[0]
	if d.Reason != trace.DropLoss || d.Node != "link" || d.Stage != "up/loss" || d.Frame == 0 || d.Len != 60 {
		t.Errorf("drop event %+v", d)
	}
}

func TestLossOfZeroAndOne(t *testing.T) {
	for p, want := range map[float64]int{0: 1000, 1: 0} {
		b := newBench(t, 3, link.DirectionConfig{Loss: p})
		for range 1000 {
			b.send(0, 60)
		}
		b.run(time.Second)
		if len(b.up) != want {
			t.Errorf("p = %v: %d of 1000 came", p, len(b.up))
		}
	}
}

func TestOtherImpairmentsDoNotMoveTheLosses(t *testing.T) {
	lost := func(cfg link.DirectionConfig, cut bool) []int64 {
		b := newBench(t, 5, cfg)
		for i := range 2000 {
			b.loop.At(sim.Time(i)*1e6, func() {
				b.link.Up.Blackhole.Set(cut && i >= 1000 && i < 1100)
				b.send(0, 60)
			})
		}
		b.run(time.Minute)
		var ordinals []int64
		for _, d := range b.drops {
			if d.Reason == trace.DropLoss {
				ordinals = append(ordinals, d.Count)
			}
		}
		return ordinals
	}
	base := lost(link.DirectionConfig{Loss: 0.1}, false)
	if slow := lost(link.DirectionConfig{Loss: 0.1, Delay: time.Second, Shaper: link.ShaperConfig{RateBitsPerSecond: 1e6}}, false); !slices.Equal(base, slow) {
		t.Error("delay and rate moved the losses")
	}
	cut := lost(link.DirectionConfig{Loss: 0.1}, true)
	outside := slices.DeleteFunc(slices.Clone(base), func(n int64) bool { return n > 1000 && n <= 1100 })
	if len(base) < 150 || !slices.Equal(cut, outside) {
		t.Errorf("a cut moved the losses outside it (%d, %d)", len(cut), len(outside))
	}
}

func TestRateSendsOneFrameAfterTheOther(t *testing.T) {
	// 125 bytes at 10 kbit/s take 100 ms.
	b := newBench(t, 1, link.DirectionConfig{Shaper: link.ShaperConfig{RateBitsPerSecond: 10_000}})
	for range 3 {
		b.send(0, 125)
	}
	b.run(time.Second)
	for i, a := range b.up {
		if want := sim.Time(100e6 * (i + 1)); a.at != want {
			t.Errorf("frame %d at %v, want %v", i, a.at, want)
		}
	}
}

func TestRateIsExactInTheLongRun(t *testing.T) {
	// 7 bytes at 3 bit/s take 18.666… s; 3,000 of them exactly 56,000 s.
	b := newBench(t, 1, link.DirectionConfig{Shaper: link.ShaperConfig{RateBitsPerSecond: 3, QueuePackets: 3000}})
	for range 3000 {
		b.send(0, 7)
	}
	b.run(100_000 * time.Second)
	if last := b.up[len(b.up)-1].at; last != sim.Time(56_000*time.Second) {
		t.Errorf("last frame at %v, want 56000 s", last)
	}
}

func TestAFullQueueDropsTheNewestWithAReason(t *testing.T) {
	for name, cfg := range map[string]link.ShaperConfig{
		"packets": {RateBitsPerSecond: 8000, QueuePackets: 4},
		"bytes":   {RateBitsPerSecond: 8000, QueueBytes: 400},
	} {
		b := newBench(t, 1, link.DirectionConfig{Shaper: cfg})
		for i := range byte(6) {
			b.send(i, 100)
		}
		b.run(time.Minute)
		if len(b.up) != 4 || len(b.drops) != 2 || b.drops[0].Reason != trace.DropQueueFull {
			t.Errorf("%s: %d came, drops %+v", name, len(b.up), b.drops)
		}
	}
}

func TestARateChangeActsBetweenTwoFramesAndKeepsTheQueue(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Shaper: link.ShaperConfig{RateBitsPerSecond: 8000}})
	for range 3 {
		b.send(0, 1000) // 1 s each
	}
	b.loop.After(1500*time.Millisecond, func() {
		if err := b.link.Up.Shaper.Set(link.ShaperConfig{RateBitsPerSecond: 80_000}); err != nil {
			t.Error(err)
		}
	})
	b.run(time.Minute)
	var at []float64
	for _, a := range b.up {
		at = append(at, a.at.Seconds())
	}
	if !slices.Equal(at, []float64{1, 2, 2.1}) {
		t.Errorf("arrivals at %v, want 1, 2 and 2.1 s", at)
	}
}

func TestABlackholeSwallowsWhatEntersAndLetsGoWhatIsInside(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Delay: time.Second})
	b.send(0, 60)
	b.link.Up.Blackhole.Set(true)
	b.send(1, 60)
	b.link.Up.Blackhole.Set(false)
	b.send(2, 60)
	b.run(time.Minute)
	if len(b.up) != 2 || b.up[1].first != 2 || len(b.drops) != 1 || b.drops[0].Reason != trace.DropBlackhole {
		t.Errorf("arrivals %+v, drops %+v", b.up, b.drops)
	}
}

func TestAFrameKeepsItsNumberOverSeveralLinks(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	ids := new(link.IDs)
	w := link.World{Loop: loop, IDs: ids}
	first, err1 := link.New(w, link.Config{Name: "a"})
	second, err2 := link.New(w, link.Config{Name: "b"})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	var id, ordinal uint64
	first.Connect(nil, second.Up)
	second.Connect(nil, link.SinkFunc(func(f *link.Frame) { id, ordinal = f.ID, f.Ordinal; f.Release() }))
	first.Up.Put(link.NewFrame(60))
	second.Up.Put(link.NewFrame(60))
	if err := loop.Run(sim.Never); err != nil {
		t.Fatal(err)
	}
	if id != 1 || ordinal != 2 {
		t.Errorf("the last frame has id %d and ordinal %d, want 1 and 2", id, ordinal)
	}
}

func TestBadSettingsAreErrors(t *testing.T) {
	w := link.World{Loop: sim.NewLoop(sim.Config{}), IDs: new(link.IDs)}
	for name, cfg := range map[string]link.Config{
		"no name":        {},
		"loss above 1":   {Name: "l", Up: link.DirectionConfig{Loss: 1.5}},
		"loss below 0":   {Name: "l", Down: link.DirectionConfig{Loss: -0.1}},
		"loss NaN":       {Name: "l", Down: link.DirectionConfig{Loss: math.NaN()}},
		"negative delay": {Name: "l", Up: link.DirectionConfig{Delay: -1}},
		"negative queue": {Name: "l", Up: link.DirectionConfig{Shaper: link.ShaperConfig{QueuePackets: -1}}},
		"overhead":       {Name: "l", Up: link.DirectionConfig{Shaper: link.ShaperConfig{OverheadBytes: -65_536}}},
	} {
		if _, err := link.New(w, cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAFrameReleasedTwicePanics(t *testing.T) {
	f := link.NewFrame(60)
	f.Release()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f.Release()
}

func TestALinkDoesNotAllocateInSteadyState(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Delay: time.Millisecond, Shaper: link.ShaperConfig{RateBitsPerSecond: 1e9}})
	b.link.Connect(nil, link.SinkFunc((*link.Frame).Release))
	work := func() {
		for range 10 {
			b.send(0, 60)
		}
		if err := b.loop.Run(b.loop.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		work()
	}
	if n := testing.AllocsPerRun(100, work); n >= 1 {
		t.Errorf("%v allocations for ten frames", n)
	}
}

func BenchmarkLink(b *testing.B) {
	w := newBench(b, 1, link.DirectionConfig{Delay: time.Millisecond, Loss: 0.01, Shaper: link.ShaperConfig{RateBitsPerSecond: 1e9}})
	w.link.Connect(nil, link.SinkFunc((*link.Frame).Release))
	b.ReportAllocs()
	for b.Loop() {
		w.send(0, 1000)
		if err := w.loop.Run(w.loop.Now().Add(10 * time.Microsecond)); err != nil {
			b.Fatal(err)
		}
	}
}
