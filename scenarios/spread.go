package scenarios

import (
	"cmp"
	"slices"
)

// MaxWorst bounds the devices that a Spread names.
const MaxWorst = 5

// A Spread is how one number is spread over the devices of a run. A percentile is
// by nearest rank, counted from the best device: so many percent fare no worse.
type Spread struct {
	// The number, as in devices.
	Name string `json:"name"`
	// Whether it is a time in nanoseconds.
	Time bool `json:"time"`
	// Devices that have it: one to which nothing was acknowledged has no latency.
	Devices int `json:"devices"`
	// Percentiles.
	P50 int64 `json:"p50"`
	P95 int64 `json:"p95"`
	P99 int64 `json:"p99"`
	// The devices that fare worse than the median, the worst first, at most 5.
	Worst []Ranked `json:"worst"`
}

// A Ranked is one device of a Spread.
type Ranked struct {
	Device string `json:"device"`
	Value  int64  `json:"value"`
}

// A rank is a number of a device in which it can fare worse than others.
type rank struct {
	name string
	time bool
	low  bool // less is worse
	has  func(*DeviceOutcome) bool
	get  func(*DeviceOutcome) int64
}

func everyDevice(*DeviceOutcome) bool { return true }

func acknowledged(d *DeviceOutcome) bool { return d.Acknowledged > 0 }

var ranks = []rank{
	{"latency_p50", true, false, acknowledged, func(d *DeviceOutcome) int64 { return int64(d.LatencyP50) }},
	{"latency_p99", true, false, acknowledged, func(d *DeviceOutcome) int64 { return int64(d.LatencyP99) }},
	{"lost", false, false, everyDevice, func(d *DeviceOutcome) int64 { return int64(d.Lost) }},
	{"publish_errors", false, false, everyDevice, func(d *DeviceOutcome) int64 { return int64(d.PublishErrors) }},
	{"connect_errors", false, false, everyDevice, func(d *DeviceOutcome) int64 { return int64(d.ConnectErrors) }},
	{"disconnects", false, false, everyDevice, func(d *DeviceOutcome) int64 { return int64(d.Disconnects) }},
	{"ping_timeouts", false, false, everyDevice, func(d *DeviceOutcome) int64 { return int64(d.PingTimeouts) }},
	{"drops.total", false, false, everyDevice, func(d *DeviceOutcome) int64 { return int64(d.Drops.Total) }},
	{"pool.min_free", false, true, everyDevice, func(d *DeviceOutcome) int64 { return int64(d.Pool.MinFree) }},
	{"pool.empty_requests", false, false, everyDevice, func(d *DeviceOutcome) int64 { return int64(d.Pool.EmptyRequests) }},
}

// spread compares the devices with each other. Of one alone there is nothing to
// say.
func spread(devices []DeviceOutcome) []Spread {
	if len(devices) < 2 {
		return nil
	}
	all := make([]Spread, 0, len(ranks))
	for _, r := range ranks {
		var of []Ranked
		for i := range devices {
			if d := &devices[i]; r.has(d) {
				of = append(of, Ranked{d.Name, r.get(d)})
			}
		}
		s := Spread{Name: r.name, Time: r.time, Devices: len(of), Worst: []Ranked{}}
		if len(of) > 0 {
			// The best first; of equals, as the scenario has them.
			slices.SortStableFunc(of, func(a, b Ranked) int {
				if r.low {
					a, b = b, a
				}
				return cmp.Compare(a.Value, b.Value)
			})
			at := func(percent int) int64 { return of[(len(of)*percent+99)/100-1].Value }
			s.P50, s.P95, s.P99 = at(50), at(95), at(99)
			s.Worst = worst(of, s.P50)
		}
		all = append(all, s)
	}
	return all
}

// worst takes the last ones that are not as the median is, the worst first. Of
// equals the first of the scenario comes first.
func worst(of []Ranked, median int64) []Ranked {
	all := []Ranked{}
	for end := len(of); end > 0 && len(all) < MaxWorst && of[end-1].Value != median; {
		begin := end - 1
		for begin > 0 && of[begin-1].Value == of[end-1].Value {
			begin--
		}
		all = append(all, of[begin:min(end, begin+MaxWorst-len(all))]...)
		end = begin
	}
	return all
}
