package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

func TestSLAACMakesAnAddressOfWhatABrokersHostAdvertises(t *testing.T) {
	w := newWorld(t, 1).dual(func(a, b *Config) {
		a.Addr6, a.SLAAC = netip.Prefix{}, true
		b.Addr6, b.Advertise = netip.MustParsePrefix("fd00:1::2/64"), network6
	})
	w.record = true
	var at []string
	w.a.OnAddr6(func(p netip.Prefix) { at = append(at, fmt.Sprint(w.loop.Now(), " ", p)) })
	if _, err := w.a.Dial(netip.MustParseAddrPort("[fd00:1::2]:80")); !errors.Is(err, ErrUnreachable) {
		t.Errorf("dial before the first advertisement: %v", err)
	}
	w.run(time.Second)
	if want := []string{"0.010000000s fd00:1::ff:fe00:1/64"}; !slices.Equal(at, want) {
		t.Errorf("addresses %q, want %q", at, want)
	}
	client, server := w.dial6(80)
	client.send([]byte("hello"))
	w.run(2 * time.Second)
	if server.got.String() != "hello" || server.conn.Remote().Addr() != w.a.Addr6() {
		t.Errorf("%q from %v", server.got.String(), server.conn.Remote())
	}
	const first = "0.000000000s b>a RA fe80::ff:fe00:2 > ff02::1 lifetime=0s from 02:00:00:00:00:02 prefix=fd00:1::/64"
	if w.frames[0] != first {
		t.Errorf("first frame\n%s\nwant\n%s", w.frames[0], first)
	}
	if len(w.find("RS")) != 0 {
		t.Errorf("a host that has heard a router asks for one:\n%s", strings.Join(w.find("RS"), "\n"))
	}
	// Unsolicited ones at 0, 16 and 32 s, then every 200 to 600 s.
	w.run(3600 * time.Second)
	all := w.find("RA")
	if len(all) < 3+5 || len(all) > 3+18 || !strings.HasPrefix(all[1], "16.0") || !strings.HasPrefix(all[2], "32.0") {
		t.Errorf("advertisements:\n%s", strings.Join(all, "\n"))
	}
}

func TestRouterSolicitationIsAnsweredToWhoAsked(t *testing.T) {
	w := newWorld(t, 2).dual(func(a, b *Config) {
		a.Addr6, a.SLAAC = netip.Prefix{}, true
		b.Advertise = network6
	})
	w.record = true
	w.lose = func(fromA bool, n int, _ []byte) bool { return !fromA && n == 1 } // the first advertisement
	w.run(10 * time.Second)
	rs, ra := w.find("a>b RS"), w.find("b>a RA")
	if len(rs) != 1 || !strings.HasSuffix(rs[0], "a>b RS fe80::ff:fe00:1 > ff02::2 from 02:00:00:00:00:01") {
		t.Errorf("solicitations %q", rs)
	}
	if len(ra) != 2 || !strings.Contains(ra[1], "RA fe80::ff:fe00:2 > fe80::ff:fe00:1 ") {
		t.Errorf("advertisements %q", ra)
	}
	if want := netip.MustParseAddr("fd00:1::ff:fe00:1"); w.a.Addr6() != want {
		t.Errorf("address %v, want %v", w.a.Addr6(), want)
	}
}

func TestSolicitingStopsAfterThreeWithoutAnswer(t *testing.T) {
	w := newWorld(t, 1).dual(func(a, b *Config) { a.Addr6, a.SLAAC = netip.Prefix{}, true })
	w.record = true
	w.run(time.Minute)
	if n := len(w.find("a>b RS")); n != 3 || len(w.frames) != 3 {
		t.Errorf("frames:\n%s", strings.Join(w.frames, "\n"))
	}
	w.wantEvent("nd", "no router answers")
	if w.drops[trace.DropNotForUs] != 3 {
		t.Errorf("drops %v: b is no router", w.drops)
	}
}

// routerWorld is a host a with SLAAC and a peer that the test plays.
func routerWorld(t *testing.T) *world {
	w := newWorld(t, 1)
	var err error
	w.a, err = New(w.loop, w.trace, Config{Node: "a", MAC: macA, SLAAC: true}, w.wire(true, func() link.Sink {
		return link.SinkFunc(func(f *link.Frame) { f.Release() })
	}))
	if err != nil {
		t.Fatal(err)
	}
	w.record = true
	return w
}

// advertise has a get a router advertisement.
func (w *world) advertise(from netip.Addr, r wire.RouterAdvert, prefixes ...wire.PrefixInfo) {
	for _, p := range prefixes {
		r.AddPrefix(p)
	}
	r.Options.SourceMAC = macB
	f, b := newMessage(wire.MaxRouterAdvertLen)
	n := wire.PutRouterAdvert(b, &r, from, wire.AllNodes)
	f.Data = f.Data[:wire.EthernetHeaderLen+wire.IPv6HeaderLen+n]
	wire.PutEthernet(f.Data, wire.MulticastMAC(wire.AllNodes), macB, wire.EtherTypeIPv6)
	wire.PutIPv6(f.Data[wire.EthernetHeaderLen:], wire.ProtocolICMPv6, wire.NDHopLimit, from, wire.AllNodes, n)
	w.a.Put(f)
}

