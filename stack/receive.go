package stack

import (
	"fmt"
	"io"

	"gvisor.dev/gvisor/pkg/tcpip"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// receiveQueue holds the packets of a connection between their arrival and
// Receive. gVisor keeps a copy of the same bytes; the two are kept in step by
// sequence number.
type receiveQueue struct {
	synced bool   // the peer's SYN was seen
	taken  uint32 // next byte that Receive hands out
	next   uint32 // next byte that is expected: the end of what is in order
	edge   uint32 // end of the window that was advertised
	window uint32 // size of the window that was advertised last
	shift  uint8  // window scale of our windows, if in force
	queue  []rxSegment
}

// rxSegment is a packet with the payload [seq, end).
type rxSegment struct {
	seq, end uint32
	packet   *nic.Packet
	id       uint64 // of the frame that it came in, if known
}

// less compares sequence numbers (RFC 9293 3.4).
func less(a, b uint32) bool { return int32(a-b) < 0 }

// Receive returns the next packet, positioned at its payload, which the caller
// then owns. It waits for one if the connection stands; after its end it
// returns what has arrived and then NotConnected.
func (s *PacketSocket) Receive(wait rtos.Ticks) (*nic.Packet, nic.Status) {
	limit := newDeadline(s.host.kernel, wait)
	for {
		switch {
		case s.rx.readable():
			return s.take(), nic.Success
		case s.phase != established && s.phase != closing, s.eof:
			return nil, nic.NotConnected
		case wait == rtos.NoWait || limit.left() == rtos.NoWait:
			return nil, nic.NoPacket
		}
		s.readers.Suspend(limit.left())
	}
}

// take hands out the first packet, has gVisor forget its bytes, and tells the
// peer if the window has opened far enough.
func (s *PacketSocket) take() *nic.Packet {
	seg := s.rx.queue[0]
	s.rx.queue = append(s.rx.queue[:0], s.rx.queue[1:]...)
	seg.packet.SetQueued(false)
	seg.packet.SetHolder(s.name)
	s.rx.taken = seg.end
	if s.phase != established && s.phase != closing {
		return seg.packet
	}
	s.host.enter(func() { discard(s.ep, int(seg.end-seg.seq)) })
	if w := s.host.profile.MaxWindow; w > 0 && s.phase == established {
		// nx_tcp_socket_receive.c: by at least half of the default window.
		if int32(s.rx.taken+uint32(w)-s.rx.edge) >= int32(w/2) {
			s.host.interrupt(s.sendAck)
		}
	}
	return seg.packet
}

// discard reads n bytes that were already handed out as packets. A connection
// that has ended meanwhile has none any more.
func discard(ep tcpip.Endpoint, n int) {
	w := tcpip.LimitedWriter{W: io.Discard, N: int64(n)}
	if result, err := ep.Read(&w, tcpip.ReadOptions{}); err == nil && result.Count != n {
		panic(fmt.Sprintf("stack: gVisor has %d of %d bytes that were received", result.Count, n))
	}
}

// window returns what a segment with this acknowledgement number advertises,
// where the profile limits the window: the limit less what is unread.
func (s *PacketSocket) window(ack uint32) int {
	limit := s.host.profile.MaxWindow
	if !s.rx.synced {
		return limit
	}
	return max(0, limit-int(int32(ack-s.rx.taken)))
}

// refuses reports whether a segment begins beyond the window that was
// advertised, and answers it. gVisor's own window is larger, so it would take it.
func (s *PacketSocket) refuses(t wire.TCP, payload []byte) bool {
	if s.host.profile.MaxWindow == 0 || s.phase != established || len(payload) == 0 || less(t.Seq(), s.rx.edge) {
		return false
	}
	s.sendAck()
	return true
}

// sendAck sends an ACK of this package's own making, as gVisor does not know the
// window that it advertises.
func (s *PacketSocket) sendAck() {
	h := s.host
	local, remote := s.flow.local, s.flow.remote
	header := ipHeaderLen(local.Addr())
	f := link.NewFrame(wire.EthernetHeaderLen + header + wire.TCPHeaderLen)
	ip := f.Data[wire.EthernetHeaderLen:]
	h.putIP(ip, local.Addr(), remote.Addr(), wire.ProtocolTCP, true, wire.TCPHeaderLen)
	t := wire.TCP(ip[header:])
	wire.PutTCP(t, wire.TCPFields{
		SrcPort: local.Port(), DstPort: remote.Port(), Seq: s.tx.sent, Ack: s.rx.next,
		Flags: wire.TCPAck, Window: uint16(s.window(s.rx.next)),
	}, local.Addr(), remote.Addr(), 0)
	if charge, ok := h.charge(true, f); ok {
		s.departed(t, nil)
		var l wire.Layers
		if err := parseIP(&l, f); err != nil {
			panic("stack: an ACK: " + err.Error())
		}
		h.number(&l, s)
		h.route(f, remote.Addr(), charge)
	}
}

// arrival is a segment for a PacketSocket that gVisor is being given.
type arrival struct {
	socket  *PacketSocket
	tcp     wire.TCP
	payload []byte
	packet  *nic.Packet
	id      uint64 // the frame's number, if known
	headers int    // bytes in front of the payload
	kept    bool
	refused trace.DropReason // why the payload was not kept, if it had any
	why     string
}

// refuse notes why the payload is not kept.
func (a *arrival) refuse(reason trace.DropReason, why string) bool {
	a.refused, a.why = reason, why
	return false
}

// settle brings the socket up to what gVisor has made of the segment. It runs
// behind the barrier and before the answers are sent.
func (a *arrival) settle() {
	s := a.socket
	if s.ep == nil {
		if len(a.payload) > 0 {
			a.refuse(DropState, "the connection has ended")
		}
		return
	}
	s.acknowledged(a.tcp)
	if a.tcp.Has(wire.TCPSyn) {
		if !s.rx.synced {
			s.rx.synced = true
			s.rx.taken = a.tcp.Seq() + 1
			s.rx.next, s.rx.edge = s.rx.taken, s.rx.taken
		}
		return
	}
	if len(a.payload) == 0 {
		return
	}
	if !s.rx.synced {
		a.refuse(DropState, "data before the peer's SYN")
		return
	}
	before := s.rx.next
	if unread, err := s.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption); err == nil {
		s.rx.next = s.rx.taken + uint32(unread)
	}
	a.kept = s.keep(a, before)
	if s.rx.next != before {
		s.readers.Wake(nil)
		call(s.onReceive)
	}
}

