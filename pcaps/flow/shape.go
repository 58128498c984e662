package flow

import (
	"encoding/binary"

	"hilnet/mqtt/codec"
)

// This file judges bytes of which it is not known whether they are MQTT.

type head uint8

const (
	headMore head = iota // too few bytes to tell
	headConnect
	headConnack
	headTLS
	headHTTP
	headOther
)

func pickEvidence(h head) Evidence {
	return [...]Evidence{headConnect: EvidenceConnect, headConnack: EvidenceConnack,
		headTLS: EvidenceTLSRecord, headHTTP: EvidenceHTTP, headOther: EvidenceOtherStart}[h]
}

func pickProtocol(h head) Protocol {
	return [...]Protocol{headTLS: ProtocolTLS, headHTTP: ProtocolHTTP, headOther: ProtocolOther}[h]
}

// judgeHead says what a stream that begins with b is. b is not empty.
func judgeHead(b []byte) head {
	switch {
	case b[0] == byte(codec.CONNECT)<<4:
		return judgeConnect(b)
	case b[0] == byte(codec.CONNACK)<<4:
		switch n, ok := shape(b); {
		case !ok:
			return headOther
		case n == 0:
			return headMore
		}
		return headConnack
	case b[0] >= 0x14 && b[0] <= 0x17: // content types of RFC 8446 section 5.1
		return prefix(b, headTLS, "\x03", func(rest []byte) bool { return len(rest) == 0 || rest[0] <= 4 }, 3)
	}
	for _, word := range [...]string{"GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS ", "CONNECT ", "PATCH ", "PRI ", "HTTP/1."} {
		switch k := min(len(b), len(word)); {
		case string(b[:k]) != word[:k]:
		case k == len(word):
			return headHTTP
		default:
			return headMore
		}
	}
	return headOther
}

// prefix is want when b[1:] begins with text and rest accepts what follows;
// need is how many bytes decide.
func prefix(b []byte, want head, text string, rest func([]byte) bool, need int) head {
	k := min(len(b)-1, len(text))
	if string(b[1:1+k]) != text[:k] || len(b) > 1+len(text) && !rest(b[1+len(text):]) {
		return headOther
	}
	if len(b) < need {
		return headMore
	}
	return want
}

func judgeConnect(b []byte) head {
	h, ok, err := codec.ParseHeader(b)
	switch {
	case err != nil || ok && h.Remaining < 10:
		return headOther
	case !ok:
		return headMore
	}
	body := b[h.Size:]
	for _, name := range [...]string{"\x00\x04MQTT", "\x00\x06MQIsdp"} {
		switch k := min(len(body), len(name)); {
		case string(body[:k]) != name[:k]:
		case k == len(name):
			return headConnect
		default:
			return headMore
		}
	}
	return headOther
}

// connectVersion is the protocol level of a CONNECT, 0 when raw has none.
func connectVersion(raw []byte) uint8 {
	h, ok, err := codec.ParseHeader(raw)
	if !ok || err != nil || len(raw) < h.Size+2 {
		return 0
	}
	body := raw[h.Size:]
	at := 2 + int(binary.BigEndian.Uint16(body))
	if at >= len(body) {
		return 0
	}
	return body[at] &^ 0x80 // bridges set the top bit
}

// shape judges the packet at the start of b by rule 3 of the package comment. n
// is its size, or 0 when b does not hold all of it and what there is fits.
func shape(b []byte) (n int, ok bool) {
	if !shapeFirst(b[0]) {
		return 0, false
	}
	h, whole, err := codec.ParseHeader(b)
	if err != nil {
		return 0, false
	}
	if !whole {
		return 0, true
	}
	if h.Size > 2 && b[h.Size-1] == 0 { // not the shortest form
		return 0, false
	}
	body := b[h.Size:min(len(b), h.Len())]
	if !shapeLength(h) || h.Type == codec.PUBLISH && !shapePublish(h, body) ||
		h.Type == codec.CONNECT && judgeConnect(b) == headOther {
		return 0, false
	}
	if len(b) < h.Len() {
		return 0, true
	}
	return h.Len(), shapeBody(h, body)
}

// shapeFirst judges type and flags.
func shapeFirst(b byte) bool {
	flags := b & 0x0F
	switch codec.Type(b >> 4) {
	case codec.PUBLISH:
		return flags&0x06 != 0x06 && flags&0x0E != 0x08
	case codec.PUBREL, codec.SUBSCRIBE, codec.UNSUBSCRIBE:
		return flags == 2
	case 0:
		return false
	}
	return flags == 0
}

