package netem

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Share is a probability or a correlation as tc hands it to the kernel: a
// share of 2^32-1, rounded to even.
type Share uint32

// All is 100 %.
const All Share = math.MaxUint32

// ShareOf returns the Share of a number from 0 to 1.
func ShareOf(p float64) Share { return Share(math.RoundToEven(p * math.MaxUint32)) }

// Float returns the share as a number from 0 to 1.
func (s Share) Float() float64 { return float64(s) / math.MaxUint32 }

// Probability returns how often a draw of the kernel hits: a share is hit by the
// draws up to and including it, and 0 by none.
func (s Share) Probability() float64 {
	if s == 0 {
		return 0
	}
	return (float64(s) + 1) / (1 << 32)
}

// String returns the share as a percentage that reads back as the same share.
func (s Share) String() string {
	for digits := 6; ; digits++ {
		text := strconv.FormatFloat(100*s.Float(), 'g', digits, 64)
		if v, err := strconv.ParseFloat(text, 64); err != nil || ShareOf(v/100) == s || digits > 17 {
			return text + "%"
		}
	}
}

// A LossModel is how netem chooses the packets that are lost.
type LossModel uint8

// The models.
const (
	LossNone LossModel = iota
	LossRandom
	LossState
	LossGemodel
)

// Loss is netem's loss. The fields of other models than Model have no effect.
type Loss struct {
	Model LossModel

	Random, Correlation Share // LossRandom

	P13, P31, P32, P23, P14 Share // LossState

	// P and R are the chances to go to the bad state and back, LossBad (1-h) and
	// LossGood (1-k) those to lose a packet there: LossGemodel.
	P, R, LossBad, LossGood Share
}

// A Slot makes packets leave in bursts. It is off when all its times are 0.
type Slot struct {
	Min, Max time.Duration
	// With a Distribution the time between two slots is drawn from a table.
	Distribution  string
	Delay, Jitter time.Duration
	Packets       int32 // of one slot; 0: no limit
	Bytes         int32 // 0: no limit
}

// On reports whether packets leave in slots.
func (s *Slot) On() bool { return s.Min|s.Max|s.Jitter != 0 }

// DefaultLimit is netem's limit when none is given.
const DefaultLimit = 1000

// A Config is what a netem string says, as tc hands it to the kernel.
type Config struct {
	Limit uint32 // packets in the queue, those in the delay included

	Delay, Jitter    time.Duration
	DelayCorrelation Share
	Distribution     string // a table's name; empty and "uniform": none

	Loss Loss
	ECN  bool // mark instead of losing

	Duplicate, DuplicateCorrelation Share
	Corrupt, CorruptCorrelation     Share
	Reorder, ReorderCorrelation     Share
	Gap                             uint32

	RateBytesPerSecond           uint64 // 0: no limit
	PacketOverhead, CellOverhead int32
	CellSize                     uint32 // 0: no cells

	Slot Slot

	Seed    uint64
	HasSeed bool

	text  string
	notes []Warning // what the parser noticed
}

// sendsCorrelations reports whether tc tells the kernel of the correlations of
// delay, loss and duplicate: it does not when duplicate's is the only one.
func (c *Config) sendsCorrelations() bool {
	return c.DelayCorrelation|c.Loss.Correlation|c.ReorderCorrelation|c.CorruptCorrelation != 0
}

// String returns the configuration in tc's language: Parse reads it back to the
// same Config.
func (c Config) String() string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	chance := func(word string, p, corr Share) {
		if p == 0 && corr == 0 {
			return
		}
		add("%s %v", word, p)
		if corr != 0 {
			add("%v", corr)
		}
	}
	if c.Limit != DefaultLimit {
		add("limit %d", c.Limit)
	}
	if c.Delay|c.Jitter != 0 || c.DelayCorrelation != 0 {
		add("delay %s", timeText(c.Delay))
		if c.Jitter != 0 || c.DelayCorrelation != 0 {
			add("%s", timeText(c.Jitter))
		}
		if c.DelayCorrelation != 0 {
			add("%v", c.DelayCorrelation)
		}
	}
	if c.Distribution != "" {
		add("distribution %s", c.Distribution)
	}
	c.lossText(add)
	if c.ECN {
		add("ecn")
	}
	chance("duplicate", c.Duplicate, c.DuplicateCorrelation)
	chance("corrupt", c.Corrupt, c.CorruptCorrelation)
	chance("reorder", c.Reorder, c.ReorderCorrelation)
	if c.Gap > 1 {
		add("gap %d", c.Gap)
	}
	c.rateText(add)
	c.Slot.text(add)
	if c.HasSeed {
		add("seed %d", c.Seed)
	}
	return strings.TrimPrefix(b.String(), " ")
}

func (c *Config) lossText(add func(string, ...any)) {
	switch l := &c.Loss; l.Model {
	case LossRandom:
		add("loss random %v", l.Random)
		if l.Correlation != 0 {
			add("%v", l.Correlation)
		}
	case LossState:
		add("loss state %v %v %v %v %v", l.P13, l.P31, l.P32, l.P23, l.P14)
	case LossGemodel:
		add("loss gemodel %v %v %v %v", l.P, l.R, l.LossBad, l.LossGood)
	case LossNone:
	}
}

func (c *Config) rateText(add func(string, ...any)) {
	if c.RateBytesPerSecond == 0 && c.PacketOverhead == 0 && c.CellSize == 0 && c.CellOverhead == 0 {
		return
	}
	add("rate %s", rateText(c.RateBytesPerSecond))
	switch {
	case c.CellOverhead != 0:
		add("%d %d %d", c.PacketOverhead, c.CellSize, c.CellOverhead)
	case c.CellSize != 0:
		add("%d %d", c.PacketOverhead, c.CellSize)
	case c.PacketOverhead != 0:
		add("%d", c.PacketOverhead)
	}
}

func (s *Slot) text(add func(string, ...any)) {
	if !s.On() {
		return
	}
	if s.Distribution != "" {
		add("slot distribution %s %s %s", s.Distribution, timeText(s.Delay), timeText(s.Jitter))
	} else {
		add("slot %s %s", timeText(s.Min), timeText(s.Max))
	}
	if s.Packets != 0 {
		add("packets %d", s.Packets)
	}
	if s.Bytes != 0 {
		add("bytes %d", s.Bytes)
	}
}
