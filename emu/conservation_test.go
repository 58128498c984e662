package emu

import (
	"strings"
	"testing"

	"hilnet/scenarios"
	"hilnet/trace"
)

// In + duplicated + generated = out + dropped + in flight, at each stage of each
// link, and as many drop events as the counters say: computed here from the
// trace alone, without the code that the product uses for it.
func TestEveryFrameIsAccountedForAtEveryStage(t *testing.T) {
	for _, name := range []string{"link-drop", "clean-link", "keepalive-lost", "pool-starved"} {
		for _, seed := range []uint64{1, 2, 3} {
			r := record(t, open(t, name), Options{Seed: &seed})
			stages := 0
			for i := range r.events {
				e := &r.events[i]
				if _, ok := e.Value(scenarios.ValueIn); e.Kind != trace.KindCounters || !ok {
					continue
				}
				stages++
				checkStage(t, r, e)
			}
			if stages != 10 { // two directions, each with blackhole, loss, rate, delay
				t.Errorf("%s: counters of %d stages", name, stages)
			}
			if len(r.Outcome.ConservationErrors) > 0 {
				t.Errorf("%s seed %d: %v", name, seed, r.Outcome.ConservationErrors)
			}
		}
	}
}

func checkStage(t *testing.T, r *recording, e *trace.Event) {
	t.Helper()
	value := func(name string) int64 {
		n, ok := e.Value(name)
		if !ok {
			t.Fatalf("%s/%s has no counter %q", e.Node, e.Stage, name)
		}
		return n
	}
	in := value(scenarios.ValueIn) + value(scenarios.ValueDuplicated) + value(scenarios.ValueGenerated)
	out := value(scenarios.ValueOut) + value(scenarios.ValueDropped) + value(scenarios.ValueInFlight)
	if in != out {
		t.Errorf("%s %s/%s: %d in, %d out", r.Scenario, e.Node, e.Stage, in, out)
	}
	drops := r.count(trace.KindDrop, func(d *trace.Event) bool {
		return d.Node == e.Node && (d.Stage == e.Stage || strings.HasPrefix(d.Stage, e.Stage+"/"))
	})
	if int64(drops) != value(scenarios.ValueDropped) {
		t.Errorf("%s %s/%s: %d drop events, the counter says %d", r.Scenario, e.Node, e.Stage, drops, value(scenarios.ValueDropped))
	}
}

// Frames on a long link when the run ends are in flight, not lost.
func TestFramesUnderWayAtTheEndAreInFlight(t *testing.T) {
	r := record(t, load(t, `
version: 1
name: long-link
duration: 10s
devices:
  - profile: linux
    pool: {packets: 200}
    steps: [connect, every: {period: 100ms, do: [publish: {topic: t, payload: "{n}", qos: 0}]}]
links: [delay: 900ms]
broker: {kind: model}
`), Options{})
	if up := r.Outcome.Links[0].Up; up.InFlight < 5 || up.Entered != up.Arrived+up.InFlight {
		t.Errorf("%+v", up)
	}
	if len(r.Outcome.ConservationErrors) > 0 {
		t.Error(r.Outcome.ConservationErrors)
	}
}
