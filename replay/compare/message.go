package compare

import (
	"encoding/binary"
	"fmt"
	"strings"

	"hilnet/mqtt/codec"
	"hilnet/pcaps/flow"
)

const maxTopic = 128 // of a topic that is shown

// Message notes an MQTT message.
func (r *reading) Message(m *flow.Message) {
	c := r.byID[m.Conversation.ID]
	if m.Missing > 0 {
		r.Incomplete++
	} else if m.Truncated() {
		r.LongMessages++
	}
	const dup = 8
	i := item{frame: m.FirstFrame, at: m.ReadyAt - c.of.First, side: m.Side, shape: uint16(m.Type)<<8 | uint16(m.Flags)}
	if m.Type == codec.PUBLISH {
		i.shape &^= dup
		i.set(FieldDup, uint64(m.Flags&dup))
	}
	i.set(FieldLength, uint64(m.Len))
	i.set(FieldPorts, uint64(c.of.Half(m.Side).Addr.Port())<<16|uint64(c.of.Half(m.Side.Peer()).Addr.Port()))
	i.set(FieldAddress, hash(c.of.Half(m.Side).Addr.Addr().AsSlice(), c.of.Half(m.Side.Peer()).Addr.Addr().AsSlice()))
	body := bodyOf(m)
	switch m.Type {
	case codec.CONNECT:
		before, id, after := clientID(body)
		c.clientID = string(id)
		i.topic = shown(id)
		i.set(FieldClient, hash(id))
		i.set(FieldPayload, hash(before, after))
	case codec.PUBLISH:
		topic, rest := text(body)
		i.topic = shown(topic)
		i.set(FieldTopic, hash(topic))
		if m.Flags&6 != 0 && len(rest) >= 2 {
			i.set(FieldID, uint64(binary.BigEndian.Uint16(rest)))
			rest = rest[2:]
		}
		i.set(FieldPayload, hash(rest))
	case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.SUBSCRIBE, codec.SUBACK, codec.UNSUBSCRIBE, codec.UNSUBACK:
		if len(body) >= 2 {
			i.set(FieldID, uint64(binary.BigEndian.Uint16(body)))
			body = body[2:]
		}
		i.set(FieldPayload, hash(body))
	default:
		i.set(FieldPayload, hash(body))
	}
	if r.config.By != SegmentsOnly {
		r.add(c, messages, i)
	}
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

// text takes a string with a length off b; without a whole one it is empty.
func text(b []byte) (s, rest []byte) {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) > len(b)-2 {
		return nil, b
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	return b[2:n], b[n:]
}

// clientID finds the client identifier in the body of a CONNECT.
func clientID(body []byte) (before, id, after []byte) {
	_, rest := text(body)
	if len(rest) < 4 {
		return body, nil, nil
	}
	level := rest[0]
	rest = rest[4:]
	if level == 5 { // properties
		n, used := binary.Uvarint(rest)
		if used <= 0 || n > uint64(len(rest)-used) {
			return body, nil, nil
		}
		rest = rest[used+int(n):]
	}
	id, after = text(rest)
	return body[:len(body)-len(rest)], id, after
}

func shown(b []byte) string {
	return strings.ToValidUTF8(string(b[:min(len(b), maxTopic)]), "\uFFFD")
}

// messageText describes a message.
func (i *item) messageText() string {
	t := codec.Type(i.shape >> 8)
	out := t.String()
	if id := i.get(FieldID); id != 0 {
		out += fmt.Sprintf(" %d", id)
	}
	if t == codec.PUBLISH || t == codec.CONNECT {
		out += fmt.Sprintf(" %q", i.topic)
	}
	if t == codec.PUBLISH {
		out += fmt.Sprintf(" QoS %d", i.shape>>1&3)
		if i.shape&1 != 0 {
			out += " retain"
		}
		if i.get(FieldDup) != 0 {
			out += " DUP"
		}
	}
	return out + fmt.Sprintf(", %d bytes", i.get(FieldLength))
}
