package extract

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"hilnet/wire"
)

// A match is a frame at its sender's tap and, if it is there, at the other one.
// They are indices of packets.
type match struct {
	sent, got int // got is -1 for one that did not arrive
	copies    []int
	// missed: the other tap did not record it, but its host got it.
	missed bool
	// outside: it would have arrived when the other capture had not begun yet, or
	// had ended.
	outside bool
	// open: it may have waited in a queue when the other capture ended.
	open bool
}

// A pairing is what two captures of one link say together.
type pairing struct {
	a, b  *Capture // at the device's end and at the far one
	clock clock
	dir   [3][]match // by way, in the order of sending
	extra [3][]int   // that arrived and were not seen to be sent
	loose bool       // addresses or ports are others at the far end
	ids   bool       // matched by the identifiers of the capture format
}

// ErrNothingInCommon are two captures that do not show the same frames.
var ErrNothingInCommon = errors.New("extract: the two captures have no frame in common")

// leastShared is how many frames of the shorter capture both must have.
const leastShared = 0.2

// pair lays two captures beside each other.
func pair(a, b *Capture) (*pairing, error) {
	p := &pairing{a: a, b: b}
	p.match()
	if p.clock.swapped {
		p = &pairing{a: b, b: a}
		p.match()
	}
	shared, least := 0, min(len(a.packets), len(b.packets))
	for _, w := range ways {
		for _, m := range p.dir[w] {
			if m.got >= 0 {
				shared++
			}
		}
	}
	if shared == 0 || float64(shared) < leastShared*float64(least) {
		return nil, fmt.Errorf("%w: %s has %d, %s %d, and %d can be the same", ErrNothingInCommon, a.File, len(a.packets), b.File, len(b.packets), shared)
	}
	for _, w := range ways {
		p.judge(w)
	}
	return p, nil
}

// sender and receiver are the captures at the two ends of a direction.
func (p *pairing) sender(w way) *Capture {
	if w == up {
		return p.a
	}
	return p.b
}

func (p *pairing) receiver(w way) *Capture {
	if w == up {
		return p.b
	}
	return p.a
}

// base is how much later the second capture began, by the two clocks.
func (p *pairing) base() int64 { return int64(p.b.start - p.a.start) }

// time is when a frame of a capture was seen, by the first one's clock.
func (p *pairing) time(c *Capture, i int) int64 {
	if c == p.a {
		return c.packets[i].at
	}
	return p.clock.toFirst(c.packets[i].at + p.base())
}

// match finds the frames that both captures have, first those that are unlike
// every other, which give the clock, and then the rest.
func (p *pairing) match() {
	key := p.keys()
	groups := [3][]group{}
	for _, w := range ways {
		groups[w] = group2(p.sender(w), p.receiver(w), w, key)
	}
	sights := [3][]sight{}
	for _, w := range ways {
		for _, g := range groups[w] {
			if len(g.sent) != 1 || len(g.got) != 1 {
				continue
			}
			i, j := g.sent[0], g.got[0]
			if w == down {
				i, j = j, i
			}
			at, there := p.a.packets[i].at, p.b.packets[j].at+p.base()
			sights[w] = append(sights[w], sight{float64(at), float64(there - at)})
		}
	}
	p.clock = readClock(sights[up], sights[down])
	for _, w := range ways {
		p.align(w, groups[w])
	}
}

// keys chooses what frames are known by.
func (p *pairing) keys() func(*packet) uint64 {
	strict := func(f *packet) uint64 { return f.key }
	loose := func(f *packet) uint64 { return f.loose }
	byID := func(f *packet) uint64 {
		if !f.hasID {
			return f.key
		}
		return sum([]byte(fmt.Sprintf("id %d", f.id)))
	}
	if a, b := withIDs(p.a), withIDs(p.b); a && b && agree(p.a, p.b) {
		p.ids = true
		return byID
	}
	if s, l := common(p.a, p.b, strict), common(p.a, p.b, loose); l > 2*s+10 {
		p.loose = true
		return loose
	}
	return strict
}

// withIDs reports whether the frames of a capture have identifiers, all of them.
func withIDs(c *Capture) bool {
	return len(c.packets) > 0 && !slices.ContainsFunc(c.packets, func(f packet) bool { return !f.hasID })
}

