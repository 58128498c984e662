package flow

import "hilnet/sim"

// This file decides when a hole becomes a gap.

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
