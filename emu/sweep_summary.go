package emu

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Confidence is the level of the intervals of a summary.
const Confidence = 0.95

// An Interval is an estimate with its confidence interval.
type Interval struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// A SweepStat sums up one metric over the seeds of a combination.
type SweepStat struct {
	Interval         // Student's t; without width when there is one run or no spread
	Min      float64 `json:"min"`
	Max      float64 `json:"max"`
	N        int64   `json:"n"` // runs that have the number
}

// A SweepRow sums up the seeds of one combination of values.
type SweepRow struct {
	Values []string `json:"values"`
	Runs   int64    `json:"runs"`
	Passed int64    `json:"passed"`
	// PassRate is the share of runs that passed, with the Wilson score interval.
	PassRate Interval `json:"pass_rate"`
	// Failing are the first runs that did not pass, at most the Sweeper's limit;
	// Runs less Passed are all.
	Failing []Failing `json:"failing,omitempty"`
	// Stats are in the order of AllMetrics.
	Stats []SweepStat `json:"-"`
}

// A Failing is a run that did not pass.
type Failing struct {
	Seed    uint64   `json:"seed"`
	Verdict Verdict  `json:"verdict"`
	Failed  []string `json:"failed,omitempty"`
	Command string   `json:"command"`
}

// A SweepSummary sums up results as they come, in the order of their jobs, and
// hands out a row when a combination is complete. It holds one combination.
type SweepSummary struct {
	// Runs, Passed and Internal count what was added.
	Runs, Passed, Internal int64

	header  SweepHeader
	failing int // how many to keep of each combination
	row     func(*SweepRow) error
	current *SweepRow
	sums    []sum
	job     int64 // of the combination
}

// sum is a running mean (Welford), which does not lose digits.
type sum struct {
	n         int64
	mean, dev float64
	min, max  float64
}

func (s *sum) add(x float64) {
	s.n++
	if s.n == 1 {
		s.min, s.max = x, x
	}
	s.min, s.max = min(s.min, x), max(s.max, x)
	d := x - s.mean
	s.mean += d / float64(s.n)
	s.dev += float64(d * (x - s.mean)) // float64: never fused, the same on every machine
}

// NewSweepSummary returns a summary that calls row for each combination and
// keeps so many failing runs of each.
func NewSweepSummary(h SweepHeader, failing int, row func(*SweepRow) error) *SweepSummary {
	return &SweepSummary{header: h, failing: failing, row: row}
}

// Add adds a result.
func (s *SweepSummary) Add(r *SweepRun) error {
	combination := r.Job / int64(s.header.Seeds)
	if s.current != nil && combination != s.job {
		if err := s.Close(); err != nil {
			return err
		}
	}
	if s.current == nil {
		s.current, s.job = &SweepRow{Values: r.Values}, combination
		s.sums = make([]sum, len(allMetrics))
	}
	c := s.current
	c.Runs++
	s.Runs++
	switch {
	case r.Verdict == Pass:
		c.Passed++
		s.Passed++
	case len(c.Failing) < s.failing:
		c.Failing = append(c.Failing, Failing{r.Seed, r.Verdict, r.Failed, s.header.Command(r)})
	}
	if r.Verdict == VerdictInternal {
		s.Internal++
		return nil // it has no numbers
	}
	for i := range allMetrics {
		if x, ok := allMetrics[i].Of(&r.Metrics); ok {
			s.sums[i].add(x)
		}
	}
	return nil
}

// Close hands out the last row.
func (s *SweepSummary) Close() error {
	c := s.current
	if c == nil {
		return nil
	}
	s.current = nil
	c.PassRate = Wilson(c.Passed, c.Runs)
	for _, m := range s.sums {
		c.Stats = append(c.Stats, m.stat())
	}
	return s.row(c)
}

func (s *sum) stat() SweepStat {
	out := SweepStat{Interval: Interval{s.mean, s.mean, s.mean}, Min: s.min, Max: s.max, N: s.n}
	if s.n > 1 && s.dev > 0 {
		t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(s.n - 1)}.Quantile(1 - (1-Confidence)/2)
		width := float64(t * math.Sqrt(s.dev/float64(s.n-1)/float64(s.n))) // float64: as above
		out.Low, out.High = s.mean-width, s.mean+width
	}
	return out
}

// Wilson returns a share with its Wilson score interval, which stays between 0
// and 1 and has a width even where all or none passed.
func Wilson(passed, runs int64) Interval {
	if runs == 0 {
		return Interval{0, 0, 1}
	}
	n := float64(runs)
	p := float64(passed) / n
	z := distuv.UnitNormal.Quantile(1 - (1-Confidence)/2)
	z2 := z * z
	centre := (p + z2/(2*n)) / (1 + z2/n)
	width := float64(z / (1 + z2/n) * math.Sqrt(p*(1-p)/n+z2/(4*n*n))) // float64: never fused
	return Interval{p, min(p, max(0, centre-width)), max(p, min(1, centre+width))}
}

// Stat returns what a row has of a metric.
func (r *SweepRow) Stat(metric string) (SweepStat, bool) {
	i := slices.IndexFunc(allMetrics, func(m Metric) bool { return m.Name == metric })
	if i < 0 || i >= len(r.Stats) {
		return SweepStat{}, false
	}
	return r.Stats[i], true
}
