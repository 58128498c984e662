package broker

import (
	"errors"
	"fmt"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/trace"
)

// conn is one connection.
type conn struct {
	id        ConnID
	remote    string
	in        []byte        // the start of a packet of which the rest has not come
	session   *session      // nil until a CONNECT was accepted
	idle      time.Duration // 1.5 times the keep alive; 0 = none
	deadline  sim.Time      // of the CONNECT, then of the next packet
	scheduled sim.Time      // of the timer that counts, at most deadline
	will      *message
	willKept  bool // RETAIN of the will
	undrained int  // bytes in the arena
	backlog   int  // bytes that the owner holds
	closed    bool

	held      bool      // the CONNECT was held back
	heldUntil sim.Time  // 0: not any more
	slow      []slowAck // sorted by time
}

func (c *conn) unsent() int { return c.undrained + c.backlog }

func (c *conn) client() string {
	if c.session == nil {
		return ""
	}
	return c.session.client
}

// maxIdleInput is the largest input buffer that an idle connection keeps.
const maxIdleInput = 4 << 10

// keep remembers the rest of the input, which may lie in c.in already.
func (c *conn) keep(rest []byte) {
	if len(rest) == 0 && cap(c.in) > maxIdleInput {
		c.in = nil
		return
	}
	c.in = append(c.in[:0], rest...)
}

var (
	errNoConnect     = errors.New("first packet is not a CONNECT [MQTT-3.1.0-1]")
	errSecondConnect = errors.New("second CONNECT [MQTT-3.1.0-2]")
)

// handle acts on one whole packet.
func (b *Broker) handle(now sim.Time, c *conn, frame []byte) {
	p := &b.packet
	if err := p.Decode(frame); err != nil {
		b.protocolError(c, err)
		return
	}
	switch {
	case c.session == nil && p.Type != codec.CONNECT:
		b.protocolError(c, errNoConnect)
		return
	case c.session != nil && p.Type == codec.CONNECT:
		b.protocolError(c, errSecondConnect)
		return
	}
	if c.idle > 0 {
		b.setDeadline(c, now.Add(c.idle))
	}
	switch p.Type {
	case codec.CONNECT:
		if b.hold(c) {
			return
		}
		b.handleConnect(now, c)
	case codec.PUBLISH:
		b.handlePublish(c)
	case codec.PUBACK, codec.PUBREC, codec.PUBCOMP:
		b.handleAck(c)
	case codec.PUBREL:
		c.session.incoming.remove(p.ID)
		b.answerAck(c, codec.PUBCOMP, p.ID)
	case codec.SUBSCRIBE:
		b.handleSubscribe(c)
	case codec.UNSUBSCRIBE:
		b.handleUnsubscribe(c)
	case codec.PINGREQ:
		start := len(b.arena)
		b.arena = codec.AppendEmpty(b.arena, codec.PINGRESP)
		b.sent(c, start)
	case codec.DISCONNECT:
		c.will = nil // [MQTT-3.14.4-3]
		b.close(c, CauseDisconnect)
	case codec.CONNACK, codec.SUBACK, codec.UNSUBACK, codec.PINGRESP:
		b.protocolError(c, fmt.Errorf("%v from a client [MQTT-4.8.0-1]", p.Type))
	}
	b.checkUnsent(c)
}

// checkUnsent aborts a connection whose client sends and never reads. Others do
// not get there: a QoS 0 message crosses MaxUnsent once, and messages in flight,
// which may all leave at once, have limits of their own.
func (b *Broker) checkUnsent(c *conn) {
	limit := b.cfg.MaxUnsent + max(b.cfg.MaxUnsent, b.cfg.MaxPacket)
	if c.closed || c.unsent() <= limit {
		return
	}
	if c.session != nil {
		for i := range c.session.inflight {
			limit += codec.MaxHeader + 4 + c.session.inflight[i].msg.size() // with the lengths of its fields
		}
	}
	if c.unsent() <= limit {
		return
	}
	b.drop(trace.Event{Reason: DropUnreadOutput, Client: c.client(), Len: c.unsent(), Text: c.remote})
	b.push(pending{conn: c, abort: true})
	b.end(c, CauseTooManyUnsent)
}

// protocolError closes a connection because of what arrived on it.
func (b *Broker) protocolError(c *conn, err error) {
	if errors.Is(err, codec.ErrProtocolLevel) && c.session == nil {
		b.refuse(c, "", codec.RefusedProtocolVersion) // [MQTT-3.1.2-2]
		return
	}
	reason := DropProtocol
	if errors.Is(err, codec.ErrTooLarge) {
		reason = trace.DropPacketTooBig
	}
	b.drop(trace.Event{Reason: reason, Client: c.client(), Text: err.Error()})
	b.close(c, CauseProtocol+": "+err.Error()) // [MQTT-4.8.0-1]
}

// close asks the owner to close the connection, and ends it.
func (b *Broker) close(c *conn, cause string) {
	b.push(pending{conn: c, close: true})
	b.end(c, cause)
}

// end forgets a connection. Its will, if still there, is published.
func (b *Broker) end(c *conn, cause string) {
	c.closed = true
	c.in, c.slow = nil, nil
	delete(b.conns, c.id)
	b.timers.compact(len(b.conns))
	b.emit(trace.Event{Kind: trace.KindBrokerDisconnected, Client: c.client(), Text: cause})
	s := c.session
	if s == nil {
		return
	}
	s.conn = nil
	if s.clean {
		b.discard(s) // [MQTT-3.1.2-6]
	}
	if c.will != nil { // [MQTT-3.1.2-8]
		m := c.will
		c.will = nil
		if !b.mayPublish(s, m.topic) {
			b.dropMessage(DropNotAuthorized, s, m, m.qos, 0, "will")
			return
		}
		b.incoming, b.kept = *m, m
		b.publish(trace.Event{Client: s.client, Text: "will"}, c.willKept)
	}
}

// answerAck acknowledges something that the client sent; sendAck sends PUBREL.
func (b *Broker) answerAck(c *conn, t codec.Type, id uint16) {
	start := len(b.arena)
	b.arena = codec.AppendAck(b.arena, t, id)
	b.answer(c, start)
}

func (b *Broker) sendAck(c *conn, t codec.Type, id uint16) {
	start := len(b.arena)
	b.arena = codec.AppendAck(b.arena, t, id)
	b.sent(c, start)
}
