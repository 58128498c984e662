package extract

import (
	"cmp"
	"slices"

	"hilnet/wire"
)

// A chain is a piece of a stream and the segments that carried it: the first one
// and what its sender sent again.
type chain struct {
	seq, end uint32
	sent     []int // indices of packets, before it was covered
	needless []int // after it was
	absent   int   // of sent, in front: the peer spoke after they should have arrived, and did not have them
	by       int   // the packet that covered it, -1: none did
	twice    int   // how often the peer said that it came again
	echoes   int   // how often it seems to have, by repeated acknowledgements
	ahead    bool  // what covered it shows that the peer had said something before that is missing
	answer   bool  // what covered it is an answer with data, a round trip after the last one sent
	credited int   // how many of sent were answered, as far as that is known
	waited   bool  // the peer waited for an acknowledgement of its own when the chain began
	closed   bool  // the peer's window was closed: it was not lost but not taken
	reset    bool  // RST answered it
}

// A walk goes through a connection and follows the segments of one direction whose
// receiver is behind the tap.
type walk struct {
	s        *single
	v        *connection
	w        way
	open     []*chain
	recent   []*chain // covered ones, the newest last
	done     []*chain
	newest   uint32 // behind the highest that was sent
	begun    bool
	window   uint32 // the peer's, scaled
	scale    uint8
	peer     uint32 // behind the highest that the peer sent
	heard    uint32 // what was acknowledged of that
	spoke    bool
	rtt      int64 // of late
	acked    uint32
	dsack    bool // the peer reports what comes twice
	reorders bool // the network does: what is overtaken is not lost
	rack     int  // the newest segment that is known to have arrived
	clock    ackClock
}

// maxOpen bounds the segments that wait for an acknowledgement; beyond it nothing is
// said of the oldest.
const maxOpen = 4096

// recall is how many covered chains are kept for what is said of them later.
const recall = 256

// forward finds what was lost of a direction behind the tap.
func (s *single) forward(v *connection, w way) {
	k := &walk{s: s, v: v, w: w, rtt: v.best[w], window: 1}
	k.clock.least = v.best[w]
	for _, i := range v.all {
		if p := &s.k.packets[i]; p.way == w {
			k.send(i, p)
		} else {
			k.hear(i, p)
		}
	}
	k.clock.end()
	s.trains[w] = append(s.trains[w], k.clock.trains...)
	all := slices.Concat(k.done, k.recent, k.open)
	late := 0
	for _, c := range all {
		if c.by >= 0 && c.absent > 0 && len(c.sent) > 1 && k.first(c, &s.k.packets[c.by]) == 0 {
			late++ // others overtook it, and it came all the same
		}
	}
	const some = 3
	k.reorders = late >= some
	for _, c := range all {
		k.judge(c)
	}
	k.report()
}

// send takes a segment of the direction.
func (k *walk) send(i int, p *packet) {
	if p.has(wire.TCPAck) {
		if !k.spoke || after(p.ack, k.heard) {
			k.heard = p.ack
		}
	}
	if p.has(wire.TCPSyn) && p.hasScale {
		k.s.k.packets[i].scale = p.scale
	}
	if p.carries() == 0 {
		return
	}
	// A keep-alive is no data, and what asks at a closed window is not taken.
	if k.begun && p.payload <= 1 && p.flags&opening == 0 && p.seq == k.newest-1 {
		return
	}
	again := false
	for _, c := range k.open {
		if after(p.end(), c.seq) && before(p.seq, c.end) {
			c.sent = append(c.sent, i)
			again = true
		}
	}
	seq := p.seq
	if k.begun && before(seq, k.newest) {
		seq = k.newest
	}
	switch {
	case after(p.end(), seq):
		if !k.begun || after(p.end(), k.newest) {
			k.newest, k.begun = p.end(), true
		}
		if len(k.open) == maxOpen {
			k.open = slices.Delete(k.open, 0, 1)
		}
		k.open = append(k.open, &chain{
			seq: seq, end: p.end(), sent: []int{i}, by: -1, waited: k.spoke && before(k.heard, k.peer), closed: k.window == 0,
		})
	case !again:
		for j := len(k.recent) - 1; j >= 0; j-- {
			if c := k.recent[j]; after(p.end(), c.seq) && before(p.seq, c.end) {
				c.needless = append(c.needless, i)
				break
			}
		}
	}
}

// hear takes a segment of the peer.
func (k *walk) hear(i int, p *packet) {
	if p.has(wire.TCPSyn) && p.hasScale {
		k.scale = min(p.scale, 14)
	}
	if p.has(wire.TCPRst) {
		for _, c := range k.open {
			c.reset = true
		}
		return
	}
	ahead, expected := k.spoke && after(p.seq, k.peer), k.spoke && p.seq == k.peer
	if !k.spoke || after(p.end(), k.peer) {
		if !k.spoke {
			k.heard = p.seq
		}
		k.peer, k.spoke = p.end(), true
	}
	if !p.has(wire.TCPAck) {
		return
	}
	k.window = uint32(p.window)
	if !p.has(wire.TCPSyn) {
		k.window <<= k.scale
	}
	twice := k.repeated(p)
	first := !k.begun || after(p.ack, k.acked)
	if k.begun && after(p.ack, k.newest) {
		k.s.unseen(p) // the tap lost it
		k.newest = p.ack
	}
	if first {
		k.acked = p.ack
		k.clock.ack(k, p)
	} else if p.carries() == 0 && len(p.sack) == 0 && p.ack == k.acked {
		k.echo(p)
	}
	k.dsack = k.dsack || twice
	blocks := p.sack
	if twice {
		blocks = blocks[1:]
	}
	for _, c := range k.open {
		if len(c.sent) == 1 && k.covers(p, blocks, c) {
			k.rack = max(k.rack, c.sent[0])
		}
	}
	kept := k.open[:0]
	for _, c := range k.open {
		if k.covers(p, blocks, c) {
			c.by = i
			// A broker speaks when it is spoken to; a device may have said something else.
			c.ahead = ahead && k.w == up
			k.caused(c, p, expected)
			k.recent = append(k.recent, c)
			continue
		}
		k.notThere(c, p, blocks)
		kept = append(kept, c)
	}
	k.open = kept
	if n := len(k.recent); n > recall {
		k.done = append(k.done, k.recent[:n-recall]...)
		k.recent = slices.Clone(k.recent[n-recall:])
	}
}

