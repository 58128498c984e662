package codec

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Summary describes the packet in frame in one line, as in
// "PUBLISH q1 id=3 sensors/t 64 B". It never shows a payload or a password.
// A malformed packet is described by what is wrong with it, as in
// "PUBLISH malformed: QoS 3 at offset 0 [MQTT-3.3.1-4]".
func Summary(frame []byte) string {
	var p Packet
	return string(p.AppendSummary(nil, frame))
}

// AppendSummary is Summary into dst. It decodes frame into p, whose memory it
// uses.
func (p *Packet) AppendSummary(dst, frame []byte) []byte {
	err := p.Decode(frame)
	if err == nil {
		return p.appendLine(dst)
	}
	e := err.(*Error) // the only error type of Decode
	dst = append(append(dst, e.Type.String()...), " malformed: "...)
	dst = append(append(dst, e.Text...), " at offset "...)
	dst = strconv.AppendInt(dst, int64(e.Offset), 10)
	return append(append(dst, ' '), e.Clause...)
}

// String describes a decoded packet in one line, as Summary does.
func (p *Packet) String() string { return string(p.appendLine(nil)) }

func (p *Packet) appendLine(dst []byte) []byte {
	dst = append(dst, p.Type.String()...)
	switch p.Type {
	case CONNECT:
		return p.Connect.appendLine(dst)
	case CONNACK:
		if p.Connack.SessionPresent {
			dst = append(dst, " session-present"...)
		}
		return append(append(dst, ' '), p.Connack.Code.String()...)
	case PUBLISH:
		return p.Publish.appendLine(dst)
	case SUBSCRIBE:
		dst = appendID(dst, p.ID)
		for _, f := range p.Subscribe.Filters {
			dst = appendText(append(dst, ' '), f.Filter)
			dst = append(dst, ':', 'q', '0'+f.QoS&3)
		}
	case SUBACK:
		dst = appendID(dst, p.ID)
		for _, c := range p.Suback.Codes {
			if c == SubscribeFailed {
				dst = append(dst, " refused"...)
			} else {
				dst = append(dst, ' ', 'q', '0'+c&3)
			}
		}
	case UNSUBSCRIBE:
		dst = appendID(dst, p.ID)
		for _, f := range p.Unsubscribe.Filters {
			dst = appendText(append(dst, ' '), f)
		}
	case PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK:
		dst = appendID(dst, p.ID)
	case PINGREQ, PINGRESP, DISCONNECT:
	}
	return dst
}

func (c *Connect) appendLine(dst []byte) []byte {
	dst = appendText(append(dst, ' '), c.ClientID)
	if c.CleanSession {
		dst = append(dst, " clean"...)
	}
	dst = append(dst, " keepalive="...)
	dst = strconv.AppendUint(dst, uint64(c.KeepAlive), 10)
	dst = append(dst, 's')
	if c.HasUser {
		dst = appendText(append(dst, " user="...), c.User)
	}
	if c.HasPassword {
		dst = append(dst, " password"...)
	}
	if c.HasWill {
		dst = append(dst, " will q"...)
		dst = append(dst, '0'+c.Will.QoS&3)
		if c.Will.Retain {
			dst = append(dst, " retain"...)
		}
		dst = appendText(append(dst, ' '), c.Will.Topic)
		dst = appendSize(dst, len(c.Will.Payload))
	}
	return dst
}

func (p *Publish) appendLine(dst []byte) []byte {
	dst = append(dst, ' ', 'q', '0'+p.QoS&3)
	if p.Dup {
		dst = append(dst, " dup"...)
	}
	if p.Retain {
		dst = append(dst, " retain"...)
	}
	if p.QoS > 0 {
		dst = appendID(dst, p.ID)
	}
	dst = appendText(append(dst, ' '), p.Topic)
	return appendSize(dst, len(p.Payload))
}

func appendID(dst []byte, id uint16) []byte {
	return strconv.AppendUint(append(dst, " id="...), uint64(id), 10)
}

func appendSize(dst []byte, n int) []byte {
	return append(strconv.AppendInt(append(dst, ' '), int64(n), 10), " B"...)
}

// appendText appends s as it is when it is one printable word, else quoted, so
// that a line stays one line and its words stay apart.
func appendText(dst, s []byte) []byte {
	plain := len(s) > 0
	for i := 0; i < len(s) && plain; {
		r, n := utf8.DecodeRune(s[i:])
		plain = unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != '"' && r != utf8.RuneError
		i += n
	}
	if plain {
		return append(dst, s...)
	}
	return strconv.AppendQuote(dst, string(s))
}
