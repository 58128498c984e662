package distance

import (
	"fmt"
	"strconv"
	"strings"

	"hilnet/pcaps/flow"
	"hilnet/wire"
)

// opens takes the first SYN of the device.
func (c *connection) opens(r *reading, f *flow.Frame, s *flow.Result) {
	c.opened = true
	r.add(SYNs, sample{frame: f.Number, at: f.At, what: "SYN", values: synValues(s)})
	c.follows(r, f, s)
}

// synValues are what a SYN says.
func synValues(s *flow.Result) []value {
	options, err := s.TCP.Options()
	layout, scale := layoutOf(s.TCP.RawOptions()), "none"
	if options.HasWindowScale {
		scale = strconv.Itoa(int(options.WindowScale))
	}
	if err != nil {
		layout += " (malformed)"
	}
	ttl, fragment := int64(0), "IPv6"
	if ip := s.IP; ip[0]>>4 == 4 {
		ttl, fragment = int64(ip[8]), "no"
		if wire.IPv4(ip).DontFragment() {
			fragment = "yes"
		}
	} else {
		ttl = int64(ip[7])
	}
	return []value{
		{"options", layout}, {"scale", scale}, number("MSS", int64(options.MSS)), number("window", int64(s.TCP.Window())), number("TTL", ttl), {"DF", fragment},
	}
}

// follows lays a connection beside the one before.
func (c *connection) follows(r *reading, f *flow.Frame, s *flow.Result) {
	port, isn := s.TCP.SrcPort(), s.TCP.Seq()
	before := r.last
	r.last = c
	if before == nil {
		r.add(Ports, sample{frame: f.Number, at: f.At, what: "first port", values: []value{{"is", portRange(port)}}})
		r.add(InitialNumbers, sample{frame: f.Number, at: f.At, what: "first number", values: []value{{"is", numberRange(isn)}}})
		return
	}
	h := before.of.Half(before.device)
	r.add(Ports, sample{frame: f.Number, at: f.At, what: "next port", values: []value{{"is", nextPort(h.Addr.Port(), port)}}})
	r.add(InitialNumbers, sample{frame: f.Number, at: f.At, what: "next number", values: []value{{"is", nextNumber(h.ISN, isn)}}})
	from, how := before.last, "silence"
	if before.closed {
		from, how = before.closedAt, "its end"
	}
	r.add(Reconnects, sample{frame: f.Number, at: f.At, what: "attempt", values: []value{{"behind", how}}, after: f.At.Sub(from), timed: true})
}

// portRange tells no more of a first port than one can: which it is of those that
// nobody owns is chance.
func portRange(p uint16) string {
	const registered = 1024 // RFC 6335 section 6
	if p < registered {
		return "below 1024"
	}
	return "1024 or more"
}

func nextPort(before, p uint16) string {
	const near = 16
	switch d := p - before; {
	case d == 0:
		return "the same"
	case d < near:
		return "just above"
	}
	return "elsewhere"
}

func numberRange(isn uint32) string {
	switch {
	case isn == 0:
		return "0"
	case isn < 1<<16:
		return "below 65536"
	}
	return "anything"
}

func nextNumber(before, isn uint32) string {
	const near = 1 << 20 // by chance one in four thousand
	switch d := isn - before; {
	case d == 0:
		return "the same"
	case d < near:
		return "just above"
	}
	return "elsewhere"
}

// layoutOf names the TCP options in their order.
func layoutOf(raw []byte) string {
	names := map[byte]string{0: "end", 1: "nop", 2: "mss", 3: "scale", 4: "sack", 8: "timestamps", 34: "cookie"}
	var all []string
	for rest := raw; len(rest) > 0; {
		kind, n := rest[0], 1
		name, known := names[kind]
		if !known {
			name = fmt.Sprintf("kind %d", kind)
		}
		if kind > 1 {
			if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
				break
			}
			n = int(rest[1])
		}
		all = append(all, name)
		rest = rest[n:]
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, " ")
}
