package extract

import (
	"hilnet/wire"
)

// An outgoing is a segment whose fate is asked.
type outgoing struct {
	index    int // of packets
	at       int64
	seq, end uint32
	stamp    uint32
	hasStamp bool
}

// outgoings lists the segments.
func (f *follower) outgoings() {
	var newest, acked uint32
	begun, said := false, false
	f.bare = map[uint32]bool{}
	most := 0 // what the peer takes at once, 0: not known
	for _, i := range f.k.v.all {
		p := &f.k.s.k.packets[i]
		if p.way != f.k.w {
			if p.has(wire.TCPSyn) && p.mss > 0 {
				most = int(p.mss)
			}
			if p.has(wire.TCPAck) && !p.has(wire.TCPRst) && (!said || after(p.ack, acked)) {
				acked, said = p.ack, true
			}
			continue
		}
		if p.carries() == 0 || p.has(wire.TCPSyn) {
			if p.hasTS {
				f.bare[p.tsval] = true
			}
			if p.has(wire.TCPSyn) {
				newest, begun = p.end(), true
			}
			continue
		}
		if begun && said && p.keepsAlive(newest, acked) {
			continue
		}
		if !begun || after(p.end(), newest) {
			newest, begun = p.end(), true
		}
		f.cut(i, p, most)
	}
	f.newest = newest
}

// cut lists a segment, or those that the network card makes of one that is longer than
// the peer takes.
func (f *follower) cut(i int, p *packet, most int) {
	if p.hasTS {
		most -= 12 // the option's length, with what fills it up
	}
	const least = 500 // a smaller one is no card's (RFC 9293: 536, less options)
	seq := p.seq
	for ; most >= least && int(p.end()-seq) > most && p.payload > most && len(f.sent) < MaxFrames; seq += uint32(most) {
		f.sent = append(f.sent, outgoing{i, p.at, seq, seq + uint32(most), p.tsval, p.hasTS})
		f.offload = true
	}
	f.sent = append(f.sent, outgoing{i, p.at, seq, p.end(), p.tsval, p.hasTS})
}

// keepsAlive reports whether a segment asks only whether the peer is there: it has
// at most the last byte, which is known to have arrived. Else that is sent again.
func (p *packet) keepsAlive(newest, acked uint32) bool {
	return p.payload <= 1 && p.flags&opening == 0 && p.seq == newest-1 && !before(acked, newest)
}
