package stack

import (
	"bytes"
	"net/netip"
	"slices"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// The reasons for drops that are a host's own; trace.Explain says more. The last
// three are those of stack/embedded too.
const (
	// DropWindow: a segment begins beyond the window that was advertised (RFC
	// 9293 3.10.7.4). It is answered with an ACK.
	DropWindow trace.DropReason = "outside_window"
	// DropBacklog: more connections wait to be accepted than the listener takes.
	DropBacklog   trace.DropReason = "backlog_full"
	DropDuplicate trace.DropReason = "duplicate_data"
	DropState     trace.DropReason = "wrong_state"
	DropUnread    trace.DropReason = "unread_at_close"
)

// flush sends what gVisor has written, in its order, on the loop's goroutine. A
// link without delay may bring answers, and so another flush, before a packet
// is out: the outer one sends those too, behind what is still waiting.
func (h *Host) flush() {
	if h.flushing {
		return
	}
	h.flushing = true
	defer func() { h.flushing = false }()
	for !h.closed {
		h.mu.Lock()
		list := h.sent
		h.sent, h.spare = h.spare[:0], nil
		h.mu.Unlock()
		if h.sortSent {
			slices.SortStableFunc(list, func(a, b *gstack.PacketBuffer) int {
				return bytes.Compare(a.TransportHeader().Slice(), b.TransportHeader().Slice())
			})
		}
		for i, p := range list {
			if !h.closed {
				h.sendFromGVisor(p)
			}
			p.DecRef()
			list[i] = nil
		}
		h.mu.Lock()
		h.spare = list[:0]
		more := len(h.sent) > 0
		h.mu.Unlock()
		if !more {
			return
		}
	}
}

// sendFromGVisor puts an IP packet of gVisor's into a frame.
func (h *Host) sendFromGVisor(p *gstack.PacketBuffer) {
	f := link.NewFrame(wire.EthernetHeaderLen + p.Size())
	n := wire.EthernetHeaderLen
	views, offset := p.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		n += copy(f.Data[n:], v.AsSlice()[offset:])
		offset = 0
	}
	var l wire.Layers
	if err := parseIP(&l, f); err != nil {
		panic("stack: gVisor wrote " + wire.Summary(f.Data) + ": " + err.Error())
	}
	if l.TCP == nil || l.IPv4 != nil && l.IPv4.MoreFragments() {
		h.sendIP(f, true)
		return
	}
	s := h.sockets[flow{netip.AddrPortFrom(l.Dst(), l.TCP.DstPort()), netip.AddrPortFrom(l.Src(), l.TCP.SrcPort())}]
	charged := s == nil || len(l.Payload) == 0
	charge, ok := h.charge(charged, f)
	if !ok {
		return
	}
	h.sendTCP(f, &l, s, charge)
}

// parseIP reads a frame whose Ethernet header lacks its addresses as yet.
func parseIP(l *wire.Layers, f *link.Frame) error {
	wire.PutEthernet(f.Data, wire.MAC{}, wire.MAC{}, etherType(f))
	return l.Parse(f.Data)
}

// etherType is the type of the IP packet in a frame.
func etherType(f *link.Frame) uint16 {
	if f.Data[wire.EthernetHeaderLen]>>4 == 4 {
		return wire.EtherTypeIPv4
	}
	return wire.EtherTypeIPv6
}

// ipHeaderLen is the length of an IP header that this package writes.
func ipHeaderLen(a netip.Addr) int {
	if a.Is4() {
		return wire.IPv4HeaderLen
	}
	return wire.IPv6HeaderLen
}

// putIP writes an IP header of the addresses' family in front of a payload.
func (h *Host) putIP(b []byte, src, dst netip.Addr, protocol uint8, dontFragment bool, payloadLen int) {
	if src.Is4() {
		wire.PutIPv4(b, wire.IPv4Fields{
			DontFragment: dontFragment, TTL: h.profile.TTL, Protocol: protocol, Src: src, Dst: dst,
		}, payloadLen)
		return
	}
	wire.PutIPv6(b, protocol, h.inet6.hopLimit, src, dst, payloadLen)
}

// sendTCP makes a segment what the profile wants it to be and sends it. charge
// is the packet that pays for it, if one does.
func (h *Host) sendTCP(f *link.Frame, l *wire.Layers, s *PacketSocket, charge *nic.Packet) {
	if h.profile.PlainSYN && l.TCP.Has(wire.TCPSyn) {
		padding := []byte{1, 1, 1, 0}
		plain := link.CopyFrame(plainSYN(l, padding))
		f.Release()
		f = plain
		if err := l.Parse(f.Data); err != nil {
			panic("stack: a rewritten SYN: " + err.Error())
		}
	}
	t, payload := l.TCP, l.Payload
	if w := h.profile.MaxWindow; w > 0 && !t.Has(wire.TCPRst) {
		if s != nil {
			w = s.window(t.Ack())
		}
		if w < int(t.Window()) {
			t.SetWindow(uint16(w))
		}
	}
	if h.profile.PushAlways && len(payload) > 0 && !t.Has(wire.TCPPsh) {
		t[13] |= byte(wire.TCPPsh)
		t.UpdateChecksum(l.Src(), l.Dst(), payload)
	}
	if s != nil && h.profile.BareRST && t.Has(wire.TCPRst) && s.rx.synced {
		wire.PutTCP(t, wire.TCPFields{
			SrcPort: t.SrcPort(), DstPort: t.DstPort(), Seq: s.tx.sent, Flags: wire.TCPRst, Window: uint16(s.window(s.rx.next)),
		}, l.Src(), l.Dst(), 0)
	}
	if s != nil {
		s.departed(t, payload)
	}
	h.number(l, s)
	h.route(f, l.Dst(), charge)
}

