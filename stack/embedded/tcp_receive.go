package embedded

import (
	"slices"

	"hilnet/nic"
	"hilnet/sim/rtos"
)

// Reading list: nx_tcp_socket_state_data_check.c, nx_tcp_socket_receive.c.

// An rxSegment is received data the application has not taken. Its packet
// begins with the data.
type rxSegment struct {
	p     *nic.Packet
	seq   uint32
	ready bool // nothing is missing before it
}

func (r *rxSegment) length() uint32 { return uint32(r.p.Len()) }
func (r *rxSegment) end() uint32    { return r.seq + r.length() }

// The holders of received data.
const (
	receiveHolder    = "tcp rx"
	outOfOrderHolder = "tcp rx out of order"
	// applicationHolder holds what Receive has returned.
	applicationHolder = "application"
)

// data takes the data and the FIN of a segment. It owns the packet.
func (s *TCPSocket) data(p *nic.Packet, seg *segment) {
	s.trimToWindow(p, seg)
	if seg.has(flagFIN) {
		s.finSeq, s.finReceived = seg.seq+seg.length, true
	}
	if seg.length == 0 {
		if s.state == Established && len(s.rx) == 0 && s.rxSeq != seg.seq && s.rxSeq-1 != seg.seq {
			s.sendACK(s.txSeq)
		}
		p.Release()
		return
	}
	before := s.rxSeq
	limited := s.full(p.Pool()) // then enqueue sets the window
	contiguous, taken := s.enqueue(p, seg)
	if !taken {
		return
	}
	delta := s.rxSeq - before
	if !limited {
		s.rxWindow -= delta
		s.rxTold -= delta
	}
	s.limitOutOfOrder(contiguous)
	s.handOver(contiguous)
	ack := s.windowOpened()
	if delta != 0 {
		if s.onReceive != nil {
			s.onReceive()
		}
		if n := s.ackEvery(); n > 0 && s.state == Established && !seg.has(flagFIN) {
			if s.unacked++; s.unacked >= n {
				ack = true
			}
		}
	}
	if ack {
		s.sendACK(s.txSeq)
	}
}

func (s *TCPSocket) ackEvery() int {
	if n := s.ip.profile.TCP.AckEvery; n > 0 || s.ip.quirks.NoAckEverySecondSegment {
		return n
	}
	return ackEvery
}

// trimToWindow cuts off what was received before and what the window has no
// room for.
func (s *TCPSocket) trimToWindow(p *nic.Packet, seg *segment) {
	if seg.length == 0 {
		return
	}
	if old := s.rxSeq - seg.seq; int32(old) > 0 && old < seg.length {
		p.Trim(int(old))
		seg.seq += old
		seg.length -= old
	}
	if over := seg.seq + seg.length - (s.rxSeq + s.rxWindow); int32(over) > 0 && over < seg.length {
		p.TrimTail(int(over))
		seg.length -= over
	}
}

// enqueue puts data into the receive queue, in their place. It returns how many
// queued packets are without a gap before them, and false if the data were all
// here already.
func (s *TCPSocket) enqueue(p *nic.Packet, seg *segment) (contiguous int, taken bool) {
	n := len(s.rx)
	full := s.full(p.Pool())
	tailEnd := s.rxSeq
	if n > 0 {
		tailEnd = s.rx[n-1].end()
	}
	inOrder := seg.seq == s.rxSeq && tailEnd == s.rxSeq
	if full && (inOrder || n == 0) {
		s.ip.drop(p, "tcp", DropLowPool)
		s.limitWindow(0)
		s.sendACK(s.txSeq)
		return n, true
	}
	if inOrder {
		p.SetHolder(receiveHolder)
		if n == 0 {
			s.ackIn = s.ip.rates.ack
		}
		s.rx = append(s.rx, rxSegment{p: p, seq: seg.seq, ready: true})
		s.rxSeq = seg.seq + seg.length
		return len(s.rx), true
	}
	p.SetHolder(outOfOrderHolder)
	if n == 0 {
		s.sendACK(s.txSeq)
		s.rx = append(s.rx, rxSegment{p: p, seq: seg.seq})
		s.ackIn = s.ip.rates.ack
		return 0, true
	}
	if before(s.rxSeq, seg.seq) {
		s.sendACK(s.txSeq)
	}
	if !s.insert(p, seg) {
		return 0, false
	}
	if full {
		return s.dropTail(), true
	}
	return s.advance(), true
}

