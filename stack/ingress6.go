package stack

import (
	"slices"

	"hilnet/link"

	"hilnet/nic"
	"hilnet/trace"
	"hilnet/wire"
)

// arriveIPv6 looks at an IPv6 packet; its arguments and result are those of
// arrive.
func (h *Host) arriveIPv6(l *wire.Layers, frame []byte, id uint64, packet *nic.Packet) (kept bool) {
	n := h.inet6
	refuse := func(layer string, reason trace.DropReason, text string) bool {
		h.drop(layer, reason, id, len(frame), text)
		return false
	}
	src, dst := l.IPv6.Src(), l.IPv6.Dst()
	own := n.find(dst)
	switch {
	case dst.IsMulticast() && !slices.Contains(n.groups, dst), !dst.IsMulticast() && own == nil:
		return refuse("ip", trace.DropNotForUs, dst.String())
	case src.IsMulticast() || src.IsLoopback() || src.Is4In6() || n.owns(src):
		return refuse("ip", trace.DropMalformed, "source address "+src.String())
	case src.IsUnspecified() && l.Protocol != wire.ProtocolICMPv6:
		return refuse("ip", trace.DropMalformed, "no source address")
	case own != nil && own.state != assigned && l.Protocol != wire.ProtocolICMPv6:
		return refuse("ip", trace.DropNotForUs, dst.String()+" is tentative or a duplicate")
	}
	switch l.Protocol {
	case wire.ProtocolFragment:
		if packet != nil {
			return refuse("ip", trace.DropUnknown, "IP fragment")
		}
		h.deliverIP(frame, id, false)
		return false
	case wire.ProtocolICMPv6:
		if !l.ICMPv6.ChecksumOK(src, dst, l.Payload) {
			return refuse("icmp", trace.DropChecksum, "ICMPv6")
		}
		if reason, text := h.arriveICMPv6(l, frame, id); reason != "" {
			return refuse("icmp", reason, text)
		}
		return false
	case wire.ProtocolTCP:
		switch {
		case dst.IsMulticast():
			return refuse("tcp", trace.DropNotForUs, "TCP to a multicast address")
		case !l.TCP.ChecksumOK(src, dst, l.Payload):
			return refuse("tcp", trace.DropChecksum, "TCP")
		}
		return h.arriveTCP(l, frame, id, packet)
	}
	return refuse("ip", trace.DropUnknown, wire.Summary(frame))
}

// arriveICMPv6 takes an ICMPv6 message, or says why it does not.
func (h *Host) arriveICMPv6(l *wire.Layers, frame []byte, id uint64) (refused trace.DropReason, text string) {
	n := h.inet6
	typ := l.ICMPv6.Type()
	switch typ {
	case wire.ICMPv6RouterSolicit, wire.ICMPv6RouterAdvert, wire.ICMPv6NeighborSolicit, wire.ICMPv6NeighborAdvert:
		switch {
		case l.IPv6.HopLimit() != wire.NDHopLimit || l.ICMPv6.Code() != 0:
			return trace.DropMalformed, "neighbour discovery from another link"
		case l.Ethernet.Src() == h.cfg.MAC:
			return trace.DropMalformed, "a frame of our own"
		}
	default:
		if dst := l.IPv6.Dst(); !dst.IsMulticast() && !n.owns(dst) || l.IPv6.Src().IsUnspecified() {
			return trace.DropNotForUs, dst.String() + " is tentative, a duplicate or asked by nobody"
		}
	}
	switch typ {
	case wire.ICMPv6NeighborSolicit:
		return n.arriveSolicit(l)
	case wire.ICMPv6NeighborAdvert:
		return n.arriveAdvert(l)
	case wire.ICMPv6RouterSolicit:
		return n.advert.solicited(l)
	case wire.ICMPv6RouterAdvert:
		return n.arriveRouter(l)
	case wire.ICMPv6EchoRequest:
		from := l.IPv6.Dst()
		if from.IsMulticast() {
			if from = n.source(l.IPv6.Src()); !from.IsValid() {
				return trace.DropNoRoute, "no address to answer " + l.IPv6.Src().String()
			}
		}
		h.answerEcho(l, from, wire.ICMPv6EchoReply, l.ICMPv6.EchoID(), l.ICMPv6.EchoSeq(), id)
	case wire.ICMPv6EchoReply:
		if !h.endEcho(l, l.ICMPv6.EchoID(), l.ICMPv6.EchoSeq(), id) {
			return trace.DropNoPort, "echo reply that nobody waits for"
		}
	case wire.ICMPv6Unreachable:
		if l.ICMPv6.Code() == wire.ICMPv6AddressUnreachable {
			setNoRoute(l)
		}
		h.deliverIP(frame, id, true)
	case wire.ICMPv6PacketTooBig:
		h.deliverIP(frame, id, true)
	default:
		return trace.DropUnknown, wire.Summary(frame)
	}
	return "", ""
}