// agree reports whether equal identifiers mean equal frames in both captures.
func agree(a, b *Capture) bool {
	keys := make(map[uint64]uint64, len(a.packets)) // looked up only
	for i := range a.packets {
		keys[a.packets[i].id] = a.packets[i].key
	}
	same, other := 0, 0
	for i := range b.packets {
		switch k, ok := keys[b.packets[i].id]; {
		case ok && k == b.packets[i].key:
			same++
		case ok:
			other++
		}
	}
	return same > 0 && other*4 <= same
}

// common counts the frames of b that are in a too.
func common(a, b *Capture, key func(*packet) uint64) int {
	have := make(map[uint64]bool, len(a.packets)) // looked up only
	for i := range a.packets {
		have[key(&a.packets[i])] = true
	}
	n := 0
	for i := range b.packets {
		if have[key(&b.packets[i])] {
			n++
		}
	}
	return n
}

// A group are the frames that are alike.
type group struct{ sent, got []int }

// group2 sorts the frames of a direction into groups, in the order of their first.
func group2(from, to *Capture, w way, key func(*packet) uint64) []group {
	at := map[uint64]int{} // looked up only
	var all []group
	find := func(k uint64) *group {
		i, ok := at[k]
		if !ok {
			i = len(all)
			at[k], all = i, append(all, group{})
		}
		return &all[i]
	}
	for _, i := range from.list(w) {
		g := find(key(&from.packets[i]))
		g.sent = append(g.sent, i)
	}
	for i := range to.packets {
		// What arrives twice is the network's doing, or the tap's: the other tap
		// tells, so twins count here.
		if f := &to.packets[i]; f.way == w {
			g := find(key(f))
			g.got = append(g.got, i)
		}
	}
	return all
}

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

// judge tells what was lost from what the other tap could not see.
func (p *pairing) judge(w way) {
	from, to := p.sender(w), p.receiver(w)
	if len(to.packets) == 0 {
		return
	}
	// The far capture began late if its host answered before, and ended early if it
	// answered after.
	first, last := p.time(to, 0), p.edge(to)
	startsLate, endsEarly := false, false
	for _, i := range p.extra[w.peer()] { // seen here, though the far tap did not send it
		at := p.time(from, i)
		startsLate = startsLate || at < first
		endsEarly = endsEarly || at > last
	}
	least, most, newest := int64(math.MaxInt64), int64(0), -1
	for k, m := range p.dir[w] {
		if m.got >= 0 {
			took := p.time(to, m.got) - p.time(from, m.sent)
			least, most, newest = min(least, took), max(most, took), k
		}
	}
	if least == math.MaxInt64 {
		least = 0
	}
	for k := range p.dir[w] {
		m := &p.dir[w][k]
		if m.got >= 0 {
			continue
		}
		at := p.time(from, m.sent) + least
		m.outside = startsLate && at < first || at > last && (endsEarly || to.endKnown)
		m.open = !m.outside && k > newest && p.time(from, m.sent)+most+(most-least)/2 > last
		m.missed = !m.outside && p.heard(w, k)
	}
}

// edge is until when a capture was made, by the first one's clock.
func (p *pairing) edge(c *Capture) int64 {
	at := int64(c.end - c.start)
	if c == p.a {
		return at
	}
	return p.clock.toFirst(at + p.base())
}

// nearby bounds how far around a segment its repetitions and its acknowledgement
// are looked for, in frames.
const nearby = 4096

// heard reports whether the receiver acknowledged a segment that its tap does not
// have, and that was not sent again.
func (p *pairing) heard(w way, k int) bool {
	from, list := p.sender(w), p.dir[w]
	f := &from.packets[list[k].sent]
	if f.conn == 0 || f.carries() == 0 {
		return false
	}
	for o := max(0, k-nearby); o < min(len(list), k+nearby); o++ {
		g := &from.packets[list[o].sent]
		if o != k && g.conn == f.conn && g.carries() > 0 && after(g.end(), f.seq) && before(g.seq, f.end()) && list[o].got >= 0 {
			return false // it came with this one
		}
	}
	for i := list[k].sent + 1; i < min(len(from.packets), list[k].sent+nearby); i++ {
		g := &from.packets[i]
		if g.way == w.peer() && g.conn == f.conn && g.has(wire.TCPAck) && !before(g.ack, f.end()) {
			return true
		}
	}
	return false
}
