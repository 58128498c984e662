package extract

import (
	"cmp"
	"slices"
)

// maxTail bounds the segments without an answer that are weighed against each other;
// of those behind them nothing is said but that they may be lost.
const maxTail = 512

// tailStates are what the next segment's fate depends on: how many were lost before it
// in a row, how many answers, and whether the peer has a hole.
const tailStates = 2 * (longRun + 1) * (longRun + 1)

func tailState(lost, quiet int, hole bool) int {
	return (lost*(longRun+1)+quiet)*2 + bit(hole)
}

// tailBeliefs are how many ways in which things may stand at the end are gone on with.
const tailBeliefs = 8

// tail weighs the segments behind the last that is known to have arrived: each was
// lost, or its answer was, or it was held back or was still under way when the capture
// ended.
func (f *follower) tail() {
	slices.SortStableFunc(f.beliefs, func(x, y belief) int { return cmp.Compare(y.weight, x.weight) })
	most := tailBeliefs
	const long = 128 // of what takes its square
	if len(f.sent)-f.beliefs[0].done > long {
		most = 1
	}
	f.beliefs = f.beliefs[:min(len(f.beliefs), most)]
	total := 0.0
	for i := range f.beliefs {
		total += f.beliefs[i].weight
	}
	var all []float64
	for i := range f.beliefs {
		b := &f.beliefs[i]
		w := b.weight / total
		counts := f.tailOf(b, w)
		for len(all) < b.n+len(counts) {
			all = append(all, 0)
		}
		for n, c := range counts {
			all[b.n+n] += w * c
		}
		for l := b.lost; l != nil; l = l.next {
			f.chances[l.sent] += w
		}
		f.silent += w * float64(b.quiet)
	}
	f.count(all)
	best := f.beliefs[0]
	f.arrived = float64(best.done)
	f.beyond = max(0, len(f.sent)-best.done-maxTail)
	f.beliefs = []belief{{receiverState: best.receiverState, weight: 1}}
}

// tailOf goes on with a belief: it returns how likely how many more were lost.
func (f *follower) tailOf(b *belief, weight float64) []float64 {
	n := min(len(f.sent), b.done+maxTail) - b.done
	steps := make([][tailStates][2]tailStep, n)
	next := b.next
	soon, end := f.soon(), int64(f.k.s.k.end-f.k.s.k.start)
	answered, closed := f.refused(b.done, n)
	for i := range steps {
		if answered[i] {
			for s := range steps[i] {
				steps[i][s][1] = tailStep{tailState(0, 0, true), 1}
			}
			continue
		}
		steps[i] = f.tailSteps(b.done+i, next, soon, end, i >= closed)
		if x := &f.sent[b.done+i]; after(x.end, next) {
			next = x.end
		}
	}
	begin := tailState(b.lostBefore, b.quietBefore, b.spans.len() > 0)
	for i, c := range tailChances(steps, begin) {
		f.chances[b.done+i] += weight * c
	}
	return tailCounts(steps, begin)
}

// A tailStep is where a state goes to, and how likely: if a segment is lost, and if it
// arrives.
type tailStep struct {
	to     int
	weight float64
}

// tailSteps are what may become of a segment, by the state before it.
func (f *follower) tailSteps(n int, next uint32, soon, end int64, closed bool) (all [tailStates][2]tailStep) {
	x := &f.sent[n]
	fresh := after(x.end, next)
	follows := n+1 < len(f.sent) && f.sent[n+1].at-x.at <= f.hold
	for lost := range longRun + 1 {
		for quiet := range longRun + 1 {
			for _, hole := range []bool{false, true} {
				p := f.drops(n, lost)
				s := &all[tailState(lost, quiet, hole)]
				run := lost
				if !f.inQueue(n) {
					run = min(longRun, lost+1)
				}
				s[0] = tailStep{tailState(run, quiet, hole || fresh), p}
				q, still := afterRun(f.q, quiet, silence), min(longRun, quiet+1)
				switch {
				case f.pending(n, soon, end):
					q, still = 1, quiet // its answer may have been under way
				case fresh && !hole && follows && !closed:
					q, still = min(1, q+heldBack), quiet
				}
				if fresh && f.spoke > f.due(n)+f.slow+slack {
					q *= 0.05 // the peer spoke when it should have been there, and did not have it
				}
				s[1] = tailStep{tailState(0, still, hole && fresh), (1 - p) * q}
			}
		}
	}
	return all
}

