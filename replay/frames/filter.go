package frames

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"hilnet/pcaps"
	"hilnet/wire"
)

// A Filter says which frames are meant. It is written in a part of the language
// of libpcap's filters (pcap-filter(7)):
//
//	host A | net P | port N | portrange N-M   with src or dst before it, and before
//	                                          that tcp or udp (ports), ip, ip6 or arp
//	ether host M                              with src or dst: ether src M
//	tcp udp icmp icmp6 arp ip ip6 vlan [N] multicast broadcast
//	less N | greater N                        length on the wire in bytes
//	frame N | frame N-M                       number in the file, from 1
//	interface N                               of the file, from 0
//	and or not ( )                            also && || !
//
// As there, not binds strongest, and the other two equally, from left to right.
// Unlike there, port looks through two VLAN tags.
type Filter struct {
	text  string
	match func(*subject) bool
}

// A subject is a frame that a Filter looks at.
type subject struct {
	wire.Layers
	number  uint64
	iface   int
	length  int
	scratch []byte // a frame with the Ethernet header that it lacks
}

// pcapMax is the longest frame that is made of a shorter capture of it.
const pcapMax = 256 << 10

// wireLength is how long a packet was on the wire, as far as that is to be believed.
func wireLength(p *pcaps.Packet) int {
	if length := max(p.OriginalLen, len(p.Data)); length <= pcapMax {
		return length
	}
	return len(p.Data)
}

// look reads a packet's headers.
func (s *subject) look(p *pcaps.Packet, number uint64, iface int) {
	s.number, s.iface, s.length = number, iface, wireLength(p)
	if uint16(p.LinkType) == linkEthernet {
		_ = s.Parse(p.Data) // what could be read is what filters see
		return
	}
	etherType, payload, ok := ethernetOf(uint16(p.LinkType), p.Data)
	s.scratch = append(s.scratch[:0], make([]byte, wire.EthernetHeaderLen)...)
	if ok {
		wire.PutEthernet(s.scratch, wire.MAC{}, wire.MAC{}, etherType)
		s.scratch = append(s.scratch, payload...)
	}
	_ = s.Parse(s.scratch)
	s.Ethernet = nil // there is none
}

// String returns the filter as it was written.
func (f *Filter) String() string { return f.text }

// Match reports whether the filter means a packet: number is its number in the file,
// from 1, iface its interface in the file, from 0.
func (f *Filter) Match(p *pcaps.Packet, number uint64, iface int) bool {
	var s subject
	s.look(p, number, iface)
	return f.match(&s)
}

// Limits of a filter.
const (
	maxFilter      = 4096 // bytes
	maxFilterDepth = 64
)

// A FilterError says where a filter is wrong.
type FilterError struct {
	Filter string
	Column int // in bytes, from 1
	Text   string
}

func (e *FilterError) Error() string {
	return fmt.Sprintf("filter %q, column %d: %s", e.Filter, e.Column, e.Text)
}

// ParseFilter reads a filter. The empty one matches every frame.
func ParseFilter(text string) (f *Filter, err error) {
	if len(text) > maxFilter {
		return nil, fmt.Errorf("frames: a filter of %d bytes is longer than %d", len(text), maxFilter)
	}
	p := &filterParser{text: text}
	p.next()
	defer func() {
		if r := recover(); r != nil {
			e, ours := r.(*FilterError)
			if !ours {
				panic(r)
			}
			f, err = nil, e
		}
	}()
	if p.word == "" {
		return &Filter{text, func(*subject) bool { return true }}, nil
	}
	match := p.or(0)
	if p.word != "" {
		p.fail("%q is left over: join it with and, or", p.word)
	}
	return &Filter{text, match}, nil
}

// A filterParser descends recursively; fail leaves it by a panic.
type filterParser struct {
	text       string
	word       string // the one in hand, "" at the end
	start, end int
}

func (p *filterParser) next() {
	i := p.end
	for i < len(p.text) && strings.IndexByte(" \t\r\n", p.text[i]) >= 0 {
		i++
	}
	p.start = i
	switch {
	case i == len(p.text):
	case strings.IndexByte("()!", p.text[i]) >= 0:
		i++
	case strings.HasPrefix(p.text[i:], "&&"), strings.HasPrefix(p.text[i:], "||"):
		i += 2
	default:
		for i < len(p.text) && strings.IndexByte(" \t\r\n()!&|", p.text[i]) < 0 {
			i++
		}
		if i == p.start {
			i++ // a single & or |: an unknown word
		}
	}
	p.end = i
	p.word = p.text[p.start:p.end]
}

