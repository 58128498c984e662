package embedded

import "slices"

// Reading list: RFC 5681, RFC 6582, nx_tcp_socket_state_ack_check.c,
// nx_tcp_socket_state_transmit_check.c.

// ackCheck processes the acknowledgement of a segment and reports whether the
// rest of the segment may be looked at.
func (s *TCPSocket) ackCheck(seg *segment) bool {
	if !seg.has(flagACK) {
		return false
	}
	end := s.txSeq
	if s.probe.armed {
		end++ // the probe's byte may be acknowledged
	}
	start := s.txSeq - s.outstanding
	released := 0
	if seg.ack == end {
		released = len(s.tx)
		if s.state >= FinWait1 {
			s.finAcked = true
		}
	} else {
		if len(s.tx) > 0 && s.tx[0].p.TxDone() && seg.ack == start && s.isDuplicate(seg) {
			s.duplicateAck(seg)
		}
		for _, t := range s.tx {
			if before(seg.ack, t.seq+t.length) || before(end, seg.ack) {
				break
			}
			released++
		}
	}
	switch {
	case released > 0:
		s.grow(seg, start)
	case seg.ack != end:
		if before(end, seg.ack) {
			s.sendACK(end)
			return false
		}
	case s.rxWindow == 0 && seg.seq == s.rxSeq:
		s.sendACK(end)
	}
	s.updateWindow(seg, start, end)
	if released > 0 {
		s.release(released)
		if s.recovery { // NewReno: the next hole
			s.retransmit(false)
		}
	}
	return true
}

// updateWindow takes the peer's window from a segment that is not older than
// what is known.
func (s *TCPSocket) updateWindow(seg *segment, start, end uint32) {
	rxEnd := s.rxSeq
	if n := len(s.rx); n > 0 {
		rxEnd = s.rx[n-1].end()
	}
	ahead := before(rxEnd, seg.seq) && (s.ip.quirks.WindowFromOldAck || !before(seg.ack, start))
	if before(start, seg.ack) && !before(end, seg.ack) || ahead || seg.seq == rxEnd && !before(seg.ack, start) {
		s.txWindow = seg.window
	}
	// The comparison of numbers that may wrap is the original's.
	if s.txWindow <= s.outstanding && seg.ack >= s.probe.seq {
		s.probe.failures = 0
	}
}

// release lets go of the first n packets of the transmit queue.
func (s *TCPSocket) release(n int) {
	if n < len(s.tx) {
		s.timeout, s.retries = int(s.ip.rates.data), 0
	} else if s.state == FinWait1 || s.state == Closing || s.state == LastAck {
		s.timeout, s.retries = int(s.ip.rates.fin), 0
	} else if s.txWindow != 0 {
		s.timeout = 0
	}
	for _, t := range s.tx[:n] {
		s.outstanding -= min(s.outstanding, t.length)
		s.releaseSent(t)
	}
	s.tx = slices.Delete(s.tx, 0, n)
}

// isDuplicate reports whether a segment that acknowledges nothing new counts
// towards a fast retransmit. NetX asks no more; RFC 5681 section 2 wants no
// data, no FIN and the same window.
func (s *TCPSocket) isDuplicate(seg *segment) bool {
	return s.ip.quirks.AnySegmentIsDuplicateAck ||
		seg.length == 0 && !seg.has(flagFIN) && seg.window == s.txWindow
}

// duplicateAck counts a duplicate ACK and starts a fast retransmit at the third.
func (s *TCPSocket) duplicateAck(seg *segment) {
	threshold := s.ip.profile.TCP.DuplicateAcks
	s.dupAcks++
	switch {
	case threshold == 0:
	case s.dupAcks == threshold:
		if before(s.recover, seg.ack-1) ||
			s.cwnd > s.mss && before(seg.ack, s.highestAck+s.mss<<2) { // RFC 6582 section 4.1
			s.ip.count.FastRetransmits++
			s.retransmit(true)
		}
	case s.dupAcks > threshold && s.recovery:
		s.cwnd += s.mss
	}
}

// grow changes the congestion window for an ACK of something new.
func (s *TCPSocket) grow(seg *segment, start uint32) {
	if s.recovery && before(s.recover, seg.ack) {
		s.recovery = false
		s.cwnd = s.ssthresh
	}
	if before(s.recover, seg.ack-2) {
		s.recover = seg.ack - 2
	}
	s.dupAcks = 0
	s.highestAck = start
	acked := seg.ack - start
	switch {
	case s.recovery:
		s.cwnd -= min(acked, s.cwnd)
		if acked > s.mss {
			s.cwnd += s.mss
		}
	case s.cwnd >= s.ssthresh:
		s.cwnd += max(s.mss*s.mss/max(s.cwnd, 1), 1)
	default:
		s.cwnd += min(acked, s.mss)
	}
}

// sendable returns the bytes that congestion window and peer allow to send now:
// the minimum of both without what is under way. During the first duplicates it
// is two segments more (RFC 3042).
func (s *TCPSocket) sendable() uint32 {
	window := min(s.txWindow, s.cwnd)
	if s.txWindow > s.cwnd && (s.dupAcks == 1 || s.dupAcks == 2) {
		window = min(s.cwnd+s.mss<<1, s.txWindow)
	}
	return window - min(window, s.outstanding)
}

// transmitCheck lets a thread that waits for room to send go on.
func (s *TCPSocket) transmitCheck() {
	if len(s.sending.waiting) > 0 && s.sendable() > 0 && len(s.tx) < s.ip.profile.TCP.TxQueue {
		s.sending.wake(success)
	}
}
