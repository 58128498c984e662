package emu

import (
	"errors"
	"fmt"
	"io"

	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// Judge makes the result of a run again, of its scenario and its trace: outcome,
// findings and verdict are functions of these two. What only the run itself
// knew is missing: how long it took, its files, its notes. Each is called with
// every event, which is valid during the call only. A trace without its end
// gives a result that is interrupted.
func Judge(sc *scenarios.Scenario, r *trace.Reader, each func(*trace.Event)) (*Result, error) {
	h := r.Header()
	out := &Result{
		Scenario: sc.Name, Source: sc.Name, Seed: h.Seed, Clock: scenarios.Clock(h.Clock),
		ModelBroker: sc.Broker.Kind == scenarios.BrokerModel, Models: sc.Models(), Verdict: Interrupted,
	}
	if h.Scenario != sc.Name {
		return nil, fmt.Errorf("emu: the trace is of the scenario %q, not of %q", h.Scenario, sc.Name)
	}
	tally, finds := scenarios.NewTally(sc), newFinder(sc)
	var failed error
	for {
		e, err := r.Read()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				failed = err // what was read before counts
			}
			break
		}
		tally.Add(&e)
		finds.add(&e)
		if each != nil {
			each(&e)
		}
		out.Events++
		out.Length = max(out.Length, e.T)
		if e.Kind == trace.KindEnd {
			out.Length = sim.Time(e.Count)
			if e.Text == endOfScenario {
				out.Verdict = ""
			}
		}
	}
	out.Outcome = tally.Outcome()
	out.Outcome.SetFindings(finds.findings())
	if out.Verdict == "" {
		out.judge(sc)
	}
	return out, failed
}

// endOfScenario is the text of the end event of a run that came to its end.
const endOfScenario = "end of the scenario"

// judge sets the verdict.
func (r *Result) judge(sc *scenarios.Scenario) {
	r.Checks = r.Outcome.Judge(sc)
	r.Verdict = Pass
	for _, c := range r.Checks {
		if !c.Passed {
			r.Verdict = Fail
		}
	}
}
