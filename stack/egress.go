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

// DropWindow and DropBacklog are the reasons for drops that only a host has.
const (
	// DropWindow: a segment begins beyond the window that was advertised (RFC
	// 9293 3.10.7.4). It is answered with an ACK.
	DropWindow trace.DropReason = "outside_window"
	// DropBacklog: more connections wait to be accepted than the listener takes.
	DropBacklog trace.DropReason = "backlog_full"
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
	ip, payload, err := wire.ParseIPv4(f.Data[wire.EthernetHeaderLen:])
	if err != nil {
		panic("stack: gVisor wrote a packet that is no IPv4: " + err.Error())
	}
	if ip.Protocol() != wire.ProtocolTCP || ip.MoreFragments() || ip.FragmentOffset() != 0 {
		h.sendIP(f, true)
		return
	}
	t, payload, err := wire.ParseTCP(payload)
	if err != nil {
		panic("stack: gVisor wrote a segment that is none: " + err.Error())
	}
	s := h.sockets[flow{netip.AddrPortFrom(ip.Dst(), t.DstPort()), t.SrcPort()}]
	charged := s == nil || len(payload) == 0
	charge, ok := h.charge(charged, f)
	if !ok {
		return
	}
	h.sendTCP(f, ip, t, payload, s, charge)
}

// sendTCP makes a segment what the profile wants it to be and sends it. charge
// is the packet that pays for it, if one does.
func (h *Host) sendTCP(f *link.Frame, ip wire.IPv4, t wire.TCP, payload []byte, s *PacketSocket, charge *nic.Packet) {
	if h.profile.PlainSYN && t.Has(wire.TCPSyn) {
		l := wire.Layers{Ethernet: wire.Ethernet(f.Data[:wire.EthernetHeaderLen]), IPv4: ip, TCP: t, Payload: payload}
		padding := []byte{1, 1, 1, 0}
		plain := link.CopyFrame(plainSYN(&l, padding))
		f.Release()
		f = plain
		ip, payload, _ = wire.ParseIPv4(f.Data[wire.EthernetHeaderLen:])
		t, payload, _ = wire.ParseTCP(payload)
	}
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
		t.UpdateChecksum(ip.Src(), ip.Dst(), payload)
	}
	if s != nil {
		s.departed(t, payload)
	}
	h.route(f, ip.Dst(), charge)
}

// plainSYN returns the frame of a SYN whose only option is the maximum segment
// size, with padding behind it. A peer without that option keeps none.
func plainSYN(l *wire.Layers, padding []byte) []byte {
	options, _ := l.TCP.Options()
	var o []byte
	if options.MSS != 0 {
		o = append(wire.AppendMSS(nil, options.MSS), padding...)
	}
	header := len(l.Ethernet) + len(l.IPv4)
	b := make([]byte, header+wire.TCPHeaderLen+len(o)+len(l.Payload))
	copy(b, l.Ethernet)
	copy(b[len(l.Ethernet):], l.IPv4)
	wire.IPv4(b[len(l.Ethernet):header]).SetTotalLen(len(b) - len(l.Ethernet))
	copy(b[header+wire.TCPHeaderLen+len(o):], l.Payload)
	wire.PutTCP(b[header:], wire.TCPFields{
		SrcPort: l.TCP.SrcPort(), DstPort: l.TCP.DstPort(), Seq: l.TCP.Seq(), Ack: l.TCP.Ack(),
		Flags: l.TCP.Flags(), Window: l.TCP.Window(), Options: o,
	}, l.IPv4.Src(), l.IPv4.Dst(), len(l.Payload))
	return b
}

// sendIP sends an IP packet that is no TCP segment.
func (h *Host) sendIP(f *link.Frame, charged bool) {
	charge, ok := h.charge(charged, f)
	if !ok {
		return
	}
	h.route(f, wire.IPv4(f.Data[wire.EthernetHeaderLen:]).Dst(), charge)
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
	// The Ethernet header is not written yet.
	text := status.String()
	if ip, payload, err := wire.ParseIPv4(f.Data[wire.EthernetHeaderLen:]); err == nil && ip.Protocol() == wire.ProtocolTCP {
		if t, _, err := wire.ParseTCP(payload); err == nil {
			text = t.Flags().String() + ": " + text
		}
	}
	h.drop("send", trace.DropControl, 0, len(f.Data), text)
	f.Release()
	return nil, false
}

// route finds the next hop of an IP packet to dst and sends it there. It
// releases charge when the frame has left.
func (h *Host) route(f *link.Frame, dst netip.Addr, charge *nic.Packet) {
	if h.profile.CountIPID {
		h.ipID++
		wire.IPv4(f.Data[wire.EthernetHeaderLen : wire.EthernetHeaderLen+wire.IPv4HeaderLen]).SetID(h.ipID)
	}
	switch {
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
