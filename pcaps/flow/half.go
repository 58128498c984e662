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

	history history
	framer  framer
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

// accept puts payload, and cut bytes behind it that the capture lacks, into its
// place in the stream.
func (h *half) accept(off int64, data []byte, cut int, s *segment, r *Result) {
	h.makeRoom(off, len(data))
	trimmed := false
	if off < h.off {
		n := min(h.off-off, int64(len(data)+cut))
		whole := n == int64(len(data)+cut)
		seen := data[:min(n, int64(len(data)))]
		h.repeated(r, n, max(0, min(-off, n)), !whole)
		if at := h.history.differs(off, seen); at >= 0 {
			h.differs(r, at, n)
		}
		if whole {
			return
		}
		off, data, cut = off+n, data[len(seen):], cut-int(n)+len(seen)
		trimmed = true
	}
	if off > h.off {
		r.Labels |= LabelOutOfOrder
		h.pub.OutOfOrder++
	} else if off < h.max {
		r.Labels |= LabelFills
	}
	h.place(piece{off: off, data: data, cut: cut, frame: s.Number, at: s.At, trimmed: trimmed}, r)
	h.drain()
	h.pub.Buffered = max(h.pub.Buffered, h.held)
}

// place stores or delivers what of p is new. The bytes held win.
func (h *half) place(p piece, r *Result) {
	i := 0
	if k := len(h.pieces); k > 0 && h.pieces[k-1].end() <= p.off {
		i = k
	}
	end := p.end()
	for p.off < end {
		for i < len(h.pieces) && h.pieces[i].end() <= p.off {
			i++
		}
		if i == len(h.pieces) || h.pieces[i].off >= end {
			h.take(i, p, r)
			return
		}
		held := &h.pieces[i]
		if held.off > p.off {
			var front piece
			front, p = p.split(held.off - p.off)
			if h.take(i, front, r) {
				i++
			}
			continue
		}
		var shared piece
		shared, p = p.split(min(end, held.end()) - p.off)
		h.compare(held, shared, r)
	}
}

// split cuts p after n bytes.
func (p piece) split(n int64) (front, rest piece) {
	front, rest = p, p
	k := min(n, int64(len(p.data)))
	front.data, front.cut = p.data[:k], int(n-k)
	rest.data, rest.cut = p.data[k:], p.cut-int(n-k)
	rest.off, rest.trimmed = p.off+n, true
	return front, rest
}

func (h *half) compare(held *piece, shared piece, r *Result) {
	n := int64(len(shared.data) + shared.cut)
	h.repeated(r, n, 0, true)
	if shared.off >= held.off+int64(len(held.data)) {
		return // not captured the first time
	}
	first := held.data[shared.off-held.off:]
	for i, b := range shared.data[:min(len(shared.data), len(first))] {
		if b != first[i] {
			h.differs(r, shared.off+int64(i), n)
			return
		}
	}
}

// take delivers p, when it is next, or stores a copy as pieces[i].
func (h *half) take(i int, p piece, r *Result) (stored bool) {
	r.Labels |= LabelNew
	h.max = max(h.max, p.end())
	if p.off == h.off {
		h.deliver(&p)
		return false
	}
	buf, ok := h.table.mem.get(len(p.data))
	if !ok { // makeRoom found room; only pieces that split a segment come here
		h.drop(r, ReasonTotalLimit, len(p.data))
		return false
	}
	copy(buf, p.data)
	p.data = buf
	h.held += len(buf)
	h.pieces = append(h.pieces, piece{})
	copy(h.pieces[i+1:], h.pieces[i:])
	h.pieces[i] = p
	return true
}

// makeRoom gives up holes until n bytes at off can be held.
func (h *half) makeRoom(off int64, n int) {
	config, mem := &h.table.config, &h.table.mem
	for off > h.off {
		reason := NoReason
		switch {
		case h.held+n > config.MaxBuffered || len(h.pieces) >= config.MaxPieces:
			reason = ReasonFlowLimit
		case mem.used+max(n, blockSize) > mem.limit:
			reason = ReasonTotalLimit
		default:
			return
		}
		to := off
		if len(h.pieces) > 0 {
			to = min(to, h.pieces[0].off)
		}
		h.gap(to, reason)
		h.drain()
	}
}

