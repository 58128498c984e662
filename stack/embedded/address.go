package embedded

import (
	"net/netip"

	"hilnet/wire"
)

// Reading list: nx_ip_interface_address_set.c, nx_ip_gateway_address_set.c,
// nx_ip_route_find.c, nx_ipv4_packet_receive.c.

// noPrefix is the network of an interface without an address: mask and network
// are zero, so that every address is a neighbour (nx_ip_route_find.c).
var noPrefix = netip.PrefixFrom(netip.IPv4Unspecified(), 0)

// Addr returns the instance's address, 0.0.0.0 while it has none.
func (ip *IP) Addr() netip.Addr { return ip.addr }

// Prefix returns the instance's address and network, 0.0.0.0/0 while it has none.
func (ip *IP) Prefix() netip.Prefix { return ip.prefix }

// Gateway returns the gateway, the zero Addr while there is none.
func (ip *IP) Gateway() netip.Addr { return ip.gateway }

// SetAddress gives the instance another address, or with the zero Prefix none:
// nx_ip_interface_address_set. Connections stay, and what they send has the new
// address; the ARP cache stays as well.
func (ip *IP) SetAddress(p netip.Prefix) {
	was := ip.prefix
	ip.setPrefix(p)
	ip.defend = 0
	if ip.prefix != was && ip.onAddress != nil {
		ip.onAddress()
	}
}

// AddressNotify sets a function that is called when the address has changed:
// nx_ip_address_change_notify.
func (ip *IP) AddressNotify(fn func()) { ip.onAddress = fn }

// SetGateway sets the gateway, or with the zero Addr clears it. NetX refuses one
// outside the instance's network (nx_ip_gateway_address_set.c); SetGateway
// reports false then, and the gateway stays as it is.
func (ip *IP) SetGateway(gateway netip.Addr) bool {
	if gateway.IsValid() && !ip.prefix.Contains(gateway) {
		return false
	}
	ip.gateway = gateway
	return true
}

func (ip *IP) setPrefix(p netip.Prefix) {
	if !p.IsValid() {
		p = noPrefix
	}
	ip.prefix, ip.addr, ip.broadcast = p, p.Addr(), lastAddr(p)
}

// mayBeDHCP reports whether a packet for another address is to be looked at: an
// interface without an address takes datagrams for DHCP's client port.
func (ip *IP) mayBeDHCP(b []byte, info ipInfo) bool {
	return ip.addr.IsUnspecified() && info.protocol == wire.ProtocolUDP && len(b) >= wire.UDPHeaderLen &&
		wire.UDP(b[:wire.UDPHeaderLen]).DstPort() == wire.DHCPClientPort
}

// lastAddr is the broadcast address of a network.
func lastAddr(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}
