package codec

import (
	"encoding/binary"
	"fmt"
)

// Connack is the body of a CONNACK.
type Connack struct {
	SessionPresent bool
	Code           ReturnCode
}

// ReturnCode is a CONNACK return code (table 3.1).
type ReturnCode uint8

// The return codes of MQTT 3.1.1; 6 to 255 are reserved.
const (
	Accepted               ReturnCode = 0
	RefusedProtocolVersion ReturnCode = 1
	RefusedIdentifier      ReturnCode = 2
	RefusedUnavailable     ReturnCode = 3
	RefusedBadUserPassword ReturnCode = 4
	RefusedNotAuthorized   ReturnCode = 5
)

func (c ReturnCode) String() string {
	switch c {
	case Accepted:
		return "accepted"
	case RefusedProtocolVersion:
		return "unacceptable protocol version"
	case RefusedIdentifier:
		return "identifier rejected"
	case RefusedUnavailable:
		return "server unavailable"
	case RefusedBadUserPassword:
		return "bad user name or password"
	case RefusedNotAuthorized:
		return "not authorized"
	}
	return fmt.Sprintf("return code %d", uint8(c))
}

func (c *Connack) decode(r *reader) {
	at := r.off
	flags := r.byte("[section 3.2.2]", "connect acknowledge flags")
	code := r.byte("[section 3.2.2]", "connect return code")
	if r.err != nil {
		return
	}
	c.SessionPresent, c.Code = flags&1 != 0, ReturnCode(code)
	switch {
	case flags > 1:
		r.fail("[section 3.2.2.1]", at, "reserved connect acknowledge flags are not zero")
	case c.Code > RefusedNotAuthorized:
		r.fail("[section 3.2.2.3]", at+1, "reserved connect return code")
	case c.SessionPresent && c.Code != Accepted:
		r.fail("[MQTT-3.2.2-4]", at, "session present in a refusal")
	}
}

// AppendConnack appends a CONNACK.
func AppendConnack(dst []byte, c Connack) []byte {
	var flags byte
	if c.SessionPresent {
		flags = 1
	}
	return append(AppendHeader(dst, CONNACK, 0, 2), flags, byte(c.Code))
}

// AppendAck appends a packet that consists of a packet identifier: PUBACK,
// PUBREC, PUBREL, PUBCOMP or UNSUBACK.
func AppendAck(dst []byte, t Type, id uint16) []byte {
	return binary.BigEndian.AppendUint16(AppendHeader(dst, t, ackFlags(t), 2), id)
}

// ackFlags returns the reserved flags of table 2.2.
func ackFlags(t Type) uint8 {
	if t == PUBREL {
		return 0x02
	}
	return 0
}

// AppendEmpty appends a packet without a body: PINGREQ, PINGRESP or DISCONNECT.
func AppendEmpty(dst []byte, t Type) []byte { return AppendHeader(dst, t, 0, 0) }
