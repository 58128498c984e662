package link_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
)

// every sends n frames of size bytes, gap apart, and runs to the end.
func (b *bench) every(gap time.Duration, n, size int) {
	b.t.Helper()
	for i := range n {
		b.loop.At(sim.Time(i)*sim.Time(gap), func() { b.send(byte(i), size) })
	}
	b.run(time.Duration(n)*gap + time.Hour)
}

func (b *bench) lostOrdinals() []int64 {
	var ordinals []int64
	for _, d := range b.drops {
		if d.Reason == trace.DropLoss {
			ordinals = append(ordinals, d.Count)
		}
	}
	return ordinals
}

func uniform(spread time.Duration) link.JitterConfig { return link.JitterConfig{Spread: spread} }

func TestImpairmentsBesideALossDoNotMoveIt(t *testing.T) {
	ge := link.BurstConfig{GilbertElliott: &link.GilbertElliott{P: .05, R: .5, LossBad: 1}}
	for name, base := range map[string]link.DirectionConfig{
		"iid":        {Loss: .1},
		"correlated": {Loss: .1, LossCorrelation: .5},
		"burst":      {Burst: ge},
		"shuffle":    {Burst: link.BurstConfig{Shuffle: &link.Shuffle{Lose: 3, Of: 20}}},
		"conditions": {Conditions: &link.ConditionsConfig{States: []link.Condition{{DwellPackets: 20}, {Loss: .5, DwellPackets: 5}}}},
	} {
		want := func(cfg link.DirectionConfig, cut bool) []int64 {
			b := newBench(t, 5, cfg)
			b.loop.At(sim.Time(100*time.Millisecond), func() { b.link.Up.Blackhole.Set(cut) })
			b.loop.At(sim.Time(200*time.Millisecond), func() { b.link.Up.Blackhole.Set(false) })
			b.every(time.Millisecond, 3000, 100)
			return b.lostOrdinals()
		}
		lost := want(base, false)
		if len(lost) < 100 {
			t.Fatalf("%s: only %d lost", name, len(lost))
		}
		busy := base
		busy.Delay, busy.Jitter = 30*time.Millisecond, uniform(20*time.Millisecond)
		busy.Jitter.Reorder = true
		busy.Duplicate, busy.Corrupt = link.Chance{Probability: .3}, link.CorruptConfig{Chance: link.Chance{Probability: .3}}
		busy.Reorder = link.ReorderConfig{Chance: link.Chance{Probability: .2}}
		busy.Shaper = link.ShaperConfig{RateBitsPerSecond: 1e6, Discipline: link.CoDel}
		if got := want(busy, false); !slices.Equal(got, lost) {
			t.Errorf("%s: jitter, duplicates, corruption and a rate moved the losses", name)
		}
		outside := slices.DeleteFunc(slices.Clone(lost), func(n int64) bool { return n > 100 && n <= 200 })
		got := slices.DeleteFunc(want(base, true), func(n int64) bool { return n > 100 && n <= 201 })
		outside = slices.DeleteFunc(outside, func(n int64) bool { return n == 201 })
		if !slices.Equal(got, outside) {
			t.Errorf("%s: a cut moved the losses outside it", name)
		}
	}
}

func TestShuffleLosesExactlyItsShareOfEachBlock(t *testing.T) {
	b := newBench(t, 2, link.DirectionConfig{Burst: link.BurstConfig{Shuffle: &link.Shuffle{Lose: 3, Of: 10}}})
	b.every(time.Millisecond, 1000, 60)
	per := make([]int, 100)
	places := make([]int, 10)
	for _, n := range b.lostOrdinals() {
		per[(n-1)/10]++
		places[(n-1)%10]++
	}
	for i, n := range per {
		if n != 3 {
			t.Errorf("block %d loses %d, want 3", i, n)
		}
	}
	for i, n := range places {
		if n < 10 || n > 60 {
			t.Errorf("place %d is lost %d times of 100, want about 30", i, n)
		}
	}
}

