package anonymize

import (
	"encoding/binary"

	"hilnet/pcaps/flow"
	"hilnet/wire"
)

// link writes the replacement of a frame into out, which is zeros of the length of in.
func (a *Anonymizer) link(out, in []byte, l flow.LinkType) {
	switch l {
	case flow.LinkEthernet:
		if len(in) < wire.EthernetHeaderLen {
			a.zeroed(reasonShort, in)
			return
		}
		a.putMAC(out, in)
		a.putMAC(out[6:], in[6:12])
		a.etherType(out[12:], in[12:])
	case flow.LinkSLL:
		if len(in) < 16 {
			a.zeroed(reasonShort, in)
			return
		}
		copy(out[:6], in)
		a.sllAddress(out[6:14], in[6:14], int(binary.BigEndian.Uint16(in[4:])))
		a.etherType(out[14:], in[14:])
	case flow.LinkSLL2:
		if len(in) < 20 {
			a.zeroed(reasonShort, in)
			return
		}
		copy(out[:12], in)
		a.sllAddress(out[12:20], in[12:20], int(in[11]))
		a.network(out[20:], in[20:], binary.BigEndian.Uint16(in))
	case flow.LinkNull, flow.LinkLoop:
		if len(in) < 4 {
			a.zeroed(reasonShort, in)
			return
		}
		copy(out[:4], in)
		a.rawIP(out[4:], in[4:])
	case flow.LinkRaw, flow.LinkIPv4, flow.LinkIPv6, 12, 14: // the latter as in package flow
		a.rawIP(out, in)
	default:
		a.zeroed(reasonLinkType, in)
	}
}

// sllAddress replaces the address of a Linux cooked capture.
func (a *Anonymizer) sllAddress(out, in []byte, n int) {
	if n == 6 {
		a.putMAC(out, in[:6])
	}
}

const maxTags = 8

// etherType goes through VLAN tags. in begins with an EtherType.
func (a *Anonymizer) etherType(out, in []byte) {
	for range maxTags {
		if len(in) < 2 {
			a.zeroed(reasonShort, in)
			return
		}
		copy(out[:2], in)
		t := binary.BigEndian.Uint16(in)
		switch t {
		case wire.EtherTypeVLAN, wire.EtherTypeQinQ, 0x9100:
			if len(in) < 4 {
				a.zeroed(reasonShort, in)
				return
			}
			copy(out[:4], in)
			out, in = out[4:], in[4:]
			continue
		}
		a.network(out[2:], in[2:], t)
		return
	}
	a.zeroed(reasonEtherType, in)
}

func (a *Anonymizer) network(out, in []byte, etherType uint16) {
	switch etherType {
	case wire.EtherTypeIPv4, wire.EtherTypeIPv6:
		a.rawIP(out, in)
	case wire.EtherTypeARP:
		a.arp(out, in)
	default:
		a.zeroed(reasonEtherType, in)
	}
}

func (a *Anonymizer) arp(out, in []byte) {
	if len(in) < wire.ARPLen || binary.BigEndian.Uint64(in)>>16 != 0x000108000604 {
		a.zeroed(reasonARP, in)
		return
	}
	copy(out[:8], in)
	a.putMAC(out[8:], in[8:14])
	a.put4(out[14:], in[14:18])
	a.putMAC(out[18:], in[18:24])
	a.put4(out[24:], in[24:28])
	a.zeroed(reasonTrailer, in[wire.ARPLen:])
}

func (a *Anonymizer) rawIP(out, in []byte) {
	switch {
	case len(in) == 0:
	case in[0]>>4 == 4:
		a.ip4(out, in)
	case in[0]>>4 == 6:
		a.ip6(out, in)
	default:
		a.zeroed(reasonIPHeader, in)
	}
}
