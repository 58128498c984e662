package flow

import (
	"hilnet/wire"
)

// segment takes one segment of the conversation c.
func (t *Table) segment(c *conn, s *segment, r *Result) {
	h := &c.half[c.index(s)]
	o := h.peer()
	r.Conversation, r.Side = &c.Conversation, h.side
	h.count(s)
	c.Last, c.LastFrame = s.At, s.Number
	if r.Ignored = h.sound(s, o, r); r.Ignored != NoReason {
		h.drop(r, r.Ignored, s.len())
		return
	}
	if s.flags&wire.TCPRst != 0 {
		h.reset(s, o, r)
		return
	}
	if s.flags&wire.TCPSyn != 0 {
		h.syn(s, o)
	}
	if !h.anchored {
		h.anchor(s.seq)
		h.tentative = s.len() == 0
	}
	h.control(s, o)
	if h.payload(s, r) {
		incarnation := c.Incarnation + 1
		h.pub.Frames--
		h.pub.WireBytes -= int64(s.len())
		t.end(c, EndReplaced)
		c = t.open(s, incarnation)
		t.touch(c)
		r.Labels |= LabelIncarnation
		t.segment(c, s, r)
		return
	}
	if s.flags&wire.TCPFin != 0 {
		h.takeFIN(s, o)
	}
	h.settle(s.At)
	o.settle(s.At)
}

// count keeps the numbers that need no judgement.
func (h *half) count(s *segment) {
	p := h.pub
	p.Frames++
	p.WireBytes += int64(s.len())
	switch s.Direction {
	case Inbound:
		p.Inbound++
	case Outbound:
		p.Outbound++
	case NoDirection:
	}
}

// sound reports why the receiver would not look at s, if so.
func (h *half) sound(s *segment, o *half, r *Result) Reason {
	switch s.checksum {
	case checksumGood:
		h.trusted = true
	case checksumBad:
		h.pub.BadChecksums++
		r.Labels |= LabelBadChecksum
		if h.trusted {
			return ReasonBadChecksum
		}
	case checksumUnknown, checksumOffloaded:
	}
	ack := s.flags&wire.TCPAck != 0
	switch {
	case o.synSeen && !h.synSeen && ack:
		// After a new SYN the peer may still talk to the earlier incarnation.
		if off := o.rel(s.tcp.Ack()); off < 0 || off > o.max+1 {
			return ReasonStaleACK
		}
	case h.synSeen && !o.anchored && s.flags&wire.TCPRst != 0 && !ack && h.rel(s.seq) != h.max:
		// A side that has no answer to its SYN resets the earlier incarnation
		// that answered, with that one's number (RFC 9293 section 3.5.1).
		return ReasonStaleACK
	}
	return NoReason
}

// begins reports whether s, a SYN, opens a new incarnation. The rules are those
// of the package comment, made to bear frames captured out of order.
func (c *conn) begins(s *segment, config *Config) bool {
	if s.flags&wire.TCPSyn == 0 || s.flags&wire.TCPRst != 0 {
		return false
	}
	h := &c.half[c.index(s)]
	o := h.peer()
	if s.checksum == checksumBad && h.trusted {
		return false
	}
	ack := s.flags&wire.TCPAck != 0
	answers := ack && o.synSeen && s.tcp.Ack()-o.isn-1 <= uint32(min(o.max, int64(config.MaxJump)))
	switch {
	case h.synSeen && h.isn == s.seq:
		if ack {
			return false
		}
		return c.End == EndRST || h.moved && h.idle(s.At) >= max(0, config.GapGrace)
	case h.synSeen:
		return !answers || h.max > 0 || h.moved
	case h.anchored: // joined midstream, as it seemed
		late := h.rel(s.seq+1) == 0
		split := o.synSeen && !o.moved // an ACK, then a SYN, in answer to a SYN
		return !late && (!answers && !split || h.max > 0)
	case ack:
		return !o.synSeen && o.anchored && o.rel(s.tcp.Ack()) != 0
	case o.moved: // a late SYN is the one that the peer has acknowledged
		return !o.hasAck || o.firstAck != s.seq+1
	}
	return false
}

