package anonymize

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// dns replaces a DNS message: RFC 1035 section 4. One that cannot be read to its end is
// none, and becomes zeros.
func (a *Anonymizer) dns(out, in []byte) {
	if !a.message1035(out, in) {
		clear(out)
		a.zeroed(reasonUDP, in)
	}
}

func (a *Anonymizer) message1035(out, in []byte) bool {
	const header, most = 12, 256
	if len(in) < header {
		return false
	}
	copy(out[:header], in)
	questions := int(binary.BigEndian.Uint16(in[4:]))
	records := 0
	for at := 6; at < header; at += 2 {
		records += int(binary.BigEndian.Uint16(in[at:]))
	}
	if questions+records > most {
		return false
	}
	at := header
	for n := range questions + records {
		end := a.name(out, in, at)
		if end < 0 || end+4 > len(in) {
			return false
		}
		copy(out[end:end+4], in[end:])
		if at = end + 4; n < questions {
			continue
		}
		if at = a.resource(out, in, end); at < 0 {
			return false
		}
	}
	return at == len(in)
}

// resource replaces a resource record behind its name; -1 when it cannot be read.
func (a *Anonymizer) resource(out, in []byte, at int) (end int) {
	const header, ip4, ns, cname, soa, ptr, mx, txt, ip6, srv = 10, 1, 2, 5, 6, 12, 15, 16, 28, 33
	if at+header > len(in) {
		return -1
	}
	data := at + header
	end = data + int(binary.BigEndian.Uint16(in[at+8:]))
	if end > len(in) {
		return -1
	}
	copy(out[at:data], in[at:])
	switch kind := binary.BigEndian.Uint16(in[at:]); {
	case kind == ip4 && end-data == 4:
		a.put4(out[data:], in[data:end])
	case kind == ip6 && end-data == 16:
		a.put16(out[data:], in[data:end])
	case kind == ns, kind == cname, kind == ptr:
		a.name(out, in[:end], data)
	case kind == mx && end-data > 2:
		copy(out[data:data+2], in[data:])
		a.name(out, in[:end], data+2)
	case kind == srv && end-data > 6:
		copy(out[data:data+6], in[data:])
		a.name(out, in[:end], data+6)
	case kind == soa:
		if next := a.name(out, in[:end], data); next >= 0 {
			if next = a.name(out, in[:end], next); next >= 0 && next+20 == end {
				copy(out[next:end], in[next:])
			}
		}
	case kind == txt:
		for data < end && data+1+int(in[data]) <= end {
			n := int(in[data])
			out[data] = in[data]
			copy(out[data+1:], a.text(in[data+1:data+1+n]))
			data += 1 + n
		}
	default:
		a.zeroed(reasonUDP, in[data:end])
	}
	return end
}

// publicLabels are parts of names that say nothing.
var publicLabels = []string{"arpa", "in-addr", "ip6", "local"}

// name replaces a domain name and returns where it ends, or -1.
func (a *Anonymizer) name(out, in []byte, at int) int {
	for at < len(in) {
		n := int(in[at])
		switch {
		case n == 0:
			return at + 1
		case n >= 0xc0: // RFC 1035 section 4.1.4
			if at+2 > len(in) {
				return -1
			}
			copy(out[at:at+2], in[at:])
			return at + 2
		case n > 63 || at+1+n > len(in):
			return -1
		}
		out[at] = in[at]
		copy(out[at+1:], a.label(in[at+1:at+1+n]))
		at += 1 + n
	}
	return -1
}

// label replaces a part of a name, in which case does not count.
func (a *Anonymizer) label(in []byte) []byte {
	lower := bytes.ToLower(in)
	if slices.Contains(publicLabels, string(lower)) {
		return lower
	}
	if len(lower) != len(in) { // not ASCII
		lower = in
	}
	return a.text(lower)
}

// dhcp replaces a DHCP message: RFC 2131 section 2.
func (a *Anonymizer) dhcp(out, in []byte) {
	const addresses, hardware, names, cookie, options = 12, 28, 44, 236, 240
	if len(in) < options || binary.BigEndian.Uint32(in[cookie:]) != 0x63825363 {
		a.zeroed(reasonUDP, in)
		return
	}
	copy(out[:addresses], in)
	for at := addresses; at < hardware; at += 4 {
		a.put4(out[at:], in[at:at+4])
	}
	if in[1] == 1 && in[2] == 6 {
		a.putMAC(out[hardware:], in[hardware:hardware+6])
	}
	if slices.ContainsFunc(in[names:cookie], func(c byte) bool { return c != 0 }) {
		a.zeroed(reasonUDP, in[names:cookie])
	}
	copy(out[cookie:options], in[cookie:])
	out, in = out[options:], in[options:]
	for len(in) > 0 && in[0] != 255 {
		if in[0] == 0 {
			out, in = out[1:], in[1:]
			continue
		}
		if len(in) < 2 || int(in[1])+2 > len(in) {
			a.zeroed(reasonUDP, in)
			return
		}
		n := int(in[1]) + 2
		copy(out[:2], in)
		a.dhcpOption(out[2:n], in[2:n], in[0])
		out, in = out[n:], in[n:]
	}
	if len(in) > 0 {
		out[0] = in[0]
		if slices.ContainsFunc(in[1:], func(c byte) bool { return c != 0 }) {
			a.zeroed(reasonUDP, in[1:])
		}
	}
}

// dhcpNumbers are the options of RFC 2132 that are masks, times, sizes and types, with
// their lengths.
var dhcpNumbers = map[byte]int{
	1: 4, 2: 4, 13: 2, 19: 1, 20: 1, 22: 2, 23: 1, 24: 4, 26: 2, 27: 1, 31: 1, 35: 4, 36: 1, 37: 1, 38: 4, 39: 1, 46: 1, 51: 4, 52: 1, 53: 1,
	57: 2, 58: 4, 59: 4, 116: 1,
}

// dhcpOption replaces an option: RFC 2132.
func (a *Anonymizer) dhcpOption(out, in []byte, code byte) {
	if n, number := dhcpNumbers[code]; number && n == len(in) || code == 55 && len(in) <= 64 {
		copy(out, in)
		return
	}
	switch code {
	case 3, 4, 5, 6, 7, 8, 9, 10, 11, 28, 41, 42, 44, 45, 48, 49, 50, 54, 65, 68, 69, 70, 71, 72, 73, 74, 75, 76, 118, 150:
		if len(in)%4 != 0 {
			a.zeroed(reasonUDP, in)
			return
		}
		for at := 0; at < len(in); at += 4 {
			a.put4(out[at:], in[at:at+4])
		}
	case 12, 14, 15, 40, 47, 60, 62, 64, 66, 67:
		copy(out, a.text(in))
	case 61: // client identifier
		if len(in) == 7 && in[0] == 1 {
			out[0] = in[0]
			a.putMAC(out[1:], in[1:])
			return
		}
		a.zeroed(reasonUDP, in)
	default:
		a.zeroed(reasonUDP, in)
	}
}
