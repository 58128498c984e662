package anonymize

import (
	"encoding/binary"

	"hilnet/wire"
)

func (a *Anonymizer) tcp(p *packet) {
	if len(p.in) < wire.TCPHeaderLen {
		copy(p.out[:min(len(p.in), 14)], p.in) // ports, numbers and flags, as ICMP quotes them
		return
	}
	header := int(p.in[12]>>4) * 4
	if header < wire.TCPHeaderLen || header > p.length {
		a.zeroed(reasonTCPHeader, p.in)
		return
	}
	copy(p.out[:16], p.in)
	copy(p.out[18:20], p.in[18:])
	end := min(header, len(p.in))
	if !p.broken(16) { // of a damaged header, nobody knows where it ends
		tcpOptions(p.out[20:end], p.in[20:end])
	}
	if payload := p.in[end:]; len(payload) > 0 {
		if p.quoted || p.part || len(p.in) < header {
			a.zeroed(reasonQuoted, payload)
		} else {
			a.payload(p.out[end:], payload)
		}
	}
	p.checksum(16, true)
}

// tcpOptions keeps the options of RFC 9293, 7323 and 2018; of others kind and length.
func tcpOptions(out, in []byte) {
	for len(in) > 0 {
		n := 1
		if in[0] > 1 {
			if len(in) < 2 || in[1] < 2 || int(in[1]) > len(in) {
				copy(out[:min(2, len(in))], in)
				return
			}
			n = int(in[1])
		}
		if want := optionLengths[in[0]&15]; in[0] <= 8 && (n == want || in[0] == 5 && n%8 == 2 && n <= 34) {
			copy(out[:n], in)
		} else {
			copy(out[:2], in)
		}
		if in[0] == 0 {
			return
		}
		out, in = out[n:], in[n:]
	}
}

// optionLengths are those of the options that are kept: end, no operation, MSS, window
// scale, SACK permitted (SACK varies), timestamps.
var optionLengths = [16]int{0: 1, 1: 1, 2: 4, 3: 3, 4: 2, 8: 10}

// Ports with a protocol whose headers are understood.
const (
	portDNS, portMDNS, portLLMNR = 53, 5353, 5355
	portDHCPServer               = 67
	portDHCPClient               = 68
	portNTP                      = 123
)

func (a *Anonymizer) udp(p *packet) {
	if len(p.in) < wire.UDPHeaderLen {
		copy(p.out[:min(len(p.in), 6)], p.in)
		return
	}
	copy(p.out[:6], p.in)
	end := len(p.in)
	if n := int(binary.BigEndian.Uint16(p.in[4:])); n >= wire.UDPHeaderLen {
		end = min(end, n)
		p.length = min(p.length, n)
	}
	a.zeroed(reasonTrailer, p.in[end:])
	p.in, p.out = p.in[:end], p.out[:end]
	in, out := p.in[wire.UDPHeaderLen:], p.out[wire.UDPHeaderLen:]
	switch {
	case len(in) == 0:
	case p.part:
		a.zeroed(reasonFragment, in)
	case p.port(portDNS), p.port(portMDNS), p.port(portLLMNR):
		a.dns(out, in)
	case p.port(portDHCPServer), p.port(portDHCPClient):
		a.dhcp(out, in)
	case p.port(portNTP) && len(in) == 48 && in[0]&0x38 <= 4<<3 && in[0]&7 != 0 && in[1] <= 16:
		copy(out, in)
		clear(out[12:16]) // the reference may be an address
	default:
		a.zeroed(reasonUDP, in)
	}
	if binary.BigEndian.Uint16(p.in[6:]) == 0 {
		return // RFC 768: without
	}
	p.checksum(6, true)
	if binary.BigEndian.Uint16(p.out[6:]) == 0 && p.whole() {
		binary.BigEndian.PutUint16(p.out[6:], 0xffff)
	}
}

func (p *packet) port(n uint16) bool {
	return binary.BigEndian.Uint16(p.in) == n || binary.BigEndian.Uint16(p.in[2:]) == n
}

const icmpHeaderLen = 8

