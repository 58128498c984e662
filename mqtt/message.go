package mqtt

import (
	"fmt"

	"hilnet/nic"
	"hilnet/trace"
)

// MessageGet copies the oldest waiting message into the two buffers and
// releases its packets: nxd_mqtt_client_message_get. It returns NoMessage if
// there is none. If topic or payload do not fit it returns
// InsufficientBufferSpace, and with the quirk SmallBufferBlocks the message stays
// where it is, in the way of all behind it. Without it what fits is copied, the
// message has left the queue, and the lengths are the message's own.
func (c *Client) MessageGet(topic, message []byte) (topicLen, messageLen int, status Status) {
	if topic == nil || message == nil {
		return 0, 0, InvalidParameter
	}
	c.enter("MessageGet") // NetX does not look at the result
	defer c.mutex.Put()
	for len(c.rx) > 0 {
		p := c.rx[0]
		m, status := parsePublish(p)
		taken := false
		if status == Success {
			topicLen, messageLen, status = c.extract(p, m, topic, message)
			if status != Success && c.quirks.SmallBufferBlocks {
				return 0, 0, status
			}
			taken = true
		} else {
			c.dropMalformed(p, "PUBLISH in the receive queue")
		}
		c.rx[0] = nil
		c.rx = c.rx[1:]
		p.Release()
		if taken {
			return topicLen, messageLen, status
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
	topicLen, messageLen, status = c.extract(p, m, topic, message)
	if status == Success || !c.quirks.SmallBufferBlocks {
		c.passStalled(m)
		c.events.Set(eventPacketReceive)
	}
	return topicLen, messageLen, status
}

// DropCut: what did not fit the buffers of message_get.
const DropCut trace.DropReason = "buffer_too_small"

// TextBlocked is the text of a message_get event that left its message where it
// was.
const TextBlocked = "does not fit the buffers, and stays in the way"

// extract copies a message into the application's buffers. Where it does not fit,
// NetX copies nothing; without the quirk it is what fits.
func (c *Client) extract(p *nic.Packet, m publication, topic, message []byte) (topicLen, messageLen int, status Status) {
	e := trace.Event{Kind: trace.KindMessageGet}
	if len(topic) < m.topicLen || len(message) < m.bodySize {
		status = InsufficientBufferSpace
		e.Status = uint32(status)
		if c.quirks.SmallBufferBlocks {
			e.Text = TextBlocked
			c.emit(m.event(p, e))
			return 0, 0, status
		}
		e.Text = "cut to the buffers"
		lost := max(m.topicLen-len(topic), 0) + max(m.bodySize-len(message), 0)
		c.emit(m.event(p, trace.Event{
			Kind: trace.KindDrop, Stage: "mqtt rx queue", Reason: DropCut,
			Text: fmt.Sprintf("%d of %d bytes of topic and message", lost, m.topicLen+m.bodySize),
		}))
	}
	p.ExtractOffset(m.topicOffset, topic[:min(m.topicLen, len(topic))])
	p.ExtractOffset(m.messageOffset, message[:min(m.bodySize, len(message))])
	c.emit(m.event(p, e))
	return m.topicLen, m.bodySize, status
}
