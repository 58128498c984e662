package plot

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// A scale maps values to pixels.
type scale struct {
	low, high float64 // values
	from, to  float64 // pixels
	log       bool
}

// at is explicit about its conversions, for a compiler may not round in between
// without them and would round differently on other processors.
func (s *scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log10(max(v, s.low)), math.Log10(low), math.Log10(high)
	}
	share := float64((v - low) / (high - low))
	return s.from + float64(share*(s.to-s.from))
}

// ticks are round values, about n of them.
func (s *scale) ticks(n int) []float64 {
	if s.log {
		return s.logTicks(n)
	}
	return ticks(s.low, s.high, n)
}

func ticks(low, high float64, n int) []float64 {
	step := (high - low) / float64(max(n, 1))
	if !(step > 0) || math.IsInf(step, 0) {
		return []float64{low}
	}
	power := math.Pow(10, math.Floor(math.Log10(step)))
	switch d := step / power; {
	case d > 5:
		step = 10 * power
	case d > 2:
		step = 5 * power
	case d > 1:
		step = 2 * power
	default:
		step = power
	}
	var all []float64
	for i := math.Ceil(low/step - 1e-9); len(all) < 64 && float64(i*step) <= high+float64(step*1e-9); i++ {
		all = append(all, float64(i*step))
	}
	return all
}

// logTicks are powers of ten, with two and five between them where there is room.
func (s *scale) logTicks(n int) []float64 {
	for _, digits := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
		var all []float64
		for power := math.Pow(10, math.Floor(math.Log10(s.low))); power <= s.high && len(all) < 64; power *= 10 {
			for _, d := range digits {
				if v := float64(d * power); v >= s.low*0.999 && v <= s.high*1.001 {
					all = append(all, v)
				}
			}
		}
		if len(all) <= n+1 || len(digits) == 1 {
			return all
		}
	}
	return nil
}

// plain writes a value of an axis without needless digits.
func plain(v float64) string {
	if v == 0 {
		return "0" // and not -0
	}
	s := strconv.FormatFloat(v, 'g', 6, 64)
	if strings.Contains(s, "e") {
		s = strconv.FormatFloat(v, 'f', -1, 64)
	}
	if v == math.Trunc(v) && math.Abs(v) >= 10_000 && math.Abs(v) < 1e15 {
		s = grouped(int64(v))
	}
	return s
}

// grouped writes a number with thin gaps between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u2009" + s[i:]
	}
	return sign + s
}

// unit is how times of a size are written.
type unit struct {
	name string
	ns   float64
}

// unitFor is the unit for an axis up to a time.
func unitFor(ns float64) unit {
	switch {
	case ns >= float64(2*time.Hour):
		return unit{"h", float64(time.Hour)}
	case ns >= float64(time.Second):
		return unit{"s", float64(time.Second)}
	case ns >= float64(time.Millisecond):
		return unit{"ms", float64(time.Millisecond)}
	}
	return unit{"µs", float64(time.Microsecond)}
}
