package emu

import (
	"fmt"
	"slices"
	"strings"
)

// maxFindGroups bounds what a SweepFinder holds.
const maxFindGroups = 100_000

// A SweepFinder looks for the smallest value of one axis from which on every
// run passed, for each combination of the values of the others. A smaller value
// that passed below one that failed does not count: chance, or a stack that does
// better with less, is nothing to build on.
type SweepFinder struct {
	key    string
	axis   int
	values int // of the axis
	seeds  int64
	groups []*findGroup // in the order of their first runs
	index  map[string]*findGroup
}

type findGroup struct {
	values    []string
	rows      int // that are whole
	first     string
	candidate *SweepRow
	below     *SweepRow
}

// A SweepFound is what a SweepFinder found beside one combination of the values
// of the other axes.
type SweepFound struct {
	// Values are those of all axes; "" stands for the one that was looked for.
	Values []string `json:"values"`
	// Complete says that each of the values was tried with every seed. Without it
	// nothing is found.
	Complete bool `json:"complete"`
	// Value is the smallest one from which on every run passed, "" when the largest
	// one failed.
	Value string `json:"value,omitempty"`
	// Row is that of Value.
	Row *SweepRow `json:"row,omitempty"`
	// Below is the row of the largest value that failed, if any did.
	Below *SweepRow `json:"below,omitempty"`
	// Smallest is a smaller value than Value (or than one that failed) which passed
	// with every seed all the same, "" when there is none.
	Smallest string `json:"smallest,omitempty"`
}

// NewSweepFinder returns a finder for the key of an axis, whose values must grow.
func NewSweepFinder(h *SweepHeader, key string) (*SweepFinder, error) {
	at := slices.IndexFunc(h.Axes, func(a Axis) bool { return a.Key == key })
	if at < 0 {
		return nil, fmt.Errorf("emu: %s is not swept (give it values, as in --set %s=4..64)", key, key)
	}
	groups := int64(1)
	for i, a := range h.Axes {
		if i != at {
			groups *= int64(len(a.Values))
		}
		if groups > maxFindGroups {
			return nil, fmt.Errorf("emu: %s is looked for beside more than %d combinations (write larger steps)", key, maxFindGroups)
		}
	}
	values := h.Axes[at].Values
	var last quantity
	for i, v := range values {
		q, err := parseQuantity(v)
		if err != nil {
			return nil, fmt.Errorf("emu: %s: there is no smallest value: %w", key, err)
		}
		if i > 0 && (q.unit != last.unit || q.n.Cmp(last.n) <= 0) {
			return nil, fmt.Errorf("emu: %s: %s does not grow from %s (write the values in one unit and in ascending order)", key, v, values[i-1])
		}
		last = q
	}
	return &SweepFinder{key: key, axis: at, values: len(values), seeds: int64(h.Seeds), index: map[string]*findGroup{}}, nil
}

// Key returns the key that is looked for.
func (f *SweepFinder) Key() string { return f.key }

// Add adds a row, in the order in which a [SweepSummary] hands them out.
func (f *SweepFinder) Add(r *SweepRow) {
	values := slices.Clone(r.Values)
	value := values[f.axis]
	values[f.axis] = ""
	name := strings.Join(values, "\x00")
	g := f.index[name]
	if g == nil {
		g = &findGroup{values: values}
		f.index[name] = g
		f.groups = append(f.groups, g)
	}
	if r.Runs == f.seeds {
		g.rows++
	}
	if r.Passed < r.Runs {
		g.candidate, g.below = nil, r
		return
	}
	if g.first == "" {
		g.first = value
	}
	if g.candidate == nil {
		g.candidate = r
	}
}

// Found returns what was found, a result for each combination of the other axes
// that had a row.
func (f *SweepFinder) Found() []SweepFound {
	var all []SweepFound
	for _, g := range f.groups {
		found := SweepFound{Values: g.values, Complete: g.rows == f.values, Below: g.below}
		if found.Complete && g.candidate != nil {
			found.Row, found.Value = g.candidate, g.candidate.Values[f.axis]
		}
		if g.first != found.Value && (g.candidate == nil || g.first != g.candidate.Values[f.axis]) {
			found.Smallest = g.first
		}
		all = append(all, found)
	}
	return all
}
