package extract

import (
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
	shut     bool // the peer's window was closed at times
	rack     int  // the newest segment that is known to have arrived
	clock    ackClock
	again    bool // the answer before said nothing new
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
	k.reorders = late >= some || v.overtaken(w.peer()) >= some
	f := (*follower)(nil)
	if !k.shut {
		if f = k.follow(k.dsack); f != nil && k.reorders && f.misfits > 0 {
			f = nil
		}
	}
	for _, c := range all {
		if f == nil || s.k.packets[c.sent[0]].has(wire.TCPSyn) {
			k.judge(c)
		}
	}
	k.report(f)
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
	if k.begun && p.keepsAlive(k.newest, k.acked) {
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
	k.shut = k.shut || k.window == 0
	twice := k.repeated(p)
	first := !k.begun || after(p.ack, k.acked)
	if k.begun && after(p.ack, k.newest) {
		k.s.unseen(p) // the tap lost it
		k.newest = p.ack
	}
	if first {
		k.acked = p.ack
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
	var covered []*chain
	for _, c := range k.open {
		if k.covers(p, blocks, c) {
			c.by = i
			// A broker speaks when it is spoken to; a device may have said something else.
			c.ahead = ahead && k.w == up
			k.caused(c, p, expected)
			k.recent, covered = append(k.recent, c), append(covered, c)
			continue
		}
		k.notThere(c, p, blocks)
		kept = append(kept, c)
	}
	k.open = kept
	if len(covered) > 0 {
		k.clock.ack(k, p, covered, k.again)
	}
	k.again = len(covered) == 0 && p.carries() == 0
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

// isDSACK reports whether the first block says what came twice (RFC 2883).
func (p *packet) isDSACK() bool {
	if len(p.sack) == 0 {
		return false
	}
	b := p.sack[0]
	within := len(p.sack) > 1 && !before(b.Start, p.sack[1].Start) && !after(b.End, p.sack[1].End)
	return within || !after(b.End, p.ack)
}

// repeated reads a DSACK and tells its chain.
func (k *walk) repeated(p *packet) bool {
	if !p.isDSACK() {
		return false
	}
	b := p.sack[0]
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
