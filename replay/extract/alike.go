package extract

import (
	"time"

	"hilnet/wire"
)

// A likeness is how many of the device's frames come again in a run.
type likeness struct {
	frames int // of the device, in the capture
	lead   int // come again one after the other from the first on, with nothing between
	same   int // come again with all their headers
	alike  int // come again but for the window or the IP identification
	extra  int // of the run, that the capture has not
	off    time.Duration
}

// better reports whether a likeness is the better one of two.
func (l likeness) better(o likeness) bool {
	switch a, b := l.score(), o.score(); {
	case l.lead != o.lead: // what follows a difference is chance
		return l.lead > o.lead
	case a != b:
		return a > b
	}
	return l.off < o.off
}

// whole reports whether every frame of the capture comes again.
func (l likeness) whole() bool { return l.same == l.frames }

func (l likeness) score() int { return 2*l.same + l.alike - l.extra }

// A shape is what is compared of a frame of the device; its time is compared apart.
type shape struct {
	conn     int
	what     string
	flags    wire.TCPFlags
	seq, ack uint32 // from the initial ones
	payload  int
	window   uint16
	ipID     uint16 // from the first one
}

// loose leaves out what an earlier difference may have moved.
func (s shape) loose() shape {
	s.window, s.ipID = 0, 0
	return s
}

// A drawn is a frame of the device as it is compared.
type drawn struct {
	at int64
	shape
}

// maxAlike bounds the frames that are compared, from the first on.
const maxAlike = 20_000

// drawing are the device's frames of a capture; numbers its network cannot have
// changed.
func drawing(k *Capture) []drawn {
	var all []drawn
	conns := map[uint64]int{}       // looked up only
	begun := map[[2]uint64]uint32{} // initial sequence numbers, by connection and way; looked up only
	first, counting := uint16(0), false
	for i := range k.packets {
		p := &k.packets[i]
		if p.way == noWay || p.twin {
			continue
		}
		own := [2]uint64{p.conn, uint64(p.way)}
		if p.conn != 0 && p.has(wire.TCPSyn) {
			begun[own] = p.seq
		}
		if p.way != up {
			continue
		}
		d := drawn{p.at, shape{what: p.what(), flags: p.flags, payload: p.payload, window: p.window}}
		if p.v4 {
			if !counting {
				first, counting = p.ipID, true
			}
			d.ipID = p.ipID - first
		}
		if p.conn != 0 {
			if _, ok := conns[p.conn]; !ok {
				conns[p.conn] = len(conns)
			}
			d.conn, d.seq = conns[p.conn], p.seq-begun[own]
			if p.has(wire.TCPAck) {
				d.ack = p.ack - begun[[2]uint64{p.conn, uint64(p.way.peer())}]
			}
		}
		if all = append(all, d); len(all) == maxAlike {
			break
		}
	}
	return all
}

// sameTime is how far apart the times of a frame and of the one that comes again may
// be: two clock ticks.
const sameTime = int64(2 * tick)

// compare lays a run's frames beside the capture's; times of both are since the first
// frame.
func compare(capture, run []drawn) likeness {
	l := likeness{frames: len(capture)}
	used := make([]bool, len(run))
	from, near := 0, 0
	pair := func(c *drawn, loose bool) (int, bool) {
		best := -1
		for j := near; j < len(run) && run[j].at <= c.at+sameTime; j++ {
			if j < from || used[j] {
				continue
			}
			if run[j].shape == c.shape || loose && run[j].loose() == c.loose() {
				best = j
				break
			}
		}
		return best, best >= 0
	}
	for i := range capture {
		c := &capture[i]
		for near < len(run) && run[near].at < c.at-sameTime {
			near++
		}
		j, ok := pair(c, false)
		if ok {
			if l.same++; i == j && l.lead == i {
				l.lead++
			}
		} else if j, ok = pair(c, true); ok {
			l.alike++
		} else {
			continue
		}
		used[j], from = true, j+1
		off := run[j].at - c.at
		l.off += time.Duration(max(off, -off))
	}
	for j := range run { // what the run sends after the capture's end says nothing
		if last := len(capture) - 1; last >= 0 && run[j].at <= capture[last].at+sameTime && !used[j] {
			l.extra++
		}
	}
	return l
}
