package stack

import (
	"fmt"
	"net/netip"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// maxPings bounds the echo requests that wait for an answer.
const maxPings = 1024

// ping is an echo request that was not answered yet.
type ping struct {
	to    netip.Addr
	id    uint16
	seq   uint16
	sent  sim.Time
	timer *sim.Timer
	done  func(rtt time.Duration, err error)
}

// Ping sends one ICMP echo request with size bytes of payload and calls done
// with the round-trip time, or with an error that wraps ErrTimeout.
func (h *Host) Ping(to netip.Addr, size int, timeout time.Duration, done func(rtt time.Duration, err error)) error {
	op := fmt.Sprintf("ping %v", to)
	to = to.Unmap().WithZone("")
	from := h.source(to)
	switch {
	case h.closed:
		return &Error{Op: op, Err: ErrClosed}
	case !to.IsValid() || to == from || h.isBroadcast(to) || to.IsMulticast():
		return &Error{Op: op, Err: fmt.Errorf("%v is no other host", to)}
	case !from.IsValid() || !h.hasRoute(to):
		return &Error{Op: op, Err: ErrUnreachable}
	case size < 0 || size > h.cfg.MTU-ipHeaderLen(to)-wire.ICMPHeaderLen:
		return &Error{Op: op, Err: fmt.Errorf("%d bytes do not fit the MTU of %d", size, h.cfg.MTU)}
	case len(h.pings) >= maxPings:
		return &Error{Op: op, Err: fmt.Errorf("%d echo requests wait already", maxPings)}
	}
	h.pingSeq++
	p := &ping{to: to, id: 1, seq: h.pingSeq, sent: h.loop.Now(), done: done}
	p.timer = h.loop.NewTimer(func() {
		h.endPing(p)
		done(0, &Error{Op: op, Err: ErrTimeout})
	})
	p.timer.ResetAfter(timeout)
	h.pings = append(h.pings, p)
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(i)
	}
	typ := wire.ICMPEchoRequest
	if to.Is6() {
		typ = wire.ICMPv6EchoRequest
	}
	h.interrupt(func() { h.sendEcho(from, to, typ, p.id, p.seq, payload) })
	return nil
}

func (h *Host) endPing(p *ping) {
	p.timer.Stop()
	for i, other := range h.pings {
		if other == p {
			h.pings = append(h.pings[:i], h.pings[i+1:]...)
			return
		}
	}
}

// sendEcho sends an echo message of the addresses' family.
func (h *Host) sendEcho(from, to netip.Addr, typ uint8, id, seq uint16, payload []byte) {
	header := ipHeaderLen(from)
	f := link.NewFrame(wire.EthernetHeaderLen + header + wire.ICMPHeaderLen + len(payload))
	ip := f.Data[wire.EthernetHeaderLen:]
	protocol := wire.ProtocolICMP
	if from.Is6() {
		protocol = wire.ProtocolICMPv6
		wire.PutICMPv6Echo(ip[header:], typ, id, seq, payload, from, to)
	} else {
		wire.PutICMPv4Echo(ip[header:], typ, id, seq, payload)
	}
	h.putIP(ip, from, to, protocol, false, wire.ICMPHeaderLen+len(payload))
	h.sendIP(f, true)
}

// answerEcho answers an echo request.
func (h *Host) answerEcho(l *wire.Layers, from netip.Addr, typ uint8, id, seq uint16, frame uint64) {
	h.trace.Emit(trace.Event{
		Kind: trace.KindPing, Node: h.cfg.Node, Frame: frame, Len: len(l.Payload), Text: "request from " + l.Src().String(),
	})
	h.sendEcho(from, l.Src(), typ, id, seq, l.Payload)
}

// endEcho ends the ping that an echo reply answers and reports whether there is
// one.
func (h *Host) endEcho(l *wire.Layers, id, seq uint16, frame uint64) bool {
	for _, p := range h.pings {
		if p.to == l.Src() && p.id == id && p.seq == seq {
			h.endPing(p)
			rtt := h.loop.Now().Sub(p.sent)
			h.trace.Emit(trace.Event{
				Kind: trace.KindPing, Node: h.cfg.Node, Frame: frame, Len: len(l.Payload), Count: int64(rtt),
				Text: "reply from " + p.to.String(),
			})
			p.done(rtt, nil)
			return true
		}
	}
	return false
}

// arriveICMP answers echo requests and ends pings; errors are TCP's.
func (h *Host) arriveICMP(l *wire.Layers, frame []byte, id uint64) {
	switch l.ICMPv4.Type() {
	case wire.ICMPEchoRequest:
		h.answerEcho(l, h.Addr(), wire.ICMPEchoReply, l.ICMPv4.EchoID(), l.ICMPv4.EchoSeq(), id)
	case wire.ICMPEchoReply:
		if !h.endEcho(l, l.ICMPv4.EchoID(), l.ICMPv4.EchoSeq(), id) {
			h.drop("icmp", trace.DropNoPort, id, len(frame), "echo reply that nobody waits for")
		}
	case wire.ICMPUnreachable:
		h.deliverIP(frame, id, true)
	default:
		h.drop("icmp", trace.DropUnknown, id, len(frame), wire.Summary(frame))
	}
}

// tellUnreachable reports to TCP that the packet in frame found no way, by the
// ICMP error that the unreachable host's own router would send.
func (h *Host) tellUnreachable(frame *link.Frame) {
	ip := wire.IPv4(frame.Data[wire.EthernetHeaderLen : wire.EthernetHeaderLen+wire.IPv4HeaderLen])
	if ip.Protocol() != wire.ProtocolTCP {
		return
	}
	original := frame.Data[wire.EthernetHeaderLen:]
	b := make([]byte, wire.EthernetHeaderLen+wire.IPv4HeaderLen+wire.ICMPv4ErrorLen(original))
	packet := b[wire.EthernetHeaderLen:]
	n := wire.PutICMPv4Error(packet[wire.IPv4HeaderLen:], wire.ICMPUnreachable, wire.ICMPHostUnreachable, 0, original)
	wire.PutIPv4(packet, wire.IPv4Fields{TTL: h.profile.TTL, Protocol: wire.ProtocolICMP, Src: ip.Dst(), Dst: h.Addr()}, n)
	h.deliverIP(b, 0, true)
}
