package script

import (
	"encoding/binary"
	"errors"
	"slices"

	"hilnet/mqtt/codec"
)

// Auth is the packet type that MQTT 5 has beyond 3.1.1.
const Auth codec.Type = 15

// ErrFields says that a packet is not built as its type demands.
var ErrFields = errors.New("script: malformed MQTT packet")

// Fields are the parts of a packet of MQTT 3.1, 3.1.1 or 5 that a player changes
// or compares. What they hold is not judged.
type Fields struct {
	Type       codec.Type
	Flags      uint8
	ID         uint16
	HasID      bool
	Properties []byte // MQTT 5: the list without its length
	Topic      []byte // PUBLISH
	Payload    []byte // PUBLISH
	Codes      []byte // return or reason codes
	Filters    []Filter

	Connect Connect
}

// A Filter is a topic filter with its options, which UNSUBSCRIBE does not have.
type Filter struct {
	Topic   []byte
	Options byte
}

// A Connect is what is in a CONNECT.
type Connect struct {
	Protocol       []byte
	Level          uint8
	Flags          uint8
	KeepAlive      uint16
	ClientID       []byte
	WillProperties []byte // MQTT 5
	WillTopic      []byte
	Will           []byte
	User, Password []byte
}

// Connect flags (MQTT 3.1.1 section 3.1.2.3).
const (
	FlagWill     = 0x04
	FlagPassword = 0x40
	FlagUser     = 0x80
)

type walker struct {
	b   []byte
	bad bool
}

func (w *walker) take(n int) []byte {
	if n > len(w.b) {
		w.bad, w.b = true, nil
		return nil
	}
	v := w.b[:n:n]
	w.b = w.b[n:]
	return v
}

func (w *walker) byte() byte {
	if v := w.take(1); len(v) == 1 {
		return v[0]
	}
	return 0
}

