package conformance

import (
	"fmt"
	"math"
	"slices"
	"time"

	"hilnet/link"
	"hilnet/sim"
)

// Reading list: Knuth, The Art of Computer Programming 2, 3.3.1 (chi-square and
// Kolmogorov-Smirnov); Wilson and Hilferty, "The distribution of chi-square"
// (1931); Law, "Simulation Modeling and Analysis", 9.5.3 (batch means).

const batches = 100

// share compares how often something is so with a probability, for independent
// draws or any others: the standard error is that of the means of batches.
func (r *record) share(what string, p float64, is func(i int) bool) Row {
	return r.mean(what, p, func(i int) (float64, bool) {
		if is(i) {
			return 1, true
		}
		return 0, true
	})
}

// mean compares the mean of a value with its expectation, by batch means.
// Correlated values need no other formula: a batch is much longer than their
// memory. Packets without a value are left out.
func (r *record) mean(what string, want float64, value func(i int) (float64, bool)) Row {
	var of [batches]float64
	total, n := 0.0, 0
	for b := range of {
		sum, count := 0.0, 0
		for i := r.n / batches * b; i < r.n/batches*(b+1); i++ {
			if v, ok := value(i); ok {
				sum += v
				count++
			}
		}
		of[b] = sum / float64(max(1, count))
		total += sum
		n += count
	}
	mean := total / float64(max(1, n))
	variance := 0.0
	for _, m := range of {
		variance += (m - mean) * (m - mean) / (batches - 1) / batches
	}
	return Row{Statistic: what, Expected: want, Observed: mean, Z: z(mean-want, math.Sqrt(variance))}
}

// z is a distance in standard errors; without any scatter it must be none.
func z(distance, err float64) float64 {
	switch {
	case err > 0:
		return distance / err
	case math.Abs(distance) < 1e-12:
		return 0
	}
	return math.Inf(1)
}

// loss compares the share of losses, and of losses that follow a loss (both is
// the probability of two in a row): together they give the mean run.
func (r *record) loss(p, both float64) []Row {
	lost := func(i int) bool { return r.lost[i] }
	pairs := func(i int) bool { return i > 0 && r.lost[i] && r.lost[i-1] }
	return []Row{r.share("lost", p, lost), r.share("lost, and the one before too", both, pairs)}
}

// follows compares how often a packet is lost, or not, behind one that was lost,
// or not.
func (r *record) follows(what string, p float64, before, then bool) Row {
	return r.mean(what, p, func(i int) (float64, bool) {
		if i == 0 || r.lost[i-1] != before {
			return 0, false
		}
		return is(r.lost[i] == then), true
	})
}

// gilbertElliott compares losses with the model's formulas: the rate by the
// effective number of packets, and the autocorrelation at three distances.
func (r *record) gilbertElliott(g link.GilbertElliott) []Row {
	p, bad := g.Loss(), g.P/(g.P+g.R)
	memory := 1 - g.P - g.R
	covariance := bad * (1 - bad) * (g.LossBad - g.LossGood) * (g.LossBad - g.LossGood)
	auto := covariance * memory / (p * (1 - p)) // at distance 1; the next ones by the factor memory
	effective := float64(r.n) / (1 + 2*auto/(1-memory))
	lost := 0
	for _, l := range r.lost {
		if l {
			lost++
		}
	}
	observed := float64(lost) / float64(r.n)
	rows := []Row{{Statistic: fmt.Sprintf("lost (of %.0f effective)", effective), Expected: p, Observed: observed, Z: z(observed-p, math.Sqrt(p*(1-p)/effective))}}
	for m := 1; m <= 3; m++ {
		rows = append(rows, r.mean(fmt.Sprintf("autocorrelation of losses, %d apart", m), auto, func(i int) (float64, bool) {
			if i < m {
				return 0, false
			}
			return (is(r.lost[i]) - p) * (is(r.lost[i-m]) - p) / (p * (1 - p)), true
		}))
		auto *= memory
	}
	return rows
}

func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// runs compares the lengths of runs of losses with the geometric distribution
// whose runs end with probability end, by chi-square.
func (r *record) runs(end float64) []Row {
	var lengths []int
	for i := 0; i < r.n; i++ {
		n := i
		for i < r.n && r.lost[i] {
			i++
		}
		if i > n && i < r.n {
			lengths = append(lengths, i-n)
		}
	}
	total, mean := float64(len(lengths)), 0.0
	counts := map[int]float64{} // only looked up
	for _, n := range lengths {
		counts[n]++
		mean += float64(n) / total
	}
	chi, bins, rest, seen := 0.0, 0, 1.0, 0.0
	for n := 1; total*rest*(1-end) > 20; n++ {
		want := total * rest * end
		if want < 20 {
			break
		}
		chi += (counts[n] - want) * (counts[n] - want) / want
		seen += counts[n]
		rest *= 1 - end
		bins++
	}
	if want := total * rest; want > 0 {
		chi += (total - seen - want) * (total - seen - want) / want
	}
	return []Row{
		{Statistic: "run lengths, chi-square", Expected: float64(bins), Observed: chi, Z: chiZ(chi, bins)},
		{Statistic: "mean run", Expected: 1 / end, Observed: mean, Z: z(mean-1/end, math.Sqrt((1-end)/(end*end)/total))},
	}
}

