package flow

import (
	"time"

	"hilnet/sim"
	"hilnet/wire"
)

// half is one direction at work: the bytes that one side sends.
type half struct {
	table *Table
	conn  *conn
	pub   *Half
	side  Side

	anchored  bool // next and off are valid
	tentative bool // anchored by a segment without data
	synSeen   bool
	moved     bool // has sent more than SYN and RST
	trusted   bool // has sent a right checksum
	isn       uint32
	next      uint32 // sequence number of the byte at off
	off       int64  // stream offset of the next byte to deliver
	max       int64  // end of what was seen
	fin       bool
	finOff    int64

	pieces []piece // behind holes, by offset, not overlapping
	held   int     // bytes in pieces

	// What the peer said about this direction.
	hasAcked bool
	acked    int64
	ackWaits bool     // acked lies behind a hole
	ackSince sim.Time // since then
	hasEdge  bool
	edge     int64 // right edge of the window

	// What this side said last about the other direction.
	hasAck    bool
	firstAck  uint32
	hasWindow bool
	window    int64
	lastAt    sim.Time // of its last frame that counted

	strayNext uint32
	strayRun  int

	history  history
	framer   framer
	plainOff int64 // bytes that TLS carried so far
}

// piece is payload that waits behind a hole.
type piece struct {
	off     int64
	data    []byte // of memory.get
	cut     int    // bytes behind data that the capture lacks
	frame   uint64
	at      sim.Time
	trimmed bool
}

func (p *piece) end() int64 { return p.off + int64(len(p.data)+p.cut) }

func (h *half) init(t *Table, c *conn, side Side) {
	h.table, h.conn, h.side, h.pub = t, c, side, c.Half(side)
	h.framer.half = h
	if t.config.NoMQTT {
		h.pub.Evidence = EvidenceNotWanted
	}
}

// rel is the stream offset of a sequence number, which may be negative.
func (h *half) rel(seq uint32) int64 { return h.off + int64(int32(seq-h.next)) }

// anchor makes seq the first byte of the stream.
func (h *half) anchor(seq uint32) {
	h.dropPieces(ReasonStaleACK)
	h.anchored, h.tentative = true, false
	h.next, h.off, h.max = seq, 0, 0
	h.hasAcked, h.acked, h.ackWaits = false, 0, false
	h.hasEdge, h.edge = false, 0
}

// payload takes the payload of s. restart asks for a new incarnation.
func (h *half) payload(s *segment, r *Result) (restart bool) {
	seq := s.seq
	if s.flags&wire.TCPSyn != 0 {
		seq++
	}
	n := s.len()
	if h.tentative && n > 0 {
		// The segment without data may have been a keep-alive, or data in front
		// of it is sent again.
		if off := h.rel(seq); off == 1 || off < 0 {
			h.anchor(seq)
		}
		h.tentative = false
	}
	off := h.rel(seq)
	r.Offset = off
	if h.probe(off, n, s, r) || n == 0 {
		return false
	}
	if h.fin && off+int64(n) > h.finOff {
		keep := int(max(0, h.finOff-off))
		h.drop(r, ReasonAfterFIN, n-keep)
		if keep == 0 {
			return false
		}
		n = keep
	}
	if h.stray(off, n) {
		return h.strayed(seq, off, n, s, r)
	}
	h.strayRun = 0
	h.accept(off, s.payload[:min(n, len(s.payload))], max(0, n-len(s.payload)), s, r)
	return false
}

// probe recognises keep-alives, which it consumes, and zero-window probes.
func (h *half) probe(off int64, n int, s *segment, r *Result) bool {
	if n > 1 || s.flags&(wire.TCPSyn|wire.TCPFin|wire.TCPRst) != 0 {
		return false
	}
	o := h.peer()
	switch {
	case off == h.max-1 && (n == 0 || !h.hasAcked || h.acked >= h.max):
		r.Labels |= LabelKeepAlive
		h.pub.KeepAlives++
		h.drop(r, ReasonKeepAlive, n)
		return true
	case n == 0 && s.flags&wire.TCPAck != 0:
		h.pub.PureACKs++
	case n == 1 && off == h.max && o.hasWindow && o.window == 0:
		r.Labels |= LabelZeroWindowProbe
		h.pub.ZeroWindowProbes++
	}
	return false
}

func (h *half) peer() *half { return &h.conn.half[2-h.side] }

// stray reports whether n bytes at off cannot be meant for the stream as it is.
func (h *half) stray(off int64, n int) bool {
	jump := int64(h.table.config.MaxJump)
	switch end := off + int64(n); {
	case off > h.off && h.hasEdge && h.edge >= h.off:
		return off > h.edge
	case off > h.off:
		return off > h.off+jump
	default:
		return end < h.off-jump
	}
}

// believed is the number of stray segments in a row after which they are
// believed rather than what was seen before.
const believed = 4

func (h *half) strayed(seq uint32, off int64, n int, s *segment, r *Result) (restart bool) {
	if h.strayRun == 0 || seq != h.strayNext {
		h.strayRun = 0
	}
	h.strayRun++
	h.strayNext = seq + uint32(n)
	if h.strayRun < believed {
		r.Labels |= LabelOutOfWindow
		h.pub.OutOfWindow++
		h.drop(r, ReasonOutOfWindow, n)
		return false
	}
	if off < h.off {
		return true
	}
	h.strayRun = 0
	h.flush(ReasonMovedOn)
	h.gap(off, ReasonMovedOn)
	h.hasEdge, h.fin = false, false
	h.accept(off, s.payload[:min(n, len(s.payload))], max(0, n-len(s.payload)), s, r)
	return false
}

// drop accounts for n bytes of payload that are not taken.
func (h *half) drop(r *Result, reason Reason, n int) {
	if n > 0 {
		r.Dropped = reason
		h.table.stats.Dropped[reason] += uint64(n)
	}
}

// repeated accounts for n bytes seen before, of which early lie in front of
// the stream's first byte.
func (h *half) repeated(r *Result, n, early int64, partly bool) {
	h.drop(r, ReasonBeforeStart, int(early))
	h.drop(r, ReasonRepeated, int(n-early))
	if r.Labels&LabelRepeated == 0 {
		h.pub.Repeated++
	}
	if partly {
		h.pub.Overlaps++
	}
	r.Labels |= LabelRepeated
	h.pub.RepeatedBytes += n - early
}

func (h *half) differs(r *Result, at, n int64) {
	if r.Labels&LabelDiffers == 0 {
		h.pub.Differing++
	}
	r.Labels |= LabelDiffers
	h.table.tell(h.conn, Notice{Kind: NoticeOverlap, Side: h.side, Offset: at, Len: n})
}

// idle is how long the side has sent nothing that counts.
func (h *half) idle(now sim.Time) time.Duration { return now.Sub(h.lastAt) }

func (h *half) dropPieces(reason Reason) {
	for i := range h.pieces {
		h.table.stats.Dropped[reason] += uint64(len(h.pieces[i].data))
		h.table.mem.put(h.pieces[i].data)
	}
	h.pieces, h.held = nil, 0
}

func (h *half) release() {
	h.dropPieces(ReasonEnded)
	h.history.release(&h.table.mem)
	h.framer.release()
}
