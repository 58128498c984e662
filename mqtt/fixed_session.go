package mqtt

// The session of ModeFixed: OASIS MQTT Version 3.1.1, 3.1.2.4 and 4.1.

import (
	"errors"
	"fmt"
	"slices"

	"hilnet/mqtt/codec"
	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// A Session is what a client of ModeFixed must keep over a reset of its device
// for QoS 1 and 2 to mean something: in flash, say. See Client.Session.
type Session struct {
	NextID   uint16
	Clean    bool // the last connection's
	Began    bool // there was one
	IPv6     bool // packets leave room for IPv6 headers, as for a broker reached by it
	Outgoing []Outgoing
	Incoming []uint16 // identifiers of QoS 2 messages taken and not released
	Filters  []codec.Subscription
	Ended    []string // filters whose UNSUBSCRIBE the broker has not acknowledged
	Unread   [][]byte // PUBLISH packets that MessageGet has not returned
}

// Outgoing is a message that the broker has not acknowledged in full.
type Outgoing struct {
	ID       uint16
	QoS      uint8
	Sent     bool
	Released bool   // PUBREC has come: Publish is empty
	Publish  []byte // the packet, without DUP
	Topic    string
	Hash     uint64
}

// Session returns a copy of the client's session: what a client made with it as
// Config.Session goes on with. It is nil in ModeNetX, whose client keeps
// nothing. It may be called from anywhere on the loop.
func (c *Client) Session() *Session {
	if c.fixed == nil {
		return nil
	}
	f := c.fixed
	s := &Session{NextID: c.nextID, Clean: f.clean, Began: f.began, IPv6: !c.ipv4, Incoming: slices.Clone(f.incoming)}
	for _, x := range f.exchanges {
		o := Outgoing{ID: x.id, QoS: x.qos, Sent: x.sent, Released: x.released, Topic: x.topic, Hash: x.hash}
		if x.p != nil {
			o.Publish = x.p.AppendTo(nil)
		}
		s.Outgoing = append(s.Outgoing, o)
	}
	for _, e := range f.filters {
		if e.wanted {
			s.Filters = append(s.Filters, codec.Subscription{Filter: []byte(e.name), QoS: e.qos})
		} else {
			s.Ended = append(s.Ended, e.name)
		}
	}
	for _, p := range c.rx {
		s.Unread = append(s.Unread, p.AppendTo(nil))
	}
	if p := c.stalled; p != nil {
		m, _ := parsePublish(p)
		s.Unread = append(s.Unread, p.AppendTo(nil)[:m.messageOffset+m.bodySize])
	}
	return s
}

// restore takes a session over into a new client.
func (c *Client) restore(s *Session) error {
	f := c.fixed
	c.nextID = max(s.NextID, initialPacketID)
	f.clean, f.began, f.incoming = s.Clean, s.Began, slices.Clone(s.Incoming)
	c.ipv4 = !s.IPv6 // so that the messages take the packets that they took before
	slices.Sort(f.incoming)
	f.incoming = slices.Compact(f.incoming)
	store := func(b []byte, holder string) (*nic.Packet, error) {
		var p codec.Packet
		if err := p.Decode(b); err != nil || p.Type != codec.PUBLISH {
			return nil, fmt.Errorf("mqtt: restore a session: %x is no PUBLISH", b[:min(len(b), 16)])
		}
		q, status := c.shortPacket(b)
		if status != Success {
			return nil, fmt.Errorf("mqtt: restore a session: %w", errPoolTooSmall)
		}
		q.SetHolder(holder)
		return q, nil
	}
	for _, o := range s.Outgoing {
		x := exchange{id: o.ID, qos: o.QoS, sent: o.Sent, released: o.Released, topic: o.Topic, hash: o.Hash}
		switch {
		case o.ID == 0 || f.uses(o.ID) || o.QoS != 1 && o.QoS != 2 || o.Released && o.QoS != 2:
			return fmt.Errorf("mqtt: restore a session: message %d at QoS %d makes no sense", o.ID, o.QoS)
		case !o.Released:
			var err error
			if x.p, err = store(o.Publish, "mqtt transmit queue"); err != nil {
				return err
			}
			x.retain = o.Publish[0]&publishRetain != 0
		}
		f.exchanges = append(f.exchanges, &x)
	}
	for _, e := range s.Filters {
		f.filters = append(f.filters, filter{name: string(e.Filter), qos: e.QoS, wanted: true})
	}
	for _, name := range s.Ended {
		f.filters = append(f.filters, filter{name: name})
	}
	for _, b := range s.Unread {
		p, err := store(b, "mqtt receive queue")
		if err != nil {
			return err
		}
		c.rx = append(c.rx, p)
	}
	return nil
}

var errPoolTooSmall = errors.New("the pool is too small")

// beginSession forgets what a CONNECT says is forgotten: a clean session starts
// from nothing, and nothing of it outlives it [MQTT-3.1.2-6]. Messages that were
// never sent are not part of it, nor is what the application has not read.
func (c *Client) beginSession() {
	f := c.fixed
	if f.began && (c.cleanSession || f.clean) {
		f.incoming = f.incoming[:0]
		for i := 0; i < len(f.exchanges); {
			x := f.exchanges[i]
			if !x.sent || c.cfg.ResendAfterClean {
				i++
				continue
			}
			c.dropExchange(x, DropCleanSession)
			f.remove(i)
		}
		for i := range f.filters {
			f.filters[i].granted = false
		}
	}
	f.began, f.clean = true, c.cleanSession
}

// dropExchange leaves a trace of a message that is given up. One that was
// released is at the broker.
func (c *Client) dropExchange(x *exchange, why trace.DropReason) {
	if !x.released {
		c.emit(trace.Event{
			Kind: trace.KindDrop, Stage: "mqtt tx queue", Reason: why, Topic: x.topic, ID: x.id, QoS: x.qos, Hash: x.hash,
		})
	}
}

// resumed marks what a new connection has to send: what was not acknowledged
// [MQTT-4.4.0-1], and the subscriptions that the broker does not have.
func (c *Client) resumed(present bool) {
	f := c.fixed
	if !present {
		f.incoming = f.incoming[:0] // the broker's identifiers start anew
	}
	kept := f.filters[:0]
	for _, e := range f.filters {
		if !e.wanted && !present {
			continue // there is nothing to end
		}
		e.granted = e.granted && present
		e.pending = !e.wanted || !e.granted
		kept = append(kept, e)
	}
	clear(f.filters[len(kept):])
	f.filters = kept
	for _, x := range f.exchanges {
		x.pending = true
	}
}

// suspend is the end of a connection: the session and unread messages stay.
func (c *Client) suspend() {
	f := c.fixed
	f.generation++
	f.abort = false
	if p := c.stalled; p != nil {
		m, _ := parsePublish(p)
		if n := m.messageOffset + m.bodySize; p.Len() > n {
			p.TrimTail(p.Len() - n)
		}
		c.rx = append(c.rx, p)
		c.stalled = nil
	}
	for _, x := range f.exchanges {
		x.pending = false
	}
	for i := range f.filters {
		f.filters[i].pending, f.filters[i].id = false, 0
	}
	c.events.Clear(eventPacketReceive)
	c.pingOutstanding, c.pingSent = false, 0
	c.releasePartial()
}

// endFixed is the end of processDisconnect: all is in order when the application
// hears of it, so that it may connect again at once. The caller holds the mutex.
func (c *Client) endFixed(connected bool, cause string) {
	c.suspend()
	if !connected {
		c.connectResult(ConnectFailure)
		return
	}
	c.emit(trace.Event{Kind: trace.KindDisconnected, Text: cause, Count: int64(len(c.rx))})
	if c.disconnectNotify != nil {
		c.callback("disconnect_notify", func() { c.disconnectNotify(c) })
	}
}

// dropSession is the end of the client.
func (c *Client) dropSession() {
	f := c.fixed
	for len(f.exchanges) > 0 {
		c.dropExchange(f.exchanges[0], DropDeleted)
		f.remove(0)
	}
	f.filters, f.incoming = nil, nil
	f.generation++
}

// accepted is the end of a blocking Connect whose answer has come.
func (c *Client) accepted(p *nic.Packet, wait rtos.Ticks) Status {
	status := c.processConnack(p, wait)
	if status != Success {
		p.Release()
		return status
	}
	rest := p.Advance(connackLength, false)
	c.mutex.Get(rtos.WaitForever)
	if rest != nil {
		c.parse(rest)
	}
	c.receiveReady = true
	c.events.Set(eventPacketReceive)
	c.flush(wait)
	c.mutex.Put()
	return Success
}
