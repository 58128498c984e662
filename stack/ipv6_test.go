package stack

import (
	"bytes"
	"errors"
	"io"
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

var (
	addr6A   = netip.MustParsePrefix("fd00::1/64")
	addr6B   = netip.MustParsePrefix("fd00::2/64")
	linkA    = wire.EUI64(wire.LinkLocalNetwork, macA) // fe80::ff:fe00:1
	linkB    = wire.EUI64(wire.LinkLocalNetwork, macB)
	network6 = netip.MustParsePrefix("fd00:1::/64")
)

// dual is a world of two hosts with IPv4 and IPv6; change adjusts their configs.
func (w *world) dual(change func(a, b *Config)) *world {
	w.t.Helper()
	a := Config{Node: "a", MAC: macA, Addr: addrA, Addr6: addr6A}
	b := Config{Node: "b", MAC: macB, Addr: addrB, Addr6: addr6B}
	if change != nil {
		change(&a, &b)
	}
	var err error
	if w.a, err = New(w.loop, w.trace, a, w.wire(true, func() link.Sink { return w.b })); err != nil {
		w.t.Fatal(err)
	}
	if w.b, err = New(w.loop, w.trace, b, w.wire(false, func() link.Sink { return w.a })); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// profiles gives both hosts profiles and IPv6 only.
func profiles(a, b Profile) func(*Config, *Config) {
	return func(ca, cb *Config) {
		ca.Profile, cb.Profile = a, b
		ca.Addr, cb.Addr = netip.Prefix{}, netip.Prefix{}
	}
}

// wantFrames compares the recorded frames with a transcript.
func (w *world) wantFrames(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.frames, want) {
		w.t.Errorf("frames:\n%s\nwant:\n%s", strings.Join(w.frames, "\n"), strings.Join(want, "\n"))
	}
}

// wantEvent looks for an event of neighbour discovery.
func (w *world) wantEvent(parts ...string) {
	w.t.Helper()
next:
	for _, s := range w.texts {
		for _, p := range parts {
			if !strings.Contains(s, p) {
				continue next
			}
		}
		return
	}
	w.t.Errorf("no event with %q:\n%s", parts, strings.Join(w.texts, "\n"))
}

// dial6 connects a to a listener of b by IPv6 and returns both ends.
func (w *world) dial6(port uint16) (client, server *stream) {
	w.t.Helper()
	client, server = new(stream), new(stream)
	if _, err := w.b.Listen(port, 0, func(c *Conn) { server.attach(c) }); err != nil {
		w.t.Fatal(err)
	}
	c, err := w.a.Dial(netip.AddrPortFrom(w.b.Addr6(), port))
	if err != nil {
		w.t.Fatal(err)
	}
	client.attach(c)
	return client, server
}

func TestPing6TakesOneRoundTripBehindNeighbourDiscovery(t *testing.T) {
	w := newWorld(t, 1).dual(nil)
	w.record = true
	var rtts []time.Duration
	ping := func(to netip.Addr) {
		if err := w.a.Ping(to, 56, time.Second, func(rtt time.Duration, err error) {
			if err != nil {
				t.Error(err)
			}
			rtts = append(rtts, rtt)
		}); err != nil {
			t.Error(err)
		}
	}
	ping(addr6B.Addr())
	w.loop.At(sim.Time(time.Second), func() { ping(addr6B.Addr()) })
	w.loop.At(sim.Time(2*time.Second), func() { ping(linkB.WithZone("eth0")) })
	w.run(3 * time.Second)
	if want := []time.Duration{40 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond}; !slices.Equal(rtts, want) {
		t.Errorf("round trips %v, want %v", rtts, want)
	}
	w.wantFrames(
		"0.000000000s a>b NS fd00::1 > ff02::1:ff00:2 who has fd00::2? from 02:00:00:00:00:01",
		"0.010000000s b>a NA fd00::2 > fd00::1 fd00::2 [SO] at 02:00:00:00:00:02",
		"0.020000000s a>b ICMPv6 fd00::1 > fd00::2 type=128 code=0 id=1 seq=1 len=56",
		"0.030000000s b>a ICMPv6 fd00::2 > fd00::1 type=129 code=0 id=1 seq=1 len=56",
		"1.000000000s a>b ICMPv6 fd00::1 > fd00::2 type=128 code=0 id=1 seq=2 len=56",
		"1.010000000s b>a ICMPv6 fd00::2 > fd00::1 type=129 code=0 id=1 seq=2 len=56",
		"2.000000000s a>b NS fe80::ff:fe00:1 > ff02::1:ff00:2 who has fe80::ff:fe00:2? from 02:00:00:00:00:01",
		"2.010000000s b>a NA fe80::ff:fe00:2 > fe80::ff:fe00:1 fe80::ff:fe00:2 [SO] at 02:00:00:00:00:02",
		"2.020000000s a>b ICMPv6 fe80::ff:fe00:1 > fe80::ff:fe00:2 type=128 code=0 id=1 seq=3 len=56",
		"2.030000000s b>a ICMPv6 fe80::ff:fe00:2 > fe80::ff:fe00:1 type=129 code=0 id=1 seq=3 len=56",
	)
	if len(w.drops) != 0 {
		t.Errorf("drops %v", w.drops)
	}
}

func TestBulkDataOverIPv6SurvivesLoss(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b Profile
		loss int // one frame of so many
		n    int
	}{
		{"linux, no loss", Linux(), Linux(), 0, 1 << 20},
		{"linux, 2 % loss", Linux(), Linux(), 50, 1 << 20},
		{"netx to linux, 2 % loss", NetX(), Linux(), 50, 100 << 10},
		{"linux to netx, 2 % loss", Linux(), NetX(), 50, 100 << 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 3).dual(profiles(tt.a, tt.b))
			r := sim.NewRand(7, "loss")
			if tt.loss > 0 {
				w.lose = func(bool, int, []byte) bool { return r.IntN(tt.loss) == 0 }
			}
			client, server := w.dial6(1883)
			up, down := pattern(tt.n, 1), pattern(tt.n, 2)
			client.send(up)
			w.loop.After(5*time.Second, func() {
				if server.conn == nil {
					t.Error("not accepted after 5 s")
					return
				}
				server.send(down)
			})
			w.run(200 * time.Second)
			if !bytes.Equal(server.got.Bytes(), up) || !bytes.Equal(client.got.Bytes(), down) {
				t.Errorf("server has %d bytes, client %d, of %d", server.got.Len(), client.got.Len(), tt.n)
			}
			if client.conn.Local().Addr() != addr6A.Addr() || server.conn.Remote() != client.conn.Local() {
				t.Errorf("%v, seen as %v", client.conn.Local(), server.conn.Remote())
			}
			client.conn.Close()
			w.run(201 * time.Second)
			if server.err != io.EOF {
				t.Errorf("server's end: %v", server.err)
			}
		})
	}
}

