package link

import (
	"math"
	"slices"
	"testing"
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// leaves sends n frames of 10 B at once up a link, and returns when those came out
// that did, in milliseconds.
func leaves(t *testing.T, n int, cfg ShaperConfig) []float64 {
	t.Helper()
	loop := sim.NewLoop(sim.Config{Seed: 3})
	log := trace.NewLog(func() sim.Time { return loop.Now() })
	l, err := New(World{Loop: loop, Trace: log, IDs: new(IDs)}, Config{Name: "link", Up: DirectionConfig{Shaper: cfg}})
	if err != nil {
		t.Fatal(err)
	}
	var at []float64
	l.Connect(nil, SinkFunc(func(f *Frame) {
		at = append(at, float64(loop.Now())/1e6)
		f.Release()
	}))
	loop.At(0, func() {
		for range n {
			l.Up.Put(NewFrame(10))
		}
	})
	if err := loop.Run(sim.Never - 1); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
	return at
}

// dummynet's rule: the bits and the drawn time occupy the channel, one frame after
// the other, and what is drawn above the loss level is lost and occupies nothing.
func TestAirtimeKeepsTheChannelBusy(t *testing.T) {
	always := []Quantile{{0, 7 * time.Millisecond}, {1, 7 * time.Millisecond}}
	for _, c := range []struct {
		cfg  ShaperConfig
		want []float64
	}{
		{ShaperConfig{Airtime: always}, []float64{7, 14, 21}},
		{ShaperConfig{Airtime: always, RateBitsPerSecond: 8000}, []float64{17, 34, 51}},
		{ShaperConfig{RateBitsPerSecond: 8000}, []float64{10, 20, 30}},
	} {
		if got := leaves(t, 3, c.cfg); !slices.Equal(got, c.want) {
			t.Errorf("%+v: frames leave at %v ms, want %v", c.cfg, got, c.want)
		}
	}
}

// A fifth is lost, and the others take what the line between two points says: 5 ms
// in the middle, one after the other.
func TestAirtimeLosesAndDelaysByItsProfile(t *testing.T) {
	const n, share = 100_000, 0.8
	cfg := ShaperConfig{Airtime: []Quantile{{0, 0}, {share, 10 * time.Millisecond}}, QueuePackets: n}
	got := leaves(t, n, cfg)
	if z := (float64(len(got)) - share*n) / math.Sqrt(n*share*(1-share)); math.Abs(z) > 4.5 {
		t.Errorf("%d of %d frames got through, %.1f standard deviations off", len(got), n, z)
	}
	// The sum of the times is when the last one leaves: uniform from 0 to 10 ms.
	m := float64(len(got))
	if z := (got[len(got)-1] - 5*m) / (10 / math.Sqrt(12) * math.Sqrt(m)); math.Abs(z) > 4.5 {
		t.Errorf("the last frame leaves at %v ms, %.1f standard deviations off", got[len(got)-1], z)
	}
	// With another loss level it goes red.
	cfg.Airtime[1].P = share + 0.01
	if z := (float64(len(leaves(t, n, cfg))) - share*n) / math.Sqrt(n*share*(1-share)); math.Abs(z) < 4.5 {
		t.Error("a profile that loses 1 % less is not seen")
	}
}

func TestAirtimeIsRefusedWhenItIsNone(t *testing.T) {
	for _, bad := range [][]Quantile{
		{{0, time.Second}},
		{{0.5, time.Second}, {0.4, 2 * time.Second}},
		{{0.5, 2 * time.Second}, {0.6, time.Second}},
		{{0.5, -1}},
		{{1.5, 1}},
		{{math.NaN(), 1}},
	} {
		if (ShaperConfig{Airtime: bad}).validate() == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
