package link

import (
	"errors"
	"fmt"
	"math"

	"hilnet/trace"
)

// Reading list: Gilbert, "Capacity of a burst-noise channel" (1960); Elliott,
// "Estimates of error rates for codes on burst-noise channels" (1963); Salsano,
// Ludovici, Ordine, "Definition of a general and intuitive loss model for packet
// networks and its implementation in the netem module" (2009), for the four
// states; Knuth, The Art of Computer Programming 2, 3.4.2 algorithm S.

// BurstConfig is a loss model with a memory. At most one of its fields is set.
//
// The model makes one step for each frame that entered the direction, whether it
// came as far as this stage or not, so a blackhole, say, does not move its losses.
type BurstConfig struct {
	GilbertElliott *GilbertElliott
	FourState      *FourState
	Shuffle        *Shuffle
	// Pattern[i] is the probability of a loss after a run of i losses; the last
	// one goes for all longer runs. A last one of 0 bounds the runs.
	Pattern []float64
	// MarkECN marks frames of an ECN-capable transport instead of dropping them.
	MarkECN bool
}

// GilbertElliott is a model with a good and a bad state. For each frame the loss
// is drawn in the state that holds, and then the state moves, as in Linux.
type GilbertElliott struct {
	P        float64 // probability that good turns bad
	R        float64 // probability that bad turns good
	LossBad  float64 // 1-h: probability of a loss in the bad state
	LossGood float64 // 1-k: probability of a loss in the good state
}

// FourState is tc's "loss state": 1 received in a gap, 2 received in a burst, 3
// lost in a burst, 4 lost alone. The state moves first; then 3 and 4 are losses.
// From state 4 it always goes back to 1.
type FourState struct {
	P13, P31, P32, P23, P14 float64
}

// Shuffle loses exactly Lose of each Of frames, in random places.
type Shuffle struct {
	Lose, Of int
}

// MaxPattern bounds the length of a loss pattern.
const MaxPattern = 4096

// SimpleGilbert returns the model with the mean loss and the mean length of a
// run of losses that are given, and no loss in the good state.
func SimpleGilbert(loss, run float64) (*GilbertElliott, error) {
	if !(loss >= 0 && loss < 1) || !(run >= 1) || math.IsInf(run, 0) {
		return nil, fmt.Errorf("link: a mean loss of %v in runs of %v: needs 0 to below 1, and 1 or more", loss, run)
	}
	r := 1 / run
	p := float64(loss*r) / (1 - loss)
	if p > 1 {
		return nil, fmt.Errorf("link: a mean loss of %v is not possible in runs of %v", loss, run)
	}
	return &GilbertElliott{P: p, R: r, LossBad: 1}, nil
}

// Loss is the share of frames lost in the long run.
func (g GilbertElliott) Loss() float64 {
	if g.P+g.R == 0 {
		return g.LossGood // it begins good and stays
	}
	bad := g.P / (g.P + g.R)
	return float64(bad*g.LossBad) + float64((1-bad)*g.LossGood)
}

// Loss is the share of frames lost in the long run.
func (s FourState) Loss() float64 {
	switch {
	case s.P13 == 0: // states 2 and 3 are never entered
		return s.P14 / (1 + s.P14)
	case s.P32 > 0 && s.P23 == 0: // state 2 is never left
		return 0
	case s.P31 == 0 && s.P32 == 0: // state 3 is never left
		return 1
	}
	w3, w1, w4 := 1.0, s.P31/s.P13, s.P14*s.P31/s.P13
	w2 := 0.0
	if s.P32 > 0 {
		w2 = s.P32 / s.P23
	}
	return (w3 + w4) / (w1 + w2 + w3 + w4)
}

func validateProbabilities(what string, p ...float64) error {
	for _, v := range p {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("link: %s: probability %v is not between 0 and 1", what, v)
		}
	}
	return nil
}

func (c BurstConfig) validate() error {
	n := 0
	var err error
	if g := c.GilbertElliott; g != nil {
		n++
		err = errors.Join(err, validateProbabilities("Gilbert-Elliott", g.P, g.R, g.LossBad, g.LossGood))
	}
	if s := c.FourState; s != nil {
		n++
		err = errors.Join(err, s.validate())
	}
	if s := c.Shuffle; s != nil {
		n++
		if s.Of < 1 || s.Of > 1<<30 || s.Lose < 0 || s.Lose > s.Of {
			err = errors.Join(err, fmt.Errorf("link: a shuffle that loses %d of %d", s.Lose, s.Of))
		}
	}
	if len(c.Pattern) > 0 {
		n++
		if len(c.Pattern) > MaxPattern {
			err = errors.Join(err, fmt.Errorf("link: a loss pattern of %d probabilities is longer than %d", len(c.Pattern), MaxPattern))
		}
		err = errors.Join(err, validateProbabilities("loss pattern", c.Pattern...))
	}
	if n > 1 {
		err = errors.Join(err, errors.New("link: more than one model of bursts in one direction"))
	}
	return err
}

func (s FourState) validate() error {
	if err := validateProbabilities("four states", s.P13, s.P31, s.P32, s.P23, s.P14); err != nil {
		return err
	}
	if s.P13+s.P14 > 1 || s.P31+s.P32 > 1 {
		return fmt.Errorf("link: four states: p13 %v + p14 %v and p31 %v + p32 %v must not be above 1", s.P13, s.P14, s.P31, s.P32)
	}
	return nil
}

