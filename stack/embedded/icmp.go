package embedded

import (
	"fmt"
	"net/netip"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// Reading list: RFC 792, RFC 1122 3.2.2, nx_icmpv4_packet_process.c,
// nx_icmpv4_process_echo_request.c, nx_icmpv4_process_echo_reply.c,
// nx_icmp_interface_ping.c, nx_icmpv4_send_error_message.c.

// NoResponse is what a Ping without an answer returns: NX_NO_RESPONSE.
const NoResponse nic.Status = 0x29

// Codes that package wire does not name.
const (
	icmpProtocolUnreachable uint8 = 2
	icmpReassemblyExceeded  uint8 = 1
)

// icmpQuote is what an error quotes of the datagram behind its header.
const icmpQuote = 8

func (ip *IP) icmpInput(p *nic.Packet, info ipInfo) {
	b := p.Bytes()
	if len(b) < wire.ICMPHeaderLen {
		ip.drop(p, "icmp", trace.DropMalformed)
		return
	}
	if wire.Fold(chainSum(0, p)) != 0 {
		ip.drop(p, "icmp", trace.DropChecksum)
		return
	}
	h := wire.ICMPv4(b[:wire.ICMPHeaderLen])
	switch h.Type() {
	case wire.ICMPEchoRequest:
		ip.echoReply(p, info)
	case wire.ICMPEchoReply:
		number := h.EchoSeq()
		if ip.trace != nil {
			ip.trace.Emit(trace.Event{Kind: trace.KindPing, Node: ip.cfg.Node, Text: fmt.Sprintf("reply from %v, number %d", info.src, number)})
		}
		p.Trim(wire.ICMPHeaderLen)
		if !ip.pings.wakeTag(number, p) {
			ip.drop(p, "icmp", trace.DropNoPort)
		}
	default: // errors are counted and ignored
		ip.drop(p, "icmp", trace.DropUnknown)
	}
}

// echoReply sends a request back in its own packet.
func (ip *IP) echoReply(p *nic.Packet, info ipInfo) {
	if ip.trace != nil {
		ip.trace.Emit(trace.Event{Kind: trace.KindPing, Node: ip.cfg.Node, Text: fmt.Sprintf("request from %v answered", info.src)})
	}
	b := p.Bytes()
	was := uint16(b[0])<<8 | uint16(b[1])
	b[0] = wire.ICMPEchoReply
	now := uint16(b[0])<<8 | uint16(b[1])
	check := wire.Repair16(uint16(b[2])<<8|uint16(b[3]), was, now)
	b[2], b[3] = byte(check>>8), byte(check)
	ip.send(p, route{dst: info.src, next: ip.nextHop(info.src), ttl: ip.profile.IP.TTL, protocol: wire.ProtocolICMP}, false)
}

// Ping sends an echo request and waits for its reply, which the caller then
// owns, positioned at the data: nx_icmp_ping. Without an answer in time, and
// always without a wait, it returns NoResponse.
func (ip *IP) Ping(addr netip.Addr, data []byte, wait rtos.Ticks) (*nic.Packet, nic.Status) {
	next := ip.nextHop(addr)
	if !next.IsValid() {
		return nil, nic.IPAddressError
	}
	p, status := ip.pool.Allocate(nic.IPv4+wire.ICMPHeaderLen, wait)
	if status != nic.Success {
		return nil, status
	}
	if len(data) > 0 {
		if status := p.Append(data, ip.pool, wait); status != nic.Success {
			p.Release()
			return nil, status
		}
	}
	p.SetHolder("icmp echo")
	number := ip.pingNumber
	request := func() bool {
		ip.pingNumber++
		a := ip.addr.As4()
		h := p.Prepend(wire.ICMPHeaderLen)
		copy(h, []byte{wire.ICMPEchoRequest, 0, 0, 0, a[2], a[3], byte(number >> 8), byte(number)})
		check := wire.Fold(chainSum(0, p))
		h[2], h[3] = byte(check>>8), byte(check)
		ip.send(p, route{dst: addr, next: next, ttl: ip.profile.IP.TTL, protocol: wire.ProtocolICMP}, false)
		return true
	}
	if !ip.mayWait(wait) {
		ip.protect(func() { request() })
		return nil, NoResponse
	}
	v, _ := ip.pings.do(wait, number, request)
	if reply, ok := v.(*nic.Packet); ok {
		return reply, nic.Success
	}
	return nil, NoResponse
}

// icmpError tells the sender of a datagram that it could not be used. p begins
// behind its IP header, which is in the headroom; the caller keeps p.
func (ip *IP) icmpError(p *nic.Packet, info ipInfo, typ, code uint8) {
	if info.dst != ip.addr || info.src.IsUnspecified() || info.src.IsLoopback() || info.src.IsMulticast() || info.src == limitedBroadcast {
		return // RFC 1122 3.2.2
	}
	head := p.Headroom()
	quote := info.headerLen + min(icmpQuote, len(p.Bytes()))
	out := ip.controlPacket(nic.IPv4, wire.ICMPHeaderLen+quote, "icmp error")
	if out == nil {
		return
	}
	b := out.Bytes()
	n := copy(b[wire.ICMPHeaderLen:], head[len(head)-info.headerLen:])
	copy(b[wire.ICMPHeaderLen+n:], p.Bytes())
	copy(b, []byte{typ, code, 0, 0, 0, 0, 0, 0})
	check := wire.Checksum(b)
	b[2], b[3] = byte(check>>8), byte(check)
	ip.send(out, route{dst: info.src, next: ip.nextHop(info.src), ttl: ip.profile.IP.ErrorTTL, protocol: wire.ProtocolICMP}, false)
}
