package extract

import (
	"cmp"
	"math"
	"slices"
	"time"

	"hilnet/wire"
)

// A hole is a piece of a stream that the tap has not seen yet, though it saw what
// follows.
type hole struct {
	seq, end uint32
	from     int64 // when the segment before came
	at       int64 // when it was seen
	filled   int64 // when it was closed, or a part of it
	stamp    uint32
	stamped  bool
	fills    int  // segments that closed it
	late     bool // it was closed by what had been sent in time
	bytes    uint32
	missing  int // packets missing where it opened, as IP identifications say; -1: not known
}

// Limits of holes: those of a direction that are open, and the segments that nobody saw
// at all but that are taken for lost, in a hole (a window's worth) and in a capture. What
// is beyond, as a number that was damaged makes it, may be lost.
const (
	maxHoles  = 1024
	mostHole  = 4096
	mostHoles = 1 << 18

	// mostUnseen bounds the lines of losses that only identifications or holes show:
	// where identifications leap, each frame is as good as thousands of them.
	mostUnseen = 1 << 19
)

// A receiver follows a direction whose sender is behind the tap.
type receiver struct {
	s      *single
	v      *connection
	w      way
	holes  []*hole
	newest uint32 // behind the highest that was seen
	begun  bool
	stamp  uint32 // the newest timestamp
	id     uint16 // the newest identification
	hasID  bool
	before int64 // when the segment before came
	asks   []int64
	pauses int64 // see pause; 0: not asked yet
	length int   // the usual one of a segment with data
	// renumbers: what is sent again has an identification of its own, so that none
	// missing is none lost. NetX Duo sends the packet that it has kept.
	renumbers bool
}

// backward finds what was lost of a direction in front of the tap.
func (s *single) backward(v *connection, w way) {
	r := &receiver{s: s, v: v, w: w}
	// What the other side had sent when the sender said something.
	for _, i := range v.of[w.peer()] {
		if p := &s.k.packets[i]; p.carries() > 0 {
			r.asks = append(r.asks, p.at)
		}
	}
	r.renumbers = v.renumbers(w)
	for n, i := range v.of[w] {
		r.take(n, &s.k.packets[i])
	}
	for _, h := range r.holes {
		r.close(h)
	}
	s.trains[w] = append(s.trains[w], v.arrivals(w)...)
	if !s.far(w) { // what goes on behind the tap was counted there
		for _, i := range v.of[w] {
			if p := &s.k.packets[i]; p.carries() > 0 {
				s.rows[w] = append(s.rows[w], passage{p.at, true, p.frame})
			}
		}
	}
}

// take takes a segment.
func (r *receiver) take(n int, p *packet) {
	missing := -1
	if r.v.gaps[r.w] != nil {
		missing = r.v.gaps[r.w][n]
	}
	ordered := true
	if r.hasID && r.v.gaps[r.w] != nil && r.renumbers && int16(p.ipID-r.id) < 0 {
		ordered = false
	}
	if p.hasTS && r.begun && before(p.tsval, r.stamp) {
		ordered = false
	}
	switch {
	case !r.begun:
	case after(p.seq, r.newest): // a hole opens
		if len(r.holes) == maxHoles { // the oldest will not be closed any more
			r.close(r.holes[0])
			r.holes = r.holes[1:]
		}
		r.holes = append(r.holes, &hole{seq: r.newest, end: p.seq, bytes: p.seq - r.newest, at: p.at, missing: missing, stamp: p.tsval, stamped: p.hasTS, from: r.before})
	case p.carries() > 0 && before(p.seq, r.newest) && r.fill(p, ordered):
		if missing > 0 {
			r.lost(p, missing, missing, possible, possible)
		}
	case missing > 0:
		r.tail(p, missing)
	case (missing < 0 || !r.renumbers) && p.carries() > 0 && !before(p.seq, r.newest) && ordered:
		r.slow(n, p, missing < 0)
	}
	if !r.begun || after(p.end(), r.newest) {
		r.newest = p.end()
	}
	if ordered && p.v4 && !p.has(wire.TCPSyn) {
		r.id, r.hasID = p.ipID, true
	}
	if p.hasTS && (!r.begun || after(p.tsval, r.stamp)) {
		r.stamp = p.tsval
	}
	r.begun, r.before = true, p.at
}

// fill closes holes, or parts of them.
func (r *receiver) fill(p *packet, ordered bool) bool {
	filled := false
	var left []*hole
	for _, h := range r.holes {
		if !after(p.end(), h.seq) || !before(p.seq, h.end) {
			left = append(left, h)
			continue
		}
		filled = true
		h.fills++
		h.filled = p.at
		if h.stamped && p.hasTS {
			h.late = h.late || !after(p.tsval, h.stamp) // it was sent before what followed it here
		} else {
			h.late = h.late || !ordered || r.soon(h, p)
		}
		if !after(p.seq, h.seq) {
			h.seq = p.end()
		} else if !before(p.end(), h.end) {
			h.end = p.seq
		}
		if after(h.end, h.seq) {
			left = append(left, h)
			continue
		}
		r.close(h)
		if h.late {
			r.s.c.Reorders = append(r.s.c.Reorders, Late{r.w.String(), p.frame, time.Duration(p.at), time.Duration(p.at - h.at)})
		}
	}
	r.holes = left
	return filled
}

