package embedded

import (
	"encoding/binary"
	"net/netip"

	"hilnet/nic"
	"hilnet/trace"
	"hilnet/wire"
)

// Reading list: RFC 9293 3.10.7, nx_tcp_packet_process.c,
// nx_tcp_socket_packet_process.c, nx_tcp_socket_state_syn_sent.c and its
// siblings for the other states.

// A segment is an arrived TCP segment without its packet, whose data begin
// behind the header.
type segment struct {
	srcPort, dstPort uint16
	seq, ack         uint32
	flags            wire.TCPFlags
	window           uint32
	length           uint32 // of the data
	mss              uint32 // 0: not stated
	badOptions       bool
}

func (seg *segment) has(f wire.TCPFlags) bool { return seg.flags&f == f }

func (seg *segment) from(info ipInfo) netip.AddrPort {
	return netip.AddrPortFrom(info.src, seg.srcPort)
}

// before reports whether a comes before b in sequence space.
func before(a, b uint32) bool { return int32(a-b) < 0 }

// tcpInput takes a packet that begins with a TCP header.
func (ip *IP) tcpInput(p *nic.Packet, info ipInfo) {
	b := p.Bytes()
	if p.Len() < wire.TCPHeaderLen {
		ip.drop(p, "tcp", trace.DropMalformed)
		return
	}
	if wire.Fold(chainSum(wire.PseudoSum(info.src, info.dst, protocolTCP, p.Len()), p)) != 0 {
		ip.drop(p, "tcp", trace.DropChecksum)
		return
	}
	headerLen := 0
	if len(b) >= wire.TCPHeaderLen { // the header is in the first packet, or it is of no use
		headerLen = int(b[12]>>4) * 4
	}
	if headerLen < wire.TCPHeaderLen || len(b) < headerLen {
		ip.drop(p, "tcp", trace.DropMalformed)
		return
	}
	seg := segment{
		srcPort: binary.BigEndian.Uint16(b), dstPort: binary.BigEndian.Uint16(b[2:]),
		seq: binary.BigEndian.Uint32(b[4:]), ack: binary.BigEndian.Uint32(b[8:]),
		flags: wire.TCPFlags(b[13]), window: uint32(binary.BigEndian.Uint16(b[14:])),
		length: uint32(p.Len() - headerLen),
	}
	mss, ok := mssOption(b[wire.TCPHeaderLen:headerLen])
	seg.mss, seg.badOptions = mss, !ok
	p.Trim(headerLen)
	if seg.length > 0 {
		ip.count.SegmentsIn++
	}
	peer := seg.from(info)
	for _, s := range ip.sockets {
		if s.bound && s.port == seg.dstPort && s.peer == peer {
			s.input(p, &seg)
			return
		}
	}
	ip.tcpNew(p, &seg, info)
}

// tcpNew takes a segment that belongs to no connection.
func (ip *IP) tcpNew(p *nic.Packet, seg *segment, info ipInfo) {
	if seg.badOptions || (seg.has(flagSYN) && ip.statedMSS(seg) < ip.profile.TCP.MinimumMSS) {
		ip.refuse(seg, info)
		ip.drop(p, "tcp", trace.DropMalformed)
		return
	}
	if !seg.has(flagACK) {
		if l := ip.findListener(seg.dstPort); l != nil {
			l.input(p, seg, info)
			return
		}
	}
	if !seg.has(flagRST) {
		ip.refuse(seg, info)
	}
	ip.drop(p, "tcp", trace.DropNoPort)
}

// statedMSS is the peer's maximum segment size.
func (ip *IP) statedMSS(seg *segment) uint32 {
	if seg.mss == 0 {
		return ip.profile.TCP.DefaultMSS
	}
	return seg.mss
}

// input takes a segment of this socket's connection.
func (s *TCPSocket) input(p *nic.Packet, seg *segment) {
	ip := s.ip
	if seg.has(flagSYN) {
		s.takeMSS(ip.statedMSS(seg))
	}
	if s.state >= SynReceived && !s.acceptable(p, seg) {
		return
	}
	if seg.badOptions {
		if !seg.has(flagACK) {
			seg.seq += seg.length
			if seg.flags&(flagSYN|flagFIN) != 0 {
				seg.seq++
			}
		}
		s.sendRST(seg)
		s.reset()
		ip.drop(p, "tcp", trace.DropMalformed)
		return
	}
	switch s.state {
	case SynSent:
		s.synSent(seg)
		if s.state != Established {
			p.Release()
			return
		}
		s.data(p, seg)
	case SynReceived:
		s.synReceived(seg)
		if s.state != Established {
			p.Release()
			return
		}
		s.data(p, seg)
	case Established:
		s.data(p, seg)
		s.closedByPeer()
		s.transmitCheck()
	case FinWait1:
		s.data(p, seg)
		s.finWait1()
	case FinWait2:
		s.data(p, seg)
		s.finWait2()
	default:
		if seg.length > 0 {
			ip.drop(p, "tcp", DropState)
		} else {
			p.Release()
		}
		s.lateState(seg)
	}
}

// lateState handles a segment in a state in which no data are taken any more.
func (s *TCPSocket) lateState(seg *segment) {
	allAcked := seg.has(flagACK) && seg.ack == s.txSeq && seg.seq == s.rxSeq
	switch s.state {
	case CloseWait:
		s.transmitCheck()
	case LastAck:
		if allAcked {
			s.blockCleanup()
			s.disconnecting.wake(nic.Success)
		}
	case Closing:
		if allAcked {
			s.enterTimeWait()
		}
	case Closed, Listening, TimeWait:
	}
}

