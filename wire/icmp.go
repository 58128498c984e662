package wire

import "encoding/binary"

// ICMPv4 types (RFC 792) and the codes of "destination unreachable".
const (
	ICMPEchoReply       uint8 = 0
	ICMPUnreachable     uint8 = 3
	ICMPEchoRequest     uint8 = 8
	ICMPTimeExceeded    uint8 = 11
	ICMPNetUnreachable  uint8 = 0
	ICMPHostUnreachable uint8 = 1
	ICMPPortUnreachable uint8 = 3
	ICMPFragNeeded      uint8 = 4
	ICMPAdminProhibited uint8 = 13
)

// ICMPHeaderLen is the length of an ICMPv4 header.
const ICMPHeaderLen = 8

// icmpErrorMax keeps an ICMP error within 576 bytes of IP (RFC 1812 4.3.2.3).
const icmpErrorMax = 576 - IPv4HeaderLen - ICMPHeaderLen

// ICMPv4 is the first eight bytes of an ICMPv4 message.
type ICMPv4 []byte

// ParseICMPv4 splits a message into header and payload. The payload of an error
// is the packet that caused it, cut off.
func ParseICMPv4(b []byte) (ICMPv4, []byte, error) {
	if len(b) < ICMPHeaderLen {
		return nil, nil, ErrShort
	}
	return ICMPv4(b[:ICMPHeaderLen:ICMPHeaderLen]), b[ICMPHeaderLen:], nil
}

// Type is the message type.
func (h ICMPv4) Type() uint8 { return h[0] }

// Code is the sub-type.
func (h ICMPv4) Code() uint8 { return h[1] }

// Checksum is the checksum field.
func (h ICMPv4) Checksum() uint16 { return binary.BigEndian.Uint16(h[2:]) }

// EchoID is the identifier of an echo message.
func (h ICMPv4) EchoID() uint16 { return binary.BigEndian.Uint16(h[4:]) }

// EchoSeq is the sequence number of an echo message.
func (h ICMPv4) EchoSeq() uint16 { return binary.BigEndian.Uint16(h[6:]) }

// NextHopMTU is that field of ICMPFragNeeded (RFC 1191).
func (h ICMPv4) NextHopMTU() uint16 { return binary.BigEndian.Uint16(h[6:]) }

// ChecksumOK verifies the checksum over header and payload.
func (h ICMPv4) ChecksumOK(payload []byte) bool { return Fold(Sum(Sum(0, h), payload)) == 0 }

// PutICMPv4Echo writes an echo message (request or reply) with its checksum to
// the first ICMPHeaderLen+len(payload) bytes of b and returns that length. The
// payload may already be in its place.
func PutICMPv4Echo(b []byte, typ uint8, id, seq uint16, payload []byte) int {
	return putICMPv4(b, typ, 0, uint32(id)<<16|uint32(seq), payload)
}

// ICMPv4ErrorLen is the length of the message that PutICMPv4Error writes.
func ICMPv4ErrorLen(original []byte) int { return ICMPHeaderLen + min(len(original), icmpErrorMax) }

// PutICMPv4Error writes an error that quotes original, an IP packet, cut so that
// the error fits 576 bytes. rest is the second header word: 0, or the next-hop
// MTU of ICMPFragNeeded.
func PutICMPv4Error(b []byte, typ, code uint8, rest uint32, original []byte) int {
	return putICMPv4(b, typ, code, rest, original[:min(len(original), icmpErrorMax)])
}

func putICMPv4(b []byte, typ, code uint8, rest uint32, payload []byte) int {
	n := ICMPHeaderLen + len(payload)
	copy(b[ICMPHeaderLen:n], payload)
	b[0], b[1], b[2], b[3] = typ, code, 0, 0
	binary.BigEndian.PutUint32(b[4:], rest)
	binary.BigEndian.PutUint16(b[2:], Checksum(b[:n]))
	return n
}
