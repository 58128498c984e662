package segment

import (
	"errors"
	"io"
	"slices"
	"time"

	"hilnet/wire"
)

// This file takes the segments of the live peer.

// take takes a segment of the connection.
func (c *Conn) take(t wire.TCP, payload []byte) {
	flags := t.Flags()
	switch {
	case c.state == stateClosed && flags&wire.TCPFin != 0 && c.eof:
		c.emit(wire.TCPAck, c.high, nil) // our last acknowledgement was lost
		return
	case c.state == stateClosed:
		return
	case flags&wire.TCPRst != 0:
		if !c.heard && flags&wire.TCPAck != 0 && t.Ack() == c.high || c.heard && !before(t.Seq(), c.next) && t.Seq()-c.next <= uint32(c.facts.Window) {
			c.lost(errors.New("connection reset by the peer"))
		}
		return
	case flags&wire.TCPSyn != 0:
		c.syn(t)
		return
	case !c.heard || flags&wire.TCPAck == 0:
		return
	}
	if c.stamps {
		if o, err := t.Options(); err == nil && o.HasTimestamps && !before(o.TSVal, c.recent) {
			c.recent = o.TSVal
		}
	}
	c.acknowledged(t, len(payload))
	if c.state != stateOpen { // closed, or our SYN,ACK was not acknowledged: nobody is there to take it
		return
	}
	if len(payload) > 0 || flags&wire.TCPFin != 0 {
		c.arrive(piece{t.Seq(), payload, flags&wire.TCPFin != 0})
	}
}

// syn takes a segment with SYN.
func (c *Conn) syn(t wire.TCP) {
	switch {
	case c.dialled && !c.heard && t.Has(wire.TCPAck) && t.Ack() == c.high:
		c.hearSYN(t)
		c.state = stateOpen
		c.acknowledged(t, 0)
		c.emit(wire.TCPAck, c.high, nil)
		if c.events.Connected != nil && !c.told {
			c.events.Connected()
		}
		c.flush()
	case c.heard: // again: the answer was lost
		if c.state == stateOpening {
			c.transmit(c.queue[0])
		} else {
			c.emit(wire.TCPAck, c.high, nil)
		}
	}
}

// acknowledged takes what a segment says about what was sent.
func (c *Conn) acknowledged(t wire.TCP, payload int) {
	ack, window := t.Ack(), uint32(t.Window())
	if !t.Has(wire.TCPSyn) {
		window <<= c.scale
	}
	if before(c.high, ack) || before(ack, c.una) {
		return
	}
	has := c.hearSACK(t)
	if ack == c.una {
		if payload == 0 && window == c.window && len(c.queue) > 0 && c.queue[0].tries > 0 && t.Flags()&(wire.TCPSyn|wire.TCPFin) == 0 {
			if c.dups++; c.dups == fastAfter && !c.sacking {
				c.transmit(c.queue[0])
			}
		}
	} else {
		c.advance(ack)
	}
	c.window = window
	if c.sacking && len(c.queue) > 0 {
		c.repair(has)
	}
	if c.state == stateOpening && c.heard && !before(c.una, c.high) { // our SYN,ACK was acknowledged
		c.state = stateOpen
		if c.listener != nil {
			if c.events = c.listener.accept(c); c.events == nil {
				c.Abort()
				return
			}
		}
	}
	if c.state == stateOpen {
		c.flush()
	}
}

// advance forgets what is acknowledged.
func (c *Conn) advance(ack uint32) {
	now := c.host.cfg.Loop.Now()
	for len(c.queue) > 0 {
		o := c.queue[0]
		if before(ack, o.seq+o.len()) {
			if n := ack - o.seq; !before(ack, o.seq) && n > 0 && int(n) <= len(o.data) {
				o.data, o.seq = o.data[n:], ack
			}
			break
		}
		if o.tries == 1 { // Karn
			c.sample(now.Sub(o.at))
		}
		c.queue = c.queue[1:]
	}
	c.una, c.dups = ack, 0
	c.cwnd = min(c.cwnd+1, mostCwnd)
	if c.srtt > 0 {
		c.rto = min(max(c.srtt+max(4*c.rttvar, time.Millisecond), leastRTO), mostRTO)
	}
	c.timer.Stop()
	if len(c.queue) > 0 {
		c.timer.ResetAfter(c.rto)
	} else if c.finned && c.eof {
		c.drop()
	}
}

// sample is RFC 6298 section 2.
func (c *Conn) sample(rtt time.Duration) {
	if c.srtt == 0 {
		c.srtt, c.rttvar = max(rtt, 1), rtt/2
		return
	}
	c.rttvar += ((c.srtt - rtt).Abs() - c.rttvar) / 4
	c.srtt = max(1, c.srtt+(rtt-c.srtt)/8)
}

// arrive takes data, in order or not, and acknowledges what is there.
func (c *Conn) arrive(p piece) {
	end := p.seq + uint32(len(p.data))
	switch {
	case before(p.seq, c.next): // seen before, in part or whole
		if before(end, c.next) || end == c.next && !p.fin {
			c.emit(wire.TCPAck, c.high, nil)
			return
		}
		p.data, p.seq = p.data[c.next-p.seq:], c.next
	case p.seq-c.next > uint32(c.facts.Window):
		c.host.stats.Drops.BeyondRoom++
		c.emit(wire.TCPAck, c.high, nil)
		return
	}
	if p.seq != c.next {
		c.host.stats.OutOfOrder++
		switch known := slices.ContainsFunc(c.pieces, func(q piece) bool { return q.seq == p.seq && len(q.data) >= len(p.data) }); {
		case known:
		case len(c.pieces) >= maxPieces:
			c.host.stats.Drops.PiecesFull++
		default:
			p.data = slices.Clone(p.data)
			c.pieces = append(c.pieces, p)
		}
		c.emit(wire.TCPAck, c.high, nil)
		return
	}
	c.deliver(p)
	for again := true; again; {
		again = false
		for i, q := range c.pieces {
			if !before(c.next, q.seq) {
				c.pieces = slices.Delete(c.pieces, i, i+1)
				if n := c.next - q.seq; int(n) <= len(q.data) && (int(n) < len(q.data) || q.fin) {
					c.deliver(piece{c.next, q.data[n:], q.fin})
				}
				again = true
				break
			}
		}
	}
	if c.acked != c.next && c.state != stateClosed {
		c.emit(wire.TCPAck, c.high, nil)
	}
	if c.state != stateClosed && c.eof && c.finned && len(c.queue) == 0 {
		c.drop()
	}
}

// deliver hands out data that is next.
func (c *Conn) deliver(p piece) {
	if c.eof || c.state == stateClosed {
		return
	}
	c.next += uint32(len(p.data))
	if p.fin {
		c.next++
		c.eof = true
	}
	if len(p.data) > 0 && !c.told {
		c.events.Data(p.data)
	}
	if p.fin && !c.told {
		c.told = true
		c.events.Closed(io.EOF)
	}
}
