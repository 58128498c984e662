package embedded

import (
	"hilnet/nic"
	"hilnet/wire"
)

// Reading list: nx_tcp_packet_send_control.c, nx_tcp_packet_send_syn.c,
// nx_tcp_packet_send_ack.c, nx_tcp_packet_send_fin.c,
// nx_tcp_packet_send_probe.c, nx_tcp_packet_send_rst.c,
// nx_tcp_no_connection_reset.c.

const (
	protocolTCP = wire.ProtocolTCP
	flagACK     = wire.TCPAck
	flagRST     = wire.TCPRst
	flagSYN     = wire.TCPSyn
	flagFIN     = wire.TCPFin
)

// ipTCPOverhead is the size of both headers.
const ipTCPOverhead = wire.IPv4HeaderLen + wire.TCPHeaderLen

// controlRoom is what a control packet must have room for, even when it needs
// less: a SYN and one byte. A pool with smaller packets cannot send an ACK.
const controlRoom = wire.TCPHeaderLen + 8 + 1

// controlLabel names a control packet by what it carries, for the trace and as
// its holder.
func controlLabel(flags wire.TCPFlags, probe bool) string {
	switch {
	case flags&flagSYN != 0:
		return "tcp SYN"
	case flags&flagFIN != 0:
		return "tcp FIN"
	case flags&flagRST != 0:
		return "tcp RST"
	case probe:
		return "tcp window probe"
	}
	return "tcp ACK"
}

// sendControl sends a segment without data but for a probe's byte. If there is
// no packet for it, it is not sent; what the socket remembers then does not
// change, so a delayed ACK is tried again.
func (s *TCPSocket) sendControl(flags wire.TCPFlags, seq, ack uint32, extra []byte) {
	ip := s.ip
	probe := len(extra) > 0 && flags&flagSYN == 0
	n := wire.TCPHeaderLen + len(extra)
	p := ip.controlPacket(nic.IP, max(n, controlRoom), controlLabel(flags, probe))
	if p == nil {
		return
	}
	p.TrimTail(p.Len() - n)
	b := p.Bytes()
	s.putHeader(b, flags, seq, ack)
	copy(b[wire.TCPHeaderLen:], extra)
	if flags&flagSYN != 0 {
		b[12] = byte(n/4) << 4
	}
	s.rxAcked, s.rxTold = ack, s.rxWindow
	ip.send(p, s.route, false)
}

// putHeader writes a header without options; the checksum is filled when the
// frame is built.
func (s *TCPSocket) putHeader(b []byte, flags wire.TCPFlags, seq, ack uint32) {
	putTCPHeader(b, s.port, s.peer.Port(), seq, ack, flags, uint16(min(s.rxWindow, maxWindow)))
}

func putTCPHeader(b []byte, src, dst uint16, seq, ack uint32, flags wire.TCPFlags, window uint16) {
	_ = b[wire.TCPHeaderLen-1]
	b[0], b[1], b[2], b[3] = byte(src>>8), byte(src), byte(dst>>8), byte(dst)
	b[4], b[5], b[6], b[7] = byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq)
	b[8], b[9], b[10], b[11] = byte(ack>>24), byte(ack>>16), byte(ack>>8), byte(ack)
	b[12], b[13], b[14], b[15] = 5<<4, byte(flags), byte(window>>8), byte(window)
	b[16], b[17], b[18], b[19] = 0, 0, 0, 0
}

// sendSYN sends a SYN, or a SYN,ACK when one has come.
func (s *TCPSocket) sendSYN(seq uint32) {
	mss := uint32(max(s.ip.nic.MTU()-ipTCPOverhead, 1))
	if s.cfg.MSS != 0 && s.cfg.MSS < mss {
		mss = s.cfg.MSS
	}
	s.mss = mss
	flags, ack := flagSYN, uint32(0)
	if s.state == SynReceived {
		s.mss = min(mss, s.peerMSS)
		flags, ack = flagSYN|flagACK, s.rxSeq
	}
	var options [40]byte
	n := copy(options[:], []byte{2, 4, byte(mss >> 8), byte(mss)})
	n += copy(options[n:], s.ip.profile.TCP.SYNOptions)
	s.sendControl(flags, seq, ack, options[:n])
	s.recover, s.highestAck = seq, seq
}

func (s *TCPSocket) sendACK(seq uint32) {
	s.ip.count.DataAcks++
	s.sendControl(flagACK, seq, s.rxSeq, nil)
	s.ackIn, s.unacked = s.ip.rates.ack, 0
}

func (s *TCPSocket) sendFIN(seq uint32) { s.sendControl(flagFIN|flagACK, seq, s.rxSeq, nil) }

// sendProbe sends one byte into a closed window.
func (s *TCPSocket) sendProbe() {
	s.ip.count.Probes++
	s.sendControl(flagACK, s.probe.seq, s.rxSeq, []byte{s.probe.data})
	s.ackIn = s.ip.rates.ack
}

// sendRST refuses a segment, in the forms of RFC 9293 3.10.7.1.
func (s *TCPSocket) sendRST(seg *segment) {
	s.ip.count.ResetsOut++
	if seg.flags&flagACK != 0 {
		s.sendControl(flagRST, seg.ack, 0, nil)
		return
	}
	s.sendControl(flagRST|flagACK, 0, seg.seq, nil)
}

// refuse answers a segment that no socket takes with a RST: from nowhere, so
// its window is 0, its TTL the default, and DF is off.
func (ip *IP) refuse(seg *segment, info ipInfo) {
	if seg.flags&flagACK == 0 {
		seg.seq += seg.length
		if seg.flags&(flagSYN|flagFIN) != 0 {
			seg.seq++
		}
	}
	nobody := TCPSocket{ip: ip, port: seg.dstPort, peer: seg.from(info)}
	nobody.route = route{dst: info.src, next: ip.nextHop(info.src), ttl: ip.profile.IP.TTL, protocol: protocolTCP}
	nobody.sendRST(seg)
}
