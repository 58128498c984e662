package extract

import (
	"time"

	"hilnet/wire"
)

// unseen is how often the segments of a hole may have been sent in vain besides the
// first time, by a sender whose numbers do not tell. One with timestamps sends the first
// again, each time later; a simple one all that it has sent, at the same intervals.
func (r *receiver) unseen(h *hole, segments int) int {
	until := max(h.filled, h.at)
	if h.stamped {
		rtt := r.v.best[r.w.peer()]
		return retries(h.at-h.from) + retries(max(0, until-h.at-rtt)) + bit(until > h.from+rtt+leastRTO)
	}
	n := 0
	for j := 1; j <= mostTries; j++ {
		round := until - int64(j)*int64(time.Second)
		if round <= h.from {
			break
		}
		// So many of them had been sent by then, if they were sent evenly.
		sent := segments
		if round < h.at && h.at > h.from {
			sent = min(segments, int(int64(segments+1)*(round-h.from)/(h.at-h.from))+1)
		}
		n += min(sent, mostTogether)
	}
	return n
}

// slow judges data that came later than its sender usually takes, where nothing
// says whether something is missing: it may have been sent before, and so may what
// came with it.
func (r *receiver) slow(n int, p *packet, unnumbered bool) {
	wait := p.at - r.since(p.at)
	tries := min(retries(wait), mostRetries)
	longer := wait > r.pause()+delayedACK
	if tries == 0 || !longer && !unnumbered {
		return // many send at such times
	}
	if !longer {
		for range tries {
			r.s.drop(r.w, nil, p.at-wait, possible, possible)
		}
		return
	}
	if !p.hasTS { // simple stacks send again after the same time always
		tries = max(tries, int(wait/int64(time.Second))+1)
	}
	list, packets := r.v.of[r.w], r.s.k.packets
	together := 0
	for _, i := range list[n:min(len(list), n+mostTogether)] {
		if q := &packets[i]; q.at > p.at+delayedACK {
			break
		} else if q.carries() > 0 {
			together++
		}
	}
	for range min(tries, mostTries) * together {
		r.s.drop(r.w, nil, p.at-wait, possible, possible)
	}
}

// renumbers reports whether what a sender sends again has a new identification: it is
// seen to, or has timestamps, which are new too.
func (v *connection) renumbers(w way) bool {
	var newest uint32
	begun := false
	const most = 16 // segments to look for the first sending of
	tried := 0
	for _, i := range v.of[w] {
		p := &v.k.packets[i]
		if p.hasTS || tried == most {
			return p.hasTS
		}
		if p.carries() == 0 || p.has(wire.TCPSyn) { // a SYN that waited for an address has another one anyway
			continue
		}
		if begun && before(p.seq, newest) && p.ipID != 0 {
			tried++
			for _, j := range v.of[w] {
				q := &v.k.packets[j]
				if j == i {
					break
				}
				if q.seq == p.seq && q.carries() > 0 {
					return q.ipID != p.ipID
				}
				if !q.has(wire.TCPSyn) && int16(q.ipID-p.ipID) > 0 && p.at-q.at > leastRTO {
					return false // it was numbered long before it came
				}
			}
		}
		if !begun || after(p.end(), newest) {
			newest, begun = p.end(), true
		}
	}
	return false
}