func TestAListenerTakesBothFamiliesAndEveryAddress(t *testing.T) {
	w := newWorld(t, 1).dual(nil)
	var remotes []string
	l, err := w.b.Listen(80, 0, func(c *Conn) { remotes = append(remotes, c.Remote().Addr().String()+" to "+c.Local().Addr().String()) })
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []netip.Addr{addrB.Addr(), addr6B.Addr(), linkB, netip.MustParseAddr("::ffff:10.0.0.2")} {
		if _, err := w.a.Dial(netip.AddrPortFrom(to, 80)); err != nil {
			t.Error(err)
		}
		w.run(w.loop.Now().Sub(0) + time.Second)
	}
	want := []string{"10.0.0.1 to 10.0.0.2", "fd00::1 to fd00::2", "fe80::ff:fe00:1 to fe80::ff:fe00:2", "10.0.0.1 to 10.0.0.2"}
	if !slices.Equal(remotes, want) {
		t.Errorf("accepted %q, want %q", remotes, want)
	}
	l.Close()
	c, err := w.a.Dial(netip.AddrPortFrom(addr6B.Addr(), 80))
	if err != nil {
		t.Fatal(err)
	}
	s := new(stream).attach(c)
	w.run(10 * time.Second)
	if !errors.Is(s.err, ErrRefused) {
		t.Errorf("behind Close: %v", s.err)
	}
	if _, err := w.b.Listen(80, 0, func(*Conn) {}); err != nil {
		t.Error(err)
	}
}

