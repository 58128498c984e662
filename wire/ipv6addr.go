package wire

import "net/netip"

// The link-local multicast groups of RFC 4291 2.7.1, and the network of
// link-local addresses.
var (
	AllNodes          = netip.MustParseAddr("ff02::1")
	AllRouters        = netip.MustParseAddr("ff02::2")
	LinkLocalNetwork  = netip.MustParsePrefix("fe80::/64")
	solicitedNodeZero = netip.MustParseAddr("ff02::1:ff00:0").As16()
)

// SolicitedNode returns the multicast group at which a node with the IPv6
// address a is asked for its hardware address (RFC 4291 2.7.1).
func SolicitedNode(a netip.Addr) netip.Addr {
	group, from := solicitedNodeZero, a.As16()
	copy(group[13:], from[13:])
	return netip.AddrFrom16(group)
}

// MulticastMAC returns the Ethernet address of an IPv6 multicast group (RFC 2464
// section 7).
func MulticastMAC(group netip.Addr) MAC {
	b := group.As16()
	return MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// EUI64 returns the address in a network of 64 bits whose interface identifier
// is made of mac (RFC 4291 appendix A).
func EUI64(network netip.Prefix, mac MAC) netip.Addr {
	b := network.Masked().Addr().As16()
	copy(b[8:], []byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
	return netip.AddrFrom16(b)
}