// takeMSS learns the peer's segment size from its SYN.
func (s *TCPSocket) takeMSS(mss uint32) {
	s.peerMSS = mss
	if s.cfg.MSS != 0 && mss > s.cfg.MSS {
		s.mss = s.cfg.MSS
	} else if s.state != SynSent || s.mss > mss {
		s.mss = mss
	}
}

// acceptable checks sequence number, RST, SYN and ACK of a segment for a
// connection that stands or nearly does. It has dealt with the packet if not.
func (s *TCPSocket) acceptable(p *nic.Packet, seg *segment) bool {
	ip := s.ip
	s.reopen(p.Pool())
	if !s.inWindow(seg) {
		if !seg.has(flagRST) {
			s.sendACK(s.txSeq)
		}
		ip.drop(p, "tcp", DropOutOfWindow)
		return false
	}
	switch {
	case seg.has(flagRST):
		ip.count.ResetsIn++
		s.event("reset by the peer", 0)
		s.reset()
	case seg.has(flagSYN):
		seg.seq++
		s.sendRST(seg)
		s.event("reset: SYN inside the window", 0)
		s.reset()
	case s.state != SynReceived && !s.ackCheck(seg):
		ip.drop(p, "tcp", DropBadAck)
		return false
	default:
		return true
	}
	p.Release()
	return false
}

// inWindow is the test of RFC 9293 3.10.7.4, and takes ACKs when the window is
// closed.
func (s *TCPSocket) inWindow(seg *segment) bool {
	start, window := s.rxSeq, s.rxWindow
	inside := int32(seg.seq-start) >= 0 && int32(start+window-seg.seq) > 0
	if seg.length == 0 {
		if window > 0 {
			return inside
		}
		return seg.seq == start || seg.has(flagRST) || seg.has(wire.TCPUrg) ||
			seg.flags&(flagACK|flagRST|flagSYN|flagFIN) == flagACK
	}
	last := seg.seq + seg.length - 1
	return window > 0 && (inside || int32(last-start) >= 0 && int32(start+window-last) > 0)
}

// synSent is _nx_tcp_socket_state_syn_sent.
func (s *TCPSocket) synSent(seg *segment) {
	switch {
	case seg.has(flagRST):
		if seg.has(flagACK) && seg.ack == s.txSeq {
			s.ip.count.ResetsIn++
			s.event("refused", 0)
			s.reset()
		}
	case seg.has(flagSYN|flagACK) && seg.ack == s.txSeq:
		s.rxSeq = seg.seq + 1
		s.openWindows(seg)
		s.sendACK(s.txSeq)
		s.setState(Established)
		s.timeout = 0
		if s.onEstablish != nil {
			s.onEstablish()
		}
		s.connecting.wake(nic.Success)
	case seg.has(flagSYN) && !seg.has(flagACK): // both sides open
		s.rxSeq = seg.seq + 1
		retries := s.retries
		s.retries = 0
		s.openWindows(seg)
		s.retries = retries
		s.setState(SynReceived)
		s.timeout = 0
		s.sendSYN(s.txSeq - 1)
	case seg.has(flagACK) && seg.ack != s.txSeq:
		s.sendRST(seg)
	}
}

// openWindows sets what the first ACK, or the peer's SYN, decides about sending.
func (s *TCPSocket) openWindows(seg *segment) {
	s.txWindow, s.ssthresh = seg.window, seg.window
	s.outstanding = 0
	s.cwnd = s.mss
	if s.retries == 0 {
		s.cwnd *= s.ip.profile.TCP.InitialSegments(s.mss)
	}
}

// synReceived is _nx_tcp_socket_state_syn_received.
func (s *TCPSocket) synReceived(seg *segment) {
	if !seg.has(flagACK) {
		return
	}
	if seg.ack != s.txSeq {
		s.sendRST(seg)
		return
	}
	outstanding := s.outstanding
	s.openWindows(seg)
	s.outstanding = outstanding
	s.timeout = 0
	s.setState(Established)
	if s.onEstablish != nil {
		s.onEstablish()
	}
	s.rxAcked = s.rxSeq
	s.connecting.wake(nic.Success)
}

// finInSequence reports whether the peer's FIN has come and all before it.
func (s *TCPSocket) finInSequence() bool { return s.finReceived && s.finSeq == s.rxSeq }

// closedByPeer is _nx_tcp_socket_state_established.
func (s *TCPSocket) closedByPeer() {
	if s.state != Established || !s.finInSequence() {
		return
	}
	s.setState(CloseWait)
	s.rxSeq++
	s.receiving.flush()
	s.sendACK(s.txSeq)
	if s.onDisconnect != nil {
		s.onDisconnect()
	}
}

// finWait1 is _nx_tcp_socket_state_fin_wait1.
func (s *TCPSocket) finWait1() {
	switch {
	case s.finAcked && !s.finReceived:
		s.setState(FinWait2)
		s.timeout = s.ip.finWait2()
	case s.finAcked && s.finSeq == s.rxSeq:
		s.rxSeq++
		s.sendACK(s.txSeq)
		s.enterTimeWait()
	case s.finInSequence():
		s.setState(Closing)
		s.rxSeq++
		s.sendACK(s.txSeq)
	}
}

// finWait2 is _nx_tcp_socket_state_fin_wait2.
func (s *TCPSocket) finWait2() {
	if s.finInSequence() {
		s.rxSeq++
		s.sendACK(s.txSeq)
		s.enterTimeWait()
	}
}

// enterTimeWait ends the closing handshake. NetX calls the disconnect callback
// here too, which tells whoever called disconnect what its return does.
func (s *TCPSocket) enterTimeWait() {
	s.setState(TimeWait)
	s.timeout = s.ip.rates.timeWait
	s.disconnecting.wake(nic.Success)
}