// authenticate is the AUTH packet of MQTT 5.
const authenticate codec.Type = 15

// shapeLength judges the remaining length alone.
func shapeLength(h codec.Header) bool {
	switch n := h.Remaining; h.Type {
	case codec.CONNECT:
		return n >= 12
	case codec.PINGREQ, codec.PINGRESP:
		return n == 0
	case codec.SUBSCRIBE, codec.UNSUBSCRIBE:
		return n >= 5
	case codec.PUBLISH, codec.SUBACK:
		return n >= 3
	case codec.CONNACK, codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.UNSUBACK:
		return n >= 2
	case codec.DISCONNECT, authenticate:
	}
	return true
}

// shapePublish judges as much of a PUBLISH as there is.
func shapePublish(h codec.Header, body []byte) bool {
	if len(body) < 2 {
		return true
	}
	topic := int(binary.BigEndian.Uint16(body))
	need := 2 + topic
	id := h.Flags&0x06 != 0
	if id {
		need += 2
	}
	if topic == 0 || need > h.Remaining {
		return false
	}
	if len(body) < need {
		return true
	}
	if id && binary.BigEndian.Uint16(body[2+topic:]) == 0 {
		return false
	}
	return codec.ValidTopic(body[2:2+topic]) == nil
}

// shapeBody judges a whole body.
func shapeBody(h codec.Header, body []byte) bool {
	switch h.Type {
	case codec.CONNACK:
		return body[0] <= 1 && (len(body) == 2 && body[1] <= 5 || len(body) > 2 && reasonCode(body[1]) && properties(body[2:]) == len(body)-2)
	case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP:
		return identifier(body) && reasonAndProperties(body[2:])
	case codec.UNSUBACK:
		return identifier(body) && (len(body) == 2 || codes(body[2:], true))
	case codec.SUBACK:
		return identifier(body) && (codes(body[2:], false) || codes(body[2:], true))
	case codec.SUBSCRIBE, codec.UNSUBSCRIBE:
		options := h.Type == codec.SUBSCRIBE
		return identifier(body) && (filters(body[2:], options, false) || filters(body[2:], options, true))
	case codec.DISCONNECT, authenticate:
		return reasonAndProperties(body)
	case codec.CONNECT, codec.PUBLISH, codec.PINGREQ, codec.PINGRESP: // judged before
	}
	return true
}

func identifier(body []byte) bool { return body[0]|body[1] != 0 }

// reasonCode accepts the reason codes of MQTT 5 (section 2.4).
func reasonCode(b byte) bool {
	return b <= 4 || b >= 0x10 && b <= 0x19 || b >= 0x80 && b <= 0xA2
}

// reasonAndProperties is the optional end of an MQTT 5 acknowledgement.
func reasonAndProperties(b []byte) bool {
	return len(b) == 0 || reasonCode(b[0]) && (len(b) == 1 || properties(b[1:]) == len(b)-1)
}

// properties is the size of an MQTT 5 property list with its length, or -1.
func properties(b []byte) int {
	n := 0
	for i := 0; i < len(b) && i < 4; i++ {
		n |= int(b[i]&0x7F) << (7 * i)
		if b[i]&0x80 == 0 {
			if n += i + 1; n > len(b) {
				return -1
			}
			return n
		}
	}
	return -1
}

// codes accepts the list of a SUBACK or, in MQTT 5, UNSUBACK.
func codes(b []byte, v5 bool) bool {
	if v5 {
		n := properties(b)
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	for _, code := range b {
		if code > 2 && (code < 0x80 || code > 0xA2) && !(v5 && code == 0x11) {
			return false
		}
	}
	return len(b) > 0
}

// filters accepts the list of a SUBSCRIBE, with options, or UNSUBSCRIBE.
func filters(b []byte, options, v5 bool) bool {
	if v5 {
		n := properties(b)
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	count := 0
	for len(b) > 0 {
		if len(b) < 2 {
			return false
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		if n == 2 || n > len(b) || codec.ValidFilter(b[2:n]) != nil {
			return false
		}
		b = b[n:]
		if options {
			if len(b) == 0 || b[0] > 0x2E || b[0]&3 == 3 || !v5 && b[0] > 2 {
				return false
			}
			b = b[1:]
		}
		count++
	}
	return count > 0
}
