package extract

import (
	"encoding/binary"
	"slices"
	"strings"

	"hilnet/wire"
)

// A belief is one way in which things may have gone behind the tap: which segments
// arrived, and what the peer has of the stream then.
type belief struct {
	receiverState
	weight float64
	n      int   // segments lost since all beliefs agreed
	quiet  int   // answers lost since then
	lost   *loss // the segments, the newest first
}

// A loss is a segment that a belief holds for lost.
type loss struct {
	sent int
	next *loss
}

// mostSpans bounds the pieces behind holes that a belief tells apart.
const mostSpans = 64

// A receiverState is what the peer has, and what else later answers depend on. Equal
// ones go on alike.
type receiverState struct {
	done  int    // segments whose fate is settled, in the order of sending
	next  uint32 // the peer has all in front of it
	spans pieces // what it has behind holes
	// Timestamps of what moved next: the newest, and the first since the last answer.
	stamp, first uint32
	stamped      bool
	fresh        bool   // something moved next since the last answer
	old          uint32 // timestamp of what the peer had, and got again: some echo it
	oldFresh     bool
	kind         arrivalKind
	last         int // the segment that arrived last
	pending      bool
	lostBefore   int // so many segments before were lost, up to a few
	quietBefore  int // and so many answers
	missed       int // answers lost since the last that was heard
}

// An arrivalKind is what an arrival was to the peer.
type arrivalKind uint8

const (
	noArrival  arrivalKind = iota
	inOrder                // it moved next
	behindHole             // it is kept
	again                  // the peer had it
)

// arrive lets a segment arrive. It reports false where more than a belief can hold is
// behind holes.
func (b *receiverState) arrive(n int, x *outgoing) bool {
	b.last, b.pending = n, true
	switch {
	case !after(x.end, b.next):
		b.kind = again
		b.old, b.oldFresh = x.stamp, x.hasStamp
	case after(x.seq, b.next):
		if b.spans.has(x.seq, x.end) {
			b.kind = again
			return true
		}
		b.kind = behindHole
		return b.keep(x.seq, x.end)
	default:
		b.kind = inOrder
		b.next = x.end
		b.absorb()
		if !b.fresh {
			b.first, b.fresh = x.stamp, true
		}
		b.stamp, b.stamped = x.stamp, x.hasStamp
	}
	return true
}

// keep keeps a piece behind a hole.
func (b *receiverState) keep(seq, end uint32) bool {
	i := 0
	for i < b.spans.len() && before(b.spans.at(i).End, seq) {
		i++
	}
	j := i
	for j < b.spans.len() && !after(b.spans.at(j).Start, end) {
		if s := b.spans.at(j); before(s.Start, seq) {
			seq = s.Start
		}
		if s := b.spans.at(j); after(s.End, end) {
			end = s.End
		}
		j++
	}
	if j == i && b.spans.len() == mostSpans {
		return false
	}
	b.spans = b.spans[:i*spanLen] + piece(seq, end) + b.spans[j*spanLen:]
	return true
}

// absorb takes the pieces that next has reached.
func (b *receiverState) absorb() {
	n := 0
	for n < b.spans.len() && !after(b.spans.at(n).Start, b.next) {
		if s := b.spans.at(n); after(s.End, b.next) {
			b.next = s.End
		}
		n++
	}
	b.spans = b.spans[n*spanLen:]
}

// pieces are pieces of a stream in order, apart from each other, as bytes: so that
// states can be compared and share them.
type pieces string

const spanLen = 8

func piece(seq, end uint32) pieces {
	var s [spanLen]byte
	binary.BigEndian.PutUint32(s[:], seq)
	binary.BigEndian.PutUint32(s[4:], end)
	return pieces(s[:])
}

func (p pieces) len() int { return len(p) / spanLen }

func (p pieces) at(i int) wire.SACKBlock {
	u32 := func(s pieces) uint32 { return uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3]) }
	return wire.SACKBlock{Start: u32(p[i*spanLen:]), End: u32(p[i*spanLen+4:])}
}

