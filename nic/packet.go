package nic

import (
	"hilnet/sim/rtos"
)

// A PacketType is the headroom left in front of a new packet's data.
type PacketType int

// The types of nx_api.h, for IPv4 and IPv6 by name. IP, UDP and TCP are those
// that NetX uses when IPv6 is compiled in, which is the default.
const (
	Receive        PacketType = 0
	PhysicalHeader PacketType = 16
	IPv4           PacketType = PhysicalHeader + 20
	IPv4UDP        PacketType = IPv4 + 8
	IPv4TCP        PacketType = IPv4 + 20
	IP             PacketType = PhysicalHeader + 40
	UDP            PacketType = IP + 8
	TCP            PacketType = IP + 20
	IPv6TCP                   = TCP
)

type packetState uint8

const (
	free packetState = iota
	allocated
	tcpQueued // in a TCP queue: not to be released by anyone else
	leaked
)

// A Packet is an NX_PACKET: a piece of pool memory with headroom, data and
// tailroom, or the head of a chain of them that together hold one message.
// Methods that speak of the whole chain want its head.
type Packet struct {
	// QueueNext links packets, by their heads, in one queue of their owner.
	QueueNext *Packet

	pool   *Pool
	next   *Packet // of the chain
	last   *Packet // of the chain, kept by the head only; nil: see tail
	data   []byte
	start  int // first byte of data: nx_packet_prepend_ptr
	end    int // behind the last one: nx_packet_append_ptr
	length int // of the chain, kept by the head only
	state  packetState
	txDone bool
	ipLen  int // bytes of headers that TransmitRelease takes off
	holder string
}

func (p *Packet) reset(typ PacketType, holder string) {
	if p.data == nil {
		p.data = make([]byte, p.pool.payload)
	}
	p.QueueNext, p.next, p.last = nil, nil, nil
	p.start, p.end, p.length = int(typ), int(typ), 0
	p.state, p.txDone, p.ipLen = allocated, false, 0
	p.holder = holder
}

// Pool returns the pool that owns the packet.
func (p *Packet) Pool() *Pool { return p.pool }

// Len returns the bytes of data of the whole chain.
func (p *Packet) Len() int { return p.length }

// Next returns the next packet of the chain, nil at its end.
func (p *Packet) Next() *Packet { return p.next }

// Packets returns the number of packets of the chain.
func (p *Packet) Packets() int {
	n := 0
	for ; p != nil; p = p.next {
		n++
	}
	return n
}

// Bytes returns the data of this packet alone. They may be changed in place.
func (p *Packet) Bytes() []byte { return p.data[p.start:p.end] }

// Headroom returns the bytes in front of this packet's data, which are the
// owner's to use: NetX's MQTT client keeps a number there.
func (p *Packet) Headroom() []byte { return p.data[:p.start] }

// AppendTo appends the data of the whole chain to dst.
func (p *Packet) AppendTo(dst []byte) []byte {
	for ; p != nil; p = p.next {
		dst = append(dst, p.Bytes()...)
	}
	return dst
}

// Prepend grows the data by n bytes at the front and returns them, nil if the
// headroom is too small.
func (p *Packet) Prepend(n int) []byte {
	if n > p.start {
		return nil
	}
	p.start -= n
	p.length += n
	return p.data[p.start : p.start+n]
}

// Extend grows the data of a packet that is alone by n bytes at the end and
// returns them, not zeroed: what the memory last held is still there, as on a
// device. It returns nil if the tailroom is too small or the packet is a chain.
func (p *Packet) Extend(n int) []byte {
	if n > len(p.data)-p.end || p.next != nil {
		return nil
	}
	p.end += n
	p.length += n
	return p.data[p.end-n : p.end]
}

// Trim drops n bytes (at most all) from the front. The packets stay in the
// chain, empty ones too, as when a header is taken off.
func (p *Packet) Trim(n int) {
	n = min(n, p.length)
	p.length -= n
	for q := p; q != nil && n > 0; q = q.next {
		drop := min(n, q.end-q.start)
		q.start += drop
		n -= drop
	}
}

// TrimTail drops n bytes (at most all) from the end and releases packets of the
// chain, other than its head, that hold nothing any more.
func (p *Packet) TrimTail(n int) {
	keep := p.length - min(n, p.length)
	p.length = keep
	q := p
	for ; q.next != nil && keep > q.end-q.start; q = q.next {
		keep -= q.end - q.start
	}
	q.end = q.start + min(keep, q.end-q.start)
	rest := q.next
	q.next = nil
	p.last = nil
	if q != p {
		p.last = q
	}
	if rest != nil {
		rest.Release()
	}
}

// Advance drops n bytes from the front and releases the packets that are used
// up by it; it returns the head of what is left, nil if nothing is. With
// forgetTail the new head, if it is another packet than p, does not know the
// end of its chain, as NetX's MQTT client leaves it: see Link.
func (p *Packet) Advance(n int, forgetTail bool) *Packet {
	left := p.length - n
	if left <= 0 {
		p.Release()
		return nil
	}
	head, last := p, p.last
	for head != nil && head.end-head.start <= n {
		n -= head.end - head.start
		next := head.next
		head.next = nil
		head.Release()
		head = next
	}
	if head == nil {
		return nil
	}
	head.start += n
	head.length = left
	if head != p && !forgetTail && last != head {
		head.last = last
	}
	return head
}

