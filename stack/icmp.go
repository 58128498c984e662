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
	switch {
	case h.closed:
		return &Error{Op: op, Err: ErrClosed}
	case !to.Is4() || to == h.Addr() || h.isBroadcast(to) || to.IsMulticast():
		return &Error{Op: op, Err: fmt.Errorf("%v is no other IPv4 host", to)}
	case size < 0 || size > h.cfg.MTU-wire.IPv4HeaderLen-wire.ICMPHeaderLen:
		return &Error{Op: op, Err: fmt.Errorf("%d bytes do not fit the MTU of %d", size, h.cfg.MTU)}
	case !h.cfg.Addr.Contains(to) && !h.cfg.Gateway.IsValid():
		return &Error{Op: op, Err: ErrUnreachable}
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
	f := link.NewFrame(wire.EthernetHeaderLen + wire.IPv4HeaderLen + wire.ICMPHeaderLen + size)
	payload := f.Data[len(f.Data)-size:]
	for i := range payload {
		payload[i] = byte(i)
	}
	h.interrupt(func() { h.sendEcho(f, to, wire.ICMPEchoRequest, p.id, p.seq, payload) })
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

// sendEcho fills in and sends a frame of the right length for the payload.
func (h *Host) sendEcho(f *link.Frame, to netip.Addr, typ uint8, id, seq uint16, payload []byte) {
	ip := f.Data[wire.EthernetHeaderLen:]
	n := wire.PutICMPv4Echo(ip[wire.IPv4HeaderLen:], typ, id, seq, payload)
	wire.PutIPv4(ip, wire.IPv4Fields{TTL: h.profile.TTL, Protocol: wire.ProtocolICMP, Src: h.Addr(), Dst: to}, n)
	h.sendIP(f, true)
}

// arriveICMP answers echo requests and ends pings; errors are TCP's.
func (h *Host) arriveICMP(l *wire.Layers, frame []byte, id uint64) {
	switch l.ICMPv4.Type() {
	case wire.ICMPEchoRequest:
		h.trace.Emit(trace.Event{
			Kind: trace.KindPing, Node: h.cfg.Node, Frame: id, Len: len(l.Payload), Text: "request from " + l.IPv4.Src().String(),
		})
		f := link.NewFrame(wire.EthernetHeaderLen + wire.IPv4HeaderLen + wire.ICMPHeaderLen + len(l.Payload))
		h.sendEcho(f, l.IPv4.Src(), wire.ICMPEchoReply, l.ICMPv4.EchoID(), l.ICMPv4.EchoSeq(), l.Payload)
	case wire.ICMPEchoReply:
		for _, p := range h.pings {
			if p.to == l.IPv4.Src() && p.id == l.ICMPv4.EchoID() && p.seq == l.ICMPv4.EchoSeq() {
				h.endPing(p)
				rtt := h.loop.Now().Sub(p.sent)
				h.trace.Emit(trace.Event{
					Kind: trace.KindPing, Node: h.cfg.Node, Frame: id, Len: len(l.Payload), Count: int64(rtt),
					Text: "reply from " + p.to.String(),
				})
				p.done(rtt, nil)
				return
			}
		}
		h.drop("icmp", trace.DropNoPort, id, len(frame), "echo reply that nobody waits for")
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
