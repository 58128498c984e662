package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// This file reads and writes the messages of neighbour discovery: RFC 4861
// sections 4.1 to 4.6, RFC 4862.

// NDHopLimit is the hop limit of every message of neighbour discovery. One that
// arrives with another has passed a router and must be ignored.
const NDHopLimit = 255

// Kinds of options.
const (
	ndOptSourceMAC = 1
	ndOptTargetMAC = 2
	ndOptPrefix    = 3
	ndOptMTU       = 5
)

// maxNDPrefixes is how many prefixes NDOptions holds. A router advertisement may
// have more; those are counted in MorePrefixes.
const maxNDPrefixes = 4

// Lengths on the wire.
const (
	ndAddressLen     = 16
	ndMACOptionLen   = 8
	ndPrefixLen      = 32
	ndRouterTimesLen = 8
)

// A PrefixInfo is a prefix information option.
type PrefixInfo struct {
	Prefix     netip.Prefix
	OnLink     bool          // L: addresses of it are neighbours
	Autonomous bool          // A: hosts make their own addresses of it
	Valid      time.Duration // NDForever: without end
	Preferred  time.Duration
}

// NDForever is a lifetime without end.
const NDForever time.Duration = 1<<63 - 1

// NDOptions are the options that this package knows; others are skipped. A zero
// MAC or MTU means that the option is absent.
type NDOptions struct {
	SourceMAC, TargetMAC MAC
	MTU                  uint32
	MorePrefixes         int // beyond those that Prefixes returns
	prefixes             [maxNDPrefixes]PrefixInfo
	n                    int
}

// Prefixes are the prefix information options, in the order of the wire.
func (o *NDOptions) Prefixes() []PrefixInfo { return o.prefixes[:o.n] }

// ParseNDOptions reads the options of a message: the whole payload of a router
// solicitation, the rest of the other messages.
func ParseNDOptions(b []byte) (NDOptions, error) {
	var o NDOptions
	for len(b) > 0 {
		if len(b) < 8 || b[1] == 0 || int(b[1])*8 > len(b) {
			return o, ErrNDOption
		}
		n := int(b[1]) * 8
		switch kind := b[0]; {
		case kind == ndOptSourceMAC:
			o.SourceMAC = MAC(b[2:8])
		case kind == ndOptTargetMAC:
			o.TargetMAC = MAC(b[2:8])
		case kind == ndOptMTU:
			o.MTU = binary.BigEndian.Uint32(b[4:])
		case kind == ndOptPrefix && n != ndPrefixLen:
			return o, ErrNDOption
		case kind == ndOptPrefix:
			o.addPrefix(b)
		}
		b = b[n:]
	}
	return o, nil
}

// addPrefix keeps a prefix whose length is possible; others are as if absent
// (RFC 4861 6.3.4 wants nothing said about them).
func (o *NDOptions) addPrefix(b []byte) {
	prefix := netip.PrefixFrom(netip.AddrFrom16([16]byte(b[16:32])), int(b[2]))
	switch {
	case !prefix.IsValid():
		return
	case o.n == maxNDPrefixes:
		o.MorePrefixes++
		return
	}
	o.prefixes[o.n] = PrefixInfo{
		Prefix: prefix.Masked(), OnLink: b[3]&0x80 != 0, Autonomous: b[3]&0x40 != 0,
		Valid: ndLifetime(binary.BigEndian.Uint32(b[4:])), Preferred: ndLifetime(binary.BigEndian.Uint32(b[8:])),
	}
	o.n++
}

func ndLifetime(seconds uint32) time.Duration {
	if seconds == 0xffffffff {
		return NDForever
	}
	return time.Duration(seconds) * time.Second
}

func ndSeconds(d time.Duration) uint32 {
	if d == NDForever {
		return 0xffffffff
	}
	return uint32(min(max(d/time.Second, 0), 0xfffffffe))
}

func (o *NDOptions) summary() string {
	var s strings.Builder
	if o.SourceMAC != (MAC{}) {
		fmt.Fprintf(&s, " from %v", o.SourceMAC)
	}
	if o.TargetMAC != (MAC{}) {
		fmt.Fprintf(&s, " at %v", o.TargetMAC)
	}
	for _, p := range o.Prefixes() {
		fmt.Fprintf(&s, " prefix=%v", p.Prefix)
	}
	return s.String()
}

// A Neighbor is the body of a neighbour solicitation or advertisement.
type Neighbor struct {
	Target                      netip.Addr
	Router, Solicited, Override bool // of an advertisement
	Options                     NDOptions
}

// Neighbor reads the body of a neighbour solicitation or advertisement.
func (h ICMPv6) Neighbor(payload []byte) (Neighbor, error) {
	if len(payload) < ndAddressLen {
		return Neighbor{}, ErrShort
	}
	n := Neighbor{
		Target: netip.AddrFrom16([16]byte(payload[:ndAddressLen])),
		Router: h[4]&0x80 != 0, Solicited: h[4]&0x40 != 0, Override: h[4]&0x20 != 0,
	}
	var err error
	n.Options, err = ParseNDOptions(payload[ndAddressLen:])
	return n, err
}

func (n *Neighbor) flags() string {
	s := ""
	for _, f := range [...]struct {
		set  bool
		name string
	}{{n.Router, "R"}, {n.Solicited, "S"}, {n.Override, "O"}} {
		if f.set {
			s += f.name
		}
	}
	return s
}

// MaxNeighborLen is the length of a neighbour solicitation or advertisement with
// its option.
const MaxNeighborLen = ICMPv6HeaderLen + ndAddressLen + ndMACOptionLen

