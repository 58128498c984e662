package analyze

import (
	"time"

	"hilnet/sim"
	"hilnet/wire"
)

const (
	// maxUnacked bounds the segments of one side that wait for an
	// acknowledgement. Beyond it segments are not remembered, as in Wireshark.
	maxUnacked = 10_000
	// fastWindow is how soon behind the last ACK a fast retransmission comes.
	fastWindow = 20 * time.Millisecond
	// orderWindow stands in for the initial RTT when that is not known.
	orderWindow = 3 * time.Millisecond
)

const (
	control = wire.TCPSyn | wire.TCPFin | wire.TCPRst
	opening = wire.TCPSyn | wire.TCPFin
)

// A scale is a window scale, or why there is none.
type scale int8

const (
	// windowUnknown is no window that a header can hold.
	windowUnknown uint32 = 1 << 31

	scaleUnknown scale = -1 // no SYN was seen
	scaleNone    scale = -2 // a SYN came without the option
)

// An unacked is a segment that waits for its acknowledgement.
type unacked struct {
	frame     uint64
	at        sim.Time
	seq, next uint32
	again     bool // bytes of it were sent again: its RTT is ambiguous (Karn)
}

// A sender is what is known of one direction. Zero stands for "not seen yet" in
// next, ackable and ack, as it does in Wireshark.
type sender struct {
	hasBase bool
	base    uint32

	next      uint32 // highest sequence number seen, plus one
	nextAt    sim.Time
	nextFrame uint64
	ackable   uint32 // the end of what was seen without a hole

	window     uint32 // as in the header
	scale      scale
	ack        uint32
	ackAt      sim.Time
	firstOfACK uint64 // the frame that brought ack first
	duplicates int
	stalled    bool   // what it has not acknowledged was not captured: as good as many duplicates
	last       Labels // of the segment before
	sack       []wire.SACKBlock
	recent     recent

	unacked      []unacked // oldest first
	unknownBytes bool      // a hole makes bytes in flight meaningless until an ACK
	low, high    uint32    // span of unacked from base, if spanned
	spanned      bool
	pushBytes    int
	pushed       bool
}

// A stream is a connection as Wireshark sees it: by addresses and ports only.
type stream struct {
	side       [2]sender
	synSeen    bool
	synAt      sim.Time
	ended      bool // FIN or RST seen
	initialRTT time.Duration

	budget *int // unacked segments that all streams together may remember
}

func after(a, b uint32) bool  { return int32(a-b) > 0 }
func before(a, b uint32) bool { return int32(a-b) < 0 }

func newStream(budget *int) *stream {
	s := &stream{budget: budget}
	for i := range s.side {
		s.side[i].scale, s.side[i].window = scaleUnknown, windowUnknown
	}
	return s
}

// release gives the budget back.
func (s *stream) release() { *s.budget += len(s.side[0].unacked) + len(s.side[1].unacked) }

// judge gives seg its labels and takes it into account.
func (s *stream) judge(seg *Segment, from int) {
	fwd, rev := &s.side[from], &s.side[1-from]
	options, _ := seg.Result.TCP.Options() // those in front of a bad one count
	s.open(seg, fwd, rev, &options)
	s.label(seg, fwd, rev)
	if seg.ACK != fwd.ack {
		fwd.firstOfACK, fwd.duplicates, fwd.stalled = seg.Frame, 0, false
	}
	if rev.ackable != 0 && after(seg.ACK, rev.ackable) && seg.Flags&wire.TCPAck != 0 {
		seg.measured = true
		s.unseen(seg, rev)
	}
	s.repeats(seg, fwd, rev)
	s.advance(seg, fwd)
	fwd.window, fwd.ack, fwd.ackAt, fwd.last = uint32(seg.Window), seg.ACK, seg.At, seg.Labels
	s.acknowledge(seg, rev)
	fwd.sack = append(fwd.sack[:0], options.SACK()...)
	s.flight(seg, fwd, rev)
	fwd.origin(seg, rev, &options)
	if seg.analysed() {
		seg.InitialRTT = s.initialRTT
	}
}

// unseen labels an acknowledgement of what was not captured. It is said again when more
// was captured since, or when the other side has acknowledged something new.
func (s *stream) unseen(seg *Segment, rev *sender) {
	if before(rev.ackable, rev.next) {
		rev.ackable = rev.next
		seg.Labels |= ACKLostSegment
		return
	}
	if rev.duplicates == 0 && !rev.stalled {
		seg.Labels |= ACKLostSegment
	}
	rev.duplicates, rev.stalled = 0, true
}

