package anonymize

import (
	"encoding/binary"

	"hilnet/wire"
)

// A packet is an IP packet that is being replaced: what its upper layer needs to know.
type packet struct {
	out, in  []byte // from the upper header on, as captured
	length   int    // of both on the wire
	protocol uint8
	// The pseudo headers' sums, without the length: RFC 9293 section 3.1, RFC 8200
	// section 8.1.
	sumIn, sumOut uint32
	part          bool // a fragment: the checksum covers more than this
	v6            bool
	quoted        bool // in an ICMP error
}

func (a *Anonymizer) ip4(out, in []byte) {
	if len(in) < wire.IPv4HeaderLen {
		a.zeroed(reasonShort, in)
		return
	}
	header, total := int(in[0]&15)*4, int(binary.BigEndian.Uint16(in[2:]))
	if total == 0 {
		total = len(in) // segmentation offload
	}
	if header < wire.IPv4HeaderLen || total < header || header > len(in) {
		a.zeroed(reasonIPHeader, in)
		return
	}
	copy(out[:10], in)
	a.put4(out[12:], in[12:16])
	a.put4(out[16:], in[16:20])
	ip4Options(out[20:header], in[20:header])
	check(out[10:], in[10:], wire.Sum(0, in[:header]), wire.Sum(0, out[:header]), 0, 0)
	end := min(total, len(in))
	a.zeroed(reasonTrailer, in[end:])
	if header > wire.IPv4HeaderLen && binary.BigEndian.Uint16(in[10:]) != 0 && wire.Checksum(in[:header]) != 0 {
		a.zeroed(reasonIPHeader, in[header:end]) // nobody knows where it begins
		return
	}
	p := packet{out: out[header:end], in: in[header:end], length: total - header, protocol: in[9], quoted: a.quoting}
	fragment := binary.BigEndian.Uint16(in[6:])
	if fragment&0x1fff != 0 {
		a.zeroed(reasonFragment, p.in)
		return
	}
	p.part = fragment&0x2000 != 0
	p.sumIn = wire.Sum(uint32(p.protocol), in[12:20])
	p.sumOut = wire.Sum(uint32(p.protocol), out[12:20])
	a.upper(&p)
}

// ip4Options keeps the options that hold no address.
func ip4Options(out, in []byte) {
	const end, nop, routerAlert = 0, 1, 148
	for len(in) > 0 {
		n := 1
		if in[0] != end && in[0] != nop {
			if len(in) < 2 || in[1] < 2 || int(in[1]) > len(in) {
				return
			}
			n = int(in[1])
			copy(out[:2], in)
		}
		if in[0] == nop || in[0] == routerAlert && n == 4 {
			copy(out[:n], in)
		}
		if in[0] == end {
			return
		}
		out, in = out[n:], in[n:]
	}
}

func (a *Anonymizer) ip6(out, in []byte) {
	if len(in) < wire.IPv6HeaderLen {
		a.zeroed(reasonShort, in)
		return
	}
	length := int(binary.BigEndian.Uint16(in[4:]))
	if length == 0 {
		length = len(in) - wire.IPv6HeaderLen
	}
	copy(out[:8], in)
	a.put16(out[8:], in[8:24])
	a.put16(out[24:], in[24:40])
	end := min(wire.IPv6HeaderLen+length, len(in))
	a.zeroed(reasonTrailer, in[end:])
	p := packet{out: out[40:end], in: in[40:end], length: length, protocol: in[6], v6: true, quoted: a.quoting}
	p.sumIn, p.sumOut = wire.Sum(0, in[8:40]), wire.Sum(0, out[8:40])
	if !a.extensions(&p) {
		return
	}
	p.sumIn, p.sumOut = p.sumIn+uint32(p.protocol), p.sumOut+uint32(p.protocol)
	a.upper(&p)
}

const maxExtensions = 8

