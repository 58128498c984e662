package codec

import "encoding/binary"

// Subscription is one topic filter of a SUBSCRIBE with the requested QoS.
type Subscription struct {
	Filter []byte
	QoS    uint8
}

// Subscribe is the payload of a SUBSCRIBE.
type Subscribe struct {
	Filters []Subscription
}

// Suback is the payload of a SUBACK: one code for each filter, in order.
type Suback struct {
	Codes []byte // granted QoS 0 to 2, or SubscribeFailed
}

// SubscribeFailed is the SUBACK return code for a refused filter.
const SubscribeFailed = 0x80

// Unsubscribe is the payload of an UNSUBSCRIBE.
type Unsubscribe struct {
	Filters [][]byte
}

func (s *Subscribe) decode(r *reader) (id uint16) {
	id = r.packetID()
	s.Filters = s.Filters[:0]
	if r.err == nil && r.left() == 0 {
		r.fail("[MQTT-3.8.3-3]", r.off, "no topic filter")
	}
	for r.err == nil && r.left() > 0 {
		filter := r.filter("[MQTT-3.8.3-1]")
		at := r.off
		qos := r.byte("[MQTT-3.8.3-3]", "requested QoS")
		if qos > 2 {
			r.fail("[MQTT-3.8.3-4]", at, "requested QoS is not 0, 1 or 2")
		}
		s.Filters = append(s.Filters, Subscription{Filter: filter, QoS: qos})
	}
	return id
}

func (s *Suback) decode(r *reader) (id uint16) {
	id = r.packetID()
	if r.err != nil {
		return id
	}
	if r.left() == 0 {
		r.fail("[MQTT-3.8.4-5]", r.off, "no return code")
	}
	s.Codes = r.frame[r.off:len(r.frame):len(r.frame)]
	for i, c := range s.Codes {
		if c > 2 && c != SubscribeFailed {
			r.fail("[MQTT-3.9.3-2]", r.off+i, "reserved return code")
		}
	}
	r.off = len(r.frame)
	return id
}

func (u *Unsubscribe) decode(r *reader) (id uint16) {
	id = r.packetID()
	u.Filters = u.Filters[:0]
	if r.err == nil && r.left() == 0 {
		r.fail("[MQTT-3.10.3-2]", r.off, "no topic filter")
	}
	for r.err == nil && r.left() > 0 {
		u.Filters = append(u.Filters, r.filter("[MQTT-3.10.3-1]"))
	}
	return id
}

// filter reads and checks one topic filter.
func (r *reader) filter(clause string) []byte {
	f := r.text(clause, "topic filter")
	if r.err != nil {
		return nil
	}
	if clause, at, text := checkFilter(f); clause != "" {
		r.fail(clause, r.off-len(f)+at, text)
	}
	return f
}

// AppendSubscribe appends a SUBSCRIBE.
func AppendSubscribe(dst []byte, id uint16, filters []Subscription) []byte {
	remaining := 2
	for _, f := range filters {
		remaining += 2 + len(f.Filter) + 1
	}
	dst = AppendHeader(dst, SUBSCRIBE, 0x02, remaining)
	dst = binary.BigEndian.AppendUint16(dst, id)
	for _, f := range filters {
		dst = append(appendField(dst, f.Filter), f.QoS)
	}
	return dst
}

// AppendSuback appends a SUBACK.
func AppendSuback(dst []byte, id uint16, codes []byte) []byte {
	dst = AppendHeader(dst, SUBACK, 0, 2+len(codes))
	dst = binary.BigEndian.AppendUint16(dst, id)
	return append(dst, codes...)
}

// AppendUnsubscribe appends an UNSUBSCRIBE.
func AppendUnsubscribe(dst []byte, id uint16, filters [][]byte) []byte {
	remaining := 2
	for _, f := range filters {
		remaining += 2 + len(f)
	}
	dst = AppendHeader(dst, UNSUBSCRIBE, 0x02, remaining)
	dst = binary.BigEndian.AppendUint16(dst, id)
	for _, f := range filters {
		dst = appendField(dst, f)
	}
	return dst
}
