package conformance

import (
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
	bursts := link.GilbertElliott{P: .01, R: .1, LossBad: 1}
	noisy := link.GilbertElliott{P: .02, R: .2, LossBad: .7, LossGood: .001}
	four := link.FourState{P13: .01, P31: .3, P32: .2, P23: .4, P14: .005}
	quantiles, err := link.Quantiles([]link.Quantile{{P: 0, D: 0}, {P: .5, D: 4 * time.Millisecond}, {P: 1, D: 12 * time.Millisecond}})
	if err != nil {
		panic(err)
	}
	return []model{
		{name: "loss, uniform jitter", gap: gap, cfg: link.DirectionConfig{Loss: .05, Delay: base, Jitter: jitter(nil, 0)},
			judge: func(r *record) []Row {
				rows := append(r.loss(.05, .05*.05), r.runs(.95)...)
				rows = append(rows, r.delays(func(x float64) float64 { return (x + 1) / 2 }, 0, 1/math.Sqrt(3), 0)...)
				// (2J-s)²/8J² of packets s apart are overtaken by the next.
				j, s := float64(spread), float64(gap)
				return append(rows, r.overtaken(float64((2*j-s)*(2*j-s))/(8*j*j)))
			}},
		{name: "Gilbert, normal jitter", gap: gap, cfg: link.DirectionConfig{
			Burst: link.BurstConfig{GilbertElliott: &bursts}, Delay: base, Jitter: jitter(link.Normal(), 0)},
			judge: func(r *record) []Row {
				rows := append(r.gilbertElliott(bursts), r.runs(bursts.R)...)
				return append(rows, r.delays(normalCDF, 0, 1, 0)...)
			}},
		{name: "Gilbert-Elliott, pareto", gap: gap, cfg: link.DirectionConfig{
			Burst: link.BurstConfig{GilbertElliott: &noisy}, Delay: base, Jitter: jitter(link.Pareto(), 0)},
			judge: func(r *record) []Row {
				return append(r.gilbertElliott(noisy), r.delays(paretoCDF, 0, math.NaN(), 0)...)
			}},
		{name: "four states", gap: gap, cfg: link.DirectionConfig{
			Burst: link.BurstConfig{FourState: &four}, Delay: base, Jitter: jitter(link.ParetoNormal(), 0)},
			judge: func(r *record) []Row {
				// A run begins with a step into state 3 from 1 or 2, or into 4.
				w1, w3 := 1.0, four.P13/four.P31
				w2 := w3 * four.P32 / four.P23
				sum := w1 + w2 + w3 + four.P14
				starts := (w1*(four.P13+four.P14) + w2*four.P23) / sum
				return append(r.loss(four.Loss(), four.Loss()-starts), r.delays(nil, 0, math.NaN(), 0)...)
			}},
		{name: "correlated, rho 0.5", gap: gap, cfg: link.DirectionConfig{
			Loss: .05, LossCorrelation: .5, Delay: base, Jitter: jitter(link.Normal(), .5)},
			judge: func(r *record) []Row {
				return append(r.loss(.05, bothBelow(.05, .5)), r.delays(normalCDF, 0, 1, .5)...)
			}},
		{name: "shuffle, 3 of 20", gap: gap, divide: 10, cfg: link.DirectionConfig{Burst: link.BurstConfig{Shuffle: &link.Shuffle{Lose: 3, Of: 20}}},
			judge: func(r *record) []Row { return r.shuffle(3, 20) }},
		{name: "quantiles", gap: gap, cfg: link.DirectionConfig{
			Jitter:    link.JitterConfig{Distribution: quantiles, Reorder: true},
			Duplicate: link.Chance{Probability: .02}, Corrupt: link.CorruptConfig{Chance: link.Chance{Probability: .01}}},
			judge: func(r *record) []Row {
				return append(r.inMilliseconds(func(x float64) float64 {
					if x < 4 {
						return x / 8
					}
					return .5 + (x-4)/16
				}, 5), r.share("duplicated", .02, func(i int) bool { return r.copies[i] }),
					r.share("corrupted", .01, func(i int) bool { return r.damaged[i] >= 0 }), r.bits(60*8))
			}},
		{name: "reorder .5, gap 5", gap: gap, divide: 5, cfg: link.DirectionConfig{
			Delay: 50 * time.Millisecond, Reorder: link.ReorderConfig{Chance: link.Chance{Probability: .5}, Gap: 5}},
			judge: func(r *record) []Row {
				return []Row{r.share("sent at once, 1/(gap-1+1/p)", 1./6, func(i int) bool { return r.delay[i] == 0 })}
			}},
		{name: "rate 1 Mbit/s", gap: gap, divide: 10, size: 1250, cfg: link.DirectionConfig{
			Shaper: link.ShaperConfig{RateBitsPerSecond: 1e6, QueuePackets: 1 << 17, QueueBytes: link.MaxQueueBytes}},
			judge: func(r *record) []Row { return []Row{r.spacing(10 * time.Millisecond)} }},
		{name: "conditions", gap: gap, cfg: link.DirectionConfig{Jitter: link.JitterConfig{Reorder: true}, Conditions: &link.ConditionsConfig{States: []link.Condition{
			{DwellPackets: 60}, {DwellPackets: 20, Loss: 1}, {DwellPackets: 20, Delay: spread},
		}}},
			judge: func(r *record) []Row {
				return append(append(r.loss(.2, .2*19/20), r.runs(1./20)...),
					r.share("delayed", .2, func(i int) bool { return !r.lost[i] && r.delay[i] > 0 }))
			}},
	}
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
