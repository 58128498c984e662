package emu

import (
	"fmt"
	"time"

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
	// A run in real time was later than Options.MaxLateness: nothing was judged.
	Inconclusive Verdict = "inconclusive"
	Broken       Verdict = "broken" // the machine failed the run (disk, interface): nothing was judged
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
	// Models is how many devices are hilnet's own: of others nobody knows what they
	// published.
	Models    int
	Verdict   Verdict
	Checks    []scenarios.Verdict // the expectations, in the order of the file
	Outcome   *scenarios.Outcome
	Notes     []string // what a reader of the result must know about the models
	Files     []string // written, in the order of their creation
	From      string   // name of the recording that the run repeats
	Decisions string   // name of the decision log or list of drops that the run followed
	Events    uint64   // trace events
	Length    sim.Time // how far the run came
	Wall      time.Duration
	Lateness  sim.Lateness // in real time
	Recording Recording    // what the captures hold, if there are any
}

// A Recording counts what all capture points of a run saw together. Captured =
// Written, unless the disk failed.
type Recording struct {
	Captured uint64 // frames
	Written  uint64 // records
	Lost     uint64 // of these, marked as dropped on the link
	InFlight uint64 // on their way at the end of the run
	// Undecided were written before their fate was known, because too many
	// waited; their fate stands in the trace alone.
	Undecided uint64
	// LateFates came for frames that no record waited for.
	LateFates uint64
}

// Command returns the command that repeats the run.
func (r *Result) Command() string {
	if r.From != "" {
		return "emu run --from " + Quote(r.From)
	}
	command := fmt.Sprintf("emu run %s --seed %d", r.Source, r.Seed)
	if r.Decisions != "" {
		command += " --decisions " + Quote(r.Decisions)
	}
	return command
}

// finish ends the trace with counters and judges the run, unless runErr ended it
// early; interrupted says that this was the caller's wish.
func (w *World) finish(runErr error, interrupted bool) *Result {
	r := &Result{
		Scenario: w.sc.Name, Source: w.opt.Source, Seed: w.sc.Seed, Clock: w.sc.Clock,
		ModelBroker: w.sc.Broker.Kind == scenarios.BrokerModel && w.opt.Broker == nil && w.opt.Device == nil,
		Models:      w.sc.Models(), Length: w.loop.Now(), Lateness: w.loop.Lateness(), Files: w.files.names,
	}
	if w.opt.Decisions != nil {
		r.Decisions = w.opt.Decisions.Name
	}
	w.count()
	rules := w.unusedRules()
	why := endOfScenario
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
	r.Outcome.SetFindings(w.finds.findings())
	r.Notes = append(rules, w.notes(r.Outcome)...)
	if r.Verdict != "" {
		return r
	}
	if late, most := r.Lateness.Max, w.opt.MaxLateness; w.loop.RealTime() && most > 0 && late > most {
		r.Verdict = Inconclusive
		r.Notes = append(r.Notes, fmt.Sprintf("inconclusive: something happened %v after its moment, and at most %v was allowed: nothing was judged", late, most))
		return r
	}
	r.judge(w.sc)
	return r
}

// notes tell what a result's numbers rest on.
func (w *World) notes(o *scenarios.Outcome) []string {
	var all []string
	if w.loop.RealTime() {
		all = append(all, "real time: another run with the same seed differs; how late events ran is measured, not promised")
	}
	for _, p := range w.programs {
		if note, failed := p.note(); failed {
			all = append(all, note)
		}
	}
	if n := strangers(o); n > 0 && w.sc.Models() < len(w.sc.Devices) {
		all = append(all, fmt.Sprintf("connections of clients that are no device's: %d; mqtt: {client_id: …} in a device says that they are its own", n))
	}
	if b := &w.sc.Broker; b.Kind.AtEdge() && o.Connects == 0 && w.sc.Models() > 0 {
		all = append(all, fmt.Sprintf("nobody connected to the broker at %v port %d: is one running there that listens on that address? mosquitto 2 listens on localhost only, unless its configuration has \"listener %d\" and \"allow_anonymous true\"",
			b.Address.Addr(), b.Port, b.Port))
	}
	if g := &o.Gateway; g.Opened == 0 && g.Refused+g.Unreachable > 0 {
		all = append(all, fmt.Sprintf("the gateway could not connect anybody to %s: is a broker running there? emu explain gateway_refused and gateway_unreachable tell more", w.sc.Broker.Gateway.To))
	}
	all = append(all, w.unusedDrops()...)
	if w.recording != nil {
		all = append(all, w.recording.note())
	}
	return all
}

// strangers returns how many connections were those of no device.
func strangers(o *scenarios.Outcome) int {
	n := o.Connects
	for i := range o.Devices {
		n -= o.Devices[i].Connects
	}
	return n
}
