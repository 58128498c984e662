// Package wire reads and writes the packet headers that hilnet's parts share:
// Ethernet with 802.1Q tags, ARP, IPv4, the IPv6 header, ICMPv4, ICMPv6 with
// neighbour discovery, UDP and TCP, with their checksums and the repair of a
// checksum after a small change; and the messages of DHCP, DNS and NTP.
//
// A header is a view: a byte slice with a name, for example
//
//	type TCP []byte
//
// ParseTCP and its siblings check every bound once and return the view of the
// header, the payload behind it and one of the sentinel errors below. The
// methods of a view that came out of a Parse function never panic and never
// allocate; on any other slice they may panic. Views share memory with the
// packet they came from, so setters change the packet. No Parse function
// verifies a checksum: a capture or a matcher must be able to read a damaged
// packet. Ask ChecksumOK. Of the view of a DNS message only the header was
// checked: what reads the rest returns an error, and names are strings, which
// are allocated.
//
// The package holds no state, keeps no slice, and may be used from any
// goroutine. It is not a protocol engine: it reassembles, answers and
// remembers nothing.
//
// Reading list: IEEE 802.3 and 802.1Q, RFC 826 (ARP), RFC 791 (IPv4), RFC 8200
// (IPv6), RFC 792 (ICMP), RFC 4443 (ICMPv6), RFC 4861 (neighbour discovery), RFC
// 4291 (IPv6 addresses), RFC 768 (UDP), RFC 9293 (TCP), RFC 7323 (window
// scale, timestamps), RFC 2018 (SACK), RFC 1071 and RFC 1624 (checksums), RFC
// 2131 and RFC 2132 (DHCP), RFC 1035 (DNS), RFC 5905 and RFC 4330 (NTP, SNTP).
package wire

import "errors"

// The reasons for which a Parse function refuses its input.
var (
	// ErrShort: the slice ends before the header, or before the length that the
	// header states.
	ErrShort = errors.New("wire: packet is too short")
	// ErrVersion: an IP header with another version than the one asked for.
	ErrVersion = errors.New("wire: wrong IP version")
	// ErrLength: a length field contradicts itself (IHL below 5, total length
	// below the header, TCP data offset below 5, UDP length below 8).
	ErrLength = errors.New("wire: impossible length field")
	// ErrFormat: a field has a value that this package does not know how to read
	// (ARP for other than Ethernet and IPv4, more than two VLAN tags).
	ErrFormat = errors.New("wire: unknown format")
	// ErrOption: a TCP option has an impossible length.
	ErrOption = errors.New("wire: malformed TCP option")
	// ErrNDOption: an option of neighbour discovery has an impossible length.
	ErrNDOption = errors.New("wire: malformed neighbour discovery option")
)
