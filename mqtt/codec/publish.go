package codec

import "encoding/binary"

// Publish is a PUBLISH packet.
type Publish struct {
	Dup     bool
	QoS     uint8
	Retain  bool
	ID      uint16 // 0 at QoS 0, where it is not sent [MQTT-2.3.1-5]
	Topic   []byte
	Payload []byte
}

func (p *Publish) decode(r *reader, flags uint8) {
	p.Dup, p.QoS, p.Retain, p.ID = flags&0x08 != 0, flags>>1&3, flags&1 != 0, 0
	p.Topic = r.text("[MQTT-3.3.2-1]", "topic name")
	if r.err != nil {
		return
	}
	if clause, at, text := checkTopic(p.Topic); clause != "" {
		r.fail(clause, r.off-len(p.Topic)+at, text)
		return
	}
	if p.QoS > 0 {
		p.ID = r.packetID()
	}
	if r.err != nil {
		return
	}
	p.Payload = r.frame[r.off:len(r.frame):len(r.frame)]
	r.off = len(r.frame)
}

// AppendPublish appends a PUBLISH. The packet identifier is written when QoS
// is not 0.
func AppendPublish(dst []byte, p *Publish) []byte {
	remaining := 2 + len(p.Topic) + len(p.Payload)
	if p.QoS > 0 {
		remaining += 2
	}
	flags := p.QoS & 3 << 1
	if p.Dup {
		flags |= 0x08
	}
	if p.Retain {
		flags |= 0x01
	}
	dst = appendField(AppendHeader(dst, PUBLISH, flags, remaining), p.Topic)
	if p.QoS > 0 {
		dst = binary.BigEndian.AppendUint16(dst, p.ID)
	}
	return append(dst, p.Payload...)
}
