package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// KindND is the kind of events of a host's IPv6 addresses, routers and
// neighbours: Text.
const KindND trace.Kind = "nd"

// The limits of what routers can make a host keep; what is beyond them is
// dropped with trace.DropQueueFull.
const (
	maxAddrs6   = 16
	maxPrefixes = 16
	maxRouters  = 8
)

// autoconfBits is the length of the networks of which hosts make addresses.
const autoconfBits = 64

// inet6 is the IPv6 side of a Host: its addresses (RFC 4862), its routers and
// on-link networks (RFC 4861), its neighbours. gVisor is told of the addresses
// only. There is no MLD: a switch that looks for listeners would not find one.
type inet6 struct {
	host     *Host
	random   *sim.Rand
	hopLimit uint8
	link     *addr6   // the link-local address
	addrs    []*addr6 // all, by creation
	prefixes []prefix6
	routers  []*router6
	nd       ndCache
	groups   []netip.Addr // multicast groups; one for each address
	solicit  routerSolicitor
	advert   advertiser
	notify   []func(netip.Prefix)
}

// addrState is how far duplicate address detection is.
type addrState uint8

const (
	tentative addrState = iota + 1
	assigned
	duplicate
)

// addr6 is an IPv6 address of the host.
type addr6 struct {
	prefix    netip.Prefix // the address and the length of its network
	state     addrState
	auto      bool     // made of an advertised prefix
	preferred sim.Time // until then it is used for new connections
	valid     sim.Time
	left      int // solicitations that still look for a duplicate
	dad       *sim.Timer
	expiry    *sim.Timer
}

// prefix6 is a network whose addresses are neighbours.
type prefix6 struct {
	prefix netip.Prefix
	valid  sim.Time
}

// router6 is a default router.
type router6 struct {
	addr    netip.Addr
	valid   sim.Time
	suspect bool // its neighbour entry has failed
}

func (cfg *Config) validate6() error {
	a, gateway := cfg.Addr6.Addr(), cfg.Gateway6
	switch {
	case cfg.MTU < minMTU6:
		return fmt.Errorf("MTU %d, IPv6 wants %d", cfg.MTU, minMTU6)
	case cfg.Addr6.IsValid() && (!isUnicast6(a) || cfg.Addr6.Bits() == 0):
		return fmt.Errorf("%v is no IPv6 address with prefix length", cfg.Addr6)
	case gateway.IsValid() && (!isUnicast6(gateway) || gateway == a || !gateway.IsLinkLocalUnicast() && !cfg.Addr6.Contains(gateway)):
		return fmt.Errorf("gateway %v is no neighbour", gateway)
	case cfg.DAD < 0 || cfg.DAD > maxDAD:
		return fmt.Errorf("%d solicitations for duplicates, want 0 to %d", cfg.DAD, maxDAD)
	case cfg.Advertise.IsValid() && (!isUnicast6(cfg.Advertise.Addr()) || cfg.Advertise.Bits() != autoconfBits || cfg.Advertise.Addr().IsLinkLocalUnicast()):
		return fmt.Errorf("%v is no network of %d bits to advertise", cfg.Advertise, autoconfBits)
	case cfg.Advertise.IsValid() && cfg.SLAAC:
		return errors.New("it advertises and listens to advertisements")
	}
	return nil
}

const maxDAD = 100

// isUnicast6 reports whether a is an IPv6 address, without zone, that one
// interface can have.
func isUnicast6(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback()
}

func newInet6(h *Host) *inet6 {
	n := &inet6{
		host: h, hopLimit: h.profile.HopLimit,
		random: sim.NewRand(h.loop.Seed(), "stack/"+h.cfg.Node+"/ipv6"),
		groups: []netip.Addr{wire.AllNodes},
	}
	n.nd.init(n)
	return n
}

