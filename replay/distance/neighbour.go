package distance

import (
	"fmt"
	"net/netip"

	"hilnet/wire"
)

// An ndFrame is a message of IPv6's neighbour discovery of anybody (RFC 4861).
type ndFrame struct {
	place
	kind    uint8
	mac     wire.MAC
	from    netip.Addr
	target  netip.Addr
	all     bool // it is sent to a group
	unasked bool // an advertisement that answers nothing
}

// icmpv6 takes a message of neighbour discovery.
func (r *reading) icmpv6(p place, l *wire.Layers) {
	f := ndFrame{place: p, kind: l.ICMPv6.Type(), mac: l.Ethernet.Src(), from: l.Src(), all: l.Dst().IsMulticast()}
	switch f.kind {
	case wire.ICMPv6RouterSolicit, wire.ICMPv6RouterAdvert:
	case wire.ICMPv6NeighborSolicit, wire.ICMPv6NeighborAdvert:
		n, err := l.ICMPv6.Neighbor(l.Payload)
		if err != nil {
			return
		}
		f.target, f.unasked = n.Target, !n.Solicited
	default:
		return
	}
	r.keep(1)
	r.told++
	r.ndFrames = append(r.ndFrames, f)
}

// nd finds what the device asks its neighbours, and what it answers them.
func (r *reading) nd() {
	mac, known := r.deviceMAC()
	if !known {
		return
	}
	own := map[netip.Addr]bool{} // looked up only
	for i := range r.ndFrames {
		if f := &r.ndFrames[i]; f.mac == mac {
			own[f.from] = !f.from.IsUnspecified()
			if f.kind == wire.ICMPv6NeighborAdvert {
				own[f.target] = true
			}
		}
	}
	rows, wanted := map[netip.Addr]asking{}, map[netip.Addr]*ndFrame{} // looked up only
	for i := range r.ndFrames {
		f := &r.ndFrames[i]
		switch {
		case f.mac == mac:
			r.own(f.lane, f.name)
			r.discovers(f, rows, wanted)
		case f.kind == wire.ICMPv6NeighborAdvert:
			delete(rows, f.target)
		case f.kind == wire.ICMPv6RouterAdvert:
			delete(rows, netip.IPv6Unspecified())
		case f.kind == wire.ICMPv6NeighborSolicit && (own[f.target] || r.owns(f.target)):
			delete(rows, f.from) // it tells the address of who asks
			if w := wanted[f.target]; w != nil {
				r.ndUnanswered(w)
			}
			wanted[f.target] = f
		}
	}
	for i := range r.ndFrames { // in their order: what has no answer at the end
		if f := &r.ndFrames[i]; wanted[f.target] == f {
			r.ndUnanswered(f)
		}
	}
}

// discovers takes a message of the device.
func (r *reading) discovers(f *ndFrame, rows map[netip.Addr]asking, wanted map[netip.Addr]*ndFrame) {
	sent := "to one host"
	if f.all {
		sent = "to all"
	}
	s := sample{frame: f.frame, at: f.at, values: []value{{"sent", sent}}}
	switch f.kind {
	case wire.ICMPv6RouterSolicit:
		s.what = fmt.Sprintf("router solicitation %d of a row", next(rows, netip.IPv6Unspecified(), &s))
	case wire.ICMPv6NeighborSolicit:
		what := "solicitation"
		if f.from.IsUnspecified() {
			what = "search for another holder of its address,"
		}
		s.what = fmt.Sprintf("%s %d of a row", what, next(rows, f.target, &s))
	case wire.ICMPv6NeighborAdvert:
		if w := wanted[f.target]; w != nil && !f.unasked || w != nil && w.from.IsUnspecified() {
			delete(wanted, f.target)
			s.what, s.values = "solicitation for its address", append(s.values, value{"answer", "advertisement"})
			s.after, s.timed = f.at.Sub(w.at), true
			r.add(NDAnswers, s)
			return
		}
		s.what = "announcement"
	default:
		s.what = "router advertisement"
	}
	r.add(NDRequests, s)
}

func (r *reading) ndUnanswered(f *ndFrame) {
	r.add(NDAnswers, sample{frame: f.frame, at: f.at, what: "solicitation for its address", values: []value{{"sent", "nothing"}, {"answer", "none"}}})
}