// syn notes a SYN or SYN,ACK of the incarnation.
func (h *half) syn(s *segment, o *half) {
	c, p := h.conn, h.pub
	p.SYNs++
	if !h.synSeen || h.isn != s.seq {
		if !h.anchored || h.rel(s.seq+1) != 0 {
			h.anchor(s.seq + 1)
		}
		h.synSeen, h.isn, p.ISN, h.tentative = true, s.seq, s.seq, false
		options, _ := s.tcp.Options() // what stands before a bad option counts
		p.MSS, p.SACK, p.Timestamps = options.MSS, options.SACKPermitted, options.HasTimestamps
		p.WindowScale, p.HasScale = min(options.WindowScale, 14), options.HasWindowScale
	}
	ack := s.flags&wire.TCPAck != 0
	switch {
	case c.Handshake == HandshakeSimultaneous:
	case !ack && o.synSeen && c.Role == RoleBySYN && c.Client == o.side:
		c.Handshake, c.Client, c.Role = HandshakeSimultaneous, NoSide, RoleUnknown
		h.table.claimByPort(c)
	case ack:
		c.claim(o.side, RoleBySYN)
	default:
		c.claim(h.side, RoleBySYN)
	}
	if c.Handshake == HandshakeUnseen {
		c.Handshake = HandshakePartial
	}
}

// control takes the acknowledgement and window of s.
func (h *half) control(s *segment, o *half) {
	c := h.conn
	syn := s.flags&wire.TCPSyn != 0
	if !syn {
		h.moved = true
	}
	h.lastAt = s.At
	window := int64(s.tcp.Window())
	scaled := h.pub.HasScale && o.pub.HasScale
	if scaled && !syn {
		window <<= h.pub.WindowScale
	}
	h.hasWindow, h.window = true, window
	if window == 0 {
		h.pub.ZeroWindows++
	}
	if s.flags&wire.TCPAck == 0 {
		return
	}
	if !h.hasAck {
		h.hasAck, h.firstAck = true, s.tcp.Ack()
	}
	if !h.synSeen || !o.synSeen {
		window = -1 // the scale is not known
	}
	if o.anchored {
		o.acknowledge(s.tcp.Ack(), window)
	}
	if !syn && h.synSeen && o.synSeen && c.Handshake == HandshakePartial {
		c.Handshake = HandshakeComplete
	}
}

// reset takes an RST. Its payload, if any, is not part of the stream.
func (h *half) reset(s *segment, o *half, r *Result) {
	c := h.conn
	if h.anchored {
		off := h.rel(s.seq)
		r.Offset = off
		// The exact number is h.max, or that behind the FIN, but a sender may
		// know of less or more than was captured.
		jump := int64(h.table.config.MaxJump)
		if off < h.off-jump || off > h.max+jump {
			r.Ignored = ReasonBlindReset
			return
		}
	}
	h.pub.RSTs++
	h.drop(r, ReasonOnRST, s.len())
	if c.End != EndRST {
		if c.End == EndOpen {
			c.EndedBy = h.side
		}
		c.End = EndRST
		c.Refused = o.synSeen && !h.synSeen && !o.moved
		if c.Refused {
			c.claim(o.side, RoleBySYN)
		}
	}
	h.settle(s.At)
	o.settle(s.At)
}

// takeFIN notes a FIN.
func (h *half) takeFIN(s *segment, o *half) {
	c := h.conn
	at := h.rel(s.seq) + int64(s.len())
	if s.flags&wire.TCPSyn != 0 {
		at++
	}
	h.pub.FINs++
	if h.fin || at < h.off || at > h.max+int64(h.table.config.MaxJump) {
		return
	}
	h.fin, h.finOff = true, at
	if h.hasAcked {
		h.acked = min(h.acked, at)
	}
	switch {
	case c.End == EndOpen:
		c.End, c.EndedBy = EndHalf, h.side
	case c.End == EndHalf && o.fin:
		c.End = EndFIN
	}
}
