package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"testing"
	"time"
)

var (
	link6A = netip.MustParseAddr("fe80::1")
	link6B = netip.MustParseAddr("fe80::2")
)

// icmpv6Frame puts a message that put writes into a frame.
func icmpv6Frame(src, dst netip.Addr, put func(b []byte) int) []byte {
	b := make([]byte, EthernetHeaderLen+IPv6HeaderLen+1500)
	n := put(b[EthernetHeaderLen+IPv6HeaderLen:])
	PutEthernet(b, macB, macA, EtherTypeIPv6)
	PutIPv6(b[EthernetHeaderLen:], ProtocolICMPv6, NDHopLimit, src, dst, n)
	return b[:EthernetHeaderLen+IPv6HeaderLen+n]
}

// advert is a router advertisement with all that this package writes.
func advert() *RouterAdvert {
	r := &RouterAdvert{
		HopLimit: 64, Managed: true, Other: true, Lifetime: 30 * time.Minute, Reachable: 30 * time.Second, Retrans: time.Second,
		Options: NDOptions{SourceMAC: macA, MTU: 1400},
	}
	r.AddPrefix(PrefixInfo{Prefix: netip.MustParsePrefix("fd00::/64"), OnLink: true, Autonomous: true, Valid: NDForever, Preferred: time.Hour})
	r.AddPrefix(PrefixInfo{Prefix: netip.MustParsePrefix("2001:db8::/48"), Valid: 24 * time.Hour})
	return r
}

// ndFrames is one frame of each message.
func ndFrames() [][]byte {
	group := SolicitedNode(link6B)
	solicit := &Neighbor{Target: link6B, Options: NDOptions{SourceMAC: macA}}
	answer := &Neighbor{Target: link6B, Router: true, Solicited: true, Override: true, Options: NDOptions{TargetMAC: macB}}
	return [][]byte{
		icmpv6Frame(link6A, group, func(b []byte) int { return PutNeighbor(b, ICMPv6NeighborSolicit, solicit, link6A, group) }),
		icmpv6Frame(link6B, link6A, func(b []byte) int { return PutNeighbor(b, ICMPv6NeighborAdvert, answer, link6B, link6A) }),
		icmpv6Frame(link6A, AllRouters, func(b []byte) int { return PutRouterSolicit(b, macA, link6A, AllRouters) }),
		icmpv6Frame(link6A, AllNodes, func(b []byte) int { return PutRouterAdvert(b, advert(), link6A, AllNodes) }),
		icmpv6Frame(link6A, link6B, func(b []byte) int {
			return PutICMPv6Echo(b, ICMPv6EchoRequest, 7, 9, []byte("hello"), link6A, link6B)
		}),
	}
}

func TestNeighbourDiscoveryReadsBackAsWritten(t *testing.T) {
	want := []string{
		"NS fe80::1 > ff02::1:ff00:2 who has fe80::2? from 02:00:00:00:00:01",
		"NA fe80::2 > fe80::1 fe80::2 [RSO] at 02:00:00:00:00:02",
		"RS fe80::1 > ff02::2 from 02:00:00:00:00:01",
		"RA fe80::1 > ff02::1 lifetime=30m0s from 02:00:00:00:00:01 prefix=fd00::/64 prefix=2001:db8::/48",
		"ICMPv6 fe80::1 > fe80::2 type=128 code=0 id=7 seq=9 len=5",
	}
	for i, frame := range ndFrames() {
		var l Layers
		if err := l.Parse(frame); err != nil || l.ICMPv6 == nil {
			t.Fatalf("%s: %v", Summary(frame), err)
		}
		if got := Summary(frame); got != want[i] {
			t.Errorf("summary\n%s\nwant\n%s", got, want[i])
		}
		if !l.ICMPv6.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
			t.Errorf("%s: checksum", want[i])
		}
		frame[len(frame)-1] ^= 1
		if l.ICMPv6.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
			t.Errorf("%s: a flipped bit was not noticed", want[i])
		}
		frame[len(frame)-1] ^= 1
		if i == 3 {
			if r, err := l.ICMPv6.RouterAdvert(l.Payload); err != nil || r != *advert() {
				t.Errorf("%+v, %v, want %+v", r, err, *advert())
			}
		}
	}
}

func TestICMPv6ChecksumCoversThePseudoHeader(t *testing.T) {
	b := make([]byte, ICMPv6HeaderLen)
	n := PutICMPv6Echo(b, ICMPv6EchoRequest, 1, 2, nil, netip.MustParseAddr("::1"), netip.MustParseAddr("::2"))
	// 1 + 2 + length 8 + next header 58 + 8000 + id 1 + seq 2 = 8048.
	if got := binary.BigEndian.Uint16(b[2:]); n != 8 || got != ^uint16(0x8048) {
		t.Errorf("checksum %04x of %s, want %04x", got, hex.EncodeToString(b), ^uint16(0x8048))
	}
}

