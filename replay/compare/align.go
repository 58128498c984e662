package compare

import "slices"

// A Step is a step of an alignment: a pair of indices, of which one is -1 for what
// only one side has.
type Step struct{ A, B int }

// A Key tells what an item of an alignment is. Items of one Whole are the same. Where
// only others stand, those of one Shape are one item that has changed.
type Key struct{ Whole, Shape int }

// Align returns the steps that turn a into b, in order: with as few items as can be
// that are not the same, up to what a search may cost. Of several ways one is found; in
// this one, as many of the others as can be are pairs of one shape.
func Align(a, b []Key) []Step {
	whole := func(keys []Key) []int {
		n := make([]int, len(keys))
		for i, k := range keys {
			n[i] = k.Whole
		}
		return n
	}
	return pairUp(a, b, align(whole(a), whole(b)))
}

// pairUp finds, in each run of steps that only one side has, what both have with other
// fields.
func pairUp(a, b []Key, steps []Step) []Step {
	out := make([]Step, 0, len(steps))
	for i := 0; i < len(steps); {
		if steps[i].A >= 0 && steps[i].B >= 0 {
			out = append(out, steps[i])
			i++
			continue
		}
		fromA, fromB := -1, -1
		var shapesA, shapesB []int
		for ; i < len(steps) && (steps[i].A < 0 || steps[i].B < 0); i++ {
			if at := steps[i].A; at >= 0 {
				if fromA < 0 {
					fromA = at
				}
				shapesA = append(shapesA, a[at].Shape)
			} else {
				at = steps[i].B
				if fromB < 0 {
					fromB = at
				}
				shapesB = append(shapesB, b[at].Shape)
			}
		}
		for _, s := range align(shapesA, shapesB) {
			if s.A >= 0 {
				s.A += fromA
			}
			if s.B >= 0 {
				s.B += fromB
			}
			out = append(out, s)
		}
	}
	return out
}

// maxEdits bounds the work and memory of one search (Myers' D). Behind it, what was
// found so far stands and the search goes on from there, so that the result may have
// more differences than there need be, but never hides one.
const maxEdits = 1000

// align returns the steps that turn a into b: equal numbers are matched so that few
// others are left, in order.
func align(a, b []int) []Step {
	ops := make([]Step, 0, max(len(a), len(b)))
	x, y := 0, 0
	for x < len(a) && y < len(b) && a[x] == b[y] {
		ops = append(ops, Step{x, y})
		x, y = x+1, y+1
	}
	tail := 0
	for len(a)-tail > x && len(b)-tail > y && a[len(a)-tail-1] == b[len(b)-tail-1] {
		tail++
	}
	endA, endB := len(a)-tail, len(b)-tail
	for x < endA || y < endB {
		var path []Step
		path, x, y = search(a[:endA], b[:endB], x, y)
		ops = append(ops, path...)
	}
	for n := range tail {
		ops = append(ops, Step{endA + n, endB + n})
	}
	return ops
}

// search goes from (x0, y0) to the end of both, or as far as maxEdits go.
func search(a, b []int, x0, y0 int) (path []Step, endX, endY int) {
	n, m := len(a)-x0, len(b)-y0
	limit := min(n+m, maxEdits)
	v := make([]int32, 2*limit+3) // the furthest x, by diagonal
	middle := limit + 1
	var trace [][]int32 // v behind each round, from diagonal -d
	for d := 0; ; d++ {
		bestX, bestY := -1, -1
		for k := -d; k <= d; k += 2 {
			x := int(v[middle+k+1])
			if k != -d && (k == d || v[middle+k-1] >= v[middle+k+1]) {
				x = int(v[middle+k-1]) + 1
			}
			for x < n && x-k < m && x >= 0 && x-k >= 0 && a[x0+x] == b[y0+x-k] {
				x++
			}
			v[middle+k] = int32(x)
			if x <= n && x-k <= m && x+x-k > bestX+bestY {
				bestX, bestY = x, x-k
			}
		}
		trace = append(trace, append([]int32(nil), v[middle-d:middle+d+1]...))
		if bestX+bestY == n+m || d == limit {
			return backtrack(trace, bestX, bestY, x0, y0), x0 + bestX, y0 + bestY
		}
	}
}

// backtrack walks a search back from (x, y), which its last round has reached.
func backtrack(trace [][]int32, x, y, x0, y0 int) (path []Step) {
	matched := func(toX, toY int) {
		for x > toX && y > toY {
			x, y = x-1, y-1
			path = append(path, Step{x0 + x, y0 + y})
		}
	}
	for d := len(trace) - 1; d > 0; d-- {
		before := func(k int) int { return int(trace[d-1][k+d-1]) }
		k := x - y
		if k == -d || k != d && before(k-1) < before(k+1) {
			px := before(k + 1)
			py := px - k - 1
			matched(px, py)
			path = append(path, Step{-1, y0 + py})
			x, y = px, py
		} else {
			px := before(k - 1)
			py := px - k + 1
			matched(px, py)
			path = append(path, Step{x0 + px, -1})
			x, y = px, py
		}
	}
	matched(0, 0)
	slices.Reverse(path)
	return path
}