func (w *walker) uint16() uint16 {
	if v := w.take(2); len(v) == 2 {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (w *walker) field() []byte { return w.take(int(w.uint16())) }

// properties takes a property list of MQTT 5 (section 2.2.2).
func (w *walker) properties() []byte {
	n := 0
	for i := range 4 {
		b := w.byte()
		n |= int(b&0x7F) << (7 * i)
		if b&0x80 == 0 {
			return w.take(n)
		}
	}
	w.bad = true
	return nil
}

func (w *walker) rest() []byte { return w.take(len(w.b)) }

// Parse reads a whole packet. version is the connection's protocol level; a
// CONNECT has its own.
func Parse(raw []byte, version uint8) (f Fields, err error) {
	p, ok, err := codec.ParseRaw(raw)
	if err != nil || !ok || p.Len() != len(raw) {
		return f, ErrFields
	}
	f.Type, f.Flags = p.Type, p.Flags
	w := walker{b: p.Body}
	v5 := version >= 5
	switch p.Type {
	case codec.CONNECT:
		f.connect(&w)
	case codec.CONNACK:
		f.Codes = w.take(2)
		if v5 && len(w.b) > 0 {
			f.Properties = w.properties()
		}
	case codec.PUBLISH:
		f.Topic = w.field()
		if f.Flags&0x06 != 0 {
			f.ID, f.HasID = w.uint16(), true
		}
		if v5 {
			f.Properties = w.properties()
		}
		f.Payload = w.rest()
	case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP:
		f.ID, f.HasID = w.uint16(), true
		f.reason(&w)
	case codec.SUBSCRIBE, codec.UNSUBSCRIBE:
		f.ID, f.HasID = w.uint16(), true
		if v5 {
			f.Properties = w.properties()
		}
		for len(w.b) > 0 && !w.bad {
			filter := Filter{Topic: w.field()}
			if p.Type == codec.SUBSCRIBE {
				filter.Options = w.byte()
			}
			f.Filters = append(f.Filters, filter)
		}
	case codec.SUBACK, codec.UNSUBACK:
		f.ID, f.HasID = w.uint16(), true
		if v5 {
			f.Properties = w.properties()
		}
		f.Codes = w.rest()
	case codec.DISCONNECT, Auth:
		f.reason(&w)
	case codec.PINGREQ, codec.PINGRESP:
	}
	if w.bad || len(w.b) > 0 {
		return f, ErrFields
	}
	return f, nil
}

// reason takes the reason code and properties that MQTT 5 may have at the end.
func (f *Fields) reason(w *walker) {
	if len(w.b) > 0 {
		f.Codes = w.take(1)
	}
	if len(w.b) > 0 {
		f.Properties = w.properties()
	}
}

func (f *Fields) connect(w *walker) {
	c := &f.Connect
	c.Protocol, c.Level, c.Flags, c.KeepAlive = w.field(), w.byte(), w.byte(), w.uint16()
	v5 := c.Level&^0x80 >= 5
	if v5 {
		f.Properties = w.properties()
	}
	c.ClientID = w.field()
	if c.Flags&FlagWill != 0 {
		if v5 {
			c.WillProperties = w.properties()
		}
		c.WillTopic, c.Will = w.field(), w.field()
	}
	if c.Flags&FlagUser != 0 {
		c.User = w.field()
	}
	// MQTT 3.1 allows that the flags announce what is not there (section 3.1,
	// "older clients").
	if c.Flags&FlagPassword != 0 && (len(w.b) > 0 || c.Level != 3) {
		c.Password = w.field()
	}
}

// Append appends the packet that f describes, for MQTT of a version, to dst. A
// packet that Parse has read comes out as it was, if its lengths were written in
// their shortest form and its optional parts were there.
func (f *Fields) Append(dst []byte, version uint8) []byte {
	var b []byte
	v5 := version >= 5
	switch f.Type {
	case codec.CONNECT:
		b = f.appendConnect(b)
	case codec.PUBLISH:
		b = appendField(b, f.Topic)
		if f.HasID {
			b = binary.BigEndian.AppendUint16(b, f.ID)
		}
		if v5 {
			b = appendProperties(b, f.Properties)
		}
		b = append(b, f.Payload...)
	case codec.SUBSCRIBE, codec.UNSUBSCRIBE:
		b = binary.BigEndian.AppendUint16(b, f.ID)
		if v5 {
			b = appendProperties(b, f.Properties)
		}
		for _, filter := range f.Filters {
			b = appendField(b, filter.Topic)
			if f.Type == codec.SUBSCRIBE {
				b = append(b, filter.Options)
			}
		}
	default:
		panic("script: Append of " + f.Type.String())
	}
	return append(codec.AppendHeader(dst, f.Type, f.Flags, len(b)), b...)
}

func (f *Fields) appendConnect(b []byte) []byte {
	c := &f.Connect
	b = append(appendField(b, c.Protocol), c.Level, c.Flags)
	b = binary.BigEndian.AppendUint16(b, c.KeepAlive)
	v5 := c.Level&^0x80 >= 5
	if v5 {
		b = appendProperties(b, f.Properties)
	}
	b = appendField(b, c.ClientID)
	if c.Flags&FlagWill != 0 {
		if v5 {
			b = appendProperties(b, c.WillProperties)
		}
		b = appendField(appendField(b, c.WillTopic), c.Will)
	}
	if c.Flags&FlagUser != 0 {
		b = appendField(b, c.User)
	}
	if c.Flags&FlagPassword != 0 && (c.Level != 3 || c.Password != nil) {
		b = appendField(b, c.Password)
	}
	return b
}

func appendField(b, v []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
}

func appendProperties(b, list []byte) []byte {
	n := len(list)
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(append(b, byte(n)), list...)
}

// SetID returns a copy of a packet with another packet identifier. Packets
// without one are returned as they are.
func SetID(raw []byte, id uint16) []byte {
	at := IDOffset(raw)
	if at < 0 {
		return raw
	}
	out := slices.Clone(raw)
	binary.BigEndian.PutUint16(out[at:], id)
	return out
}

// IDOffset is where a packet has its identifier, -1 when it has none.
func IDOffset(raw []byte) int {
	h, ok, err := codec.ParseHeader(raw)
	if err != nil || !ok || len(raw) < h.Size+2 {
		return -1
	}
	at := -1
	switch h.Type {
	case codec.PUBLISH:
		if h.Flags&0x06 != 0 {
			at = h.Size + 2 + int(binary.BigEndian.Uint16(raw[h.Size:]))
		}
	case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.SUBSCRIBE, codec.SUBACK, codec.UNSUBSCRIBE, codec.UNSUBACK:
		at = h.Size
	case codec.CONNECT, codec.CONNACK, codec.PINGREQ, codec.PINGRESP, codec.DISCONNECT:
	}
	if at+2 > len(raw) {
		return -1
	}
	return at
}

// IDOf is the packet identifier of a packet, 0 when it has none.
func IDOf(raw []byte) uint16 {
	if at := IDOffset(raw); at >= 0 {
		return binary.BigEndian.Uint16(raw[at:])
	}
	return 0
}