func TestAPatternBoundsTheRunsOfLosses(t *testing.T) {
	b := newBench(t, 2, link.DirectionConfig{Burst: link.BurstConfig{Pattern: []float64{.2, 1, 0}}})
	b.every(time.Millisecond, 1000, 60)
	lost := b.lostOrdinals()
	if len(lost) < 100 || len(lost)%2 != 0 {
		t.Fatalf("%d lost", len(lost))
	}
	for i := 0; i < len(lost); i += 2 {
		if lost[i+1] != lost[i]+1 || i+2 < len(lost) && lost[i+2] == lost[i]+2 {
			t.Fatalf("losses %v are not pairs", lost[i:min(i+3, len(lost))])
		}
	}
}

func TestADuplicateHasTheFramesNumberAndIsCounted(t *testing.T) {
	b := newBench(t, 2, link.DirectionConfig{Duplicate: link.Chance{Probability: 1}, Delay: time.Second})
	b.every(time.Millisecond, 10, 60)
	if len(b.up) != 20 {
		t.Fatalf("%d came of 10 sent twice", len(b.up))
	}
	for i, a := range b.up {
		if a.id != uint64(i/2+1) || a.ordinal != uint64(i/2+1) {
			t.Errorf("arrival %d is frame %d, ordinal %d", i, a.id, a.ordinal)
		}
	}
	if c := b.link.Up.Counters(); c.In != 10 || c.Duplicated != 10 || c.Out != 20 {
		t.Errorf("counters %+v", c)
	}
}

func TestJitterWithoutReorderKeepsTheOrder(t *testing.T) {
	cfg := link.DirectionConfig{Delay: 50 * time.Millisecond, Jitter: uniform(40 * time.Millisecond)}
	count := func(reorder bool) (overtaken int) {
		cfg.Jitter.Reorder = reorder
		b := newBench(t, 2, cfg)
		b.every(time.Millisecond, 1000, 60)
		for i := 1; i < len(b.up); i++ {
			if b.up[i].ordinal < b.up[i-1].ordinal {
				overtaken++
			}
		}
		return overtaken
	}
	if n := count(false); n != 0 {
		t.Errorf("order kept: %d frames overtaken", n)
	}
	if n := count(true); n < 100 {
		t.Errorf("order not kept: only %d of 1000 overtaken", n)
	}
}

func TestReorderWithAGapSendsEveryNthAtOnce(t *testing.T) {
	b := newBench(t, 2, link.DirectionConfig{
		Delay:   10 * time.Millisecond,
		Reorder: link.ReorderConfig{Chance: link.Chance{Probability: 1}, Gap: 5},
	})
	b.every(time.Millisecond, 20, 60)
	for _, a := range b.up {
		delay := a.at - sim.Time(a.ordinal-1)*1e6
		if a.ordinal%5 == 0 && delay != 0 || a.ordinal%5 != 0 && delay != 10e6 {
			t.Errorf("frame %d delayed by %v", a.ordinal, time.Duration(delay))
		}
	}
}

func TestTooManyDelayedFramesAreDroppedWithAReason(t *testing.T) {
	b := newBench(t, 2, link.DirectionConfig{Delay: time.Second, DelayLimit: 5})
	b.every(time.Millisecond, 8, 60)
	if len(b.up) != 5 || len(b.drops) != 3 || b.drops[0].Reason != trace.DropDelayFull {
		t.Errorf("%d came, drops %+v", len(b.up), b.drops)
	}
}

// The table is kernel arithmetic: floor(wire length x 1e9 / rate in bytes).
func TestRateWithOverheadAndCells(t *testing.T) {
	for _, c := range []struct {
		n, overhead, cell, cellOverhead int
		bytesPerSecond                  uint64
		want                            sim.Time
	}{
		{1500, 0, 0, 0, 125000, 12000000},
		{1500, 20, 0, 0, 125000, 12160000},
		{1514, -14, 0, 0, 125000, 12000000},
		{40, 0, 48, 5, 125000, 424000},
		{1500, 8, 48, 5, 125000, 13568000},
		{96, 0, 48, 5, 125000, 848000},
		{97, 0, 48, 5, 125000, 1272000},
		{1280, 0, 81, 46, 31250, 65024000},
	} {
		b := newBench(t, 1, link.DirectionConfig{Shaper: link.ShaperConfig{
			RateBitsPerSecond: 8 * c.bytesPerSecond, OverheadBytes: c.overhead, CellBytes: c.cell, CellOverheadBytes: c.cellOverhead,
		}})
		b.send(0, c.n)
		b.run(time.Second)
		if b.up[0].at != c.want {
			t.Errorf("%+v: left at %d", c, b.up[0].at)
		}
	}
}

