package codec

import (
	"encoding/binary"
	"fmt"
)

// Connect is a CONNECT packet of MQTT 3.1.1.
//
// An empty ClientID with CleanSession false is well-formed; a server answers
// it with RefusedIdentifier [MQTT-3.1.3-8].
type Connect struct {
	CleanSession bool
	KeepAlive    uint16 // seconds; 0 = none
	ClientID     []byte
	HasWill      bool
	Will         Will // counts when HasWill
	HasUser      bool
	User         []byte // counts when HasUser
	HasPassword  bool   // not without HasUser [MQTT-3.1.2-22]
	Password     []byte // counts when HasPassword; any bytes
}

// Will is the message that a server publishes when a client is lost.
type Will struct {
	Topic   []byte
	Payload []byte // any bytes
	QoS     uint8
	Retain  bool
}

const (
	protocolName  = "MQTT"
	protocolLevel = 4
	// olderProtocolName is that of MQTT 3.1, which is refused like a level.
	olderProtocolName = "MQIsdp"
)

// Connect flags (section 3.1.2.3).
const (
	flagReserved     = 0x01
	flagCleanSession = 0x02
	flagWill         = 0x04
	flagWillQoS      = 0x18
	flagWillRetain   = 0x20
	flagPassword     = 0x40
	flagUser         = 0x80
)

func (c *Connect) decode(r *reader) {
	*c = Connect{}
	c.decodeProtocol(r)
	at := r.off
	flags := r.byte("[section 3.1.2.3]", "connect flags")
	if r.err != nil {
		return
	}
	if clause, text := checkConnectFlags(flags); clause != "" {
		r.fail(clause, at, text)
		return
	}
	c.CleanSession = flags&flagCleanSession != 0
	c.KeepAlive = r.uint16("[section 3.1.2.10]", "keep alive")
	c.ClientID = r.text("[MQTT-3.1.3-3]", "client identifier")
	if flags&flagWill != 0 {
		c.HasWill = true
		c.Will.QoS, c.Will.Retain = flags&flagWillQoS>>3, flags&flagWillRetain != 0
		c.Will.Topic = r.text("[MQTT-3.1.2-9]", "will topic")
		if r.err == nil {
			if clause, i, text := checkTopic(c.Will.Topic); clause != "" {
				r.fail(clause, r.off-len(c.Will.Topic)+i, "will topic: "+text)
			}
		}
		c.Will.Payload = r.binary("[MQTT-3.1.2-9]", "will message")
	}
	if flags&flagUser != 0 {
		c.HasUser, c.User = true, r.text("[MQTT-3.1.2-19]", "user name")
	}
	if flags&flagPassword != 0 {
		c.HasPassword, c.Password = true, r.binary("[MQTT-3.1.2-21]", "password")
	}
	if r.err == nil && r.left() > 0 {
		r.end(connectSurplus(c))
	}
}

// decodeProtocol reads the protocol name and level. What follows them is the
// business of the version they name, so another version ends the decoding.
func (c *Connect) decodeProtocol(r *reader) {
	at := r.off
	name := r.binary("[section 3.1.2.1]", "protocol name")
	if r.err == nil && string(name) != protocolName && string(name) != olderProtocolName {
		r.fail("[MQTT-3.1.2-1]", at, "protocol name is not MQTT")
	}
	older := string(name) == olderProtocolName
	at = r.off
	level := r.byte("[section 3.1.2.2]", "protocol level")
	if r.err == nil && (level != protocolLevel || older) {
		r.err = &Error{Type: r.typ, Clause: "[MQTT-3.1.2-2]", Offset: at, Err: ErrProtocolLevel,
			Text: fmt.Sprintf("protocol %s level %d is not supported", name, level)}
	}
}

func checkConnectFlags(flags byte) (clause, text string) {
	switch {
	case flags&flagReserved != 0:
		return "[MQTT-3.1.2-3]", "reserved connect flag is set"
	case flags&flagWill == 0 && flags&flagWillQoS != 0:
		return "[MQTT-3.1.2-13]", "will QoS without a will"
	case flags&flagWill == 0 && flags&flagWillRetain != 0:
		return "[MQTT-3.1.2-15]", "will retain without a will"
	case flags&flagWillQoS == flagWillQoS:
		return "[MQTT-3.1.2-14]", "will QoS 3"
	case flags&flagUser == 0 && flags&flagPassword != 0:
		return "[MQTT-3.1.2-22]", "password flag without user name flag"
	}
	return "", ""
}

// connectSurplus names the rule that surplus bytes of a CONNECT break: a
// field without its flag.
func connectSurplus(c *Connect) string {
	switch {
	case !c.HasUser:
		return "[MQTT-3.1.2-18]"
	case !c.HasPassword:
		return "[MQTT-3.1.2-20]"
	}
	return "[section 3.1.3]"
}

// AppendConnect appends a CONNECT.
func AppendConnect(dst []byte, c *Connect) []byte {
	var flags byte
	remaining := 10 + 2 + len(c.ClientID) // variable header, client identifier
	if c.CleanSession {
		flags |= flagCleanSession
	}
	if c.HasWill {
		flags |= flagWill | c.Will.QoS&3<<3
		if c.Will.Retain {
			flags |= flagWillRetain
		}
		remaining += 2 + len(c.Will.Topic) + 2 + len(c.Will.Payload)
	}
	if c.HasUser {
		flags |= flagUser
		remaining += 2 + len(c.User)
	}
	if c.HasPassword {
		flags |= flagPassword
		remaining += 2 + len(c.Password)
	}
	dst = AppendHeader(dst, CONNECT, 0, remaining)
	dst = append(dst, 0, byte(len(protocolName)))
	dst = append(dst, protocolName...)
	dst = append(dst, protocolLevel, flags)
	dst = binary.BigEndian.AppendUint16(dst, c.KeepAlive)
	dst = appendField(dst, c.ClientID)
	if c.HasWill {
		dst = appendField(appendField(dst, c.Will.Topic), c.Will.Payload)
	}
	if c.HasUser {
		dst = appendField(dst, c.User)
	}
	if c.HasPassword {
		dst = appendField(dst, c.Password)
	}
	return dst
}