func (a *Anonymizer) icmp4(p *packet) {
	if len(p.in) < icmpHeaderLen {
		a.zeroed(reasonShort, p.in)
		return
	}
	copy(p.out[:2], p.in)
	rest := p.in[icmpHeaderLen:]
	switch p.in[0] {
	case 0, 8: // echo
		copy(p.out[4:8], p.in[4:])
		a.zeroed(reasonICMP, rest)
	case 3, 4, 11, 12:
		copy(p.out[4:8], p.in[4:])
		a.quote(p.out[icmpHeaderLen:], rest)
	case 5: // redirect
		a.put4(p.out[4:], p.in[4:8])
		a.quote(p.out[icmpHeaderLen:], rest)
	case 13, 14: // timestamps
		copy(p.out[4:min(20, len(p.in))], p.in[4:])
		a.zeroed(reasonICMP, p.in[min(20, len(p.in)):])
	default:
		a.zeroed(reasonICMP, p.in[2:])
	}
	p.checksum(2, false)
}

// quote replaces the packet that an ICMP error quotes.
func (a *Anonymizer) quote(out, in []byte) {
	if a.quoting {
		a.zeroed(reasonQuoted, in) // an error about an error: RFC 1122 forbids it
		return
	}
	a.quoting = true
	a.rawIP(out, in)
	a.quoting = false
}

func (a *Anonymizer) icmp6(p *packet) {
	if len(p.in) < icmpHeaderLen {
		a.zeroed(reasonShort, p.in)
		return
	}
	copy(p.out[:2], p.in)
	words := func(n int) bool { // the header, and n bytes of addresses behind it
		if len(p.in) < icmpHeaderLen+n {
			a.zeroed(reasonICMP, p.in[2:])
			return false
		}
		copy(p.out[4:8], p.in[4:])
		for at := icmpHeaderLen; at < icmpHeaderLen+n; at += 16 {
			a.put16(p.out[at:], p.in[at:at+16])
		}
		return true
	}
	switch t := p.in[0]; t {
	case 1, 2, 3, 4:
		copy(p.out[4:8], p.in[4:])
		a.quote(p.out[icmpHeaderLen:], p.in[icmpHeaderLen:])
	case 128, 129:
		copy(p.out[4:8], p.in[4:])
		a.zeroed(reasonICMP, p.in[icmpHeaderLen:])
	case 133: // router solicitation: RFC 4861
		words(0)
		a.neighborOptions(p.out[8:], p.in[8:])
	case 134: // router advertisement
		if len(p.in) >= 16 {
			copy(p.out[4:16], p.in[4:])
			a.neighborOptions(p.out[16:], p.in[16:])
		}
	case 135, 136: // neighbour solicitation, advertisement
		if words(16) {
			a.neighborOptions(p.out[24:], p.in[24:])
		}
	case 137: // redirect
		if words(32) {
			a.neighborOptions(p.out[40:], p.in[40:])
		}
	case 130, 131, 132: // MLD: RFC 2710
		if words(16) {
			a.zeroed(reasonICMP, p.in[24:])
		}
	case 143:
		words(0)
		a.groupReports(p.out[8:], p.in[8:])
	default:
		a.zeroed(reasonICMP, p.in[2:])
	}
	p.checksum(2, true)
}

// neighborOptions replaces the options of neighbour discovery: RFC 4861 section 4.6.
func (a *Anonymizer) neighborOptions(out, in []byte) {
	for len(in) >= 8 && in[1] > 0 && int(in[1])*8 <= len(in) {
		n := int(in[1]) * 8
		copy(out[:2], in)
		switch {
		case (in[0] == 1 || in[0] == 2) && n == 8: // addresses of the link
			a.putMAC(out[2:], in[2:8])
		case in[0] == 3 && n == 32: // prefix
			copy(out[2:16], in[2:])
			copy(out[16:24], in[16:24])
			a.ipv6Prefix(out[16:24])
			a.report.Addresses++
		case in[0] == 5 && n == 8: // MTU
			copy(out[:8], in)
		case in[0] == 25: // name servers: RFC 8106
			copy(out[2:8], in[2:])
			for at := 8; at+16 <= n; at += 16 {
				a.put16(out[at:], in[at:at+16])
			}
		default:
			a.zeroed(reasonICMP, in[2:n])
		}
		out, in = out[n:], in[n:]
	}
	a.zeroed(reasonICMP, in)
}

// groupReports replaces the records of an MLDv2 report: RFC 3810 section 5.2.
func (a *Anonymizer) groupReports(out, in []byte) {
	for len(in) >= 20 {
		sources := int(binary.BigEndian.Uint16(in[2:]))
		n := 20 + 16*sources + 4*int(in[1])
		if n > len(in) {
			break
		}
		copy(out[:4], in)
		for at := 4; at < 20+16*sources; at += 16 {
			a.put16(out[at:], in[at:at+16])
		}
		out, in = out[n:], in[n:]
	}
	a.zeroed(reasonICMP, in)
}
