package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"

	"hilnet/emu"
	"hilnet/scenarios"
)

// Version is the version of the JSON document. It grows when a key changes its
// meaning or goes away; new keys do not change it.
const Version = 1

// Format names the kind of document.
const Format = "hilnet-run"

// Schema is the JSON Schema (draft 2020-12) of a Document.
//
//go:embed schema.json
var Schema []byte

// A Document is the results of one call of emu run, of one scenario or many.
type Document struct {
	// Always hilnet-run.
	Format string `json:"format" jsonschema:"enum=hilnet-run"`
	// Version of this format: it grows when a key changes its meaning or goes away.
	Version int `json:"version" jsonschema:"enum=1"`
	// Version of hilnet.
	Hilnet string `json:"hilnet"`
	// Version of Go.
	Go string `json:"go"`
	// The worst of the runs' verdicts.
	Verdict Verdict `json:"verdict" jsonschema:"enum=pass,enum=inconclusive,enum=fail,enum=invalid,enum=broken,enum=internal,enum=interrupted"`
	// The exit code of the command.
	ExitCode int `json:"exit_code" jsonschema:"enum=0,enum=1,enum=2,enum=3,enum=4,enum=5,enum=130"`
	// One for each scenario, in the order of the command line.
	Runs []Run `json:"runs"`
}

// A Run is the result of one scenario.
type Run struct {
	// Name of the scenario; of one that is invalid, the name of its file.
	Scenario string `json:"scenario"`
	// How the command line named it.
	Source string `json:"source"`
	// pass: every expectation holds. inconclusive: it was too late, in real time. fail: one does not. invalid: the scenario is wrong. broken: the machine lacks something. internal: a bug in hilnet. interrupted: stopped before its end.
	Verdict Verdict `json:"verdict" jsonschema:"enum=pass,enum=inconclusive,enum=fail,enum=invalid,enum=broken,enum=internal,enum=interrupted"`
	// The exit code that the run alone would have had.
	ExitCode int `json:"exit_code" jsonschema:"enum=0,enum=1,enum=2,enum=3,enum=4,enum=5,enum=130"`
	// Why the run was not judged.
	Error string `json:"error,omitempty"`
	// The command that repeats the run.
	Command string `json:"command,omitempty"`
	// Seed of every random draw.
	Seed uint64 `json:"seed"`
	// virtual or real.
	Clock scenarios.Clock `json:"clock,omitempty" jsonschema:"enum=virtual,enum=real"`
	// Time of the run in nanoseconds: how far it came.
	Length time.Duration `json:"length"`
	// Time that it took in nanoseconds. The only number that differs when the run is repeated.
	Wall time.Duration `json:"wall"`
	// Number of events in the trace.
	Events uint64 `json:"events"`
	// The expectations in the order of the scenario.
	Checks []Check `json:"checks"`
	// What came of the run; missing when it did not begin. Times are in nanoseconds.
	Outcome *scenarios.Outcome `json:"outcome,omitempty"`
	// Whether delivered, lost and duplicated are known: they are not with a real broker.
	DeliveryKnown bool `json:"delivery_known"`
	// How late events were in real time, in nanoseconds.
	Lateness *Lateness `json:"lateness,omitempty"`
	// What the captures hold; missing when the run made none.
	Recording *Recording `json:"recording,omitempty"`
	// What a reader of the result must know about the models.
	Notes []string `json:"notes"`
	// The files that the run wrote.
	Files []string `json:"files"`
}

// A Check is what became of one expectation.
type Check struct {
	// The expectation in words.
	Text string `json:"text"`
	// The expression.
	That string `json:"that"`
	// Whether it holds.
	Passed bool `json:"passed"`
	// Why it does not.
	Why string `json:"why,omitempty"`
	// The event of the trace that decided a failure.
	Moment *scenarios.Moment `json:"moment,omitempty"`
}

