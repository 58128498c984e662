package link

import (
	"hilnet/trace"
	"hilnet/wire"
)

// Reading list: RFC 3168 section 5 (the codepoints).

const (
	ecnMask = 3
	ecnCE   = 3
)

// markCE sets "congestion experienced" in an IP packet of an ECN-capable
// transport, and reports whether it is one. A frame that is marked already
// stays as it is.
func markCE(e *Env, f *Frame, why string) bool {
	eth, packet, err := wire.ParseEthernet(f.Data)
	if err != nil {
		return false
	}
	switch eth.EtherType() {
	case wire.EtherTypeIPv4:
		ip, _, err := wire.ParseIPv4(packet)
		if err != nil || ip.TOS()&ecnMask == 0 {
			return false
		}
		if ip.TOS()&ecnMask == ecnCE {
			return true
		}
		ip.SetTOS(ip.TOS() | ecnCE)
	case wire.EtherTypeIPv6:
		ip, _, err := wire.ParseIPv6(packet)
		if err != nil || ip[1]>>4&ecnMask == 0 { // the traffic class ends in bits 10 and 11
			return false
		}
		if ip[1]>>4&ecnMask == ecnCE {
			return true
		}
		ip[1] |= ecnCE << 4
	default:
		return false
	}
	// The lower of the two bits, of the byte behind version and header length or
	// of the one that ends in the flow label.
	bit := int64(len(eth)+1) * 8
	if eth.EtherType() == wire.EtherTypeIPv6 {
		bit += 4
	}
	e.Changed(f, trace.KindMark, why, bit)
	return true
}
