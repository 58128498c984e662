package link

import (
	"math"
	"slices"
	"sync"
)

// Reading list: iproute2 netem/normal.c, pareto.c, paretonormal.c, which
// generate the tables that tc ships; RFC 3393 for what jitter may mean.

// Quantiles below 2^-30 and above 1-2^-30 are cut off.
const (
	levelBits  = 10
	tailLevels = 3
)

// Uniform is the uniform distribution from -1 to 1 spreads.
func Uniform() *Distribution { return uniform() }

// Normal is the normal distribution with standard deviation 1 spread.
func Normal() *Distribution { return normal() }

// Pareto is the Pareto distribution with shape 3, moved to mean 0 and scaled to
// a standard deviation of 1 spread: never below -0.866, with a long tail.
func Pareto() *Distribution { return pareto() }

// ParetoNormal is tc's mix of both, a quarter of Normal and three of Pareto at
// the same quantile, scaled to a standard deviation of 1 spread.
func ParetoNormal() *Distribution { return paretoNormal() }

// Builtin returns the distribution with a tc name.
func Builtin(name string) (*Distribution, bool) {
	switch name {
	case "uniform":
		return Uniform(), true
	case "normal":
		return Normal(), true
	case "pareto":
		return Pareto(), true
	case "paretonormal":
		return ParetoNormal(), true
	}
	return nil, false
}

var (
	uniform = sync.OnceValue(func() *Distribution {
		return newDistribution("uniform", true, []knot{{0, -1 << unit}, {math.MaxUint64, 1 << unit}})
	})
	normal = sync.OnceValue(func() *Distribution {
		return newDistribution("normal", true, shape(normalQuantile))
	})
	exponential = sync.OnceValue(func() *Distribution { // from 0, with mean 1
		return newDistribution("exponential", true, shape(func(p, q float64) float64 {
			if p < q {
				return -math.Log1p(-p)
			}
			return -math.Log(q)
		}))
	})
	pareto = sync.OnceValue(func() *Distribution {
		return newDistribution("pareto", true, shape(paretoQuantile))
	})
	paretoNormal = sync.OnceValue(func() *Distribution {
		return newDistribution("paretonormal", true, shape(func(p, q float64) float64 {
			return float64(normalQuantile(p, q)+float64(3*paretoQuantile(p, q))) / paretoNormalSpread
		}))
	})
)

// paretoNormalSpread is √(1 + 9 + 6c), the standard deviation of Z + 3P, where
// c = 0.6783527895 is the correlation of a normal Z and our Pareto P at the same
// quantile: ∫ Φ⁻¹(u) (u^(-1/3) − 3/2)/√(3/4) du.
const paretoNormalSpread = 3.7510154275

func normalQuantile(p, q float64) float64 {
	if p < q {
		return -math.Sqrt2 * math.Erfcinv(float64(2*p))
	}
	return math.Sqrt2 * math.Erfcinv(float64(2*q))
}

// A Pareto variate of shape 3 and least value 1 has mean 3/2 and variance 3/4.
func paretoQuantile(_, q float64) float64 {
	return (math.Cbrt(1/q) - 1.5) / math.Sqrt(0.75)
}

// shape samples an inverse distribution function of p, given q = 1-p too, which
// a float64 cannot tell from 1 in the tail. The points are 2^-10 apart, in the
// first and last cell 2^-20, and in the first and last of those 2^-30.
func shape(f func(p, q float64) float64) []knot {
	const n = 1 << levelBits
	var low, high []knot
	add := func(to []knot, i, level int, mirrored bool) []knot {
		x := math.Ldexp(float64(i), -levelBits*level)
		p, u := x, uint64(i)<<(64-levelBits*level)
		q := 1 - x
		if mirrored {
			p, q, u = q, p, -u
		}
		return append(to, knot{u, int64(math.RoundToEven(math.Ldexp(f(p, q), unit)))})
	}
	for level := tailLevels; level >= 1; level-- {
		last := n
		if level == 1 {
			last = n/2 + 1 // the middle belongs to the lower half
		}
		for i := 1; i < last; i++ {
			low = add(low, i, level, false)
			if level > 1 || i < n/2 {
				high = add(high, i, level, true)
			}
		}
	}
	slices.Reverse(high)
	return append(low, high...)
}

// phiTable has Φ(z) in units of 2^-32 for z from -8 to 8 in steps of 1/256.
var phiTable = sync.OnceValue(func() *[phiCells + 1]uint64 {
	t := new([phiCells + 1]uint64)
	for i := range t {
		z := float64(i-phiCells/2) / 256
		t[i] = uint64(math.RoundToEven(math.Ldexp(math.Erfc(-z/math.Sqrt2)/2, 32)))
	}
	return t
})

const (
	phiCells = 16 * 256
	phiStep  = unit - 8
)

// phi returns Φ(z) in units of 2^-64 for z in units of 2^-unit.
func phi(z int64) uint64 {
	z += 8 << unit
	if z < 0 {
		return 0
	}
	i := z >> phiStep
	if i >= phiCells {
		return math.MaxUint64
	}
	t := phiTable()
	part := uint64(z & (1<<phiStep - 1))
	return t[i]<<32 + (t[i+1]-t[i])*part<<(32-phiStep)
}