// Recording counts what all captures of a run hold together.
type Recording struct {
	// Frames that passed the capture points, and their records.
	Captured uint64 `json:"captured"`
	Written  uint64 `json:"written"`
	// Records of frames that were dropped on the link, or on their way at the end.
	Lost     uint64 `json:"lost"`
	InFlight uint64 `json:"in_flight"`
	// Records written before the fate of their frame was known, because too many waited; it stands in the trace.
	Undecided uint64 `json:"undecided"`
	// Fates of frames of which no record waited.
	LateFates uint64 `json:"late_fates"`
}

// Lateness is how long after their moment events happened.
type Lateness struct {
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
}

// A Verdict says how a run ended: one of package emu's, or Invalid.
type Verdict = emu.Verdict

// Invalid is the verdict on a scenario that is wrong.
const Invalid Verdict = "invalid"

// verdicts are all of them with their exit codes, the worst last.
var verdicts = []struct {
	verdict Verdict
	code    int
}{
	{emu.Pass, 0},
	{emu.Inconclusive, 5},
	{emu.Fail, 1},
	{Invalid, 2},
	{emu.Broken, 3},
	{emu.VerdictInternal, 4},
	{emu.Interrupted, 130},
}

// ExitCode returns the exit code of a verdict.
func ExitCode(v Verdict) int { return verdicts[rank(v)].code }

func rank(v Verdict) int {
	for i, known := range verdicts {
		if known.verdict == v {
			return i
		}
	}
	panic(fmt.Sprintf("report: unknown verdict %q", v))
}

// New returns the document of some runs.
func New(runs ...Run) *Document {
	d := &Document{Format: Format, Version: Version, Hilnet: emu.Version, Go: runtime.Version(), Verdict: emu.Pass, Runs: runs}
	for i := range runs {
		if rank(runs[i].Verdict) > rank(d.Verdict) {
			d.Verdict = runs[i].Verdict
		}
	}
	d.ExitCode = ExitCode(d.Verdict)
	return d
}

// NewRun returns a run from its result.
func NewRun(r *emu.Result, source string) Run {
	run := Run{
		Scenario: r.Scenario, Source: source, Verdict: r.Verdict, ExitCode: ExitCode(r.Verdict), Command: r.Command(),
		Seed: r.Seed, Clock: r.Clock, Length: time.Duration(r.Length), Wall: r.Wall, Events: r.Events,
		Outcome: r.Outcome, DeliveryKnown: r.ModelBroker, Notes: r.Notes, Files: r.Files,
	}
	for _, c := range r.Checks {
		run.Checks = append(run.Checks, Check{c.Text, c.That, c.Passed, c.Why, c.Moment})
	}
	if r.Recording.Captured > 0 {
		rec := Recording(r.Recording)
		run.Recording = &rec
	}
	if r.Clock == scenarios.Real {
		run.Lateness = &Lateness{r.Lateness.Quantile(0.5), r.Lateness.Quantile(0.99), r.Lateness.Max}
	}
	return run
}

// Failed returns a run that was not judged because of an error.
func Failed(scenario, source string, v Verdict, err error) Run {
	return Run{Scenario: scenario, Source: source, Verdict: v, ExitCode: ExitCode(v), Error: err.Error()}
}

// WriteJSON writes the document. Lists are never null.
func (d *Document) WriteJSON(w io.Writer) error {
	own := *d
	own.Runs = make([]Run, len(d.Runs))
	for i, r := range d.Runs {
		r.Checks, r.Notes, r.Files = filled(r.Checks), filled(r.Notes), filled(r.Files)
		if r.Outcome != nil {
			o := *r.Outcome
			o.ConservationErrors, o.Devices, o.Links = filled(o.ConservationErrors), filled(o.Devices), filled(o.Links)
			o.Spread, o.Findings = filled(o.Spread), filled(o.Findings)
			r.Outcome = &o
		}
		own.Runs[i] = r
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&own); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
