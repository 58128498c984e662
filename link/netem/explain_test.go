package netem_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"hilnet/link/netem"
)

func explain(t testing.TB, text string, load netem.Load) *netem.Explanation {
	t.Helper()
	c := parse(t, text)
	tables, err := c.LoadTables(netem.TableFolders()...)
	if err != nil {
		t.Fatal(err)
	}
	e, err := netem.Explain(c, tables, load)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func ExampleExplain() {
	c, _ := netem.Parse("loss 0.3% 25%")
	e, err := netem.Explain(c, netem.Tables{}, netem.Load{Packets: 200000})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("typed %.3f, measured %.3f\n", *e.Lost.Typed, e.Lost.Measured.Value)
	for _, w := range e.Warnings {
		fmt.Printf("column %d: %s\n", w.Column, w.Code)
	}
	// Output:
	// typed 0.003, measured 0.000
	// column 1: loss-correlation
}

func codes(e *netem.Explanation) (all []string) {
	for _, w := range e.Warnings {
		all = append(all, w.Code)
	}
	return all
}

// Each warning comes for a string that has its surprise, and not for one that
// has not; no code is without a case.
func TestSurprisesAreSaid(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range []struct {
		code, with, without string
		load                netem.Load
	}{
		{"twice", "delay 1ms delay 2ms", "delay 2ms", netem.Load{}},
		{"bare-time", "delay 100", "delay 100us", netem.Load{}},
		{"bare-percent", "loss 0.01", "loss 0.01%", netem.Load{}},
		{"rate-zero", "rate 4", "rate 8", netem.Load{}},
		{"gemodel-r", "loss gemodel 5%", "loss gemodel 5% 50%", netem.Load{}},
		{"loss-correlation", "loss 10% 25%", "loss 10%", netem.Load{}},
		{"duplicate-correlation", "duplicate 10% 25% loss 1% 1%", "duplicate 10% loss 1% 1%", netem.Load{}},
		{"corrupt-correlation", "corrupt 10% 25%", "corrupt 10%", netem.Load{}},
		{"reorder-correlation", "delay 50ms reorder 10% 25%", "delay 50ms reorder 10%", netem.Load{}},
		{"duplicate-correlation-lost", "duplicate 10% 25%", "duplicate 10% 25% loss 1% 1%", netem.Load{}},
		{"delay-correlation", "delay 50ms 10ms 25%", "delay 50ms 10ms", netem.Load{}},
		{"jitter-deviation", "delay 50ms 10ms distribution pareto", "delay 50ms 10ms distribution normal", netem.Load{}},
		{"jitter-cap", "delay 10s 3s", "delay 10s 2s", netem.Load{}},
		{"jitter-negative", "delay 10ms 11ms", "delay 10ms 10ms", netem.Load{}},
		{"jitter-reorders", "delay 50ms 10ms", "delay 50ms 1ms", netem.Load{}},
		{"jitter-rate", "delay 50ms 10ms rate 1mbit", "delay 50ms 10ms", netem.Load{}},
		{"reorder-spacing", "delay 5ms reorder 25%", "delay 25ms reorder 25%", netem.Load{}},
		{"rate-delay", "delay 5ms rate 1mbit", "rate 1mbit", netem.Load{}},
		{"rate-length", "rate 1mbit", "rate 1mbit -14", netem.Load{}},
		{"limit-delay", "delay 5ms limit 2", "delay 5ms", netem.Load{Every: time.Millisecond}},
		{"limit-rate", "rate 26kbit", "rate 26kbit limit 5", netem.Load{}},
		{"limit-zero", "limit 0", "limit 1", netem.Load{}},
		{"duplicate-loss", "duplicate 1% loss 1%", "duplicate 1%", netem.Load{}},
		{"corrupt-checksum", "corrupt 1%", "duplicate 1%", netem.Load{}},
		{"ecn", "loss 1% ecn", "loss 1%", netem.Load{}},
		{"seed-incomplete", "corrupt 1% seed 1", "loss 1% seed 1", netem.Load{}},
		{"slot-first", "delay 5ms slot 20ms", "slot 20ms", netem.Load{}},
	} {
		seen[v.code] = true
		v.load.Packets = 20000
		if got := codes(explain(t, v.with, v.load)); !slices.Contains(got, v.code) {
			t.Errorf("%s: %v, want %s", v.with, got, v.code)
		}
		if got := codes(explain(t, v.without, v.load)); slices.Contains(got, v.code) {
			t.Errorf("%s: %v, %s is wrong", v.without, got, v.code)
		}
	}
	for _, code := range netem.WarningCodes {
		if !seen[code] {
			t.Errorf("nothing shows %s", code)
		}
	}
	if len(seen) != len(netem.WarningCodes) {
		t.Errorf("%d codes seen, %d listed", len(seen), len(netem.WarningCodes))
	}
}

// What the formulas say lies where the measurement says: a wide interval, since
// there are many of them here.
func TestMeasurementsMeetTheFormulas(t *testing.T) {
	for _, text := range []string{
		"loss 10%", "loss gemodel 1% 10%", "loss gemodel 2% 20% 70% 0.1%", "loss state 1% 30% 20% 40% 0.5%", "loss state 2% 10% 30% 50% 1%",
		"loss 10% duplicate 5%", "duplicate 5%", "corrupt 3%", "delay 50ms reorder 50% gap 2", "loss gemodel 5%", "loss gemodel 0% 5% 10% 3%",
	} {
		e := explain(t, text, netem.Load{Packets: 300000})
		shown := 0
		for _, f := range []netem.Effect{e.Lost, e.Duplicate, e.Corrupt, e.AtOnce} {
			if f.Expected == nil {
				continue
			}
			shown++
			half := (f.Measured.High - f.Measured.Low) / 2
			if math.Abs(f.Measured.Value-*f.Expected) > 2.3*half || half == 0 {
				t.Errorf("%s: %+v, expected %v", text, f.Measured, *f.Expected)
			}
		}
		if shown == 0 {
			t.Errorf("%s: nothing expected", text)
		}
	}
}

// Published values of the two models.
func TestStationaryValuesAreThePublishedOnes(t *testing.T) {
	for _, v := range []struct {
		text      string
		loss, run float64
	}{
		{"loss gemodel 1% 10%", .09091, 10}, {"loss gemodel 5% 50%", .09091, 2}, {"loss gemodel 1% 25% 50%", .01923, 1.6},
		{"loss gemodel 2% 20% 70% 0.1%", .06455, 2.2347}, {"loss gemodel 0.1% 5%", .01961, 20}, {"loss gemodel 5%", .05, 1 / .95},
		{"loss state 1% 30% 20% 40%", .03175, 2}, {"loss state 1% 30% 20% 40% 0.5%", .03633, 1.7692},
		{"loss state 5%", .05, 1.0526}, {"loss state 2% 10% 30% 50% 1%", .15789, 2.3333},
	} {
		c := parse(t, v.text)
		m := c.Meaning()
		var loss, run float64
		if m.GilbertElliott != nil {
			loss, run = m.GilbertElliott.Stationary()
		} else {
			loss, run = m.FourState.Stationary()
		}
		if math.Abs(loss-v.loss) > 5e-5*(1+v.loss) || math.Abs(run-v.run) > 1e-3*v.run {
			t.Errorf("%s: loss %.5f, run %.4f; want %v, %v", v.text, loss, run, v.loss, v.run)
		}
	}
}

func TestTheExplanationHasTheDelaysOfTheTables(t *testing.T) {
	for _, v := range []struct {
		table string
		ratio float64
	}{{"uniform", .57735}, {"normal", 1.00005}, {"pareto", .81968}, {"paretonormal", .83394}} {
		e := explain(t, "delay 100ms 10ms distribution "+v.table, netem.Load{Packets: 200000})
		got := float64(e.Delay.Jitter) / 10e6
		// Relative standard error of a deviation with a kurtosis below 12.
		if math.Abs(got/v.ratio-1) > 4.5*math.Sqrt(11.0/4/200000) || math.Abs(e.Delay.Autocorrelation) > 0.02 {
			t.Errorf("%s: %.4f of the jitter, want %.4f; autocorrelation %.3f", v.table, got, v.ratio, e.Delay.Autocorrelation)
		}
		if e.Delay.Least > e.Delay.Median || e.Delay.Median > e.Delay.P99 || e.Delay.P99 > e.Delay.Most {
			t.Errorf("%s: %+v", v.table, e.Delay)
		}
	}
}

func TestALoadThatCannotBeIsRefused(t *testing.T) {
	c := parse(t, "delay 1ms")
	for _, load := range []netem.Load{
		{Packets: 1}, {Packets: -5}, {Packets: 1 << 30}, {Size: -1}, {Size: 1 << 20}, {Every: -1}, {Every: math.MaxInt64},
	} {
		if _, err := netem.Explain(c, netem.Tables{}, load); err == nil {
			t.Errorf("%+v passes", load)
		}
	}
	c = parse(t, "delay 1ms 1ms distribution mine")
	if _, err := netem.Explain(c, netem.Tables{}, netem.Load{}); err == nil {
		t.Error("a table that is not loaded passes")
	}
}

func TestTheMeaningIsWhatWasTyped(t *testing.T) {
	c := parse(t, "delay 100ms 20ms 25% distribution pareto loss 0.3% 25% duplicate 1% 50% corrupt 0.1% reorder 5% 50% gap 4 rate 256kbit 20 48 5 limit 77 slot 1ms 2ms seed 9")
	m := c.Meaning()
	if m.Delay != (netem.MeaningDelay{Mean: 100 * time.Millisecond, Jitter: 20 * time.Millisecond, Distribution: "pareto", Correlation: .25, KeepOrder: true}) {
		t.Errorf("delay %+v", m.Delay)
	}
	if *m.Loss != (netem.MeaningChance{Probability: .003, Correlation: .25}) || *m.Duplicate != (netem.MeaningChance{Probability: .01, Correlation: .5}) || *m.Corrupt != (netem.MeaningChance{Probability: .001}) {
		t.Errorf("loss %+v, duplicate %+v, corrupt %+v", m.Loss, m.Duplicate, m.Corrupt)
	}
	if m.Reorder.Probability != .05 || m.Reorder.Correlation != .5 || m.Reorder.Gap != 4 || m.Slot.Max != 2*time.Millisecond || *m.Seed != 9 {
		t.Errorf("%+v", m)
	}
	if *m.Rate != (netem.MeaningRate{BitsPerSecond: 256000, PacketOverhead: 20, CellSize: 48, CellOverhead: 5, QueuePackets: 77}) {
		t.Errorf("rate %+v", m.Rate)
	}
	c = parse(t, "loss state 1%")
	if m := c.Meaning(); *m.FourState != (netem.MeaningFourState{P13: .01, P31: .99, P23: 1}) || m.Loss != nil || m.Rate != nil || m.Slot != nil || m.Seed != nil || m.Delay.Distribution != "" {
		t.Errorf("%+v", m)
	}
	c = parse(t, "loss gemodel 1% 10% 90%")
	if m := c.Meaning(); *m.GilbertElliott != (netem.MeaningGilbertElliott{ToBad: .01, ToGood: .1, LossBad: .9}) {
		t.Errorf("%+v", m.GilbertElliott)
	}
}
