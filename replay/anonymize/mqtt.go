package anonymize

import (
	"encoding/binary"
	"slices"

	"hilnet/mqtt/codec"
	"hilnet/pcaps/flow"
)

// A body is the replacement of a message while it is made. What cannot be read stays
// zeros.
type body struct {
	a       *Anonymizer
	in, out []byte
	at      int
	failed  bool
	v5      bool
}

// message plans the replacement of an MQTT message: MQTT 3.1, 3.1.1, 5.0 chapter 3.
func (s *survey) message(p *plan, m *flow.Message) {
	s.a.report.Messages++
	b, payload := s.a.body(m, m.Version == 5)
	if m.Version == 0 && payload < 0 && (b.failed || b.left() > 0) {
		// The CONNECT was not seen, and these are no packets of MQTT 3.
		if five, _ := s.a.body(m, true); !five.failed {
			b = five
		}
	}
	known := b.at
	if payload >= 0 {
		known = payload
	}
	s.literal(p, m.Offset, b.out[:known])
	switch {
	case payload >= 0:
		s.letters(p, m.Offset+int64(payload), m.Len-payload, m.Raw[payload:])
	case m.Len > known:
		s.a.report.zero(reasonMQTT, m.Len-known)
	}
}

// body replaces a message as far as it can be read; payload is where that of a PUBLISH
// begins, or -1.
func (a *Anonymizer) body(m *flow.Message, v5 bool) (b *body, payload int) {
	b = &body{a: a, in: m.Raw, out: make([]byte, min(len(m.Raw), maxPrefix)), v5: v5}
	b.copy(len(fixedHeader(m.Raw)))
	payload = -1
	switch m.Type {
	case codec.CONNECT:
		b.connect()
	case codec.CONNACK:
		b.copy(2)
		b.properties(v5)
	case codec.PUBLISH:
		b.text()
		if m.Flags&6 != 0 {
			b.copy(2)
		}
		b.properties(v5)
		if !b.failed {
			payload = b.at
		}
	case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP:
		b.copy(2)
		if b.left() > 0 && v5 {
			b.copy(1)
			b.properties(b.left() > 0)
		}
	case codec.SUBSCRIBE, codec.UNSUBSCRIBE:
		b.copy(2)
		b.properties(v5)
		for b.left() > 0 && !b.failed {
			b.text()
			if m.Type == codec.SUBSCRIBE {
				b.copy(1)
			}
		}
	case codec.SUBACK, codec.UNSUBACK:
		b.copy(2)
		b.properties(v5)
		if !slices.ContainsFunc(b.in[b.at:], func(c byte) bool { return c > 2 && c < 0x80 || c > 0xa2 }) {
			b.copy(b.left()) // return codes: nothing else
		}
	case codec.PINGREQ, codec.PINGRESP:
	default: // DISCONNECT, and AUTH of MQTT 5
		if b.left() > 0 && v5 {
			b.copy(1)
			b.properties(b.left() > 0)
		}
	}
	return b, payload
}

// maxPrefix bounds the bytes of a message in front of its payload.
const maxPrefix = 256 << 10

func (b *body) left() int { return len(b.in) - b.at }

// has reports whether n bytes more are there, and notes when not.
func (b *body) has(n int) bool {
	if b.failed || n < 0 || b.at+n > len(b.in) || b.at+n > len(b.out) {
		b.failed = true
	}
	return !b.failed
}

// copy keeps n bytes.
func (b *body) copy(n int) {
	if b.has(n) {
		b.at += copy(b.out[b.at:b.at+n], b.in[b.at:])
	}
}

// skip leaves n bytes zero.
func (b *body) skip(n int) {
	if b.has(n) {
		b.at += n
	}
}

// string keeps a length and returns the bytes behind it, of which it is the caller's to
// write the replacement.
func (b *body) string() (in, out []byte) {
	if !b.has(2) {
		return nil, nil
	}
	n := int(binary.BigEndian.Uint16(b.in[b.at:]))
	if !b.has(2 + n) {
		return nil, nil
	}
	b.copy(2)
	in, out = b.in[b.at:b.at+n], b.out[b.at:b.at+n]
	b.at += n
	return in, out
}

// text replaces a string by words.
func (b *body) text() {
	in, out := b.string()
	if len(in) > 0 {
		b.a.report.Texts++
		copy(out, b.a.text(in))
	}
}

// binary replaces bytes with a length by letters.
func (b *body) binary() {
	in, out := b.string()
	if len(in) > 0 {
		b.a.report.Texts++
		seed := b.a.secret.random(domainPayload, in)
		b.a.secret.letters(out, seed[:seedLen], 0)
	}
}

func (b *body) connect() {
	name, out := b.string()
	if string(name) != "MQTT" && string(name) != "MQIsdp" || !b.has(4) {
		b.failed = true
		return
	}
	copy(out, name)
	level, flags := b.in[b.at], b.in[b.at+1]
	b.v5 = level == 5
	b.copy(4)
	b.properties(b.v5)
	b.text()
	if flags&0x04 != 0 { // will
		b.properties(b.v5)
		b.text()
		b.binary()
	}
	if flags&0x80 != 0 {
		b.text()
	}
	if flags&0x40 != 0 {
		b.binary()
	}
}

// properties replaces the properties of MQTT 5: section 2.2.2.
func (b *body) properties(present bool) {
	if !present || b.failed {
		return
	}
	n, used := binary.Uvarint(b.in[b.at:min(len(b.in), b.at+4)])
	if used <= 0 || n > uint64(b.left()-used) {
		b.failed = true
		return
	}
	b.copy(used)
	whole := b.in
	b.in = b.in[:b.at+int(n)]
	end := len(b.in)
	for b.left() > 0 && !b.failed {
		kind := b.in[b.at]
		b.copy(1)
		switch kind {
		case 0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a:
			b.copy(1)
		case 0x13, 0x21, 0x22, 0x23:
			b.copy(2)
		case 0x02, 0x11, 0x18, 0x27:
			b.copy(4)
		case 0x0b: // subscription identifier
			_, used := binary.Uvarint(b.in[b.at:])
			b.copy(max(used, 1))
		case 0x03, 0x08, 0x12, 0x15, 0x1a, 0x1c, 0x1f:
			b.text()
		case 0x09, 0x16:
			b.binary()
		case 0x26: // user property
			b.text()
			b.text()
		default:
			b.failed = true
		}
	}
	b.in = whole
	if b.failed && end <= len(b.out) { // the rest of the properties stays zeros
		b.a.report.zero(reasonMQTT, end-b.at)
		b.at, b.failed = end, false
	}
}