// start gives the host its configured addresses.
func (n *inet6) start() {
	cfg := &n.host.cfg
	if cfg.Gateway6.IsValid() {
		n.routers = append(n.routers, &router6{addr: cfg.Gateway6, valid: sim.Never})
	}
	n.prefixes = append(n.prefixes, prefix6{wire.LinkLocalNetwork, sim.Never})
	own := cfg.Addr6
	if !own.IsValid() || !own.Addr().IsLinkLocalUnicast() {
		n.link = n.add(netip.PrefixFrom(wire.EUI64(wire.LinkLocalNetwork, cfg.MAC), autoconfBits))
	}
	if own.IsValid() {
		a := n.add(own)
		if n.link == nil {
			n.link = a
		} else {
			n.prefixes = append(n.prefixes, prefix6{own.Masked(), sim.Never})
		}
	}
	if cfg.SLAAC {
		n.solicit.start(n)
	}
	if cfg.Advertise.IsValid() {
		n.prefixes = append(n.prefixes, prefix6{cfg.Advertise.Masked(), sim.Never})
		n.groups = append(n.groups, wire.AllRouters)
		n.advert.start(n)
	}
}

// add begins to use an address, or to look for a duplicate of it first.
func (n *inet6) add(prefix netip.Prefix) *addr6 {
	h := n.host
	a := &addr6{prefix: prefix, state: tentative, preferred: sim.Never, valid: sim.Never, left: h.cfg.DAD}
	n.addrs = append(n.addrs, a)
	n.groups = append(n.groups, wire.SolicitedNode(prefix.Addr()))
	a.dad = h.loop.NewTimer(func() { n.lookForDuplicate(a) })
	a.expiry = h.loop.NewTimer(func() { n.remove(a) })
	if a.left == 0 {
		n.assign(a)
	} else {
		a.dad.ResetAfter(n.delay())
	}
	return a
}

// delay is the random delay of RFC 4861 6.3.7 and RFC 4862 5.4.2.
func (n *inet6) delay() time.Duration { return n.draw(0, n.host.profile.ND.MaxDelay) }

// draw returns a random duration of [low, high).
func (n *inet6) draw(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(n.random.IntN(int(high-low)))
}

// lookForDuplicate asks whether anybody has the address (RFC 4862 5.4.2). When
// nobody has answered the last solicitation, the address is ours.
func (n *inet6) lookForDuplicate(a *addr6) {
	if a.left == 0 {
		n.assign(a)
		return
	}
	a.left--
	a.dad.ResetAfter(n.nd.interval)
	n.sendSolicit(netip.IPv6Unspecified(), a.prefix.Addr(), wire.SolicitedNode(a.prefix.Addr()), wire.MAC{})
}

func (n *inet6) assign(a *addr6) {
	a.state = assigned
	var err error
	n.host.enter(func() { err = n.host.addAddress(a.prefix) })
	if err != nil {
		panic(err)
	}
	n.event("address " + a.prefix.String())
	for _, fn := range n.notify {
		fn(a.prefix)
	}
}

// foundDuplicate gives a tentative address up.
func (n *inet6) foundDuplicate(a *addr6, holder wire.MAC) {
	a.state = duplicate
	a.dad.Stop()
	n.event(fmt.Sprintf("address %v is a duplicate, also at %v", a.prefix.Addr(), holder))
}

// remove ends the use of an address whose lifetime is over.
func (n *inet6) remove(a *addr6) {
	a.dad.Stop()
	if a.state == assigned {
		n.host.enter(func() { n.host.gvisor.RemoveAddress(nicID, toGVisor(a.prefix.Addr())) })
	}
	if i := slices.Index(n.addrs, a); i >= 0 {
		n.addrs = slices.Delete(n.addrs, i, i+1)
	}
	// Another address may have an entry of its own for the same group.
	if i := slices.Index(n.groups, wire.SolicitedNode(a.prefix.Addr())); i >= 0 {
		n.groups = slices.Delete(n.groups, i, i+1)
	}
	n.event("address " + a.prefix.String() + " has expired")
}

// find returns the entry of one of the host's addresses, whatever its state.
func (n *inet6) find(addr netip.Addr) *addr6 {
	for _, a := range n.addrs {
		if a.prefix.Addr() == addr {
			return a
		}
	}
	return nil
}

// owns reports whether addr is an address of the host that is in use.
func (n *inet6) owns(addr netip.Addr) bool {
	a := n.find(addr)
	return a != nil && a.state == assigned
}