// keep takes the packet of a segment with payload if any of it is new. before
// is what was expected when it arrived.
func (s *PacketSocket) keep(a *arrival, before uint32) bool {
	q := &s.rx
	seg := rxSegment{seq: a.tcp.Seq(), end: a.tcp.Seq() + uint32(len(a.payload)), packet: a.packet, id: a.id}
	switch {
	case !less(before, seg.end):
		return a.refuse(DropDuplicate, "arrived in order before")
	case !less(before, seg.seq) && q.next == before:
		return a.refuse(trace.DropQueueFull, "gVisor's receive buffer")
	case less(before, seg.seq) && int32(seg.seq-q.next) > int32(2*q.window+1<<16):
		return a.refuse(DropWindow, "answered by gVisor")
	}
	a.packet.TrimTail(a.packet.Len() - a.headers - len(a.payload))
	a.packet.Trim(a.headers)
	a.packet.SetHolder("tcp rx")
	kept, covered := q.insert(seg, a.packet)
	for _, e := range covered {
		s.host.drop("tcp", DropDuplicate, e.id, int(e.end-e.seq), "waited out of order, and others have brought it all")
	}
	if !kept {
		return a.refuse(DropDuplicate, "waits out of order already")
	}
	return true
}

// insert puts a segment in its place, cuts what overlaps, and reports whether
// the packet p is in the queue then and which others are no longer. Of two
// copies of a byte the one that came first, or begins first, stays.
func (q *receiveQueue) insert(seg rxSegment, p *nic.Packet) (kept bool, gone []rxSegment) {
	i := len(q.queue)
	for i > 0 && less(seg.seq, q.queue[i-1].seq) {
		i--
	}
	q.queue = append(q.queue, rxSegment{})
	copy(q.queue[i+1:], q.queue[i:])
	q.queue[i] = seg
	p.SetQueued(true)
	kept = true
	out, covered := q.queue[:0], q.taken
	for _, e := range q.queue {
		if !less(covered, e.end) {
			e.packet.SetQueued(false)
			if e.packet == p {
				kept = false
			} else {
				releasePacket(e.packet)
				gone = append(gone, e)
			}
			continue
		}
		if less(e.seq, covered) {
			e.packet.Trim(int(covered - e.seq))
			e.seq = covered
		}
		covered = e.end
		out = append(out, e)
	}
	clear(q.queue[len(out):])
	q.queue = out
	return kept, gone
}

// readable reports whether the first packet is in order.
func (q *receiveQueue) readable() bool {
	return len(q.queue) > 0 && q.queue[0].seq == q.taken && !less(q.next, q.queue[0].end)
}

// forgetGaps drops what is not in order.
func (s *PacketSocket) forgetGaps() {
	n := 0
	for n < len(s.rx.queue) && !less(s.rx.next, s.rx.queue[n].end) {
		n++
	}
	s.forgetFrom(n, "data before it never arrived")
}

// forget drops everything that was not received.
func (s *PacketSocket) forget() { s.forgetFrom(0, "the application had not read it") }

func (s *PacketSocket) forgetFrom(n int, why string) {
	gone := s.rx.queue[n:]
	for _, e := range gone {
		s.host.drop("tcp", DropUnread, e.id, int(e.end-e.seq), why)
	}
	s.rx.releaseFrom(n)
}

// release releases everything without a word, as the loss of power does.
func (q *receiveQueue) release() { q.releaseFrom(0) }

func (q *receiveQueue) releaseFrom(n int) {
	for _, e := range q.queue[n:] {
		e.packet.SetQueued(false)
		releasePacket(e.packet)
	}
	clear(q.queue[n:])
	q.queue = q.queue[:n]
}
