package frames

import (
	"encoding/binary"
	"net/netip"

	"hilnet/wire"
)

// Where the fields are that are changed: RFC 791, RFC 8200, RFC 9293, RFC 768,
// RFC 792, RFC 4443, RFC 4861.
const (
	ip4Check, ip4Src, ip4Dst = 10, 12, 16
	ip6Src, ip6Dst           = 8, 24
	ip6HeaderLen             = 40
	tcpCheck, udpCheck       = 16, 6
	icmpCheck, icmpHeaderLen = 2, 8
	ndTarget                 = 8
)

// changeIP changes what is in IP headers and behind them.
func (r *rewriter) changeIP(l *wire.Layers) {
	check, optional := transportCheck(l)
	r.changeAddresses(l.IPv4, l.IPv6, check, optional)
	r.changeHops(l)
	switch {
	case l.TCP != nil:
		r.changePorts(l.TCP, check, optional)
	case l.UDP != nil:
		r.changePorts(l.UDP, check, optional)
	case l.ICMPv4 != nil && quotesIPv4(l.ICMPv4.Type()):
		r.changeQuoted(l.Payload, l.ICMPv4[icmpCheck:], false)
	case l.ICMPv6 != nil && l.ICMPv6.Type() < 128: // errors: RFC 4443 section 2.1
		r.changeQuoted(l.Payload, l.ICMPv6[icmpCheck:], true)
	case l.ICMPv6 != nil && (l.ICMPv6.Type() == 135 || l.ICMPv6.Type() == 136):
		if len(l.Payload) >= 16 { // neighbour solicitation and advertisement: the target
			r.changeAddress(l.Payload[:16], l.ICMPv6[icmpCheck:])
		}
	}
}

func quotesIPv4(typ uint8) bool {
	return typ == 3 || typ == 4 || typ == 5 || typ == 11 || typ == 12
}

// transportCheck returns the checksum that covers the IP addresses, or nil.
// An optional one is absent when it is zero.
func transportCheck(l *wire.Layers) (check []byte, optional bool) {
	switch {
	case l.TCP != nil:
		return l.TCP[tcpCheck:], false
	case l.UDP != nil:
		return l.UDP[udpCheck:], true // RFC 768, and RFC 6935 for tunnels over IPv6
	case l.ICMPv6 != nil:
		return l.ICMPv6[icmpCheck:], false
	}
	return nil, false
}

// repair repairs a checksum for a word that changed.
func repair(check []byte, before, after uint16, udp bool) {
	sum := binary.BigEndian.Uint16(check)
	if udp && sum == 0 {
		return
	}
	sum = wire.Repair16(sum, before, after)
	if udp && sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(check, sum)
}

// set changes a word and repairs a checksum that covers it.
func set(b []byte, v uint16, check []byte, udp bool) {
	before := binary.BigEndian.Uint16(b)
	binary.BigEndian.PutUint16(b, v)
	if check != nil && before != v {
		repair(check, before, v, udp)
	}
}

// changeAddress maps the address in b, 4 or 16 bytes, and repairs checksums.
func (r *rewriter) changeAddress(b []byte, checks ...[]byte) {
	a, _ := netip.AddrFromSlice(b)
	to, changed := r.mapAddr(a)
	if !changed {
		return
	}
	mapped := to.AsSlice()
	for i := 0; i < len(b); i += 2 {
		before, after := binary.BigEndian.Uint16(b[i:]), binary.BigEndian.Uint16(mapped[i:])
		for _, c := range checks {
			if before != after {
				repair(c, before, after, false)
			}
		}
		copy(b[i:i+2], mapped[i:])
	}
}

func (r *rewriter) changeAddresses(v4 wire.IPv4, v6 wire.IPv6, check []byte, optional bool) {
	if optional && binary.BigEndian.Uint16(check) == 0 {
		check = nil // UDP without a checksum
	}
	var checks [2][]byte
	used := checks[:0]
	if check != nil {
		used = append(used, check)
	}
	if v4 != nil {
		used = append(used, v4[ip4Check:])
		r.changeAddress(v4[ip4Src:ip4Src+4], used...)
		r.changeAddress(v4[ip4Dst:ip4Dst+4], used...)
		zeroIsAbsent(check, optional)
		return
	}
	r.changeAddress(v6[ip6Src:ip6Src+16], used...)
	r.changeAddress(v6[ip6Dst:ip6Dst+16], used...)
}

// zeroIsAbsent writes a UDP checksum that came out as zero the other way (RFC 768).
func zeroIsAbsent(check []byte, udp bool) {
	if udp && check != nil && binary.BigEndian.Uint16(check) == 0 {
		binary.BigEndian.PutUint16(check, 0xffff)
	}
}