// PutNeighbor writes a neighbour solicitation or advertisement to b and returns
// its length, at most MaxNeighborLen. Of the options it writes the source's (of
// a solicitation) or target's (of an advertisement) hardware address, if that is
// not zero.
func PutNeighbor(b []byte, typ uint8, n *Neighbor, src, dst netip.Addr) int {
	var body [ndAddressLen + ndMACOptionLen]byte
	target := n.Target.As16()
	copy(body[:], target[:])
	length := ndAddressLen
	kind, mac := byte(ndOptSourceMAC), n.Options.SourceMAC
	var flags uint32
	if typ == ICMPv6NeighborAdvert {
		kind, mac = ndOptTargetMAC, n.Options.TargetMAC
		flags = bit(n.Router, 31) | bit(n.Solicited, 30) | bit(n.Override, 29)
	}
	if mac != (MAC{}) {
		length += putMACOption(body[length:], kind, mac)
	}
	return PutICMPv6(b, typ, 0, flags, body[:length], src, dst)
}

func bit(set bool, n int) uint32 {
	if set {
		return 1 << n
	}
	return 0
}

func putMACOption(b []byte, kind byte, mac MAC) int {
	b[0], b[1] = kind, 1
	copy(b[2:], mac[:])
	return ndMACOptionLen
}

// MaxRouterSolicitLen is the length of a router solicitation with its option.
const MaxRouterSolicitLen = ICMPv6HeaderLen + ndMACOptionLen

// PutRouterSolicit writes a router solicitation to b and returns its length. A
// zero source address is left out.
func PutRouterSolicit(b []byte, source MAC, src, dst netip.Addr) int {
	var option [ndMACOptionLen]byte
	n := 0
	if source != (MAC{}) {
		n = putMACOption(option[:], ndOptSourceMAC, source)
	}
	return PutICMPv6(b, ICMPv6RouterSolicit, 0, 0, option[:n], src, dst)
}

// A RouterAdvert is a router advertisement. A zero in HopLimit, Reachable or
// Retrans means that the router does not say.
type RouterAdvert struct {
	HopLimit       uint8
	Managed, Other bool          // M, O: there is DHCPv6
	Lifetime       time.Duration // as a default router; 0: it is none
	Reachable      time.Duration
	Retrans        time.Duration
	Options        NDOptions
}

// AddPrefix appends a prefix information option and reports whether there was
// room for it.
func (r *RouterAdvert) AddPrefix(p PrefixInfo) bool {
	if r.Options.n == maxNDPrefixes {
		return false
	}
	r.Options.prefixes[r.Options.n] = p
	r.Options.n++
	return true
}

// RouterAdvert reads the rest of a router advertisement.
func (h ICMPv6) RouterAdvert(payload []byte) (RouterAdvert, error) {
	if len(payload) < ndRouterTimesLen {
		return RouterAdvert{}, ErrShort
	}
	r := RouterAdvert{
		HopLimit: h[4], Managed: h[5]&0x80 != 0, Other: h[5]&0x40 != 0,
		Lifetime:  time.Duration(binary.BigEndian.Uint16(h[6:])) * time.Second,
		Reachable: time.Duration(binary.BigEndian.Uint32(payload)) * time.Millisecond,
		Retrans:   time.Duration(binary.BigEndian.Uint32(payload[4:])) * time.Millisecond,
	}
	var err error
	r.Options, err = ParseNDOptions(payload[ndRouterTimesLen:])
	return r, err
}

// MaxRouterAdvertLen is the most that PutRouterAdvert writes.
const MaxRouterAdvertLen = ICMPv6HeaderLen + ndRouterTimesLen + ndMACOptionLen + 8 + maxNDPrefixes*ndPrefixLen

// PutRouterAdvert writes a router advertisement to b and returns its length, at
// most MaxRouterAdvertLen.
func PutRouterAdvert(b []byte, r *RouterAdvert, src, dst netip.Addr) int {
	var body [MaxRouterAdvertLen - ICMPv6HeaderLen]byte
	binary.BigEndian.PutUint32(body[:], uint32(r.Reachable/time.Millisecond))
	binary.BigEndian.PutUint32(body[4:], uint32(r.Retrans/time.Millisecond))
	n := ndRouterTimesLen
	if r.Options.SourceMAC != (MAC{}) {
		n += putMACOption(body[n:], ndOptSourceMAC, r.Options.SourceMAC)
	}
	if r.Options.MTU != 0 {
		body[n], body[n+1] = ndOptMTU, 1
		binary.BigEndian.PutUint32(body[n+4:], r.Options.MTU)
		n += 8
	}
	for i := range r.Options.Prefixes() {
		p := &r.Options.prefixes[i]
		o := body[n : n+ndPrefixLen]
		o[0], o[1], o[2] = ndOptPrefix, ndPrefixLen/8, byte(p.Prefix.Bits())
		o[3] = byte(bit(p.OnLink, 7) | bit(p.Autonomous, 6))
		binary.BigEndian.PutUint32(o[4:], ndSeconds(p.Valid))
		binary.BigEndian.PutUint32(o[8:], ndSeconds(p.Preferred))
		prefix := p.Prefix.Addr().As16()
		copy(o[16:], prefix[:])
		n += ndPrefixLen
	}
	word := uint32(r.HopLimit)<<24 | bit(r.Managed, 23) | bit(r.Other, 22) | min(ndSeconds(r.Lifetime), 0xffff)
	return PutICMPv6(b, ICMPv6RouterAdvert, 0, word, body[:n], src, dst)
}
