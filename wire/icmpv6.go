package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// ICMPv6 types (RFC 4443, RFC 4861) and the codes of "destination unreachable".
const (
	ICMPv6Unreachable        uint8 = 1
	ICMPv6PacketTooBig       uint8 = 2
	ICMPv6TimeExceeded       uint8 = 3
	ICMPv6ParameterProblem   uint8 = 4
	ICMPv6EchoRequest        uint8 = 128
	ICMPv6EchoReply          uint8 = 129
	ICMPv6RouterSolicit      uint8 = 133
	ICMPv6RouterAdvert       uint8 = 134
	ICMPv6NeighborSolicit    uint8 = 135
	ICMPv6NeighborAdvert     uint8 = 136
	ICMPv6NoRoute            uint8 = 0
	ICMPv6AdminProhibited    uint8 = 1
	ICMPv6AddressUnreachable uint8 = 3
	ICMPv6PortUnreachable    uint8 = 4
)

// ICMPv6HeaderLen is the length of what an ICMPv6 view covers: type, code,
// checksum and the word behind them, which every message in use has.
const ICMPv6HeaderLen = 8

// icmpv6ErrorMax keeps an ICMPv6 error within the smallest MTU (RFC 4443 2.4 c).
const icmpv6ErrorMax = 1280 - IPv6HeaderLen - ICMPv6HeaderLen

// ICMPv6 is the first eight bytes of an ICMPv6 message.
type ICMPv6 []byte

// ParseICMPv6 splits a message into header and payload. The payload of an error
// is the packet that caused it, cut off; for neighbour discovery see
// ICMPv6.Neighbor, ICMPv6.RouterAdvert and ParseNDOptions.
func ParseICMPv6(b []byte) (ICMPv6, []byte, error) {
	if len(b) < ICMPv6HeaderLen {
		return nil, nil, ErrShort
	}
	return ICMPv6(b[:ICMPv6HeaderLen:ICMPv6HeaderLen]), b[ICMPv6HeaderLen:], nil
}

// Type is the message type.
func (h ICMPv6) Type() uint8 { return h[0] }

// Code is the sub-type.
func (h ICMPv6) Code() uint8 { return h[1] }

// Checksum is the checksum field.
func (h ICMPv6) Checksum() uint16 { return binary.BigEndian.Uint16(h[2:]) }

// EchoID is the identifier of an echo message.
func (h ICMPv6) EchoID() uint16 { return binary.BigEndian.Uint16(h[4:]) }

// EchoSeq is the sequence number of an echo message.
func (h ICMPv6) EchoSeq() uint16 { return binary.BigEndian.Uint16(h[6:]) }

// MTU is that field of ICMPv6PacketTooBig.
func (h ICMPv6) MTU() uint32 { return binary.BigEndian.Uint32(h[4:]) }

// ChecksumOK verifies the checksum over pseudo header, header and payload.
func (h ICMPv6) ChecksumOK(src, dst netip.Addr, payload []byte) bool {
	return Fold(Sum(Sum(PseudoSum(src, dst, ProtocolICMPv6, len(h)+len(payload)), h), payload)) == 0
}

// PutICMPv6 writes a message with its checksum to the first
// ICMPv6HeaderLen+len(payload) bytes of b and returns that length. word is the
// second word of the header. The payload may already be in its place.
func PutICMPv6(b []byte, typ, code uint8, word uint32, payload []byte, src, dst netip.Addr) int {
	n := ICMPv6HeaderLen + len(payload)
	copy(b[ICMPv6HeaderLen:n], payload)
	b[0], b[1], b[2], b[3] = typ, code, 0, 0
	binary.BigEndian.PutUint32(b[4:], word)
	binary.BigEndian.PutUint16(b[2:], Fold(Sum(PseudoSum(src, dst, ProtocolICMPv6, n), b[:n])))
	return n
}

// PutICMPv6Echo writes an echo message (request or reply) as PutICMPv6 does.
func PutICMPv6Echo(b []byte, typ uint8, id, seq uint16, payload []byte, src, dst netip.Addr) int {
	return PutICMPv6(b, typ, 0, uint32(id)<<16|uint32(seq), payload, src, dst)
}

// ICMPv6ErrorLen is the length of the message that PutICMPv6Error writes.
func ICMPv6ErrorLen(original []byte) int { return ICMPv6HeaderLen + min(len(original), icmpv6ErrorMax) }

// PutICMPv6Error writes an error that quotes original, an IPv6 packet, cut so
// that the error fits the smallest MTU. word is 0, or the MTU of
// ICMPv6PacketTooBig.
func PutICMPv6Error(b []byte, typ, code uint8, word uint32, original []byte, src, dst netip.Addr) int {
	return PutICMPv6(b, typ, code, word, original[:min(len(original), icmpv6ErrorMax)], src, dst)
}

func (h ICMPv6) summary(src, dst netip.Addr, payload []byte) string {
	switch h.Type() {
	case ICMPv6EchoRequest, ICMPv6EchoReply:
		return fmt.Sprintf("ICMPv6 %v > %v type=%d code=%d id=%d seq=%d len=%d", src, dst, h.Type(), h.Code(),
			h.EchoID(), h.EchoSeq(), len(payload))
	case ICMPv6NeighborSolicit:
		if n, err := h.Neighbor(payload); err == nil {
			return fmt.Sprintf("NS %v > %v who has %v?%s", src, dst, n.Target, n.Options.summary())
		}
	case ICMPv6NeighborAdvert:
		if n, err := h.Neighbor(payload); err == nil {
			return fmt.Sprintf("NA %v > %v %v [%s]%s", src, dst, n.Target, n.flags(), n.Options.summary())
		}
	case ICMPv6RouterSolicit:
		if o, err := ParseNDOptions(payload); err == nil {
			return fmt.Sprintf("RS %v > %v%s", src, dst, o.summary())
		}
	case ICMPv6RouterAdvert:
		if r, err := h.RouterAdvert(payload); err == nil {
			return fmt.Sprintf("RA %v > %v lifetime=%v%s", src, dst, r.Lifetime, r.Options.summary())
		}
	}
	return fmt.Sprintf("ICMPv6 %v > %v type=%d code=%d len=%d", src, dst, h.Type(), h.Code(), len(payload))
}