// changeHops changes time to live and type of service.
func (r *rewriter) changeHops(l *wire.Layers) {
	hops := func(v uint8) uint8 {
		if r.cfg.TTL.Set {
			return r.cfg.TTL.Value
		}
		return uint8(min(max(int(v)+r.cfg.TTL.Add, 1), 255))
	}
	if r.cfg.TTL != (TTLChange{}) {
		if h := l.IPv4; h != nil {
			set(h[8:], uint16(hops(h[8]))<<8|uint16(h[9]), h[ip4Check:], false)
		} else {
			l.IPv6[7] = hops(l.IPv6[7])
		}
	}
	if r.cfg.TOS != nil {
		if h := l.IPv4; h != nil {
			set(h, uint16(h[0])<<8|uint16(*r.cfg.TOS), h[ip4Check:], false)
		} else {
			l.IPv6[0] = l.IPv6[0]&0xf0 | *r.cfg.TOS>>4
			l.IPv6[1] = l.IPv6[1]&0x0f | *r.cfg.TOS<<4
		}
	}
}

// changePorts maps the two ports at the beginning of a TCP or UDP header.
func (r *rewriter) changePorts(header, check []byte, udp bool) {
	for _, at := range [...]int{0, 2} {
		port := binary.BigEndian.Uint16(header[at:])
		for _, m := range r.cfg.Ports {
			if port == m.From {
				set(header[at:], m.To, check, udp)
				break
			}
		}
	}
}

// changeQuoted changes the packet that an ICMP error quotes, and the error's
// checksum. A repaired checksum inside takes back what its words changed, so
// only the rest changes the one outside; summing the quoted bytes before and
// after says how much that is.
func (r *rewriter) changeQuoted(quoted, check []byte, v6 bool) {
	before := wire.Fold(wire.Sum(0, quoted))
	var l wire.Layers
	if v6 {
		if len(quoted) < ip6HeaderLen || quoted[0]>>4 != 6 {
			return
		}
		l.IPv6, l.Protocol = wire.IPv6(quoted[:ip6HeaderLen]), quoted[6]
	} else {
		n := 0
		if len(quoted) > 0 {
			n = int(quoted[0]&15) * 4
		}
		if len(quoted) < max(n, 20) || quoted[0]>>4 != 4 || n < 20 {
			return
		}
		l.IPv4, l.Protocol = wire.IPv4(quoted[:n]), quoted[9]
	}
	rest := quoted[len(l.IPv4)+len(l.IPv6):]
	var sum []byte
	udp := l.Protocol == wire.ProtocolUDP
	switch {
	case udp && len(rest) >= 8:
		sum = rest[udpCheck:]
	case l.Protocol == wire.ProtocolTCP && len(rest) >= tcpCheck+2:
		sum = rest[tcpCheck:]
	}
	r.changeAddresses(l.IPv4, l.IPv6, sum, udp && sum != nil)
	if (udp || l.Protocol == wire.ProtocolTCP) && len(rest) >= 4 {
		r.changePorts(rest, sum, udp)
	}
	if after := wire.Fold(wire.Sum(0, quoted)); after != before {
		repair(check, ^before, ^after, false) // Fold complements
	}
}

// shorten cuts a packet that is longer than the MTU and makes its lengths and
// checksums those of the shorter one.
func (r *rewriter) shorten(f []byte, l *wire.Layers) []byte {
	mtu := r.cfg.MTU
	length := 0
	switch {
	case mtu == 0:
		return f
	case l.IPv4 != nil:
		length = l.IPv4.TotalLen()
	default:
		length = ip6HeaderLen + l.IPv6.PayloadLen()
	}
	headers := len(f) - len(l.Payload) - len(l.Ethernet)
	switch {
	case length <= mtu || len(l.Ethernet)+mtu > len(f):
		return f
	case headers > mtu:
		r.uncut++
		return f
	}
	f = f[:len(l.Ethernet)+mtu]
	l.Payload = l.Payload[:mtu-headers]
	if l.IPv4 != nil {
		l.IPv4.SetTotalLen(mtu)
	} else {
		l.IPv6.SetPayloadLen(mtu - ip6HeaderLen)
	}
	if l.UDP != nil {
		binary.BigEndian.PutUint16(l.UDP[4:], uint16(len(l.UDP)+len(l.Payload)))
	}
	fixChecksums(l)
	return f
}

// fixChecksums computes a packet's checksums anew. Those of fragments cover more
// than is there and stay.
func fixChecksums(l *wire.Layers) {
	src, dst := l.Src(), l.Dst()
	if h := l.IPv4; h != nil {
		h.UpdateChecksum()
		if h.MoreFragments() || h.FragmentOffset() > 0 {
			return
		}
	}
	var header []byte
	at, pseudo := 0, true
	switch {
	case l.TCP != nil:
		header, at = l.TCP, tcpCheck
	case l.UDP != nil:
		if header, at = l.UDP, udpCheck; l.IPv4 != nil && l.UDP.Checksum() == 0 {
			return
		}
	case l.ICMPv6 != nil:
		header, at = l.ICMPv6, icmpCheck
	case l.ICMPv4 != nil:
		header, at, pseudo = l.ICMPv4, icmpCheck, false
	default:
		return
	}
	binary.BigEndian.PutUint16(header[at:], 0)
	var sum uint32
	if pseudo {
		sum = wire.PseudoSum(src, dst, l.Protocol, len(header)+len(l.Payload))
	}
	check := wire.Fold(wire.Sum(wire.Sum(sum, header), l.Payload))
	if check == 0 && l.UDP != nil {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(header[at:], check)
}
