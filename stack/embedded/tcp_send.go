package embedded

import (
	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/wire"
)

// Reading list: nx_tcp_socket_send_internal.c, nxe_tcp_socket_send.c,
// nx_tcp_transmit_cleanup.c.

// A txSegment is a packet of the transmit queue. It begins with its TCP header,
// or with its IP header until the driver has sent it.
type txSegment struct {
	p         *nic.Packet
	seq       uint32
	length    uint32 // of the data
	identical bool   // it was sent again unchanged: its IP header stays for good
}

const transmitHolder = "tcp tx"

// success is nic.Success as what a waiting thread gets.
var success any = nic.Success

// Send sends the data of p, which needs headroom for the headers
// ([nic.IPv4TCP]). On Success the socket owns the packet and releases it when
// the peer has acknowledged all of it. Otherwise the caller still owns it, even
// if part of the data was sent and cut off. If windows or queue have no room,
// or the pool no packet for a segment that must be cut, the call waits at most
// wait ticks, each time.
func (s *TCPSocket) Send(p *nic.Packet, wait rtos.Ticks) nic.Status {
	switch {
	case p.Len() == 0 || p.Queued():
		return nic.InvalidPacket
	case !s.bound:
		return nic.NotBound
	case len(p.Headroom()) < ipTCPOverhead:
		return nic.Underflow
	}
	if s.state == SynSent || s.state == SynReceived {
		s.awaitEstablished(wait)
	}
	if s.state != Established && s.state != CloseWait {
		return nic.NotConnected
	}
	for {
		room := s.room()
		if room == 0 {
			if status := s.awaitRoom(p, wait); status != nic.Success {
				return status
			}
			continue
		}
		seq, out := s.txSeq, p
		if s.mustCut(p, room) {
			var status nic.Status
			if out, status = cut(p, room, wait); status != nic.Success {
				return status
			}
		}
		done := false
		status := nic.Success
		s.ip.protect(func() {
			switch {
			case s.state != Established && s.state != CloseWait:
				status = nic.NotConnected
			case s.txSeq == seq:
				done = s.transmit(p, out)
				return
			}
			if out != p { // others have sent, or the connection ended, while this one waited for packets
				out.Release()
			}
		})
		if done || status != nic.Success {
			return status
		}
	}
}

// room returns the bytes that may be sent as one segment now, 0 also if the
// queue is full.
func (s *TCPSocket) room() uint32 {
	if len(s.tx) >= s.ip.profile.TCP.TxQueue {
		return 0
	}
	return min(s.sendable(), s.mss)
}

// awaitRoom waits for room, or says why there is none. Either makes the first
// byte of p the one to probe the window with.
func (s *TCPSocket) awaitRoom(p *nic.Packet, wait rtos.Ticks) nic.Status {
	status := nic.Success
	full := func() bool {
		if s.room() > 0 {
			return false
		}
		if !s.probe.armed {
			s.probe = windowProbe{armed: true, data: firstByte(p), seq: s.txSeq}
		}
		status = nic.WindowOverflow
		if len(s.tx) >= s.ip.profile.TCP.TxQueue {
			status = nic.TxQueueDepth
		}
		return true
	}
	if !s.ip.mayWait(wait) {
		s.ip.protect(func() { full() })
		return status
	}
	v, waited := s.sending.do(wait, 0, full)
	if !waited {
		return nic.Success
	}
	return v.(nic.Status)
}

// firstByte returns the first byte of a chain's data.
func firstByte(p *nic.Packet) byte {
	for ; p != nil; p = p.Next() {
		if b := p.Bytes(); len(b) > 0 {
			return b[0]
		}
	}
	return 0
}

// awaitEstablished looks at each tick whether the connection stands.
func (s *TCPSocket) awaitEstablished(wait rtos.Ticks) {
	for thread := s.ip.kernel.Current(); thread != nil && wait > 0 && s.state != Established; wait-- {
		thread.Sleep(1)
	}
}

// mustCut reports whether the data cannot go out in the packets they are in:
// they are more than there is room for, do not begin at a word boundary, or are
// a chain that fits one packet and there is one.
func (s *TCPSocket) mustCut(p *nic.Packet, room uint32) bool {
	if uint32(p.Len()) > room {
		return true
	}
	first := p
	for first.Next() != nil && len(first.Bytes()) == 0 {
		first = first.Next()
	}
	if len(first.Headroom())%4 != 0 {
		return true
	}
	pool := p.Pool()
	return p.Next() != nil && p.Len()+int(nic.IPv4TCP) < pool.Payload() && pool.Free() > 0
}

// cut copies up to n bytes from the front of p into packets of p's pool. When
// packets run out the segment is as long as what was copied.
func cut(p *nic.Packet, n uint32, wait rtos.Ticks) (*nic.Packet, nic.Status) {
	left := min(int(n), p.Len())
	out, status := p.Pool().Allocate(nic.IPv4TCP, wait)
	if status != nic.Success {
		return nil, status
	}
	for q := p; left > 0 && q != nil; q = q.Next() {
		b := q.Bytes()
		b = b[:min(len(b), left)]
		if len(b) == 0 {
			continue
		}
		if status := out.Append(b, p.Pool(), wait); status != nic.Success {
			if out.Len() > 0 {
				break
			}
			out.Release()
			return nil, status
		}
		left -= len(b)
	}
	if out.Len() == 0 { // the chain is shorter than it says
		out.Release()
		return nil, nic.InvalidPacket
	}
	return out, nic.Success
}

// transmit sends out, which is p or copied from its front, as one segment and
// reports whether that was the last of p, which then is no longer the caller's.
func (s *TCPSocket) transmit(p, out *nic.Packet) (done bool) {
	ip := s.ip
	length := uint32(out.Len())
	done = int(length) >= p.Len()
	s.putHeader(out.Prepend(wire.TCPHeaderLen), flagACK|wire.TCPPsh, s.txSeq, s.rxSeq)
	s.rxAcked, s.rxTold = s.rxSeq, s.rxWindow
	s.ackIn, s.unacked = ip.rates.ack, 0
	if len(s.tx) == 0 {
		s.timeout, s.retries = int(ip.rates.data), 0
		s.outstanding = 0
	}
	s.tx = append(s.tx, txSegment{p: out, seq: s.txSeq, length: length})
	s.txSeq += length
	s.outstanding += length
	s.probe.armed = false
	out.SetHolder(transmitHolder)
	out.SetQueued(true)
	ip.count.SegmentsOut++
	ip.send(out, s.route, false)
	if out != p {
		if done {
			p.Release()
		} else {
			p.Trim(int(length))
		}
	}
	return done
}

// releaseSent takes a packet out of the transmit queue for good. One that the
// driver, or the ARP queue, has not sent yet is released by them.
func (s *TCPSocket) releaseSent(t txSegment) {
	sent := t.p.TxDone()
	t.p.SetQueued(false)
	if sent {
		t.p.Release()
	} else {
		t.p.SetHolder(arpHolder)
	}
}
