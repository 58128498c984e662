package extract

import (
	"cmp"
	"math"
	"slices"

	"hilnet/wire"
)

// An answer is what the peer said.
type answer struct {
	at      int64
	ack     uint32
	blocks  []wire.SACKBlock // without the one that says what came twice
	sacks   bool             // blocks tell all that is behind holes
	dsack   bool
	twice   wire.SACKBlock
	echo    uint32
	hasEcho bool
	bare    bool // the echo may be of a segment without data
	carries bool
	window  bool // it differs from the one before
	ahead   bool // something that the peer said before is missing
	missing int  // packets of the peer that are missing before it; -1: not known
}

// A follower weighs what may have become of the segments of one direction: a filter
// over the states that the peer may be in. Each segment arrives or is lost, in the
// order of sending; each arrival is answered, or the answer is lost, or held back;
// what the peer says must be what it says in that state.
type follower struct {
	k       *walk
	sent    []outgoing
	newest  uint32          // behind the highest of them
	offload bool            // the network card cut some
	bare    map[uint32]bool // timestamps of segments without data; looked up only
	best    int64           // shortest round trip
	slow    int64           // how much later than that answers came that are beyond doubt
	hold    int64           // how long the peer holds an answer back
	dsack   bool            // the peer reports what comes twice
	p, q    float64
	full    *tailDrop // the queue, nil: none is seen
	beliefs []belief
	needed  []bool  // by segment behind the first belief's last: see need
	from    int     // the segment that needed begins with
	until   int     // and the one from which on none can have arrived
	spoke   int64   // when the peer spoke last
	resets  []int64 // when RST came
	heard   int
	steps   int
	misfits int
	chances []float64
	counts  []float64 // of how many were lost, how likely: base, and one more each
	base    int
	beyond  int     // segments at the end that are too many to be weighed
	silent  float64 // answers lost, expected
	arrived float64
}

// Limits of a follower, and what it takes for likely.
const (
	maxBeliefs  = 64
	maxAhead    = 400     // segments on their way at an answer
	maxSteps    = 600_000 // of all; beyond it the connection is judged by rules
	burst       = 0.45    // the next one is lost, after one that was
	outage      = 0.88    // and after more than that: most outages are of both ways
	silence     = 0.8     // likewise for answers
	longRun     = 3
	misfitShare = 20 // one answer in so many may be beyond explanation
	unlikely    = 1e-5
	vanishing   = 1e-280
	heldBack    = 0.25 // an answer waits for the next arrival
	heldLong    = 3e-3 // longer than it usually does
	mostHold    = int64(250e6)
)

// follow judges a direction; false where things do not fit together.
func (k *walk) follow(dsack bool) *follower {
	f := &follower{k: k, best: k.v.best[k.w], dsack: dsack}
	f.outgoings()
	if len(f.sent) == 0 {
		return nil
	}
	f.hold = delayedACK
	samples := slices.Sorted(slices.Values(k.v.rtts[k.w]))
	if n := len(samples); n > 0 {
		f.slow = samples[n*9/10] - f.best
		f.hold = min(mostHold, max(f.hold, samples[n*98/100]-f.best+slack))
	}
	f.p, f.q = 0.03, 0.03
	var before *follower
	for range 2 {
		if !f.run() {
			return before // what is less well known is better than nothing
		}
		kept := *f
		before = &kept
		full := f.queue()
		lost, sent := 0.0, 0.0
		for n, c := range f.chances {
			if full == nil || full.fate[n] == hasRoom {
				lost, sent = lost+c, sent+1
			}
		}
		f.full = full
		const least, most, some, few = 0.01, 0.4, 0.3, 10
		f.p = min(most, max(least, (lost+some)/(sent+few)))
		f.q = min(most, max(least, (f.silent+some)/(f.arrived+few)))
	}
	return f
}