func TestDropHeadDropsTheOldestThatWait(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Shaper: link.ShaperConfig{RateBitsPerSecond: 8000, QueuePackets: 3, Discipline: link.DropHead}})
	for i := range byte(6) {
		b.send(i, 100)
	}
	b.run(time.Minute)
	var came []byte
	for _, a := range b.up {
		came = append(came, a.first)
	}
	// Frame 0 is being sent; 1, 2 and 3 make room for 3, 4 and 5.
	if !slices.Equal(came, []byte{0, 4, 5}) || len(b.drops) != 3 || b.drops[0].Frame != 2 {
		t.Errorf("came %v, drops %+v", came, b.drops)
	}
}

func TestATokenBucketSendsABurstAtOnceAndThenAtItsRate(t *testing.T) {
	// 1,000 B/s with 300 B saved up: three frames of 100 B at once, then one each 100 ms.
	b := newBench(t, 1, link.DirectionConfig{Shaper: link.ShaperConfig{RateBitsPerSecond: 8000, BurstBytes: 300}})
	b.loop.At(sim.Time(time.Second), func() {
		for i := range byte(5) {
			b.send(i, 100)
		}
	})
	b.run(time.Minute)
	want := []sim.Time{1e9, 1e9, 1e9, 1.1e9, 1.2e9}
	for i, a := range b.up {
		if a.at != want[i] {
			t.Errorf("frame %d at %v, want %v", i, a.at, want[i])
		}
	}
}

func TestATokenBucketOwesNothingForAnOldRate(t *testing.T) {
	// Ten frames out of a bucket that takes 8,000 s to fill again.
	slow := link.ShaperConfig{RateBitsPerSecond: 1, BurstBytes: 1000}
	b := newBench(t, 1, link.DirectionConfig{Shaper: slow})
	for i := range byte(10) {
		b.send(i, 100)
	}
	b.run(time.Second)
	for i, rate := range []uint64{0, 8000} {
		fast := slow
		fast.RateBitsPerSecond = rate
		if err := b.link.Up.Shaper.Set(fast); err != nil {
			t.Fatal(err)
		}
		b.send(0, 100)
		b.run(time.Second)
		if len(b.up) != 11+i {
			t.Errorf("rate %d: %d came, want %d", rate, len(b.up), 11+i)
		}
	}
}

func TestAPolicerDropsWhatExceedsItsRate(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Policer: link.PolicerConfig{RateBitsPerSecond: 8000, BurstBytes: 300}})
	for i := range byte(5) {
		b.send(i, 100)
	}
	b.run(100 * time.Millisecond) // one frame's worth of tokens
	b.send(5, 100)
	b.send(6, 100)
	b.run(time.Minute)
	var came []byte
	for _, a := range b.up {
		came = append(came, a.first)
	}
	if !slices.Equal(came, []byte{0, 1, 2, 5}) || b.drops[0].Reason != trace.DropPoliced {
		t.Errorf("came %v, drops %+v", came, b.drops)
	}
}

func TestSlotsLetFramesGoInGroups(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Slot: link.SlotConfig{Min: 20 * time.Millisecond, Max: 20 * time.Millisecond, Packets: 2}})
	for i := range byte(5) {
		b.send(i, 100)
	}
	b.run(time.Minute)
	want := []sim.Time{0, 0, 20e6, 20e6, 40e6}
	for i, a := range b.up {
		if a.at != want[i] {
			t.Errorf("frame %d at %v, want %v", i, a.at, want[i])
		}
	}
}

