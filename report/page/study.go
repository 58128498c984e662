package page

import (
	"fmt"
	"strings"

	"hilnet/emu"
	"hilnet/report"
)

// MaxRows is how many combinations of values the page of a sweep shows.
const MaxRows = 20_000

// A Sweep is what a sweep came to.
type Sweep struct {
	Header   emu.SweepHeader `json:"header"`
	Metrics  []Metric        `json:"metrics"`
	Rows     []SweepRow      `json:"rows"`
	Runs     int64           `json:"runs"`
	Passed   int64           `json:"passed"`
	Internal int64           `json:"internal"`
	Omitted  int             `json:"omitted"` // rows beyond MaxRows
	// Found is what --find looked for, and Key where.
	Key   string           `json:"key,omitempty"`
	Found []emu.SweepFound `json:"found,omitempty"`
}

// A Metric is a number that each run of a sweep has.
type Metric struct {
	Name string `json:"name"`
	Time bool   `json:"time"` // in nanoseconds
}

// A SweepRow is one combination of values.
type SweepRow struct {
	Values   []string        `json:"values"`
	Runs     int64           `json:"runs"`
	Passed   int64           `json:"passed"`
	PassRate emu.Interval    `json:"pass_rate"`
	Stats    []emu.SweepStat `json:"stats"` // in the order of the metrics
	Failing  []emu.Failing   `json:"failing"`
}

// An Exploration is what losing single frames came to. The frames and events of
// its page are those of the run without a loss.
type Exploration struct {
	*emu.Exploration
}

// NewSweep returns a Builder of the page of a sweep, which is given its rows as
// they come.
func NewSweep(h emu.SweepHeader) *Builder {
	s := &Sweep{Header: h, Rows: []SweepRow{}}
	for _, m := range emu.AllMetrics() {
		s.Metrics = append(s.Metrics, Metric{m.Name, m.Time})
	}
	b := NewBuilder(Head{Kind: "sweep", Hilnet: emu.Version, Title: h.Scenario, Sweep: s})
	b.head.Run = report.Run{Scenario: h.Scenario, Source: h.Source, Seed: h.FirstSeed}
	b.head.Versions = []Named{{"hilnet", h.Hilnet}, {"go", h.Go}}
	return b
}

// Row adds a combination of values.
func (b *Builder) Row(r *emu.SweepRow) {
	s := b.head.Sweep
	if len(s.Rows) >= MaxRows {
		s.Omitted++
		return
	}
	row := SweepRow{Values: r.Values, Runs: r.Runs, Passed: r.Passed, PassRate: r.PassRate, Stats: r.Stats, Failing: r.Failing}
	if row.Failing == nil {
		row.Failing = []emu.Failing{}
	}
	if row.Values == nil {
		row.Values = []string{}
	}
	s.Rows = append(s.Rows, row)
}

// EndSweep adds what the rows come to; f may be nil.
func (b *Builder) EndSweep(sum *emu.SweepSummary, f *emu.SweepFinder) {
	s := b.head.Sweep
	s.Runs, s.Passed, s.Internal = sum.Runs, sum.Passed, sum.Internal
	if f != nil {
		s.Key, s.Found = f.Key(), f.Found()
	}
	b.head.Judged = true
	b.head.Run.Verdict = emu.Pass
	switch {
	case sum.Internal > 0:
		b.head.Run.Verdict = emu.VerdictInternal
	case sum.Passed < sum.Runs:
		b.head.Run.Verdict = emu.Fail
	}
	b.lists()
}

// Explored makes the page of a run that of an exploration, of which the run is
// the one without a loss.
func (b *Builder) Explored(e *emu.Exploration) {
	b.head.Kind, b.head.Exploration = "explore", &Exploration{e}
	b.head.Run.Verdict, b.head.Judged = emu.Pass, true
	switch {
	case e.Internal > 0:
		b.head.Run.Verdict = emu.VerdictInternal
	case len(e.Fatal) > 0:
		b.head.Run.Verdict = emu.Fail
	}
	for i := range e.Fatal {
		r := &e.Fatal[i]
		why := strings.Join(r.Failed, "; ")
		for _, f := range r.Findings {
			why += strings.Repeat("; ", min(1, len(why))) + f.Name
		}
		if r.Error != "" {
			why = "internal error: " + r.Error
		}
		for k := range r.Drops {
			d := &r.Drops[k]
			text := why
			if len(r.Drops) > 1 {
				other := &r.Drops[1-min(k, 1)]
				text = fmt.Sprintf("together with %s: %s", other.Name(), why)
			}
			b.fatal = append(b.fatal, Fatal{Lane: max(0, b.laneOfLink(d.Link)), Up: d.Dir == "up", Ordinal: d.Frame, Text: strings.ToValidUTF8(text, "\uFFFD")})
		}
	}
	b.lists()
}
