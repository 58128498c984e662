package conformance

import (
	"fmt"
	"math"
	"time"

	"hilnet/link"
)

const (
	base   = 100 * time.Millisecond
	spread = 10 * time.Millisecond
	gap    = time.Millisecond
)

func jitter(d *link.Distribution, correlation float64) link.JitterConfig {
	return link.JitterConfig{Spread: spread, Distribution: d, Correlation: correlation, Reorder: true}
}

// models returns all models. Where losses and delays do not touch each other,
// one run measures one of each.
func models() []model {
	bursts := link.GilbertElliott{P: .2, R: .3, LossBad: 1}
	long := link.GilbertElliott{P: .01, R: .1, LossBad: 1}
	noisy := link.GilbertElliott{P: .3, R: .4, LossBad: .9, LossGood: .3}
	four := link.FourState{P13: .2, P31: .2, P32: .4, P23: .5, P14: .3}
	quantiles, err := link.Quantiles([]link.Quantile{{P: 0, D: 0}, {P: .5, D: 4 * time.Millisecond}, {P: 1, D: 12 * time.Millisecond}})
	if err != nil {
		panic(err)
	}
	return []model{
		{name: "loss, uniform jitter", gap: gap, cfg: link.DirectionConfig{Loss: .2, Delay: base, Jitter: jitter(nil, 0)},
			judge: func(r *record) []Row {
				rows := append(r.loss(.2, .2*.2), r.runs(.8)...)
				rows = append(rows, r.delays(func(x float64) float64 { return (x + 1) / 2 }, 0, 1/math.Sqrt(3), 0)...)
				// (2J-s)²/8J² of packets s apart are overtaken by the next.
				j, s := float64(spread), float64(gap)
				return append(rows, r.overtaken(float64((2*j-s)*(2*j-s))/(8*j*j)))
			}},
		{name: "Gilbert, normal jitter", gap: gap, cfg: link.DirectionConfig{
			Burst: link.BurstConfig{GilbertElliott: &bursts}, Delay: base, Jitter: jitter(link.Normal(), 0)},
			judge: func(r *record) []Row {
				rows := append(r.gilbertElliott(bursts), r.runs(bursts.R)...)
				rows = append(rows, r.follows("lost behind one that is not, p", bursts.P, false, true), r.follows("not lost behind a loss, r", bursts.R, true, false))
				return append(rows, r.delays(normalCDF, 0, 1, 0)...)
			}},
		{name: "Gilbert, long bursts", gap: gap, cfg: link.DirectionConfig{Burst: link.BurstConfig{GilbertElliott: &long}},
			judge: func(r *record) []Row { return append(r.gilbertElliott(long), r.runs(long.R)...) }},
		{name: "Gilbert-Elliott, pareto", gap: gap, times: 4, cfg: link.DirectionConfig{
			Burst: link.BurstConfig{GilbertElliott: &noisy}, Delay: base, Jitter: jitter(link.Pareto(), 0)},
			judge: func(r *record) []Row {
				return append(r.gilbertElliott(noisy), r.delays(paretoCDF, 0, math.NaN(), 0)...)
			}},
		{name: "four states", gap: gap, times: 4, cfg: link.DirectionConfig{
			Burst: link.BurstConfig{FourState: &four}, Delay: base, Jitter: jitter(link.ParetoNormal(), 0)},
			judge: func(r *record) []Row {
				rows := r.loss(four.Loss(), bothLost(&four, 1))
				for m := 2; m <= 4; m++ {
					rows = append(rows, r.share(fmt.Sprintf("lost, and the one %d before too", m), bothLost(&four, m), func(i int) bool {
						return i >= m && r.lost[i] && r.lost[i-m]
					}))
				}
				return append(rows, r.delays(nil, 0, math.NaN(), 0)...)
			}},
		{name: "correlated", gap: gap, times: 4, cfg: link.DirectionConfig{
			Loss: .2, LossCorrelation: .8, Delay: base, Jitter: jitter(link.Normal(), .5)},
			judge: func(r *record) []Row {
				return append(r.loss(.2, bothBelow(.2, .8)), r.delays(normalCDF, 0, 1, .5)...)
			}},
		{name: "shuffle, 3 of 20", gap: gap, cfg: link.DirectionConfig{Burst: link.BurstConfig{Shuffle: &link.Shuffle{Lose: 3, Of: 20}}},
			judge: func(r *record) []Row { return r.shuffle(3, 20) }},
		{name: "quantiles", gap: gap, cfg: link.DirectionConfig{
			Jitter:    link.JitterConfig{Distribution: quantiles, Reorder: true},
			Duplicate: link.Chance{Probability: .2}, Corrupt: link.CorruptConfig{Chance: link.Chance{Probability: .2}}},
			judge: func(r *record) []Row {
				return append(r.inMilliseconds(func(x float64) float64 {
					if x < 4 {
						return x / 8
					}
					return .5 + (x-4)/16
				}, 5), r.share("duplicated", .2, func(i int) bool { return r.copies[i] }),
					r.share("corrupted", .2, func(i int) bool { return r.damaged[i] >= 0 }), r.bits(60*8))
			}},
		{name: "reorder .5, gap 5", gap: gap, cfg: link.DirectionConfig{
			Delay: 50 * time.Millisecond, Reorder: link.ReorderConfig{Chance: link.Chance{Probability: .5}, Gap: 5}},
			judge: func(r *record) []Row {
				return []Row{r.share("sent at once, 1/(gap-1+1/p)", 1./6, func(i int) bool { return r.delay[i] == 0 })}
			}},
		{name: "rate 1 Mbit/s", gap: 10*time.Millisecond - 10*time.Microsecond, size: 1250, cfg: link.DirectionConfig{ // a thousandth more than fits
			Shaper: link.ShaperConfig{RateBitsPerSecond: 1e6, QueuePackets: link.MaxQueuePackets, QueueBytes: link.MaxQueueBytes}},
			judge: func(r *record) []Row { return []Row{r.spacing(10 * time.Millisecond)} }},
		{name: "conditions", gap: gap, times: 4, cfg: link.DirectionConfig{Jitter: link.JitterConfig{Reorder: true}, Conditions: &link.ConditionsConfig{States: []link.Condition{
			{DwellPackets: 6}, {DwellPackets: 3, Loss: 1}, {DwellPackets: 3, Delay: spread},
		}}},
			judge: func(r *record) []Row {
				return append(append(r.loss(.25, .25*2/3), r.runs(1./3)...),
					r.share("delayed", .25, func(i int) bool { return !r.lost[i] && r.delay[i] > 0 }))
			}},
	}
}