func TestAGridOfSlotsIsAConnectionInterval(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Slot: link.SlotConfig{Min: 30 * time.Millisecond, Max: 30 * time.Millisecond, Packets: 2, Grid: true}})
	b.every(7*time.Millisecond, 12, 60)
	// Sent at 0 and then 7, 14, … ms: each waits for a multiple of 30 ms with room.
	want := []sim.Time{0, 30, 30, 60, 60, 90, 90, 120, 120, 150, 150, 180}
	for i, a := range b.up {
		if a.at != want[i]*1e6 {
			t.Errorf("frame %d at %v, want %d ms", i, a.at, want[i])
		}
	}
}

func TestConditionsTieLossDelayAndRateToOneState(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{
		Shaper: link.ShaperConfig{RateBitsPerSecond: 8_000_000}, // 1 ms for 1,000 B
		Conditions: &link.ConditionsConfig{States: []link.Condition{
			{Name: "good", Dwell: time.Second, Fixed: true},
			{Name: "bad", Dwell: time.Second, Fixed: true, Delay: 200 * time.Millisecond, RateBitsPerSecond: 800_000},
			{Name: "gone", Dwell: time.Second, Fixed: true, Loss: 1},
		}},
	})
	b.every(100*time.Millisecond, 60, 1000)
	for _, a := range b.up {
		sent := sim.Time(a.ordinal-1) * 100e6
		want := sim.Time(1e6)
		if sent/1e9%3 == 1 {
			want = 10e6 + 200e6
		}
		if delay := a.at - sent; delay != want && !(a.ordinal%30 >= 18 && a.ordinal%30 <= 22) { // the last of "bad" push or outlast it
			t.Errorf("frame %d, sent at %v, came after %v", a.ordinal, sent, time.Duration(delay))
		}
	}
	for _, d := range b.drops {
		if (d.Count-1)/10%3 != 2 || d.Text != "gone" {
			t.Errorf("frame %d lost: %+v", d.Count, d)
		}
	}
	if len(b.drops) != 20 {
		t.Errorf("%d lost, want 20", len(b.drops))
	}
}

func TestAWholeConfigurationChangesBetweenTwoFramesAndKeepsTheQueue(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Shaper: link.ShaperConfig{RateBitsPerSecond: 8000}})
	for i := range byte(4) {
		b.send(i, 100) // 100 ms each
	}
	b.loop.At(150e6, func() {
		cfg := b.link.Up.Config()
		cfg.Shaper.RateBitsPerSecond = 80_000
		cfg.Jitter, cfg.Duplicate = uniform(time.Millisecond), link.Chance{Probability: 1}
		cfg.Delay = 5 * time.Millisecond
		if err := b.link.Up.Set(cfg); err != nil {
			t.Error(err)
		}
		bad := cfg
		bad.Loss, bad.Delay = 2, time.Hour
		if b.link.Up.Set(bad) == nil || b.link.Up.Config().Delay != cfg.Delay {
			t.Error("a bad configuration was taken")
		}
		b.send(9, 100)
	})
	b.run(time.Minute)
	// The first has left, the second ends at its old rate, the others take 10 ms,
	// and the new one comes twice.
	if len(b.up) != 6 || b.up[0].at != 100e6 {
		t.Fatalf("arrivals %+v", b.up)
	}
	for i, left := range []sim.Time{200e6, 210e6, 220e6, 230e6, 240e6} {
		if d := b.up[i+1].at - left; d < 4e6 || d > 16e6 {
			t.Errorf("frame %d at %v, want 4 to 6 ms after %v", i+1, b.up[i+1].at, left)
		}
	}
}