// run goes once through the connection.
func (f *follower) run() bool {
	b := belief{weight: 1}
	b.next = f.sent[0].seq
	f.beliefs = []belief{b}
	f.chances, f.counts, f.base = make([]float64, len(f.sent)), []float64{1}, 0
	f.resets, f.heard, f.misfits, f.silent, f.arrived, f.spoke = nil, 0, 0, 0, 0, math.MinInt64/2
	v, packets := f.k.v, f.k.s.k.packets
	var peer, acked uint32
	spoke, said := false, false
	window, missing := -1, 0
	for n, i := range v.of[f.k.w.peer()] {
		p := &packets[i]
		a := answer{at: p.at, ack: p.ack, echo: p.tsecr, hasEcho: p.hasTS && p.tsecr != 0, carries: p.carries() > 0, missing: -1}
		a.bare = f.bare[a.echo]
		a.ahead = spoke && after(p.seq, peer) && f.k.w == up
		if !spoke || after(p.end(), peer) {
			peer, spoke = p.end(), true
		}
		if p.has(wire.TCPRst) {
			// Who closes says how far he got; who has nothing to close answers each segment.
			if said && p.has(wire.TCPAck) && !before(p.ack, acked) && !after(p.ack, f.newest) {
				a = answer{at: p.at, ack: p.ack, hasEcho: p.hasTS && p.tsecr != 0, echo: p.tsecr, carries: true, missing: -1}
				if !f.hear(&a) {
					return false
				}
				continue
			}
			f.resets = append(f.resets, p.at)
			continue
		}
		if p.has(wire.TCPSyn) || !p.has(wire.TCPAck) {
			continue
		}
		if gaps := v.gaps[f.k.w.peer()]; gaps != nil {
			missing += gaps[n]
			a.missing = missing
		}
		// NetX Duo sends data again with the acknowledgement that it had the first time.
		if a.carries && !p.hasTS && said && !after(p.ack, acked) {
			continue
		}
		if !said || after(p.ack, acked) {
			acked, said = p.ack, true
		}
		a.window = window >= 0 && window != int(p.window)
		window = int(p.window)
		missing = 0
		a.sacks = v.sack
		a.blocks = p.sack
		if f.dsack && len(p.sack) > 0 && p.isDSACK() {
			a.dsack, a.twice, a.blocks = true, p.sack[0], p.sack[1:]
		}
		f.k.s.k.cfg.sabotage.spoil(&a)
		if !f.hear(&a) {
			return false
		}
	}
	f.tail()
	return f.misfits <= 1+f.heard/misfitShare
}

// hear takes an answer: every belief goes on to where the peer says this.
func (f *follower) hear(a *answer) bool {
	f.heard++
	f.need(a)
	var next []belief
	for i := range f.beliefs {
		if !f.explain(&f.beliefs[i], a, &next) {
			return false
		}
	}
	total := 0.0
	for i := range next {
		total += next[i].weight
	}
	if total <= 0 {
		return f.misfit(a)
	}
	for i := range next {
		next[i].weight /= total
	}
	f.beliefs = f.prune(next)
	f.spoke = a.at
	f.agree(false)
	return true
}

// join adds a belief to others: beliefs that go on alike are one.
func join(all []belief, c belief) []belief {
	for i := range all {
		o := &all[i]
		if o.n != c.n || o.receiverState != c.receiverState {
			continue
		}
		if c.weight > o.weight {
			o.lost, o.quiet = c.lost, c.quiet
		}
		o.weight += c.weight
		return all
	}
	return append(all, c)
}

// explain finds how a belief comes to an answer.
func (f *follower) explain(b *belief, a *answer, out *[]belief) bool {
	row := []belief{*b}
	for n := b.done; ; n++ {
		// All that were lost after the last arrival are still open, for what does not
		// arrive before the answer may arrive after it: so answers are tried only
		// behind an arrival, and at the beginning.
		for i := range row {
			if c := &row[i]; c.done == n {
				f.emit(c, a, out)
			}
		}
		if n >= f.until || n-b.done > maxAhead || f.sent[n].at+f.least() > a.at {
			return n-b.done <= maxAhead
		}
		if f.steps += len(row); f.steps > maxSteps {
			return false
		}
		row = f.step(row, n, a)
		if len(row) == 0 {
			return true
		}
	}
}

