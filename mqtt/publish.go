package mqtt

import (
	"encoding/binary"

	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

const (
	publishDup    = 0x08
	publishRetain = 0x01
)

// Publish sends a message: nxd_mqtt_client_publish. It returns when TCP has
// taken the bytes; the broker's PUBACK comes later, to AckReceiveNotify. wait
// bounds each wait for a packet and the wait for TCP, one by one. message may be
// nil for an empty one; an empty slice that is not nil is refused, as in NetX.
func (c *Client) Publish(topic string, message []byte, retain bool, qos uint8, wait rtos.Ticks) Status {
	since := c.kernel.Loop().Now()
	var id uint16
	var status Status
	if c.fixed != nil {
		id, status = c.publishFixed(topic, message, retain, qos, wait, since)
	} else {
		id, status = c.publish(topic, message, retain, qos, wait, since)
	}
	c.emit(trace.Event{
		Kind: trace.KindPublish, Topic: topic, QoS: qos, ID: id, Retain: retain, Len: len(message),
		Hash: trace.MessageHash(topic, message), Status: uint32(status), Count: int64(c.kernel.Loop().Now().Sub(since)),
	})
	return status
}

func (c *Client) publish(topic string, message []byte, retain bool, qos uint8, wait rtos.Ticks, at sim.Time) (uint16, Status) {
	switch {
	case topic == "" || message != nil && len(message) == 0 || qos > 3 || qos == 3 && !c.quirks.QoS3Accepted:
		return 0, InvalidParameter
	case qos == 2:
		return 0, QoS2NotSupported
	case c.kernel.Current() == nil:
		panic("mqtt: Publish called in interrupt context: call it from a thread of the client's kernel")
	case c.state != StateConnected: // without the mutex, as in NetX
		return 0, NotConnected
	}
	p, status := c.allocate(wait)
	if status != Success {
		return 0, PacketPoolFailure
	}
	header := byte(packetPublish<<4) | qos<<1
	if retain {
		header |= publishRetain
	}
	length := 2 + len(topic) + len(message)
	if qos == 1 {
		length += 2
	}
	if c.appendHeader(p, header, length, wait) != Success || c.appendField(p, []byte(topic), wait) != Success {
		p.Release()
		return 0, InternalError
	}
	var id uint16
	if qos == 1 {
		if !c.enter("Publish") {
			p.Release()
			return 0, MutexFailure
		}
		id = c.takeID()
		c.mutex.Put()
		if p.Append(binary.BigEndian.AppendUint16(nil, id), c.pool, wait) != Success {
			p.Release()
			return id, InternalError
		}
	}
	if len(message) > 0 && p.Append(message, c.pool, wait) != Success {
		p.Release()
		return id, InternalError
	}
	q := queued{topic: topic, hash: trace.MessageHash(topic, message), at: at}
	status = c.sendPublish(p, id, qos, q, wait)
	if status != Success {
		p.Release()
	}
	return id, status
}

// sendPublish is _nxd_mqtt_client_publish_packet_send.
func (c *Client) sendPublish(p *nic.Packet, id uint16, qos uint8, q queued, wait rtos.Ticks) Status {
	if qos != 0 {
		copied, status := c.copyForQueue(p, id, true, wait)
		if status != Success {
			return PacketPoolFailure
		}
		if !c.enter("Publish") {
			copied.Release()
			return MutexFailure
		}
		q.p = copied
		c.tx = append(c.tx, q)
	} else if !c.enter("Publish") {
		return MutexFailure
	}
	c.touch()
	c.mutex.Put()
	if c.socket.Send(p, wait) == Success {
		return Success
	}
	if qos != 0 && !c.quirks.FailedPublishKept {
		c.enter("Publish")
		c.forget(q.p)
		c.mutex.Put()
	}
	return CommunicationFailure
}

// Subscribe asks for messages: nxd_mqtt_client_subscribe. It returns when TCP
// has taken the bytes, waiting for ever if it must; the SUBACK comes later, to
// AckReceiveNotify, and whether it grants anything is not looked at.
func (c *Client) Subscribe(filter string, qos uint8) Status {
	status, id := InvalidParameter, uint16(0)
	switch {
	case filter == "" || qos > 2:
	case c.fixed != nil:
		id, status = c.subUnsubFixed(filter, qos, true)
	case qos == 2:
		status = QoS2NotSupported
	default:
		id, status = c.subUnsub(packetSubscribe, filter, qos)
	}
	c.emit(trace.Event{Kind: trace.KindSubscribe, Topic: filter, QoS: qos, ID: id, Status: uint32(status)})
	return status
}

// Unsubscribe ends a subscription: nxd_mqtt_client_unsubscribe. See Subscribe.
func (c *Client) Unsubscribe(filter string) Status {
	status, id := InvalidParameter, uint16(0)
	switch {
	case filter == "":
	case c.fixed != nil:
		id, status = c.subUnsubFixed(filter, 0, false)
	default:
		id, status = c.subUnsub(packetUnsubscribe, filter, 0)
	}
	c.emit(trace.Event{Kind: trace.KindUnsubscribe, Topic: filter, ID: id, Status: uint32(status)})
	return status
}

// subUnsub is _nxd_mqtt_client_sub_unsub: all waits are for ever, and the mutex
// is held until the packet is built and copied (without the quirk PoolDeadlock
// it is not held meanwhile).
func (c *Client) subUnsub(kind uint8, filter string, qos uint8) (uint16, Status) {
	if !c.enter("Subscribe") {
		return 0, MutexFailure
	}
	if c.state != StateConnected {
		c.mutex.Put()
		return 0, NotConnected
	}
	id := c.peekID()
	if !c.quirks.PoolDeadlock {
		c.advanceID()
		c.mutex.Put()
	}
	p, copied, status := c.buildSubUnsub(kind, id, filter, qos)
	if !c.quirks.PoolDeadlock {
		c.enter("Subscribe")
		if status == Success && c.state != StateConnected {
			p.Release()
			copied.Release()
			status = NotConnected
		}
	}
	if status != Success {
		c.mutex.Put()
		return 0, status
	}
	c.tx = append(c.tx, queued{p: copied, topic: filter, at: c.kernel.Loop().Now()})
	if c.quirks.PoolDeadlock {
		c.advanceID()
	}
	c.touch()
	c.mutex.Put()
	if c.socket.Send(p, rtos.WaitForever) != Success {
		p.Release()
		return id, CommunicationFailure
	}
	return id, Success
}

// buildSubUnsub returns the packet and its copy for the queue.
func (c *Client) buildSubUnsub(kind uint8, id uint16, filter string, qos uint8) (p, copied *nic.Packet, status Status) {
	const wait = rtos.WaitForever
	p, status = c.allocate(wait)
	if status != Success {
		return nil, nil, status
	}
	length := 2 + 2 + len(filter)
	if kind == packetSubscribe {
		length++
	}
	ok := c.appendHeader(p, kind<<4|2, length, wait) == Success &&
		p.Append(binary.BigEndian.AppendUint16(nil, id), c.pool, wait) == Success &&
		c.appendField(p, []byte(filter), wait) == Success
	if kind == packetSubscribe {
		ok = ok && p.Append([]byte{qos & 3}, c.pool, wait) == Success
	}
	if ok {
		copied, status = c.copyForQueue(p, id, false, wait)
		ok = status == Success
	}
	if !ok {
		p.Release()
		return nil, nil, PacketPoolFailure
	}
	return p, copied, Success
}

// peekID returns the identifier of the next message that needs one.
func (c *Client) peekID() uint16 {
	if c.quirks.IDRestart {
		return c.nextID
	}
	if c.fixed != nil {
		return c.freeID()
	}
	for range len(c.tx) + 1 {
		used := false
		for _, q := range c.tx {
			used = used || idOf(q.p) == c.nextID
		}
		if !used {
			break
		}
		c.advanceID()
	}
	return c.nextID
}

// takeID returns the next identifier and moves on; 0 is none.
func (c *Client) takeID() uint16 {
	id := c.peekID()
	c.advanceID()
	return id
}

func (c *Client) advanceID() {
	if c.nextID++; c.nextID == 0 {
		c.nextID = 1
	}
}

// allocate is _nxd_mqtt_client_packet_allocate. A wait with the mutex held is
// told before it begins, because it may never end.
func (c *Client) allocate(wait rtos.Ticks) (*nic.Packet, Status) {
	typ := nic.IPv6TCP
	if c.ipv4 {
		typ = nic.IPv4TCP
	}
	if t := c.kernel.Current(); wait != rtos.NoWait && c.pool.Free() == 0 && t != nil && c.mutex.Owner() == t {
		c.emit(trace.Event{
			Kind: trace.KindWait, Stage: t.Name(),
			Text: "begins to wait for a packet of " + c.pool.Name() + " with the client's mutex held",
		})
	}
	p, status := c.pool.Allocate(typ, wait)
	if status != Success {
		return nil, PacketPoolFailure
	}
	return p, Success
}

// copyForQueue is _nxd_mqtt_copy_transmit_packet.
func (c *Client) copyForQueue(p *nic.Packet, id uint16, dup bool, wait rtos.Ticks) (*nic.Packet, Status) {
	if depth := c.cfg.TransmitQueueDepth; depth > 0 && len(c.tx) >= depth {
		return nil, nic.TxQueueDepth
	}
	copied, status := p.Copy(c.pool, wait)
	if status != Success {
		return nil, PacketPoolFailure
	}
	copied.SetHolder("mqtt transmit queue")
	binary.LittleEndian.PutUint16(copied.Headroom(), id)
	if dup {
		copied.Bytes()[0] |= publishDup
	}
	return copied, Success
}

// idOf returns the identifier of a queued packet.
func idOf(p *nic.Packet) uint16 { return binary.LittleEndian.Uint16(p.Headroom()) }

// forget releases a queued packet, if it still is one.
func (c *Client) forget(p *nic.Packet) {
	for i, q := range c.tx {
		if q.p == p {
			c.tx = append(c.tx[:i], c.tx[i+1:]...)
			p.Release()
			return
		}
	}
}

// appendHeader is _nxd_mqtt_client_set_fixed_header.
func (c *Client) appendHeader(p *nic.Packet, header byte, length int, wait rtos.Ticks) Status {
	b := [5]byte{header}
	n := 1
	for {
		b[n] = byte(length & 0x7F)
		length >>= 7
		if length != 0 {
			b[n] |= 0x80
		}
		n++
		if length == 0 || n == len(b) {
			return p.Append(b[:n], c.pool, wait)
		}
	}
}

// appendField is _nxd_mqtt_client_append_message: a length of two bytes, of
// which a longer field's is cut, and the bytes.
func (c *Client) appendField(p *nic.Packet, field []byte, wait rtos.Ticks) Status {
	if status := p.Append([]byte{byte(len(field) >> 8), byte(len(field))}, c.pool, wait); status != Success {
		return status
	}
	if len(field) == 0 {
		return Success
	}
	return p.Append(field, c.pool, wait)
}
