package broker

import (
	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/trace"
)

// ConnID names a connection. Its owner chooses it, and may use it again after
// Closed or an Output with Close or Abort.
type ConnID uint64

// Broker is an MQTT server. Make it with New.
type Broker struct {
	cfg      Config
	conns    map[ConnID]*conn    // looked up, never iterated
	sessions map[string]*session // by client identifier; looked up, never iterated
	subs     subscriptions
	retained retained
	timers   timers
	now      sim.Time                   // of the call that is being handled
	faults   func(client string) Faults // nil: none
	topics   map[string]string          // topic names seen lately, so that repeating one costs no memory

	packet   codec.Packet // what is being handled
	codes    []byte       // SUBACK under construction
	matched  []*session   // subscribers of the message being passed on
	incoming message      // message being passed on; its payload lies in the input
	kept     *message     // copy of incoming, once somebody keeps it
	name     []byte       // topic name under construction
	lastSeq  uint64       // number of the session made last
	assigned uint64       // client identifiers given out

	arena   []byte    // bytes of pending
	pending []pending // outputs that wait for Outputs
	drained []byte    // bytes of outputs
	outputs []Output  // what Outputs returned last
}

// New returns a Broker without connections.
func New(cfg Config) (*Broker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Broker{
		cfg:      cfg,
		conns:    make(map[ConnID]*conn),
		sessions: make(map[string]*session),
		topics:   make(map[string]string),
	}, nil
}

// Open tells of a new connection. remote is the peer's address, for the trace.
func (b *Broker) Open(now sim.Time, id ConnID, remote string) {
	b.now = now
	if b.conns[id] != nil {
		panic("broker: connection is open already")
	}
	c := &conn{id: id, remote: remote, deadline: sim.Never, scheduled: sim.Never}
	if len(b.conns) >= b.cfg.MaxConnections {
		b.drop(trace.Event{Reason: trace.DropConnLimit, Text: remote})
		b.emit(trace.Event{Kind: trace.KindBrokerDisconnected, Text: CauseTooManyConns})
		b.push(pending{conn: c, abort: true})
		return
	}
	b.conns[id] = c
	b.setDeadline(c, now.Add(b.cfg.ConnectTimeout))
}

// Data tells of bytes that arrived. It does not keep them. Bytes for a
// connection that is closed are ignored: they crossed the closing.
func (b *Broker) Data(now sim.Time, id ConnID, data []byte) {
	b.now = now
	c := b.conns[id]
	switch {
	case c == nil:
	case c.holds():
		b.keepHeld(c, data)
	case len(c.in) > 0:
		c.in = append(c.in, data...)
		b.consume(c, c.in, true)
	default:
		b.consume(c, data, false)
	}
}

// consume handles the packets in buf and keeps the rest of it. continued says
// that buf is all of c.in.
func (b *Broker) consume(c *conn, buf []byte, continued bool) {
	taken := 0
	for len(buf) > 0 && !c.closed {
		n, err := codec.Frame(buf, b.cfg.MaxPacket)
		if err != nil {
			b.protocolError(c, err)
			return
		}
		if n == 0 {
			break
		}
		b.handle(b.now, c, buf[:n])
		if c.holds() {
			break // what was not looked at comes again
		}
		buf = buf[n:]
		taken += n
	}
	if !c.closed && !(continued && taken == 0) {
		c.keep(buf)
	}
}

// Backlog tells how many bytes of the connection's Outputs its owner holds
// because the transport does not take them now; it is 0 until told. Above
// Config.MaxUnsent, with the bytes not yet taken from Outputs, QoS 0 messages
// are dropped and others wait in the session. Above that and once more that, or
// Config.MaxPacket if it is more, messages in flight not counted, the connection
// is aborted, because only a client that sends and never reads gets there.
func (b *Broker) Backlog(now sim.Time, id ConnID, unsent int) {
	b.now = now
	c := b.conns[id]
	if c == nil {
		return
	}
	c.backlog = unsent
	if b.checkUnsent(c); !c.closed && c.session != nil {
		b.pump(c.session)
	}
}

// Closed tells that a connection ended, however it did. It is not needed after
// an Output with Close or Abort.
func (b *Broker) Closed(now sim.Time, id ConnID) {
	b.now = now
	if c := b.conns[id]; c != nil {
		b.end(c, CauseClosed)
	}
}

// NextTimeout returns the moment at which Timeout must be called at the
// latest, and false when there is none. It may be earlier than needed.
func (b *Broker) NextTimeout() (sim.Time, bool) { return b.timers.next() }

// Timeout closes the connections whose time is over, and does what scripted
// faults held back until now. A call before NextTimeout does nothing.
func (b *Broker) Timeout(now sim.Time) {
	b.now = now
	for {
		t, ok := b.timers.next()
		if !ok || t > now {
			return
		}
		due := b.timers.pop()
		c := due.conn
		if !due.valid() {
			continue
		}
		c.scheduled = sim.Never
		if c.holds() && c.heldUntil <= now {
			c.heldUntil = 0
			b.consume(c, c.in, true)
		}
		b.sendSlow(c)
		switch {
		case c.closed:
		case c.deadline > now:
			b.wake(c)
		case c.session == nil:
			b.close(c, CauseConnectTimeout)
		default:
			b.close(c, CauseKeepAlive) // [MQTT-3.1.2-24]
		}
	}
}

// setDeadline moves a connection's deadline. A later one costs nothing: the
// entry in the heap stays where it is and is moved when it is due.
func (b *Broker) setDeadline(c *conn, at sim.Time) {
	c.deadline = at
	b.wake(c)
}

// wake sees to it that Timeout looks at a connection when it has to.
func (b *Broker) wake(c *conn) {
	at := c.deadline
	if c.holds() {
		at = min(at, c.heldUntil)
	}
	if len(c.slow) > 0 {
		at = min(at, c.slow[0].at)
	}
	if at < c.scheduled {
		c.scheduled = at
		b.timers.push(timer{at: at, conn: c})
	}
}

// Stats counts what a Broker holds.
type Stats struct {
	Connections   int
	Sessions      int // of clients here and away
	Subscriptions int
	Retained      int
	RetainedBytes int
}

// Stats returns what the Broker holds now.
func (b *Broker) Stats() Stats {
	return Stats{
		Connections: len(b.conns), Sessions: len(b.sessions), Subscriptions: b.subs.n,
		Retained: len(b.retained.messages), RetainedBytes: b.retained.bytes,
	}
}

func (b *Broker) emit(e trace.Event) {
	if b.cfg.Trace == nil {
		return
	}
	e.Node, e.Stage = b.cfg.Node, "broker"
	b.cfg.Trace.Emit(e)
}

func (b *Broker) drop(e trace.Event) {
	e.Kind = trace.KindDrop
	b.emit(e)
}

// maxTopics and maxSharedTopic bound Broker.topics: topics, and bytes of one.
const (
	maxTopics      = 4_096
	maxSharedTopic = 256
)

// topic returns t as a string that is shared by equal topics.
func (b *Broker) topic(t []byte) string {
	if s, ok := b.topics[string(t)]; ok {
		return s
	}
	if len(t) > maxSharedTopic {
		return string(t)
	}
	if len(b.topics) >= maxTopics {
		clear(b.topics)
	}
	s := string(t)
	b.topics[s] = s
	return s
}
