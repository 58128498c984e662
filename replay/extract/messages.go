package extract

import (
	"encoding/binary"

	"hilnet/mqtt/codec"
)

// bodyOf is what follows the fixed header.
func bodyOf(raw []byte) []byte {
	for i := 1; i < len(raw) && i <= 4; i++ {
		if raw[i]&0x80 == 0 {
			return raw[i+1:]
		}
	}
	return nil
}

// text reads a string with a length.
func text(b []byte) (string, []byte) {
	if len(b) < 2 {
		return "", nil
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-2 {
		return "", nil
	}
	return string(b[2 : 2+n]), b[2+n:]
}

// properties skips those of MQTT 5.
func properties(b []byte, version byte) []byte {
	const v5 = 5
	if version != v5 {
		return b
	}
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil
	}
	return b[used+int(n):]
}

// connect reads a CONNECT.
func (s *session) connect(body []byte) {
	_, rest := text(body)
	if len(rest) < 4 {
		return
	}
	const clean, hasWill, willRetain, hasPassword, hasUser = 2, 4, 32, 64, 128
	flags := rest[1]
	s.version, s.keepalive, s.clean = rest[0], binary.BigEndian.Uint16(rest[2:]), flags&clean != 0
	rest = properties(rest[4:], s.version)
	s.clientID, rest = text(rest)
	if flags&hasWill != 0 {
		w := &will{qos: flags >> 3 & 3, retain: flags&willRetain != 0}
		rest = properties(rest, s.version)
		w.topic, rest = text(rest)
		var m string
		m, rest = text(rest)
		w.message = len(m)
		if w.topic != "" {
			s.will = w
		}
	}
	if flags&hasUser != 0 {
		s.user, rest = text(rest)
		s.hasUser = s.user != ""
	}
	if flags&hasPassword != 0 {
		m, _ := text(rest)
		s.password = len(m)
	}
}

// publish reads a PUBLISH, and whether it is one that came again.
func publish(m *message, body []byte, version byte) (p publication, dup bool) {
	p.qos, p.retain = m.Flags>>1&3, m.Flags&1 != 0
	var rest []byte
	p.topic, rest = text(body)
	p.size = len(rest) + m.Len - len(m.raw)
	if p.qos > 0 {
		p.size = max(0, p.size-2)
		rest = rest[min(2, len(rest)):]
	}
	p.size = max(0, p.size-(len(rest)-len(properties(rest, version))))
	if p.topic == "" {
		p.topic = "unknown"
	}
	return p, m.Flags&8 != 0
}

// filters reads the topic filters of SUBSCRIBE and UNSUBSCRIBE.
func filters(body []byte, t codec.Type, version byte) (all []publication) {
	if len(body) < 2 {
		return nil
	}
	for rest := properties(body[2:], version); len(rest) > 2; {
		var p publication
		if p.topic, rest = text(rest); p.topic == "" {
			return all
		}
		if t == codec.SUBSCRIBE {
			if len(rest) == 0 {
				return all
			}
			p.qos, rest = min(rest[0]&3, 2), rest[1:]
		}
		all = append(all, p)
	}
	return all
}
