package extract

import (
	"cmp"
	"net/netip"
	"slices"

	"hilnet/wire"
)

// A connection are the segments of a TCP connection, by direction, in the order of
// the file.
type connection struct {
	k    *Capture
	id   uint64
	all  []int    // indices of packets
	of   [3][]int // by way
	gaps [3][]int // before each of them: how many the sender sent that are not here; nil: not known
	rtts [3][]int64
	best [3]int64 // shortest round trip; below 0: not known
	sack bool     // both sides do SACK
}

// peer is who is at the other end than the device.
func (v *connection) peer() netip.Addr {
	if p := &v.k.packets[v.all[0]]; p.way == up {
		return p.dst
	}
	return v.k.packets[v.all[0]].src
}

// number finds out whether IP identifications count the packets of a sender, and
// how many are missing then.
func (v *connection) number() {
	const most = 256 // more at once are another counter, or a reboot
	for _, w := range ways {
		gaps := make([]int, len(v.of[w]))
		newest, steps, odd := -1, 0, 0
		for n, i := range v.of[w] {
			p := &v.k.packets[i]
			if !p.v4 {
				odd++
				continue
			}
			if p.has(wire.TCPSyn) || p.has(wire.TCPRst) {
				continue // may be of another counter
			}
			if newest >= 0 {
				switch d := int(int16(p.ipID - uint16(newest))); {
				case d == 1:
					steps++
				case d > 1 && d <= most:
					gaps[n] = d - 1
					odd++
				case d < 0 && d >= -most: // late: it is missing no more
					v.arrived(w, gaps, n, p)
					continue
				default:
					odd += 4
				}
			}
			newest = int(p.ipID)
		}
		if steps >= 4 && odd <= steps || steps > 0 && odd == 0 {
			v.gaps[w] = gaps
		}
	}
}

// arrived takes a packet that came late from the gap that it left. One that came much
// later was sent again, by a sender that keeps packets as they are.
func (v *connection) arrived(w way, gaps []int, n int, late *packet) {
	for m := n - 1; m >= 0 && m > n-64; m-- {
		p := &v.k.packets[v.of[w][m]]
		if d := int(int16(p.ipID - late.ipID)); gaps[m] > 0 && d > 0 && d <= gaps[m]+8 {
			if late.at-p.at <= leastRTO {
				gaps[m]--
			}
			return
		}
	}
}

// overtaken counts the packets of a direction that came behind one that was stamped
// later.
func (v *connection) overtaken(w way) (n int) {
	var newest uint32
	begun := false
	for _, i := range v.of[w] {
		p := &v.k.packets[i]
		switch {
		case !p.hasTS:
		case begun && before(p.tsval, newest):
			n++
		default:
			newest, begun = p.tsval, true
		}
	}
	return n
}

// missing is how many packets of a direction are missing between two moments; false
// if that is not known.
func (v *connection) missing(w way, from, to int64) (int, bool) {
	if v.gaps[w] == nil {
		return 0, false
	}
	list := v.of[w]
	first, _ := slices.BinarySearchFunc(list, from, func(i int, t int64) int { return cmp.Compare(v.k.packets[i].at, t) })
	n := 0
	for ; first < len(list); first++ {
		n += v.gaps[w][first]
		if v.k.packets[list[first]].at >= to {
			break
		}
	}
	return n, true
}

// selective measures from segments that were sent once to the first SACK that names
// them: it comes at once, and of the newest arrival.
func (v *connection) selective(w way) {
	type waiting struct {
		seq, end uint32
		at       int64
	}
	const most = 256
	var open []waiting
	var newest uint32
	begun := false
	for _, i := range v.all {
		p := &v.k.packets[i]
		if p.way == w {
			switch {
			case p.carries() == 0:
			case begun && before(p.seq, newest):
				open = slices.DeleteFunc(open, func(o waiting) bool { return after(p.end(), o.seq) && before(p.seq, o.end) })
			default:
				newest, begun = p.end(), true
				if open = append(open, waiting{p.seq, p.end(), p.at}); len(open) > most {
					open = open[1:]
				}
			}
			continue
		}
		if !p.has(wire.TCPAck) || p.has(wire.TCPRst) || len(open) == 0 {
			continue
		}
		known := p.sack
		if p.isDSACK() {
			known = known[1:]
		}
		open = slices.DeleteFunc(open, func(o waiting) bool {
			if !after(o.end, p.ack) {
				return true
			}
			if !named(known, wire.SACKBlock{Start: o.seq, End: o.end}) {
				return false
			}
			if took := p.at - o.at; took >= 0 && (v.best[w] < 0 || took < v.best[w]) {
				v.best[w] = took
			}
			return true
		})
	}
}

// roundTrips measures from a segment to its acknowledgement: of segments sent once
// (Karn), and by timestamps.
func (v *connection) roundTrips() {
	type waiting struct {
		end   uint32
		at    int64
		again bool
	}
	for _, w := range ways {
		v.selective(w)
		var open []waiting
		var newest uint32
		begun := false
		stamps := map[uint32]int64{} // when each was sent first; looked up only
		var echoed uint32
		acked, hasACK := uint32(0), false
		for _, i := range v.all {
			p := &v.k.packets[i]
			if p.way == w {
				if _, known := stamps[p.tsval]; p.hasTS && !known && len(stamps) < 1<<16 {
					stamps[p.tsval] = p.at
				}
				if p.carries() == 0 {
					continue
				}
				again := begun && before(p.seq, newest)
				if again {
					for j := range open {
						open[j].again = true
					}
				}
				if !begun || after(p.end(), newest) {
					newest, begun = p.end(), true
					open = append(open, waiting{p.end(), p.at, again})
				}
				continue
			}
			// An echo may come late, but never earlier than a round trip.
			if at, ok := stamps[p.tsecr]; ok && p.hasTS && p.tsecr != echoed {
				echoed = p.tsecr
				if took := p.at - at; took >= 0 && (v.best[w] < 0 || took < v.best[w]) {
					v.best[w] = took
				}
			}
			if !p.has(wire.TCPAck) || p.has(wire.TCPRst) {
				continue
			}
			if hasACK && !after(p.ack, acked) {
				continue
			}
			acked, hasACK = p.ack, true
			took := int64(-1)
			for len(open) > 0 && !after(open[0].end, p.ack) {
				if o := open[0]; o.end == p.ack && !o.again {
					took = p.at - o.at
				}
				open = open[1:]
			}
			if at, ok := stamps[p.tsecr]; took < 0 && p.hasTS && ok {
				took = p.at - at
			}
			if took >= 0 {
				v.rtts[w] = append(v.rtts[w], took)
				if v.best[w] < 0 || took < v.best[w] {
					v.best[w] = took
				}
			}
		}
	}
}