// source returns the address from which packets to dst are sent: of the same
// scope, preferred rather than deprecated, with the longest common prefix (RFC
// 6724 section 5, rules 2, 3 and 8), and of those the oldest.
func (n *inet6) source(dst netip.Addr) netip.Addr {
	var best *addr6
	if dst.IsUnspecified() || dst.IsLoopback() {
		return netip.Addr{}
	}
	local := dst.IsLinkLocalUnicast() || dst.IsMulticast()
	now := n.host.loop.Now()
	better := func(a *addr6) bool {
		if was, is := now < best.preferred, now < a.preferred; was != is {
			return is
		}
		return commonBits(dst, a.prefix.Addr()) > commonBits(dst, best.prefix.Addr())
	}
	for _, a := range n.addrs {
		if a.state == assigned && a.prefix.Addr().IsLinkLocalUnicast() == local && (best == nil || better(a)) {
			best = a
		}
	}
	if best == nil {
		return netip.Addr{}
	}
	return best.prefix.Addr()
}

// commonBits is the length of the prefix that two addresses share.
func commonBits(a, b netip.Addr) int {
	x, y := a.As16(), b.As16()
	for i := range x {
		for bit := range 8 {
			if (x[i]^y[i])<<bit&0x80 != 0 {
				return 8*i + bit
			}
		}
	}
	return 128
}

// nextHop returns the neighbour to which packets to dst go; the zero Addr if
// there is none.
func (n *inet6) nextHop(dst netip.Addr) netip.Addr {
	now := n.host.loop.Now()
	for _, p := range n.prefixes {
		if now < p.valid && p.prefix.Contains(dst) {
			return dst
		}
	}
	var found *router6
	for _, r := range n.routers {
		if now < r.valid && (found == nil || found.suspect && !r.suspect) {
			found = r
		}
	}
	if found == nil {
		return netip.Addr{}
	}
	return found.addr
}

// listens reports whether frames to a multicast address are for this host.
func (n *inet6) listens(mac wire.MAC) bool {
	if n == nil || mac[0] != 0x33 || mac[1] != 0x33 {
		return false
	}
	for _, g := range n.groups {
		if wire.MulticastMAC(g) == mac {
			return true
		}
	}
	return false
}

// route sends an IPv6 packet to dst by its next hop.
func (n *inet6) route(f *link.Frame, dst netip.Addr, charge *nic.Packet) {
	if dst.IsMulticast() {
		n.host.transmit(f, wire.MulticastMAC(dst), wire.EtherTypeIPv6, charge)
		return
	}
	if hop := n.nextHop(dst); hop.IsValid() {
		n.nd.send(f, hop, charge)
		return
	}
	n.host.drop("send", trace.DropNoRoute, 0, len(f.Data), dst.String())
	f.Release()
	releasePacket(charge)
}

// setHopLimit follows a router's advice.
func (n *inet6) setHopLimit(hops uint8) {
	if hops == 0 || hops == n.hopLimit {
		return
	}
	n.hopLimit = hops
	option := tcpip.DefaultTTLOption(hops)
	if err := n.host.gvisor.SetNetworkProtocolOption(ipv6.ProtocolNumber, &option); err != nil {
		panic(wrap("set hop limit", err))
	}
}

func (n *inet6) event(text string) {
	n.host.trace.Emit(trace.Event{Kind: KindND, Node: n.host.cfg.Node, Text: text})
}

func (n *inet6) close() {
	for _, a := range n.addrs {
		a.dad.Stop()
		a.expiry.Stop()
	}
	n.solicit.close()
	n.advert.close()
	n.nd.close()
}

// Addr6 returns the address from which the host would connect to others of no
// special scope; the zero Addr while it has none.
func (h *Host) Addr6() netip.Addr {
	if h.inet6 == nil {
		return netip.Addr{}
	}
	return h.inet6.source(netip.AddrFrom16([16]byte{0x20})) // 2000::/3, RFC 4291 2.4
}

// Addrs6 returns the IPv6 addresses in use, the oldest first: the link-local
// one too.
func (h *Host) Addrs6() []netip.Prefix {
	if h.inet6 == nil {
		return nil
	}
	var list []netip.Prefix
	for _, a := range h.inet6.addrs {
		if a.state == assigned {
			list = append(list, a.prefix)
		}
	}
	return list
}

// OnAddr6 adds a function that is called, in an event of the loop, when the host
// begins to use an IPv6 address. Those of a host without DAD that are not made
// by SLAAC are in use from the start; ask Addrs6.
func (h *Host) OnAddr6(fn func(netip.Prefix)) {
	if h.inet6 != nil {
		h.inet6.notify = append(h.inet6.notify, fn)
	}
}
