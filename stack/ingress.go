package stack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/trace"
	"hilnet/wire"
)

// Put takes a frame that arrived at the port of a host without pools.
func (h *Host) Put(f *link.Frame) {
	h.arrive(f.Data, f.ID, nil)
	f.Release()
}

// putPacket takes a frame that arrived as packets of a pool.
func (h *Host) putPacket(p *nic.Packet) {
	// A link without delay may bring the next frame before this one is done:
	// then there is no scratch buffer to share.
	frame := p.AppendTo(h.scratch[:0])
	h.scratch = nil
	if !h.arrive(frame, h.frameID, p) {
		releasePacket(p)
	}
	h.scratch = frame
}

// arrive looks at a frame and reports whether packet, if there is one, was
// kept. The frame's bytes are the caller's again when it returns.
func (h *Host) arrive(frame []byte, id uint64, packet *nic.Packet) (kept bool) {
	if h.closed {
		h.drop("ethernet", trace.DropNoUpper, id, len(frame), "the host is closed")
		return false
	}
	h.count.RxFrames++
	h.count.RxBytes += uint64(len(frame))
	refuse := func(layer string, reason trace.DropReason, text string) bool {
		h.drop(layer, reason, id, len(frame), text)
		return false
	}
	var l wire.Layers
	if err := l.Parse(frame); err != nil {
		return refuse("parse", trace.DropMalformed, err.Error())
	}
	if dst := l.Ethernet.Dst(); dst != h.cfg.MAC && dst != wire.BroadcastMAC && !h.inet6.listens(dst) {
		return refuse("ethernet", trace.DropNotForUs, dst.String())
	}
	switch {
	case len(l.Ethernet) > wire.EthernetHeaderLen:
		return refuse("ethernet", trace.DropUnknown, "802.1Q tag")
	case l.ARP != nil && h.cfg.hasIPv4():
		h.arp.input(l.ARP, id, len(frame))
		return false
	case l.IPv4 != nil && h.cfg.hasIPv4():
		return h.arriveIPv4(&l, frame, id, packet)
	case l.IPv6 != nil && h.inet6 != nil:
		return h.arriveIPv6(&l, frame, id, packet)
	}
	return refuse("ethernet", trace.DropUnknown, wire.Summary(frame))
}

// arriveIPv4 looks at an IPv4 packet; its arguments and result are those of
// arrive.
func (h *Host) arriveIPv4(l *wire.Layers, frame []byte, id uint64, packet *nic.Packet) (kept bool) {
	refuse := func(layer string, reason trace.DropReason, text string) bool {
		h.drop(layer, reason, id, len(frame), text)
		return false
	}
	if !l.IPv4.ChecksumOK() {
		return refuse("ip", trace.DropChecksum, "IPv4 header")
	}
	dst := l.IPv4.Dst()
	broadcast := h.isBroadcast(dst)
	if dst != h.Addr() && !broadcast && !h.forward.takes(dst) {
		return refuse("ip", trace.DropNotForUs, dst.String())
	}
	if src := l.IPv4.Src(); src == h.Addr() || src.IsMulticast() || h.isBroadcast(src) {
		return refuse("ip", trace.DropMalformed, "source address "+src.String())
	}
	if l.IPv4.MoreFragments() || l.IPv4.FragmentOffset() != 0 {
		if packet != nil {
			// nx_ip_fragment_enable is not called by default.
			return refuse("ip", trace.DropUnknown, "IP fragment")
		}
		if h.forward != nil && l.Protocol == wire.ProtocolUDP {
			return refuse("ip", trace.DropUnknown, "a UDP datagram in fragments")
		}
		h.deliverIP(frame, id, false)
		return false
	}
	switch l.Protocol {
	case wire.ProtocolICMP:
		if dst != h.Addr() && !broadcast {
			return refuse("icmp", trace.DropUnknown, "ICMP to "+dst.String()+": a gateway carries TCP and UDP")
		}
		if !l.ICMPv4.ChecksumOK(l.Payload) {
			return refuse("icmp", trace.DropChecksum, "ICMP")
		}
		h.arriveICMP(l, frame, id)
		return false
	case wire.ProtocolTCP:
		switch {
		case broadcast:
			return refuse("tcp", trace.DropNotForUs, "TCP to a broadcast address")
		case !l.TCP.ChecksumOK(l.IPv4.Src(), dst, l.Payload):
			return refuse("tcp", trace.DropChecksum, "TCP")
		}
		return h.arriveTCP(l, frame, id, packet)
	case wire.ProtocolUDP:
		switch {
		case h.forward == nil || broadcast:
		case !l.UDP.ChecksumOK(l.IPv4.Src(), dst, l.Payload):
			return refuse("udp", trace.DropChecksum, "UDP")
		default:
			h.forward.datagram(l, frame, id)
			return false
		}
	}
	return refuse("ip", trace.DropUnknown, wire.Summary(frame))
}

