package extract

import (
	"math"
	"slices"
	"time"
)

// align finds for each frame that was sent the one that arrived.
func (p *pairing) align(w way, groups []group) {
	from, to := p.sender(w), p.receiver(w)
	least, most := math.MaxInt64, math.MinInt64
	var known []sight // of single frames: when sent, how long under way
	for _, g := range groups {
		if len(g.sent) == 1 && len(g.got) == 1 {
			at := p.time(from, g.sent[0])
			d := p.time(to, g.got[0]) - at
			known = append(known, sight{float64(at), float64(d)})
			least, most = min(least, int(d)), max(most, int(d))
		}
	}
	if len(known) == 0 {
		least, most = 0, int(time.Second)
	}
	slices.SortFunc(known, func(a, b sight) int { return int(math.Copysign(1, a.at-b.at)) })
	b := bounds{low: int64(least/2) - int64(50*time.Microsecond), high: int64(most) + int64(most/2) + int64(50*time.Millisecond), known: known}
	for _, g := range groups {
		p.alignGroup(w, &g, &b)
	}
	slices.SortFunc(p.dir[w], func(x, y match) int { return x.sent - y.sent })
	slices.Sort(p.extra[w])
}

// bounds are how long frames were under way.
type bounds struct {
	low, high int64
	known     []sight
}

// expected is how long a frame sent then was under way: as long as its neighbour.
func (b *bounds) expected(at int64) int64 {
	if len(b.known) == 0 {
		return b.low
	}
	i, _ := slices.BinarySearchFunc(b.known, float64(at), func(s sight, t float64) int { return int(math.Copysign(1, s.at-t)) })
	i = min(i, len(b.known)-1)
	if i > 0 && float64(at)-b.known[i-1].at < b.known[i].at-float64(at) {
		i--
	}
	return int64(b.known[i].late)
}

// alignGroup matches frames that are alike, in order: as many as there can be, and
// of several ways to do so that in which delays are those of their neighbours.
func (p *pairing) alignGroup(w way, g *group, b *bounds) {
	from, to := p.sender(w), p.receiver(w)
	sent, got := make([]int64, len(g.sent)), make([]int64, len(g.got))
	for i, x := range g.sent {
		sent[i] = p.time(from, x)
	}
	for j, x := range g.got {
		got[j] = p.time(to, x)
	}
	partner := make([]int, len(sent)) // of each sent one, -1: none
	taken := make([]bool, len(got))
	if len(sent) == 1 && len(got) == 1 {
		partner[0], taken[0] = 0, true
	} else {
		b.solve(sent, got, partner, taken)
	}
	matches := make([]match, len(sent))
	for i := range sent {
		matches[i] = match{sent: g.sent[i], got: -1}
		if partner[i] >= 0 {
			matches[i].got = g.got[partner[i]]
		}
	}
	// What is left arrived twice, if it came after one that arrived.
	for j := range got {
		if taken[j] {
			continue
		}
		best := -1
		for i, n := 0, len(sent); i < min(n, nearby) && best < 0; i++ {
			// Those sent last are the likeliest.
			k := last(sent, got[j]) - i
			if k < 0 {
				break
			}
			if matches[k].got >= 0 && got[j]-sent[k] <= 4*b.high {
				best = k
			}
		}
		switch {
		case best < 0:
			p.extra[w] = append(p.extra[w], g.got[j])
		default:
			matches[best].copies = append(matches[best].copies, g.got[j])
		}
	}
	p.dir[w] = append(p.dir[w], matches...)
}

// last returns the last of the moments up to one, -1 if there is none.
func last(sent []int64, at int64) int {
	i, _ := slices.BinarySearch(sent, at+1)
	return i - 1
}

// maxTable bounds the table that solve fills.
const maxTable = 1 << 22

// solve aligns two rows of moments.
func (b *bounds) solve(sent, got []int64, partner []int, taken []bool) {
	for i := range partner {
		partner[i] = -1
	}
	n, m := len(sent), len(got)
	if n == 0 || m == 0 {
		return
	}
	if n > maxTable/m {
		b.greedy(sent, got, partner, taken)
		return
	}
	type cell struct {
		matched int
		cost    int64
	}
	better := func(x, y cell) bool {
		return x.matched > y.matched || x.matched == y.matched && x.cost < y.cost
	}
	table := make([]cell, (n+1)*(m+1))
	at := func(i, j int) *cell { return &table[i*(m+1)+j] }
	pay := func(i, j int) (int64, bool) {
		d := got[j] - sent[i]
		if d < b.low || d > b.high {
			return 0, false
		}
		off := d - b.expected(sent[i])
		return max(off, -off), true
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			best := *at(i+1, j)
			if c := *at(i, j+1); better(c, best) {
				best = c
			}
			if cost, ok := pay(i, j); ok {
				c := *at(i+1, j+1)
				c.matched, c.cost = c.matched+1, c.cost+cost
				if !better(best, c) {
					best = c
				}
			}
			*at(i, j) = best
		}
	}
	for i, j := 0, 0; i < n && j < m; {
		cost, ok := pay(i, j)
		c := *at(i+1, j+1)
		c.matched, c.cost = c.matched+1, c.cost+cost
		switch here := *at(i, j); {
		case ok && c == here:
			partner[i], taken[j] = j, true
			i, j = i+1, j+1
		case here == *at(i+1, j):
			i++
		default:
			j++
		}
	}
}

// greedy is solve for rows that are too long for a table.
func (b *bounds) greedy(sent, got []int64, partner []int, taken []bool) {
	next := 0
	for j, t := range got {
		best, off := -1, int64(math.MaxInt64)
		for i := next; i < min(len(sent), next+nearby) && sent[i] <= t-b.low; i++ {
			if d := t - sent[i]; d <= b.high {
				if o := d - b.expected(sent[i]); max(o, -o) < off {
					best, off = i, max(o, -o)
				}
			}
		}
		if best >= 0 {
			partner[best], taken[j] = j, true
			next = best + 1
		}
	}
}