func (p *filterParser) fail(format string, args ...any) {
	panic(&FilterError{p.text, p.start + 1, fmt.Sprintf(format, args...)})
}

// take takes the word in hand, which an operand is expected to be.
func (p *filterParser) take(what string) string {
	w := p.word
	if w == "" {
		p.fail("%s is missing", what)
	}
	p.next()
	return w
}

func (p *filterParser) or(depth int) func(*subject) bool {
	left := p.unary(depth)
	for {
		switch p.word {
		case "and", "&&":
			p.next()
			a, b := left, p.unary(depth)
			left = func(s *subject) bool { return a(s) && b(s) }
		case "or", "||":
			p.next()
			a, b := left, p.unary(depth)
			left = func(s *subject) bool { return a(s) || b(s) }
		default:
			return left
		}
	}
}

func (p *filterParser) unary(depth int) func(*subject) bool {
	if depth > maxFilterDepth {
		p.fail("more than %d levels", maxFilterDepth)
	}
	switch p.word {
	case "not", "!":
		p.next()
		a := p.unary(depth + 1)
		return func(s *subject) bool { return !a(s) }
	case "(":
		p.next()
		a := p.or(depth + 1)
		if p.word != ")" {
			p.fail("a closing parenthesis is missing")
		}
		p.next()
		return a
	}
	return p.primitive()
}

// A side is which ends of a frame a primitive looks at.
type side struct{ src, dst bool }

func (p *filterParser) primitive() func(*subject) bool {
	ends := side{true, true}
	switch p.word {
	case "src":
		ends.dst = false
		p.next()
	case "dst":
		ends.src = false
		p.next()
	}
	qualified := ends != side{true, true}
	start := *p
	w := p.take("a condition")
	switch w {
	case "host":
		return p.host(ends)
	case "net":
		return p.net(ends)
	case "port":
		n := uint16(p.number("a port", 65535))
		return portIn(ends, n, n)
	case "portrange":
		lo, hi := p.span("ports", 65535)
		return portIn(ends, uint16(lo), uint16(hi))
	}
	if qualified {
		start.fail("after src or dst comes host, net, port or portrange, not %q", w)
	}
	switch w {
	case "ether":
		return p.ether()
	case "less":
		n := int(p.number("a length", 1<<24))
		return func(s *subject) bool { return s.length <= n }
	case "greater":
		n := int(p.number("a length", 1<<24))
		return func(s *subject) bool { return s.length >= n }
	case "frame":
		lo, hi := p.span("frame numbers", 1<<62)
		return func(s *subject) bool { return s.number >= lo && s.number <= hi }
	case "interface":
		n := int(p.number("an interface", 1<<20))
		return func(s *subject) bool { return s.iface == n }
	case "vlan":
		if p.word == "" || p.word[0] < '0' || p.word[0] > '9' {
			return func(s *subject) bool { _, ok := s.Ethernet.VLAN(); return s.Ethernet != nil && ok }
		}
		n := uint16(p.number("a VLAN", 4095))
		return func(s *subject) bool {
			if s.Ethernet == nil {
				return false
			}
			id, ok := s.Ethernet.VLAN()
			return ok && id == n
		}
	}
	if match := protocols[w]; match != nil {
		if p.qualifies(w) {
			of := p.primitive()
			return func(s *subject) bool { return match(s) && of(s) }
		}
		return match
	}
	start.fail("%q is no condition: write host, net, port, portrange, ether, tcp, udp, icmp, icmp6, arp, ip, ip6, vlan, less, greater, frame, interface, multicast or broadcast", w)
	return nil
}

// qualifies reports whether a protocol stands in front of what it narrows, as in
// "tcp port 1883" or "ip src host 192.0.2.1".
func (p *filterParser) qualifies(protocol string) bool {
	ahead := *p
	if ahead.word == "src" || ahead.word == "dst" {
		ahead.next()
	}
	switch protocol {
	case "tcp", "udp":
		return ahead.word == "port" || ahead.word == "portrange"
	case "ip", "ip6", "arp":
		return ahead.word == "host" || ahead.word == "net"
	}
	return false
}

