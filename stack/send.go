package stack

import (
	"bytes"
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/wire"
)

// sendQueue holds the packets that were sent and are not acknowledged. Their
// bytes are counted from the first behind the SYN.
type sendQueue struct {
	iss     uint32 // sequence number of the SYN
	started bool   // the SYN was seen
	sent    uint32 // the highest sequence number that left, and one
	acked   uint32 // the highest that was acknowledged, and one
	edge    uint32 // end of the peer's window
	shift   uint8  // window scale of the peer, if in force
	offered int    // window scale that our SYN offers; -1: none
	written uint64
	queue   []txPacket
	ids     []segmentID // of what was sent and is not acknowledged, if the profile counts
}

// segmentID is the IP identification of a segment with data.
type segmentID struct {
	seq uint32
	n   int
	id  uint16
}

// identify returns the IP identification of a segment: that which it had before,
// for NetX sends the same packet again (nx_tcp_socket_retransmit.c), or the next.
func (q *sendQueue) identify(seq uint32, n int, last *uint16) uint16 {
	for _, e := range q.ids {
		if e.seq == seq && e.n == n {
			return e.id
		}
	}
	*last++
	q.ids = append(q.ids, segmentID{seq, n, *last})
	return *last
}

// forgetIDs drops the identifications of what was acknowledged.
func (q *sendQueue) forgetIDs() {
	kept := q.ids[:0]
	for _, e := range q.ids {
		if less(q.acked, e.seq+uint32(e.n)) {
			kept = append(kept, e)
		}
	}
	q.ids = kept
}

// txPacket is a packet whose last byte is number end.
type txPacket struct {
	end    uint64
	packet *nic.Packet
}

// Send sends a packet chain. With Success the socket owns it and releases it
// when the peer has acknowledged it; otherwise it stays the caller's. It waits
// while the transmit queue is full (TxQueueDepth) or the peer's window is
// (WindowOverflow); a packet that is alone in the queue never waits.
func (s *PacketSocket) Send(p *nic.Packet, wait rtos.Ticks) nic.Status {
	if p == nil || p.Len() == 0 || p.Queued() {
		return nic.InvalidPacket
	}
	limit := newDeadline(s.host.kernel, wait)
	for {
		if s.phase != established {
			return nic.NotConnected
		}
		full := s.full(p.Len())
		if full == nic.Success {
			break
		}
		if wait == rtos.NoWait || limit.left() == rtos.NoWait {
			return full
		}
		s.writers.Suspend(limit.left())
	}
	return s.write(p)
}

// full says what a packet of n bytes would have to wait for.
func (s *PacketSocket) full(n int) nic.Status {
	q, profile := &s.tx, &s.host.profile
	if len(q.queue) == 0 {
		return nic.Success
	}
	// Both counts wrap at 4 GiB as sequence numbers do: only their difference counts.
	unacked := int(uint32(q.written) - (q.acked - q.iss - 1))
	switch {
	case len(q.queue) >= profile.TxQueuePackets, unacked+n > profile.TxQueueBytes:
		return nic.TxQueueDepth
	case less(q.edge, q.iss+1+uint32(q.written)+uint32(n)):
		return nic.WindowOverflow
	}
	return nic.Success
}

func (s *PacketSocket) write(p *nic.Packet) nic.Status {
	data := p.AppendTo(nil)
	status := nic.NotConnected
	s.host.enter(func() {
		n, err := s.ep.Write(bytes.NewReader(data), tcpip.WriteOptions{})
		if err != nil {
			return // the connection has ended; ready will learn why
		}
		if int(n) != len(data) {
			panic(fmt.Sprintf("stack: gVisor took %d of %d bytes", n, len(data)))
		}
		status = nic.Success
		s.tx.written += uint64(n)
		s.tx.queue = append(s.tx.queue, txPacket{s.tx.written, p})
		p.SetQueued(true)
		p.SetHolder("tcp tx")
	})
	return status
}

// departed notes a segment that leaves the host.
func (s *PacketSocket) departed(t wire.TCP, payload []byte) {
	q := &s.tx
	end := t.Seq() + t.SegmentLen(payload)
	if t.Has(wire.TCPSyn) && !q.started {
		q.started, q.offered = true, -1
		q.iss, q.acked, q.sent, q.edge = t.Seq(), t.Seq()+1, end, t.Seq()+1
		if o, err := t.Options(); err == nil && o.HasWindowScale {
			q.offered = int(o.WindowScale)
		}
	}
	if less(q.sent, end) {
		q.sent = end
	}
	if t.Has(wire.TCPAck) && !t.Has(wire.TCPRst) {
		s.rx.window = uint32(t.Window()) << s.rx.shift
		if edge := t.Ack() + s.rx.window; less(s.rx.edge, edge) {
			s.rx.edge = edge
		}
	}
}

// acknowledged notes an arriving segment's acknowledgement and window, and
// releases what is acknowledged.
func (s *PacketSocket) acknowledged(t wire.TCP) {
	q := &s.tx
	if !t.Has(wire.TCPAck) || t.Has(wire.TCPRst) || !q.started {
		return
	}
	ack := t.Ack()
	if less(ack, q.acked) || less(q.sent, ack) {
		return // old, or of something that was never sent
	}
	shift := q.shift
	if t.Has(wire.TCPSyn) {
		shift = 0 // a SYN's window is never scaled (RFC 7323 2.2)
		if o, err := t.Options(); err == nil && o.HasWindowScale && q.offered >= 0 {
			q.shift, s.rx.shift = min(o.WindowScale, 14), uint8(q.offered)
		}
	}
	if edge := ack + uint32(t.Window())<<shift; less(q.edge, edge) {
		q.edge = edge
	}
	q.acked = ack
	q.forgetIDs()
	bytes := ack - q.iss - 1 // modulo 4 GiB
	n := 0
	for n < len(q.queue) && int32(uint32(q.queue[n].end)-bytes) <= 0 {
		q.queue[n].packet.SetQueued(false)
		releasePacket(q.queue[n].packet)
		n++
	}
	rest := copy(q.queue, q.queue[n:])
	clear(q.queue[rest:])
	q.queue = q.queue[:rest]
	s.writers.Wake(nil)
}

// release releases everything.
func (q *sendQueue) release() {
	for _, e := range q.queue {
		e.packet.SetQueued(false)
		releasePacket(e.packet)
	}
	q.queue = nil
}
