package extract

import (
	"math"
	"slices"
	"time"
)

// spread sums up durations, in nanoseconds.
func spread(all []int64) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(all))
	rank := func(q float64) time.Duration { return time.Duration(s[int(q*float64(len(s)-1)+0.5)]) }
	return Spread{len(s), rank(0), rank(0.5), rank(0.99), rank(1)}
}

// gilbertTest is how large the likelihood ratio must be for bursts to be believed:
// χ² of one degree of freedom at 1 %.
const gilbertTest = 6.63

// fit chooses the model of a row of losses: independent, or a simple Gilbert model
// (Gilbert-Elliott in which the bad state loses all), by the ratio of likelihoods.
func fit(lost []bool) Model {
	m := Model{Name: "none", Frames: len(lost)}
	var n [2][2]float64 // transitions
	total := 0.0
	for i, l := range lost {
		if l {
			total++
		}
		if i > 0 {
			n[bit(lost[i-1])][bit(l)]++
		}
	}
	if total == 0 {
		return m
	}
	m.Name, m.Share = "independent", total/float64(len(lost))
	good, bad := n[0][0]+n[0][1], n[1][0]+n[1][1]
	if good == 0 || bad == 0 {
		return m
	}
	m.ToBad, m.ToGood = n[0][1]/good, n[1][0]/bad
	p := (n[0][1] + n[1][1]) / (good + bad)
	one := likely(n[0][0]+n[1][0], n[0][1]+n[1][1], p)
	two := likely(n[0][0], n[0][1], m.ToBad) + likely(n[1][0], n[1][1], 1-m.ToGood)
	m.LikelihoodRatio = max(0, 2*(two-one))
	if m.LikelihoodRatio > gilbertTest && m.ToBad > 0 && m.ToGood > 0 && 1-m.ToGood > p {
		m.Name = "gilbert-elliott"
	}
	return m
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// likely is the logarithm of the likelihood of so many that passed and were lost.
func likely(passed, lost, p float64) float64 {
	l := 0.0
	if passed > 0 {
		l += passed * math.Log(1-p)
	}
	if lost > 0 {
		l += lost * math.Log(p)
	}
	return l
}
