package embedded

import (
	"hilnet/wire"
)

// Reading list: nx_tcp_fast_periodic_processing.c, nx_tcp_socket_retransmit.c.

// ackPending reports whether the peer does not know all that arrived, or how
// much room there is.
func (s *TCPSocket) ackPending() bool {
	return s.state >= Established && (s.rxSeq != s.rxAcked || s.rxTold < s.rxWindow)
}

func (s *TCPSocket) needsTimer() bool { return s.timeout > 0 || s.ackPending() }

// fastTick is what _nx_tcp_fast_periodic_processing does for a socket.
func (s *TCPSocket) fastTick() {
	rate := int(s.ip.rates.fast)
	if s.ackPending() {
		if s.ackIn <= rate {
			s.sendACK(s.txSeq)
		} else {
			s.ackIn -= rate
		}
	}
	switch {
	case s.timeout == 0:
	case s.timeout > rate:
		s.timeout -= rate
	case s.outOfRetries():
		s.giveUp()
	default:
		s.expire()
	}
}

// rule returns what governs sending again in the present state.
func (s *TCPSocket) rule() (Retry, int) {
	r, p := &s.ip.rates, &s.ip.profile.TCP
	switch {
	case s.state == SynSent || s.state == SynReceived:
		return p.SYN, p.SYN.interval(r.syn, s.retries)
	case len(s.tx) == 0 && s.state >= FinWait1:
		return p.FIN, p.FIN.interval(r.fin, s.retries)
	}
	return p.Data, p.Data.interval(r.data, s.retries)
}

// outOfRetries reports whether this expiry ends the connection.
func (s *TCPSocket) outOfRetries() bool {
	if s.state == TimeWait || s.state == FinWait2 {
		return false
	}
	rule, _ := s.rule()
	byProbe := s.probe.armed
	if !s.ip.quirks.ProbeBypassesRetryLimit {
		byProbe = byProbe && s.txWindow == 0
	}
	if byProbe {
		return s.probe.failures >= rule.Max
	}
	return s.retries >= rule.Max
}

func (s *TCPSocket) giveUp() {
	s.ip.count.RetryLimits++
	s.event("retry limit, connection ended", int64(s.retries))
	if !s.ip.quirks.SilentReset && s.state >= Established {
		s.ip.count.ResetsOut++
		s.sendControl(flagRST, s.txSeq, 0, nil)
	}
	s.reset()
}

// expire sends again what has waited long enough.
func (s *TCPSocket) expire() {
	switch {
	case s.state == SynSent || s.state == SynReceived:
		s.retries++
		_, s.timeout = s.rule()
		s.event("SYN again", int64(s.retries))
		s.sendSYN(s.txSeq - 1)
	case len(s.tx) > 0 || s.txWindow == 0 && s.state <= CloseWait:
		s.recover = s.txSeq - 1
		s.retransmit(false)
		s.recovery = false
		s.cwnd = s.ssthresh
	case s.state == FinWait1 || s.state == Closing || s.state == LastAck:
		s.retries++
		_, s.timeout = s.rule()
		s.event("FIN again", int64(s.retries))
		s.sendFIN(s.txSeq - 1)
	case s.state == FinWait2:
		s.event("FIN_WAIT_2 limit", 0)
		s.reset()
	case s.state == TimeWait:
		s.blockCleanup()
	}
}

// finWait2 returns the ticks that FIN_WAIT_2 may last, 0 for ever.
func (ip *IP) finWait2() int {
	if n := ip.rates.finWait2; n > 0 || ip.quirks.FINWait2Forever {
		return n
	}
	return int(ticks(finWait2Limit, ip.clock.perSecond))
}

// retransmit sends the queue again from its head, as far as a congestion window
// of one segment goes, or probes a closed window: _nx_tcp_socket_retransmit.
func (s *TCPSocket) retransmit(fast bool) {
	if s.txWindow == 0 {
		s.probeWindow()
		return
	}
	s.probe.armed = false
	s.retries++
	if fast || !s.recovery {
		s.ssthresh = max(s.outstanding>>1, s.mss<<1)
		s.cwnd = s.mss
		if fast {
			s.cwnd += s.ssthresh + s.mss<<1
			s.recovery = true
			s.recover = s.txSeq - 1
		}
	}
	_, s.timeout = s.rule()
	s.event("data again", int64(s.retries))
	available := s.cwnd
	for i := range s.tx {
		t := &s.tx[i]
		if !t.p.TxDone() || t.length > available {
			break
		}
		available -= t.length
		s.sendAgain(t)
		if s.recovery {
			break
		}
	}
}

// sendAgain sends a packet of the queue with the present acknowledgement and
// window. If these have not changed the IP header is used again as it is, with
// its identification, from then on.
func (s *TCPSocket) sendAgain(t *txSegment) {
	h := wire.TCP(t.p.Bytes()[:wire.TCPHeaderLen])
	if h.Ack() == s.rxSeq && uint32(h.Window()) == min(s.rxWindow, maxWindow) {
		t.identical = true
	}
	s.putHeader(h, flagACK|wire.TCPPsh, t.seq, s.rxSeq)
	s.rxAcked, s.rxTold = s.rxSeq, s.rxWindow
	s.ip.count.Retransmits++
	s.ip.send(t.p, s.route, t.identical)
}

// probeWindow sends the first byte that the peer has not taken.
func (s *TCPSocket) probeWindow() {
	if len(s.tx) > 0 {
		t := &s.tx[0]
		headers := 0
		if t.p.TxDone() {
			headers = wire.TCPHeaderLen
		} else {
			headers = ipTCPOverhead
		}
		failures := 0
		if s.probe.armed && !s.ip.quirks.ProbeBypassesRetryLimit {
			failures = s.probe.failures
		}
		s.probe = windowProbe{armed: true, data: byteAt(t, headers), seq: t.seq, failures: failures}
	} else if !s.probe.armed {
		return
	}
	s.retries++
	s.probe.failures++
	_, s.timeout = s.rule()
	s.event("window probe", int64(s.probe.failures))
	s.sendProbe()
}

// byteAt returns the byte of a queued packet's chain at an offset.
func byteAt(t *txSegment, offset int) byte {
	var b [1]byte
	t.p.ExtractOffset(offset, b[:])
	return b[0]
}
