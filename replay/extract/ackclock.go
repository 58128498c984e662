package extract

// An ackClock finds the rate behind the tap: from acknowledgements of frames that
// were already waiting when what the acknowledgement before covers had left.
type ackClock struct {
	least  int64 // the shortest round trip
	last   int64 // of the acknowledgement before
	has    bool
	train  []interval
	frames int
	trains [][]interval
}

// ack takes an answer that says of pieces, now first, that they arrived. echoed are
// acknowledgements before it that did not move: without SACK nobody knows when what it
// covers came.
func (a *ackClock) ack(k *walk, p *packet, covered []*chain, echoed bool) {
	packets := k.s.k.packets
	bytes, waited := 0, true
	for _, c := range covered {
		f := &packets[c.sent[len(c.sent)-1]]
		k.rtt = p.at - f.at // the newest one counts: those before it may have waited for a hole
		if c.seq != f.seq && before(f.seq, c.seq) && c.end != f.end() || len(c.sent) > 1 && !k.v.sack {
			waited = false // it shares a frame
		}
		bytes += f.len
		waited = waited && f.at <= a.last-a.least
	}
	if a.has && waited && p.at > a.last && (k.v.sack || !echoed) {
		a.train = append(a.train, interval{bytes, p.at - a.last})
		a.frames += len(covered)
	} else {
		a.end()
	}
	a.last, a.has = p.at, true
}

// end ends a train.
func (a *ackClock) end() {
	if a.frames >= leastTrain && len(a.train) >= leastTrain/2 {
		a.trains = append(a.trains, a.train)
	}
	a.train, a.frames = nil, 0
}
