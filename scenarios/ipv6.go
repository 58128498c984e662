package scenarios

import (
	"net/netip"
	"reflect"
	"slices"
)

// A Prefix6 is an IPv6 network, or an IPv6 address with the length of its
// network. The zero value is none.
type Prefix6 struct{ netip.Prefix }

// UnmarshalText reads fd00::1/64.
func (p *Prefix6) UnmarshalText(text []byte) error {
	got, err := parsePrefix6(string(text))
	if err == nil {
		p.Prefix = got
	}
	return err
}

// MarshalText writes what UnmarshalText reads.
func (p Prefix6) MarshalText() ([]byte, error) { return p.Prefix.MarshalText() }

// Address6 is how a device gets an IPv6 address. The zero value is that the file
// does not say.
type Address6 struct {
	Prefix netip.Prefix // with the length of its network
	SLAAC  bool         // made of a network that a router advertises
	None   bool         // the device has none
}

// Words of Address6.
const (
	wordSLAAC = "slaac"
	wordNone  = "none"
)

// IsSet reports whether the device speaks IPv6.
func (a Address6) IsSet() bool { return a.SLAAC || a.Prefix.IsValid() }

// UnmarshalText reads fd00::2/64, slaac or none.
func (a *Address6) UnmarshalText(text []byte) error {
	switch word := string(text); word {
	case wordSLAAC, wordNone:
		*a = Address6{SLAAC: word == wordSLAAC, None: word == wordNone}
		return nil
	default:
		p, err := parsePrefix6(word)
		if near := nearest(word, []string{wordSLAAC, wordNone}); err != nil && near != "" {
			err = hint(didYouMean(word, []string{near}), "%q is not an IPv6 address with prefix length", word)
		}
		if err == nil {
			*a = Address6{Prefix: p}
		}
		return err
	}
}

// MarshalText writes what UnmarshalText reads.
func (a Address6) MarshalText() ([]byte, error) {
	switch {
	case a.SLAAC:
		return []byte(wordSLAAC), nil
	case a.Prefix.IsValid():
		return a.Prefix.MarshalText()
	}
	return []byte(wordNone), nil
}

func parsePrefix6(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err == nil && p.Addr().Is6() && !p.Addr().Is4In6() {
		return p, nil
	}
	switch a, err := netip.ParseAddr(text); {
	case err == nil && a.Is6() && !a.Is4In6() && a.Zone() == "":
		return netip.Prefix{}, hint("write "+text+"/64", "%s lacks its prefix length", text)
	case err == nil && a.Zone() != "":
		return netip.Prefix{}, hint("write fe80::2/64, without a zone: a device has one interface", "%q has a zone", text)
	case err == nil || p.IsValid():
		return netip.Prefix{}, hint("write an IPv6 address such as fd00::2/64, or the key without the 6 for IPv4", "%q is an IPv4 address", text)
	}
	return netip.Prefix{}, hint("write an address and a prefix length, such as fd00::2/64", "%q is not an IPv6 address with prefix length", text)
}

// Family is the version of IP that a device connects by.
type Family string

// The families.
const (
	FamilyAuto Family = "auto"
	FamilyIPv4 Family = "ipv4"
	FamilyIPv6 Family = "ipv6"
)

// Values returns the valid families.
func (Family) Values() []string {
	return []string{string(FamilyAuto), string(FamilyIPv4), string(FamilyIPv6)}
}

