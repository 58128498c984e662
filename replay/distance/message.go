package distance

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"hilnet/mqtt/codec"
	"hilnet/pcaps/flow"
	"hilnet/sim"
)

// A session is what is known of the MQTT session on a connection.
type session struct {
	begun          bool
	begunAt        sim.Time // CONNACK
	said           bool
	saidAt         sim.Time // the device's last message
	pinged         bool     // PINGREQ without PINGRESP
	pingedAt       sim.Time
	disconnected   bool
	disconnectedAt sim.Time
	inbound        []inbound // that wants an answer
}

// An inbound is a message of the peer that wants an answer.
type inbound struct {
	what   string
	answer codec.Type
	id     uint16
	at     sim.Time
	frame  uint64
}

func (m *inbound) unanswered(r *reading) {
	r.add(Answers, sample{at: m.at, frame: m.frame, what: m.what, values: []value{{"answer", "none"}, {"identifier", "none"}}})
}

// A handler is a reading as its Table sees it.
type handler reading

// Data does nothing: segments and messages are enough.
func (h *handler) Data(*flow.Chunk) {}

// Notice does nothing: connections are found by their segments.
func (h *handler) Notice(*flow.Notice) {}

// Message takes an MQTT message of either side.
func (h *handler) Message(m *flow.Message) {
	r := (*reading)(h)
	c := r.connection(m.Conversation)
	if c == nil {
		return
	}
	if m.Side == c.device {
		c.says(r, m)
		c.mqtt.said, c.mqtt.saidAt = true, m.FirstAt
	} else {
		c.isTold(r, m)
	}
}

// says takes a message of the device.
func (c *connection) says(r *reading, m *flow.Message) {
	q, body := &c.mqtt, bodyOf(m)
	s := sample{frame: m.FirstFrame, at: m.FirstAt, what: m.Type.String()}
	switch m.Type {
	case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP:
		c.answers(r, m, &s, body)
		return
	case codec.PINGREQ:
		if q.said {
			s.after, s.timed = m.FirstAt.Sub(q.saidAt), true
		}
		q.pinged, q.pingedAt = true, m.FirstAt
		r.add(Pings, s)
		return
	case codec.DISCONNECT:
		q.disconnected, q.disconnectedAt = true, m.FirstAt
	case codec.CONNECT:
		s.values = r.connectValues(body)
		if c.synAcked {
			s.after, s.timed = m.FirstAt.Sub(c.synAck), true
		}
	case codec.PUBLISH:
		topic, rest := text(body)
		s.what += fmt.Sprintf(" %q", topic)
		dup, retain := "no", "no"
		if m.Flags&8 != 0 {
			dup = "yes"
		}
		if m.Flags&1 != 0 {
			retain = "yes"
		}
		s.values = []value{number("QoS", int64(m.Flags>>1&3)), {"DUP", dup}, {"retain", retain}}
		if m.Flags&6 != 0 && len(rest) >= 2 {
			s.values = append(s.values, number("identifier", int64(binary.BigEndian.Uint16(rest))))
			rest = rest[2:]
		}
		s.values = append(s.values, value{"payload", r.digest(rest)})
	case codec.SUBSCRIBE, codec.UNSUBSCRIBE:
		if len(body) >= 2 {
			s.values = []value{number("identifier", int64(binary.BigEndian.Uint16(body))), {"filters", r.digest(body[2:])}}
		}
	default:
		s.values = []value{{"content", r.digest(body)}}
	}
	if m.Type != codec.CONNECT && q.begun {
		s.after, s.timed = m.FirstAt.Sub(q.begunAt), true
	}
	r.add(Messages, s)
}

// connectValues are what a client asks for.
func (r *reading) connectValues(body []byte) []value {
	name, rest := text(body)
	if len(rest) < 4 {
		return []value{{"content", r.digest(body)}}
	}
	const keepAlive = 2 // behind level and flags
	v := []value{
		{"protocol", fmt.Sprintf("%q %d", name, rest[0])}, {"flags", fmt.Sprintf("0x%02x", rest[1])},
		number("keep alive", int64(binary.BigEndian.Uint16(rest[keepAlive:]))),
	}
	return append(v, value{"rest", r.digest(rest[4:])})
}

