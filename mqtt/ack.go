package mqtt

import (
	"encoding/binary"

	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// owed is an answer, or a PINGREQ, that waits for a packet.
type owed struct {
	kind uint8
	id   uint16
}

// owe notes an answer to be sent when there is a packet. One of each kind and
// identifier is enough, so the list is bounded.
func (c *Client) owe(kind uint8, id uint16) {
	for _, o := range c.owed {
		if o.kind == kind && o.id == id {
			return
		}
	}
	c.owed = append(c.owed, owed{kind, id})
}

// sendOwed sends what is owed as far as there are packets for it. The caller
// holds the mutex.
func (c *Client) sendOwed() {
	for len(c.owed) > 0 && c.pool.Free() > 0 {
		o := c.owed[0]
		c.owed = c.owed[1:]
		if o.kind == packetPingreq {
			if c.state == StateConnected {
				c.sendSimple(packetPingreq)
			}
			continue
		}
		if !c.answer(o.kind, o.id) {
			return // owed again
		}
	}
}

// hasPubrec reports whether the QoS 2 message of that identifier was delivered
// and not yet completed.
func (c *Client) hasPubrec(id uint16) bool {
	for _, q := range c.tx {
		if idOf(q.p) == id && q.p.Bytes()[0]>>4 == packetPubrec {
			return true
		}
	}
	for _, o := range c.owed {
		if o.kind == packetPubrec && o.id == id {
			return true
		}
	}
	return false
}

// acknowledge answers a QoS 1 or 2 PUBLISH with PUBACK or PUBREC (QoS 3, which
// is malformed, with PUBREC too).
func (c *Client) acknowledge(qos uint8, id uint16) {
	switch qos {
	case 1:
		c.answer(packetPuback, id)
	case 2:
		c.answer(packetPubrec, id)
	default:
		if p := c.newAnswer(packetPubrec, id); p != nil {
			c.sendAnswer(p)
		}
	}
}

// answer sends PUBACK, PUBREC or PUBCOMP, and queues a copy of a PUBREC. NetX
// waits for packets with the mutex held; without the quirk PoolDeadlock an
// answer that finds none is owed, and the result is false.
func (c *Client) answer(kind uint8, id uint16) bool {
	p := c.newAnswer(kind, id)
	if p == nil {
		return false
	}
	if kind == packetPubrec && c.fixed == nil && (c.quirks.PubrecQueuedTwice || !c.hasPubrec(id)) {
		copied, status := c.copyForQueue(p, id, false, c.answerWait())
		if status != Success {
			p.Release()
			if !c.quirks.PoolDeadlock && status == PacketPoolFailure {
				c.owe(kind, id)
				return false
			}
			return true
		}
		c.tx = append(c.tx, queued{p: copied, at: c.kernel.Loop().Now()})
	}
	c.sendAnswer(p)
	return true
}

func (c *Client) answerWait() rtos.Ticks {
	if c.quirks.PoolDeadlock {
		return rtos.WaitForever
	}
	return rtos.NoWait
}

// newAnswer returns an answer of four bytes, nil if there is no packet for it.
// NetX writes a PUBCOMP's identifier one byte too far back, so that its high
// byte is what the packet's memory held.
func (c *Client) newAnswer(kind uint8, id uint16) *nic.Packet {
	if c.fixed != nil && c.pool.Free() <= c.quarter()/2 {
		c.owe(kind, id)
		return nil
	}
	p, status := c.allocate(c.answerWait())
	if status != Success {
		if !c.quirks.PoolDeadlock {
			c.owe(kind, id)
		}
		return nil
	}
	b := p.Extend(4)
	if b == nil {
		// NetX writes behind the packet; here the answer is not sent.
		p.Release()
		c.emit(trace.Event{Kind: trace.KindDrop, Stage: "mqtt", Reason: trace.DropTxPool, ID: id, Text: "packets too small for an answer"})
		return nil
	}
	b[0], b[1], b[3] = kind<<4, 2, byte(id)
	if kind == packetPubrel {
		b[0] |= 2 // [MQTT-3.6.1-1]
	}
	if kind != packetPubcomp || !c.quirks.PubcompStaleID {
		b[2] = byte(id >> 8)
	}
	return p
}

// sendAnswer sends without the mutex.
func (c *Client) sendAnswer(p *nic.Packet) {
	c.mutex.Put()
	status := c.socket.Send(p, rtos.WaitForever)
	c.mutex.Get(rtos.WaitForever)
	if status != Success {
		p.Release()
		return
	}
	c.touch()
}

// processPublishResponse is _nxd_mqtt_process_publish_response: PUBACK ends a
// message of ours, PUBREL one of theirs. What nobody waits for is ignored.
func (c *Client) processPublishResponse(p *nic.Packet) {
	var b [4]byte
	p.ExtractOffset(0, b[:])
	if b[1] != 2 {
		return
	}
	id := binary.BigEndian.Uint16(b[2:])
	kind := b[0] >> 4
	for _, q := range c.tx {
		header := q.p.Bytes()[0] & 0xF6 // without DUP and RETAIN
		switch {
		case idOf(q.p) != id:
		case kind == packetPuback && header == packetPublish<<4|1<<1:
			c.emit(trace.Event{
				Kind: trace.KindAcked, Topic: q.topic, QoS: 1, ID: id, Hash: q.hash,
				Count: int64(c.kernel.Loop().Now().Sub(q.at)),
			})
			c.acked(packetPuback, id, q.p)
			return
		case kind == packetPubrel && header == packetPubrec<<4:
			// An answer that is owed counts as sent: it will be.
			c.answer(packetPubcomp, id)
			c.acked(packetPubrel, id, q.p)
			return
		}
	}
}

// acked tells the application and forgets the queued packet.
func (c *Client) acked(kind uint8, id uint16, p *nic.Packet) {
	if c.AckReceiveNotify != nil {
		c.callback("ack_receive_notify", func() { c.AckReceiveNotify(c, kind, id, p) })
	}
	c.forget(p)
}

// processSubUnsubAck is _nxd_mqtt_process_sub_unsub_ack. NetX does not look at what
// the SUBACK grants: 0x80, a refusal, counts like any other.
func (c *Client) processSubUnsubAck(p *nic.Packet, kind uint8, remaining, offset int) {
	var b [3]byte
	if n, status := p.ExtractOffset(offset, b[:]); status != Success || n < 2 {
		return
	}
	id := binary.BigEndian.Uint16(b[:])
	for _, q := range c.tx {
		asked := q.p.Bytes()[0] >> 4
		switch {
		case idOf(q.p) != id:
		case kind == packetSuback && asked == packetSubscribe:
			if remaining != 3 {
				return
			}
			refused := c.subscriptionAnswered(q.topic, id, b[2])
			c.acked(kind, id, q.p)
			c.tellRefusal(refused, q.topic, id)
			return
		case kind == packetUnsuback && asked == packetUnsubscribe:
			if remaining != 2 {
				return
			}
			c.emit(trace.Event{Kind: KindUnsubscribed, Topic: q.topic, ID: id})
			c.acked(kind, id, q.p)
			return
		}
	}
}

// subscriptionAnswered reports the code of a SUBACK, and whether the application
// has to be told that it is a refusal.
func (c *Client) subscriptionAnswered(filter string, id uint16, code byte) (refused bool) {
	e := trace.Event{Kind: trace.KindSubscribed, Topic: filter, ID: id, QoS: code}
	if refused = code == codec.SubscribeFailed && !c.quirks.SubackRefusalIgnored; refused {
		e.Status = uint32(ServerMessageFailure)
	}
	c.emit(e)
	return refused
}

func (c *Client) tellRefusal(refused bool, filter string, id uint16) {
	if refused && c.SubscribeRefusedNotify != nil {
		c.callback("subscribe_refused_notify", func() { c.SubscribeRefusedNotify(c, filter, id) })
	}
}
