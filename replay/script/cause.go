package script

import (
	"hash/fnv"
	"time"

	"hilnet/mqtt/codec"
)

// pingSlack is by how much a keep-alive may come early or late, as a part of it.
const pingSlack = 4

// A detective finds the causes in one conversation.
type detective struct {
	c *Conversation
	// open are the requests without their answer, by who asked, kind of answer
	// and packet identifier. Looked up only.
	open map[request]int
	// published are messages that the client has published and the server has
	// not sent on, oldest first, at most maxPublished.
	published []published
	keepAlive time.Duration
	lastOf    [3]int // newest event of a role, or Start
	newest    int
}

type published struct {
	at  int
	sum uint64
}

type request struct {
	by     Role
	answer codec.Type
	id     uint16
}

// maxPublished bounds how far back the cause of a server's PUBLISH is sought.
const maxPublished = 256

// findCauses gives each event its cause.
func (c *Conversation) findCauses() {
	d := &detective{c: c, open: map[request]int{}, lastOf: [3]int{Start, Start, Start}, newest: Start}
	for i := range c.Events {
		e := &c.Events[i]
		d.cause(e)
		d.note(i, e)
		d.lastOf[e.From], d.newest = i, i
	}
}

func (d *detective) cause(e *Event) {
	if at, ok := d.protocol(e); ok {
		d.set(e, at, RuleProtocol)
		return
	}
	own := d.lastOf[e.From]
	if e.Kind == Message && e.Type == codec.PINGREQ && own != Start {
		d.set(e, d.pinged(e, own), RuleTimer)
		return
	}
	// The first event of its sender after a message of the peer.
	if peer := d.lastOf[e.From.Peer()]; peer != Start && peer > own && d.thought(e, peer) <= AnswerBound {
		d.set(e, peer, RuleAnswer)
		return
	}
	switch {
	case own == Start && d.newest == Start && e.From == Client:
		d.set(e, Start, RuleSequence)
	case own != Start && e.At-d.c.Events[own].At <= AnswerBound:
		d.set(e, own, RuleSequence)
	default:
		d.set(e, d.newest, RuleSpontaneous)
	}
}

// set notes a cause and the time in between, as the sender saw it.
func (d *detective) set(e *Event, cause int, rule Rule) {
	e.Cause, e.Rule, e.Gap = cause, rule, d.thought(e, cause)
}

// thought is the time from a cause to an event where the event's sender is.
func (d *detective) thought(e *Event, cause int) time.Duration {
	if cause == Start {
		from := d.c.Open
		if e.From == Broker {
			from -= d.c.ToServer // it could send since it had seen the SYN
		}
		return max(0, e.At-from)
	}
	of := &d.c.Events[cause]
	if of.From == e.From {
		return max(0, e.At-of.At)
	}
	away := d.c.ToClient
	if e.From == Broker {
		away = d.c.ToServer
	}
	return max(0, e.At-of.Ready-away)
}

// pinged is what a PINGREQ counts its time from: the sender's own last event, or
// the last of either side when the keep-alive time fits only that.
func (d *detective) pinged(e *Event, own int) int {
	if d.keepAlive > 0 && d.newest > own {
		fits := func(at time.Duration) bool {
			gap := e.At - at
			return gap >= d.keepAlive-d.keepAlive/pingSlack && gap <= d.keepAlive+d.keepAlive/pingSlack
		}
		if !fits(d.c.Events[own].At) && fits(d.c.Events[d.newest].Ready) {
			return d.newest
		}
	}
	return own
}

// protocol finds what MQTT answers with e.
func (d *detective) protocol(e *Event) (int, bool) {
	if e.Kind != Message {
		return 0, false
	}
	if e.Type == codec.PUBLISH && e.From == Broker {
		return d.source(e)
	}
	key := request{e.From.Peer(), e.Type, e.ID}
	at, ok := d.open[key]
	if ok {
		delete(d.open, key)
	}
	return at, ok
}

// source finds the client's PUBLISH that the server's is a copy of.
func (d *detective) source(e *Event) (int, bool) {
	f, err := Parse(e.Raw, d.c.Version)
	if err != nil {
		return 0, false
	}
	sum := checksum(&f)
	for n, p := range d.published {
		if p.sum == sum {
			d.published = append(d.published[:n], d.published[n+1:]...)
			return p.at, true
		}
	}
	return 0, false
}

// checksum tells messages apart by topic and payload.
func checksum(f *Fields) uint64 {
	h := fnv.New64a()
	h.Write(f.Topic)
	h.Write([]byte{0})
	h.Write(f.Payload)
	return h.Sum64()
}

// note remembers what e asks for.
func (d *detective) note(i int, e *Event) {
	if e.Kind != Message {
		return
	}
	answer := codec.Type(0)
	switch e.Type {
	case codec.CONNECT:
		answer = codec.CONNACK
		if f, err := Parse(e.Raw, 0); err == nil {
			d.keepAlive = time.Duration(f.Connect.KeepAlive) * time.Second
		}
	case codec.PUBLISH:
		switch e.Raw[0] >> 1 & 3 {
		case 1:
			answer = codec.PUBACK
		case 2:
			answer = codec.PUBREC
		}
		if f, err := Parse(e.Raw, d.c.Version); err == nil && e.From == Client {
			if len(d.published) == maxPublished {
				d.published = d.published[:copy(d.published, d.published[1:])]
			}
			d.published = append(d.published, published{i, checksum(&f)})
		}
	case codec.PUBREC:
		answer = codec.PUBREL
	case codec.PUBREL:
		answer = codec.PUBCOMP
	case codec.SUBSCRIBE:
		answer = codec.SUBACK
	case codec.UNSUBSCRIBE:
		answer = codec.UNSUBACK
	case codec.PINGREQ:
		answer = codec.PINGRESP
	case codec.CONNACK, codec.PUBACK, codec.PUBCOMP, codec.SUBACK, codec.UNSUBACK, codec.PINGRESP, codec.DISCONNECT:
	}
	if answer != 0 {
		d.open[request{e.From, answer, e.ID}] = i
	}
}
