package mqtt

import (
	"hilnet/nic"
	"hilnet/trace"
)

// MessageGet copies the oldest waiting message into the two buffers and
// releases its packets: nxd_mqtt_client_message_get. It returns NoMessage if
// there is none. If topic or payload do not fit it returns
// InsufficientBufferSpace and the message stays where it is, in the way of all
// behind it.
func (c *Client) MessageGet(topic, message []byte) (topicLen, messageLen int, status Status) {
	if topic == nil || message == nil {
		return 0, 0, InvalidParameter
	}
	c.enter("MessageGet") // NetX does not look at the result
	defer c.mutex.Put()
	for len(c.rx) > 0 {
		p := c.rx[0]
		m, status := parsePublish(p)
		if status == Success {
			topicLen, messageLen, status = c.extract(p, m, topic, message)
			if status != Success {
				return 0, 0, status
			}
		} else {
			c.dropMalformed(p, "PUBLISH in the receive queue")
		}
		c.rx[0] = nil
		c.rx = c.rx[1:]
		p.Release()
		if status == Success {
			return topicLen, messageLen, Success
		}
	}
	return c.getStalled(topic, message)
}

// getStalled reads the message that could not be copied into the queue where it
// lies.
func (c *Client) getStalled(topic, message []byte) (topicLen, messageLen int, status Status) {
	p := c.stalled
	if p == nil {
		return 0, 0, NoMessage
	}
	m, _ := parsePublish(p)
	if topicLen, messageLen, status = c.extract(p, m, topic, message); status == Success {
		c.passStalled(m)
		c.events.Set(eventPacketReceive)
	}
	return topicLen, messageLen, status
}

// extract copies a message into the application's buffers.
func (c *Client) extract(p *nic.Packet, m publication, topic, message []byte) (topicLen, messageLen int, status Status) {
	if len(topic) < m.topicLen || len(message) < m.bodySize {
		c.emit(m.event(p, trace.Event{Kind: trace.KindMessageGet, Status: uint32(InsufficientBufferSpace)}))
		return 0, 0, InsufficientBufferSpace
	}
	topicLen, _ = p.ExtractOffset(m.topicOffset, topic[:m.topicLen])
	messageLen, _ = p.ExtractOffset(m.messageOffset, message[:m.bodySize])
	c.emit(m.event(p, trace.Event{Kind: trace.KindMessageGet}))
	return topicLen, messageLen, Success
}