func TestUnansweredNeighbourSolicitation(t *testing.T) {
	nobody := netip.MustParseAddr("fd00::77")
	t.Run("linux gives up after three solicitations and tells TCP", func(t *testing.T) {
		w := newWorld(t, 1).dual(nil)
		w.record = true
		c, err := w.a.Dial(netip.AddrPortFrom(nobody, 1))
		if err != nil {
			t.Fatal(err)
		}
		s := new(stream).attach(c)
		w.run(100 * time.Second)
		if !errors.Is(s.err, ErrUnreachable) || len(w.find("who has fd00::77")) != 3 {
			t.Errorf("%v\n%s", s.err, strings.Join(w.frames, "\n"))
		}
		// The SYNs of 0, 1 and 3 s waited. b is not in the group that is asked.
		if w.drops[DropNDTimeout] != 3 || w.drops[trace.DropNotForUs] != 3 {
			t.Errorf("drops %v", w.drops)
		}
		w.wantEvent("nd", "no answer from fd00::77")
	})
	t.Run("netx keeps four packets", func(t *testing.T) {
		w := newWorld(t, 1).dual(profiles(NetX(), Linux()))
		for range 6 {
			if err := w.a.Ping(nobody, 1, time.Second, func(time.Duration, error) {}); err != nil {
				t.Fatal(err)
			}
		}
		w.run(10 * time.Second)
		if w.drops[DropNDQueue] != 2 || w.drops[DropNDTimeout] != 4 {
			t.Errorf("drops %v, want 2 nd_queue_full and 4 nd_timeout", w.drops)
		}
	})
	t.Run("an answer after the first solicitation is lost sends what waited", func(t *testing.T) {
		w := newWorld(t, 1).dual(nil)
		w.lose = func(fromA bool, n int, data []byte) bool { return fromA && n == 1 }
		var rtt time.Duration
		if err := w.a.Ping(addr6B.Addr(), 1, time.Minute, func(d time.Duration, err error) { rtt = d }); err != nil {
			t.Fatal(err)
		}
		w.run(time.Minute)
		if rtt != time.Second+40*time.Millisecond {
			t.Errorf("round trip %v", rtt)
		}
	})
	t.Run("without a route", func(t *testing.T) {
		w := newWorld(t, 1).dual(nil)
		far := netip.MustParseAddr("2001:db8::1")
		if _, err := w.a.Dial(netip.AddrPortFrom(far, 1)); !errors.Is(err, ErrUnreachable) {
			t.Errorf("dial: %v", err)
		}
		if err := w.a.Ping(far, 1, time.Second, nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("ping: %v", err)
		}
	})
}

func TestANeighbourInUseIsProbedAndForgottenWhenGone(t *testing.T) {
	w := newWorld(t, 1).dual(nil)
	w.record = true
	gone := false
	w.lose = func(fromA bool, n int, data []byte) bool { return gone }
	for i := range 60 {
		w.loop.At(sim.Time(i)*sim.Time(2*time.Second), func() {
			if err := w.a.Ping(addr6B.Addr(), 1, time.Second, func(time.Duration, error) {}); err != nil {
				t.Error(err)
			}
		})
	}
	// Reachable at 0.02 s for 30 s, used at 32 s, so probed at 37 s.
	w.run(40 * time.Second)
	want := []string{
		"37.000000000s a>b NS fd00::1 > fd00::2 who has fd00::2? from 02:00:00:00:00:01",
		"37.010000000s b>a NA fd00::2 > fd00::1 fd00::2 [SO] at 02:00:00:00:00:02",
	}
	probes := append(w.find("a>b NS fd00::1 > fd00::2"), w.find("b>a NA")[1:]...)
	if !slices.Equal(probes, want) {
		t.Errorf("probes:\n%s\nwant:\n%s", strings.Join(probes, "\n"), strings.Join(want, "\n"))
	}
	gone = true
	w.run(120 * time.Second)
	w.wantEvent("fd00::2 does not answer at 02:00:00:00:00:02 any more")
	// Reachable until 67.01 s, used at 68 s, probed at 73, 74 and 75 s, given up
	// at 76 s; the ping of 78 s asks anew.
	if n := len(w.find("a>b NS fd00::1 > fd00::2 ")); n != 1+3 {
		t.Errorf("%d probes", n)
	}
	if all := w.find("a>b NS fd00::1 > ff02::1:ff00:2 "); len(all) < 4 || !strings.HasPrefix(all[1], "78.") {
		t.Errorf("solicitations after the failure:\n%s", strings.Join(all, "\n"))
	}
	gone = false
	var rtt time.Duration
	w.loop.At(sim.Time(130*time.Second), func() { w.a.Ping(addr6B.Addr(), 1, time.Minute, func(d time.Duration, _ error) { rtt = d }) })
	w.run(200 * time.Second)
	if rtt == 0 {
		t.Error("the neighbour is back and not found")
	}
}

