package emu_test

import (
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// mostAtOnce runs fleet-storm and returns the most devices that came back to the
// broker within a tenth of a second, and when the last one did.
func mostAtOnce(t *testing.T, jitter string) (most int, last sim.Time) {
	t.Helper()
	sc, err := scenarios.Open("fleet-storm")
	if err != nil {
		t.Fatal(err)
	}
	if sc, err = sc.With(scenarios.Set{Key: "jitter", Value: jitter}); err != nil {
		t.Fatal(err)
	}
	w, err := emu.New(sc, emu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	events := w.Observe(1 << 17)
	r, err := w.Run(t.Context())
	if err != nil || r.Verdict != emu.Pass {
		t.Fatalf("jitter %s: %v, %v", jitter, err, r.Checks)
	}
	if n := events.Dropped(); n > 0 {
		t.Fatalf("%d events not seen", n)
	}
	var back []sim.Time
	for e := range events.Events() {
		if e.Kind == trace.KindBrokerConnected && e.T > sim.Time(time.Minute) {
			back = append(back, e.T)
		}
	}
	if len(back) != len(sc.Devices) {
		t.Fatalf("jitter %s: %d of %d devices came back", jitter, len(back), len(sc.Devices))
	}
	first := 0
	for i, at := range back {
		for at.Sub(back[first]) >= 100*time.Millisecond {
			first++
		}
		most = max(most, i-first+1)
	}
	return most, back[len(back)-1]
}

// A fleet that lost its broker at one moment comes back at one moment, unless
// its pauses are spread. The numbers are those of the scenario's about.
func TestJitterSpreadsAFleetThatComesBack(t *testing.T) {
	herd, early := mostAtOnce(t, "0%")
	spread, late := mostAtOnce(t, "50%")
	if herd != 300 || spread > 8 || early.Seconds() > 91 || late.Seconds() > 123.5 {
		t.Errorf("without jitter %d at once, the last at %v; with jitter %d, the last at %v", herd, early, spread, late)
	}
}

// fleet-small's about promises that it works with more sensors, in a network
// that then is another one.
func TestFleetSmallGrows(t *testing.T) {
	for _, set := range []scenarios.Set{{Key: "sensors", Value: "120"}, {Key: "loss", Value: "20%"}} {
		sc, err := scenarios.Open("fleet-small")
		if err != nil {
			t.Fatal(err)
		}
		if sc, err = sc.With(set); err != nil {
			t.Fatal(err)
		}
		r, err := emu.Run(t.Context(), sc, emu.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != emu.Pass && set.Key == "sensors" {
			t.Errorf("%v: %v", set, r.Checks)
		}
		if set.Key == "loss" && len(r.Outcome.Spread) == 0 {
			t.Errorf("%v: no sensor comes off worst", set)
		}
	}
}
