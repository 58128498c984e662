package broker

import (
	"fmt"
	"slices"

	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/trace"
)

// message is an application message. Once it is kept somewhere it never
// changes, and is shared.
type message struct {
	topic   string
	payload []byte
	qos     uint8  // at which it was published
	hash    uint64 // 0 without a trace
}

// size is what the message counts against limits in bytes.
func (m *message) size() int { return len(m.topic) + len(m.payload) }

// newMessage makes a message that is to be kept.
func (b *Broker) newMessage(topic string, payload []byte, qos uint8) *message {
	m := &message{topic: topic, payload: payload, qos: qos}
	b.setHash(m)
	return m
}

func (b *Broker) setHash(m *message) {
	if b.cfg.Trace != nil {
		m.hash = trace.MessageHash(m.topic, m.payload)
	}
}

// keep returns m for keeping. Broker.incoming, whose payload lies in the input,
// is copied once for all who keep it.
func (b *Broker) keep(m *message) *message {
	if m != &b.incoming {
		return m
	}
	if b.kept == nil {
		b.kept = &message{topic: m.topic, payload: slices.Clone(m.payload), qos: m.qos, hash: m.hash}
	}
	return b.kept
}

// handlePublish acts on a PUBLISH from a client (table 3.4, section 4.3).
func (b *Broker) handlePublish(c *conn) {
	p, s := &b.packet.Publish, c.session
	b.incoming, b.kept = message{topic: b.topic(p.Topic), payload: p.Payload, qos: p.QoS}, nil
	b.setHash(&b.incoming)
	if p.QoS == 2 && !s.incoming.add(p.ID) {
		b.dropMessage(DropDuplicate, s, &b.incoming, p.QoS, p.ID, "")
		b.answerAck(c, codec.PUBREC, p.ID)
		return
	}
	if b.mayPublish(s, b.incoming.topic) {
		b.publish(trace.Event{Client: s.client, ID: p.ID, Dup: p.Dup}, p.Retain)
	} else { // acknowledged all the same [MQTT-3.3.5-2]
		b.dropMessage(DropNotAuthorized, s, &b.incoming, p.QoS, p.ID, "PUBLISH")
		b.incoming = message{}
	}
	switch p.QoS {
	case 1:
		b.answerAck(c, codec.PUBACK, p.ID)
	case 2:
		b.answerAck(c, codec.PUBREC, p.ID)
	}
}

// Publish passes on a message of the server's own, as one that a client sent. It
// copies what it keeps of payload. A topic name that breaks the rules, or a
// quality of service above 2, is an error.
func (b *Broker) Publish(now sim.Time, topic string, payload []byte, qos uint8, retain bool) error {
	b.now = now
	if qos > 2 {
		return fmt.Errorf("broker: publish %q: QoS %d", topic, qos)
	}
	if err := codec.ValidTopic([]byte(topic)); err != nil {
		return fmt.Errorf("broker: publish: %w", err)
	}
	b.incoming, b.kept = message{topic: topic, payload: payload, qos: qos}, nil
	b.setHash(&b.incoming)
	b.publish(trace.Event{Text: "server"}, retain)
	return nil
}

// publish passes Broker.incoming on and retains it if asked to. e says where
// it comes from.
func (b *Broker) publish(e trace.Event, retain bool) {
	m := &b.incoming
	b.matched = b.subs.match(b.matched[:0], m.topic)
	e.Kind, e.Topic, e.QoS, e.Retain = trace.KindBrokerReceived, m.topic, m.qos, retain
	e.Len, e.Hash, e.Count = len(m.payload), m.hash, int64(len(b.matched))
	b.emit(e)
	switch {
	case retain && len(m.payload) == 0: // [MQTT-3.3.1-10] [MQTT-3.3.1-11]
		b.retained.remove(m.topic)
	case retain: // [MQTT-3.3.1-5]
		if !b.retained.set(b.keep(m), b.cfg.MaxRetained, b.cfg.MaxRetainedBytes) {
			b.drop(trace.Event{Reason: trace.DropRetainedFull, Client: e.Client, Topic: m.topic, QoS: m.qos,
				Len: len(m.payload), Hash: m.hash, Text: "passed on, but not retained"})
		}
	}
	for _, s := range b.matched {
		b.deliver(s, m, min(m.qos, s.matchQoS), false) // [MQTT-3.3.1-9]
	}
	clear(b.matched) // hold no session that may end, and no input
	b.incoming, b.kept = message{}, nil
}

// sendPublish writes a PUBLISH to the session's connection.
func (b *Broker) sendPublish(s *session, m *message, d delivery, dup bool) {
	start := len(b.arena)
	b.name = append(b.name[:0], m.topic...)
	b.arena = codec.AppendPublish(b.arena, &codec.Publish{
		Dup: dup, QoS: d.qos, Retain: d.retain, ID: d.id, Topic: b.name, Payload: m.payload,
	})
	b.sent(s.conn, start)
	b.emit(trace.Event{
		Kind: trace.KindBrokerSent, Client: s.client, Topic: m.topic, QoS: d.qos, ID: d.id,
		Dup: dup, Retain: d.retain, Len: len(m.payload), Hash: m.hash,
	})
}

func (b *Broker) dropMessage(r trace.DropReason, s *session, m *message, qos uint8, id uint16, text string) {
	b.drop(trace.Event{Reason: r, Client: s.client, Topic: m.topic, QoS: qos, ID: id, Len: len(m.payload), Hash: m.hash, Text: text})
}
