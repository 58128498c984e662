package emu

import (
	"time"

	"hilnet/scenarios"
)

// Metrics are the numbers of a run that a sweep keeps. Their names are those of
// [scenarios.Outcome]; times are in nanoseconds.
type Metrics struct {
	Published          int           `json:"published"`
	PublishErrors      int           `json:"publish_errors"`
	Acknowledged       int           `json:"acknowledged"`
	Delivered          int           `json:"delivered"`
	Lost               int           `json:"lost"`
	Duplicated         int           `json:"duplicated"`
	Received           int           `json:"received"`
	Connects           int           `json:"connects"`
	ConnectErrors      int           `json:"connect_errors"`
	Reconnects         int           `json:"reconnects"`
	Disconnects        int           `json:"disconnects"`
	PingTimeouts       int           `json:"ping_timeouts"`
	Reboots            int           `json:"reboots"`
	LatencyP50         time.Duration `json:"latency_p50"`
	LatencyP95         time.Duration `json:"latency_p95"`
	LatencyP99         time.Duration `json:"latency_p99"`
	LatencyMax         time.Duration `json:"latency_max"`
	LastAckTime        time.Duration `json:"last_ack_time"`
	Drops              int           `json:"drops"`               // all reasons together
	PoolMinFree        int           `json:"pool_min_free"`       // the smallest of all devices
	PoolEmptyRequests  int           `json:"pool_empty_requests"` // of all devices together
	PoolMemory         int           `json:"pool_memory"`         // bytes of all devices' pools together, packet headers included
	ConservationErrors int           `json:"conservation_errors"`
	Findings           int           `json:"findings"`
}

// A Metric is one of the numbers of [Metrics].
type Metric struct {
	Name string
	// Time says that the number is nanoseconds.
	Time bool

	get func(*Metrics) float64
	// needsAck: a run in which nothing was acknowledged has no such number.
	needsAck bool
}

// Of returns the number, and whether the run has it: where nothing was
// acknowledged, there is no latency.
func (m *Metric) Of(of *Metrics) (n float64, ok bool) {
	if m.needsAck && of.Acknowledged == 0 {
		return 0, false
	}
	return m.get(of), true
}

func count(name string, get func(*Metrics) int) Metric {
	return Metric{Name: name, get: func(m *Metrics) float64 { return float64(get(m)) }}
}

func latency(name string, get func(*Metrics) time.Duration) Metric {
	return Metric{Name: name, Time: true, needsAck: true, get: func(m *Metrics) float64 { return float64(get(m)) }}
}

var allMetrics = []Metric{
	count("published", func(m *Metrics) int { return m.Published }),
	count("publish_errors", func(m *Metrics) int { return m.PublishErrors }),
	count("acknowledged", func(m *Metrics) int { return m.Acknowledged }),
	count("delivered", func(m *Metrics) int { return m.Delivered }),
	count("lost", func(m *Metrics) int { return m.Lost }),
	count("duplicated", func(m *Metrics) int { return m.Duplicated }),
	count("received", func(m *Metrics) int { return m.Received }),
	count("connects", func(m *Metrics) int { return m.Connects }),
	count("connect_errors", func(m *Metrics) int { return m.ConnectErrors }),
	count("reconnects", func(m *Metrics) int { return m.Reconnects }),
	count("disconnects", func(m *Metrics) int { return m.Disconnects }),
	count("ping_timeouts", func(m *Metrics) int { return m.PingTimeouts }),
	count("reboots", func(m *Metrics) int { return m.Reboots }),
	latency("latency_p50", func(m *Metrics) time.Duration { return m.LatencyP50 }),
	latency("latency_p95", func(m *Metrics) time.Duration { return m.LatencyP95 }),
	latency("latency_p99", func(m *Metrics) time.Duration { return m.LatencyP99 }),
	latency("latency_max", func(m *Metrics) time.Duration { return m.LatencyMax }),
	latency("last_ack_time", func(m *Metrics) time.Duration { return m.LastAckTime }),
	count("drops", func(m *Metrics) int { return m.Drops }),
	count("pool_min_free", func(m *Metrics) int { return m.PoolMinFree }),
	count("pool_empty_requests", func(m *Metrics) int { return m.PoolEmptyRequests }),
	count("pool_memory", func(m *Metrics) int { return m.PoolMemory }),
	count("conservation_errors", func(m *Metrics) int { return m.ConservationErrors }),
	count("findings", func(m *Metrics) int { return m.Findings }),
}

// AllMetrics returns the metrics in the order of the fields of Metrics.
func AllMetrics() []Metric { return append([]Metric(nil), allMetrics...) }

// metricsOf takes the numbers of an outcome that a sweep keeps.
func metricsOf(o *scenarios.Outcome) Metrics {
	m := Metrics{
		Published: o.Published, PublishErrors: o.PublishErrors, Acknowledged: o.Acknowledged, Delivered: o.Delivered,
		Lost: o.Lost, Duplicated: o.Duplicated, Received: o.Received, Connects: o.Connects, ConnectErrors: o.ConnectErrors,
		Reconnects: o.Reconnects, Disconnects: o.Disconnects, PingTimeouts: o.PingTimeouts, Reboots: o.Reboots, LatencyP50: o.LatencyP50, LatencyP95: o.LatencyP95,
		LatencyP99: o.LatencyP99, LatencyMax: o.LatencyMax, LastAckTime: o.LastAckTime, Drops: o.Drops.Total,
		ConservationErrors: len(o.ConservationErrors), Findings: len(o.Findings),
	}
	for i, d := range o.Devices {
		if i == 0 || d.Pool.MinFree < m.PoolMinFree {
			m.PoolMinFree = d.Pool.MinFree
		}
		m.PoolEmptyRequests += d.Pool.EmptyRequests
	}
	return m
}
