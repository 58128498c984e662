package link

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sort"
	"time"
)

// A Distribution is an inverse cumulative distribution function: a table of
// integers with straight lines between its points. It is immutable and may be
// shared by all links of all worlds.
type Distribution struct {
	name     string
	knots    []knot
	guide    [guideCells + 1]int32 // the last knot at or below each multiple of 2^56
	relative bool                  // values are in units of 2^-unit of a spread, not in ns
}

type knot struct {
	p uint64 // in units of 2^-64
	v int64
}

const (
	guideCells = 256
	// unit is small enough that the last bit of a machine's logarithm never shows.
	unit = 24
	// MaxQuantiles bounds the points of a table that a user gives.
	MaxQuantiles = 1 << 16
	// MaxDelay bounds a delay and a spread: about 4.9 hours.
	MaxDelay = time.Duration(1) << 44
)

// Relative reports whether the distribution has no unit of its own, so that it
// needs a spread: half the width for Uniform, the standard deviation otherwise.
func (d *Distribution) Relative() bool { return d.relative }

// String returns the distribution's name.
func (d *Distribution) String() string { return d.name }

func newDistribution(name string, relative bool, knots []knot) *Distribution {
	d := &Distribution{name: name, relative: relative, knots: knots}
	i := 0
	for c := range d.guide {
		at := uint64(math.MaxUint64)
		if c < guideCells {
			at = uint64(c) << 56
		}
		for i+1 < len(knots) && knots[i+1].p <= at {
			i++
		}
		d.guide[c] = int32(i)
	}
	return d
}

// at returns the quantile of u·2^-64.
func (d *Distribution) at(u uint64) int64 {
	low, high := int(d.guide[u>>56]), int(d.guide[u>>56+1])
	for low < high { // the last knot with p <= u
		mid := (low + high + 1) / 2
		if d.knots[mid].p <= u {
			low = mid
		} else {
			high = mid - 1
		}
	}
	a := d.knots[low]
	if u <= a.p || low+1 == len(d.knots) {
		return a.v
	}
	b := d.knots[low+1]
	rise, sign := b.v-a.v, int64(1)
	if rise < 0 {
		rise, sign = -rise, -1
	}
	hi, lo := bits.Mul64(uint64(rise), u-a.p)
	q, _ := bits.Div64(hi, lo, b.p-a.p)
	return a.v + sign*int64(q)
}

// scaled returns the quantile of u·2^-64 in ns.
func (d *Distribution) scaled(u uint64, spread time.Duration) int64 {
	v := d.at(u)
	if !d.relative {
		return v
	}
	sign := int64(1)
	if v < 0 {
		v, sign = -v, -1
	}
	hi, lo := bits.Mul64(uint64(v), uint64(spread))
	lo, carry := bits.Add64(lo, 1<<(unit-1), 0)
	if hi += carry; hi>>(unit-1) != 0 {
		return sign * math.MaxInt64
	}
	return sign * int64(hi<<(64-unit)|lo>>unit)
}

// A Quantile says that a share P of all delays is at most D.
type Quantile struct {
	P float64
	D time.Duration
}

// Quantiles returns the distribution with the given points and straight lines
// between them. P must rise and D must not fall. Below the first point and above
// the last the delay is that of the point.
func Quantiles(points []Quantile) (*Distribution, error) {
	if len(points) == 0 {
		return nil, fmt.Errorf("link: a table of quantiles without points")
	}
	if len(points) > MaxQuantiles {
		return nil, fmt.Errorf("link: %d quantiles are more than %d", len(points), MaxQuantiles)
	}
	knots := make([]knot, len(points))
	for i, q := range points {
		if !(q.P >= 0 && q.P <= 1) {
			return nil, fmt.Errorf("link: quantile %d: probability %v is not between 0 and 1", i+1, q.P)
		}
		if q.D < 0 || q.D > MaxDelay {
			return nil, fmt.Errorf("link: quantile %d: delay %v is not between 0 and %v", i+1, q.D, MaxDelay)
		}
		if i > 0 && q.P <= points[i-1].P {
			return nil, fmt.Errorf("link: quantile %d: probability %v does not rise", i+1, q.P)
		}
		if i > 0 && q.D < points[i-1].D {
			return nil, fmt.Errorf("link: quantile %d: delay %v is below the one before it, %v", i+1, q.D, points[i-1].D)
		}
		knots[i] = knot{probability64(q.P), int64(q.D)}
		if i > 0 && knots[i].p == knots[i-1].p {
			return nil, fmt.Errorf("link: quantile %d: probability %v is too close to the one before it", i+1, q.P)
		}
	}
	return newDistribution("quantiles", false, knots), nil
}

// Samples returns the distribution of measured delays, in any order: each is as
// likely as the others, with straight lines between their mid-points.
func Samples(delays []time.Duration) (*Distribution, error) {
	if len(delays) == 0 {
		return nil, fmt.Errorf("link: a table of samples without samples")
	}
	if len(delays) > MaxQuantiles {
		return nil, fmt.Errorf("link: %d samples are more than %d", len(delays), MaxQuantiles)
	}
	sorted := slices.Clone(delays)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	values := make([]int64, len(sorted))
	for i, v := range sorted {
		if v < 0 || v > MaxDelay {
			return nil, fmt.Errorf("link: a sample of %v is not between 0 and %v", v, MaxDelay)
		}
		values[i] = int64(v)
	}
	return newDistribution("samples", false, midpoints(values)), nil
}

// midpoints puts value i of n at the probability (i+½)/n.
func midpoints(values []int64) []knot {
	n := uint64(len(values))
	knots := make([]knot, n)
	for i, v := range values {
		p, _ := bits.Div64(uint64(2*i+1), 0, 2*n)
		knots[i] = knot{p, v}
	}
	return knots
}

// probability64 returns p in units of 2^-64, at most the greatest uint64.
func probability64(p float64) uint64 {
	if p >= 1 {
		return math.MaxUint64
	}
	return uint64(math.Ldexp(p, 53)) << 11
}