// open notes what belongs to the start of a connection.
func (s *stream) open(seg *Segment, fwd, rev *sender, options *wire.TCPOptions) {
	syn, ack := seg.Flags&wire.TCPSyn != 0, seg.Flags&wire.TCPAck != 0
	if !fwd.hasBase {
		fwd.base, fwd.hasBase = seg.Seq, true
		if !syn {
			fwd.base--
		}
	}
	if !rev.hasBase && ack {
		rev.base, rev.hasBase = seg.ACK-1, true
	}
	if syn {
		if options.HasWindowScale {
			fwd.scale = scale(min(options.WindowScale, 14))
		} else {
			fwd.scale, rev.scale = scaleNone, scaleNone
		}
	}
	switch {
	case syn && !ack:
		s.synAt, s.synSeen = seg.At, true
	case syn:
		if fwd.base != seg.Seq { // the connection goes on with other numbers
			seg.Labels |= ReusedPorts
			fwd.base, fwd.spanned = seg.Seq, false
		}
	case ack && s.synSeen && s.initialRTT == 0:
		s.initialRTT = seg.At.Sub(s.synAt)
	}
	if seg.Flags&(wire.TCPFin|wire.TCPRst) != 0 {
		s.ended = true
	}
}

// label finds everything but retransmissions. A probe of a closed window, and
// the answers to probes and keep-alives, end the search.
func (s *stream) label(seg *Segment, fwd, rev *sender) {
	plain := seg.Flags&control == 0
	if seg.Len == 1 && seg.Seq == fwd.next && rev.window == 0 {
		seg.Labels |= ZeroWindowProbe
		return
	}
	if seg.Window == 0 && plain {
		seg.Labels |= ZeroWindow
	}
	if fwd.next != 0 && after(seg.Seq, fwd.next) && seg.Flags&wire.TCPRst == 0 {
		seg.Labels |= LostSegment
		fwd.unknownBytes = true
	}
	if seg.Len <= 1 && seg.Seq == fwd.next-1 && plain {
		seg.Labels |= KeepAlive
	}
	if seg.Len > 0 && rev.scale != scaleUnknown && seg.Seq+uint32(seg.Len) == rev.ack+rev.window<<max(0, rev.scale) && plain {
		seg.Labels |= WindowFull
	}
	if seg.Len > 0 || seg.Seq != fwd.next || seg.ACK != fwd.ack || !plain {
		return
	}
	// An empty segment that moves neither number.
	same := uint32(seg.Window) == fwd.window
	switch {
	case seg.Window != 0 && !same:
		seg.Labels |= WindowUpdate
	case !same:
	case seg.Window != 0 && rev.last.Has(KeepAlive):
		seg.Labels |= KeepAliveACK
	case seg.Window == 0 && rev.last.Has(ZeroWindowProbe):
		seg.Labels |= ZeroWindowProbeACK
	case seg.Window != 0:
		fwd.duplicates++
		fwd.stalled = false
		seg.Labels |= DuplicateACK
		seg.DuplicateACKNumber, seg.DuplicateACKFrame = fwd.duplicates, fwd.firstOfACK
	}
}

// repeats tells retransmissions from segments out of order.
func (s *stream) repeats(seg *Segment, fwd, rev *sender) {
	if seg.Len == 0 && seg.Flags&opening == 0 || seg.Labels.Has(KeepAlive) {
		return
	}
	// Data that starts with the byte of a probe is new.
	old := fwd.next != 0 && before(seg.Seq, fwd.next) && !(seg.Len > 1 && fwd.next-1 == seg.Seq)
	end := seg.Seq + uint32(seg.Len)
	if seg.Len > 0 && rev.ack != 0 && !after(end, rev.ack) {
		seg.Labels |= Retransmission | SpuriousRetransmission
		return
	}
	if !old {
		return
	}
	if wait := seg.At.Sub(rev.ackAt); (rev.duplicates >= 2 || rev.stalled) && rev.ack == seg.Seq && wait >= 0 && wait < fastWindow {
		seg.Labels |= Retransmission | FastRetransmission
		return
	}
	limit := orderWindow
	if s.initialRTT != 0 {
		limit = s.initialRTT
	}
	if seg.Flags&opening != 0 {
		end++
	}
	if wait := seg.At.Sub(fwd.nextAt); wait >= 0 && wait < limit && fwd.next != end {
		seg.Labels |= OutOfOrder
		return
	}
	seg.Labels |= Retransmission
	seg.RTO, seg.RTOFrame = seg.At.Sub(fwd.nextAt), fwd.nextFrame
	if len(fwd.unacked) > 0 {
		u := &fwd.unacked[0]
		seg.RTO, seg.RTOFrame = seg.At.Sub(u.at), u.frame
	}
}

