// Package trace is the typed record of a run: what happened, when, where and
// why, as a sequence of [Event]s. Everything that a run reports is computed
// from it, and from nothing else.
//
// It is not a packet capture: frames are in the pcapng files beside it, joined
// by [Event.Frame]; a frame that nothing special happened to has no event.
//
// All methods belong to the goroutine that runs the loop.
package trace

import "hilnet/sim"

// An Event is one thing that happened. Fields that mean nothing for its Kind
// are zero and are not written to the file; the comments of the Kind constants
// say which ones mean something.
type Event struct {
	T      sim.Time   // moment of the run
	Seq    uint64     // position in the trace, from 1
	Kind   Kind       // what happened
	Node   string     // device, broker or link that it happened at
	Stage  string     // part of the node, such as "up/loss" or "pool"
	Frame  uint64     // frame that it happened to, as epb_packetid in the captures
	Reason DropReason // why something was dropped
	Client string     // MQTT client identifier
	Topic  string     // MQTT topic name or filter
	QoS    uint8      // MQTT quality of service
	ID     uint16     // MQTT packet identifier
	Dup    bool       // MQTT DUP flag
	Retain bool       // MQTT RETAIN flag
	Len    int        // bytes
	Status uint32     // NetX Duo status code, or CONNACK return code at the broker
	Hash   uint64     // joins the sending, the arrival and the delivery of one message, see MessageHash
	Count  int64      // a number that the Kind explains
	Text   string     // words for a person
	Values []Value    // counters, in a fixed order
}

// A Value is a named number in an Event.
type Value struct {
	Name string
	N    int64
}

// Value returns the value called name, and whether the event has it.
func (e *Event) Value(name string) (int64, bool) {
	for _, v := range e.Values {
		if v.Name == name {
			return v.N, true
		}
	}
	return 0, false
}

// MessageHash identifies a message by its topic and payload (64-bit FNV-1a over
// the topic, a zero byte and the payload), so that a message can be followed
// from publisher to subscriber across packet identifiers. Equal messages have
// equal hashes: what tells them apart is their order.
func MessageHash(topic string, payload []byte) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(topic) {
		h = (h ^ uint64(topic[i])) * prime
	}
	h *= prime // the zero byte
	for _, b := range payload {
		h = (h ^ uint64(b)) * prime
	}
	return h
}

// A Log numbers and stamps events and hands them to its subscribers. A nil Log
// is valid and records nothing.
type Log struct {
	now         func() sim.Time
	seq         uint64
	subscribers []func(*Event)
	event       Event // what Emit hands out: one for all, so that none is allocated
}

// NewLog returns a Log that stamps events with now.
func NewLog(now func() sim.Time) *Log { return &Log{now: now} }

// Subscribe adds a function that is called with each event, after those added
// earlier. It must not keep the pointer, nor emit.
func (l *Log) Subscribe(fn func(*Event)) { l.subscribers = append(l.subscribers, fn) }

// Emit records e, setting its T and Seq.
func (l *Log) Emit(e Event) {
	if l == nil {
		return
	}
	l.seq++
	l.event = e
	l.event.T, l.event.Seq = l.now(), l.seq
	for _, fn := range l.subscribers {
		fn(&l.event)
	}
}

// Events returns the number of events emitted.
func (l *Log) Events() uint64 {
	if l == nil {
		return 0
	}
	return l.seq
}
