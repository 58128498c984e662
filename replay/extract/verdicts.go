package extract

import (
	"cmp"
	"slices"

	"hilnet/wire"
)

// judge finds how many of a chain's segments were lost, and which.
func (k *walk) judge(c *chain) {
	n := len(c.sent)
	packets := k.s.k.packets
	if c.closed {
		return
	}
	if c.by < 0 {
		k.unanswered(c)
		return
	}
	if n == 1 && len(c.needless) == 0 {
		return
	}
	by, all := &packets[c.by], slices.Concat(c.sent, c.needless)
	first, last := &packets[all[0]], &packets[all[len(all)-1]]
	if first.has(wire.TCPSyn) {
		k.handshake(c)
		return
	}
	// So many of them were not the one that arrived first, nor reported.
	repeated := max(c.twice, c.echoes)
	most := max(0, len(all)-1-repeated)
	least := min(c.absent, most)
	span := max(by.at, last.at+2*k.v.best[k.w]) + delayedACK
	missing, counted := k.v.missing(k.w.peer(), first.at, span)
	came := k.first(c, by)
	switch {
	case came > 0 && repeated == 0:
		least = max(least, min(came, most)) // those before it did not
	case came == 0:
		least = 0 // it only came late
	}
	probably := most
	switch {
	case k.reorders: // each may only have been late, and what says so may be lost
		least, probably = 0, 0
		if came > 0 && repeated == 0 {
			least, probably = min(came, most), min(came, most)
		} else if k.dsack {
			probably = most
		}
	case counted && missing == 0 && k.v.sack:
		least = most // every arrival would have been answered, and no answer is missing
	case c.answer && c.absent+1 >= n-repeated:
		least = most
	case counted && missing > 0:
		if k.v.sack {
			missing-- // the answer to the first, without which there would be nothing to send again
		}
		least = max(least, most-missing)
		// The peer had nothing else to say, and no time to say it again: what is
		// missing were answers to the earlier ones.
		if lapse := by.at - packets[c.sent[n-1]].at - k.v.best[k.w]; !c.waited && c.absent == 0 && lapse < leastRTO {
			probably = max(least, most-missing)
		}
	case c.answer:
		least = max(least, most-1) // the answer to the last of them
	case came >= 0 && !k.dsack:
		// It was late, or its answer was lost; those after it came for nothing, unless
		// nobody said a word to several of them.
		probably = least
		const several = 3
		if n := k.silent(all[came+1:]); n >= several {
			probably = max(least, min(most, came+n))
		}
	}
	order := slices.Clone(all)
	if came >= 0 {
		order = slices.Delete(order, came, came+1)
	}
	least = min(least, len(order))
	for j, i := range order {
		if j >= most {
			break
		}
		v := possible
		if j < probably {
			v = probable
		}
		if j < least {
			v = certain
		}
		k.mark(i, v)
	}
}

// silent counts the segments behind which nothing at all came from the peer for as
// long as an answer takes.
func (k *walk) silent(sent []int) (n int) {
	packets, rtt := k.s.k.packets, k.v.best[k.w]
	list := k.v.of[k.w.peer()]
	for _, i := range sent {
		at := packets[i].at
		j, _ := slices.BinarySearchFunc(list, at, func(i int, t int64) int { return cmp.Compare(packets[i].at, t+1) })
		if j == len(list) || packets[list[j]].at > at+rtt+rtt/4+delayedACK {
			n++
		}
	}
	return n
}

// first returns which of a chain's segments arrived first, as far as the answer
// tells; -1 if it does not.
func (k *walk) first(c *chain, by *packet) int {
	packets := k.s.k.packets
	// What lies behind a hole does not move the timestamp that is echoed (RFC 7323).
	if j := k.echoed(c, by); j >= 0 && !after(c.end, by.ack) {
		return j
	}
	if len(c.sent) < 2 || c.absent > 0 {
		return -1
	}
	if by.hasTS && !after(c.end, by.ack) && before(by.tsecr, packets[c.sent[1]].tsval) || c.credited == 1 || c.ahead {
		return 0
	}
	return -1
}

