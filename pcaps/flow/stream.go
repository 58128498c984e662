package flow

// This file puts payload into its place in the stream and delivers it.

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
			h.messages(&t.chunk)
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
	h.tentative = false
	h.pub.Gaps++
	h.pub.GapBytes += n
	t.stats.Gaps[reason] += uint64(n)
	t.out.Data(&t.chunk)
	if !t.config.NoMQTT {
		if s := h.conn.Secure; s != nil {
			s.Gap(h.side)
			t.chunk.Offset = h.plainOff
		}
		h.framer.gap(&t.chunk)
	}
}