// near reports whether something that came can be the answer to something sent then.
func (k *walk) near(sent, came int64) bool {
	rtt := k.v.best[k.w]
	return came-sent >= rtt-rtt/20 && came-sent <= rtt+rtt/8+slack
}

// caused finds which of a chain's segments what covers it answers.
func (k *walk) caused(c *chain, p *packet, expected bool) {
	packets := k.s.k.packets
	rtt := k.v.best[k.w]
	for j, i := range c.sent {
		if packets[i].at+rtt-rtt/20 <= p.at {
			c.credited = j + 1
		}
	}
	last := packets[c.sent[len(c.sent)-1]].at
	c.answer = expected && p.carries() > 0 && k.near(last, p.at)
}

// echo reads a repeated acknowledgement without data: a segment of a covered chain
// came once more.
func (k *walk) echo(p *packet) {
	packets := k.s.k.packets
	for j := len(k.recent) - 1; j >= 0 && j >= len(k.recent)-8; j-- {
		c := k.recent[j]
		all := slices.Concat(c.sent, c.needless)
		for n, i := range all {
			if n+1 > c.credited && n > 0 && k.near(packets[i].at, p.at) {
				c.credited = n + 1
				c.echoes++
				return
			}
		}
	}
}

// repeated reads a DSACK and tells its chain.
func (k *walk) repeated(p *packet) bool {
	if len(p.sack) == 0 {
		return false
	}
	b := p.sack[0]
	within := len(p.sack) > 1 && !before(b.Start, p.sack[1].Start) && !after(b.End, p.sack[1].End)
	if after(b.End, p.ack) && !within {
		return false
	}
	for _, list := range [][]*chain{k.open, k.recent} {
		for j := len(list) - 1; j >= 0; j-- {
			c := list[j]
			if after(b.End, c.seq) && before(b.Start, c.end) {
				c.twice++
			}
		}
	}
	return true
}

// slack is how much later than the shortest round trip an answer is still no proof.
const slack = int64(4e6)

// covers reports whether the peer has a chain.
func (k *walk) covers(p *packet, blocks []wire.SACKBlock, c *chain) bool {
	covered := !after(c.end, p.ack)
	for _, b := range blocks {
		covered = covered || !after(b.Start, c.seq) && !before(b.End, c.end)
	}
	return covered
}

// notThere notes that the peer spoke and did not have a chain: its segments that
// should have arrived by then had not. Those in front of one that arrived should
// have; in a queue that is long nothing else is known of when.
func (k *walk) notThere(c *chain, p *packet, blocks []wire.SACKBlock) {
	if after(p.ack, c.seq) {
		return
	}
	for c.absent < len(c.sent) && c.sent[c.absent] < k.rack {
		c.absent++
	}
	const mostBlocks = 3
	// Only what stands at the edge of what the peer has would have moved it; what
	// stands behind a hole it would have reported.
	if p.ack != c.seq && (!k.v.sack || len(blocks) >= mostBlocks || p.payload > 0) {
		return
	}
	best := k.v.best[k.w]
	limit := best + best/4 + slack
	if k.rtt > best+best/2 && p.carries() == 0 {
		return
	}
	for n := c.absent; n < len(c.sent); n++ {
		if p.at-k.s.k.packets[c.sent[n]].at <= max(limit, k.rtt+k.rtt/8+slack) {
			return
		}
		c.absent = n + 1
	}
}

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
	case k.reorders && !k.dsack: // each may only have been late, and nobody says so
		least, probably = 0, 0
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
	if c.reset && c.absent < n {
		n-- // the last one was answered
	}
	for j, i := range c.sent[:n] {
		v := possible
		switch {
		case j < c.absent:
			v = certain
		case end-packets[i].at <= 2*k.v.best[k.w]+delayedACK:
			continue // the answer may still have been under way
		case len(c.sent) > 1:
			v = probable
		}
		k.mark(i, v)
	}
}

// report notes the fate of every segment of the direction.
func (k *walk) report() {
	for _, i := range k.v.of[k.w] {
		p := &k.s.k.packets[i]
		v := k.s.lost[p.frame]
		if v > 0 {
			k.s.drop(k.w, p, p.at, v, v)
		}
		if p.carries() > 0 { // of others nothing is known
			k.s.rows[k.w] = append(k.s.rows[k.w], passage{p.at, v < probable, p.frame})
		}
	}
}
