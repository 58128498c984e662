package page

import "hilnet/emu"

// A Sweep is what a sweep came to.
type Sweep struct {
	Header   emu.SweepHeader `json:"header"`
	Metrics  []Metric        `json:"metrics"`
	Rows     []SweepRow      `json:"rows"`
	Runs     int64           `json:"runs"`
	Passed   int64           `json:"passed"`
	Internal int64           `json:"internal"`
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

// An Exploration is what losing single frames came to.
type Exploration struct {
	*emu.Exploration
}
