package broker

import (
	"slices"
	"strings"

	"hilnet/mqtt/codec"
	"hilnet/trace"
)

// session is the state of one client identifier (section 3.1.2.4).
type session struct {
	client string
	user   string  // who made it
	rights *Rights // of that user
	seq    uint64  // number of the session, by its creation
	clean  bool    // ends with its connection
	conn   *conn   // nil while the client is away

	filters  []filter   // sorted
	inflight []delivery // sent and not acknowledged, in the order of sending
	queue    queue      // not sent yet
	incoming idSet      // QoS 2 packets received and not released
	lastID   uint16     // packet identifier given last

	matched  bool  // scratch of subscriptions.match
	matchQoS uint8 // result of it
}

// filter is a subscription as the session knows it.
type filter struct {
	name string
	qos  uint8
}

// delivery is one message on its way to one session.
type delivery struct {
	msg      *message
	id       uint16 // 0 while it is queued
	qos      uint8
	retain   bool
	released bool // PUBREC has come; PUBCOMP is awaited
}

// deliver sends m to a session, or queues or drops it.
func (b *Broker) deliver(s *session, m *message, qos uint8, retain bool) {
	c := s.conn
	if qos == 0 {
		switch {
		case c == nil:
			b.dropMessage(trace.DropQoS0Offline, s, m, 0, 0, "")
		case c.unsent() > b.cfg.MaxUnsent:
			b.dropMessage(trace.DropQoS0Inflight, s, m, 0, 0, "")
		default:
			b.sendPublish(s, m, delivery{retain: retain}, false)
		}
		return
	}
	if s.queue.len() >= b.cfg.MaxQueued || s.queue.bytes+m.size() > b.cfg.MaxQueuedBytes {
		b.dropMessage(trace.DropSessionQueue, s, m, qos, 0, "")
		return
	}
	s.queue.push(delivery{msg: b.keep(m), qos: qos, retain: retain})
	b.pump(s)
}

// pump sends queued messages for as long as the client may have more.
func (b *Broker) pump(s *session) {
	for s.conn != nil && s.queue.len() > 0 && len(s.inflight) < b.cfg.MaxInflight && s.conn.backlog <= b.cfg.MaxUnsent {
		d := s.queue.pop()
		d.id = s.newID()
		s.inflight = append(s.inflight, d)
		b.sendPublish(s, d.msg, d, false)
	}
}

// resume sends again what the client has not acknowledged, in the original
// order [MQTT-4.4.0-1] [MQTT-4.6.0-1], then what is queued.
func (b *Broker) resume(s *session) {
	for _, d := range s.inflight {
		if d.released {
			b.sendAck(s.conn, codec.PUBREL, d.id)
		} else {
			b.sendPublish(s, d.msg, d, true)
		}
	}
	b.pump(s)
}

// newID returns a packet identifier that is not in use [MQTT-2.3.1-4].
func (s *session) newID() uint16 {
	for {
		s.lastID++
		if s.lastID != 0 && s.find(s.lastID) < 0 {
			return s.lastID
		}
	}
}

// find returns the index of an identifier in inflight, or -1.
func (s *session) find(id uint16) int {
	return slices.IndexFunc(s.inflight, func(d delivery) bool { return d.id == id })
}

// handleAck acts on PUBACK, PUBREC and PUBCOMP.
func (b *Broker) handleAck(c *conn) {
	s, t, id := c.session, b.packet.Type, b.packet.ID
	i := s.find(id)
	if i < 0 {
		if t == codec.PUBREC { // let the client end what this side has forgotten
			b.sendAck(c, codec.PUBREL, id)
		}
		return
	}
	d := &s.inflight[i]
	switch {
	case t == codec.PUBACK && d.qos == 1:
		b.acked(s, d)
	case t == codec.PUBREC && d.qos == 2:
		if !d.released {
			d.released = true
			b.acked(s, d)
		}
		b.sendAck(c, codec.PUBREL, id)
		return
	case t == codec.PUBCOMP && d.released:
	default:
		return // an answer to something else: ignored
	}
	s.inflight = slices.Delete(s.inflight, i, i+1)
	b.pump(s)
}

