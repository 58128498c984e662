package play

import (
	"bytes"
	"fmt"
	"strconv"

	"hilnet/mqtt/codec"
	"hilnet/replay/script"
)

// A Class says how much a difference matters.
type Class string

// The classes.
const (
	// Detail: what another broker, client or moment may well say differently:
	// client identifiers, properties, DUP, RETAIN, session present, keep-alive.
	Detail Class = "detail"
	// Content: what the other side understands differently: codes, topics, payloads,
	// QoS, types.
	Content Class = "content"
)

// A Difference is a field of a response that is not as recorded.
type Difference struct {
	Event    string `json:"event"` // as in "CONNACK"
	Frame    uint64 `json:"frame"` // of the recorded one
	Field    string `json:"field"`
	Recorded string `json:"recorded"`
	Live     string `json:"live"`
	Class    Class  `json:"class"`
}

// find returns the recorded event that a live packet is, -1 when there is none.
func (s *session) find(f *script.Fields) int { return s.pending.find(f) }

// How well a recorded packet fits a live one.
const (
	exact   = 3
	similar = 2 // about the same thing
	alike   = 1 // of the same type
)

// idOf is the identifier that an event has live: as recorded, unless the
// exchange that it belongs to was begun by the live peer, which chose another.
func (s *session) idOf(i int) uint16 {
	for range maxChain {
		e := &s.events[i]
		if e.From != s.player.cfg.As && s.state[i].status == matched {
			return s.state[i].liveID
		}
		if !acknowledges(e.Type) || e.Rule != script.RuleProtocol || e.Cause < 0 {
			return e.ID
		}
		i = e.Cause
	}
	return s.events[i].ID
}

// maxChain is the length of the longest exchange, PUBLISH to PUBCOMP.
const maxChain = 4

func acknowledges(t codec.Type) bool {
	switch t {
	case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.SUBACK, codec.UNSUBACK:
		return true
	}
	return false
}

// compare lists the differences between a recorded packet and a live one.
func (s *session) compare(i int, live *script.Fields, raw []byte) []Difference {
	e := &s.events[i]
	if bytes.Equal(e.Raw, raw) || s.state[i].synthetic {
		return nil
	}
	c := comparison{event: e}
	rec, err := script.Parse(e.Raw, s.version)
	if err != nil {
		c.add(Content, "bytes", text(e.Raw), text(raw))
		return c.found
	}
	c.fields(&rec, live)
	return c.found
}

// A comparison collects differences.
type comparison struct {
	event *script.Event
	found []Difference
}

func (c *comparison) add(class Class, field, recorded, live string) {
	if recorded != live {
		c.found = append(c.found, Difference{
			Event: c.event.Label(), Frame: c.event.Frame, Field: field, Recorded: recorded, Live: live, Class: class,
		})
	}
}

func (c *comparison) fields(r, l *script.Fields) {
	switch r.Type {
	case codec.CONNECT:
		c.connect(&r.Connect, &l.Connect)
	case codec.PUBLISH:
		c.add(Content, "QoS", fmt.Sprint(r.Flags>>1&3), fmt.Sprint(l.Flags>>1&3))
		c.add(Detail, "DUP", fmt.Sprint(r.Flags>>3&1), fmt.Sprint(l.Flags>>3&1))
		c.add(Detail, "RETAIN", fmt.Sprint(r.Flags&1), fmt.Sprint(l.Flags&1))
		c.add(Content, "topic", text(r.Topic), text(l.Topic))
		c.bytes(Content, "payload", r.Payload, l.Payload)
	case codec.CONNACK:
		if len(r.Codes) == 2 && len(l.Codes) == 2 {
			c.add(Detail, "session present", fmt.Sprint(r.Codes[0]), fmt.Sprint(l.Codes[0]))
			c.add(Content, "code", code(r.Codes[1]), code(l.Codes[1]))
		}
	case codec.SUBSCRIBE, codec.UNSUBSCRIBE:
		c.filters(r.Filters, l.Filters)
	case codec.SUBACK, codec.UNSUBACK:
		c.add(Content, "codes", fmt.Sprintf("% x", r.Codes), fmt.Sprintf("% x", l.Codes))
	case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.DISCONNECT, script.Auth:
		c.add(Content, "code", code(reason(r)), code(reason(l)))
	case codec.PINGREQ, codec.PINGRESP:
	default:
		c.add(Content, "type", script.TypeName(r.Type), script.TypeName(l.Type))
	}
	c.properties("properties", r.Properties, l.Properties)
}

// properties shows property lists as bytes.
func (c *comparison) properties(field string, r, l []byte) {
	show := func(b []byte) string {
		if len(b) > maxText/2 {
			return fmt.Sprintf("%x… %d bytes", b[:maxText/2], len(b))
		}
		return fmt.Sprintf("%x", b)
	}
	if !bytes.Equal(r, l) {
		c.add(Detail, field, "["+show(r)+"]", "["+show(l)+"]")
	}
}

// reason is the reason code of an MQTT 5 packet; left out, it is 0.
func reason(f *script.Fields) byte {
	if len(f.Codes) > 0 {
		return f.Codes[0]
	}
	return 0
}

func code(b byte) string { return fmt.Sprintf("0x%02x", b) }

func (c *comparison) connect(r, l *script.Connect) {
	const login = script.FlagUser | script.FlagPassword
	c.add(Content, "protocol", fmt.Sprintf("%s %d", text(r.Protocol), r.Level), fmt.Sprintf("%s %d", text(l.Protocol), l.Level))
	c.add(Content, "flags", code(r.Flags&^login), code(l.Flags&^login))
	c.add(Detail, "keep-alive", fmt.Sprint(r.KeepAlive), fmt.Sprint(l.KeepAlive))
	c.add(Detail, "client identifier", text(r.ClientID), text(l.ClientID))
	c.add(Detail, "user", text(r.User), text(l.User))
	if !bytes.Equal(r.Password, l.Password) {
		c.add(Detail, "password", "one", "another") // which is nobody's business
	}
	c.add(Content, "will topic", text(r.WillTopic), text(l.WillTopic))
	c.bytes(Content, "will", r.Will, l.Will)
	c.properties("will properties", r.WillProperties, l.WillProperties)
}

func (c *comparison) filters(r, l []script.Filter) {
	show := func(list []script.Filter) string {
		var b []byte
		for _, f := range list {
			b = fmt.Appendf(b, "%s:%02x ", text(f.Topic), f.Options)
			if len(b) > maxText {
				break
			}
		}
		return string(b)
	}
	c.add(Content, "filters", show(r), show(l))
}

// bytes compares what may be long.
func (c *comparison) bytes(class Class, field string, r, l []byte) {
	if !bytes.Equal(r, l) {
		a, b := text(r), text(l)
		if a == b {
			a, b = fmt.Sprintf("%d bytes", len(r)), fmt.Sprintf("%d other bytes", len(l))
		}
		c.add(class, field, a, b)
	}
}

// maxText bounds what is shown of a field.
const maxText = 48

// text shows bytes so that a terminal bears it.
func text(b []byte) string {
	if len(b) > maxText {
		return strconv.QuoteToASCII(string(b[:maxText])) + fmt.Sprintf("… %d bytes", len(b))
	}
	return strconv.QuoteToASCII(string(b))
}
