package link_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"hilnet/link"
)

func TestADistFileIsReadAndGivesItsNumbers(t *testing.T) {
	table, err := link.ReadDist(strings.NewReader("# made by hand\n -8192 0\t8192\n 16384\n"), "hand.dist")
	if err != nil || len(table) != 4 {
		t.Fatalf("%v, %v", table, err)
	}
	d, err := table.Distribution("hand")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, 1, link.DirectionConfig{Delay: time.Second, Jitter: link.JitterConfig{Spread: 100 * time.Millisecond, Distribution: d, Reorder: true}})
	b.every(time.Second*3, 10_000, 60)
	sum := 0.0
	for _, a := range b.up {
		x := float64(a.at)/3e9 - float64(a.ordinal-1) // in 3 s
		sum += (x*3 - 1) / .1
	}
	if mean := sum / 10_000; math.Abs(mean-.5) > .05 {
		t.Errorf("mean %v spreads, want 0.5", mean)
	}
}

func TestABadDistFileNamesItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "t.dist: a distribution without numbers",
		"# only\n":                      "without numbers",
		"1 2\n3 x4\n":                   "t.dist:2:3:",
		"40000\n":                       "t.dist:1:1:",
		strings.Repeat("1\n", 16385):    "t.dist:16385:1: more than 16384",
		"1 " + strings.Repeat("9", 1e5): "t.dist:1",
	} {
		if _, err := link.ReadDist(strings.NewReader(text), "t.dist"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

func FuzzReadDist(f *testing.F) {
	f.Add("# x\n1 2 3\n-4\n")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := link.ReadDist(strings.NewReader(text), "f")
		if err != nil {
			return
		}
		again, err := link.ReadDist(strings.NewReader(string(table.AppendTo(nil))), "f")
		if err != nil || len(again) != len(table) {
			t.Fatalf("%v became %v: %v", table, again, err)
		}
		for i := range table {
			if again[i] != table[i] {
				t.Fatalf("%v became %v", table, again)
			}
		}
	})
}

func TestBadTablesAreErrors(t *testing.T) {
	ms := time.Millisecond
	for want, q := range map[string][]link.Quantile{
		"without points":    nil,
		"not between 0":     {{P: math.NaN()}},
		"does not rise":     {{P: .5, D: ms}, {P: .5, D: 2 * ms}},
		"below the one":     {{P: .1, D: 2 * ms}, {P: .5, D: ms}},
		"delay -1ms is not": {{P: .1, D: -ms}},
	} {
		if _, err := link.Quantiles(q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", q, err, want)
		}
	}
	if _, err := link.Samples(nil); err == nil {
		t.Error("no samples: no error")
	}
	if _, err := link.Samples([]time.Duration{-1}); err == nil {
		t.Error("a negative sample: no error")
	}
	d, err := link.Samples([]time.Duration{30 * ms, 10 * ms, 20 * ms})
	if err != nil {
		t.Fatal(err)
	}
	if (&link.DirectionConfig{Jitter: link.JitterConfig{Spread: ms, Distribution: d}}).Validate() == nil {
		t.Error("samples with a spread: no error")
	}
	if _, err := link.SimpleGilbert(.9, 1); err == nil {
		t.Error("a loss of 90 % in runs of 1 is not possible")
	}
	if g, err := link.SimpleGilbert(.0909090909, 10); err != nil || math.Abs(g.P-.01) > 1e-9 || g.R != .1 {
		t.Errorf("%+v, %v", g, err)
	}
}
