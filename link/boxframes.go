package link

import (
	"encoding/binary"
	"net/netip"

	"hilnet/trace"
	"hilnet/wire"
)

// A sender sends a frame of n bytes that write fills.
type sender func(n int, text string, write func([]byte))

// boxTTL is the time to live of the packets that a box sends.
const boxTTL = 64

// reset answers a TCP segment as its receiver would if it knew of no connection
// (RFC 9293 section 3.10.7.1). A reset is not answered.
func (b *Box) reset(l *wire.Layers, send sender) {
	if l.TCP == nil || l.TCP.Has(wire.TCPRst) {
		return
	}
	fields := wire.TCPFields{SrcPort: l.TCP.DstPort(), DstPort: l.TCP.SrcPort(), Flags: wire.TCPRst}
	if l.TCP.Has(wire.TCPAck) {
		fields.Seq = l.TCP.Ack()
	} else {
		fields.Ack = l.TCP.Seq() + l.TCP.SegmentLen(l.Payload)
		fields.Flags |= wire.TCPAck
	}
	src, dst := l.Dst(), l.Src()
	dstMAC, srcMAC := l.Ethernet.Src(), l.Ethernet.Dst()
	header := ipHeaderLen(src)
	send(wire.EthernetHeaderLen+header+wire.TCPHeaderLen, "reset", func(d []byte) {
		putIP(d, dstMAC, srcMAC, wire.ProtocolTCP, src, dst, wire.TCPHeaderLen)
		wire.PutTCP(d[wire.EthernetHeaderLen+header:], fields, src, dst, 0)
	})
}

func ipHeaderLen(a netip.Addr) int {
	if a.Is4() {
		return wire.IPv4HeaderLen
	}
	return wire.IPv6HeaderLen
}

// putIP writes Ethernet and IP headers.
func putIP(d []byte, dstMAC, srcMAC wire.MAC, protocol uint8, src, dst netip.Addr, payload int) {
	if src.Is4() {
		wire.PutEthernet(d, dstMAC, srcMAC, wire.EtherTypeIPv4)
		wire.PutIPv4(d[wire.EthernetHeaderLen:], wire.IPv4Fields{TTL: boxTTL, Protocol: protocol, Src: src, Dst: dst}, payload)
		return
	}
	wire.PutEthernet(d, dstMAC, srcMAC, wire.EtherTypeIPv6)
	wire.PutIPv6(d[wire.EthernetHeaderLen:], protocol, boxTTL, src, dst, payload)
}

// refuse drops a packet that is too long and, unless the box is silent, tells
// its sender, in the name of the destination: the box has no address.
func (b *Box) refuse(f *Frame, l *wire.Layers, e *Env, send sender) {
	if !b.cfg.SilentMTU && answerable(l) {
		src, dst := l.Dst(), l.Src()
		dstMAC, srcMAC := l.Ethernet.Src(), l.Ethernet.Dst()
		packet := f.Data[len(l.Ethernet):]
		mtu := uint32(b.cfg.MTU)
		if l.IPv4 != nil {
			packet = packet[:l.IPv4.TotalLen()]
			n := wire.ICMPv4ErrorLen(packet)
			send(wire.EthernetHeaderLen+wire.IPv4HeaderLen+n, "fragmentation needed", func(d []byte) {
				putIP(d, dstMAC, srcMAC, wire.ProtocolICMP, src, dst, n)
				wire.PutICMPv4Error(d[wire.EthernetHeaderLen+wire.IPv4HeaderLen:], wire.ICMPUnreachable, wire.ICMPFragNeeded, mtu, packet)
			})
		} else {
			packet = packet[:wire.IPv6HeaderLen+l.IPv6.PayloadLen()]
			n := wire.ICMPv6ErrorLen(packet)
			send(wire.EthernetHeaderLen+wire.IPv6HeaderLen+n, "packet too big", func(d []byte) {
				putIP(d, dstMAC, srcMAC, wire.ProtocolICMPv6, src, dst, n)
				wire.PutICMPv6Error(d[wire.EthernetHeaderLen+wire.IPv6HeaderLen:], wire.ICMPv6PacketTooBig, 0, mtu, packet, src, dst)
			})
		}
	}
	e.Drop(f, trace.DropMTU, b.mtuRule)
}

// answerable says whether an ICMP error may answer the packet: not another
// error, not a later fragment, not a packet to or from a group (RFC 1122 section
// 3.2.2, RFC 4443 section 2.4).
func answerable(l *wire.Layers) bool {
	if l.Ethernet.Dst().IsMulticast() || l.Src().IsMulticast() || l.Src().IsUnspecified() {
		return false
	}
	switch {
	case l.IPv4 != nil && l.IPv4.FragmentOffset() != 0:
		return false
	case l.ICMPv4 != nil:
		return l.ICMPv4.Type() == wire.ICMPEchoRequest || l.ICMPv4.Type() == wire.ICMPEchoReply
	case l.ICMPv6 != nil:
		return l.ICMPv6.Type() >= wire.ICMPv6EchoRequest // below are errors
	}
	return true
}

func neighborDiscovery(l *wire.Layers) bool {
	return l.ICMPv6 != nil && l.ICMPv6.Type() >= wire.ICMPv6RouterSolicit && l.ICMPv6.Type() <= wire.ICMPv6NeighborAdvert
}

// proxyARP says whether the frame asks for the address that the device has only
// outside.
func (b *Box) proxyARP(l *wire.Layers) bool {
	return l.ARP != nil && b.inside.IsValid() && b.outside.IsValid() && l.ARP.Operation() == wire.ARPRequest && l.ARP.Target() == b.outside
}

func (b *Box) answerARP(l *wire.Layers) {
	asker, askerMAC := l.ARP.Sender(), l.ARP.SenderMAC()
	b.toPeerLater(wire.EthernetHeaderLen+wire.ARPLen, "proxy ARP", func(d []byte) {
		wire.PutEthernet(d, askerMAC, b.mac, wire.EtherTypeARP)
		wire.PutARP(d[wire.EthernetHeaderLen:], wire.ARPReply, b.mac, b.outside, askerMAC, asker)
	})
}

// translate puts another address at a place of the IPv4 header and repairs the
// checksums (RFC 1624).
func translate(l *wire.Layers, at int, to netip.Addr) {
	h := l.IPv4
	a := to.As4()
	before, after := binary.BigEndian.Uint32(h[at:]), binary.BigEndian.Uint32(a[:])
	copy(h[at:], a[:])
	binary.BigEndian.PutUint16(h[10:], wire.Repair32(h.Checksum(), before, after))
	switch {
	case l.TCP != nil:
		binary.BigEndian.PutUint16(l.TCP[16:], wire.Repair32(l.TCP.Checksum(), before, after))
	case l.UDP != nil && l.UDP.Checksum() != 0:
		check := wire.Repair32(l.UDP.Checksum(), before, after)
		if check == 0 {
			check = 0xffff
		}
		binary.BigEndian.PutUint16(l.UDP[6:], check)
	}
}
