package link

import (
	"fmt"
	"math"

	"hilnet/sim"
)

// Reading list: Nelsen, "An Introduction to Copulas" (2006), on the Gaussian
// copula; Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S.

// drawBits is how many bits of a draw are compared with a probability.
const drawBits = 53

// Chance is how often something happens to a frame.
type Chance struct {
	Probability float64 // 0 to 1
	// Correlation, from 0 to below 1, ties a frame's draw to that of the frame
	// before it: the draws are Φ(z) of normal variates z with this
	// autocorrelation from one to the next. The probability stays what it is;
	// what happens comes in longer runs. (In netem it changes the probability.)
	Correlation float64
}

// chance is a Chance at work.
type chance struct {
	threshold uint64 // it happens when a draw of drawBits is below
	copula    copula
}

func (c Chance) validate(what string) error {
	if !(c.Probability >= 0 && c.Probability <= 1) {
		return fmt.Errorf("link: %s probability %v is not between 0 and 1", what, c.Probability)
	}
	return validateCorrelation(what, c.Correlation)
}

func (h *chance) set(c Chance) {
	h.threshold = threshold(c.Probability)
	h.copula.set(c.Correlation)
}

// threshold turns a probability into an integer. Multiplying by a power of two
// is exact, so a verdict is the same on every machine.
func threshold(p float64) uint64 { return uint64(math.Ldexp(p, drawBits)) }

// hit says whether it happens to the frame. part and verb are as in Env.Choose.
func (h *chance) hit(e *Env, part, verb string, s sim.Stream, f *Frame) bool {
	if h.threshold == 0 {
		return false
	}
	u := h.copula.draw(s, f)
	return e.Choose(f, part, verb, u>>(64-drawBits) < h.threshold, u)
}

// lanes tells the draws for a frame, and for each of its copies, apart.
func lane(f *Frame, n uint64) uint64 { return uint64(f.Copy)<<8 | n }

// original says whether a frame is one that entered the direction, not a copy
// or a stage's own: only those move a chain.
func original(f *Frame) bool { return f.Copy == 0 && f.Ordinal < GeneratedOrdinals }

// A copula makes uniform draws that are correlated from one ordinal to the
// next: z' = ρz + √(1−ρ²)e with normal e, and the draw is Φ(z'). It is a chain
// over all ordinals, whether their frames came here or not, so nothing that
// happens to other frames moves it.
type copula struct {
	rho, rest int64 // ρ and √(1−ρ²), in units of 2^-30; rho 0: independent draws
	z         int64 // in units of 2^-unit
	last      uint64
}

const copulaUnit = 30

func validateCorrelation(what string, rho float64) error {
	if !(rho >= 0 && rho < 1) {
		return fmt.Errorf("link: %s correlation %v is not from 0 to below 1", what, rho)
	}
	return nil
}

func (c *copula) set(rho float64) {
	c.rho = int64(math.Ldexp(rho, copulaUnit))
	r := float64(c.rho) / (1 << copulaUnit)
	c.rest = int64(math.Ldexp(math.Sqrt(1-float64(r*r)), copulaUnit))
}

// draw returns a number uniform over all uint64 for the frame.
func (c *copula) draw(s sim.Stream, f *Frame) uint64 {
	if c.rho == 0 || !original(f) {
		return s.At2(f.Ordinal, lane(f, 0))
	}
	normal := Normal()
	for c.last < f.Ordinal {
		c.last++
		e := normal.at(s.At2(c.last, 0))
		if c.last == 1 {
			c.z = e
			continue
		}
		c.z = (c.rho*c.z + c.rest*e + 1<<(copulaUnit-1)) >> copulaUnit
	}
	return phi(c.z)
}
