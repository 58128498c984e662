package compare

import (
	"encoding/binary"
	"fmt"

	"hilnet/pcaps/flow"
	"hilnet/wire"
)

// frame takes a frame: what it is as a segment.
func (r *reading) frame(f flow.Frame) {
	result := r.table.Feed(f)
	if result.Conversation == nil || r.config.By == MessagesOnly {
		return
	}
	c := r.byID[result.Conversation.ID]
	seg, side := result.TCP, result.Side
	flags := seg.Flags()
	own, peer := int(side)-1, 2-int(side)
	if flags&wire.TCPSyn != 0 || !c.based[own] {
		c.base[own], c.based[own] = seg.Seq(), true
	}
	i := item{frame: f.Number, at: f.At - c.of.First, side: side, shape: uint16(flags &^ wire.TCPPsh)}
	v := i.set
	v(FieldPush, uint64(flags&wire.TCPPsh))
	v(FieldSeq, uint64(seg.Seq()-c.base[own]))
	if flags&wire.TCPAck != 0 {
		if !c.based[peer] {
			c.base[peer], c.based[peer] = seg.Ack(), true
		}
		v(FieldAck, uint64(seg.Ack()-c.base[peer]))
	}
	v(FieldISN, uint64(c.base[own]))
	v(FieldWindow, uint64(seg.Window()))
	v(FieldLength, uint64(result.Len))
	if len(result.Payload) > 0 {
		v(FieldPayload, hash(result.Payload))
	}
	options, tsval := optionsOf(seg.RawOptions())
	v(FieldOptions, options)
	v(FieldTSVal, tsval)
	h := c.of.Half(side)
	v(FieldPorts, uint64(h.Addr.Port())<<16|uint64(c.of.Half(side.Peer()).Addr.Port()))
	v(FieldAddress, hash(h.Addr.Addr().AsSlice(), c.of.Half(side.Peer()).Addr.Addr().AsSlice()))
	if ip := result.IP; ip[0]>>4 == 4 {
		v(FieldIPID, uint64(binary.BigEndian.Uint16(ip[4:])))
		v(FieldTTL, uint64(ip[8]))
	} else {
		v(FieldTTL, uint64(ip[7]))
	}
	r.add(c, segments, i)
}

func (i *item) set(f Fields, v uint64) { i.values[index(f)] = v }

func (i *item) get(f Fields) uint64 { return i.values[index(f)] }

func index(f Fields) int {
	n := 0
	for f > 1 {
		f >>= 1
		n++
	}
	return n
}

// optionsOf returns what TCP options say without the values of timestamps, and the
// sender's timestamp.
func optionsOf(raw []byte) (options, tsval uint64) {
	const timestamps, end, nop = 8, 0, 1
	plain := make([]byte, 0, 40)
	for rest := raw; len(rest) > 0; {
		kind, n := rest[0], 1
		if kind != end && kind != nop {
			if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
				plain = append(plain, rest...)
				break
			}
			n = int(rest[1])
		}
		if kind == timestamps && n == 10 {
			tsval = uint64(binary.BigEndian.Uint32(rest[2:]))
			plain = append(plain, kind)
		} else {
			plain = append(plain, rest[:n]...)
		}
		rest = rest[n:]
	}
	if len(plain) == 0 {
		return 0, tsval
	}
	return hash(plain), tsval
}

// segmentText describes a segment.
func (i *item) segmentText() string {
	flags := wire.TCPFlags(i.shape)
	if i.get(FieldPush) != 0 {
		flags |= wire.TCPPsh
	}
	text := fmt.Sprintf("[%v] seq %d", flags, i.get(FieldSeq))
	if flags&wire.TCPAck != 0 {
		text += fmt.Sprintf(" ack %d", i.get(FieldAck))
	}
	return text + fmt.Sprintf(" win %d len %d", i.get(FieldWindow), i.get(FieldLength))
}