// toB sends a frame with an ICMPv6 message to b.
func (w *world) toB(dst wire.MAC, src, to netip.Addr, put func(b []byte) int) {
	f, b := newMessage(1200)
	n := put(b)
	f.Data = f.Data[:wire.EthernetHeaderLen+wire.IPv6HeaderLen+n]
	wire.PutEthernet(f.Data, dst, macA, wire.EtherTypeIPv6)
	wire.PutIPv6(f.Data[wire.EthernetHeaderLen:], wire.ProtocolICMPv6, wire.NDHopLimit, src, to, n)
	w.b.Put(f)
}

func TestSolicitationsOfALinuxNeighbourAreAnswered(t *testing.T) {
	target := addr6B.Addr()
	group := wire.SolicitedNode(target)
	for _, tt := range []struct {
		name    string
		src, to netip.Addr
		mac     wire.MAC
		option  wire.MAC
		want    []string
	}{
		{"resolution", addr6A.Addr(), group, wire.MulticastMAC(group), macA, []string{
			"0.000000000s b>a NA fd00::2 > fd00::1 fd00::2 [SO] at 02:00:00:00:00:02",
		}},
		{"NUD probe", linkA, target, macB, macA, []string{
			"0.000000000s b>a NA fd00::2 > fe80::ff:fe00:1 fd00::2 [SO] at 02:00:00:00:00:02",
		}},
		{"search for a duplicate", netip.IPv6Unspecified(), group, wire.MulticastMAC(group), wire.MAC{}, []string{
			"0.000000000s b>a NA fd00::2 > ff02::1 fd00::2 [O] at 02:00:00:00:00:02",
		}},
		{"NUD probe without an address", addr6A.Addr(), target, macB, wire.MAC{}, []string{
			"0.000000000s b>a NS fd00::2 > ff02::1:ff00:1 who has fd00::1? from 02:00:00:00:00:02",
			"0.010000000s a>b NA fd00::1 > fd00::2 fd00::1 [SO] at 02:00:00:00:00:01",
			"0.020000000s b>a NA fd00::2 > fd00::1 fd00::2 [SO] at 02:00:00:00:00:02",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 1).dual(nil)
			w.record = true
			m := wire.Neighbor{Target: target, Options: wire.NDOptions{SourceMAC: tt.option}}
			w.toB(tt.mac, tt.src, tt.to, func(b []byte) int {
				return wire.PutNeighbor(b, wire.ICMPv6NeighborSolicit, &m, tt.src, tt.to)
			})
			w.run(4 * time.Second)
			w.wantFrames(tt.want...)
		})
	}
	t.Run("ping to all nodes", func(t *testing.T) {
		w := newWorld(t, 1).dual(nil)
		w.record = true
		w.toB(wire.MulticastMAC(wire.AllNodes), linkA, wire.AllNodes, func(b []byte) int {
			return wire.PutICMPv6Echo(b, wire.ICMPv6EchoRequest, 5, 6, nil, linkA, wire.AllNodes)
		})
		w.run(4 * time.Second)
		if len(w.find("b>a ICMPv6 fe80::ff:fe00:2 > fe80::ff:fe00:1 type=129 code=0 id=5 seq=6")) != 1 {
			t.Errorf("frames:\n%s", strings.Join(w.frames, "\n"))
		}
	})
}