// has reports whether one of them has all of a piece.
func (p pieces) has(start, end uint32) bool {
	for i := range p.len() {
		if s := p.at(i); !after(s.Start, start) && !before(s.End, end) {
			return true
		}
	}
	return false
}

// named reports whether blocks name a piece.
func named(blocks []wire.SACKBlock, o wire.SACKBlock) bool {
	return slices.ContainsFunc(blocks, func(s wire.SACKBlock) bool { return !after(s.Start, o.Start) && !before(s.End, o.End) })
}

// answered notes that an answer was heard.
func (b *receiverState) answered(a *answer) {
	b.pending, b.fresh, b.missed, b.quietBefore = false, false, 0, 0
	if a.hasEcho {
		b.stamp, b.stamped = a.echo, true
	}
	b.first, b.kind, b.last, b.old, b.oldFresh = 0, noArrival, 0, 0, false
}

// remembered is how many pieces a receiver can tell apart when it reports them: what is
// older it forgets, and does not join with what is next to it (Linux has four, gVisor
// six).
const remembered = 3

// says reports whether an answer is what the peer says when it has that: 0 if not,
// else how likely its timestamp is. told: it has answered the last arrival before.
func (b *receiverState) says(a *answer, sent []outgoing, told bool) float64 {
	if a.ack != b.next {
		return 0
	}
	if a.sacks {
		// The first block is where the last arrival is (RFC 2018).
		if len(a.blocks) > 0 {
			s := a.blocks[0]
			if !b.spans.has(s.Start, s.End) || b.spans.len() <= remembered && !strings.Contains(string(b.spans), string(piece(s.Start, s.End))) {
				return 0
			}
			if x := &sent[b.last]; b.pending && b.kind == behindHole && (after(s.Start, x.seq) || before(s.End, x.end)) {
				return 0
			}
		}
		for _, s := range a.blocks {
			if !b.spans.has(s.Start, s.End) {
				return 0
			}
		}
		if a.tellsAll() {
			for i := range b.spans.len() {
				if !named(a.blocks, b.spans.at(i)) {
					return 0
				}
			}
		}
	}
	if !a.hasEcho || !b.stamped {
		return 1
	}
	switch {
	case a.echo == b.stamp:
		return 1
	case b.fresh && !before(a.echo, b.first) && !after(a.echo, b.stamp): // held back, or the one before was lost
		return 0.5
	case b.oldFresh && a.echo == b.old:
		// Linux echoes what came twice, and says so; gVisor does neither.
		if a.sacks && !a.dsack && !told {
			return 0.02
		}
		return 0.3
	case a.bare && after(a.echo, b.stamp):
		return 0.5
	}
	return 0
}

// tellsAll reports whether an answer tells all that is behind holes: it had room for
// more.
func (a *answer) tellsAll() bool {
	const mostBlocks = 3
	return a.sacks && len(a.blocks) < mostBlocks-bit(a.dsack)
}

// beyond reports whether the peer can only have that after it gave an answer.
func (b *receiverState) beyond(a *answer) bool {
	if after(b.next, a.ack) {
		return true
	}
	all := a.tellsAll()
	for i := range b.spans.len() {
		o := b.spans.at(i)
		if !after(o.Start, a.ack) {
			if after(o.End, a.ack) {
				return true // it would have acknowledged more
			}
		} else if all && !named(a.blocks, o) {
			return true
		}
	}
	return false
}

// unnamed reports whether a segment that arrived behind a hole should stand in the
// first blocks of an answer, and does not: they tell of the newest arrivals.
func (b *receiverState) unnamed(a *answer, x *outgoing) bool {
	const mostBlocks = 3
	return a.sacks && b.kind == behindHole && after(x.seq, a.ack) && b.missed < mostBlocks &&
		!named(a.blocks, wire.SACKBlock{Start: x.seq, End: x.end})
}
