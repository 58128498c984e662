package codec

import "fmt"

// Type is the control packet type, the high four bits of the first byte
// (MQTT 3.1.1 table 2.1). 0 and 15 are reserved.
type Type uint8

// The 14 control packet types.
const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
)

var typeNames = [16]string{
	"RESERVED0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "RESERVED15",
}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

const (
	// MaxRemainingLength is the largest value that the four bytes of a
	// remaining length can hold (section 2.2.3).
	MaxRemainingLength = 268_435_455
	// MaxHeader is the size of the longest fixed header.
	MaxHeader = 5
	// MaxPacket is the size of the longest control packet.
	MaxPacket = MaxHeader + MaxRemainingLength
	// MaxString is the size of the longest string or binary field.
	MaxString = 65_535
)

// Header is a fixed header as it stands on the wire, not judged.
type Header struct {
	Type      Type
	Flags     uint8 // low four bits of the first byte
	Remaining int   // remaining length: bytes after the header
	Size      int   // bytes of the header itself, 2 to 5
}

// Len returns the size of the whole packet in bytes.
func (h Header) Len() int { return h.Size + h.Remaining }

// ParseHeader reads the fixed header at the start of b. It judges neither the
// type nor the flags. ok is false, with a nil error, when b ends within the
// header. The only error is a remaining length of more than four bytes.
//
// A remaining length may be written with more bytes than it needs: the
// standard does not forbid it before MQTT 5.
func ParseHeader(b []byte) (h Header, ok bool, err error) {
	if len(b) == 0 {
		return Header{}, false, nil
	}
	h = Header{Type: Type(b[0] >> 4), Flags: b[0] & 0x0F}
	for i := 1; i < MaxHeader; i++ {
		if i >= len(b) {
			return h, false, nil
		}
		h.Remaining |= int(b[i]&0x7F) << (7 * (i - 1))
		if b[i]&0x80 == 0 {
			h.Size = i + 1
			return h, true, nil
		}
	}
	return h, false, &Error{Type: h.Type, Clause: "[section 2.2.3]", Offset: MaxHeader - 1,
		Text: "remaining length has more than four bytes"}
}

// Raw is a whole packet of which nothing but the framing has been looked at.
type Raw struct {
	Header
	Body []byte // what follows the fixed header; len(Body) == Remaining
}

// ParseRaw cuts the first packet off b without judging its type, flags or
// contents. ok is false, with a nil error, when b does not hold all of it.
func ParseRaw(b []byte) (r Raw, ok bool, err error) {
	h, ok, err := ParseHeader(b)
	if !ok || len(b) < h.Len() {
		return Raw{Header: h}, false, err
	}
	return Raw{Header: h, Body: b[h.Size:h.Len()]}, true, nil
}

// Frame says where the first packet of the stream b ends: n > 0 is its size
// and b[:n] is all of it; n == 0 with a nil error asks for more bytes. An
// error is final: the stream cannot be cut any further and the connection must
// be closed [MQTT-4.8.0-1].
//
// Frame refuses a packet longer than max bytes as soon as its header is there
// (errors.Is ErrTooLarge), and a reserved type or wrong flags at their first
// byte, so a caller never has to hold more than max bytes. max <= 0 means
// MaxPacket.
func Frame(b []byte, max int) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	if err := checkFirstByte(b[0]); err != nil {
		return 0, err
	}
	h, ok, err := ParseHeader(b)
	if !ok {
		return 0, err
	}
	if max > 0 && h.Len() > max {
		return 0, &Error{Type: h.Type, Clause: "[section 2.2.3]", Offset: 1, Err: ErrTooLarge,
			Text: fmt.Sprintf("packet of %d bytes is larger than the limit of %d", h.Len(), max)}
	}
	if len(b) < h.Len() {
		return 0, nil
	}
	return h.Len(), nil
}

// checkFirstByte applies section 2.2.1 and table 2.2 to the first byte.
func checkFirstByte(b byte) error {
	t, flags := Type(b>>4), b&0x0F
	fail := func(clause, text string) error { return &Error{Type: t, Clause: clause, Text: text} }
	switch t {
	case 0, 15:
		return fail("[section 2.2.1]", "reserved packet type")
	case PUBLISH:
		switch {
		case flags&0x06 == 0x06:
			return fail("[MQTT-3.3.1-4]", "QoS 3")
		case flags&0x0E == 0x08:
			return fail("[MQTT-3.3.1-2]", "DUP set on QoS 0")
		}
	case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
		if flags != 0x02 {
			clause := "[MQTT-3.6.1-1]"
			if t == SUBSCRIBE {
				clause = "[MQTT-3.8.1-1]"
			} else if t == UNSUBSCRIBE {
				clause = "[MQTT-3.10.1-1]"
			}
			return fail(clause, "reserved header flags are not 0010")
		}
	case DISCONNECT:
		if flags != 0 {
			return fail("[MQTT-3.14.1-1]", "reserved header flags are not zero")
		}
	default:
		if flags != 0 {
			return fail("[MQTT-2.2.2-2]", "reserved header flags are not zero")
		}
	}
	return nil
}

// AppendHeader appends a fixed header with the shortest remaining length. It
// panics when remaining is negative or beyond MaxRemainingLength.
func AppendHeader(dst []byte, t Type, flags uint8, remaining int) []byte {
	if remaining < 0 || remaining > MaxRemainingLength {
		panic(fmt.Sprintf("codec: remaining length %d", remaining))
	}
	dst = append(dst, byte(t)<<4|flags&0x0F)
	for remaining >= 0x80 {
		dst = append(dst, byte(remaining)|0x80)
		remaining >>= 7
	}
	return append(dst, byte(remaining))
}
