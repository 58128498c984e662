package link

import (
	"errors"
	"fmt"
	"math"
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// Reading list: Rabiner, "A tutorial on hidden Markov models and selected
// applications in speech recognition" (1989).

// ConditionsConfig ties loss, delay and rate to one hidden state: a link that is
// bad is bad in all three at once. The states form a Markov chain that moves
// with time (Dwell) or with the frames that enter (DwellPackets). It begins in
// the first state.
type ConditionsConfig struct {
	States []Condition
}

// A Condition is one state of a link.
type Condition struct {
	Name string  // for the trace; may be empty
	Loss float64 // probability
	// Delay is added to that of the direction. A frame has the one of the state in
	// which it comes to the delay.
	Delay time.Duration
	// RateBitsPerSecond replaces that of the direction, from the next frame that is
	// sent; 0: no change.
	RateBitsPerSecond uint64
	// Dwell or DwellPackets is the mean of how long the state holds, one of them in
	// all states: at least a millisecond and one packet. It is drawn from an
	// exponential or geometric distribution, or always the same if Fixed.
	Dwell        time.Duration
	DwellPackets float64
	Fixed        bool
	// Next are the weights of the states that may follow, by number; this one's own
	// must be 0. Empty: the next in the list, after the last the first.
	Next []float64
}

// MaxConditions bounds the states.
const MaxConditions = 64

const minDwell = time.Millisecond

func (c *ConditionsConfig) validate() error {
	if c == nil {
		return nil
	}
	if len(c.States) == 0 || len(c.States) > MaxConditions {
		return fmt.Errorf("link: conditions with %d states: needs 1 to %d", len(c.States), MaxConditions)
	}
	var err error
	byPackets := c.States[0].DwellPackets != 0
	for i, s := range c.States {
		if e := s.validate(i, len(c.States), byPackets); e != nil {
			err = errors.Join(err, fmt.Errorf("link: condition %d (%s): %w", i+1, s.Name, e))
		}
	}
	return err
}

func (s Condition) validate(i, n int, byPackets bool) error {
	var err error
	bad := func(format string, args ...any) { err = errors.Join(err, fmt.Errorf(format, args...)) }
	if !(s.Loss >= 0 && s.Loss <= 1) {
		bad("loss probability %v is not between 0 and 1", s.Loss)
	}
	if s.Delay < 0 || s.Delay > MaxDelay {
		bad("delay %v is not between 0 and %v", s.Delay, MaxDelay)
	}
	if s.RateBitsPerSecond > MaxRate {
		bad("rate %d bit/s is above %d", s.RateBitsPerSecond, uint64(MaxRate))
	}
	switch {
	case n == 1: // it is never left
	case byPackets && (s.Dwell != 0 || !(s.DwellPackets >= 1) || s.DwellPackets > 1<<32):
		bad("holds for %v packets, %v: needs 1 to 2^32 packets, as the first state", s.DwellPackets, s.Dwell)
	case !byPackets && (s.DwellPackets != 0 || s.Dwell < minDwell || s.Dwell > MaxDelay):
		bad("holds for %v, %v packets: needs %v to %v", s.Dwell, s.DwellPackets, minDwell, MaxDelay)
	}
	if len(s.Next) == 0 {
		return err
	}
	if len(s.Next) != n {
		bad("%d weights for %d states", len(s.Next), n)
		return err
	}
	sum := 0.0
	for j, w := range s.Next {
		if !(w >= 0) || math.IsInf(w, 0) || w > 1e9 || j == i && w != 0 {
			bad("the weight %v of state %d", w, j+1)
		}
		sum += w
	}
	if n > 1 && !(sum > 0) {
		bad("no state follows")
	}
	return err
}

// conditions is a ConditionsConfig at work. Its state is brought up to the moment
// whenever somebody asks, so that an idle link costs nothing.
type conditions struct {
	env       *Env
	cfg       *ConditionsConfig
	states    []conditionState
	byPackets bool
	lossDraws sim.Stream

	state int
	moves uint64   // made so far: the ordinal of their draws
	until sim.Time // by time: when the state ends
	left  uint64   // by packets: how many it still holds for
	last  uint64   // by packets: the last ordinal
}

type conditionState struct {
	Condition
	loss  uint64
	dwell int64    // mean in ns; in packets, if Fixed; or else what makes an exponential draw a geometric one, in 65,536ths
	reach []uint64 // reach[j]: a draw below it goes to state j or an earlier one
}

const dwellUnit = 16

// set changes the conditions. The chain goes on from its state if there are as
// many states as before, and else begins anew.
func (c *conditions) set(cfg *ConditionsConfig) {
	if cfg == c.cfg {
		return
	}
	c.catchUp(c.env.dir.in) // what was, goes on to here by the old rules
	c.now()
	fresh := c.cfg == nil || cfg == nil || len(cfg.States) != len(c.states) || (cfg.States[0].DwellPackets != 0) != c.byPackets
	c.cfg, c.states = cfg, nil
	if cfg == nil {
		return
	}
	c.byPackets = cfg.States[0].DwellPackets != 0
	for i, s := range cfg.States {
		state := conditionState{Condition: s, loss: threshold(s.Loss), dwell: int64(s.Dwell), reach: reaches(s.Next, i, len(cfg.States))}
		switch {
		case c.byPackets && s.Fixed:
			state.dwell = int64(math.Round(s.DwellPackets))
		case c.byPackets && s.DwellPackets > 1:
			state.dwell = int64(math.Round(math.Ldexp(-1/math.Log1p(-1/s.DwellPackets), dwellUnit)))
		}
		c.states = append(c.states, state)
	}
	if fresh {
		c.state, c.last, c.until = 0, c.env.dir.in, c.env.Loop.Now()
		c.dwell()
	}
}

// reaches adds up the weights of the states that follow.
func reaches(weights []float64, i, n int) []uint64 {
	reach := make([]uint64, n)
	if len(weights) == 0 {
		for j := range reach {
			if j >= (i+1)%n {
				reach[j] = math.MaxUint64
			}
		}
		return reach
	}
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	at := 0.0
	for j, w := range weights {
		at += w
		reach[j] = probability64(at / sum)
	}
	for j := n - 1; j >= 0; j-- { // rounding must not leave a gap at the end
		reach[j] = math.MaxUint64
		if weights[j] > 0 {
			break
		}
	}
	return reach
}

func (c *conditions) stage(next Sink) Sink {
	c.lossDraws = c.env.Substream("loss")
	return SinkFunc(func(f *Frame) {
		if c.cfg != nil {
			if original(f) {
				c.catchUp(f.Ordinal)
			}
			s := c.now()
			if s.loss > 0 && c.lost(f, s.loss) {
				c.env.Drop(f, trace.DropLoss, s.Name)
				return
			}
		}
		next.Put(f)
	})
}

func (c *conditions) lost(f *Frame, threshold uint64) bool {
	u := c.lossDraws.At2(f.Ordinal, lane(f, 0))
	return c.env.Choose(f, "", VerbDrop, u>>(64-drawBits) < threshold, u)
}

// movesPoll is how many moves are made between two looks at whether the run was
// canceled: of a year in states of a millisecond there are 3·10^10 in one event.
const movesPoll = 1 << 16

// nowhere is the state of conditions that are not there.
var nowhere conditionState

// now returns the state that holds now.
func (c *conditions) now() *conditionState {
	if c.cfg == nil {
		return &nowhere
	}
	if !c.byPackets && len(c.states) > 1 {
		for now := c.env.Loop.Now(); c.until <= now; {
			c.move()
			if c.moves%movesPoll == 0 && c.env.Loop.Canceled() {
				break
			}
		}
	}
	return &c.states[c.state]
}

// catchUp counts the frames up to one.
func (c *conditions) catchUp(ordinal uint64) {
	if c.cfg == nil || !c.byPackets || len(c.states) == 1 {
		return
	}
	for c.last < ordinal {
		c.last++
		if c.left == 0 {
			c.move()
		}
		c.left--
	}
}

// move draws the next state and how long it holds.
func (c *conditions) move() {
	c.moves++
	u := c.env.Stream.At2(c.moves, 0)
	reach := c.states[c.state].reach
	to := 0
	for to < len(reach)-1 && u >= reach[to] {
		to++
	}
	c.state = to
	c.dwell()
}

func (c *conditions) dwell() {
	s := &c.states[c.state]
	n := s.dwell
	if !s.Fixed {
		n = exponential().scaled(c.env.Stream.At2(c.moves, 1), time.Duration(n))
	}
	switch {
	case !c.byPackets:
		c.until = c.until.Add(time.Duration(max(1, n)))
	case s.Fixed:
		c.left = uint64(n)
	default:
		c.left = 1 + uint64(n)>>dwellUnit
	}
}
