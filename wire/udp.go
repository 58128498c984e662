package wire

import (
	"encoding/binary"
	"net/netip"
)

// UDPHeaderLen is the length of a UDP header.
const UDPHeaderLen = 8

// UDP is a UDP header.
type UDP []byte

// ParseUDP splits a datagram into header and payload, which ends where the
// length field says.
func ParseUDP(b []byte) (UDP, []byte, error) {
	if len(b) < UDPHeaderLen {
		return nil, nil, ErrShort
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < UDPHeaderLen {
		return nil, nil, ErrLength
	}
	if len(b) < n {
		return nil, nil, ErrShort
	}
	return UDP(b[:UDPHeaderLen:UDPHeaderLen]), b[UDPHeaderLen:n], nil
}

// PutUDP writes a header to the first UDPHeaderLen bytes of b; the payload of
// payloadLen bytes must already stand behind it. The addresses are for the checksum.
func PutUDP(b []byte, srcPort, dstPort uint16, src, dst netip.Addr, payloadLen int) {
	n := UDPHeaderLen + payloadLen
	binary.BigEndian.PutUint16(b, srcPort)
	binary.BigEndian.PutUint16(b[2:], dstPort)
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	b[6], b[7] = 0, 0
	check := Fold(Sum(PseudoSum(src, dst, ProtocolUDP, n), b[:n]))
	if check == 0 { // 0 on the wire means "no checksum" (RFC 768)
		check = 0xffff
	}
	binary.BigEndian.PutUint16(b[6:], check)
}

// SrcPort is the source port.
func (h UDP) SrcPort() uint16 { return binary.BigEndian.Uint16(h) }

// DstPort is the destination port.
func (h UDP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:]) }

// Len is the length of header and payload.
func (h UDP) Len() int { return int(binary.BigEndian.Uint16(h[4:])) }

// Checksum is the checksum field; 0 means that there is none.
func (h UDP) Checksum() uint16 { return binary.BigEndian.Uint16(h[6:]) }

// ChecksumOK verifies the checksum; over IPv4 a datagram without one is right.
func (h UDP) ChecksumOK(src, dst netip.Addr, payload []byte) bool {
	if h.Checksum() == 0 {
		return src.Is4()
	}
	return Fold(Sum(Sum(PseudoSum(src, dst, ProtocolUDP, h.Len()), h), payload)) == 0
}