// drain delivers the pieces that are next.
func (h *half) drain() {
	k := 0
	for k < len(h.pieces) && h.pieces[k].off <= h.off {
		p := &h.pieces[k]
		k++
		h.held -= len(p.data)
		h.deliver(p)
		h.table.mem.put(p.data)
	}
	if k > 0 {
		n := copy(h.pieces, h.pieces[k:])
		clear(h.pieces[n:])
		h.pieces = h.pieces[:n]
	}
}

// deliver hands out a piece that begins at h.off.
func (h *half) deliver(p *piece) {
	t := h.table
	if len(p.data) > 0 {
		t.chunk = Chunk{
			Conversation: &h.conn.Conversation, Side: h.side, Offset: h.off, Data: p.data,
			Frame: p.frame, At: p.at, ReadyFrame: t.seg.Number, ReadyAt: t.seg.At, Trimmed: p.trimmed,
		}
		h.history.push(&t.mem, h.off, p.data, t.config.History)
		h.off += int64(len(p.data))
		h.next += uint32(len(p.data))
		h.pub.Bytes += int64(len(p.data))
		t.out.Data(&t.chunk)
		if !t.config.NoMQTT {
			h.framer.data(&t.chunk)
		}
	}
	if p.cut > 0 {
		h.gap(h.off+int64(p.cut), ReasonSnapped)
	}
}

// gap gives up the bytes up to offset to.
func (h *half) gap(to int64, reason Reason) {
	n := to - h.off
	if n <= 0 {
		return
	}
	t := h.table
	t.chunk = Chunk{
		Conversation: &h.conn.Conversation, Side: h.side, Offset: h.off, Missing: n, Reason: reason,
		Frame: t.seg.Number, At: t.seg.At, ReadyFrame: t.seg.Number, ReadyAt: t.seg.At,
	}
	h.off = to
	h.next += uint32(n)
	h.max = max(h.max, to)
	h.pub.Gaps++
	h.pub.GapBytes += n
	t.stats.Gaps[reason] += uint64(n)
	t.out.Data(&t.chunk)
	if !t.config.NoMQTT {
		h.framer.gap(&t.chunk)
	}
}

// acknowledge notes what the peer says about this direction. window < 0: not
// known, for want of the scale.
func (h *half) acknowledge(ack uint32, window int64) {
	off := h.rel(ack)
	if h.fin {
		off = min(off, h.finOff)
	}
	if jump := int64(h.table.config.MaxJump); off < h.off-jump || off > h.max+jump {
		return
	}
	if !h.hasAcked || off > h.acked {
		h.hasAcked, h.acked = true, off
	}
	if window >= 0 && (!h.hasEdge || off+window > h.edge) {
		h.hasEdge, h.edge = true, off+window
	}
}

// settle turns holes into gaps when their time has come.
func (h *half) settle(now sim.Time) {
	if !h.anchored || len(h.pieces) == 0 && h.acked <= h.off {
		h.ackWaits = false
		return
	}
	config := &h.table.config
	for h.unseen() {
		if !h.ackWaits {
			h.ackWaits, h.ackSince = true, now
		}
		if config.GapGrace > 0 && now.Sub(h.ackSince) < config.GapGrace {
			break
		}
		to := h.acked
		if len(h.pieces) > 0 {
			to = min(to, h.pieces[0].off)
		}
		h.gap(to, ReasonAcknowledged)
		h.drain()
	}
	if h.acked <= h.off {
		h.ackWaits = false
	}
	for len(h.pieces) > 0 && now.Sub(h.pieces[0].at) >= config.HoleTimeout {
		h.gap(h.pieces[0].off, ReasonTimeout)
		h.drain()
	}
}

// unseen reports whether the peer has acknowledged bytes that were not seen. An
// acknowledgement of one byte more than was seen is that of a FIN that was not.
func (h *half) unseen() bool {
	return h.hasAcked && h.acked > h.off && (len(h.pieces) > 0 || h.fin || h.acked > h.off+1)
}

// flush gives out all pieces, with gaps for the holes.
func (h *half) flush(reason Reason) {
	for len(h.pieces) > 0 {
		h.gap(h.pieces[0].off, reason)
		h.drain()
	}
}

// finish ends the stream.
func (h *half) finish(reason Reason) {
	h.flush(reason)
	if h.anchored && h.unseen() {
		h.gap(h.acked, ReasonAcknowledged)
	}
	h.framer.finish(reason)
}

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