// refused finds the segments that RST answered, and the first of them: each that comes
// to a closed port is answered so (RFC 9293, 3.10.7.1), in the order in which they
// come.
func (f *follower) refused(from, n int) (answered []bool, first int) {
	answered = make([]bool, n)
	m := min(len(f.resets), 2*maxTail)
	// best[i][j] is how likely the first segments and resets are what they are.
	const alone, stray = -3.0, -7.0 // a segment without a reset, and the reverse
	best := make([][]float64, n+1)
	for i := range best {
		best[i] = make([]float64, m+1)
		for j := range best[i] {
			switch {
			case i == 0 && j == 0:
				continue
			case i == 0:
				best[i][j] = best[i][j-1] + stray
				continue
			}
			best[i][j] = best[i-1][j] + alone
			if j > 0 {
				best[i][j] = max(best[i][j], best[i][j-1]+stray, best[i-1][j-1]+f.refuses(from+i-1, f.resets[j-1]))
			}
		}
	}
	first = n
	for i, j := n, m; i > 0 && j > 0; {
		switch best[i][j] {
		case best[i-1][j] + alone:
			i--
		case best[i][j-1] + stray:
			j--
		default:
			i, j = i-1, j-1
			answered[i], first = true, i
		}
	}
	return answered, first
}

// refuses is how likely a reset answers a segment, as a logarithm.
func (f *follower) refuses(n int, at int64) float64 {
	const never = -1e6
	switch late := at - f.sent[n].at - f.best; {
	case at < f.sent[n].at+f.least():
		return never
	case late <= slack+f.best/8:
		return 0
	case late <= f.slow+slack:
		return -0.7
	case late <= 2*f.slow+mostHold:
		return -2
	}
	return -8
}

// soon is how long an answer may take at the end: in a queue as long as the last ones
// did, or longer.
func (f *follower) soon() int64 {
	soon := 2*f.best + delayedACK
	const newest = 8
	if rtts := f.k.v.rtts[f.k.w]; len(rtts) > 0 {
		late := slices.Sorted(slices.Values(rtts[max(0, len(rtts)-newest):]))
		soon = max(soon, late[len(late)/2]*3/2)
	}
	return soon
}

// tailCounts is how likely how many of the segments were lost.
func tailCounts(steps [][tailStates][2]tailStep, begin int) []float64 {
	var now [tailStates][]float64
	for s := range now {
		now[s] = make([]float64, len(steps)+1)
	}
	now[begin][0] = 1
	for i := range steps {
		var next [tailStates][]float64
		for s := range next {
			next[s] = make([]float64, len(steps)+1)
		}
		total := 0.0
		for s := range now {
			gone, came := steps[i][s][0], steps[i][s][1]
			for n, w := range now[s][:i+1] {
				if w > 0 {
					next[gone.to][n+1] += w * gone.weight
					next[came.to][n] += w * came.weight
					total += w * (gone.weight + came.weight)
				}
			}
		}
		for s := range next {
			for n := range next[s] {
				next[s][n] /= total
			}
		}
		now = next
	}
	counts := make([]float64, len(steps)+1)
	for s := range now {
		for n, w := range now[s] {
			counts[n] += w
		}
	}
	return counts
}

// tailChances is how likely each of the segments was lost.
func tailChances(steps [][tailStates][2]tailStep, begin int) []float64 {
	ahead := make([][tailStates]float64, len(steps)+1)
	for s := range ahead[len(steps)] {
		ahead[len(steps)][s] = 1
	}
	for i := len(steps) - 1; i >= 0; i-- {
		most := 0.0
		for s := range ahead[i] {
			for _, t := range steps[i][s] {
				ahead[i][s] += t.weight * ahead[i+1][t.to]
			}
			most = max(most, ahead[i][s])
		}
		for s := range ahead[i] {
			ahead[i][s] /= most
		}
	}
	var now [tailStates]float64
	now[begin] = 1
	chances := make([]float64, len(steps))
	for i := range steps {
		var next [tailStates]float64
		gone, total := 0.0, 0.0
		for s, w := range now {
			for j, t := range steps[i][s] {
				next[t.to] += w * t.weight
				v := w * t.weight * ahead[i+1][t.to]
				if total += v; j == 0 {
					gone += v
				}
			}
		}
		chances[i] = gone / total
		sum := 0.0
		for _, w := range next {
			sum += w
		}
		for s := range next {
			now[s] = next[s] / sum
		}
	}
	return chances
}
