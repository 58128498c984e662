package scenarios

import "net/netip"

// addresses checks that everybody can reach the broker and nobody is there twice.
func (c *checker) addresses() {
	b := &c.s.Broker
	taken := map[netip.Addr]string{}
	macs := map[MAC]string{}
	take := func(path string, p netip.Prefix, what string) bool {
		switch other, found := taken[p.Addr()]; {
		case !p.IsValid() || !p.Addr().Is4():
			c.failf(path, "write an address and a prefix length, such as 10.0.0.2/24", "%s is not an IPv4 address with prefix length", p)
		case !isHost(p):
			c.failf(path, "choose another address, or a larger network, such as network: 10.0.0.0/16", "%s is not the address of a host in its network", p)
		case found:
			c.failf(path, "give each its own address", "the address %s is taken by %s", p.Addr(), other)
		default:
			taken[p.Addr()] = what
			return true
		}
		return false
	}
	// near is what a device must share a network with.
	near, what := b.Address, "the broker"
	if b.Tap != nil {
		near, what = b.Tap.Address, "the TAP"
		if !take("broker.tap.address", near, what) {
			return
		}
	}
	if b.Tap == nil || b.Address.Addr() != near.Addr() {
		if !take("broker.address", b.Address, "the broker") {
			return
		}
	}
	if v := c.s.Services; v != nil && !take("services.address", v.Address, "the services") {
		return
	}
	for i, d := range c.s.Devices {
		path := index("devices", i)
		if other, found := macs[d.MAC]; found {
			c.failf(path+".mac", "give each its own address", "the Ethernet address %s is taken by %s", d.MAC, other)
		}
		macs[d.MAC] = d.Name
		if take(path+".address", d.Address.Prefix, d.Name) {
			c.reach(path, &d, near, what)
		}
	}
}

// reach checks that a device reaches the broker, directly or by its gateway.
func (c *checker) reach(path string, d *Device, near netip.Prefix, what string) {
	if !d.Address.Contains(near.Addr()) || !near.Contains(d.Address.Addr()) {
		c.failf(path+".address", "choose an address in "+near.Masked().String(), "%s and %s, %s, are in different networks", d.Address.Prefix, near, what)
		return
	}
	if d.Gateway.IsValid() {
		switch {
		case !d.Address.Contains(d.Gateway):
			c.failf(path+".gateway", "choose an address in "+d.Address.Masked().String(), "the gateway %s is not in the device's network", d.Gateway)
		case d.Gateway == d.Address.Addr():
			c.failf(path+".gateway", "remove it, or name another host", "the device %s is its own gateway", d.Name)
		}
	}
	if broker := c.s.Broker.Address.Addr(); !d.Address.Contains(broker) && !d.Gateway.IsValid() && !d.Address.DHCP && d.Model() {
		c.failf(path, "add gateway: "+near.Addr().String(), "the device %s needs a gateway to reach the broker at %s", d.Name, broker)
	}
}

// isHost reports whether p's address can belong to a host: not the network, its
// broadcast, multicast or nothing.
func isHost(p netip.Prefix) bool {
	a := p.Addr()
	if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.As4()[0] >= 224 || p.Bits() > 31 || p.Bits() < 1 {
		return false
	}
	return p.Bits() == 31 || a != p.Masked().Addr() && p.Contains(a.Next())
}
