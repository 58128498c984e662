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

// ack takes an acknowledgement that moves on.
func (a *ackClock) ack(k *walk, p *packet) {
	packets := k.s.k.packets
	bytes, frames, waited := 0, 0, true
	for _, c := range k.open {
		if after(c.end, p.ack) {
			continue
		}
		f := &packets[c.sent[0]]
		k.rtt = p.at - packets[c.sent[len(c.sent)-1]].at // the newest one counts: those before it may have waited for a hole
		if len(c.sent) > 1 || c.seq != f.seq {
			waited = false // it was sent again, or shares a frame
		}
		bytes, frames = bytes+f.len, frames+1
		waited = waited && f.at <= a.last-a.least
	}
	if a.has && frames > 0 && waited && p.at > a.last {
		a.train = append(a.train, interval{bytes, p.at - a.last})
		a.frames += frames
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