// extensions passes the extension headers; false when what follows cannot be read.
func (a *Anonymizer) extensions(p *packet) bool {
	const authentication, headerLen = 51, 8
	for range maxExtensions {
		switch p.protocol {
		case wire.ProtocolHopByHop, wire.ProtocolDestOpts, wire.ProtocolRouting, wire.ProtocolFragment, authentication:
		default:
			return true
		}
		if len(p.in) < headerLen {
			a.zeroed(reasonShort, p.in)
			return false
		}
		n := (int(p.in[1]) + 1) * 8
		switch p.protocol {
		case wire.ProtocolFragment:
			n = 8
		case authentication:
			n = (int(p.in[1]) + 2) * 4
		}
		if n > len(p.in) {
			a.zeroed(reasonShort, p.in)
			return false
		}
		copy(p.out[:2], p.in)
		switch p.protocol {
		case wire.ProtocolFragment:
			copy(p.out[:8], p.in)
			if offset := binary.BigEndian.Uint16(p.in[2:]) &^ 7; offset != 0 {
				a.zeroed(reasonFragment, p.in[n:])
				return false
			}
			p.part = p.in[3]&1 != 0
		case wire.ProtocolHopByHop, wire.ProtocolDestOpts:
			ip6Options(p.out[2:n], p.in[2:n])
		case wire.ProtocolRouting:
			copy(p.out[:4], p.in)
			for at := 8; at+16 <= n; at += 16 {
				a.put16(p.out[at:], p.in[at:at+16])
			}
		}
		p.protocol, p.out, p.in, p.length = p.in[0], p.out[n:], p.in[n:], p.length-n
	}
	a.zeroed(reasonIPHeader, p.in)
	return false
}

// ip6Options keeps padding and the router alert; of others type and length.
func ip6Options(out, in []byte) {
	const pad1, routerAlert = 0, 5
	for len(in) > 0 {
		if in[0] == pad1 {
			out, in = out[1:], in[1:]
			continue
		}
		if len(in) < 2 || int(in[1])+2 > len(in) {
			return
		}
		n := int(in[1]) + 2
		copy(out[:2], in)
		if in[0] == routerAlert && n == 4 {
			copy(out[:n], in)
		}
		out, in = out[n:], in[n:]
	}
}

// upper replaces what an IP packet carries.
func (a *Anonymizer) upper(p *packet) {
	switch {
	case p.protocol == wire.ProtocolTCP:
		a.tcp(p)
	case p.protocol == wire.ProtocolUDP:
		a.udp(p)
	case p.protocol == wire.ProtocolICMP && !p.v6:
		a.icmp4(p)
	case p.protocol == wire.ProtocolICMPv6 && p.v6:
		a.icmp6(p)
	default:
		a.zeroed(reasonProtocol, p.in)
	}
}

// whole reports whether the checksum of the upper layer can be judged.
func (p *packet) whole() bool { return !p.part && len(p.in) == p.length }

// broken reports whether the checksum at an offset is wrong, and not left to hardware.
func (p *packet) broken(at int) bool {
	sum := p.sumIn + uint32(p.length)
	was := binary.BigEndian.Uint16(p.in[at:])
	return p.whole() && was != 0 && was != ^wire.Fold(sum) && wire.Fold(wire.Sum(sum, p.in)) != 0
}

// checksum writes the checksum of the upper layer, at an offset: right where it was
// right, wrong where it was wrong, and as hardware is left to do it where it was so. Where
// the capture lacks bytes it is right for zeros.
func (p *packet) checksum(at int, pseudo bool) {
	var in, out uint32
	if pseudo {
		in, out = p.sumIn+uint32(p.length), p.sumOut+uint32(p.length)
	}
	if !p.whole() {
		binary.BigEndian.PutUint16(p.out[at:], wire.Fold(wire.Sum(out, p.out)))
		return
	}
	check(p.out[at:], p.in[at:], wire.Sum(in, p.in), wire.Sum(out, p.out), in, out)
}

// check writes a checksum into out[:2], which is zero. sumIn is the sum of what was covered, the
// checksum included, sumOut of what is now; partIn and partOut are those of the pseudo
// headers.
func check(out, in []byte, sumIn, sumOut, partIn, partOut uint32) {
	right := wire.Fold(sumOut)
	was := binary.BigEndian.Uint16(in)
	const wrong = 0x5555 // any difference that is not 0 and not 0xffff
	switch {
	case wire.Fold(sumIn) == 0:
	case was == 0:
		right = 0
	case partIn != 0 && was == ^wire.Fold(partIn):
		right = ^wire.Fold(partOut)
	default:
		right ^= wrong
	}
	binary.BigEndian.PutUint16(out, right)
}
