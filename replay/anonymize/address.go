package anonymize

import (
	"encoding/binary"
	"net/netip"

	"hilnet/wire"
)

// maxCache bounds what is remembered of replacements; they can be computed again.
const maxCache = 1 << 16

// MAC returns the replacement of an Ethernet address. Broadcast, the zero address and
// the groups of IEEE 802.1 stay.
func (a *Anonymizer) MAC(m wire.MAC) wire.MAC {
	switch {
	case m == wire.MAC{}, m == wire.BroadcastMAC, m[0] == 1 && m[1] == 0x80 && m[2] == 0xc2:
		return m
	case m[0] == 0x33 && m[1] == 0x33: // RFC 2464 section 7: the end of an IPv6 group
		return wire.MAC(append([]byte{0x33, 0x33}, a.groupEnd([4]byte(m[2:]))...))
	case m[0] == 1 && m[1] == 0 && m[2] == 0x5e && m[3] < 0x80: // RFC 1112 section 6.4
		g := a.ipv4Group(uint32(m[3])<<16 | uint32(m[4])<<8 | uint32(m[5]))
		return wire.MAC{1, 0, 0x5e, byte(g >> 16), byte(g >> 8), byte(g)}
	}
	if r, known := a.macs[m]; known {
		return r
	}
	if len(a.macs) == maxCache {
		clear(a.macs)
	}
	var r wire.MAC
	oui := a.oui([3]byte(m[:3]))
	copy(r[:], oui[:])
	put24(r[3:], a.device(m[3:]))
	a.macs[m] = r
	return r
}

// oui replaces the first half of an Ethernet address by a locally administered one that
// keeps the group bit.
func (a *Anonymizer) oui(o [3]byte) [3]byte {
	n := a.secret.number(domainOUI, uint64(o[0]&^1)<<16|uint64(o[1])<<8|uint64(o[2]))
	return [3]byte{byte(n>>16)&^3 | 2 | o[0]&1, byte(n >> 8), byte(n)}
}

// device permutes the last 24 bits of Ethernet addresses and of interface identifiers: so
// solicited-node addresses, which have no more of an address, fit.
func (a *Anonymizer) device(b []byte) uint64 {
	return a.secret.permute(domainDevice, 24, uint64(b[0])<<16|uint64(b[1])<<8|uint64(b[2]))
}

func put24(b []byte, v uint64) { b[0], b[1], b[2] = byte(v>>16), byte(v>>8), byte(v) }

// Addr returns the replacement of an IP address. Those that mean nobody in particular
// stay: unspecified, limited broadcast, and the groups of the link that the RFCs name.
func (a *Anonymizer) Addr(addr netip.Addr) netip.Addr {
	if r, known := a.addrs[addr]; known {
		return r
	}
	if len(a.addrs) == maxCache {
		clear(a.addrs)
	}
	var r netip.Addr
	switch {
	case addr.Is4():
		b := addr.As4()
		r = netip.AddrFrom4(a.ipv4(b))
	case addr.Is6():
		b := addr.As16()
		r = netip.AddrFrom16(a.ipv6(b))
	default:
		return addr
	}
	a.addrs[addr] = r
	return r
}

func (a *Anonymizer) ipv4(b [4]byte) [4]byte {
	v := binary.BigEndian.Uint32(b[:])
	switch {
	case v == 0, v == 0xffffffff, v>>8 == 0xe00000: // 224.0.0.0/24: RFC 5771 section 4
		return b
	case v>>28 == 0xe:
		low := v & 0x7fffff
		if low>>8 == 0 {
			low |= 1 << 22 // its Ethernet address is that of one that stays, so it cannot fit
		}
		g := 0xef000000 | uint32(a.ipv4Group(low))
		binary.BigEndian.PutUint32(b[:], g)
		return b
	case v>>28 == 0xf:
		v &= 0x7fffffff // reserved, so not seen: as if it was not
	}
	for {
		v = uint32(a.secret.prefix(domainFirstOctets, uint64(v)<<32, 32) >> 32)
		// The first octet alone decides, so networks stay together.
		if first := v >> 24; first != 0 && first != 127 && first < 224 {
			break
		}
	}
	binary.BigEndian.PutUint32(b[:], v)
	return b
}

