package emu

import (
	"fmt"
	"time"

	"hilnet/link"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// A Verdict says how a run ended.
type Verdict string

// The verdicts.
const (
	Pass        Verdict = "pass"        // every expectation holds
	Fail        Verdict = "fail"        // an expectation does not
	Interrupted Verdict = "interrupted" // the run was stopped before its end: nothing was judged
	Broken      Verdict = "broken"      // the machine failed the run (disk, interface): nothing was judged
)

// A Result is what came of a run.
type Result struct {
	Scenario string
	Source   string // how the user named the scenario
	Seed     uint64
	Clock    scenarios.Clock
	// ModelBroker says that the broker is hilnet's, so that the outcome knows what
	// was delivered.
	ModelBroker bool
	Verdict     Verdict
	Checks      []scenarios.Verdict // the expectations, in the order of the file
	Outcome     *scenarios.Outcome
	Notes       []string // what a reader of the result must know about the models
	Files       []string // written, in the order of their creation
	Events      uint64   // trace events
	Length      sim.Time // how far the run came
	Wall        time.Duration
	Lateness    sim.Lateness // in real time
}

// Command returns the command that repeats the run.
func (r *Result) Command() string {
	return fmt.Sprintf("emu run %s --seed %d", r.Source, r.Seed)
}

// finish ends the trace with counters and judges the run, unless runErr ended it
// early; interrupted says that this was the caller's wish.
func (w *World) finish(runErr error, interrupted bool) *Result {
	r := &Result{
		Scenario: w.sc.Name, Source: w.opt.Source, Seed: w.sc.Seed, Clock: w.sc.Clock,
		ModelBroker: w.sc.Broker.Kind == scenarios.BrokerModel,
		Length:      w.loop.Now(), Lateness: w.loop.Lateness(), Files: w.files.names, Notes: w.notes(),
	}
	w.count()
	why := "end of the scenario"
	switch {
	case runErr == nil:
	case interrupted:
		r.Verdict, why = Interrupted, "interrupted"
	default:
		r.Verdict, why = Broken, runErr.Error()
	}
	w.trace.Emit(trace.Event{Kind: trace.KindEnd, Text: why, Count: int64(w.loop.Now())})
	r.Events = w.trace.Events()
	r.Outcome = w.tally.Outcome()
	if r.Verdict != "" {
		return r
	}
	r.Checks = r.Outcome.Judge(w.sc)
	r.Verdict = Pass
	for _, c := range r.Checks {
		if !c.Passed {
			r.Verdict = Fail
		}
	}
	return r
}

// notes tell what a result's numbers rest on.
func (w *World) notes() []string {
	var all []string
	if w.loop.RealTime() {
		all = append(all, "real time: another run with the same seed differs; how late events ran is measured, not promised")
	}
	if w.recording != nil {
		all = append(all, w.recording.note())
	}
	return all
}

// count writes the counters of all parts into the trace and checks them.
func (w *World) count() {
	for _, d := range w.devices {
		s := d.pool.Stats()
		w.counters(d.cfg.Name, scenarios.StagePool,
			trace.Value{Name: scenarios.ValueTotal, N: int64(s.Total)},
			trace.Value{Name: scenarios.ValueFree, N: int64(s.Free)},
			trace.Value{Name: scenarios.ValueMinFree, N: int64(s.MinFree)},
			trace.Value{Name: scenarios.ValueEmptyRequests, N: int64(s.EmptyRequests)})
		must(d.pool.Check())
	}
	w.recording.count(w)
	for _, l := range w.links {
		must(l.Check())
		for _, way := range []*cableWay{l.up, l.down} {
			w.linkCounters(l.Name, way.path.Name, way.path.Counters())
			for _, s := range way.path.StageCounters() {
				w.linkCounters(l.Name, s.Path, s.Counters)
			}
		}
	}
}

func (w *World) linkCounters(name, stage string, c link.Counters) {
	w.counters(name, stage,
		trace.Value{Name: scenarios.ValueIn, N: int64(c.In)},
		trace.Value{Name: scenarios.ValueDuplicated, N: int64(c.Duplicated)},
		trace.Value{Name: scenarios.ValueGenerated, N: int64(c.Generated)},
		trace.Value{Name: scenarios.ValueOut, N: int64(c.Out)},
		trace.Value{Name: scenarios.ValueDropped, N: int64(c.Dropped)},
		trace.Value{Name: scenarios.ValueInFlight, N: int64(c.InFlight)})
}

func (w *World) counters(node, stage string, values ...trace.Value) {
	w.trace.Emit(trace.Event{Kind: trace.KindCounters, Node: node, Stage: stage, Values: values})
}