// echoed returns which of a chain's segments had the timestamp that is echoed, -1 if
// that is none of them, or not only one.
func (k *walk) echoed(c *chain, by *packet) int {
	found := -1
	for j, i := range c.sent {
		if p := &k.s.k.packets[i]; by.hasTS && p.hasTS && p.tsval == by.tsecr {
			if found >= 0 {
				return -1
			}
			found = j
		}
	}
	return found
}

// What a TCP waits at least before it sends again (Linux; RFC 6298 says 1 s), and
// how long an acknowledgement may be held back.
const (
	leastRTO   = int64(150e6)
	delayedACK = int64(50e6)
)

// mark notes a segment, with the surest word on it.
func (k *walk) mark(i int, v verdict) {
	f := k.s.k.packets[i].frame
	k.s.lost[f] = max(k.s.lost[f], v)
}

// handshake judges SYNs: the answer echoes the timestamp of the one that arrived
// first.
func (k *walk) handshake(c *chain) {
	packets := k.s.k.packets
	by := &packets[c.by]
	n := len(c.sent)
	took := k.echoed(c, by)
	known := took >= 0
	if last := packets[c.sent[n-1]].at; !known && k.near(last, by.at) {
		took, known = n-1, true
	}
	for j, i := range c.sent[:n-1] {
		switch {
		case known && j < took && packets[c.sent[took]].at-packets[i].at <= slack && packets[i].tsval == packets[c.sent[took]].tsval:
			k.mark(i, possible) // NetX Duo sends all that waited for an address at once
		case known && j < took:
			k.mark(i, certain)
		case known && j > took:
			k.mark(i, possible)
		case !known:
			k.mark(i, probable)
		}
	}
}

// unanswered judges a chain that nobody ever acknowledged.
func (k *walk) unanswered(c *chain) {
	packets := k.s.k.packets
	end := int64(k.s.k.end - k.s.k.start)
	n := len(c.sent)
	// In a queue answers take as long as the last one did, or longer.
	soon := 2*k.v.best[k.w] + delayedACK
	const newest = 8
	if rtts := k.v.rtts[k.w]; len(rtts) > 0 {
		late := slices.Sorted(slices.Values(rtts[max(0, len(rtts)-newest):]))
		soon = max(soon, late[len(late)/2]*3/2)
	}
	for j, i := range c.sent[:n] {
		v := possible
		switch {
		case end-packets[i].at <= 2*k.v.best[k.w]+delayedACK:
			continue // the answer may still have been under way
		case end-packets[i].at <= soon: // and so it may in a queue, which may have been full
		case c.reset: // each that comes to a closed port is answered so
		case j < c.absent:
			v = certain
		case len(c.sent) > 1:
			v = probable
		}
		k.mark(i, v)
	}
}

// report notes the fate of every segment of the direction.
func (k *walk) report(f *follower) {
	chances := map[int]float64{} // of those that count as lost, by index; looked up only
	if f != nil {
		chances = f.chosen()
		out := k.s.c.of(k.w)
		out.Lost, out.Data = out.Lost.plus(f.bounds()), out.Data.plus(f.bounds())
	}
	for _, i := range k.v.of[k.w] {
		p := &k.s.k.packets[i]
		v := k.s.lost[p.frame]
		chance, chosen := chances[i]
		switch {
		case chosen:
			k.s.dropped(k.w, p, p.at, chance)
		case v > 0:
			k.s.drop(k.w, p, p.at, v, v)
		}
		if p.carries() > 0 { // of others nothing is known
			k.s.rows[k.w] = append(k.s.rows[k.w], passage{p.at, v < probable && !chosen, p.frame})
		}
	}
}