// ipv4Group permutes the 23 bits of a group that its Ethernet address has; those of
// 224.0.0.0/24 stay.
func (a *Anonymizer) ipv4Group(low uint32) uint64 {
	if low>>8 == 0 {
		return uint64(low)
	}
	v := uint64(low)
	for {
		if v = a.secret.permute(domainGroup, 24, v); v < 1<<23 && v>>8 != 0 {
			return v
		}
	}
}

// groupEnd replaces the last 32 bits of an IPv6 group, which its Ethernet address has.
func (a *Anonymizer) groupEnd(b [4]byte) []byte {
	low := binary.BigEndian.Uint32(b[:])
	switch {
	case b[0] == 0xff: // solicited-node, RFC 4291 section 2.7.1
		put24(b[1:], a.device(b[1:]))
	case low < 1<<8, low == 0x10002, low == 0x10003: // RFC 4291, RFC 3810, RFC 8415, RFC 4795
	default:
		binary.BigEndian.PutUint32(b[:], 0x40000000|uint32(a.secret.number(domainMulticastMAC, uint64(low)))&0x3fffffff)
	}
	return b[:]
}

func (a *Anonymizer) ipv6(b [16]byte) [16]byte {
	switch {
	case b == [16]byte{}:
		return b
	case b[0] == 0xff: // the end is all that says who; flags and scope stay
		end := a.groupEnd([4]byte(b[12:]))
		middle := b[2:12]
		solicited := [10]byte{9: 1} // ff02::1:ffXX:XXXX
		if [10]byte(middle) != [10]byte{} && [10]byte(middle) != solicited {
			r := a.secret.random(domainGroup, b[:])
			copy(middle, r[:])
		}
		copy(b[12:], end)
		return b
	case [12]byte(b[:12]) == [12]byte{10: 0xff, 11: 0xff}: // ::ffff:192.0.2.1
		v4 := a.ipv4([4]byte(b[12:]))
		copy(b[12:], v4[:])
		return b
	}
	a.ipv6Prefix(b[:8])
	if b[11] == 0xff && b[12] == 0xfe { // EUI-64, RFC 4291 appendix A: bit 1 is inverted
		oui := a.oui([3]byte{b[8] ^ 2, b[9], b[10]})
		b[8], b[9], b[10] = oui[0]^2, oui[1], oui[2]
	} else {
		high := binary.BigEndian.Uint64(b[8:]) >> 24
		high = a.secret.permute(domainInterfaceHigh, 40, high)
		b[8], b[9], b[10], b[11], b[12] = byte(high>>32), byte(high>>24), byte(high>>16), byte(high>>8), byte(high)
	}
	put24(b[13:], a.device(b[13:]))
	return b
}

// ipv6Prefix replaces the first 64 bits of an address, but for the bits that say of what
// kind it is.
func (a *Anonymizer) ipv6Prefix(b []byte) {
	v := binary.BigEndian.Uint64(b)
	keep := uint(3) // global unicast, RFC 4291 section 2.4
	switch {
	case v == 0, v == 0xfe80<<48:
		return
	case b[0] == 0xfe:
		keep = 10
	case b[0]&0xfe == 0xfc:
		keep = 8
	}
	r := a.secret.prefix(domainIPv6Prefix, v, 64)
	mask := ^uint64(0) << (64 - keep)
	binary.BigEndian.PutUint64(b, v&mask|r&^mask)
}

// put4 and put16 write the replacement of the address in in.
func (a *Anonymizer) put4(out, in []byte) {
	a.report.Addresses++
	r := a.Addr(netip.AddrFrom4([4]byte(in))).As4()
	copy(out, r[:])
}

func (a *Anonymizer) put16(out, in []byte) {
	a.report.Addresses++
	r := a.Addr(netip.AddrFrom16([16]byte(in))).As16()
	copy(out, r[:])
}

func (a *Anonymizer) putMAC(out, in []byte) {
	a.report.Addresses++
	r := a.MAC(wire.MAC(in))
	copy(out, r[:])
}