func onLink(network string, valid, preferred time.Duration) wire.PrefixInfo {
	return wire.PrefixInfo{Prefix: netip.MustParsePrefix(network), OnLink: true, Autonomous: true, Valid: valid, Preferred: preferred}
}

func TestAnAdvertisedRouterCarriesWhatIsNotOnTheLink(t *testing.T) {
	w := routerWorld(t)
	far := netip.MustParseAddr("2001:db8:9::1")
	w.advertise(linkB, wire.RouterAdvert{HopLimit: 33, Lifetime: 100 * time.Second, Retrans: 2 * time.Second}, onLink("2001:db8::/64", time.Hour, time.Hour))
	if w.a.hasRoute(far) != true || w.a.source(far) != netip.MustParseAddr("2001:db8::ff:fe00:1") {
		t.Fatalf("route %v, source %v", w.a.hasRoute(far), w.a.source(far))
	}
	if err := w.a.Ping(far, 1, time.Second, func(time.Duration, error) {}); err != nil {
		t.Fatal(err)
	}
	var l wire.Layers
	seen := false
	w.lose = func(_ bool, _ int, data []byte) bool {
		if l.Parse(data) == nil && l.TCP != nil {
			seen = true
			if l.IPv6.HopLimit() != 33 {
				t.Errorf("hop limit %d, the router says 33", l.IPv6.HopLimit())
			}
		}
		return false
	}
	if _, err := w.a.Dial(netip.AddrPortFrom(far, 80)); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	// The router's address is known from its advertisement.
	if len(w.find("ICMPv6 2001:db8::ff:fe00:1 > 2001:db8:9::1 type=128")) != 1 || len(w.find("NS")) != 0 || !seen {
		t.Errorf("frames:\n%s", strings.Join(w.frames, "\n"))
	}
	w.run(101 * time.Second)
	if w.a.hasRoute(far) {
		t.Error("a router whose lifetime is over is still used")
	}
}

func TestARouterThatIsGoneGivesWayToAnother(t *testing.T) {
	w := routerWorld(t)
	second := netip.MustParseAddr("fe80::5")
	w.advertise(linkB, wire.RouterAdvert{Lifetime: time.Hour}, onLink("2001:db8::/64", time.Hour, time.Hour))
	w.advertise(second, wire.RouterAdvert{Lifetime: time.Hour})
	far := netip.MustParseAddr("2001:db8:9::1")
	if hop := w.a.inet6.nextHop(far); hop != linkB {
		t.Errorf("next hop %v, want the first router", hop)
	}
	if err := w.a.Ping(far, 1, time.Second, func(time.Duration, error) {}); err != nil {
		t.Fatal(err)
	}
	// Used at 0 s, probed at 5, 6 and 7 s, gone at 8 s.
	w.run(9 * time.Second)
	if hop := w.a.inet6.nextHop(far); hop != second {
		t.Errorf("next hop %v, want the second router", hop)
	}
	w.advertise(second, wire.RouterAdvert{Lifetime: 0})
	if hop := w.a.inet6.nextHop(far); hop != linkB {
		t.Errorf("next hop %v: a bad router is better than none", hop)
	}
}

func TestLifetimesOfAutoconfiguredAddresses(t *testing.T) {
	w := routerWorld(t)
	old, young := netip.MustParseAddr("2001:db8::ff:fe00:1"), netip.MustParseAddr("2001:db8:1::ff:fe00:1")
	near := netip.MustParseAddr("2001:db8::1") // a longer common prefix with old
	w.advertise(linkB, wire.RouterAdvert{}, onLink("2001:db8::/64", 5*time.Hour, 100*time.Second), onLink("2001:db8:1::/64", wire.NDForever, wire.NDForever))
	if got := w.a.source(near); got != old {
		t.Errorf("source %v, want %v", got, old)
	}
	w.run(101 * time.Second)
	if got := w.a.source(near); got != young {
		t.Errorf("source %v, want %v: the other is deprecated", got, young)
	}
	// A remaining lifetime is not cut below two hours (RFC 4862 5.5.3 e).
	w.advertise(linkB, wire.RouterAdvert{}, onLink("2001:db8::/64", time.Second, 0))
	w.run(7200 * time.Second)
	if !w.a.inet6.owns(old) {
		t.Error("the address went before two hours were over")
	}
	w.run(7400 * time.Second)
	if w.a.inet6.owns(old) || !w.a.inet6.owns(young) || w.a.inet6.listens(wire.MAC{}) {
		t.Errorf("addresses %v", w.a.Addrs6())
	}
	w.wantEvent("nd", "address 2001:db8::ff:fe00:1/64 has expired")
	if !w.a.inet6.listens(wire.MulticastMAC(wire.SolicitedNode(young))) {
		t.Error("the group of another address with the same identifier was left")
	}
}

