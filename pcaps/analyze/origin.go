package analyze

import (
	"time"

	"hilnet/sim"
	"hilnet/wire"
)

// An Origin says where a segment that repeats or fills something came from, by
// what its sender put into it rather than by when it was seen.
type Origin uint8

// The origins.
const (
	NoOrigin Origin = iota // nothing to tell, or no means to tell it
	// OriginCopy is the same IP packet seen twice: the tap or the network
	// doubled it, its sender did not send it again.
	OriginCopy
	// OriginReordered was sent before segments that were seen earlier.
	OriginReordered
	// OriginSentAgain was sent after what it repeats.
	OriginSentAgain
)

var originNames = [...]string{"", "copy", "reordered", "sent_again"}

// String is a word for JSON.
func (o Origin) String() string { return originNames[o] }

// copyWindow is how soon a copy follows. Later the same packet may well be a
// retransmission: NetX Duo sends the packet that it kept, identification and all.
const copyWindow = 10 * time.Millisecond

// recentLen is how many segments of a side are looked back on for copies.
const recentLen = 16

// A recent is what is known of the last segments of a side.
type recent struct {
	ring   []passed
	next   int
	hasTS  bool
	newest uint32 // highest timestamp value sent
	stamps []stamp
	at     int
}

type passed struct {
	frame    uint64
	seq      uint32
	len      int
	id       uint16
	checksum uint16
	ts       uint32
	at       sim.Time
}

// A stamp is the first sight of a timestamp value.
type stamp struct {
	value uint32
	at    sim.Time
}

const stampsLen = 32

// origin looks into IP identification, timestamps and DSACK.
func (h *sender) origin(seg *Segment, rev *sender, options *wire.TCPOptions) {
	h.echo(seg, rev, options)
	seg.dsack(options)
	if seg.Len == 0 && seg.Flags&opening == 0 {
		return
	}
	r := &h.recent
	now := passed{seg.Frame, seg.Seq, seg.Len, 0, seg.Result.TCP.Checksum(), options.TSVal, seg.At}
	ip := wire.IPv4(seg.Result.IP)
	// A stack that sends every packet with one identification, as RFC 6864
	// allows with DF, tells nothing by it.
	v4 := len(ip) >= wire.IPv4HeaderLen && ip[0]>>4 == 4
	if v4 {
		now.id = ip.ID()
	}
	repeats := seg.Labels.Any(Retransmission | OutOfOrder)
	if repeats {
		for i := range r.ring {
			old := &r.ring[i]
			if old.seq != now.seq || old.len != now.len {
				continue
			}
			switch {
			case v4 && old.id != now.id, options.HasTimestamps && old.ts != now.ts:
				seg.Origin = OriginSentAgain
			case v4 && now.id != 0 && old.checksum == now.checksum && now.at.Sub(old.at) < copyWindow:
				seg.Origin, seg.OriginFrame = OriginCopy, old.frame
			}
		}
		if seg.Origin == NoOrigin && options.HasTimestamps && r.hasTS {
			switch d := int32(options.TSVal - r.newest); {
			case d < 0:
				seg.Origin = OriginReordered
			case d > 0:
				seg.Origin = OriginSentAgain
			}
		}
	}
	if options.HasTimestamps && (!r.hasTS || int32(options.TSVal-r.newest) > 0) {
		r.newest, r.hasTS = options.TSVal, true
		if len(r.stamps) < stampsLen {
			r.stamps = append(r.stamps, stamp{})
		}
		r.stamps[r.at] = stamp{options.TSVal, seg.At}
		r.at = (r.at + 1) % stampsLen
	}
	if len(r.ring) < recentLen {
		r.ring = append(r.ring, now)
		return
	}
	r.ring[r.next] = now
	r.next = (r.next + 1) % recentLen
}

// echo measures the RTT by timestamps (RFC 7323 section 4): only an ACK of new
// data does, for others echo old values.
func (h *sender) echo(seg *Segment, rev *sender, options *wire.TCPOptions) {
	if !options.HasTimestamps || seg.ACKsFrame == 0 || seg.Flags&wire.TCPAck == 0 {
		return
	}
	for i := range rev.recent.stamps {
		if s := &rev.recent.stamps[i]; s.value == options.TSEcr {
			seg.TimestampRTT = seg.At.Sub(s.at)
		}
	}
}

// dsack finds a duplicate SACK (RFC 2883 section 4): its first block lies below
// the acknowledgement, or within the second block.
func (s *Segment) dsack(options *wire.TCPOptions) {
	b := options.SACK()
	if len(b) == 0 {
		return
	}
	within := len(b) > 1 && !before(b[0].Start, b[1].Start) && !after(b[0].End, b[1].End)
	if !after(b[0].End, s.ACK) || within {
		s.DSACK, s.DSACKStart, s.DSACKEnd = true, b[0].Start, b[0].End
	}
}
