package mqtt

// The client of ModeFixed: what comes in. A broker that breaks a rule of OASIS
// MQTT Version 3.1.1 loses the connection [MQTT-4.8.0-1].

import (
	"errors"
	"fmt"
	"slices"

	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// errViolation is a packet that is well-formed and out of place.
var errViolation = errors.New("protocol violation [MQTT-4.8.0-1]")

// generation is the number of the connection, of which ModeNetX knows one.
func (c *Client) generation() uint32 {
	if c.fixed == nil {
		return 0
	}
	return c.fixed.generation
}

// frame says where the first packet of a chain ends: 0 if that has not come.
func (c *Client) frame(p *nic.Packet) (int, error) {
	var b [codec.MaxHeader]byte
	n, _ := p.ExtractOffset(0, b[:])
	if _, err := codec.Frame(b[:n], c.pool.Total()*c.pool.Payload()); err != nil {
		return 0, err
	}
	h, ok, err := codec.ParseHeader(b[:n])
	if !ok || h.Len() > p.Len() {
		return 0, err
	}
	return h.Len(), nil
}

// decode reads the first packet of a chain, of n bytes.
func (c *Client) decode(p *nic.Packet, n int) (*codec.Packet, error) {
	f := c.fixed
	b := p.Bytes()
	if len(b) < n {
		f.scratch = slices.Grow(f.scratch[:0], n)[:n]
		b = f.scratch
		p.ExtractOffset(0, b)
	}
	return &f.packet, f.packet.Decode(b[:n])
}

// broken reports whether what has come is no beginning of a CONNACK, as the
// first packet has to be [MQTT-3.2.0-1]. In ModeNetX nothing is.
func (c *Client) broken(p *nic.Packet) bool {
	if c.fixed == nil {
		return false
	}
	var b [2]byte
	n, _ := p.ExtractOffset(0, b[:])
	if n > 0 && b[0] != packetConnack<<4 || n > 1 && b[1] != 2 {
		return true
	}
	if size, err := c.frame(p); err == nil && size > 0 {
		_, err = c.decode(p, size)
		return err != nil
	}
	return false
}

// parseStrict takes the packets out of a chain, which it owns. The caller holds
// the mutex.
func (c *Client) parseStrict(p *nic.Packet) {
	generation := c.fixed.generation
	for p != nil {
		n, err := c.frame(p)
		if err == nil && n == 0 {
			c.partial = p
			p.SetHolder("mqtt partial message")
			return
		}
		var packet *codec.Packet
		if err == nil {
			packet, err = c.decode(p, n)
		}
		taken := false
		if err == nil {
			taken, err = c.handle(packet, p, n)
		}
		if err != nil {
			c.violated(p, err)
			p.Release()
			return
		}
		if taken {
			return
		}
		if c.fixed.generation != generation || c.state == StateIdle {
			p.Release() // answering gave the mutex up, and the connection ended
			return
		}
		if p.Len() <= n {
			p.Release()
			return
		}
		p = p.Advance(n, false)
	}
}

// violated closes a connection on which the broker broke a rule.
func (c *Client) violated(p *nic.Packet, err error) {
	c.dropMalformed(p, err.Error())
	c.fixed.abort = true
	c.processDisconnect("malformed or forbidden packet: " + err.Error())
	c.fixed.abort = false
}

// handle acts on one packet of n bytes at the front of the chain. It reports
// true if it has taken the chain.
func (c *Client) handle(packet *codec.Packet, p *nic.Packet, n int) (taken bool, err error) {
	if connack := packet.Type == codec.CONNACK; connack != (c.state == StateConnecting) {
		return false, fmt.Errorf("%v while the client is %v: %w", packet.Type, c.state, errViolation)
	}
	id := packet.ID
	switch packet.Type {
	case codec.CONNACK:
		if c.processConnack(p, rtos.NoWait) == Success {
			c.flush(rtos.NoWait)
		}
	case codec.PUBLISH:
		remaining, offset, _ := readRemainingLength(p)
		return c.processPublish(p, p.Bytes()[0], remaining, offset), nil
	case codec.PUBREL:
		c.released(id)
	case codec.PUBACK, codec.PUBREC, codec.PUBCOMP:
		return false, c.answered(packet.Type, id)
	case codec.SUBACK:
		return false, c.subscribed(id, packet.Suback.Codes)
	case codec.UNSUBACK:
		c.unsubscribed(id)
	case codec.PINGRESP:
		if c.pingOutstanding {
			c.emit(trace.Event{Kind: trace.KindPingResp, Count: int64(c.kernel.Now() - c.pingSent)})
			c.pingOutstanding, c.pingSent = false, 0
		}
	case codec.CONNECT, codec.SUBSCRIBE, codec.UNSUBSCRIBE, codec.PINGREQ, codec.DISCONNECT:
		return false, fmt.Errorf("%v from a broker: %w", packet.Type, errViolation)
	}
	return false, nil
}

// answered acts on an acknowledgement of a message. One of an identifier that
// is not in use is a repetition, or belongs to a session that is over: a PUBREC
// gets its PUBREL, so that the broker can end it, others are ignored. One that
// does not fit the message would lose it, or send it twice.
func (c *Client) answered(kind codec.Type, id uint16) error {
	f := c.fixed
	i := f.find(id)
	if i < 0 {
		if kind == codec.PUBREC {
			c.answer(packetPubrel, id)
		}
		return nil
	}
	x := f.exchanges[i]
	switch {
	case !x.sent, (kind == codec.PUBACK) != (x.qos == 1), kind == codec.PUBCOMP && !x.released:
		return fmt.Errorf("%v of a message of QoS %d that has no use for it: %w", kind, x.qos, errViolation)
	case kind == codec.PUBREC:
		c.release(i)
		return nil
	}
	c.emit(trace.Event{
		Kind: trace.KindAcked, Topic: x.topic, QoS: x.qos, ID: id, Hash: x.hash,
		Count: int64(c.kernel.Loop().Now().Sub(x.at)),
	})
	c.notifyAck(uint8(kind), id, x.p)
	if i = f.find(id); i >= 0 {
		f.remove(i)
	}
	return nil
}

// release acts on a PUBREC: the broker has the message, what is left to do is
// to tell it that it may forget the identifier [MQTT-4.3.3-1].
func (c *Client) release(i int) {
	f := c.fixed
	x := f.exchanges[i]
	if !x.released {
		x.p.Release()
		x.p, x.released = nil, true
		f.exchanges = slices.Delete(f.exchanges, i, i+1)
		at := slices.IndexFunc(f.exchanges, func(y *exchange) bool { return !y.released })
		if at < 0 {
			at = len(f.exchanges)
		}
		f.exchanges = slices.Insert(f.exchanges, at, x)
	}
	x.pending = true
	c.flush(rtos.NoWait)
}

// released acts on a PUBREL, also on one of an identifier that is not known:
// the PUBCOMP before it was lost [MQTT-4.3.3-2].
func (c *Client) released(id uint16) {
	f := c.fixed
	i, known := slices.BinarySearch(f.incoming, id)
	if known {
		f.incoming = slices.Delete(f.incoming, i, i+1)
	}
	c.answer(packetPubcomp, id)
	if known {
		c.notifyAck(packetPubrel, id, nil)
	}
}

// firstOf notes the identifier of a QoS 2 message and reports whether it was
// not known: only then the application gets the message.
func (c *Client) firstOf(p *nic.Packet, id uint16) bool {
	f := c.fixed
	i, known := slices.BinarySearch(f.incoming, id)
	if !known {
		f.incoming = slices.Insert(f.incoming, i, id)
		return true
	}
	if m, status := parsePublish(p); status == Success {
		e := m.event(p, trace.Event{Kind: trace.KindDrop, Stage: "mqtt", Reason: DropRepeated})
		e.ID = id
		c.emit(e)
	}
	return false
}

// subscribed acts on a SUBACK. The client asks for one filter at a time, so it
// has to be one code [MQTT-3.8.4-5].
func (c *Client) subscribed(id uint16, codes []byte) error {
	f := c.fixed
	i := slices.IndexFunc(f.filters, func(e filter) bool { return e.id == id && e.wanted })
	if i < 0 {
		return nil
	}
	if len(codes) != 1 {
		return fmt.Errorf("SUBACK of %d codes for one filter: %w", len(codes), errViolation)
	}
	e := &f.filters[i]
	e.id, e.granted = 0, true
	name := e.name
	refused := c.subscriptionAnswered(name, id, codes[0])
	if refused {
		f.filters = slices.Delete(f.filters, i, i+1)
	}
	c.notifyAck(packetSuback, id, nil)
	c.tellRefusal(refused, name, id)
	return nil
}

func (c *Client) unsubscribed(id uint16) {
	f := c.fixed
	i := slices.IndexFunc(f.filters, func(e filter) bool { return e.id == id && !e.wanted })
	if i < 0 {
		return
	}
	c.emit(trace.Event{Kind: KindUnsubscribed, Topic: f.filters[i].name, ID: id})
	f.filters = slices.Delete(f.filters, i, i+1)
	c.notifyAck(packetUnsuback, id, nil)
}

// notifyAck tells the application of an acknowledgement.
func (c *Client) notifyAck(kind uint8, id uint16, p *nic.Packet) {
	if c.AckReceiveNotify != nil {
		c.callback("ack_receive_notify", func() { c.AckReceiveNotify(c, kind, id, p) })
	}
}