// bothLost is the probability that two packets are lost, so many apart.
func bothLost(s *link.FourState, apart int) float64 {
	step := [4][4]float64{ // from 1, 2, 3, 4
		{1 - s.P13 - s.P14, 0, s.P13, s.P14},
		{0, 1 - s.P23, s.P23, 0},
		{s.P31, s.P32, 1 - s.P31 - s.P32, 0},
		{1, 0, 0, 0},
	}
	w3 := s.P13 / s.P31
	w2 := w3 * s.P32 / s.P23
	sum := 1 + w2 + w3 + s.P14
	now := [4]float64{2: w3 / sum, 3: s.P14 / sum} // where a packet is lost
	for range apart {
		var next [4]float64
		for from, p := range now {
			for to := range next {
				next[to] += p * step[from][to]
			}
		}
		now = next
	}
	return now[2] + now[3]
}

func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

func paretoCDF(x float64) float64 {
	y := 1.5 + x*math.Sqrt(.75)
	if y <= 1 {
		return 0
	}
	return 1 - 1/(y*y*y)
}

// bothBelow is the probability that two normal variates with correlation rho are
// both below the quantile of p, by the rectangle rule.
func bothBelow(p, rho float64) float64 {
	z := -math.Sqrt2 * math.Erfcinv(2*p)
	const step = 1e-4
	sum, rest := 0.0, math.Sqrt(1-rho*rho)
	for x := z - step/2; x > -10; x -= step {
		sum += math.Exp(-x*x/2) * normalCDF((z-rho*x)/rest)
	}
	return sum * step / math.Sqrt(2*math.Pi)
}