func TestDuplicateAddressDetection(t *testing.T) {
	t.Run("an address that nobody has is used a second after the solicitation", func(t *testing.T) {
		w := newWorld(t, 1).dual(func(a, b *Config) { a.DAD = 1 })
		w.record = true
		var got []string
		w.a.OnAddr6(func(p netip.Prefix) { got = append(got, p.String()) })
		if w.a.Addr6().IsValid() || len(w.a.Addrs6()) != 0 {
			t.Errorf("tentative addresses are in use: %v", w.a.Addrs6())
		}
		if _, err := w.a.Dial(netip.AddrPortFrom(addr6B.Addr(), 80)); !errors.Is(err, ErrUnreachable) {
			t.Errorf("dial from a tentative address: %v", err)
		}
		w.run(3 * time.Second)
		slices.Sort(got)
		if want := []string{"fd00::1/64", "fe80::ff:fe00:1/64"}; !slices.Equal(got, want) {
			t.Errorf("assigned %v, want %v", got, want)
		}
		if len(w.find("a>b NS :: > ff02::1:ff00:1 who has fd00::1?")) != 1 || len(w.find("a>b NS ::")) != 2 || len(w.frames) != 2 {
			t.Errorf("frames:\n%s", strings.Join(w.frames, "\n"))
		}
		if w.a.Addr6() != addr6A.Addr() {
			t.Errorf("Addr6 is %v", w.a.Addr6())
		}
	})
	t.Run("an address that a neighbour has is never used", func(t *testing.T) {
		w := newWorld(t, 1).dual(func(a, b *Config) { a.DAD, a.Addr6 = 1, b.Addr6 })
		w.record = true
		w.run(3 * time.Second)
		if len(w.find("b>a NA fd00::2 > ff02::1 fd00::2 [O]")) != 1 || w.a.Addr6().IsValid() || len(w.a.Addrs6()) != 1 {
			t.Errorf("%v\n%s", w.a.Addrs6(), strings.Join(w.frames, "\n"))
		}
		w.wantEvent("nd", "address fd00::2 is a duplicate, also at 02:00:00:00:00:02")
	})
	t.Run("of two that begin at once none gets it", func(t *testing.T) {
		w := newWorld(t, 1).dual(func(a, b *Config) {
			a.DAD, b.DAD, a.Addr6 = 1, 1, b.Addr6
			a.Profile, b.Profile = Linux(), Linux()
			a.Profile.ND.MaxDelay, b.Profile.ND.MaxDelay = 0, 0
		})
		w.run(3 * time.Second)
		if w.a.Addr6().IsValid() || w.b.Addr6().IsValid() {
			t.Errorf("%v and %v", w.a.Addr6(), w.b.Addr6())
		}
	})
}