// number gives an IPv4 packet its identification where the profile counts them.
// s is the socket of a segment, if it has one.
func (h *Host) number(l *wire.Layers, s *PacketSocket) {
	if !h.profile.CountIPID || l.IPv4 == nil {
		return
	}
	if s != nil && len(l.Payload) > 0 {
		l.IPv4.SetID(s.tx.identify(l.TCP.Seq(), len(l.Payload), &h.ipID))
		return
	}
	h.ipID++
	l.IPv4.SetID(h.ipID)
}

// plainSYN returns the frame of a SYN whose only option is the maximum segment
// size, with padding behind it. A peer without that option keeps none.
func plainSYN(l *wire.Layers, padding []byte) []byte {
	options, _ := l.TCP.Options()
	var o []byte
	if options.MSS != 0 {
		o = append(wire.AppendMSS(nil, options.MSS), padding...)
	}
	header := len(l.Ethernet) + len(l.IPv4) + len(l.IPv6)
	b := make([]byte, header+wire.TCPHeaderLen+len(o)+len(l.Payload))
	copy(b, l.Ethernet)
	ip := b[len(l.Ethernet):header]
	if l.IPv4 != nil {
		copy(ip, l.IPv4)
		wire.IPv4(ip).SetTotalLen(len(b) - len(l.Ethernet))
	} else {
		// Extension headers, which say nothing to TCP, are left out.
		copy(ip, l.IPv6)
		wire.IPv6(ip).SetPayloadLen(len(b) - header)
		ip[6] = wire.ProtocolTCP
	}
	copy(b[header+wire.TCPHeaderLen+len(o):], l.Payload)
	wire.PutTCP(b[header:], wire.TCPFields{
		SrcPort: l.TCP.SrcPort(), DstPort: l.TCP.DstPort(), Seq: l.TCP.Seq(), Ack: l.TCP.Ack(),
		Flags: l.TCP.Flags(), Window: l.TCP.Window(), Options: o,
	}, l.Src(), l.Dst(), len(l.Payload))
	return b
}

// tcpOffset is where the TCP header of an arrived frame begins.
func tcpOffset(l *wire.Layers) int {
	n := len(l.Ethernet)
	if l.IPv4 != nil {
		return n + len(l.IPv4)
	}
	return n + len(l.IPv6) + l.IPv6.PayloadLen() - len(l.TCP) - len(l.Payload)
}

// sendIP sends an IP packet that is no TCP segment.
func (h *Host) sendIP(f *link.Frame, charged bool) {
	charge, ok := h.charge(charged, f)
	if !ok {
		return
	}
	var l wire.Layers
	if err := parseIP(&l, f); err != nil {
		panic("stack: " + wire.Summary(f.Data) + ": " + err.Error())
	}
	h.number(&l, nil)
	h.route(f, l.Dst(), charge)
}

// charge takes a packet from the pool for what the stack itself sends. Without
// one the frame is dropped and nobody is told, as nx_tcp_packet_send_control.c
// does.
func (h *Host) charge(charged bool, f *link.Frame) (*nic.Packet, bool) {
	if !charged || h.nic == nil {
		return nil, true
	}
	p, status := h.nic.RXPool().Allocate(nic.IP, rtos.NoWait)
	if status == nic.Success {
		p.SetHolder("stack")
		return p, true
	}
	text := status.String()
	if l := (wire.Layers{}); parseIP(&l, f) == nil && l.TCP != nil {
		text = l.TCP.Flags().String() + ": " + text
	}
	h.drop("send", trace.DropControl, 0, len(f.Data), text)
	f.Release()
	return nil, false
}

// route finds the next hop of an IP packet to dst and sends it there. It
// releases charge when the frame has left.
func (h *Host) route(f *link.Frame, dst netip.Addr, charge *nic.Packet) {
	switch {
	case dst.Is6():
		h.inet6.route(f, dst, charge)
	case h.isBroadcast(dst):
		h.transmit(f, wire.BroadcastMAC, wire.EtherTypeIPv4, charge)
	case h.cfg.Addr.Contains(dst):
		h.arp.send(f, dst, charge)
	case h.cfg.Gateway.IsValid():
		h.arp.send(f, h.cfg.Gateway, charge)
	default:
		h.drop("send", trace.DropNoRoute, 0, len(f.Data), dst.String())
		f.Release()
		releasePacket(charge)
	}
}

// transmit writes the Ethernet header and gives the frame to the port.
func (h *Host) transmit(f *link.Frame, dst wire.MAC, etherType uint16, charge *nic.Packet) {
	wire.PutEthernet(f.Data, dst, h.cfg.MAC, etherType)
	h.count.TxFrames++
	h.count.TxBytes += uint64(len(f.Data))
	if h.wire == nil {
		h.drop("send", trace.DropLinkDown, 0, len(f.Data), "the host has no port")
		f.Release()
	} else {
		h.wire(f)
	}
	releasePacket(charge)
}

// releasePacket releases a packet that only this package holds.
func releasePacket(p *nic.Packet) {
	if p == nil {
		return
	}
	if status := p.Release(); status != nic.Success {
		panic("stack: release of a packet: " + status.String())
	}
}
