// Package frames sends the frames of a capture again: at the times they were
// captured at, faster or slower, at a rate, or as fast as the output takes them.
//
// It is stateless: a frame goes out because its time has come, whatever the
// other side answers. Conversations that adapt to a live peer are the business
// of other packages of replay.
//
// A frame's way is
//
//	Source (file, filters, loops) → Rewriter → Schedule → Player → Output
//
// The Schedule is anchored: each deadline is computed from one origin, never
// from the frame before, so that being late once does not make the rest late.
//
// Source, Rewriter and Schedule run on a goroutine that reads ahead, bounded by
// [ReadAhead]; Player and Outputs belong to the goroutine of the loop.
//
// Nothing is left out silently: [Stats] counts frames that were filtered, that
// could not be sent and why, and those that were cut in the capture.
package frames

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"hilnet/sim"
)

// A Timing says when frames go out.
type Timing uint8

// The timings.
const (
	Original  Timing = iota // as captured, Speed times as fast
	Rate                    // PacketsPerSecond or BitsPerSecond
	TopSpeed                // one after the other
	OneByOne                // each when Step returns
	numTiming = iota
)

// Schedule limits.
const (
	MinSpeed  = 1e-6
	MaxSpeed  = 1e6
	MaxRate   = 1e9     // frames a second
	MaxBits   = 1e12    // bits a second
	maxOffset = 1 << 62 // ns: 146 years
)

// A ScheduleConfig configures a Schedule. The zero value keeps the times of the
// capture.
type ScheduleConfig struct {
	Timing Timing
	// Speed divides the times of the capture, MinSpeed to MaxSpeed. 0: 1.
	Speed float64
	// PacketsPerSecond, up to MaxRate, or BitsPerSecond, up to MaxBits, with Timing
	// Rate. Bits are those of the frames that are sent, without preamble and frame
	// check sequence.
	PacketsPerSecond float64
	BitsPerSecond    uint64
	// MaxSleep shortens longer waits between two frames. 0: no limit.
	MaxSleep time.Duration
}

// Validate returns an error for a config that means nothing.
func (c *ScheduleConfig) Validate() error {
	switch {
	case c.Timing >= numTiming:
		return fmt.Errorf("frames: timing %d", c.Timing)
	case c.Speed != 0 && !(c.Speed >= MinSpeed && c.Speed <= MaxSpeed):
		return fmt.Errorf("frames: speed %v is not between %v and %v", c.Speed, MinSpeed, MaxSpeed)
	case c.MaxSleep < 0:
		return fmt.Errorf("frames: longest sleep %v is negative", c.MaxSleep)
	case c.Timing != Rate:
		return nil
	case (c.PacketsPerSecond != 0) == (c.BitsPerSecond != 0):
		return errors.New("frames: a rate is either in packets or in bits per second")
	case c.BitsPerSecond > MaxBits:
		return fmt.Errorf("frames: %d bit/s is more than %v", c.BitsPerSecond, uint64(MaxBits))
	case c.BitsPerSecond == 0 && !(c.PacketsPerSecond >= 1e-6 && c.PacketsPerSecond <= MaxRate):
		return fmt.Errorf("frames: %v packets/s is not between 0.000001 and %v", c.PacketsPerSecond, uint64(MaxRate))
	}
	return nil
}

// A Schedule gives each frame its moment, counted from the start. It is pure
// arithmetic; its rounding does not add up.
type Schedule struct {
	cfg ScheduleConfig

	begun  bool
	anchor int64    // recorded time, ns, that is due at origin
	origin sim.Time // moved when a wait was shortened, or another pass began
	latest int64    // recorded time of the latest frame
	last   sim.Time // when the frame before is due

	frames uint64
	bits   uint64

	// Backward counts frames with an earlier time than one before them, Shortened
	// waits that MaxSleep made shorter.
	Backward, Shortened uint64
}

// NewSchedule returns a Schedule that begins at zero.
func NewSchedule(cfg ScheduleConfig) (*Schedule, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Speed == 0 {
		cfg.Speed = 1
	}
	return &Schedule{cfg: cfg}, nil
}

// Due returns when the next frame goes out: one of n bytes that was recorded at
// the moment at, in nanoseconds of any clock. It never goes back.
func (s *Schedule) Due(at int64, n int) sim.Time {
	due := s.due(at)
	if wait := due.Sub(s.last); s.cfg.MaxSleep > 0 && wait > s.cfg.MaxSleep && s.frames > 0 {
		due = s.last.Add(s.cfg.MaxSleep)
		s.origin = s.origin.Add(s.cfg.MaxSleep - wait)
		s.Shortened++
	}
	s.frames++
	s.bits += uint64(n) * 8
	s.last = max(s.last, min(due, maxOffset))
	return s.last
}

func (s *Schedule) due(at int64) sim.Time {
	switch s.cfg.Timing {
	case Rate:
		if s.cfg.BitsPerSecond > 0 {
			return s.origin.Add(scale(s.bits, uint64(time.Second), s.cfg.BitsPerSecond))
		}
		return s.origin.Add(time.Duration(min(math.Round(float64(s.frames)*1e9/s.cfg.PacketsPerSecond), maxOffset)))
	case Original:
	default:
		return s.last
	}
	if !s.begun {
		s.begun, s.anchor, s.latest = true, at, at
	}
	if at < s.latest {
		s.Backward++
		return s.last
	}
	s.latest = at
	offset := uint64(at) - uint64(s.anchor) // at ≥ anchor, and the difference fits
	if s.cfg.Speed == 1 {
		return s.origin.Add(time.Duration(min(offset, maxOffset)))
	}
	return s.origin.Add(time.Duration(min(math.Round(float64(offset)/s.cfg.Speed), maxOffset)))
}

// Again begins another pass over the capture, pause after the last frame.
func (s *Schedule) Again(pause time.Duration) {
	s.begun = false
	if s.cfg.Timing == Rate {
		s.origin = s.origin.Add(pause)
		return
	}
	s.last = s.last.Add(pause)
	s.origin = s.last
}

// scale returns a*b/c, at most maxOffset.
func scale(a, b, c uint64) time.Duration {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return maxOffset
	}
	q, _ := bits.Div64(hi, lo, c)
	return time.Duration(min(q, maxOffset))
}
