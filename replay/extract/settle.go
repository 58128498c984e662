package extract

import (
	"cmp"
	"math"
	"slices"
)

// misfit takes an answer that no belief explains: the peer has what it says, besides
// what it had, and of what was sent again until then nothing is known.
func (f *follower) misfit(a *answer) bool {
	if f.misfits++; f.misfits > f.heard/misfitShare+20 {
		return false
	}
	f.agree(true)
	from := f.beliefs[0].done
	b := belief{weight: 1, receiverState: f.beliefs[0].receiverState}
	if after(a.ack, b.next) {
		b.next = a.ack
		b.absorb()
	}
	for _, s := range a.blocks {
		if after(s.Start, b.next) && !b.keep(s.Start, s.End) {
			return false
		}
	}
	b.answered(a)
	// The last one that can have made the peer say so.
	newest := a.ack - 1
	if len(a.blocks) > 0 {
		newest = a.blocks[0].End - 1
	}
	for n := from; n < len(f.sent) && n < from+maxAhead && f.sent[n].at+f.least() <= a.at; n++ {
		if x := &f.sent[n]; !after(x.seq, newest) && after(x.end, newest) {
			b.done = n + 1
		}
	}
	if f.steps += (b.done - from) * (b.done - from); f.steps > maxSteps {
		return false
	}
	for n := from; n < b.done; n++ {
		for m := n + 1; m < b.done; m++ {
			if f.sent[m].seq == f.sent[n].seq { // one of the two was for nothing
				f.chances[n] = 0.5
				f.count([]float64{0.5, 0.5})
				break
			}
		}
	}
	f.beliefs = []belief{b}
	return true
}

// agree settles what all beliefs have in common: when they agree on where things
// stand, or at the end.
func (f *follower) agree(end bool) {
	if len(f.beliefs) == 0 {
		return
	}
	first := f.beliefs[0].receiverState
	for i := range f.beliefs {
		if f.beliefs[i].receiverState != first && !end {
			return
		}
	}
	least, most, total, quiet := math.MaxInt, 0, 0.0, 0.0
	for i := range f.beliefs {
		b := &f.beliefs[i]
		least, most, total = min(least, b.n), max(most, b.n), total+b.weight
	}
	if most > 0 {
		counts := make([]float64, most+1)
		for i := range f.beliefs {
			b := &f.beliefs[i]
			w := b.weight / total
			counts[b.n] += w
			for l := b.lost; l != nil; l = l.next {
				f.chances[l.sent] += w
			}
		}
		f.count(counts)
	}
	best := 0
	for i := range f.beliefs {
		quiet += float64(f.beliefs[i].quiet) * f.beliefs[i].weight / total
		if f.beliefs[i].weight > f.beliefs[best].weight {
			best = i
		}
	}
	f.silent += quiet
	b := f.beliefs[best]
	f.arrived = float64(b.done)
	f.beliefs = []belief{{receiverState: b.receiverState, weight: 1}}
}

// count adds a number of which it is known how likely it is what.
func (f *follower) count(b []float64) {
	out := make([]float64, len(f.counts)+len(b)-1)
	for i, x := range f.counts {
		for j, y := range b {
			out[i+j] += x * y
		}
	}
	const never = 1e-9
	for len(out) > 1 && out[0] < never {
		out = out[1:]
		f.base++
	}
	for len(out) > 1 && out[len(out)-1] < never {
		out = out[:len(out)-1]
	}
	f.counts = out
}

// bounds are the number of lost segments, and what it lies between but for a chance
// of one in a hundred on each side. The estimate is what is most likely to be right, or
// off by one, which counts half.
func (f *follower) bounds() Bounds {
	const rare = 0.01
	sum := 0.0
	low, high := -1, 0
	for n, w := range f.counts {
		if sum += w; low < 0 && sum > rare {
			low = n
		}
		if w > 0 && 1-(sum-w) > rare {
			high = n
		}
	}
	low = max(low, 0)
	best, most := low, 0.0
	for n := low; n <= high; n++ {
		w := 0.0
		for m := max(0, n-1); m <= min(n+1, len(f.counts)-1); m++ {
			w += f.counts[m]
			if m == n {
				w += f.counts[m]
			}
		}
		if w > most {
			best, most = n, w
		}
	}
	b := Bounds{Min: f.base + low, Estimate: f.base + best}
	b.Max = max(b.Estimate, f.base+high) + f.beyond
	return b
}

// chosen are the likeliest of the lost segments, as many as the estimate, by index.
func (f *follower) chosen() map[int]float64 {
	order := make([]int, len(f.sent))
	for n := range order {
		order[n] = n
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(f.chances[y], f.chances[x]) })
	all := map[int]float64{} // looked up only
	for _, n := range order[:min(len(order), f.bounds().Estimate)] {
		c := f.chances[n]
		const sure = 0.99
		if c >= sure {
			c = 1
		}
		all[f.sent[n].index] = c
	}
	return all
}