// Link puts the chain other behind p's. If p does not know the end of its chain
// (see Advance), what p had behind its first packet is cut off and lost, while
// its length still counts it: _nxd_mqtt_packet_receive_process does that.
func (p *Packet) Link(other *Packet) {
	if p.last != nil {
		p.last.next = other
	} else {
		for lost := p.next; lost != nil; lost = lost.next {
			lost.holder = "leaked: cut off behind a partial message"
		}
		p.next = other
	}
	if p.last = other.last; p.last == nil {
		p.last = other
	}
	p.length += other.length
}

// Append copies data behind what the chain holds: nx_packet_data_append. The
// packets that it needs come from pool, each waited for at most wait ticks; if
// one cannot be had those already taken go back and nothing is appended.
func (p *Packet) Append(data []byte, pool *Pool, wait rtos.Ticks) Status {
	tail := p.last
	if tail == nil {
		tail = p
	}
	room, end := 0, tail
	for q := tail; q != nil; q = q.next {
		room += len(q.data) - q.end
		end = q
	}
	var fresh, freshTail *Packet
	for room < len(data) {
		q, status := pool.Allocate(Receive, wait)
		if status != Success {
			if fresh != nil {
				fresh.Release()
			}
			return status
		}
		q.holder = p.holder
		if fresh == nil {
			fresh = q
		} else {
			freshTail.next = q
		}
		freshTail = q
		room += len(q.data)
	}
	end.next = fresh
	p.length += len(data)
	for q := tail; ; q = q.next {
		n := copy(q.data[q.end:], data)
		q.end += n
		data = data[n:]
		if len(data) == 0 {
			return Success
		}
		p.last = q.next
	}
}

// Copy returns a copy of the chain with packets of pool: nx_packet_copy. The
// headroom of the first packet is copied too, and the data are packed, so the
// copy may have fewer or more packets. An empty chain cannot be copied.
func (p *Packet) Copy(pool *Pool, wait rtos.Ticks) (*Packet, Status) {
	if p.length == 0 {
		return nil, InvalidPacket
	}
	c, status := pool.Allocate(Receive, wait)
	if status != Success {
		return nil, status
	}
	c.holder = p.holder
	piece := p.data[:p.end]
	for q := p; ; piece = q.Bytes() {
		if status := c.Append(piece, pool, wait); status != Success {
			c.Release()
			return nil, status
		}
		if q = q.next; q == nil {
			break
		}
	}
	if p.start > len(c.data) || c.length-p.start != p.length {
		// Headroom larger than the other pool's packets, or a broken chain.
		c.Release()
		return nil, InvalidPacket
	}
	c.start = p.start
	c.length -= p.start
	return c, Success
}

// ExtractOffset copies data from offset on into buf and returns how many bytes
// that is: nx_packet_data_extract_offset. An offset at or behind the end is
// PacketOffsetError, except 0 in an empty packet.
func (p *Packet) ExtractOffset(offset int, buf []byte) (int, Status) {
	if offset >= p.length {
		if offset == 0 {
			return 0, Success
		}
		return 0, PacketOffsetError
	}
	want := min(p.length-offset, len(buf))
	q := p
	for q != nil && q.end-q.start <= offset {
		offset -= q.end - q.start
		q = q.next
	}
	if q == nil {
		return 0, PacketOffsetError // the chain is shorter than it says
	}
	buf = buf[:want]
	for ; q != nil && len(buf) > 0; q, offset = q.next, 0 {
		buf = buf[copy(buf, q.Bytes()[offset:]):]
	}
	return want, Success
}

// SetHolder names, in all packets of the chain, who holds them.
func (p *Packet) SetHolder(name string) {
	for ; p != nil; p = p.next {
		p.holder = name
	}
}

// Holder returns who holds the packet.
func (p *Packet) Holder() string { return p.holder }

// SetQueued marks the head of a chain as being in a TCP queue, or not any more.
// Meanwhile Release refuses it and TransmitRelease only marks it.
func (p *Packet) SetQueued(queued bool) {
	if p.state == allocated && queued {
		p.state, p.txDone = tcpQueued, false
	} else if p.state == tcpQueued && !queued {
		p.state = allocated
	}
}

// Queued reports whether the packet is in a TCP queue.
func (p *Packet) Queued() bool { return p.state == tcpQueued }

// TxDone reports whether the driver has sent the queued packet.
func (p *Packet) TxDone() bool { return p.txDone }

// SetHeaders says that n bytes at the front are IP headers, which
// TransmitRelease takes off a queued packet before it may be sent again.
func (p *Packet) SetHeaders(n int) { p.ipLen, p.txDone = n, false }

// TransmitRelease is what a driver does with a packet it has sent:
// nx_packet_transmit_release. A packet in a TCP queue is marked, not released.
func (p *Packet) TransmitRelease() Status {
	if p.state != tcpQueued {
		return p.Release()
	}
	p.txDone = true
	p.start += p.ipLen
	p.length -= p.ipLen
	p.ipLen = 0
	return Success
}

// Release gives the packets of the chain back: nx_packet_release. At one that
// is free already or in a TCP queue it stops with PtrError and the pool counts
// an invalid release.
func (p *Packet) Release() Status {
	for p != nil {
		if p.state != allocated {
			p.pool.stats.InvalidReleases++
			return PtrError
		}
		next := p.next
		p.pool.giveBack(p)
		p = next
	}
	return Success
}