// chiZ is Wilson and Hilferty's normal approximation.
func chiZ(chi float64, freedom int) float64 {
	k := 2 / (9 * float64(max(1, freedom)))
	return (math.Cbrt(chi/float64(max(1, freedom))) - (1 - k)) / math.Sqrt(k)
}

// delays compares the jitter, in spreads, with its distribution function, mean,
// standard deviation and correlation from one packet to the next. A nil function
// or a deviation of NaN is not compared.
func (r *record) delays(cdf func(float64) float64, mean, deviation, correlation float64) []Row {
	x := func(i int) float64 { return float64(r.delay[i]-base) / float64(spread) }
	rows := []Row{r.mean("mean jitter", mean, func(i int) (float64, bool) { return x(i), !r.lost[i] })}
	if cdf != nil && correlation == 0 {
		rows = append(rows, r.kolmogorov(x, cdf))
	}
	if math.IsNaN(deviation) {
		return rows
	}
	variance := deviation * deviation
	rows = append(rows, r.mean("variance of jitter", variance, func(i int) (float64, bool) {
		return (x(i) - mean) * (x(i) - mean), !r.lost[i]
	}))
	return append(rows, r.mean("autocorrelation of jitter", correlation, func(i int) (float64, bool) {
		return (x(i) - mean) * (x(max(0, i-1)) - mean) / variance, i > 0 && !r.lost[i] && !r.lost[i-1]
	}))
}

// inMilliseconds compares delays that have no spread.
func (r *record) inMilliseconds(cdf func(float64) float64, mean float64) []Row {
	x := func(i int) float64 { return float64(r.delay[i]) / 1e6 }
	return []Row{
		r.mean("mean delay, ms", mean, func(i int) (float64, bool) { return x(i), !r.lost[i] }),
		r.kolmogorov(x, cdf),
	}
}

// kolmogorov is the Kolmogorov-Smirnov test. D√n exceeds 2.51 as rarely as a
// normal variate exceeds 4.5 on either side, so it is scaled to that.
func (r *record) kolmogorov(x func(int) float64, cdf func(float64) float64) Row {
	values := make([]float64, 0, r.n)
	for i := range r.n {
		if !r.lost[i] {
			values = append(values, x(i))
		}
	}
	slices.Sort(values)
	n, d := float64(len(values)), 0.0
	for i, v := range values {
		p := cdf(v)
		d = max(d, p-float64(i)/n, float64(i+1)/n-p)
	}
	return Row{Statistic: "distribution, Kolmogorov-Smirnov D", Expected: 0, Observed: d, Z: d * math.Sqrt(n) * MaxZ / 2.51}
}

// overtaken compares how many packets the next one overtakes.
func (r *record) overtaken(p float64) Row {
	gap := time.Millisecond
	return r.mean("overtaken by the next", p, func(i int) (float64, bool) {
		if i == 0 || r.lost[i] || r.lost[i-1] {
			return 0, false
		}
		return is(r.delay[i]+gap < r.delay[i-1]), true
	})
}

// bits compares the places of flipped bits with a uniform distribution over n.
func (r *record) bits(n int) Row {
	counts, total := make([]float64, n), 0.0
	for _, at := range r.damaged {
		if at >= 0 {
			counts[at]++
			total++
		}
	}
	chi, want := 0.0, total/float64(n)
	for _, c := range counts {
		chi += (c - want) * (c - want) / want
	}
	return Row{Statistic: "place of the flipped bit, chi-square", Expected: float64(n - 1), Observed: chi, Z: chiZ(chi, n-1)}
}

// shuffle counts the blocks that do not lose exactly what they must, and
// compares how often each place of a block is lost.
func (r *record) shuffle(lose, of int) []Row {
	wrong, places := 0.0, make([]float64, of)
	for b := 0; b+of <= r.n; b += of {
		n := 0
		for i := range of {
			if r.lost[b+i] {
				n++
				places[i]++
			}
		}
		wrong += is(n != lose)
	}
	blocks := float64(r.n / of)
	p := float64(lose) / float64(of)
	chi := 0.0
	for _, n := range places {
		// Places are lost without replacement, which the factor makes up for.
		chi += (n - blocks*p) * (n - blocks*p) / (blocks * p * (1 - p)) * float64(of-1) / float64(of)
	}
	return []Row{
		{Statistic: "blocks with another number lost", Expected: 0, Observed: wrong, Z: z(wrong, 0)},
		{Statistic: "lost places, chi-square", Expected: float64(of - 1), Observed: chi, Z: chiZ(chi, of-1)},
	}
}

// spacing finds the greatest error of the time between two arrivals.
func (r *record) spacing(want time.Duration) Row {
	worst := time.Duration(0)
	for i := 1; i < len(r.arrived); i++ {
		if d := r.arrived[i].Sub(r.arrived[i-1]) - want; d > worst || -d > worst {
			worst = max(d, -d)
		}
	}
	if len(r.arrived) != r.n {
		worst = time.Duration(sim.Never)
	}
	return Row{Statistic: "error of the time between two, ns", Expected: 0, Observed: float64(worst), Z: z(float64(worst), 0)}
}
