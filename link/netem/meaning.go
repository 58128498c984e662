package netem

import (
	"math"
	"time"
)

// Reading list: tc-netem(8); Hasslinger, Hohlfeld, "The Gilbert-Elliott model
// for packet loss in real time services on the Internet" (2008).

// A Meaning is what the person who wrote a netem string meant by it, in numbers
// that models without netem's surprises can be built from: probabilities are
// exact, correlations do not change them, jitter is what the delay deviates by,
// and the queue is one at the rate limit, not in the delay.
type Meaning struct {
	Delay MeaningDelay

	// At most one of these is not nil.
	Loss           *MeaningChance
	GilbertElliott *MeaningGilbertElliott
	FourState      *MeaningFourState
	MarkECN        bool // mark what can be marked instead of losing it

	Duplicate, Corrupt *MeaningChance
	Reorder            *MeaningReorder
	Rate               *MeaningRate // nil: no limit
	Slot               *Slot        // nil: none

	// Seed is the string's seed when it has one.
	Seed *uint64
}

// MeaningDelay is a delay and its jitter.
type MeaningDelay struct {
	Mean time.Duration
	// Jitter is the standard deviation of a distribution, and half the width of
	// the uniform one. It is not capped.
	Jitter time.Duration
	// Distribution is "uniform", "normal", "pareto", "paretonormal" or the name of
	// a table; empty without jitter.
	Distribution string
	// Correlation is that of a delay with the next one.
	Correlation float64
	// KeepOrder says that a later packet does not overtake an earlier one. Who
	// writes a jitter seldom means reordering; who writes reorder does, and says
	// so. netem keeps the order when there is a rate.
	KeepOrder bool
}

// MeaningChance happens to a share of the packets.
type MeaningChance struct{ Probability, Correlation float64 }

// MeaningGilbertElliott is loss with two states.
type MeaningGilbertElliott struct {
	ToBad, ToGood     float64 // from a packet to the next
	LossGood, LossBad float64
}

// MeaningFourState is the loss of "loss state".
type MeaningFourState struct{ P13, P31, P32, P23, P14 float64 }

// MeaningReorder sends some packets at once.
type MeaningReorder struct {
	MeaningChance
	Gap int // at most one of so many
}

// MeaningRate is a bottleneck.
type MeaningRate struct {
	BitsPerSecond  uint64
	PacketOverhead int
	CellSize       int // 0: no cells
	CellOverhead   int
	// QueuePackets is netem's limit, which bounds the bottleneck's queue alone.
	QueuePackets int
}

// Meaning returns what the string means.
func (c *Config) Meaning() Meaning {
	m := Meaning{
		Delay: MeaningDelay{Mean: c.Delay, KeepOrder: true}, MarkECN: c.ECN,
		Duplicate: chance(c.Duplicate, c.DuplicateCorrelation), Corrupt: chance(c.Corrupt, c.CorruptCorrelation),
	}
	if c.Jitter > 0 {
		m.Delay.Jitter, m.Delay.Distribution = c.Jitter, "uniform"
		m.Delay.Correlation = correlation(c.DelayCorrelation)
		if c.Distribution != "" {
			m.Delay.Distribution = c.Distribution
		}
	}
	switch l := &c.Loss; l.Model {
	case LossRandom:
		m.Loss = chance(l.Random, l.Correlation)
	case LossGemodel:
		m.GilbertElliott = &MeaningGilbertElliott{
			ToBad: exact(l.P), ToGood: exact(l.R), LossBad: exact(l.LossBad), LossGood: exact(l.LossGood),
		}
	case LossState:
		m.FourState = &MeaningFourState{exact(l.P13), exact(l.P31), exact(l.P32), exact(l.P23), exact(l.P14)}
	case LossNone:
	}
	if p := chance(c.Reorder, c.ReorderCorrelation); p != nil {
		m.Reorder = &MeaningReorder{MeaningChance: *p, Gap: int(max(c.Gap, 1))}
	}
	if c.RateBytesPerSecond > 0 {
		m.Rate = &MeaningRate{
			BitsPerSecond: min(c.RateBytesPerSecond, math.MaxUint64/8) * 8, PacketOverhead: int(c.PacketOverhead),
			CellSize: int(c.CellSize), CellOverhead: int(c.CellOverhead), QueuePackets: int(min(c.Limit, MaxQueued)),
		}
	}
	if c.Slot.On() {
		slot := c.Slot
		m.Slot = &slot
	}
	if c.HasSeed {
		seed := c.Seed
		m.Seed = &seed
	}
	return m
}

// exact returns the number that was typed, where the Share is the nearest to one
// of up to seven digits.
func exact(s Share) float64 {
	v := s.Float()
	if round := math.Round(v*1e7) / 1e7; ShareOf(round) == s {
		return round
	}
	return v
}

// correlation returns a correlation; a full one stays just below 1, where a
// chain still moves.
func correlation(s Share) float64 { return min(exact(s), 0.9999) }

func chance(p, corr Share) *MeaningChance {
	if p == 0 {
		return nil
	}
	return &MeaningChance{exact(p), correlation(corr)}
}

// Stationary returns the share of packets lost in the long run and the mean
// length of a run of losses.
func (m *MeaningGilbertElliott) Stationary() (loss, run float64) {
	p, r, k, h := m.ToBad, m.ToGood, m.LossGood, m.LossBad
	if p == 0 {
		return k, geometric(k)
	}
	bad := p / (p + r)
	// The conversions rule out fused multiply-adds: the same on every machine.
	loss = float64(bad*h) + float64((1-bad)*k)
	// Two losses in a row: the first by the state, the second by the state after
	// the move.
	afterGood := float64((1-p)*k) + float64(p*h)
	afterBad := float64(r*k) + float64((1-r)*h)
	both := float64((1-bad)*k*afterGood) + float64(bad*h*afterBad)
	if loss == 0 {
		return 0, 0
	}
	return loss, loss / (loss - both)
}

// Stationary returns the share of packets lost in the long run and the mean
// length of a run of losses.
func (m *MeaningFourState) Stationary() (loss, run float64) {
	if m.P13 == 0 {
		return m.P14 / (1 + m.P14), min(1, math.Ceil(m.P14))
	}
	if m.P31 == 0 && m.P14 == 0 && m.P32 == 0 {
		return 1, math.Inf(1)
	}
	if m.P31 == 0 {
		// The gap is never seen again: a burst without end.
		if m.P32 == 0 {
			return 1, math.Inf(1)
		}
		if m.P23 == 0 {
			return 0, 0
		}
		return m.P23 / (m.P23 + m.P32), 1 / m.P32
	}
	if m.P32 > 0 && m.P23 == 0 {
		return 0, 0 // everybody ends in a burst that loses nothing
	}
	w3 := m.P13 / m.P31
	w2 := 0.0
	if m.P32 > 0 {
		w2 = w3 * m.P32 / m.P23
	}
	w4 := m.P14
	loss = (w3 + w4) / (1 + w2 + w3 + w4)
	return loss, (w3 + w4) / (float64(w3*(m.P31+m.P32)) + w4)
}

// geometric is the mean length of a run of independent events.
func geometric(p float64) float64 {
	switch p {
	case 0:
		return 0
	case 1:
		return math.Inf(1)
	}
	return 1 / (1 - p)
}