func TestBadModelsAreErrors(t *testing.T) {
	nan := math.NaN()
	jitter := func(c link.JitterConfig) link.DirectionConfig { return link.DirectionConfig{Jitter: c} }
	burst := func(c link.BurstConfig) link.DirectionConfig { return link.DirectionConfig{Burst: c} }
	shaper := func(c link.ShaperConfig) link.DirectionConfig { return link.DirectionConfig{Shaper: c} }
	slot := func(c link.SlotConfig) link.DirectionConfig { return link.DirectionConfig{Slot: c} }
	conditions := func(c ...link.Condition) link.DirectionConfig {
		return link.DirectionConfig{Conditions: &link.ConditionsConfig{States: c}}
	}
	for name, c := range map[string]struct {
		cfg  link.DirectionConfig
		want string
	}{
		"correlation 1":        {link.DirectionConfig{Loss: .1, LossCorrelation: 1}, "correlation"},
		"correlation NaN":      {link.DirectionConfig{Loss: .1, LossCorrelation: nan}, "correlation"},
		"jitter negative":      {jitter(link.JitterConfig{Spread: -1}), "jitter"},
		"jitter too great":     {jitter(link.JitterConfig{Spread: link.MaxDelay + 1}), "jitter"},
		"delay too great":      {link.DirectionConfig{Delay: link.MaxDelay + 1}, "delay"},
		"delay limit":          {link.DirectionConfig{DelayLimit: link.MaxDelayed + 1}, "on their way"},
		"reorder, no delay":    {link.DirectionConfig{Reorder: link.ReorderConfig{Chance: link.Chance{Probability: .1}}}, "without a delay"},
		"reorder gap":          {link.DirectionConfig{Delay: 1, Reorder: link.ReorderConfig{Gap: -1}}, "gap"},
		"duplicate above 1":    {link.DirectionConfig{Duplicate: link.Chance{Probability: 1.1}}, "duplicate"},
		"corrupt bits":         {link.DirectionConfig{Corrupt: link.CorruptConfig{Bits: 65}}, "bits"},
		"corrupt range":        {link.DirectionConfig{Corrupt: link.CorruptConfig{From: 5, To: 5}}, "range"},
		"mtu":                  {link.DirectionConfig{MTU: 67}, "MTU"},
		"policer burst":        {link.DirectionConfig{Policer: link.PolicerConfig{RateBitsPerSecond: 1}}, "burst"},
		"rate":                 {shaper(link.ShaperConfig{RateBitsPerSecond: math.MaxUint64}), "rate"},
		"cells of nothing":     {shaper(link.ShaperConfig{CellBytes: 5, CellOverheadBytes: -5}), "cells"},
		"overhead of no cell":  {shaper(link.ShaperConfig{CellOverheadBytes: 5}), "cells"},
		"queue":                {shaper(link.ShaperConfig{QueuePackets: link.MaxQueuePackets + 1}), "queue"},
		"discipline":           {shaper(link.ShaperConfig{Discipline: 9}), "discipline"},
		"codel":                {shaper(link.ShaperConfig{CoDelTarget: -1}), "CoDel"},
		"slot":                 {slot(link.SlotConfig{Min: 2, Max: 1}), "slots"},
		"slot without end":     {slot(link.SlotConfig{Min: 1, Max: 1}), "never end"},
		"grid":                 {slot(link.SlotConfig{Min: 1, Max: 2, Grid: true, Packets: 1}), "grid"},
		"ge":                   {burst(link.BurstConfig{GilbertElliott: &link.GilbertElliott{P: 2}}), "Gilbert"},
		"four states":          {burst(link.BurstConfig{FourState: &link.FourState{P13: .6, P14: .6}}), "four states"},
		"shuffle":              {burst(link.BurstConfig{Shuffle: &link.Shuffle{Lose: 2, Of: 1}}), "shuffle"},
		"pattern":              {burst(link.BurstConfig{Pattern: []float64{nan}}), "pattern"},
		"two bursts":           {burst(link.BurstConfig{Pattern: []float64{.1}, Shuffle: &link.Shuffle{Of: 1}}), "more than one"},
		"no conditions":        {conditions(), "0 states"},
		"condition, no dwell":  {conditions(link.Condition{Dwell: time.Second}, link.Condition{}), "condition 2"},
		"condition, both":      {conditions(link.Condition{Dwell: time.Second}, link.Condition{DwellPackets: 3}), "condition 2"},
		"condition, weights":   {conditions(link.Condition{Dwell: time.Second, Next: []float64{0}}, link.Condition{Dwell: time.Second}), "weights"},
		"condition, nowhere":   {conditions(link.Condition{Dwell: time.Second, Next: []float64{0, 0}}, link.Condition{Dwell: time.Second}), "no state"},
		"condition, loss of 2": {conditions(link.Condition{Loss: 2}), "loss"},
	} {
		err := c.cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one about %q", name, err, c.want)
		}
	}
}