// step settles one segment more in all beliefs of a row: it is lost, or arrives.
func (f *follower) step(row []belief, n int, a *answer) []belief {
	x := &f.sent[n]
	next := make([]belief, 0, len(row)+8)
	add := func(c belief) {
		if c.weight >= vanishing {
			next = join(next, c)
		}
	}
	for i := range row {
		p := f.drops(n, row[i].lostBefore)
		if !f.needed[n-f.from] || row[i].has(x, a) {
			gone := row[i]
			gone.weight *= p
			if !f.inQueue(n) {
				gone.lostBefore = min(longRun, gone.lostBefore+1)
			}
			gone.n++
			gone.lost = &loss{n, gone.lost}
			add(gone)
		}
		came := row[i]
		came.weight *= 1 - p
		came.lostBefore = 0
		came.done = n + 1
		held := came
		// What arrived before was not answered on its own.
		if came.pending {
			came.weight *= f.unheard(&came, x)
		}
		if came.arrive(n, x) && !came.beyond(a) && !came.unnamed(a, x) {
			add(came)
		}
		if f.tardy(&held, x) && held.arrive(n, x) && !held.beyond(a) && !held.unnamed(a, x) {
			held.weight *= heldLong
			add(held)
		}
	}
	const few = 8
	if len(next) > few {
		next = f.prune(next)
	}
	return next
}

// need finds the segments that must have arrived for an answer: the peer has what
// they carry, and nothing that was sent later, and early enough, does.
func (f *follower) need(a *answer) {
	f.from = len(f.sent)
	for i := range f.beliefs {
		f.from = min(f.from, f.beliefs[i].done)
	}
	to := f.from
	for to < len(f.sent) && to-f.from <= maxAhead && f.sent[to].at+f.least() <= a.at {
		to++
	}
	f.needed = append(f.needed[:0], make([]bool, to-f.from)...)
	f.until = to
	if a.tellsAll() { // what it does not tell of has not arrived
		for f.until > f.from {
			if seq, end := f.sent[f.until-1].known(a); after(end, seq) {
				break
			}
			f.until--
		}
	}
	var later receiverState // its pieces are what was sent later
	for n := to - 1; n >= f.from; n-- {
		x := &f.sent[n]
		seq, end := x.known(a)
		f.needed[n-f.from] = after(end, seq) && !later.spans.has(seq, end)
		if !later.keep(x.seq, x.end) {
			return // so much in pieces that the rest may be anything
		}
	}
}

// known is what of a segment the peer has at an answer.
func (x *outgoing) known(a *answer) (seq, end uint32) {
	if before(x.seq, a.ack) {
		end = x.end
		if after(end, a.ack) {
			end = a.ack
		}
		return x.seq, end
	}
	if named(a.blocks, wire.SACKBlock{Start: x.seq, End: x.end}) {
		return x.seq, x.end
	}
	return x.seq, x.seq
}

// has reports whether the peer has what it has of a segment at an answer.
func (b *receiverState) has(x *outgoing, a *answer) bool {
	seq, end := x.known(a)
	return !after(end, b.next) || b.spans.has(seq, end)
}

// prune keeps the likeliest beliefs.
func (f *follower) prune(all []belief) []belief {
	most := 0.0
	for i := range all {
		most = max(most, all[i].weight)
	}
	kept := all[:0]
	for i := range all {
		if all[i].weight >= most*unlikely {
			kept = append(kept, all[i])
		}
	}
	if len(kept) > maxBeliefs {
		slices.SortStableFunc(kept, func(x, y belief) int { return cmp.Compare(y.weight, x.weight) })
		kept = kept[:maxBeliefs]
	}
	return kept
}

// least is how soon after a segment an answer to it can come: clocks and taps are not
// exact.
func (f *follower) least() int64 {
	const exact = int64(3e5)
	return f.best - max(f.best/20, min(exact, f.best/2))
}
