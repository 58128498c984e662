package embedded

import (
	"encoding/binary"
	"net/netip"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/trace"
	"hilnet/wire"
)

// Reading list: nx_ipv4_packet_receive.c, nx_ip_dispatch_process.c,
// nx_ip_header_add.c, nx_ip_packet_send.c, nx_ip_driver_packet_send.c,
// nx_ip_route_find.c.

// An ipInfo is what the upper layers need of a packet's header. The header's
// bytes stay in the headroom of the packet.
type ipInfo struct {
	src, dst  netip.Addr
	protocol  uint8
	headerLen int
}

// ipv4Input takes a packet that begins with the IP header.
func (ip *IP) ipv4Input(p *nic.Packet) {
	b := p.Bytes()
	if len(b) < wire.IPv4HeaderLen || b[0]>>4 != 4 {
		ip.drop(p, "ipv4", trace.DropMalformed)
		return
	}
	headerLen, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if headerLen < wire.IPv4HeaderLen || total <= headerLen || len(b) < headerLen || p.Len() < total {
		ip.drop(p, "ipv4", trace.DropMalformed)
		return
	}
	if p.Len() > total {
		p.TrimTail(p.Len() - total) // padding, with the packets that hold nothing else
	}
	h := wire.IPv4(b[:headerLen])
	if !h.ChecksumOK() {
		ip.drop(p, "ipv4", trace.DropChecksum)
		return
	}
	info := ipInfo{src: h.Src(), dst: h.Dst(), protocol: h.Protocol(), headerLen: headerLen}
	if !ip.isOurs(info.dst) && !ip.mayBeDHCP(b[headerLen:], info) {
		ip.drop(p, "ipv4", trace.DropNotForUs)
		return
	}
	if h.MoreFragments() || h.FragmentOffset() != 0 {
		ip.reassemble(p, h, info)
		return
	}
	p.Trim(headerLen)
	ip.dispatch(p, info)
}

func (ip *IP) isOurs(dst netip.Addr) bool {
	return dst == ip.addr || dst == ip.broadcast || dst == limitedBroadcast
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// dispatch hands a whole datagram, without its header, to its protocol.
func (ip *IP) dispatch(p *nic.Packet, info ipInfo) {
	switch info.protocol {
	case wire.ProtocolTCP:
		ip.tcpInput(p, info)
	case wire.ProtocolUDP:
		ip.udpInput(p, info)
	case wire.ProtocolICMP:
		ip.icmpInput(p, info)
	default:
		ip.icmpError(p, info, wire.ICMPUnreachable, icmpProtocolUnreachable)
		ip.drop(p, "ipv4", trace.DropUnknown)
	}
}

// A route says how packets to one destination go out.
type route struct {
	dst      netip.Addr
	next     netip.Addr // whose hardware address is wanted; invalid: nowhere to send it
	ttl, tos uint8
	df       bool
	protocol uint8
}

// nextHop returns the address to resolve for dst, or the zero Addr if there is
// no way there: _nx_ip_route_find.
func (ip *IP) nextHop(dst netip.Addr) netip.Addr {
	switch {
	case !dst.Is4() || dst == ip.addr || dst.IsUnspecified():
		return netip.Addr{}
	case dst.IsMulticast() || dst == limitedBroadcast || ip.prefix.Contains(dst):
		return dst
	}
	return ip.gateway
}

// send puts an IP header in front of p and sends it. A header that is already
// in the headroom, of an identical earlier sending, is used as it is, with its
// identification.
func (ip *IP) send(p *nic.Packet, r route, identical bool) {
	payload := p.Len()
	h := p.Prepend(wire.IPv4HeaderLen)
	if h == nil {
		panic("embedded: a packet without headroom for its IP header")
	}
	p.SetHeaders(wire.IPv4HeaderLen)
	if !identical {
		wire.PutIPv4(h, wire.IPv4Fields{
			TOS: r.tos, ID: ip.nextID, DontFragment: r.df, TTL: r.ttl, Protocol: r.protocol, Src: ip.addr, Dst: r.dst,
		}, payload)
		ip.nextID++
	}
	switch {
	case !r.next.IsValid():
		ip.dropSent(p, "ipv4", trace.DropNoRoute)
	case p.Len() > ip.nic.MTU():
		ip.dropSent(p, "ipv4", trace.DropTooLong)
	case r.next == limitedBroadcast || r.next == ip.broadcast:
		ip.transmit(p, wire.BroadcastMAC)
	case r.next.IsMulticast():
		a := r.next.As4()
		ip.transmit(p, wire.MAC{0x01, 0x00, 0x5e, a[1] & 0x7f, a[2], a[3]})
	default:
		ip.resolve(p, r.next)
	}
}

// transmit gives an IP packet to the driver, which is done with it at once.
func (ip *IP) transmit(p *nic.Packet, dst wire.MAC) {
	n := wire.EthernetHeaderLen + p.Len()
	f := link.NewFrame(max(n, ip.profile.IP.MinimumFrame))
	wire.PutEthernet(f.Data, dst, ip.mac, wire.EtherTypeIPv4)
	at := wire.EthernetHeaderLen
	for q := p; q != nil; q = q.Next() {
		at += copy(f.Data[at:n], q.Bytes())
	}
	clear(f.Data[at:])
	upperChecksum(f.Data[wire.EthernetHeaderLen:at])
	ip.count.FramesOut++
	ip.nic.Transmit(f)
	p.TransmitRelease()
}

// upperChecksum fills the checksum of TCP or UDP in an IP packet. It is done on
// the frame because there the data are in one piece.
func upperChecksum(b []byte) {
	h, payload := wire.IPv4(b[:wire.IPv4HeaderLen]), b[wire.IPv4HeaderLen:]
	switch h.Protocol() {
	case wire.ProtocolTCP:
		n := int(payload[12]>>4) * 4
		wire.TCP(payload[:n]).UpdateChecksum(h.Src(), h.Dst(), payload[n:])
	case wire.ProtocolUDP:
		u := wire.UDP(payload[:wire.UDPHeaderLen])
		wire.PutUDP(payload, u.SrcPort(), u.DstPort(), h.Src(), h.Dst(), len(payload)-wire.UDPHeaderLen)
	}
}

// chainSum adds the data of a chain to a running Internet checksum.
func chainSum(sum uint32, p *nic.Packet) uint32 {
	odd := false
	for ; p != nil; p = p.Next() {
		b := p.Bytes()
		if odd && len(b) > 0 { // completes the word that the last packet began
			sum += uint32(b[0])
			b, odd = b[1:], false
		}
		if len(b) > 0 {
			sum = wire.Sum(sum, b)
			odd = len(b)%2 == 1
		}
	}
	return sum
}
