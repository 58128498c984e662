package netem

import (
	"math"
	"slices"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
)

// A Load is the traffic that an explanation sends through netem.
type Load struct {
	Packets int           `json:"packets"` // 0: DefaultPackets
	Every   time.Duration `json:"every_ns"`
	Size    int           `json:"bytes"` // of a frame, link header included; 0: DefaultSize
	Seed    uint64        `json:"seed"`  // 0: 1. A string's own seed comes first
}

// The load when none is given: DefaultEvery, or twice a packet's time at the
// rate when that is longer.
const (
	DefaultPackets = 1_000_000
	DefaultEvery   = 10 * time.Millisecond
	DefaultSize    = 200
	// MaxPackets bounds a load.
	MaxPackets = 20_000_000
)

// batches is how many parts a measurement is cut into for its intervals, so that
// they hold for events that come in bursts too.
const batches = 50

// An Estimate is a number with its 95 % interval.
type Estimate struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// An estimator adds up a mean over batches.
type estimator struct {
	sum, n [batches]float64
}

func (e *estimator) add(batch int, v float64) {
	e.sum[batch] += v
	e.n[batch]++
}

// student is the 97.5 % quantile of Student's t with batches-1 degrees of freedom.
const student = 2.0096

func (e *estimator) mean() Estimate {
	var sum, n, means, squares float64
	used := 0.0
	for b := range e.sum {
		if e.n[b] == 0 {
			continue
		}
		sum += e.sum[b]
		n += e.n[b]
		m := e.sum[b] / e.n[b]
		means += m
		squares += float64(m * m) // float64: never fused, the same on every machine
		used++
	}
	if used < 2 {
		return Estimate{}
	}
	half := float64(student * math.Sqrt(max(0, squares/used-means/used*means/used)/(used-1)))
	v := sum / n
	return Estimate{v, v - half, v + half}
}

// share is the mean of what is 0 or 1. When nothing happened, or nothing else,
// the interval is by the rule of three.
func (e *estimator) share() Estimate {
	v := e.mean()
	var n float64
	for _, c := range e.n {
		n += c
	}
	if n == 0 {
		return v
	}
	v.Low, v.High = max(0, v.Low), min(1, v.High)
	switch v.Value {
	case 0:
		v.High = min(1, 3/n)
	case 1:
		v.Low = max(0, 1-3/n)
	}
	return v
}

// A measurement is netem at work on a Load.
type measurement struct {
	load  Load
	now   sim.Time
	batch int

	arrived []bool // by ordinal
	gone    []bool // lost by loss, no copy left
	delays  []int64
	highest uint64 // ordinal that has left

	lost, full, overtaken, copies, corrupted, atOnce estimator
	delay                                            estimator
	fullNow, corruptedNow                            bool
}

func (m *measurement) Drop(f *link.Frame, reason trace.DropReason, _ string) {
	if reason == trace.DropQueueFull {
		m.fullNow = true
	}
	f.Release()
}

func (m *measurement) Duplicate(f *link.Frame, n uint32) *link.Frame {
	g := link.NewFrame(len(f.Data))
	g.Ordinal, g.Copy, g.Entered = f.Ordinal, n, f.Entered
	return g
}

func (m *measurement) Corrupted(*link.Frame, int, int) { m.corruptedNow = true }
func (m *measurement) Marked(*link.Frame)              {}

func (m *measurement) leave(f *link.Frame) {
	first := !m.arrived[f.Ordinal]
	m.arrived[f.Ordinal] = true
	if first {
		d := int64(m.now - f.Entered)
		m.delays = append(m.delays, d)
		batch := m.batchOf(f.Ordinal)
		m.delay.add(batch, float64(d))
		late := 0.0
		if f.Ordinal < m.highest {
			late = 1
		}
		m.overtaken.add(batch, late)
	}
	m.highest = max(m.highest, f.Ordinal)
	f.Release()
}

func (m *measurement) batchOf(ordinal uint64) int {
	return int((ordinal - 1) * batches / uint64(m.load.Packets))
}

func (m *measurement) advance(q *Qdisc, to sim.Time) {
	for {
		f, next := q.Dequeue(m.now)
		switch {
		case f != nil:
			m.leave(f)
		case next > to:
			m.now = to
			return
		default:
			m.now = next
		}
	}
}

func (m *measurement) run(q *Qdisc) {
	n := m.load.Packets
	m.arrived, m.gone, m.delays = make([]bool, n+1), make([]bool, n+1), make([]int64, 0, n)
	for i := range n {
		at := sim.Time(i) * sim.Time(m.load.Every)
		m.advance(q, at)
		f := link.NewFrame(m.load.Size)
		f.Ordinal, f.Entered = uint64(i+1), at
		before := q.Counters()
		m.fullNow, m.corruptedNow = false, false
		q.Enqueue(at, f)
		b, after := m.batchOf(uint64(i+1)), q.Counters()
		m.full.add(b, one(m.fullNow))
		m.corrupted.add(b, one(m.corruptedNow))
		m.copies.add(b, one(after.Duplicated > before.Duplicated))
		m.atOnce.add(b, one(after.Reordered > before.Reordered))
		m.gone[i+1] = after.Lost > before.Lost && after.Duplicated == before.Duplicated
		m.lost.add(b, one(m.gone[i+1]))
	}
	m.advance(q, sim.Never-1)
	slices.Sort(m.delays)
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// quantile returns a quantile of the delays.
func (m *measurement) quantile(p float64) time.Duration {
	if len(m.delays) == 0 {
		return 0
	}
	return time.Duration(m.delays[min(len(m.delays)-1, int(p*float64(len(m.delays))))])
}

// A jitter is what netem's delays are when nothing else is in their way.
type jitter struct {
	mean, deviation, lag1 float64 // nanoseconds; autocorrelation
	below                 float64 // share below 0
}

// drawJitter draws the delays of n packets.
func (q *Qdisc) drawJitter(n int) (j jitter) {
	var sum, squares, products, last float64
	for i := range n {
		d := float64(spread(int64(q.cfg.Delay), q.sigma, &q.delay, &q.prng, q.table))
		x := d - float64(q.cfg.Delay)
		sum += x
		squares += float64(x * x)
		if i > 0 {
			products += float64(x * last)
		}
		last = x
		if d < 0 {
			j.below++
		}
	}
	mean := sum / float64(n)
	variance := squares/float64(n) - float64(mean*mean)
	j.mean, j.deviation, j.below = mean+float64(q.cfg.Delay), math.Sqrt(max(0, variance)), j.below/float64(n)
	if variance > 0 {
		j.lag1 = (products/float64(n-1) - float64(mean*mean)) / variance
	}
	return j
}
