package netem

import (
	"fmt"
	"math"
	"time"

	"hilnet/sim"
)

// An Explanation is what netem makes of a string, measured with a Load.
type Explanation struct {
	Text      string `json:"text"`      // as given
	Canonical string `json:"canonical"` // as Config.String has it
	Load      Load   `json:"load"`

	Lost      Effect `json:"lost"`      // packets of which loss let no copy pass
	QueueFull Effect `json:"queueFull"` // packets that met the limit, or whose copy did
	Duplicate Effect `json:"duplicate"`
	Corrupt   Effect `json:"corrupt"`
	AtOnce    Effect `json:"atOnce"` // sent at once by reorder
	// Overtaken are the packets that leave behind one that came later, which is
	// RFC 4737's reordered.
	Overtaken Effect `json:"overtaken"`

	// LossRun is the mean length of a run of packets lost; 0: none was.
	LossRun float64 `json:"lossRun"`

	Delay ExplainedDelay `json:"delay"`

	Warnings []Warning `json:"warnings"`
}

// An Effect is something that happens to a share of the packets.
type Effect struct {
	// Typed is what the string seems to say, Expected what netem's formulas give
	// in the long run; nil where there is none.
	Typed    *float64 `json:"typed,omitempty"`
	Expected *float64 `json:"expected,omitempty"`
	Measured Estimate `json:"measured"`
}

// ExplainedDelay is the time of packets in netem, all effects together, and the
// jitter of the delay alone.
type ExplainedDelay struct {
	Typed  time.Duration `json:"typed_ns"`
	Mean   Estimate      `json:"mean"` // nanoseconds
	Least  time.Duration `json:"least_ns"`
	Median time.Duration `json:"median_ns"`
	P99    time.Duration `json:"p99_ns"`
	Most   time.Duration `json:"most_ns"`

	JitterTyped time.Duration `json:"jitterTyped_ns"`
	// Jitter is the standard deviation of the delays that are drawn.
	Jitter time.Duration `json:"jitter_ns"`
	// Autocorrelation is that of a drawn delay with the next.
	Autocorrelation float64 `json:"autocorrelation"`
	// Negative is the share of drawn delays below zero: such packets leave at once.
	Negative float64 `json:"negative"`
}

// Explain runs the exact Qdisc under a load and says where it differs from what
// the string seems to say.
func Explain(c Config, tables Tables, load Load) (*Explanation, error) {
	if err := load.complete(&c); err != nil {
		return nil, err
	}
	newQdisc := func(l Ledger) (*Qdisc, error) {
		entropy := sim.NewRand(load.Seed, "netem")
		return NewQdisc(0, c, tables, l, func() uint32 { return uint32(entropy.Uint64() >> 32) })
	}
	m := &measurement{load: load}
	q, err := newQdisc(m)
	if err != nil {
		return nil, err
	}
	m.run(q)
	drawn, err := newQdisc(nil)
	if err != nil {
		return nil, err
	}
	j := drawn.drawJitter(load.Packets)
	e := &Explanation{
		Text: c.text, Canonical: c.String(), Load: load,
		Lost: Effect{Measured: m.lost.share()}, QueueFull: Effect{Measured: m.full.share()},
		Duplicate: Effect{Measured: m.copies.share()}, Corrupt: Effect{Measured: m.corrupted.share()},
		AtOnce: Effect{Measured: m.atOnce.share()}, Overtaken: Effect{Measured: m.overtaken.share()},
		LossRun: m.lossRun(),
		Delay: ExplainedDelay{
			Typed: c.Delay, Mean: m.delay.mean(), Least: m.quantile(0), Median: m.quantile(0.5), P99: m.quantile(0.99), Most: m.quantile(1),
			JitterTyped: c.Jitter, Jitter: time.Duration(j.deviation), Autocorrelation: j.lag1, Negative: j.below,
		},
	}
	e.expect(&c)
	e.Warnings = append(append([]Warning{}, c.notes...), e.warnings(&c)...)
	return e, nil
}

