package extract

import (
	"math"
	"slices"
)

// A clock says how the clock of the second capture runs against the first one's:
// second = first + offset + skew·(first − origin), all in nanoseconds since the
// first frame of the first capture.
type clock struct {
	offset float64
	skew   float64
	// low and high bound the offset: outside them frames would arrive before they
	// were sent.
	low, high float64
	trusted   bool // the clocks agree as they are
	swapped   bool // the files stand the wrong way round
}

// toFirst converts a time of the second capture.
func (k *clock) toFirst(t int64) int64 {
	return int64(math.Round((float64(t) - k.offset) / (1 + k.skew)))
}

// A sight is a frame seen at both taps: when, and how much later at the second.
type sight struct{ at, late float64 }

// Bounds of what is believed of a skew.
const (
	leastSkew  = 1e-6
	mostSkew   = 1e-3
	leastSpan  = 10e9 // ns
	leastDrift = 2e5  // ns
)

// readClock finds the clock from frames that were seen once at each tap: those up,
// and those down, whose lateness is negative.
func readClock(ups, downs []sight) clock {
	k := clock{low: math.Inf(-1), high: math.Inf(1)}
	k.skew = skewOf(ups, downs)
	least := func(list []sight, sign float64) float64 {
		least := math.Inf(1)
		for _, s := range list {
			least = min(least, sign*(s.late-k.skew*s.at))
		}
		return least
	}
	k.high, k.low = least(ups, 1), -least(downs, -1)
	switch {
	case len(ups) == 0 && len(downs) == 0:
		return k
	case len(downs) == 0:
		k.offset = min(0, k.high)
	case len(ups) == 0:
		k.offset = max(0, k.low)
	case k.high < k.low: // frames would arrive before they were sent, both ways
		k.swapped = true
		k.offset = (k.high + k.low) / 2
	default:
		k.offset = (k.high + k.low) / 2
	}
	// A clock that can be right as it is, is taken for right.
	if k.low <= 0 && k.high >= 0 && k.skew == 0 && !k.swapped {
		k.offset, k.trusted = 0, true
	}
	return k
}

// skewOf fits a line below the lateness of each direction. A queue that fills
// tilts one of them; a clock tilts both, in opposite senses.
func skewOf(ups, downs []sight) float64 {
	a, okA := slope(ups, 1)
	b, okB := slope(downs, -1)
	if !okA || !okB {
		return 0
	}
	skew := (a - b) / 2
	drift := math.Abs(skew) * (ups[len(ups)-1].at - ups[0].at)
	if a*b >= 0 || math.Abs(a+b) > math.Abs(a-b)/4 || math.Abs(skew) < leastSkew || math.Abs(skew) > mostSkew || drift < leastDrift {
		return 0
	}
	return skew
}

// slope is that of the lower hull's edge in the middle of the time.
func slope(list []sight, sign float64) (float64, bool) {
	if len(list) < 10 || list[len(list)-1].at-list[0].at < leastSpan {
		return 0, false
	}
	points := slices.Clone(list)
	slices.SortFunc(points, func(a, b sight) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	middle := 0.0
	for i := range points {
		points[i].late *= sign
		middle += points[i].at / float64(len(points))
	}
	var hull []sight
	for _, p := range points {
		for len(hull) >= 2 {
			a, b := hull[len(hull)-2], hull[len(hull)-1]
			if (b.late-a.late)*(p.at-a.at) < (p.late-a.late)*(b.at-a.at) {
				break
			}
			hull = hull[:len(hull)-1]
		}
		hull = append(hull, p)
	}
	for i := 1; i < len(hull); i++ {
		if hull[i].at >= middle && hull[i].at > hull[i-1].at {
			return (hull[i].late - hull[i-1].late) / (hull[i].at - hull[i-1].at), true
		}
	}
	return 0, false
}
