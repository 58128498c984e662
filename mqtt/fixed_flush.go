package mqtt

// The client of ModeFixed: the order in which things are sent. Reading list:
// OASIS MQTT Version 3.1.1, 4.4 (delivery retry) and 4.6 (order).

import (
	"slices"

	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// waiting reports whether something waits to be sent.
func (c *Client) waiting() bool {
	if c.state != StateConnected {
		return false
	}
	for i := range c.fixed.filters {
		if c.fixed.filters[i].pending {
			return true
		}
	}
	for _, x := range c.fixed.exchanges {
		if x.pending {
			return true
		}
	}
	return false
}

// flush sends what is pending, in order, until nothing is or one does not go
// out: then the client's thread tries again with the next tick. One thread at a
// time sends, so that nothing overtakes; others leave their messages to it. The
// caller holds the mutex, which is free while TCP takes the bytes.
func (c *Client) flush(wait rtos.Ticks) {
	f := c.fixed
	if f.flushing {
		return
	}
	f.flushing = true
	defer func() { f.flushing = false }()
	for c.state == StateConnected {
		p, x, id := c.nextPending()
		if p == nil {
			return
		}
		var was exchange // x may be over before Send returns
		if x != nil {
			was = *x
			x.pending, x.sent = false, true
		}
		generation := f.generation
		c.touch()
		c.mutex.Put()
		status := c.socket.Send(p, wait)
		held := c.mutex.Get(rtos.WaitForever)
		if status != Success {
			p.Release()
		}
		switch {
		case !held:
			return // deleted
		case f.generation != generation:
		case status != Success:
			if x != nil {
				x.pending, x.sent = true, was.sent
			} else {
				f.again(id)
			}
			return
		case was.sent && !was.released:
			c.emit(trace.Event{Kind: trace.KindRepublish, Topic: was.topic, ID: was.id, Hash: was.hash, QoS: was.qos, Dup: true})
		}
	}
}

// nextPending returns the packet to be sent next, nil if there is none or none
// to send it in, and its exchange, or the identifier of its filter.
func (c *Client) nextPending() (p *nic.Packet, x *exchange, id uint16) {
	f := c.fixed
	reserve := c.quarter()
	if !f.underWay() {
		reserve /= 2 // no acknowledgement will free anything: what is kept for later would be kept for ever
	}
	room := c.pool.Free() - reserve
	if room < 1 {
		return nil, nil, 0
	}
	for i := range f.filters {
		if f.filters[i].pending {
			p, id = c.nextFilter(i)
			return p, nil, id
		}
	}
	for _, x := range f.exchanges {
		if !x.pending {
			continue
		}
		var status Status
		if x.released {
			p, status = c.shortPacket(codec.AppendAck(f.scratch[:0], codec.PUBREL, x.id))
		} else if x.p.Packets() > room {
			return nil, nil, 0
		} else if p, status = x.p.Copy(c.pool, rtos.NoWait); status == Success {
			p.SetHolder("mqtt")
			if x.sent {
				p.Bytes()[0] |= publishDup // [MQTT-3.3.1-1]
			}
		}
		if status != Success {
			return nil, nil, 0
		}
		return p, x, x.id
	}
	return nil, nil, 0
}

// underWay reports whether an acknowledgement is to come in this connection.
func (f *fixed) underWay() bool {
	return slices.ContainsFunc(f.exchanges, func(x *exchange) bool { return x.sent && !x.pending }) ||
		slices.ContainsFunc(f.filters, func(e filter) bool { return e.id != 0 })
}

// nextFilter is nextPending for a SUBSCRIBE or UNSUBSCRIBE.
func (c *Client) nextFilter(i int) (p *nic.Packet, id uint16) {
	f := c.fixed
	e := &f.filters[i]
	if id = c.takeID(); id == 0 {
		return nil, 0
	}
	name := []byte(e.name)
	b := f.scratch[:0]
	if e.wanted {
		b = codec.AppendSubscribe(b, id, []codec.Subscription{{Filter: name, QoS: e.qos}})
	} else {
		b = codec.AppendUnsubscribe(b, id, [][]byte{name})
	}
	f.scratch = b[:0]
	p, status := c.shortPacket(b)
	if status != Success {
		return nil, 0
	}
	e.pending, e.id = false, id
	return p, id
}

// again makes the filter whose packet was not sent wait once more.
func (f *fixed) again(id uint16) {
	if i := slices.IndexFunc(f.filters, func(e filter) bool { return e.id == id }); i >= 0 {
		f.filters[i].pending, f.filters[i].id = true, 0
	}
}

// shortPacket returns a packet of these bytes, without waiting.
func (c *Client) shortPacket(b []byte) (*nic.Packet, Status) {
	p, status := c.allocate(rtos.NoWait)
	if status != Success {
		return nil, status
	}
	if status := p.Append(b, c.pool, rtos.NoWait); status != Success {
		p.Release()
		return nil, status
	}
	return p, Success
}

// pingStarved begins the wait for a PINGRESP although no packet is left for its
// PINGREQ: when what fills the pool is the beginning of a message whose end finds
// no room, nothing but the end of the connection helps. In ModeNetX it waits for
// ever.
func (c *Client) pingStarved() {
	if f := c.fixed; f != nil && !c.pingOutstanding {
		c.pingSent, c.pingOutstanding, f.pingUnsent = c.kernel.Now(), true, true
	}
}

// pingCause says why the keepalive ends the connection.
func (c *Client) pingCause() string {
	if c.fixed != nil && c.fixed.pingUnsent {
		return "no packet for a PINGREQ in time"
	}
	return "no PINGRESP in time"
}