func TestEveryRefusedIPv6FrameHasAReason(t *testing.T) {
	group := wire.SolicitedNode(addr6B.Addr())
	echo := func(change func(b []byte)) []byte {
		b := make([]byte, 14+40+8)
		wire.PutEthernet(b, macB, macA, wire.EtherTypeIPv6)
		wire.PutIPv6(b[14:], wire.ProtocolICMPv6, 64, addr6A.Addr(), addr6B.Addr(), 8)
		wire.PutICMPv6Echo(b[54:], wire.ICMPv6EchoReply, 1, 1, nil, addr6A.Addr(), addr6B.Addr())
		change(b)
		return b
	}
	solicit := func(src, dst netip.Addr, hops uint8, m wire.Neighbor, typ uint8) []byte {
		b := make([]byte, 14+40+wire.MaxNeighborLen)
		n := wire.PutNeighbor(b[54:], typ, &m, src, dst)
		wire.PutEthernet(b, macB, macA, wire.EtherTypeIPv6)
		wire.PutIPv6(b[14:], wire.ProtocolICMPv6, hops, src, dst, n)
		return b[:54+n]
	}
	segment := func(change func(b []byte)) []byte {
		b := make([]byte, 14+40+20)
		wire.PutEthernet(b, macB, macA, wire.EtherTypeIPv6)
		wire.PutIPv6(b[14:], wire.ProtocolTCP, 64, addr6A.Addr(), addr6B.Addr(), 20)
		wire.PutTCP(b[54:], wire.TCPFields{SrcPort: 1, DstPort: 2, Flags: wire.TCPSyn}, addr6A.Addr(), addr6B.Addr(), 0)
		change(b)
		return b
	}
	none := func([]byte) {}
	ours := wire.Neighbor{Target: addr6B.Addr(), Options: wire.NDOptions{SourceMAC: macA}}
	other := wire.Neighbor{Target: netip.MustParseAddr("fd00::99"), Options: wire.NDOptions{SourceMAC: macA, TargetMAC: macA}}
	for _, tt := range []struct {
		name string
		data []byte
		want trace.DropReason
	}{
		{"another group", echo(func(b []byte) { copy(b, []byte{0x33, 0x33, 0, 0, 0, 0x16}) }), trace.DropNotForUs},
		{"another address", echo(func(b []byte) { b[14+39] = 9 }), trace.DropNotForUs},
		{"our own source", echo(func(b []byte) { b[14+23] = 2 }), trace.DropMalformed},
		{"a multicast source", echo(func(b []byte) { b[14+8] = 0xff }), trace.DropMalformed},
		{"ICMPv6 checksum", echo(func(b []byte) { b[60]++ }), trace.DropChecksum},
		{"echo reply to nobody", echo(none), trace.DropNoPort},
		{"UDP", echo(func(b []byte) {
			b[14+6] = wire.ProtocolUDP
			wire.PutUDP(b[54:], 1, 2, addr6A.Addr(), addr6B.Addr(), 0)
		}), trace.DropUnknown},
		{"MLD query", echo(func(b []byte) {
			wire.PutICMPv6(b[54:], 130, 0, 0, nil, addr6A.Addr(), addr6B.Addr())
		}), trace.DropUnknown},
		{"no socket", segment(none), trace.DropNoPort},
		{"TCP checksum", segment(func(b []byte) { b[60]++ }), trace.DropChecksum},
		{"cut", segment(none)[:60], trace.DropMalformed},
		{"a solicitation from afar", solicit(addr6A.Addr(), group, 254, ours, wire.ICMPv6NeighborSolicit), trace.DropMalformed},
		{"a solicitation for another", solicit(addr6A.Addr(), group, 255, other, wire.ICMPv6NeighborSolicit), trace.DropNotForUs},
		{"a search for duplicates with an address", solicit(netip.IPv6Unspecified(), group, 255, ours, wire.ICMPv6NeighborSolicit), trace.DropMalformed},
		{"an advertisement that nobody asked for", solicit(addr6A.Addr(), addr6B.Addr(), 255, other, wire.ICMPv6NeighborAdvert), trace.DropNotForUs},
		{"our address at another", solicit(addr6A.Addr(), addr6B.Addr(), 255, ours, wire.ICMPv6NeighborAdvert), trace.DropMalformed},
		{"a router solicitation to a host", func() []byte {
			b := echo(func(b []byte) { b[14+7] = 255 })
			wire.PutRouterSolicit(b[54:], wire.MAC{}, addr6A.Addr(), addr6B.Addr())
			return b
		}(), trace.DropNotForUs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 1).dual(nil)
			w.b.Put(link.CopyFrame(tt.data))
			w.run(time.Second)
			if w.drops[tt.want] == 0 || len(w.drops) != 1 {
				t.Errorf("drops %v, want one %s\n%s", w.drops, tt.want, strings.Join(w.texts, "\n"))
			}
			if w.b.Counters().Dropped != 1 {
				t.Errorf("counters %+v", w.b.Counters())
			}
		})
	}
}

func TestAnIPv6OnlyHostIgnoresIPv4(t *testing.T) {
	w := newWorld(t, 1).dual(func(a, b *Config) { b.Addr = netip.Prefix{} })
	if w.b.Addr().IsValid() || w.b.Addr6() != addr6B.Addr() {
		t.Errorf("%v %v", w.b.Addr(), w.b.Addr6())
	}
	if err := w.a.Ping(addrB.Addr(), 1, time.Second, func(time.Duration, error) {}); err != nil {
		t.Fatal(err)
	}
	if err := w.b.Ping(addrA.Addr(), 1, time.Second, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("ping by IPv4: %v", err)
	}
	if _, err := w.b.Dial(netip.AddrPortFrom(addrA.Addr(), 80)); !errors.Is(err, ErrUnreachable) {
		t.Errorf("dial by IPv4: %v", err)
	}
	client, server := w.dial6(80)
	client.send([]byte("hello"))
	w.run(5 * time.Second)
	if server.got.String() != "hello" || w.drops[trace.DropUnknown] != 3 {
		t.Errorf("%q, drops %v", server.got.String(), w.drops)
	}
}

