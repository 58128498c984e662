package extract

import (
	"errors"
	"fmt"
	"math"
	"slices"

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