func (b *Broker) acked(s *session, d *delivery) {
	b.emit(trace.Event{Kind: trace.KindBrokerAcked, Client: s.client, Topic: d.msg.topic, QoS: d.qos, ID: d.id, Hash: d.msg.hash})
}

// discard ends a session and all it holds.
func (b *Broker) discard(s *session) {
	for _, f := range s.filters {
		b.subs.remove(f.name, s)
	}
	s.filters = nil
	for _, d := range s.inflight {
		if !d.released { // else the client has it
			b.dropMessage(DropSessionEnd, s, d.msg, d.qos, d.id, "sent, not acknowledged")
		}
	}
	s.inflight = nil
	for s.queue.len() > 0 {
		d := s.queue.pop()
		b.dropMessage(DropSessionEnd, s, d.msg, d.qos, 0, "queued")
	}
	delete(b.sessions, s.client)
}

// handleSubscribe acts on a SUBSCRIBE: the SUBACK, then retained messages.
func (b *Broker) handleSubscribe(c *conn) {
	s := c.session
	b.codes = b.codes[:0]
	for _, f := range b.packet.Subscribe.Filters {
		b.codes = append(b.codes, b.subscribe(s, string(f.Filter), f.QoS))
	}
	start := len(b.arena)
	b.arena = codec.AppendSuback(b.arena, b.packet.ID, b.codes)
	b.answer(c, start)
	for i, f := range b.packet.Subscribe.Filters {
		if b.codes[i] == codec.SubscribeFailed {
			continue
		}
		for _, m := range b.retained.matching(string(f.Filter)) { // [MQTT-3.3.1-6] [MQTT-3.8.4-3]
			b.deliver(s, m, min(m.qos, f.QoS), true) // [MQTT-3.3.1-8]
		}
	}
}

// subscribe adds or replaces a subscription and returns its SUBACK code.
func (b *Broker) subscribe(s *session, name string, qos uint8) byte {
	if !b.maySubscribe(s, name) {
		b.drop(trace.Event{Reason: DropNotAuthorized, Client: s.client, Topic: name, QoS: qos, Text: "SUBSCRIBE"})
		return codec.SubscribeFailed
	}
	i, ok := s.findFilter(name)
	if !ok && len(s.filters) >= b.cfg.MaxSubscriptions || strings.Count(name, "/") >= b.cfg.MaxTopicLevels {
		b.drop(trace.Event{Reason: DropSubscriptionLimit, Client: s.client, Topic: name, QoS: qos})
		return codec.SubscribeFailed
	}
	if !ok {
		s.filters = slices.Insert(s.filters, i, filter{name: name})
	}
	s.filters[i].qos = qos
	b.subs.set(name, s, qos)
	b.emit(trace.Event{Kind: trace.KindBrokerSubscribed, Client: s.client, Topic: name, QoS: qos})
	return qos
}

func (s *session) findFilter(name string) (int, bool) {
	return slices.BinarySearchFunc(s.filters, name, func(f filter, n string) int { return strings.Compare(f.name, n) })
}

// handleUnsubscribe acts on an UNSUBSCRIBE; filters that are not subscribed
// are acknowledged too [MQTT-3.10.4-5].
func (b *Broker) handleUnsubscribe(c *conn) {
	s := c.session
	for _, f := range b.packet.Unsubscribe.Filters {
		i, ok := s.findFilter(string(f))
		if !ok {
			continue
		}
		name, qos := s.filters[i].name, s.filters[i].qos
		s.filters = slices.Delete(s.filters, i, i+1)
		b.subs.remove(name, s)
		b.emit(trace.Event{Kind: trace.KindBrokerUnsubscribed, Client: s.client, Topic: name, QoS: qos})
	}
	b.answerAck(c, codec.UNSUBACK, b.packet.ID)
}
