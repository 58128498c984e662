package distance

import (
	"slices"
	"time"
)

// A Report says how far the device of a capture B is from the one of A. Lists are
// never null.
type Report struct {
	// Distance is 0 for the same behaviour and 100 for nothing in common: the mean
	// distance of the behaviours that either device showed, by their weights.
	Distance  float64       `json:"distance"`
	Tolerance time.Duration `json:"tolerance"` // times that are no farther apart count as the same
	A         *Capture      `json:"a"`
	B         *Capture      `json:"b"`
	// OutagesCompared tells that what was done in outages is compared: they are known of
	// both, and of the same kinds.
	OutagesCompared bool      `json:"outages_compared"`
	Classes         []Class   `json:"classes"`
	Measures        []Measure `json:"behaviours"`
}

// A Class is the distance of behaviours that belong together.
type Class struct {
	Name     string  `json:"name"`
	Weight   int     `json:"weight"`
	Distance float64 `json:"distance"`
}

// A Measure is the comparison of one behaviour.
type Measure struct {
	Name   string `json:"name"`
	Class  string `json:"class"`
	Text   string `json:"text"`
	Weight int    `json:"weight"`
	// Shown tells that there is something to compare. What is not shown counts nothing.
	Shown    bool    `json:"shown"`
	Distance float64 `json:"distance"` // from 0 to 100
	A        int     `json:"a"`        // samples
	B        int     `json:"b"`
	Matches  int     `json:"matches"` // same, and at the same time
	Changed  int     `json:"changed"` // both did it with other values
	Late     Lags    `json:"late"`    // same but for the time: B was later
	Early    Lags    `json:"early"`   // B was earlier
	Missing  int     `json:"missing"` // only A did it
	Extra    int     `json:"extra"`   // only B did it
	Unasked  int     `json:"unasked"` // answers to what only one of the peers asked; they count nothing
	Unlisted int     `json:"unlisted"`
	Lines    []Line  `json:"lines"` // the samples that do not match, in order
}

// Lags are the times by which samples are apart.
type Lags struct {
	N   int           `json:"n"`
	P50 time.Duration `json:"p50"`
	Max time.Duration `json:"max"`
	all []time.Duration
}

func (l *Lags) add(d time.Duration) { l.all = append(l.all, d) }

func (l *Lags) sum() {
	slices.Sort(l.all)
	if l.N = len(l.all); l.N > 0 {
		l.P50, l.Max = l.all[(l.N-1)/2], l.all[l.N-1]
	}
	l.all = nil
}

// A Line is a sample that does not match.
type Line struct {
	// Kind is late, early, changed, missing or extra.
	Kind   string         `json:"kind"`
	Fields []string       `json:"fields"` // of changed
	AFrame uint64         `json:"a_frame,omitempty"`
	BFrame uint64         `json:"b_frame,omitempty"`
	A      string         `json:"a,omitempty"`
	B      string         `json:"b,omitempty"`
	AAfter *time.Duration `json:"a_after,omitempty"` // since its cause
	BAfter *time.Duration `json:"b_after,omitempty"`
}

// The kinds of lines.
const (
	KindLate    = "late"
	KindEarly   = "early"
	KindChanged = "changed"
	KindMissing = "missing"
	KindExtra   = "extra"
)
