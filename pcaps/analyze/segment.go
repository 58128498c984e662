package analyze

import (
	"container/list"
	"net/netip"
	"time"

	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/wire"
)

// A Segment is one TCP segment with what the analysis says of it. Durations are
// by the times of frames and negative where these go back.
type Segment struct {
	Frame  uint64
	At     sim.Time
	Result flow.Result // Payload, TCP and IP are part of the frame's data

	Flags    wire.TCPFlags
	Seq, ACK uint32
	Window   uint16 // as in the header
	Len      int    // of the payload on the wire

	Labels             Labels
	DuplicateACKNumber int
	DuplicateACKFrame  uint64
	ACKsFrame          uint64 // the frame of the segment that this one acknowledges to its end, or 0
	ACKRTT             time.Duration
	Ambiguous          bool          // what it acknowledges was sent more than once: ACKRTT is no RTT (Karn)
	InitialRTT         time.Duration // 0 = not known yet
	BytesInFlight      int
	PushBytesSent      int // since the last segment with PSH
	RTO                time.Duration
	RTOFrame           uint64 // what RTO is measured from, or 0

	// Origin is our own word on segments that Wireshark labels by their times,
	// where IP identification or timestamps tell; OriginFrame is the frame that
	// a copy is of.
	Origin      Origin
	OriginFrame uint64
	// DSACK tells that the segment reports bytes [DSACKStart, DSACKEnd), as
	// sequence numbers, that arrived twice.
	DSACK                bool
	DSACKStart, DSACKEnd uint32
	// TimestampRTT is the time since the peer sent the timestamp that the
	// segment echoes first; it holds for retransmissions too.
	TimestampRTT time.Duration

	measured bool // bytes in flight were counted
}

// analysed reports whether Wireshark shows SEQ/ACK analysis for the segment.
func (s *Segment) analysed() bool {
	return s.Labels != 0 || s.ACKsFrame != 0 || s.measured || s.RTOFrame != 0
}

type streamKey struct {
	lo, hi netip.AddrPort
	lane   uint32
}

// Limits of a [Labeller].
const (
	// MaxStreams is how many connections are remembered at once; the least
	// recently active is forgotten, and its next segment is the first of a new one.
	MaxStreams = 4096
	// MaxUnacked bounds the segments, of all connections, that wait for an
	// acknowledgement. Those beyond it count for no RTT, RTO or bytes in flight.
	MaxUnacked = 1 << 18
)

// A Labeller gives the segments of many connections their labels. It tells
// connections apart as Wireshark does, by addresses and ports, where flow also
// heeds VLANs and incarnations. The zero value is ready to use.
type Labeller struct {
	streams map[streamKey]*list.Element
	recent  list.List // of *entry, the most recently active first
	budget  int
	// Forgotten counts the connections given up for MaxStreams.
	Forgotten uint64
}

type entry struct {
	key    streamKey
	stream *stream
}

// Label returns the segment of a frame that a Table was fed with; nil when the
// frame was none, which Result.Conversation tells.
func (l *Labeller) Label(f *flow.Frame, r *flow.Result) *Segment {
	if r.Conversation == nil {
		return nil
	}
	seg := &Segment{
		Frame: f.Number, At: f.At, Result: *r, Flags: r.TCP.Flags(), Seq: r.TCP.Seq(), ACK: r.TCP.Ack(),
		Window: r.TCP.Window(), Len: r.Len,
	}
	src, dst := r.Conversation.Half(r.Side).Addr, r.Conversation.Half(r.Side.Peer()).Addr
	key, from := streamKey{src, dst, f.Lane}, 0
	if src.Compare(dst) > 0 || src == dst && r.Side == flow.SideB {
		key.lo, key.hi, from = dst, src, 1
	}
	e := l.entry(key)
	if fwd := &e.stream.side[from]; seg.Flags&(wire.TCPSyn|wire.TCPAck) == wire.TCPSyn && fwd.hasBase &&
		(fwd.base != seg.Seq || e.stream.ended) {
		e.stream.release()
		e.stream = newStream(&l.budget)
		seg.Labels |= ReusedPorts
	}
	e.stream.judge(seg, from)
	return seg
}

func (l *Labeller) entry(key streamKey) *entry {
	if l.streams == nil {
		l.streams, l.budget = map[streamKey]*list.Element{}, MaxUnacked
	}
	if at := l.streams[key]; at != nil {
		l.recent.MoveToFront(at)
		return at.Value.(*entry)
	}
	if len(l.streams) >= MaxStreams {
		old := l.recent.Remove(l.recent.Back()).(*entry)
		old.stream.release()
		delete(l.streams, old.key)
		l.Forgotten++
	}
	e := &entry{key, newStream(&l.budget)}
	l.streams[key] = l.recent.PushFront(e)
	return e
}