// advance moves the sender's numbers.
func (s *stream) advance(seg *Segment, fwd *sender) {
	end := seg.Seq + uint32(seg.Len)
	if seg.Len > 0 || seg.Flags&opening != 0 {
		if seg.Flags&opening != 0 {
			end++
		}
		if seg.Labels.Any(Retransmission | OutOfOrder) {
			for i := range fwd.unacked {
				u := &fwd.unacked[i]
				u.again = u.again || after(end, u.seq) && before(seg.Seq, u.next)
			}
		}
		if len(fwd.unacked) < maxUnacked && *s.budget > 0 {
			*s.budget--
			if fwd.low, fwd.high = min(fwd.low, seg.Seq-fwd.base), max(fwd.high, end-fwd.base); len(fwd.unacked) == 0 {
				fwd.spanned = false
			}
			fwd.unacked = append(fwd.unacked, unacked{seg.Frame, seg.At, seg.Seq, end, seg.Labels.Any(Retransmission | OutOfOrder)})
		}
	}
	if seg.Labels.Has(ZeroWindowProbe) {
		return
	}
	if fwd.next == 0 || after(end, fwd.next) {
		fwd.next, fwd.nextAt, fwd.nextFrame = end, seg.At, seg.Frame
	}
	if fwd.ackable == 0 || seg.Seq == fwd.ackable {
		fwd.ackable = fwd.next
	}
}

// acknowledge takes from rev's list what seg acknowledges.
func (s *stream) acknowledge(seg *Segment, rev *sender) {
	kept := rev.unacked[:0]
	matched := false
	for _, u := range rev.unacked {
		switch {
		case seg.ACK == u.next:
			if !matched { // the first transmission counts
				matched = true
				seg.ACKsFrame, seg.ACKRTT, seg.Ambiguous = u.frame, seg.At.Sub(u.at), u.again
			}
			continue
		case after(seg.ACK, u.seq) && !after(seg.ACK, u.next):
			u.seq = seg.ACK
			rev.spanned = false
		case !after(u.next, seg.ACK):
			continue
		}
		kept = append(kept, u)
	}
	*s.budget += len(rev.unacked) - len(kept)
	rev.spanned = rev.spanned && len(kept) == len(rev.unacked)
	rev.unacked = kept
	if len(kept) == 0 {
		rev.unacked = nil
	}
	if seg.Flags&wire.TCPAck != 0 {
		rev.unknownBytes = false
	}
}

// flight counts what is on its way.
func (s *stream) flight(seg *Segment, fwd, rev *sender) {
	if seg.Len == 0 || len(fwd.unacked) == 0 || fwd.unknownBytes {
		return
	}
	if !fwd.spanned {
		fwd.low, fwd.high, fwd.spanned = fwd.unacked[0].seq-fwd.base, fwd.unacked[0].next-fwd.base, true
		for _, u := range fwd.unacked {
			fwd.low, fwd.high = min(fwd.low, u.seq-fwd.base), max(fwd.high, u.next-fwd.base)
		}
	}
	flight := fwd.high - fwd.low
	for _, b := range rev.sack {
		flight -= b.End - b.Start
	}
	seg.measured = true
	if flight > 0 && flight < 2_000_000_000 {
		seg.BytesInFlight = int(flight)
		if seg.Flags&opening != 0 {
			seg.BytesInFlight--
		}
	}
	if fwd.pushed {
		fwd.pushBytes = 0
	}
	fwd.pushBytes += seg.Len
	fwd.pushed = seg.Flags&wire.TCPPsh != 0
	if seg.BytesInFlight > 0 { // else it is counted, and not shown
		seg.PushBytesSent = fwd.pushBytes
	}
}
