package emu_test

import (
	"fmt"
	"strings"
	"testing"

	"hilnet/emu"
)

// found feeds a finder with the rows of a sweep of a (2 values) and b (4 values)
// with 10 seeds, of which passed says how many passed.
func found(t *testing.T, key string, passed [2][4]int64) []emu.SweepFound {
	t.Helper()
	h := emu.SweepHeader{Seeds: 10, Axes: []emu.Axis{{Key: "a", Values: []string{"1ms", "2ms"}}, {Key: "b", Values: []string{"4", "8", "12", "16"}}}}
	f, err := emu.NewSweepFinder(&h, key)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range h.Axes[0].Values {
		for k, b := range h.Axes[1].Values {
			if n := passed[i][k]; n >= 0 {
				f.Add(&emu.SweepRow{Values: []string{a, b}, Runs: 10, Passed: n})
			}
		}
	}
	return f.Found()
}

func describe(all []emu.SweepFound) string {
	var lines []string
	for _, f := range all {
		below := "-"
		if f.Below != nil {
			below = strings.Join(f.Below.Values, "/")
		}
		lines = append(lines, fmt.Sprintf("%s: %q %v below %s lucky %q", strings.Join(f.Values, "/"), f.Value, f.Complete, below, f.Smallest))
	}
	return strings.Join(lines, "\n")
}

// What is found is the smallest value from which on all passed; a smaller one
// that passed below a failure is named, but not the answer.
func TestTheSmallestValueIsOneFromWhichOnEveryRunPasses(t *testing.T) {
	for _, c := range []struct {
		name   string
		key    string
		passed [2][4]int64
		want   string
	}{
		{"monotone", "b", [2][4]int64{{0, 9, 10, 10}, {10, 10, 10, 10}}, `1ms/: "12" true below 1ms/8 lucky ""
2ms/: "4" true below - lucky ""`},
		{"a hole", "b", [2][4]int64{{0, 10, 9, 10}, {10, 0, 0, 9}}, `1ms/: "16" true below 1ms/12 lucky "8"
2ms/: "" true below 2ms/16 lucky "4"`},
		{"never", "b", [2][4]int64{{0, 0, 0, 0}, {0, 0, 0, 10}}, `1ms/: "" true below 1ms/16 lucky ""
2ms/: "16" true below 2ms/12 lucky ""`},
		{"rows missing", "b", [2][4]int64{{10, 10, 10, -1}, {-1, -1, -1, -1}}, `1ms/: "" false below - lucky ""`},
		{"the slow axis", "a", [2][4]int64{{0, 10, 9, 10}, {10, 10, 10, 0}}, `/4: "2ms" true below 1ms/4 lucky ""
/8: "1ms" true below - lucky ""
/12: "2ms" true below 1ms/12 lucky ""
/16: "" true below 2ms/16 lucky "1ms"`},
	} {
		if got := describe(found(t, c.key, c.passed)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// A row with fewer seeds than the sweep has proves nothing.
func TestARowWithoutAllOfItsSeedsFindsNothing(t *testing.T) {
	h := emu.SweepHeader{Seeds: 10, Axes: []emu.Axis{{Key: "b", Values: []string{"4", "8"}}}}
	f, err := emu.NewSweepFinder(&h, "b")
	if err != nil {
		t.Fatal(err)
	}
	f.Add(&emu.SweepRow{Values: []string{"4"}, Runs: 10, Passed: 10})
	f.Add(&emu.SweepRow{Values: []string{"8"}, Runs: 9, Passed: 9})
	if got, want := describe(f.Found()), `: "" false below - lucky ""`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWhatHasNoSmallestValueIsRefused(t *testing.T) {
	many := make([]string, 400)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for _, c := range []struct {
		axes []emu.Axis
		want string
	}{
		{[]emu.Axis{{Key: "a", Values: []string{"1"}}}, "b is not swept"},
		{[]emu.Axis{{Key: "b", Values: []string{"netx", "linux"}}}, "there is no smallest value"},
		{[]emu.Axis{{Key: "b", Values: []string{"8", "4"}}}, "4 does not grow from 8"},
		{[]emu.Axis{{Key: "b", Values: []string{"900ms", "1s"}}}, "in one unit"},
		{[]emu.Axis{{Key: "a", Values: many}, {Key: "b", Values: []string{"1"}}, {Key: "c", Values: many}}, "more than 100000 combinations"},
	} {
		if _, err := emu.NewSweepFinder(&emu.SweepHeader{Axes: c.axes, Seeds: 1}, "b"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