// protocols are the conditions of one word.
var protocols = map[string]func(*subject) bool{
	"tcp":       func(s *subject) bool { return s.Protocol == wire.ProtocolTCP && s.isIP() },
	"udp":       func(s *subject) bool { return s.Protocol == wire.ProtocolUDP && s.isIP() },
	"icmp":      func(s *subject) bool { return s.Protocol == wire.ProtocolICMP && s.IPv4 != nil },
	"icmp6":     func(s *subject) bool { return s.Protocol == wire.ProtocolICMPv6 && s.IPv6 != nil },
	"arp":       func(s *subject) bool { return s.ARP != nil },
	"ip":        func(s *subject) bool { return s.IPv4 != nil },
	"ip6":       func(s *subject) bool { return s.IPv6 != nil },
	"multicast": func(s *subject) bool { return s.Ethernet != nil && s.Ethernet.Dst().IsMulticast() },
	"broadcast": func(s *subject) bool { return s.Ethernet != nil && s.Ethernet.Dst() == wire.BroadcastMAC },
}

func (s *subject) isIP() bool { return s.IPv4 != nil || s.IPv6 != nil }

func (p *filterParser) host(ends side) func(*subject) bool {
	start := *p
	a, err := netip.ParseAddr(p.take("an address"))
	if err != nil {
		start.fail("%q is no IP address", start.word)
	}
	return inPrefix(ends, netip.PrefixFrom(a, a.BitLen()))
}

func (p *filterParser) net(ends side) func(*subject) bool {
	start := *p
	n, err := netip.ParsePrefix(p.take("a network"))
	if err != nil {
		start.fail("%q is no network: write it as 192.0.2.0/24", start.word)
	}
	return inPrefix(ends, n.Masked())
}

func inPrefix(ends side, n netip.Prefix) func(*subject) bool {
	return func(s *subject) bool {
		src, dst := s.Src(), s.Dst()
		if s.ARP != nil {
			src, dst = s.ARP.Sender(), s.ARP.Target()
		}
		return ends.src && n.Contains(src) || ends.dst && n.Contains(dst)
	}
}

func portIn(ends side, lo, hi uint16) func(*subject) bool {
	in := func(p uint16) bool { return p >= lo && p <= hi }
	return func(s *subject) bool {
		switch {
		case s.TCP != nil:
			return ends.src && in(s.TCP.SrcPort()) || ends.dst && in(s.TCP.DstPort())
		case s.UDP != nil:
			return ends.src && in(s.UDP.SrcPort()) || ends.dst && in(s.UDP.DstPort())
		}
		return false
	}
}

func (p *filterParser) ether() func(*subject) bool {
	ends := side{true, true}
	switch p.word {
	case "src":
		ends.dst = false
		p.next()
	case "dst":
		ends.src = false
		p.next()
	case "proto":
		p.next()
		n := uint16(p.number("an EtherType", 65535))
		return func(s *subject) bool { return s.Ethernet != nil && s.Ethernet.EtherType() == n }
	}
	if p.word == "host" {
		p.next()
	}
	start := *p
	m, err := wire.ParseMAC(p.take("an Ethernet address"))
	if err != nil {
		start.fail("%q is no Ethernet address: write it as 02:00:00:00:00:01", start.word)
	}
	return func(s *subject) bool {
		return s.Ethernet != nil && (ends.src && s.Ethernet.Src() == m || ends.dst && s.Ethernet.Dst() == m)
	}
}

func (p *filterParser) number(what string, most uint64) uint64 {
	start := *p
	n, err := strconv.ParseUint(p.take(what), 0, 64)
	if err != nil || n > most {
		start.fail("%q is not %s: a number up to %d", start.word, what, most)
	}
	return n
}

func (p *filterParser) span(what string, most uint64) (lo, hi uint64) {
	start := *p
	first, last, ranged := strings.Cut(p.take(what), "-")
	if !ranged {
		last = first
	}
	lo, err := strconv.ParseUint(first, 10, 64)
	hi, err2 := strconv.ParseUint(last, 10, 64)
	if err != nil || err2 != nil || lo > hi || hi > most {
		start.fail("%q are no %s: write N or N-M, up to %d", start.word, what, most)
	}
	return lo, hi
}
