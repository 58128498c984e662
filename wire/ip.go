package wire

import (
	"encoding/binary"
	"net/netip"
)

// IP protocol numbers.
const (
	ProtocolHopByHop uint8 = 0
	ProtocolICMP     uint8 = 1
	ProtocolTCP      uint8 = 6
	ProtocolUDP      uint8 = 17
	ProtocolRouting  uint8 = 43
	ProtocolFragment uint8 = 44
	ProtocolICMPv6   uint8 = 58
	ProtocolDestOpts uint8 = 60
)

// Lengths of headers without options.
const (
	IPv4HeaderLen = 20
	IPv6HeaderLen = 40
)

// IPv4 is a header including its options.
type IPv4 []byte

// ParseIPv4 splits a packet into header and payload. The payload ends where the
// total length says, so Ethernet padding is cut off.
func ParseIPv4(b []byte) (IPv4, []byte, error) {
	if len(b) < IPv4HeaderLen {
		return nil, nil, ErrShort
	}
	if b[0]>>4 != 4 {
		return nil, nil, ErrVersion
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < IPv4HeaderLen || total < header {
		return nil, nil, ErrLength
	}
	if len(b) < total {
		return nil, nil, ErrShort
	}
	return IPv4(b[:header:header]), b[header:total], nil
}

// IPv4Fields are the parts of an IPv4 header that its sender chooses.
type IPv4Fields struct {
	TOS          uint8
	ID           uint16
	DontFragment bool
	TTL          uint8
	Protocol     uint8
	Src, Dst     netip.Addr // IPv4
}

// PutIPv4 writes a header without options, with its checksum, to the first
// IPv4HeaderLen bytes of b. The total length is that of the header and
// payloadLen.
func PutIPv4(b []byte, f IPv4Fields, payloadLen int) {
	h := IPv4(b[:IPv4HeaderLen])
	h[0], h[1] = 4<<4|IPv4HeaderLen/4, f.TOS
	binary.BigEndian.PutUint16(h[2:], uint16(IPv4HeaderLen+payloadLen))
	binary.BigEndian.PutUint16(h[4:], f.ID)
	h[6], h[7] = 0, 0
	if f.DontFragment {
		h[6] = 0x40
	}
	h[8], h[9] = f.TTL, f.Protocol
	src, dst := f.Src.As4(), f.Dst.As4()
	copy(h[12:], src[:])
	copy(h[16:], dst[:])
	h.UpdateChecksum()
}

// TOS is the type of service byte (DSCP and ECN).
func (h IPv4) TOS() uint8 { return h[1] }

// TotalLen is the length of header and payload.
func (h IPv4) TotalLen() int { return int(binary.BigEndian.Uint16(h[2:])) }

// ID is the identification field.
func (h IPv4) ID() uint16 { return binary.BigEndian.Uint16(h[4:]) }

// DontFragment is the DF bit.
func (h IPv4) DontFragment() bool { return h[6]&0x40 != 0 }

// MoreFragments is the MF bit.
func (h IPv4) MoreFragments() bool { return h[6]&0x20 != 0 }

// FragmentOffset is the offset of this fragment in bytes.
func (h IPv4) FragmentOffset() int { return int(binary.BigEndian.Uint16(h[6:])&0x1fff) * 8 }

// TTL is the time to live.
func (h IPv4) TTL() uint8 { return h[8] }

// Protocol is the number of the upper-layer protocol.
func (h IPv4) Protocol() uint8 { return h[9] }

// Checksum is the header checksum field.
func (h IPv4) Checksum() uint16 { return binary.BigEndian.Uint16(h[10:]) }

// Src is the source address.
func (h IPv4) Src() netip.Addr { return netip.AddrFrom4([4]byte(h[12:16])) }

// Dst is the destination address.
func (h IPv4) Dst() netip.Addr { return netip.AddrFrom4([4]byte(h[16:20])) }

// ChecksumOK reports whether the header checksum is right.
func (h IPv4) ChecksumOK() bool { return Checksum(h) == 0 }

// UpdateChecksum computes the header checksum anew.
func (h IPv4) UpdateChecksum() {
	h[10], h[11] = 0, 0
	binary.BigEndian.PutUint16(h[10:], Checksum(h))
}

// SetID changes the identification and repairs the checksum.
func (h IPv4) SetID(id uint16) { h.set16(4, id) }

// SetTotalLen changes the total length and repairs the checksum.
func (h IPv4) SetTotalLen(n int) { h.set16(2, uint16(n)) }

// SetTTL changes the time to live and repairs the checksum.
func (h IPv4) SetTTL(ttl uint8) { h.set16(8, uint16(ttl)<<8|uint16(h[9])) }

// SetTOS changes the type of service byte and repairs the checksum.
func (h IPv4) SetTOS(tos uint8) { h.set16(0, uint16(h[0])<<8|uint16(tos)) }

// SetDontFragment changes the DF bit and repairs the checksum.
func (h IPv4) SetDontFragment(on bool) {
	flags := binary.BigEndian.Uint16(h[6:]) &^ 0x4000
	if on {
		flags |= 0x4000
	}
	h.set16(6, flags)
}

func (h IPv4) set16(at int, v uint16) {
	before := binary.BigEndian.Uint16(h[at:])
	binary.BigEndian.PutUint16(h[at:], v)
	binary.BigEndian.PutUint16(h[10:], Repair16(h.Checksum(), before, v))
}

// IPv6 is the fixed IPv6 header.
type IPv6 []byte

// ParseIPv6 splits a packet into the fixed header and what the payload length
// covers (extension headers included). Jumbograms are refused.
func ParseIPv6(b []byte) (IPv6, []byte, error) {
	if len(b) < IPv6HeaderLen {
		return nil, nil, ErrShort
	}
	if b[0]>>4 != 6 {
		return nil, nil, ErrVersion
	}
	end := IPv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	if len(b) < end {
		return nil, nil, ErrShort
	}
	return IPv6(b[:IPv6HeaderLen:IPv6HeaderLen]), b[IPv6HeaderLen:end], nil
}

// PutIPv6 writes a fixed header to the first IPv6HeaderLen bytes of b, with
// traffic class and flow label 0.
func PutIPv6(b []byte, nextHeader, hopLimit uint8, src, dst netip.Addr, payloadLen int) {
	_ = b[IPv6HeaderLen-1]
	binary.BigEndian.PutUint32(b, 6<<28)
	binary.BigEndian.PutUint16(b[4:], uint16(payloadLen))
	b[6], b[7] = nextHeader, hopLimit
	s, d := src.As16(), dst.As16()
	copy(b[8:], s[:])
	copy(b[24:], d[:])
}

// NextHeader is the protocol number of what follows the fixed header.
func (h IPv6) NextHeader() uint8 { return h[6] }

// HopLimit is IPv6's time to live.
func (h IPv6) HopLimit() uint8 { return h[7] }

// PayloadLen is the length of everything behind the fixed header.
func (h IPv6) PayloadLen() int { return int(binary.BigEndian.Uint16(h[4:])) }

// SetPayloadLen changes the length of what is behind the fixed header.
func (h IPv6) SetPayloadLen(n int) { binary.BigEndian.PutUint16(h[4:], uint16(n)) }

// Src is the source address.
func (h IPv6) Src() netip.Addr { return netip.AddrFrom16([16]byte(h[8:24])) }

// Dst is the destination address.
func (h IPv6) Dst() netip.Addr { return netip.AddrFrom16([16]byte(h[24:40])) }

// UpperLayer skips hop-by-hop, routing and destination options in the payload
// of an IPv6 header. It stops at a fragment header, which it returns as the
// protocol ProtocolFragment.
func (h IPv6) UpperLayer(payload []byte) (protocol uint8, rest []byte, err error) {
	protocol = h.NextHeader()
	for protocol == ProtocolHopByHop || protocol == ProtocolRouting || protocol == ProtocolDestOpts {
		if len(payload) < 8 {
			return 0, nil, ErrShort
		}
		n := (int(payload[1]) + 1) * 8
		if len(payload) < n {
			return 0, nil, ErrShort
		}
		protocol, payload = payload[0], payload[n:]
	}
	return protocol, payload, nil
}
