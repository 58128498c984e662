package wire

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// TCPHeaderLen is the length of a header without options.
const TCPHeaderLen = 20

// TCPFlags are the control bits of a segment.
type TCPFlags uint8

// The control bits.
const (
	TCPFin TCPFlags = 1 << iota
	TCPSyn
	TCPRst
	TCPPsh
	TCPAck
	TCPUrg
	TCPEce
	TCPCwr
)

// String names the flags in Wireshark's order, for example "SYN,ACK", or "none".
func (f TCPFlags) String() string {
	if f == 0 {
		return "none"
	}
	var s strings.Builder
	for i, name := range [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} {
		if f&(1<<i) != 0 {
			if s.Len() > 0 {
				s.WriteByte(',')
			}
			s.WriteString(name)
		}
	}
	return s.String()
}

// TCP is a header including its options.
type TCP []byte

// ParseTCP splits a segment into header and payload.
func ParseTCP(b []byte) (TCP, []byte, error) {
	if len(b) < TCPHeaderLen {
		return nil, nil, ErrShort
	}
	n := int(b[12]>>4) * 4
	if n < TCPHeaderLen {
		return nil, nil, ErrLength
	}
	if len(b) < n {
		return nil, nil, ErrShort
	}
	return TCP(b[:n:n]), b[n:], nil
}

// TCPFields are the parts of a TCP header that its sender chooses.
type TCPFields struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            TCPFlags
	Window           uint16
	Options          []byte // a multiple of 4 bytes, at most 40
}

// PutTCP writes a header to b; the payload of payloadLen bytes must already
// stand behind it. It returns the header's length. The addresses are for the
// checksum.
func PutTCP(b []byte, f TCPFields, src, dst netip.Addr, payloadLen int) int {
	n := TCPHeaderLen + len(f.Options)
	h := TCP(b[:n])
	binary.BigEndian.PutUint16(h, f.SrcPort)
	binary.BigEndian.PutUint16(h[2:], f.DstPort)
	binary.BigEndian.PutUint32(h[4:], f.Seq)
	binary.BigEndian.PutUint32(h[8:], f.Ack)
	h[12], h[13] = byte(n/4)<<4, byte(f.Flags)
	binary.BigEndian.PutUint16(h[14:], f.Window)
	h[18], h[19] = 0, 0
	copy(h[TCPHeaderLen:], f.Options)
	h.UpdateChecksum(src, dst, b[n:n+payloadLen])
	return n
}

// SrcPort is the source port.
func (h TCP) SrcPort() uint16 { return binary.BigEndian.Uint16(h) }

// DstPort is the destination port.
func (h TCP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:]) }

// Seq is the sequence number.
func (h TCP) Seq() uint32 { return binary.BigEndian.Uint32(h[4:]) }

// Ack is the acknowledgement number; it has a meaning only with TCPAck.
func (h TCP) Ack() uint32 { return binary.BigEndian.Uint32(h[8:]) }

// Flags are the control bits.
func (h TCP) Flags() TCPFlags { return TCPFlags(h[13]) }

// Has reports whether all flags in f are set.
func (h TCP) Has(f TCPFlags) bool { return h.Flags()&f == f }

// Window is the field as it is on the wire, without scaling.
func (h TCP) Window() uint16 { return binary.BigEndian.Uint16(h[14:]) }

// Checksum is the checksum field.
func (h TCP) Checksum() uint16 { return binary.BigEndian.Uint16(h[16:]) }

// RawOptions are the bytes of the options, padding included.
func (h TCP) RawOptions() []byte { return h[TCPHeaderLen:] }

// SegmentLen is the sequence space that the segment takes: payload, SYN and FIN.
func (h TCP) SegmentLen(payload []byte) uint32 {
	n := uint32(len(payload))
	if h.Has(TCPSyn) {
		n++
	}
	if h.Has(TCPFin) {
		n++
	}
	return n
}

// ChecksumOK verifies the checksum.
func (h TCP) ChecksumOK(src, dst netip.Addr, payload []byte) bool {
	return h.sum(src, dst, payload) == 0
}

// UpdateChecksum computes the checksum anew.
func (h TCP) UpdateChecksum(src, dst netip.Addr, payload []byte) {
	h[16], h[17] = 0, 0
	binary.BigEndian.PutUint16(h[16:], h.sum(src, dst, payload))
}

func (h TCP) sum(src, dst netip.Addr, payload []byte) uint16 {
	return Fold(Sum(Sum(PseudoSum(src, dst, ProtocolTCP, len(h)+len(payload)), h), payload))
}

// SetWindow changes the window and repairs the checksum.
func (h TCP) SetWindow(w uint16) {
	before := h.Window()
	binary.BigEndian.PutUint16(h[14:], w)
	h.repair(uint32(before), uint32(w))
}

// SetSeq changes the sequence number and repairs the checksum.
func (h TCP) SetSeq(seq uint32) {
	before := h.Seq()
	binary.BigEndian.PutUint32(h[4:], seq)
	h.repair(before, seq)
}

// SetAck changes the acknowledgement number and repairs the checksum.
func (h TCP) SetAck(ack uint32) {
	before := h.Ack()
	binary.BigEndian.PutUint32(h[8:], ack)
	h.repair(before, ack)
}

func (h TCP) repair(before, after uint32) {
	binary.BigEndian.PutUint16(h[16:], Repair32(h.Checksum(), before, after))
}