// answers takes a message that answers one of the peer: the one with its identifier,
// else the oldest of its kind.
func (c *connection) answers(r *reading, m *flow.Message, s *sample, body []byte) {
	q, id := &c.mqtt, uint16(0)
	if len(body) >= 2 {
		id = binary.BigEndian.Uint16(body)
	}
	at := -1
	for i := range q.inbound {
		if x := &q.inbound[i]; x.answer == m.Type && (x.id == id || at < 0) {
			if at = i; x.id == id {
				break
			}
		}
	}
	if at < 0 {
		s.what = "nothing"
		s.values = []value{{"answer", m.Type.String()}, {"identifier", "unknown"}}
		s.unasked = true
		r.add(Answers, *s)
		return
	}
	x := q.inbound[at]
	q.inbound = append(q.inbound[:at], q.inbound[at+1:]...)
	same := "the same"
	if x.id != id {
		same = "another"
	}
	s.what, s.values = x.what, []value{{"answer", m.Type.String()}, {"identifier", same}}
	s.after, s.timed = m.FirstAt.Sub(x.at), true
	r.add(Answers, *s)
}

// isTold takes a message of the peer.
func (c *connection) isTold(r *reading, m *flow.Message) {
	q, body := &c.mqtt, bodyOf(m)
	x := inbound{what: m.Type.String(), at: m.ReadyAt, frame: m.ReadyFrame}
	switch m.Type {
	case codec.CONNACK:
		q.begun, q.begunAt = true, m.ReadyAt
		return
	case codec.PINGRESP:
		q.pinged = false
		return
	case codec.PUBLISH:
		_, body = text(body)
		switch m.Flags >> 1 & 3 {
		case 1:
			x.what, x.answer = "PUBLISH QoS 1", codec.PUBACK
		case 2:
			x.what, x.answer = "PUBLISH QoS 2", codec.PUBREC
		default:
			return
		}
	case codec.PUBREC:
		x.answer = codec.PUBREL
	case codec.PUBREL:
		x.answer = codec.PUBCOMP
	default:
		return
	}
	if len(body) >= 2 {
		x.id = binary.BigEndian.Uint16(body)
	}
	if len(q.inbound) == maxInbound {
		r.notRead(fmt.Sprintf("a message of the peer that waits for its answer while %d others do, taken for one without", maxInbound), 1)
		q.inbound[0].unanswered(r)
		q.inbound = append(q.inbound[:0], q.inbound[1:]...)
	}
	r.keep(1)
	q.inbound = append(q.inbound, x)
}

// bodyOf is what follows the fixed header, as far as the capture has it.
func bodyOf(m *flow.Message) []byte {
	for i := 1; i < len(m.Raw) && i <= 4; i++ {
		if m.Raw[i]&0x80 == 0 {
			return m.Raw[i+1:]
		}
	}
	return nil
}

// maxText is how much of a text is shown.
const maxText = 128

// clip cuts a long text, which its digest tells from others.
func clip(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "\uFFFD") + "... " + digest([]byte(s))
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// text takes a string with a length off b; without a whole one it is empty.
func text(b []byte) (s string, rest []byte) {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) > len(b)-2 {
		return "", b
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	return clip(string(b[2:n])), b[n:]
}

// digest is what the contents of messages are compared by.
func (r *reading) digest(b []byte) string {
	if r.config.Contents {
		return digest(b)
	}
	return fmt.Sprintf("%d bytes", len(b))
}

// digest is the number of bytes and what tells them from others.
func digest(b []byte) string {
	const shown = 4
	sum := sha256.Sum256(b)
	return fmt.Sprintf("%d bytes %x", len(b), sum[:shown])
}