func TestICMPv6ErrorFitsTheSmallestMTU(t *testing.T) {
	b := make([]byte, 2000)
	original := bytes.Repeat([]byte{0xab}, 1500)
	n := PutICMPv6Error(b, ICMPv6PacketTooBig, 0, 1400, original, link6A, link6B)
	h, payload, err := ParseICMPv6(b[:n])
	if err != nil || n != ICMPv6ErrorLen(original) || n+IPv6HeaderLen != 1280 || h.MTU() != 1400 || !h.ChecksumOK(link6A, link6B, payload) {
		t.Errorf("error of %d bytes, % x, %v", n, []byte(h), err)
	}
}

func TestMalformedNeighbourDiscoveryIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		data []byte
		want error
	}{
		{"option of length 0", []byte{1, 0, 0, 0, 0, 0, 0, 0}, ErrNDOption},
		{"option beyond the end", []byte{1, 2, 0, 0, 0, 0, 0, 0}, ErrNDOption},
		{"cut option", []byte{1, 1, 0, 0}, ErrNDOption},
		{"short prefix", []byte{3, 1, 64, 0, 0, 0, 0, 0}, ErrNDOption},
	} {
		if _, err := ParseNDOptions(tt.data); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	// A nonce (RFC 3971 5.3.2) and a prefix of 129 bits are skipped.
	b := append([]byte{14, 1, 1, 2, 3, 4, 5, 6, 3, 4, 129}, make([]byte, 29)...)
	if o, err := ParseNDOptions(b); err != nil || len(o.Prefixes()) != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	h := ICMPv6(make([]byte, 8))
	if _, err := h.Neighbor(make([]byte, 15)); !errors.Is(err, ErrShort) {
		t.Errorf("a target of 15 bytes: %v", err)
	}
	if _, err := h.RouterAdvert(make([]byte, 7)); !errors.Is(err, ErrShort) {
		t.Errorf("a cut router advertisement: %v", err)
	}
	if _, _, err := ParseICMPv6(make([]byte, 7)); !errors.Is(err, ErrShort) {
		t.Errorf("seven bytes: %v", err)
	}
	five := RouterAdvert{}
	for i := range 5 {
		if got := five.AddPrefix(PrefixInfo{Prefix: netip.MustParsePrefix("fd00::/64")}); got != (i < 4) {
			t.Errorf("prefix %d: %v", i, got)
		}
	}
	many := bytes.Repeat(append([]byte{3, 4, 64}, make([]byte, 29)...), 6)
	if o, err := ParseNDOptions(many); err != nil || len(o.Prefixes()) != 4 || o.MorePrefixes != 2 {
		t.Errorf("six prefixes: %d and %d more, %v", len(o.Prefixes()), o.MorePrefixes, err)
	}
}

func TestIPv6AddressesOfALink(t *testing.T) {
	a := EUI64(netip.MustParsePrefix("fd00:1:2:3::/64"), MAC{0x00, 0x11, 0x22, 0x33, 0x44, 0x55})
	if want := netip.MustParseAddr("fd00:1:2:3:211:22ff:fe33:4455"); a != want {
		t.Errorf("EUI-64 %v, want %v", a, want)
	}
	group := SolicitedNode(a)
	if want := netip.MustParseAddr("ff02::1:ff33:4455"); group != want {
		t.Errorf("group %v, want %v", group, want)
	}
	if m := MulticastMAC(group); m != (MAC{0x33, 0x33, 0xff, 0x33, 0x44, 0x55}) {
		t.Errorf("%v", m)
	}
}

// checkICMPv6 writes what was read again: it must be the same, but for unknown
// options and reserved bits.
func checkICMPv6(t *testing.T, l *Layers) {
	b := make([]byte, 2000)
	src, dst := l.Src(), l.Dst()
	switch typ := l.ICMPv6.Type(); typ {
	case ICMPv6NeighborSolicit, ICMPv6NeighborAdvert:
		n, err := l.ICMPv6.Neighbor(l.Payload)
		if err != nil {
			return
		}
		m := PutNeighbor(b, typ, &n, src, dst)
		h, payload, err := ParseICMPv6(b[:m])
		if err != nil || !h.ChecksumOK(src, dst, payload) {
			t.Fatalf("written again: %v", err)
		}
		again, err := h.Neighbor(payload)
		if err != nil || again.Target != n.Target || typ == ICMPv6NeighborSolicit && again.Options.SourceMAC != n.Options.SourceMAC ||
			typ == ICMPv6NeighborAdvert && (again.Options.TargetMAC != n.Options.TargetMAC || again.flags() != n.flags()) {
			t.Fatalf("%+v, %v\nwant\n%+v", again, err, n)
		}
	case ICMPv6RouterAdvert:
		r, err := l.ICMPv6.RouterAdvert(l.Payload)
		if err != nil {
			return
		}
		m := PutRouterAdvert(b, &r, src, dst)
		h, payload, err := ParseICMPv6(b[:m])
		if err != nil || !h.ChecksumOK(src, dst, payload) {
			t.Fatalf("written again: %v", err)
		}
		r.Options.TargetMAC, r.Options.MorePrefixes = MAC{}, 0
		if again, err := h.RouterAdvert(payload); err != nil || again != r {
			t.Fatalf("%+v, %v\nwant\n%+v", again, err, r)
		}
	}
}
