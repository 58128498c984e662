package extract

import (
	"math"
	"slices"
)

// A tailDrop is a queue behind the tap that drops what comes when it is full: its rate
// and limit are those that agree with what is known to have arrived and to have been
// lost, and tell what became of the rest.
type tailDrop struct {
	limit   int64 // what waits when the next one is dropped
	inBytes bool  // else in frames
	waits   []int64
	passed  []int64 // when each segment leaves the queue
	fate    []fullness
	nearly  float64 // how likely it drops what finds it nearly full
}

// A fullness is what a queue means for a segment.
type fullness uint8

const (
	hasRoom fullness = iota
	nearlyFull
	full
)

// dropFull is how likely a segment is dropped that finds the queue full, as far as is
// known.
const dropFull = 0.95

// leastDropped is how many drops prove a queue.
const leastDropped = 3

// queue finds the queue, nil if the link was never busy.
func (f *follower) queue() *tailDrop {
	rate, _ := rateOf(f.k.clock.trains)
	if rate == 0 || f.offload || f.k.s.k.cfg.sabotage == withoutQueue {
		return nil
	}
	var best *tailDrop
	most := 0
	for _, inBytes := range []bool{false, true} {
		q := &tailDrop{inBytes: inBytes}
		q.follow(f, rate, false)
		if score := q.learn(f); score > most {
			best, most = q, score
		}
	}
	if best == nil {
		best = &tailDrop{limit: math.MaxInt64 / 2} // none that was ever full
	}
	best.follow(f, rate, true)
	return best
}

// follow sends all frames of the direction through the queue: those that are said to
// be lost do not enter, or, when the limit is known, those that it drops.
func (q *tailDrop) follow(f *follower, rate uint64, known bool) {
	q.waits, q.passed, q.fate = make([]int64, len(f.sent)), make([]int64, len(f.sent)), make([]fullness, len(f.sent))
	var leaves, sizes []int64 // of what waits
	bytes, free, n := int64(0), int64(0), 0
	packets := f.k.s.k.packets
	settled := f.beliefs[0].done
	for i := range packets {
		p := &packets[i]
		if p.way != f.k.w || p.twin {
			continue
		}
		for len(leaves) > 0 && leaves[0] <= p.at {
			bytes -= sizes[0]
			leaves, sizes = leaves[1:], sizes[1:]
		}
		waits := int64(len(leaves))
		if q.inBytes {
			waits = bytes
		}
		enters := true
		if n < len(f.sent) && f.sent[n].index == i {
			q.waits[n] = waits
			if known {
				q.fate[n] = q.is(waits, int64(p.len))
			}
			enters = n < settled && f.chances[n] < 0.5 || n >= settled && q.fate[n] != full
		}
		took := int64(p.len) * 8e9 / int64(rate)
		if enters {
			free = max(free, p.at) + took
			leaves, sizes = append(leaves, free), append(sizes, int64(p.len))
			bytes += int64(p.len)
		}
		if n < len(f.sent) && f.sent[n].index == i {
			q.passed[n] = max(free, p.at+took)
			n++
		}
	}
}

// is says what the queue does with a frame when that waits in it.
func (q *tailDrop) is(waits, size int64) fullness {
	near := int64(1)
	if q.inBytes {
		near = size
	}
	switch {
	case waits >= q.limit:
		return full
	case waits+near >= q.limit:
		return nearlyFull
	}
	return hasRoom
}

// learn finds the limit that divides best what arrived from what was lost, and how
// many drops it explains; 0 if there is none.
func (q *tailDrop) learn(f *follower) int {
	type seen struct {
		waits int64
		lost  bool
	}
	var all []seen
	const sure = 0.05
	for n := range f.beliefs[0].done {
		if c := f.chances[n]; c < sure || c > 1-sure {
			all = append(all, seen{q.waits[n], c > 0.5})
		}
	}
	slices.SortFunc(all, func(a, b seen) int {
		if a.waits != b.waits {
			return int(b.waits - a.waits)
		}
		return bit(a.lost) - bit(b.lost)
	})
	best, lost, passed := 0, 0, 0
	const costs = 4
	for i, s := range all {
		if s.lost {
			lost++
		} else {
			passed++
		}
		if i+1 < len(all) && all[i+1].waits == s.waits {
			continue
		}
		if score := lost - costs*passed; lost >= leastDropped && s.waits > 0 && score > best {
			best, q.limit = score, s.waits
		}
	}
	if best < leastDropped {
		return 0
	}
	const some, few = 0.1, 1.0
	dropped, near := some, few
	for _, s := range all {
		if q.is(s.waits, largestFrame) == nearlyFull {
			near++
			dropped += float64(bit(s.lost))
		}
	}
	q.nearly = dropped / near
	return best
}

// drops is how likely a segment is lost, after others were.
func (f *follower) drops(n, run int) float64 {
	p := afterRun(f.p, run, outage)
	if f.full == nil {
		return p
	}
	switch f.full.fate[n] {
	case full:
		return dropFull
	case nearlyFull:
		return max(p, f.full.nearly)
	}
	return p
}

// pending reports whether the answer to a segment may still have been under way when
// the capture ended.
func (f *follower) pending(n int, soon, end int64) bool {
	if f.full != nil {
		return end <= f.due(n)+f.hold+slack
	}
	return end <= f.sent[n].at+soon
}

// due is when the answer to a segment should come at the latest, but for what makes
// all of them late.
func (f *follower) due(n int) int64 {
	at := f.sent[n].at
	if f.full != nil {
		at = f.full.passed[n]
	}
	return at + f.best + f.best/8
}

// inQueue reports whether what the queue does with a segment explains its loss, so
// that it says nothing of the next one.
func (f *follower) inQueue(n int) bool { return f.full != nil && f.full.fate[n] != hasRoom }
