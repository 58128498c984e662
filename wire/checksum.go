package wire

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Sum adds data to the running Internet checksum sum (RFC 1071). Data of odd
// length counts as if a zero byte followed it, so only the last of several
// pieces may be odd. The result must be passed to Fold or to another Sum.
func Sum(sum uint32, data []byte) uint32 {
	// Carries of 64-bit additions are added at the end: they count 1 each modulo
	// 65,535, as those of 16-bit additions do.
	acc, carry := uint64(sum), uint64(0)
	for len(data) >= 32 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(data), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(data[8:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(data[16:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(data[24:]), carry)
		data = data[32:]
	}
	for len(data) >= 8 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(data), carry)
		data = data[8:]
	}
	acc, carry = bits.Add64(acc, 0, carry)
	acc = acc>>32 + acc&0xffffffff + carry
	for len(data) >= 2 {
		acc += uint64(binary.BigEndian.Uint16(data))
		data = data[2:]
	}
	if len(data) == 1 {
		acc += uint64(data[0]) << 8
	}
	for acc>>16 != 0 {
		acc = acc&0xffff + acc>>16
	}
	return uint32(acc)
}

// Fold ends a running sum: it returns the value for the checksum field.
func Fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// Checksum is Fold(Sum(0, data)).
func Checksum(data []byte) uint16 { return Fold(Sum(0, data)) }

// PseudoSum is the running sum of the pseudo header of TCP, UDP and ICMPv6
// (RFC 9293 3.1, RFC 8200 8.1). Both addresses must be of one family; length is
// that of the upper-layer header and its payload.
func PseudoSum(src, dst netip.Addr, protocol uint8, length int) uint32 {
	var sum uint32
	if src.Is4() {
		a, b := src.As4(), dst.As4()
		sum = Sum(Sum(0, a[:]), b[:])
	} else {
		a, b := src.As16(), dst.As16()
		sum = Sum(Sum(0, a[:]), b[:])
	}
	return sum + uint32(protocol) + uint32(length)>>16 + uint32(length)&0xffff
}

// Repair16 returns the checksum of a packet in which one aligned 16-bit word
// changed from before to after (RFC 1624, equation 3).
func Repair16(check, before, after uint16) uint16 {
	sum := uint32(^check) + uint32(^before) + uint32(after)
	return Fold(sum)
}

// Repair32 is Repair16 for two neighbouring words.
func Repair32(check uint16, before, after uint32) uint16 {
	check = Repair16(check, uint16(before>>16), uint16(after>>16))
	return Repair16(check, uint16(before), uint16(after))
}
