package play

import (
	"fmt"

	"hilnet/mqtt/codec"
	"hilnet/replay/script"
)

// answer sends what MQTT demands in answer to a packet that was not recorded.
func (s *session) answer(f *script.Fields, raw []byte) {
	if s.conn == nil || s.closed {
		return
	}
	if out := respond(f, raw, s.version, s.player.cfg.As); out != nil {
		s.conn.Write(out, []int{len(out)})
		s.report.Answered++
	}
}

// respond makes the answer, nil when none is due.
func respond(f *script.Fields, raw []byte, version uint8, as script.Role) []byte {
	id := script.IDOf(raw)
	codes := func(t codec.Type, list []byte) []byte {
		body := []byte{byte(id >> 8), byte(id)}
		if version >= 5 {
			body = append(body, 0) // no properties
		}
		body = append(body, list...)
		return append(codec.AppendHeader(nil, t, 0, len(body)), body...)
	}
	switch {
	case f.Type == codec.PUBLISH && f.Flags>>1&3 == 1:
		return codec.AppendAck(nil, codec.PUBACK, id)
	case f.Type == codec.PUBLISH && f.Flags>>1&3 == 2:
		return codec.AppendAck(nil, codec.PUBREC, id)
	case f.Type == codec.PUBREC:
		return codec.AppendAck(nil, codec.PUBREL, id)
	case f.Type == codec.PUBREL:
		return codec.AppendAck(nil, codec.PUBCOMP, id)
	case as == script.Client:
		return nil
	case f.Type == codec.PINGREQ:
		return codec.AppendEmpty(nil, codec.PINGRESP)
	case f.Type == codec.CONNECT:
		return connack(version, 0)
	case f.Type == codec.SUBSCRIBE:
		var granted []byte
		for _, filter := range f.Filters {
			granted = append(granted, filter.Options&3)
		}
		return codes(codec.SUBACK, granted)
	case f.Type == codec.UNSUBSCRIBE && version >= 5:
		return codes(codec.UNSUBACK, make([]byte, len(f.Filters)))
	case f.Type == codec.UNSUBSCRIBE:
		return codes(codec.UNSUBACK, nil)
	}
	return nil
}

// describe names a packet.
func describe(f *script.Fields) string {
	name := script.TypeName(f.Type)
	if f.HasID {
		name = fmt.Sprintf("%s %d", name, f.ID)
	}
	if f.Type == codec.PUBLISH {
		return fmt.Sprintf("%s QoS %d %s", name, f.Flags>>1&3, text(f.Topic))
	}
	return name
}