// arriveTCP gives a segment to gVisor, and its packet to the PacketSocket that
// it belongs to.
func (h *Host) arriveTCP(l *wire.Layers, frame []byte, id uint64, packet *nic.Packet) (kept bool) {
	if h.forward != nil && h.forward.arriveTCP(l, frame, id) {
		return false
	}
	s := h.sockets[flow{netip.AddrPortFrom(l.Src(), l.TCP.SrcPort()), netip.AddrPortFrom(l.Dst(), l.TCP.DstPort())}]
	if s != nil && s.refuses(l.TCP, l.Payload) {
		h.drop("tcp", DropWindow, id, len(frame), wire.Summary(frame))
		return false
	}
	if s != nil {
		h.arrival = &arrival{
			socket: s, tcp: l.TCP, payload: l.Payload, packet: packet, id: id,
			headers: tcpOffset(l) + len(l.TCP),
		}
	}
	a := h.arrival
	if h.profile.PlainSYN && l.TCP.Has(wire.TCPSyn) {
		frame = plainSYN(l, nil)
	}
	reported := h.deliverIP(frame, id, true)
	if a != nil && a.refused != "" && !reported && !h.closed {
		h.drop("tcp", a.refused, id, len(frame), a.why)
	}
	return a != nil && a.kept
}

// deliverIP hands the IP packet in frame to gVisor and sends its answers.
// verified says that TCP's checksum is known to be right. The result says whether
// gVisor refused it, which is reported then.
func (h *Host) deliverIP(frame []byte, id uint64, verified bool) (refused bool) {
	end := wire.EthernetHeaderLen
	if b := frame[end:]; b[0]>>4 == 4 {
		end += wire.IPv4(b).TotalLen()
		h.arrivingType = ipv4.ProtocolNumber
	} else {
		end += wire.IPv6HeaderLen + wire.IPv6(b).PayloadLen()
		h.arrivingType = ipv6.ProtocolNumber
	}
	view := buffer.NewViewWithData(frame[wire.EthernetHeaderLen:end])
	h.arriving = gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithView(view)})
	h.dev.verified = verified
	before, unmatched := h.refusals(), h.unmatchedSegments()
	h.enter(h.deliver)
	if h.closed {
		return false
	}
	if h.unmatchedSegments() != unmatched {
		// gVisor counts it among the refused as well.
		h.drop("tcp", trace.DropNoPort, id, len(frame), wire.Summary(frame))
	} else if after := h.refusals(); after != before {
		h.dropRefused(before, after, id, frame)
	} else {
		return false
	}
	return true
}

func (h *Host) deliverArriving() {
	p := h.arriving
	h.arriving = nil
	h.dev.dispatcher.DeliverNetworkPacket(h.arrivingType, p)
	p.DecRef()
}

// noSocket is called by gVisor for a segment that belongs to no endpoint. It
// declines, so that gVisor answers with RST.
func (h *Host) noSocket(gstack.TransportEndpointID, *gstack.PacketBuffer) bool {
	h.mu.Lock()
	h.unmatched++
	h.mu.Unlock()
	return false
}

func (h *Host) unmatchedSegments() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unmatched
}

// refused counts what gVisor threw away after Host.arrive had let it pass.
type refused struct {
	malformed, checksum, address, listenQueue, endpointQueue uint64
}

func (h *Host) refusals() refused {
	s := &h.stats
	return refused{
		malformed:     s.IP.MalformedPacketsReceived.Value() + s.IP.MalformedFragmentsReceived.Value() + s.TCP.InvalidSegmentsReceived.Value(),
		checksum:      s.TCP.ChecksumErrors.Value(),
		address:       s.IP.InvalidDestinationAddressesReceived.Value() + s.IP.InvalidSourceAddressesReceived.Value(),
		listenQueue:   s.TCP.ListenOverflowSynDrop.Value() + s.TCP.ListenOverflowAckDrop.Value(),
		endpointQueue: s.DroppedPackets.Value(),
	}
}

func (h *Host) dropRefused(before, after refused, id uint64, frame []byte) {
	reason, text := trace.DropMalformed, "refused by the IP or TCP parser"
	switch {
	case after.checksum != before.checksum:
		reason, text = trace.DropChecksum, "TCP, in fragments"
	case after.address != before.address:
		reason, text = trace.DropNotForUs, "refused by the IP layer"
	case after.listenQueue != before.listenQueue:
		reason, text = DropBacklog, "the listener's backlog is full"
	case after.endpointQueue != before.endpointQueue:
		reason, text = trace.DropQueueFull, "the connection's segment queue is full"
	}
	h.drop("tcp", reason, id, len(frame), text)
}

// isBroadcast reports whether a is the limited broadcast address or that of the
// host's network.
func (h *Host) isBroadcast(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	b := a.As4()
	if b == [4]byte{255, 255, 255, 255} {
		return true
	}
	bits := h.cfg.Addr.Bits()
	if bits > 30 || !h.cfg.Addr.Contains(a) {
		return false
	}
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	mask := uint32(1)<<(32-bits) - 1
	return v&mask == mask
}