func TestAFragmentedPing6IsAnswered(t *testing.T) {
	w := newWorld(t, 1).dual(nil)
	w.record = true
	// 3,000 bytes in two fragments of 1,448 and one with the rest.
	message := make([]byte, wire.ICMPHeaderLen+3000)
	wire.PutICMPv6Echo(message, wire.ICMPv6EchoRequest, 1, 1, message[8:], addr6A.Addr(), addr6B.Addr())
	for at := 0; at < len(message); at += 1448 {
		part := message[at:min(at+1448, len(message))]
		b := make([]byte, 14+40+8+len(part))
		wire.PutEthernet(b, macB, macA, wire.EtherTypeIPv6)
		wire.PutIPv6(b[14:], wire.ProtocolFragment, 64, addr6A.Addr(), addr6B.Addr(), 8+len(part))
		b[54] = wire.ProtocolICMPv6
		b[56], b[57] = byte(at>>8), byte(at)
		if at+len(part) < len(message) {
			b[57] |= 1
		}
		b[61] = 7
		copy(b[62:], part)
		w.b.Put(link.CopyFrame(b))
	}
	w.run(2 * time.Second)
	if n := len(w.find("b>a IP fd00::2 > fd00::1 protocol=44")); n != 3 {
		t.Errorf("%d fragments:\n%s", n, strings.Join(w.frames, "\n"))
	}
}

// icmpErrorToA has a get an ICMPv6 error of b about a frame of its own.
func (w *world) icmpErrorToA(typ, code uint8, word uint32, frame []byte) {
	original := bytes.Clone(frame[wire.EthernetHeaderLen:])
	f, b := newMessage(1240)
	n := wire.PutICMPv6Error(b, typ, code, word, original, linkB, addr6A.Addr())
	f.Data = f.Data[:wire.EthernetHeaderLen+wire.IPv6HeaderLen+n]
	wire.PutEthernet(f.Data, macA, macB, wire.EtherTypeIPv6)
	wire.PutIPv6(f.Data[wire.EthernetHeaderLen:], wire.ProtocolICMPv6, 64, linkB, addr6A.Addr(), n)
	w.a.Put(f)
}

func TestICMPv6ErrorsReachTCP(t *testing.T) {
	for _, code := range []uint8{wire.ICMPv6NoRoute, wire.ICMPv6AddressUnreachable} {
		w := newWorld(t, 1).dual(nil)
		w.lose = func(fromA bool, _ int, data []byte) bool {
			if fromA && strings.Contains(wire.Summary(data), "[SYN]") {
				w.loop.After(time.Millisecond, func() { w.icmpErrorToA(wire.ICMPv6Unreachable, code, 0, data) })
				return false
			}
			return false
		}
		c, err := w.a.Dial(netip.AddrPortFrom(addr6B.Addr(), 80))
		if err != nil {
			t.Fatal(err)
		}
		s := new(stream).attach(c)
		w.run(25 * time.Millisecond)
		if !errors.Is(s.err, ErrUnreachable) {
			t.Errorf("code %d: the connection ended with %v, drops %v", code, s.err, w.drops)
		}
	}
}

func TestPacketTooBigMakesSegmentsSmaller(t *testing.T) {
	w := newWorld(t, 1).dual(nil)
	told := 0
	w.lose = func(fromA bool, _ int, data []byte) bool {
		if !fromA || len(data) <= wire.EthernetHeaderLen+1400 {
			return false
		}
		told++
		original := bytes.Clone(data)
		w.loop.After(time.Millisecond, func() { w.icmpErrorToA(wire.ICMPv6PacketTooBig, 0, 1400, original) })
		return true
	}
	client, server := w.dial6(80)
	client.send(pattern(100_000, 1))
	w.run(60 * time.Second)
	if !bytes.Equal(server.got.Bytes(), pattern(100_000, 1)) || told == 0 || told > 20 {
		t.Errorf("server has %d bytes, %d packets were too big; drops %v", server.got.Len(), told, w.drops)
	}
}