// setNoRoute makes "address unreachable" "no route", for gVisor knows only that
// (network/ipv6/icmp.go, handleICMP); to TCP they are the same.
func setNoRoute(l *wire.Layers) {
	typ := uint16(wire.ICMPv6Unreachable) << 8
	check := wire.Repair16(l.ICMPv6.Checksum(), typ|uint16(wire.ICMPv6AddressUnreachable), typ|uint16(wire.ICMPv6NoRoute))
	l.ICMPv6[1], l.ICMPv6[2], l.ICMPv6[3] = wire.ICMPv6NoRoute, byte(check>>8), byte(check)
}

// arriveSolicit answers a neighbour solicitation: RFC 4861 7.1.1 and 7.2.3, RFC
// 4862 5.4.3.
func (n *inet6) arriveSolicit(l *wire.Layers) (refused trace.DropReason, text string) {
	m, err := l.ICMPv6.Neighbor(l.Payload)
	src, dst, mac := l.IPv6.Src(), l.IPv6.Dst(), m.Options.SourceMAC
	probe := src.IsUnspecified() // a search for duplicates
	switch {
	case err != nil:
		return trace.DropMalformed, err.Error()
	case m.Target.IsMulticast() || mac.IsMulticast() || probe && (mac != wire.MAC{} || !dst.IsMulticast()),
		!probe && dst.IsMulticast() && mac == wire.MAC{}:
		return trace.DropMalformed, "neighbour solicitation for " + m.Target.String()
	}
	own := n.find(m.Target)
	switch {
	case own == nil || own.state == duplicate:
		return trace.DropNotForUs, "for " + m.Target.String()
	case own.state == tentative && !probe:
		return trace.DropNotForUs, m.Target.String() + " is tentative"
	case own.state == tentative:
		n.foundDuplicate(own, l.Ethernet.Src())
	case probe:
		n.sendAdvert(m.Target, wire.AllNodes, wire.MAC{})
	default:
		if mac != (wire.MAC{}) {
			n.nd.heard(src, mac)
		}
		n.sendAdvert(m.Target, src, mac)
	}
	return "", ""
}

// arriveAdvert takes a neighbour advertisement: RFC 4861 7.1.2 and 7.2.5, RFC
// 4862 5.4.4.
func (n *inet6) arriveAdvert(l *wire.Layers) (refused trace.DropReason, text string) {
	m, err := l.ICMPv6.Neighbor(l.Payload)
	switch {
	case err != nil:
		return trace.DropMalformed, err.Error()
	case m.Target.IsMulticast() || m.Options.TargetMAC.IsMulticast() || m.Solicited && l.IPv6.Dst().IsMulticast():
		return trace.DropMalformed, "neighbour advertisement of " + m.Target.String()
	}
	if own := n.find(m.Target); own != nil {
		if own.state != tentative {
			return trace.DropMalformed, m.Target.String() + " is ours; also at " + l.Ethernet.Src().String()
		}
		n.foundDuplicate(own, l.Ethernet.Src())
		return "", ""
	}
	if !n.nd.advertised(&m) {
		return trace.DropNotForUs, "nobody asked for " + m.Target.String()
	}
	return "", ""
}

// tellUnreachable6 is tellUnreachable for IPv6.
func (h *Host) tellUnreachable6(f *link.Frame) {
	original := f.Data[wire.EthernetHeaderLen:]
	ip := wire.IPv6(original[:wire.IPv6HeaderLen])
	if ip.NextHeader() != wire.ProtocolTCP {
		return
	}
	const start = wire.EthernetHeaderLen + wire.IPv6HeaderLen
	b := make([]byte, start+wire.ICMPv6ErrorLen(original))
	n := wire.PutICMPv6Error(b[start:], wire.ICMPv6Unreachable, wire.ICMPv6NoRoute, 0, original, ip.Dst(), ip.Src())
	wire.PutIPv6(b[wire.EthernetHeaderLen:], wire.ProtocolICMPv6, h.inet6.hopLimit, ip.Dst(), ip.Src(), n)
	h.deliverIP(b, 0, true)
}
