package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
)

// EtherTypes.
const (
	EtherTypeIPv4 uint16 = 0x0800
	EtherTypeARP  uint16 = 0x0806
	EtherTypeVLAN uint16 = 0x8100
	EtherTypeQinQ uint16 = 0x88a8
	EtherTypeIPv6 uint16 = 0x86dd
)

// EthernetHeaderLen is the length of a header without VLAN tags.
const EthernetHeaderLen = 14

const (
	vlanTagLen  = 4
	maxVLANTags = 2
)

// MAC is an Ethernet address.
type MAC [6]byte

// BroadcastMAC is ff:ff:ff:ff:ff:ff.
var BroadcastMAC = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// ParseMAC reads the usual notations of a 48-bit address, such as
// 02:00:00:00:00:01.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil {
		return MAC{}, fmt.Errorf("wire: %w", err)
	}
	if len(hw) != len(MAC{}) {
		return MAC{}, fmt.Errorf("wire: address %q: %w", s, errNot48Bit)
	}
	return MAC(hw), nil
}

var errNot48Bit = errors.New("an Ethernet address has 6 bytes")

// String is the colon notation in lower case.
func (m MAC) String() string {
	const hex = "0123456789abcdef"
	var b [17]byte
	for i, v := range m {
		b[3*i], b[3*i+1] = hex[v>>4], hex[v&15]
		if i < 5 {
			b[3*i+2] = ':'
		}
	}
	return string(b[:])
}

// IsMulticast reports whether the group bit is set; it is in BroadcastMAC too.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// Ethernet is a frame's header including at most two VLAN tags.
type Ethernet []byte

// ParseEthernet splits a frame (without frame check sequence) into header and
// payload; the payload includes padding.
func ParseEthernet(frame []byte) (Ethernet, []byte, error) {
	n := EthernetHeaderLen
	for tags := 0; ; tags++ {
		if len(frame) < n {
			return nil, nil, ErrShort
		}
		if t := binary.BigEndian.Uint16(frame[n-2:]); t != EtherTypeVLAN && t != EtherTypeQinQ {
			return Ethernet(frame[:n:n]), frame[n:], nil
		}
		if tags == maxVLANTags {
			return nil, nil, ErrFormat
		}
		n += vlanTagLen
	}
}

// PutEthernet writes an untagged header to the first EthernetHeaderLen bytes of b.
func PutEthernet(b []byte, dst, src MAC, etherType uint16) {
	_ = b[EthernetHeaderLen-1]
	copy(b, dst[:])
	copy(b[6:], src[:])
	binary.BigEndian.PutUint16(b[12:], etherType)
}

// Dst is the destination address.
func (e Ethernet) Dst() MAC { return MAC(e[0:6]) }

// Src is the source address.
func (e Ethernet) Src() MAC { return MAC(e[6:12]) }

// SetDst changes the destination address.
func (e Ethernet) SetDst(m MAC) { copy(e[0:6], m[:]) }

// SetSrc changes the source address.
func (e Ethernet) SetSrc(m MAC) { copy(e[6:12], m[:]) }

// EtherType is the type of the payload, behind all VLAN tags. Values below 1536
// are a length (IEEE 802.3 clause 3.2.6).
func (e Ethernet) EtherType() uint16 { return binary.BigEndian.Uint16(e[len(e)-2:]) }

// VLAN is the identifier (0 to 4095) of the outermost tag; ok is false without one.
func (e Ethernet) VLAN() (id uint16, ok bool) {
	if len(e) < EthernetHeaderLen+vlanTagLen {
		return 0, false
	}
	return binary.BigEndian.Uint16(e[14:]) & 0x0fff, true
}
