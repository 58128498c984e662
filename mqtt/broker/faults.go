package broker

import (
	"maps"
	"slices"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/trace"
)

// Faults are what a broker does wrong for one client, on purpose. The zero value
// is none.
type Faults struct {
	// Refuse answers each CONNECT with this return code, which need not be one of
	// the standard's; 0 is no refusal.
	Refuse codec.ReturnCode
	// ConnackDelay is the time for which a CONNECT is not looked at, nor is what
	// comes behind it.
	ConnackDelay time.Duration
	// AckDelay is the time for which PUBACK, PUBREC, PUBCOMP, SUBACK and UNSUBACK
	// wait. They keep their order; other packets overtake them.
	AckDelay time.Duration
	// Acks is what happens to these packets.
	Acks AckFault
}

// AckFault is what a broker does wrong with acknowledgements.
type AckFault uint8

// The faults of acknowledgements.
const (
	AcksRight    AckFault = iota
	AcksMissing           // not sent; each is a KindDrop with DropFault
	AcksWrong             // sent with the next packet identifier
	AcksRepeated          // sent twice
)

// DropFault: an acknowledgement was not sent, because a scripted fault says so.
const DropFault trace.DropReason = "scripted_fault"

// DropHeldInput: a client sent too much while its CONNECT was held back by a
// scripted fault, and its connection was closed.
const DropHeldInput trace.DropReason = "held_input_limit"

// CauseHeldInput is the cause of a disconnection with DropHeldInput, CauseForgotten
// that of Forget.
const (
	CauseHeldInput = "too much behind a held CONNECT"
	CauseForgotten = "session forgotten"
)

// SetFaults sets what the broker does wrong from now on: of returns the faults
// for a client. It is called when there is something to decide, must be a pure
// function, and may be nil: no faults. What is held back already is sent at its
// time.
func (b *Broker) SetFaults(of func(client string) Faults) { b.faults = of }

func (b *Broker) faultsOf(client string) Faults {
	if b.faults == nil {
		return Faults{}
	}
	return b.faults(client)
}

// Forget loses the sessions of the clients that which selects, as a server does
// that lost its disk: their connections are reset, and no session is present
// when they come again. Wills are not published. It returns how many sessions
// these were.
func (b *Broker) Forget(now sim.Time, which func(client string) bool) (n int) {
	b.now = now
	for _, s := range b.sessionsBySeq() {
		if !which(s.client) {
			continue
		}
		n++
		if c := s.conn; c != nil {
			c.will = nil
			b.push(pending{conn: c, abort: true})
			b.end(c, CauseForgotten)
		}
		if b.sessions[s.client] == s { // a clean session has ended with its connection
			b.discard(s)
		}
	}
	return n
}

// DropCrash: a retained message was lost with a server that crashed without
// keeping its state.
const DropCrash trace.DropReason = "broker_crash"

// CauseCrash is the cause of a disconnection by Crash, CauseStop by Stop.
const (
	CauseCrash = "broker crashed"
	CauseStop  = "broker stopped"
)

// endAll ends all connections without their wills.
func (b *Broker) endAll(now sim.Time, cause string, abort bool) {
	b.now = now
	for _, id := range slices.Sorted(maps.Keys(b.conns)) {
		c := b.conns[id]
		c.will = nil
		b.push(pending{conn: c, abort: abort, close: !abort})
		b.end(c, cause)
	}
}

// Stop ends the broker in order: connections are closed, wills are not published,
// now or later, which falls short of [MQTT-3.1.2-8], and clean sessions are gone. It returns what Restore needs. After its Outputs
// the Broker must not be used any more.
func (b *Broker) Stop(now sim.Time) []byte {
	b.endAll(now, CauseStop, false)
	return b.Snapshot()
}

// Crash ends the broker as a process that dies: connections are reset, wills are
// not published, and clean sessions are gone. It returns what Restore needs, or,
// unless keep is set, nil: everything is lost. After its Outputs the Broker must
// not be used any more.
func (b *Broker) Crash(now sim.Time, keep bool) (kept []byte) {
	b.endAll(now, CauseCrash, true)
	if keep {
		return b.Snapshot()
	}
	for _, s := range b.sessionsBySeq() {
		b.discard(s)
	}
	for _, m := range b.retained.messages {
		b.drop(trace.Event{Reason: DropCrash, Topic: m.topic, QoS: m.qos, Len: len(m.payload), Hash: m.hash, Text: "retained"})
	}
	return nil
}