// after6 returns the IPv6 address n behind a.
func after6(a netip.Addr, n int) netip.Addr {
	b := a.As16()
	for i := len(b) - 1; i >= 0 && n > 0; i-- {
		n += int(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	return netip.AddrFrom16(b)
}

// fillAddresses6 gives IPv6 addresses to those who left them out and have one.
func (s *Scenario) fillAddresses6() {
	b := &s.Broker
	switch {
	case b.Address6.IsValid():
	case b.Tap != nil:
		b.Address6 = b.Tap.Address6
	case (b.Kind == BrokerModel || b.Kind == BrokerGateway) && s.Network6.IsValid():
		b.Address6 = Prefix6{netip.PrefixFrom(after6(s.Network6.Masked().Addr(), 1), s.Network6.Bits())}
	}
	if !s.Network6.IsValid() || !b.Address6.IsValid() {
		return
	}
	taken := map[netip.Addr]bool{b.Address6.Addr(): true}
	for i := range s.Devices {
		taken[s.Devices[i].Address6.Prefix.Addr()] = true
	}
	next := after6(s.Network6.Masked().Addr(), 1)
	for i := range s.Devices {
		d := &s.Devices[i]
		if d.Address6 != (Address6{}) || d.Profile != ProfileLinux {
			continue
		}
		for taken[next] {
			next = after6(next, 1)
		}
		d.Address6.Prefix = netip.PrefixFrom(next, s.Network6.Bits())
		taken[next] = true
	}
}

// Lengths of IPv6 networks and packets.
const (
	minBits6 = 8
	maxBits6 = 126
	slaacLen = 64   // RFC 4862 5.5.3 d, with the identifier of an Ethernet address
	minMTU6  = 1280 // RFC 8200 5
)

// network6 checks the network that IPv6 addresses come from.
func (c *checker) network6() {
	s := c.s
	n := s.Network6
	switch {
	case !n.IsValid():
		return
	case n.Bits() < minBits6 || n.Bits() > maxBits6 || !isUnicast6(n.Addr()):
		c.failf("network6", "write a network such as fd00::/64, with a prefix length from 8 to 126", "%s is not a network for a broker and devices", n)
	case n.Prefix != n.Masked():
		c.failf("network6", "write "+n.Masked().String(), "%s is an address in a network, not a network", n)
	case s.Broker.Kind == BrokerTap:
		c.failf("network6", "remove it, and set broker.tap.address6", "with a real broker the TAP's address says what the network is")
	case s.Broker.Kind.AtEdge():
		c.failf("network6", "remove it, and give broker and devices address6", "hilnet cannot give a real broker its address")
	case s.Broker.Kind == BrokerCapture:
		c.failf("network6", "remove it", "a recorded broker is reached by IPv4")
	case s.Broker.Address6.IsValid() && !n.Contains(s.Broker.Address6.Addr()):
		c.failf("broker.address6", "choose one in the network, or remove it", "%s is not in the network %s", s.Broker.Address6.Addr(), n)
	case !slices.ContainsFunc(s.Devices, func(d Device) bool { return d.Address6.IsSet() }):
		c.failf("network6", "set profile: linux in a device that is to speak IPv6, or remove it", "no device speaks IPv6")
	}
}

// isUnicast6 reports whether one interface can have the address.
func isUnicast6(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback()
}

// addresses6 checks who has which IPv6 address, and that devices reach the
// broker.
func (c *checker) addresses6() {
	c.network6()
	b := &c.s.Broker
	taken := map[netip.Addr]string{}
	take := func(path string, p netip.Prefix, what string) bool {
		switch other, found := taken[p.Addr()]; {
		case !isUnicast6(p.Addr()) || p.Bits() < minBits6 || p.Bits() < 127 && p.Addr() == p.Masked().Addr():
			c.failf(path, "choose another address, such as fd00::2/64", "%s is not the address of a host in its network", p)
		case found:
			c.failf(path, "give each its own address", "the address %s is taken by %s", p.Addr(), other)
		default:
			taken[p.Addr()] = what
			return true
		}
		return false
	}
	near, what := b.Address6, "the broker"
	switch {
	case b.Kind == BrokerCapture && b.Address6.IsValid():
		c.failf("broker.address6", "remove it", "a recorded broker is reached by IPv4")
		return
	case b.Tap != nil && b.Address6.IsValid() && !b.Tap.Address6.IsValid():
		c.failf("broker.address6", "set broker.tap.address6 too", "the TAP has no IPv6 address")
		return
	case b.Tap != nil && b.Tap.Address6.IsValid():
		near, what = b.Tap.Address6, "the TAP"
		if !take("broker.tap.address6", near.Prefix, what) {
			return
		}
		if !near.Contains(b.Address6.Addr()) {
			c.failf("broker.address6", "choose an address in "+near.Masked().String(), "%s is not in the TAP's network", b.Address6.Addr())
			return
		}
	}
	if near.IsValid() && taken[b.Address6.Addr()] == "" && !take("broker.address6", b.Address6.Prefix, "the broker") {
		return
	}
	for i := range c.s.Devices {
		d, path := &c.s.Devices[i], index("devices", i)
		if c.device6(path, d, near.Prefix, what) && d.Address6.Prefix.IsValid() {
			take(path+".address6", d.Address6.Prefix, d.Name)
		}
	}
}

// device6 checks what a device says of IPv6.
func (c *checker) device6(path string, d *Device, near netip.Prefix, what string) bool {
	before := len(c.errs)
	p := d.Address6.Prefix
	switch {
	case !d.Address6.IsSet():
		if d.MQTT.Family == FamilyIPv6 {
			h := "add address6: slaac, or an address such as fd00::2/64"
			if d.Profile == ProfileNetX {
				h = "set profile: linux, and network6: fd00::/64"
			}
			c.failf(path+".mqtt.family", h, "the device %s has no IPv6 address to connect by", d.Name)
		}
		if d.DAD != 1 {
			c.failf(path+".dad", "add address6, or remove dad", "the device %s has no IPv6 address of which there could be a duplicate", d.Name)
		}
	case d.Profile == ProfileNetX:
		c.failf(path+".address6", "set profile: linux, or remove address6", "the profile %s has IPv4 only", d.Profile)
	case d.MTU < minMTU6:
		c.failf(path+".mtu", "write 1280 or more, or remove address6", "IPv6 wants packets of 1280 bytes to fit, and mtu is %d", d.MTU)
	case !near.IsValid():
		c.failf(path+".address6", "add network6: fd00::/64, or an address6 to the broker (and to tap, where it has one)", "the broker has no IPv6 address")
	case d.Address6.SLAAC && c.s.Broker.Kind.AtEdge():
		c.failf(path+".address6", "write an address in "+near.Masked().String(), "hilnet advertises no network where the broker is real")
	case d.Address6.SLAAC && near.Bits() != slaacLen:
		c.failf(path+".address6", "give the broker a network of 64 bits, or the device an address", "no address can be made of a network of %d bits", near.Bits())
	case d.Address6.SLAAC && near.Addr().IsLinkLocalUnicast(), p.IsValid() && p.Addr().IsLinkLocalUnicast() && !near.Addr().IsLinkLocalUnicast():
		c.failf(path+".address6", "choose another network, such as fd00::/64", "link-local addresses are in a network of their own, which every host has anyway")
	case p.IsValid() && (!p.Contains(near.Addr()) || !near.Contains(p.Addr())):
		c.failf(path+".address6", "choose an address in "+near.Masked().String()+", or a larger network", "%s and %s, %s, are in different networks", p, near, what)
	}
	return len(c.errs) == before
}

// template6 checks that the addresses of an entry fit into their network.
func (c *checker) template6(path string, d *Device) {
	if p := d.Address6.Prefix; p.IsValid() && !p.Contains(after6(p.Addr(), d.Count-1)) {
		c.failf(path+".address6", "choose a larger network, or an earlier address", "%d devices from %s on do not fit into %s", d.Count, p.Addr(), p.Masked())
	}
}

var (
	address4Type = reflect.TypeFor[Address4]()
	prefix6Type  = reflect.TypeFor[Prefix6]()
	address6Type = reflect.TypeFor[Address6]()
)