// A lossChain moves by one frame and says whether that one is lost. u is the
// frame's draw.
type lossChain interface{ lost(u uint64) bool }

// burst drops what its chain says.
type burst struct {
	env   *Env
	mark  bool
	chain lossChain // nil: no model
	last  uint64    // ordinal of the last step
	state bool      // the last step's verdict
	draw  uint64    // the last step's
}

// set changes the model. A model of the same kind keeps its state.
func (b *burst) set(c BurstConfig) {
	b.mark = c.MarkECN
	b.catchUp(b.env.dir.in)
	switch {
	case c.GilbertElliott != nil:
		g, ok := b.chain.(*gilbertElliott)
		if !ok {
			g = new(gilbertElliott)
		}
		g.set(*c.GilbertElliott)
		b.chain = g
	case c.FourState != nil:
		s, ok := b.chain.(*fourState)
		if !ok {
			s = &fourState{state: 1}
		}
		s.set(*c.FourState)
		b.chain = s
	case c.Shuffle != nil:
		s, ok := b.chain.(*shuffle)
		if !ok || s.Shuffle != *c.Shuffle {
			s = &shuffle{Shuffle: *c.Shuffle}
		}
		b.chain = s
	case len(c.Pattern) > 0:
		p, ok := b.chain.(*pattern)
		if !ok {
			p = new(pattern)
		}
		p.set(c.Pattern)
		b.chain = p
	default:
		b.chain = nil
	}
}

// catchUp steps the chain up to a frame. Without a model there is nothing to
// step: one that is set later begins with the next frame.
func (b *burst) catchUp(ordinal uint64) {
	if b.chain == nil {
		b.last, b.state = max(b.last, ordinal), false
	}
	for b.last < ordinal {
		b.last++
		b.draw = b.env.Stream.At(b.last)
		b.state = b.chain.lost(b.draw)
	}
}

func (b *burst) stage(next Sink) Sink {
	return SinkFunc(func(f *Frame) {
		if b.chain != nil && b.lost(f) {
			if b.mark && markCE(b.env, f, "loss") {
				next.Put(f)
				return
			}
			b.env.Drop(f, trace.DropLoss, "burst")
			return
		}
		next.Put(f)
	})
}

// lost says whether the frame is lost. One that a stage has made itself shares
// the fate of the last one that entered.
func (b *burst) lost(f *Frame) bool {
	if f.Ordinal < GeneratedOrdinals {
		b.catchUp(f.Ordinal)
	}
	return b.env.Choose(f, "", VerbDrop, b.state, b.draw)
}

// threshold32 turns a probability into the number that a 32-bit draw is below.
func threshold32(p float64) uint64 { return uint64(math.RoundToEven(math.Ldexp(p, 32))) }

type gilbertElliott struct {
	toBad, toGood, inBad, inGood uint64
	bad                          bool
}

func (g *gilbertElliott) set(c GilbertElliott) {
	g.toBad, g.toGood = threshold32(c.P), threshold32(c.R)
	g.inBad, g.inGood = threshold32(c.LossBad), threshold32(c.LossGood)
}

func (g *gilbertElliott) lost(u uint64) bool {
	move, loss := u>>32, u&math.MaxUint32
	if g.bad {
		g.bad = move >= g.toGood
		return loss < g.inBad
	}
	g.bad = move < g.toBad
	return loss < g.inGood
}

type fourState struct {
	p13, p31, p32, p23, p14 uint64
	state                   uint8
}

func (s *fourState) set(c FourState) {
	s.p13, s.p31, s.p32 = threshold(c.P13), threshold(c.P31), threshold(c.P32)
	s.p23, s.p14 = threshold(c.P23), threshold(c.P14)
}

func (s *fourState) lost(u uint64) bool {
	u >>= 64 - drawBits
	switch s.state {
	case 1:
		switch {
		case u < s.p14:
			s.state = 4
		case u < s.p14+s.p13:
			s.state = 3
		}
	case 2:
		if u < s.p23 {
			s.state = 3
		}
	case 3:
		switch {
		case u < s.p32:
			s.state = 2
		case u < s.p32+s.p31:
			s.state = 1
		}
	case 4:
		s.state = 1
	}
	return s.state >= 3
}

type shuffle struct {
	Shuffle
	at, chosen int // within the block
}

func (s *shuffle) lost(u uint64) bool {
	if s.at == s.Of {
		s.at, s.chosen = 0, 0
	}
	// Choose this one with probability (still to choose)/(still to come).
	hit := (u>>32)*uint64(s.Of-s.at)>>32 < uint64(s.Lose-s.chosen)
	s.at++
	if hit {
		s.chosen++
	}
	return hit
}

type pattern struct {
	thresholds []uint64
	run        int
}

func (p *pattern) set(probabilities []float64) {
	p.thresholds = p.thresholds[:0]
	for _, v := range probabilities {
		p.thresholds = append(p.thresholds, threshold(v))
	}
}

func (p *pattern) lost(u uint64) bool {
	if u>>(64-drawBits) < p.thresholds[min(p.run, len(p.thresholds)-1)] {
		p.run++
		return true
	}
	p.run = 0
	return false
}