func TestWhatRoutersCanMakeAHostKeepIsBounded(t *testing.T) {
	w := routerWorld(t)
	for i := range 40 {
		from := netip.MustParseAddr(fmt.Sprintf("fe80::%x", 0x100+i))
		w.advertise(from, wire.RouterAdvert{Lifetime: time.Hour}, onLink(fmt.Sprintf("2001:db8:%x::/64", i), time.Hour, time.Hour))
	}
	n := w.a.inet6
	if len(n.routers) != maxRouters || len(n.prefixes) != maxPrefixes || len(n.addrs) != maxAddrs6 {
		t.Errorf("%d routers, %d prefixes, %d addresses", len(n.routers), len(n.prefixes), len(n.addrs))
	}
	if w.drops[trace.DropQueueFull] != 40-maxRouters {
		t.Errorf("drops %v", w.drops)
	}
	for _, bad := range []struct {
		name string
		from netip.Addr
		p    wire.PrefixInfo
	}{
		{"not link-local", netip.MustParseAddr("2001:db8::1"), onLink("2001:db8:ff::/64", time.Hour, time.Hour)},
	} {
		before := w.drops[trace.DropMalformed]
		w.advertise(bad.from, wire.RouterAdvert{Lifetime: time.Hour}, bad.p)
		if w.drops[trace.DropMalformed] != before+1 {
			t.Errorf("%s: drops %v", bad.name, w.drops)
		}
	}
}

func TestOddPrefixesMakeNoAddress(t *testing.T) {
	w := routerWorld(t)
	w.advertise(linkB, wire.RouterAdvert{},
		onLink("2001:db8::/56", time.Hour, time.Hour),     // not 64 bits
		onLink("2001:db8:1::/64", time.Hour, 2*time.Hour), // preferred for longer than valid
		onLink("fe80::/64", time.Hour, time.Hour),
		onLink("2001:db8:2::/64", 0, 0))
	if got := w.a.Addrs6(); len(got) != 1 || !got[0].Addr().IsLinkLocalUnicast() {
		t.Errorf("addresses %v", got)
	}
}

func TestBadIPv6ConfigsAreErrors(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	good := Config{Node: "a", MAC: macA, Addr6: addr6A}
	for name, change := range map[string]func(*Config){
		"IPv4 as IPv6":         func(c *Config) { c.Addr6 = addrA },
		"mapped":               func(c *Config) { c.Addr6 = netip.MustParsePrefix("::ffff:10.0.0.1/120") },
		"multicast":            func(c *Config) { c.Addr6 = netip.MustParsePrefix("ff02::1/64") },
		"loopback":             func(c *Config) { c.Addr6 = netip.MustParsePrefix("::1/128") },
		"far gateway":          func(c *Config) { c.Gateway6 = netip.MustParseAddr("fd00:9::1") },
		"gateway with zone":    func(c *Config) { c.Gateway6 = netip.MustParseAddr("fe80::1%eth0") },
		"itself as gateway":    func(c *Config) { c.Gateway6 = addr6A.Addr() },
		"small MTU":            func(c *Config) { c.MTU = 1279 },
		"DAD":                  func(c *Config) { c.DAD = -1 },
		"short advertisement":  func(c *Config) { c.Advertise = netip.MustParsePrefix("fd00::/56") },
		"link-local to others": func(c *Config) { c.Advertise = netip.MustParsePrefix("fe80::/64") },
		"both sides":           func(c *Config) { c.SLAAC, c.Advertise = true, network6 },
		"hop limit":            func(c *Config) { c.Profile = Linux(); c.Profile.HopLimit = 0 },
		"ND":                   func(c *Config) { c.Profile = Linux(); c.Profile.ND.Requests = 0 },
	} {
		cfg := good
		change(&cfg)
		if h, err := New(loop, nil, cfg, nil); err == nil {
			h.Close()
			t.Errorf("%s: no error", name)
		}
	}
	for name, change := range map[string]func(*Config){
		"link-local as the only one": func(c *Config) { c.Addr6 = netip.MustParsePrefix("fe80::7/64") },
		"link-local gateway":         func(c *Config) { c.Gateway6 = netip.MustParseAddr("fe80::7") },
	} {
		cfg := good
		change(&cfg)
		h, err := New(loop, nil, cfg, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "link-local as the only one" && len(h.Addrs6()) != 1 {
			t.Errorf("%s: %v", name, h.Addrs6())
		}
		h.Close()
	}
}