// insert puts data between those in the queue, cutting overlaps.
func (s *TCPSocket) insert(p *nic.Packet, seg *segment) bool {
	begin, end := seg.seq, seg.seq+seg.length
	i := 0
	for i < len(s.rx) {
		r := &s.rx[i]
		if !before(begin, r.end()) { // behind it
			i++
			continue
		}
		if !before(r.seq, end) { // in front of it
			break
		}
		if !before(begin, r.seq) && !before(r.end(), end) { // within it
			s.sendACK(s.txSeq)
			s.ip.drop(p, "tcp", DropDuplicate)
			return false
		}
		if !before(r.seq, begin) && !before(end, r.end()) { // it is within
			s.ip.drop(r.p, "tcp", DropDuplicate)
			s.rx = slices.Delete(s.rx, i, i+1)
			continue
		}
		if !before(r.seq, begin) { // its first bytes are here too
			over := end - r.seq
			p.TrimTail(int(over))
			seg.length -= over
			break
		}
		r.p.TrimTail(int(r.end() - begin)) // its last bytes are here too
		i++
	}
	s.rx = slices.Insert(s.rx, i, rxSegment{p: p, seq: seg.seq})
	return true
}

// advance marks what has become contiguous as ready and returns how many
// packets of the queue are.
func (s *TCPSocket) advance() int {
	for i := range s.rx {
		r := &s.rx[i]
		if before(s.rxSeq, r.seq) {
			return i
		}
		if before(s.rxSeq, r.end()) {
			s.rxSeq = r.end()
			r.ready = true
			r.p.SetHolder(receiveHolder)
		}
	}
	return len(s.rx)
}

// limitOutOfOrder drops the last segment out of order if there are too many, or,
// without the quirk, if the pool could then not take a full segment.
func (s *TCPSocket) limitOutOfOrder(contiguous int) {
	n := len(s.rx)
	if n == contiguous {
		return
	}
	limit := s.ip.profile.TCP.MaxOutOfOrder
	pool := s.rx[n-1].p.Pool()
	frame := s.ip.nic.MTU() + nic.DefaultRXOffset + 14
	starved := !s.ip.quirks.OutOfOrderStarvesPool && pool.Free() < (frame+pool.Payload()-1)/pool.Payload()
	if (limit > 0 && n-contiguous > limit) || starved {
		s.ip.drop(s.rx[n-1].p, "tcp", DropOutOfOrder)
		s.rx = slices.Delete(s.rx, n-1, n)
	}
}

// handOver gives ready packets to the threads that wait for some.
func (s *TCPSocket) handOver(contiguous int) {
	for ; contiguous > 0 && len(s.receiving.waiting) > 0; contiguous-- {
		p := s.rx[0].p
		s.rx = slices.Delete(s.rx, 0, 1)
		s.rxWindow += uint32(p.Len())
		p.SetHolder(applicationHolder)
		s.receiving.wake(p)
	}
}

// windowOpened reports whether the peer should be told at once how far the
// window has opened.
func (s *TCPSocket) windowOpened() bool {
	return s.rxWindow-s.rxTold >= s.rxDefault/s.ip.profile.TCP.WindowUpdate
}

// Receive returns the next packet of received data, which the caller then owns,
// positioned at the data. Without any it waits at most wait ticks.
func (s *TCPSocket) Receive(wait rtos.Ticks) (*nic.Packet, nic.Status) {
	var p *nic.Packet
	status := nic.NoPacket
	read := func() bool {
		switch {
		case !s.bound:
			status = nic.NotBound
		case len(s.rx) == 0 && (s.state < SynSent || s.state == CloseWait || s.state >= Closing):
			status = nic.NotConnected
		case len(s.rx) > 0 && s.rx[0].ready:
			p, status = s.dequeue(), nic.Success
		default:
			return true
		}
		return false
	}
	if !s.ip.mayWait(wait) {
		s.ip.protect(func() { read() })
		return p, status
	}
	v, waited := s.receiving.do(wait, 0, read)
	if !waited {
		return p, status
	}
	if handed, ok := v.(*nic.Packet); ok {
		return handed, nic.Success
	}
	return nil, v.(nic.Status)
}

// dequeue takes the first packet, which is ready, and opens the window.
func (s *TCPSocket) dequeue() *nic.Packet {
	p := s.rx[0].p
	s.rx = slices.Delete(s.rx, 0, 1)
	if len(s.rx) == 0 {
		s.rxWindow = s.rxDefault
	} else {
		s.rxWindow += uint32(p.Len())
	}
	if s.windowOpened() && (s.state == Established || s.state == FinWait1 || s.state == FinWait2) {
		s.sendACK(s.txSeq)
	}
	p.SetHolder(applicationHolder)
	return p
}
