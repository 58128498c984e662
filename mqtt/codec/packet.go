package codec

import "fmt"

// Packet is one control packet of any type. Type says which of the other
// fields count. A Packet that is used again for Decode keeps the memory of its
// lists.
type Packet struct {
	Type Type
	// ID is the packet identifier: PUBACK, PUBREC, PUBREL, PUBCOMP and
	// UNSUBACK consist of it, PUBLISH above QoS 0, SUBSCRIBE, SUBACK and
	// UNSUBSCRIBE carry it. Never 0 in a decoded packet that has one. For a
	// PUBLISH it is a copy of Publish.ID, and Append uses the latter.
	ID          uint16
	Connect     Connect
	Connack     Connack
	Publish     Publish
	Subscribe   Subscribe
	Suback      Suback
	Unsubscribe Unsubscribe
}

// Decode reads the packet that frame consists of: exactly one whole packet, as
// cut by Frame. The byte slices in p then point into frame. The error is an
// *Error; p is not to be used after one.
func (p *Packet) Decode(frame []byte) error {
	r := reader{frame: frame}
	if len(frame) == 0 {
		return &Error{Clause: "[section 2.2]", Text: "empty packet"}
	}
	r.typ = Type(frame[0] >> 4)
	if err := checkFirstByte(frame[0]); err != nil {
		return err
	}
	h, ok, err := ParseHeader(frame)
	switch {
	case err != nil:
		return err
	case !ok || h.Len() != len(frame):
		return &Error{Type: h.Type, Clause: "[section 2.2.3]", Offset: len(frame),
			Text: fmt.Sprintf("packet of %d bytes in a frame of %d", h.Len(), len(frame))}
	}
	r.off = h.Size
	p.Type, p.ID = h.Type, 0
	switch h.Type {
	case CONNECT:
		p.Connect.decode(&r)
	case CONNACK:
		p.Connack.decode(&r)
	case PUBLISH:
		p.Publish.decode(&r, h.Flags)
		p.ID = p.Publish.ID
	case PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK:
		p.ID = r.packetID()
	case SUBSCRIBE:
		p.ID = p.Subscribe.decode(&r)
	case SUBACK:
		p.ID = p.Suback.decode(&r)
	case UNSUBSCRIBE:
		p.ID = p.Unsubscribe.decode(&r)
	case PINGREQ, PINGRESP, DISCONNECT: // no body
	}
	r.end("[section 2.2.3]")
	return r.err
}

// Append appends the packet's bytes to dst.
func (p *Packet) Append(dst []byte) []byte {
	switch p.Type {
	case CONNECT:
		return AppendConnect(dst, &p.Connect)
	case CONNACK:
		return AppendConnack(dst, p.Connack)
	case PUBLISH:
		return AppendPublish(dst, &p.Publish)
	case PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK:
		return AppendAck(dst, p.Type, p.ID)
	case SUBSCRIBE:
		return AppendSubscribe(dst, p.ID, p.Subscribe.Filters)
	case SUBACK:
		return AppendSuback(dst, p.ID, p.Suback.Codes)
	case UNSUBSCRIBE:
		return AppendUnsubscribe(dst, p.ID, p.Unsubscribe.Filters)
	case PINGREQ, PINGRESP, DISCONNECT:
		return AppendEmpty(dst, p.Type)
	}
	panic(fmt.Sprintf("codec: append %v", p.Type))
}