func (l *Load) complete(c *Config) error {
	if l.Packets == 0 {
		l.Packets = DefaultPackets
	}
	if l.Size == 0 {
		l.Size = DefaultSize
	}
	if l.Packets < 2*batches || l.Packets > MaxPackets {
		return fmt.Errorf("netem: a load of %d packets is not between %d and %d", l.Packets, 2*batches, MaxPackets)
	}
	if l.Size < 0 || l.Size > 65536 {
		return fmt.Errorf("netem: a load of packets of %d bytes: not between 1 and 65536", l.Size)
	}
	if l.Every == 0 {
		l.Every = DefaultEvery
		if c.RateBytesPerSecond > 0 {
			if busy := c.packetTime(l.Size); busy > uint64(l.Every)/2 && busy < uint64(time.Hour) {
				l.Every = 2 * time.Duration(busy)
			}
		}
	}
	if l.Every < 0 || l.Every > math.MaxInt64/4/time.Duration(l.Packets) {
		return fmt.Errorf("netem: a load of %d packets %v apart", l.Packets, l.Every)
	}
	if l.Seed == 0 {
		l.Seed = 1
	}
	return nil
}

// lossRun is the mean length of runs of lost packets.
func (m *measurement) lossRun() float64 {
	lost, runs := 0, 0
	for i := 1; i < len(m.gone); i++ {
		if !m.gone[i] {
			continue
		}
		lost++
		if !m.gone[i-1] {
			runs++
		}
	}
	if runs == 0 {
		return 0
	}
	return float64(lost) / float64(runs)
}

// expect fills in what was typed and what the formulas say.
func (e *Explanation) expect(c *Config) {
	set := func(to *Effect, p, corr Share) {
		if p == 0 {
			return
		}
		typed := exact(p)
		to.Typed = &typed
		if corr == 0 {
			expected := p.Probability()
			to.Expected = &expected
		}
	}
	m := c.Meaning()
	duplicate := c.DuplicateCorrelation
	if !c.sendsCorrelations() {
		duplicate = 0
	}
	set(&e.Duplicate, c.Duplicate, duplicate)
	set(&e.Corrupt, c.Corrupt, c.CorruptCorrelation)
	if c.Reorder > 0 {
		typed := exact(c.Reorder)
		e.AtOnce.Typed = &typed
		if c.ReorderCorrelation == 0 {
			expected := 1 / (float64(c.Gap-1) + 1/c.Reorder.Probability())
			e.AtOnce.Expected = &expected
		}
	}
	switch {
	case m.GilbertElliott != nil:
		p, _ := m.GilbertElliott.Stationary()
		e.Lost.Typed, e.Lost.Expected = &p, &p
	case m.FourState != nil:
		p, _ := m.FourState.Stationary()
		e.Lost.Typed, e.Lost.Expected = &p, &p
	default:
		set(&e.Lost, c.Loss.Random, c.Loss.Correlation)
	}
	// A packet that is duplicated as well passes once.
	if e.Lost.Expected != nil && c.Duplicate > 0 {
		if e.Duplicate.Expected == nil {
			e.Lost.Expected = nil
		} else {
			p := *e.Lost.Expected * (1 - *e.Duplicate.Expected)
			e.Lost.Expected = &p
		}
	}
	// ECN marks packets of transports that take it; those of a load do not.
	if c.Corrupt > 0 && c.Duplicate > 0 {
		e.Corrupt.Expected = nil // the copy can be hit too
	}
	e.Duplicate.adjustForLoss(e, c)
}

// adjustForLoss: duplicate and loss on one packet cancel, so both happen less.
func (f *Effect) adjustForLoss(e *Explanation, c *Config) {
	if f.Expected == nil || c.Loss.Model == LossNone {
		return
	}
	f.Expected = nil
	if e.Lost.Expected != nil && c.Loss.Model == LossRandom && c.Loss.Correlation == 0 {
		p := c.Duplicate.Probability() * (1 - c.Loss.Random.Probability())
		f.Expected = &p
	}
}