// Client returns the client identifier of a connection that has a session, or "".
func (b *Broker) Client(id ConnID) string {
	if c := b.conns[id]; c != nil {
		return c.client()
	}
	return ""
}

// Inject writes bytes that are no answer to anything, and need not be MQTT, on
// the connections of the clients that which selects, and returns how many these
// are. Their outputs are not one packet each.
func (b *Broker) Inject(now sim.Time, which func(client string) bool, data []byte) (n int) {
	b.now = now
	for _, s := range b.sessionsBySeq() {
		if c := s.conn; c != nil && which(s.client) {
			start := len(b.arena)
			b.arena = append(b.arena, data...)
			b.sent(c, start)
			b.checkUnsent(c)
			n++
		}
	}
	return n
}

// answer sends an acknowledgement of something that the client sent, which is
// arena[start:], with the faults of the moment.
func (b *Broker) answer(c *conn, start int) {
	if b.faults == nil && len(c.slow) == 0 {
		b.sent(c, start)
		return
	}
	f := b.faultsOf(c.client())
	packet := b.arena[start:]
	h, _, _ := codec.ParseHeader(packet)
	times := 1
	switch f.Acks {
	case AcksMissing:
		b.drop(trace.Event{Reason: DropFault, Client: c.client(), ID: ackID(packet, h.Size), Text: h.Type.String() + " withheld"})
		times = 0
	case AcksWrong:
		id := max(ackID(packet, h.Size)+1, 1) // [MQTT-2.3.1-1]
		packet[h.Size], packet[h.Size+1] = byte(id>>8), byte(id)
	case AcksRepeated:
		times = 2
	case AcksRight:
	}
	at := b.now.Add(max(f.AckDelay, 0))
	if n := len(c.slow); n > 0 {
		at = max(at, c.slow[n-1].at) // [MQTT-4.6.0-2]
	}
	packet = append([]byte(nil), packet...)
	b.arena = b.arena[:start]
	for range times {
		c.slow = append(c.slow, slowAck{at: at, data: packet})
		c.undrained += len(packet)
	}
	b.sendSlow(c)
	b.wake(c)
}

// A slowAck is an acknowledgement that waits.
type slowAck struct {
	at   sim.Time
	data []byte
}

func ackID(packet []byte, at int) uint16 { return uint16(packet[at])<<8 | uint16(packet[at+1]) }

// sendSlow sends the acknowledgements whose time has come.
func (b *Broker) sendSlow(c *conn) {
	if len(c.slow) == 0 {
		return
	}
	n := 0
	for n < len(c.slow) && c.slow[n].at <= b.now {
		start := len(b.arena)
		b.arena = append(b.arena, c.slow[n].data...)
		c.undrained -= len(c.slow[n].data)
		b.sent(c, start)
		n++
	}
	c.slow = append(c.slow[:0], c.slow[n:]...)
}

// hold keeps a CONNECT for later and reports whether it does.
func (b *Broker) hold(c *conn) bool {
	if c.held || b.faults == nil {
		return false
	}
	d := b.faultsOf(string(b.packet.Connect.ClientID)).ConnackDelay
	if d <= 0 {
		return false
	}
	c.held, c.heldUntil = true, b.now.Add(d)
	b.setDeadline(c, sim.Never) // the client has done what it had to
	b.wake(c)
	return true
}

// holds reports whether the input waits behind a held CONNECT.
func (c *conn) holds() bool { return c.heldUntil != 0 }

// keepHeld adds to the input that waits behind a held CONNECT.
func (b *Broker) keepHeld(c *conn, data []byte) {
	if len(c.in)+len(data) > b.cfg.MaxPacket+b.cfg.MaxUnsent {
		b.drop(trace.Event{Reason: DropHeldInput, Len: len(c.in) + len(data), Text: c.remote})
		b.push(pending{conn: c, abort: true})
		b.end(c, CauseHeldInput)
		return
	}
	c.in = append(c.in, data...)
}