// soon reports whether a hole was closed faster than its sender can have heard of
// it: then what closed it had only been overtaken.
func (r *receiver) soon(h *hole, p *packet) bool {
	rtt := r.v.best[r.w.peer()]
	return p.at-h.at < rtt*3/4 && !p.hasTS && (r.v.gaps[r.w] == nil || !r.renumbers)
}

// close counts a hole.
func (r *receiver) close(h *hole) {
	switch {
	case h.late:
		return
	case h.missing == 0 && h.fills == 0:
		return // the sender sent nothing that is missing: a tap that began late, or a peer that skipped
	}
	sure := max(1, h.fills)
	// What is sent again may be sent together: so many segments of the usual length
	// fit into the hole.
	usual := r.usual()
	likely := max(sure, (int(h.bytes)+usual-1)/usual)
	if h.missing > 0 {
		sure, likely = min(sure, h.missing), min(likely, h.missing)
	}
	if beyond := likely - sure - min(mostHole, mostHoles-r.s.guessed); beyond > 0 && h.missing <= 0 {
		likely -= beyond
		out := r.s.c.of(r.w)
		out.Lost.Max, out.Data.Max = out.Lost.Max+beyond, out.Data.Max+beyond
	}
	if h.missing <= 0 {
		r.s.guessed += likely - sure
	}
	for i := range max(likely, h.missing) {
		lost, data := certain, certain
		if i >= sure && h.missing <= 0 {
			lost = probable
		}
		switch {
		case i >= likely:
			data = possible
		case i >= sure:
			data = probable
		}
		r.s.drop(r.w, nil, h.at, lost, data)
		r.row(h.at)
	}
	if h.missing < 0 || !r.renumbers {
		for range r.unseen(h, likely) {
			r.s.drop(r.w, nil, h.at, possible, possible)
		}
	}
}

// usual is the usual length of the direction's segments with data.
func (r *receiver) usual() int {
	if r.length == 0 {
		var all []int64
		for _, i := range r.v.of[r.w] {
			if p := &r.s.k.packets[i]; p.payload > 0 {
				all = append(all, int64(p.payload))
			}
		}
		r.length = max(1, int(spread(all).Median))
	}
	return r.length
}

func (r *receiver) row(at int64) {
	if r.s.unlisted > 0 {
		return
	}
	r.s.rows[r.w] = append(r.s.rows[r.w], passage{at: at})
}

// lost notes packets that identifications show to be missing, so many of them with
// data: sure says how sure that is.
func (r *receiver) lost(p *packet, n, data int, sure, others verdict) {
	for i := range n {
		// They are spread over the time in which they were sent.
		at := r.before + (p.at-r.before)*int64(i+1)/int64(n+1)
		v := others
		if i < data {
			v = sure
		}
		r.s.drop(r.w, nil, at, certain, v)
		r.row(at)
	}
}

// tail judges packets that are missing where no byte is: acknowledgements, or data
// that came again with p.
func (r *receiver) tail(p *packet, missing int) {
	if p.carries() == 0 {
		r.lost(p, missing, 0, 0, 0)
		return
	}
	// What nobody asked for is no acknowledgement.
	tries := retries(p.at - r.since(p.at))
	if n := (p.payload + r.usual() - 1) / r.usual(); tries > 0 {
		tries = max(tries, n)
	}
	data := max(missing-r.due(p.at), min(missing, tries))
	r.lost(p, missing, data, probable, possible)
}

// due is how many acknowledgements the sender can have sent between the segment
// before and one that came at a moment.
func (r *receiver) due(at int64) int {
	rtt := r.v.best[r.w.peer()]
	n, list, packets := 0, r.v.of[r.w.peer()], r.s.k.packets
	from, _ := slices.BinarySearchFunc(list, r.before-rtt-delayedACK+1, func(i int, t int64) int { return cmp.Compare(packets[i].at, t) })
	for _, i := range list[from:min(len(list), from+maxOpen)] {
		p := &packets[i]
		if p.at+rtt-rtt/20 > at {
			break
		}
		if p.carries() > 0 {
			n++
		}
	}
	return n
}

// pause is how long the sender is silent now and then: nearly all of its pauses are
// shorter.
func (r *receiver) pause() int64 {
	if r.pauses == 0 {
		var all []int64
		last := int64(-1)
		for _, i := range r.v.of[r.w] {
			if p := &r.s.k.packets[i]; p.carries() > 0 {
				if last >= 0 {
					all = append(all, p.at-last)
				}
				last = p.at
			}
		}
		slices.Sort(all)
		r.pauses = 1
		if n := len(all); n > 0 {
			r.pauses = max(1, all[n*9/10])
		}
	}
	return r.pauses
}

// What silence may have been is bounded: tries of a sender that doubles its time, and
// of one that does not, and segments sent together.
const (
	mostRetries  = 6
	mostTries    = 30
	mostTogether = 64
)

// since returns the moment from which the sender can have said what came at a
// moment: the last time that it was asked something early enough.
func (r *receiver) since(at int64) int64 {
	rtt := r.v.best[r.w.peer()]
	low := r.before
	for len(r.asks) > 1 && r.asks[1]+rtt-rtt/20 <= at {
		r.asks = r.asks[1:]
	}
	if len(r.asks) > 0 && r.asks[0]+rtt-rtt/20 <= at {
		low = max(low, r.asks[0]+rtt)
	}
	return min(low, at)
}

// retries is how often a sender that doubles its time can have sent again within a
// wait.
func retries(wait int64) int {
	if wait < leastRTO {
		return 0
	}
	return int(math.Log2(float64(wait)/float64(leastRTO) + 1))
}
