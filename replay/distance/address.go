package distance

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/wire"
)

// A place is where and when a frame was captured.
type place struct {
	at    sim.Time
	frame uint64
	lane  int // the interface
	name  string
}

// A dhcpFrame is a message of DHCP of anybody.
type dhcpFrame struct {
	place
	client wire.MAC
	asks   bool // it is the client's
	what   wire.DHCPType
	values []value
}

// A dnsFrame is a message of DNS of anybody.
type dnsFrame struct {
	place
	client, server netip.Addr
	asks           bool
	name           string
	of             uint16 // type of records
	recursion      bool
}

// maxHosts bounds the addresses whose MAC is remembered.
const maxHosts = 4096

// neighbour remembers which MAC an address is at first seen to send from.
func (r *reading) neighbour(a netip.Addr, m wire.MAC) {
	switch _, known := r.hosts[a]; {
	case known || !a.IsValid() || a.IsUnspecified():
	case len(r.hosts) == maxHosts:
		r.notRead(fmt.Sprintf("from an address beyond the first %d", maxHosts), 1)
	default:
		r.hosts[a] = m
	}
}

// deviceMAC returns the MAC of the device, false if nobody knows it.
func (r *reading) deviceMAC() (wire.MAC, bool) {
	if r.byMAC {
		return r.mac, true
	}
	m, known := r.hosts[r.device]
	return m, known
}

// datagram takes what UDP carries, if it tells something.
func (r *reading) datagram(p place, l *wire.Layers) {
	from, to := l.UDP.SrcPort(), l.UDP.DstPort()
	switch {
	case from == wire.DHCPClientPort && to == wire.DHCPServerPort, from == wire.DHCPServerPort && to == wire.DHCPClientPort:
		m, err := wire.ParseDHCP(l.Payload)
		if err != nil {
			return
		}
		r.keep(1)
		r.told++
		f := dhcpFrame{place: p, client: m.MAC(), asks: to == wire.DHCPServerPort, what: m.Type()}
		if f.asks {
			f.values = dhcpValues(m, l)
		}
		r.dhcpFrames = append(r.dhcpFrames, f)
	case from == wire.DNSPort || to == wire.DNSPort:
		m, err := wire.ParseDNS(l.Payload)
		if err != nil {
			return
		}
		q, _, err := m.Question(wire.DNSHeaderLen)
		if err != nil {
			return
		}
		const recursionDesired = 0x0100 // RFC 1035 section 4.1.1
		f := dnsFrame{place: p, client: l.Src().Unmap(), server: l.Dst().Unmap(), asks: m.Flags()&wire.DNSResponse == 0, name: strings.ToLower(q.Name), of: q.Type}
		if f.recursion = m.Flags()&recursionDesired != 0; !f.asks {
			f.client, f.server = f.server, f.client
		}
		r.keep(1)
		r.told++
		r.dnsFrames = append(r.dnsFrames, f)
	}
}

// dhcpValues are what a client says.
func dhcpValues(m wire.DHCP, l *wire.Layers) []value {
	sent, from, answer := "to one host", "its own", "to it"
	if l.Ethernet.Dst() == wire.BroadcastMAC {
		sent = "to all"
	}
	if l.Src().IsUnspecified() {
		from = "0.0.0.0"
	}
	if m.Broadcast() {
		answer = "to all"
	}
	parameters, _ := m.Option(wire.DHCPOptParameters)
	wants := "no address"
	if _, ok := m.Option(wire.DHCPOptRequestedIP); ok {
		wants = "an address"
	}
	return []value{{"sent", sent}, {"from", from}, {"answer wanted", answer}, {"asks for", fmt.Sprint(parameters)}, {"wants", wants}}
}

// dhcp finds what the device says to DHCP servers, and when.
func (r *reading) dhcp() {
	own, known := r.deviceMAC()
	if !known && !r.device.IsValid() && r.config.Device == "" && len(r.dhcpFrames) > 0 {
		own, known = r.dhcpFrames[0].client, true // whoever asks first
		r.Device = own.String()
	}
	before, tries, said := sim.Time(-1), 0, wire.DHCPType(0)
	for i := range r.dhcpFrames {
		f := &r.dhcpFrames[i]
		if !known || f.client != own {
			continue
		}
		if !f.asks {
			before, tries = f.at, 0
			continue
		}
		r.own(f.lane, f.name)
		if f.what != said {
			tries = 0
		}
		tries, said = tries+1, f.what
		s := sample{frame: f.frame, at: f.at, what: fmt.Sprintf("%v, try %d", f.what, tries), values: f.values}
		if before >= 0 {
			s.after, s.timed = f.at.Sub(before), true
		}
		before = f.at
		r.add(DHCPMessages, s)
	}
}

// A wanted is what a row of queries is for.
type wanted struct {
	name string
	of   uint16
}

// dns finds the device's queries.
func (r *reading) dns() {
	rows := map[wanted]asking{} // looked up only
	servers := map[netip.Addr]int{}
	for i := range r.dnsFrames {
		f := &r.dnsFrames[i]
		if !r.owns(f.client) {
			continue
		}
		key := wanted{f.name, f.of}
		if !f.asks {
			delete(rows, key)
			continue
		}
		r.own(f.lane, f.name)
		if _, known := servers[f.server]; !known {
			servers[f.server] = len(servers) + 1
		}
		recursion := "no"
		if f.recursion {
			recursion = "yes"
		}
		kind := wire.DNSTypeName(f.of)
		if kind == "" {
			kind = fmt.Sprintf("type %d", f.of)
		}
		s := sample{frame: f.frame, at: f.at, values: []value{
			{"name", clip(f.name)}, number("server", int64(servers[f.server])), {"recursion", recursion},
		}}
		s.what = fmt.Sprintf("query %s, try %d", kind, next(rows, key, &s))
		r.add(DNSQueries, s)
	}
}

// next counts a request in its row, and dates it by the one before.
func next[K comparable](rows map[K]asking, key K, s *sample) int {
	a := rows[key]
	if s.at.Sub(a.at) > rowPause {
		a.n = 0
	}
	if a.n++; a.n > 1 {
		s.after, s.timed = s.at.Sub(a.at), true
	}
	a.at = s.at
	rows[key] = a
	return a.n
}

// rowPause ends a row of requests: no stack waits that long before it asks again, NetX
// Duo's 10 s (NX_ARP_UPDATE_RATE) being the longest known.
const rowPause = time.Minute

// asking is how far a host has come in asking for something.
type asking struct {
	n  int
	at sim.Time
}

// ignored returns how many frames TCP was not told of, less those that were read here.
func (r *reading) ignored(why flow.Reason, n uint64) uint64 {
	switch why {
	case flow.ReasonNotIP:
		return n - min(n, uint64(len(r.requests)))
	case flow.ReasonNotTCP:
		return n - min(n, r.told)
	}
	return n
}
