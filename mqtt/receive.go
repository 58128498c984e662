package mqtt

import (
	"encoding/binary"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// receive is _nxd_mqtt_packet_receive_process. It is called with the mutex held
// and returns without it.
func (c *Client) receive() {
	for {
		if !c.unstall() {
			c.mutex.Put()
			return // TCP's window holds the rest back
		}
		generation := c.generation()
		c.mutex.Put()
		p, status := c.socket.Receive(rtos.NoWait)
		if status != Success {
			if status != nic.NoPacket && status != nic.Continue {
				c.events.Set(eventDisconnected)
			}
			return
		}
		c.mutex.Get(rtos.WaitForever)
		if c.generation() != generation {
			p.Release() // of a connection that is over
			continue
		}
		if c.partial != nil {
			c.partial.Link(p)
			p, c.partial = c.partial, nil
		}
		if c.PacketReceiveNotify != nil {
			consumed := false
			c.callback("packet_receive_notify", func() { consumed = c.PacketReceiveNotify(c, p) })
			if consumed {
				continue
			}
		}
		c.parse(p)
	}
}

// parse takes the messages out of a chain, which it owns. The caller holds the
// mutex.
func (c *Client) parse(p *nic.Packet) {
	if c.fixed != nil {
		c.parseStrict(p)
		return
	}
	for p != nil {
		remaining, offset, status := readRemainingLength(p)
		if status == PartialPacket {
			c.partial = p
			p.SetHolder("mqtt partial message")
			return
		}
		if status != Success {
			c.dropMalformed(p, "remaining length of more than 4 bytes: the rest of the segment is dropped")
			break
		}
		var header [1]byte
		p.ExtractOffset(0, header[:])
		switch header[0] >> 4 {
		case packetConnack:
			c.processConnack(p, rtos.NoWait)
		case packetPublish:
			if c.processPublish(p, header[0], remaining, offset) {
				return
			}
		case packetPuback, packetPubrel:
			c.processPublishResponse(p)
		case packetSuback, packetUnsuback:
			c.processSubUnsubAck(p, header[0]>>4, remaining, offset)
		case packetPingresp:
			if c.pingOutstanding {
				c.emit(trace.Event{Kind: trace.KindPingResp, Count: int64(c.kernel.Now() - c.pingSent)})
				c.pingOutstanding, c.pingSent = false, 0
			}
		case packetDisconnect:
			c.processDisconnect("DISCONNECT from the server")
		}
		// CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, PUBREC, PUBCOMP and unknown
		// types are ignored.
		if p.Len() <= offset+remaining {
			break
		}
		p = p.Advance(offset+remaining, c.quirks.ChainTailLost)
	}
	if p != nil {
		p.Release()
	}
}

// readRemainingLength is _nxd_mqtt_read_remaining_length: the length and where
// it ends. InternalError is a length of more than four bytes.
func readRemainingLength(p *nic.Packet) (remaining, offset int, status Status) {
	var b [4]byte
	n, status := p.ExtractOffset(1, b[:])
	if status != Success {
		return 0, 0, PartialPacket
	}
	for i := range len(b) {
		if i >= n {
			return 0, 0, PartialPacket
		}
		remaining |= int(b[i]&0x7F) << (7 * i)
		if b[i]&0x80 == 0 {
			offset = 2 + i
			if offset+remaining > p.Len() {
				return 0, 0, PartialPacket
			}
			return remaining, offset, Success
		}
	}
	return 0, 0, InternalError
}

// A publication is where the parts of a PUBLISH are in its chain.
type publication struct {
	qos                     uint8
	dup, retain             bool
	topicOffset, topicLen   int
	messageOffset, bodySize int
}

// parsePublish is _nxd_mqtt_process_publish_packet.
func parsePublish(p *nic.Packet) (m publication, status Status) {
	var header [1]byte
	p.ExtractOffset(0, header[:])
	m.qos, m.dup, m.retain = header[0]>>1&3, header[0]&publishDup != 0, header[0]&publishRetain != 0
	remaining, offset, status := readRemainingLength(p)
	if status != Success || remaining < 2 {
		return m, InvalidPacket
	}
	var b [2]byte
	if n, status := p.ExtractOffset(offset, b[:]); status != Success || n != 2 {
		return m, InvalidPacket
	}
	m.topicLen = int(binary.BigEndian.Uint16(b[:]))
	if m.topicLen > remaining-2 {
		return m, InvalidPacket
	}
	m.topicOffset = offset + 2
	m.messageOffset = m.topicOffset + m.topicLen
	m.bodySize = remaining - 2 - m.topicLen
	if m.qos == 1 || m.qos == 2 {
		if m.bodySize < 2 {
			return m, InvalidPacket
		}
		m.messageOffset += 2
		m.bodySize -= 2
	}
	return m, Success
}

// event fills in what the trace says about a message.
func (m publication) event(p *nic.Packet, e trace.Event) trace.Event {
	topic, body := make([]byte, m.topicLen), make([]byte, m.bodySize)
	p.ExtractOffset(m.topicOffset, topic)
	p.ExtractOffset(m.messageOffset, body)
	e.Topic, e.QoS, e.Dup, e.Retain, e.Len = string(topic), m.qos, m.dup, m.retain, m.bodySize
	e.Hash = trace.MessageHash(e.Topic, body)
	return e
}

// processPublish is _nxd_mqtt_process_publish. It reports true if it has taken
// the chain, with all that is behind the message.
func (c *Client) processPublish(p *nic.Packet, header byte, remaining, offset int) bool {
	qos := header >> 1 & 3
	var b [2]byte
	n, status := p.ExtractOffset(offset, b[:])
	topicLen := int(binary.BigEndian.Uint16(b[:]))
	if remaining < 2 || status != Success || n != 2 || topicLen > remaining-2 {
		return c.malformedPublish(p, "topic longer than the message")
	}
	enqueue, id := true, uint16(0)
	if qos != 0 {
		// NetX reads the identifier even if it lies in the next message.
		if _, status := p.ExtractOffset(offset+2+topicLen, b[:]); status != Success ||
			remaining < topicLen+4 && !c.quirks.MalformedPublishLeak {
			return c.malformedPublish(p, "no room for the packet identifier")
		}
		id = binary.BigEndian.Uint16(b[:])
		enqueue = !c.hasPubrec(id)
		if c.fixed != nil {
			enqueue = qos != 2 || c.firstOf(p, id)
		}
	}
	taken := false
	if enqueue {
		queued := p
		if p.Len() > offset+remaining {
			queued = c.copyMessage(p, offset+remaining, id)
		} else {
			taken = true
		}
		switch {
		case queued != nil:
			queued.SetHolder("mqtt receive queue")
			c.rx = append(c.rx, queued)
			c.announce(queued, id)
		case c.quirks.CopyDrop:
			return false
		default:
			taken = true
			c.stalled = p
			p.SetHolder("mqtt receive queue")
			c.announce(p, id)
		}
	}
	if qos != 0 {
		c.acknowledge(qos, id)
	}
	return taken
}

// malformedPublish drops a message. NetX returns its error code where a "packet
// taken" is expected, and so loses the packet.
func (c *Client) malformedPublish(p *nic.Packet, why string) bool {
	c.dropMalformed(p, "PUBLISH: "+why)
	if c.quirks.MalformedPublishLeak {
		p.SetHolder("leaked: malformed publish")
		return true
	}
	return false
}

func (c *Client) dropMalformed(p *nic.Packet, why string) {
	c.emit(trace.Event{Kind: trace.KindDrop, Stage: "mqtt", Reason: trace.DropMalformedMQTT, Len: p.Len(), Text: why})
}

// copyMessage copies a message of n bytes that has others behind it in its
// chain, without waiting. If no packet is free it returns nil, and NetX goes on
// with the next message as if this one had not been.
func (c *Client) copyMessage(p *nic.Packet, n int, id uint16) *nic.Packet {
	var copied *nic.Packet
	var status Status
	if c.quirks.CopyWholeRest {
		copied, status = p.Copy(c.pool, rtos.NoWait)
	} else {
		copied, status = c.copyFront(p, n)
	}
	if status == Success {
		return copied
	}
	if m, bad := parsePublish(p); bad == Success && c.quirks.CopyDrop {
		e := m.event(p, trace.Event{Kind: trace.KindDrop, Stage: "mqtt", Reason: trace.DropPublishCopy, Text: status.String()})
		e.ID = id
		c.emit(e)
	}
	return nil
}

// copyFront copies the first n bytes of a chain alone.
func (c *Client) copyFront(p *nic.Packet, n int) (*nic.Packet, Status) {
	copied, status := c.pool.Allocate(nic.Receive, rtos.NoWait)
	if status != Success {
		return nil, status
	}
	b := make([]byte, n)
	p.ExtractOffset(0, b)
	if status := copied.Append(b, c.pool, rtos.NoWait); status != Success {
		copied.Release()
		return nil, status
	}
	return copied, Success
}

// announce tells the application of a message, before anything is acknowledged.
func (c *Client) announce(p *nic.Packet, id uint16) {
	depth := c.ReceiveDepth()
	if m, status := parsePublish(p); status == Success {
		e := m.event(p, trace.Event{Kind: trace.KindReceived, Count: int64(depth)})
		e.ID = id
		c.emit(e)
	}
	if c.receiveNotify != nil {
		c.callback("receive_notify", func() { c.receiveNotify(c, depth) })
	}
}

// unstall goes on behind a message for whose copy no packet was free, if it was
// read meanwhile or there is a packet now, and reports whether nothing is in
// the way any more.
func (c *Client) unstall() bool {
	if p := c.stalled; p != nil {
		m, _ := parsePublish(p)
		n := m.messageOffset + m.bodySize
		if c.pool.Free()*c.pool.Payload() < n {
			return false
		}
		copied, status := c.copyFront(p, n)
		if status != Success {
			return false
		}
		copied.SetHolder("mqtt receive queue")
		c.rx = append(c.rx, copied)
		c.passStalled(m)
	}
	if p := c.resume; p != nil {
		c.resume = nil
		c.parse(p)
	}
	return c.stalled == nil
}

// passStalled leaves what is behind the stalled message to be parsed.
func (c *Client) passStalled(m publication) {
	c.resume = c.stalled.Advance(m.messageOffset+m.bodySize, c.quirks.ChainTailLost)
	c.stalled = nil
}
