package emu

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"hilnet/mqtt/broker"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/stack"
	"hilnet/trace"
)

// A server is the model broker on a TCP host: it carries bytes and time between
// the two.
type server struct {
	world    *World
	cfg      broker.Config
	broker   *broker.Broker // nil while it is down
	host     *stack.Host
	listener *stack.Listener
	conns    map[broker.ConnID]*serverConn // iterated in the order of their numbers only
	last     broker.ConnID
	timer    *sim.Timer
	faults   []serverFault // in the order in which they began
	crashes  int           // that have not ended
	saved    []byte        // what the broker knows when it starts again
}

// A serverConn is one connection and what its TCP has not taken yet.
type serverConn struct {
	id      broker.ConnID
	conn    *stack.Conn
	backlog []byte
	closing bool // close when the backlog has gone
	onData  func([]byte)
	hears   bool       // what comes is read
	ripe    bool       // the time of collecting is over
	waits   *sim.Timer // until then the backlog is collected; nil before the first time
	tls     *serverTLS // nil: none
}

// BrokerConfig returns what a scenario says about its model broker.
func BrokerConfig(b *scenarios.Broker) broker.Config {
	cfg := broker.Config{
		Node: brokerNode, MaxClientID: b.Limits.ClientID,
		MaxPacket: int(b.Limits.Packet), MaxConnections: b.Limits.Connections,
		MaxInflight: b.Limits.Inflight, MaxQueued: b.Limits.Queued,
	}
	for _, u := range b.Users {
		cfg.Users = append(cfg.Users, broker.User{
			Name: u.Name, Password: u.Password, Rights: broker.Rights{Publish: u.Publish, Subscribe: u.Subscribe},
		})
	}
	return cfg
}

// readState reads the state that the scenario's broker begins with. What is wrong
// with it is wrong with the scenario.
func readState(sc *scenarios.Scenario) ([]byte, error) {
	const key = "broker.state"
	path := sc.FilePath(key, sc.Broker.State)
	fail := func(err error) error {
		return sc.ErrorAt(key, fmt.Sprintf("cannot begin with %s: %v", path, err), "name NAME.state.json of a run with keep_state: true; the path begins where the scenario file is")
	}
	info, err := os.Stat(path)
	var p *os.PathError
	switch {
	case errors.As(err, &p):
		return nil, fail(p.Err)
	case err != nil:
		return nil, fail(err)
	case !info.Mode().IsRegular():
		return nil, fail(errors.New("it is not a file"))
	case info.Size() > broker.MaxState:
		return nil, fail(fmt.Errorf("it is larger than %d bytes", broker.MaxState))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fail(err)
	}
	if _, err := broker.Restore(BrokerConfig(&sc.Broker), data); err != nil {
		return nil, fail(err)
	}
	return data, nil
}

func (w *World) newServer(host *stack.Host) (*server, error) {
	s := &server{world: w, cfg: BrokerConfig(&w.sc.Broker), host: host, conns: map[broker.ConnID]*serverConn{}, saved: w.brokerState}
	s.cfg.Trace = w.trace
	s.timer = w.loop.NewTimer(func() {
		s.broker.Timeout(w.loop.Now())
		s.flush()
	})
	if err := s.start(); err != nil {
		return nil, err
	}
	if w.sc.Broker.KeepState && w.opt.Out != "" {
		w.onStop(s.writeState)
	}
	return s, nil
}

// writeState writes what the broker knows at the end of the run.
func (s *server) writeState() error {
	state := s.saved
	b := s.broker
	if b == nil && state == nil { // it is down and has lost everything
		var err error
		if b, err = broker.New(s.cfg); err != nil {
			return fmt.Errorf("emu: %w", err)
		}
	}
	if b != nil {
		state = b.Snapshot()
	}
	w := s.world
	f, err := createOutput(w.opt.Out, w.sc.Name+".state.json")
	if err != nil {
		return err
	}
	w.files.names = append(w.files.names, f.name)
	_, err = f.Write(state)
	if err = errors.Join(err, f.Close()); err != nil {
		return diskError(err)
	}
	return nil
}

// start makes the broker, with what it knew, and listens.
func (s *server) start() (err error) {
	if s.saved == nil {
		s.broker, err = broker.New(s.cfg)
	} else {
		s.broker, err = broker.Restore(s.cfg, s.saved)
	}
	if err != nil {
		return fmt.Errorf("emu: %w", err)
	}
	s.saved = nil
	s.setFaults()
	backlog := 2*len(s.world.sc.Devices) + 16
	if s.listener, err = s.host.Listen(uint16(s.world.sc.Broker.Port), backlog, s.accept); err != nil {
		return fmt.Errorf("emu: broker: %w", err)
	}
	return nil
}

// brokerNode is the broker's name in the trace.
const brokerNode = "broker"

func (s *server) accept(c *stack.Conn) {
	s.last++
	sc := &serverConn{id: s.last, conn: c}
	s.conns[sc.id] = sc
	s.broker.Open(s.now(), sc.id, c.Remote().String())
	if s.world.sc.Broker.TLS != nil {
		s.secure(sc)
	}
	sc.onData = func(data []byte) {
		if s.conns[sc.id] == nil {
			return // the broker has closed it
		}
		if sc.tls != nil {
			sc.tls.pipe.Feed(data)
			return
		}
		s.broker.Data(s.now(), sc.id, data)
		s.flush()
		s.listen(sc)
	}
	s.listen(sc)
	c.OnWritable(func() {
		if s.conns[sc.id] != nil {
			s.pump(sc)
			s.flush()
		}
	})
	c.OnClosed(func(err error) {
		switch {
		case s.conns[sc.id] == nil:
		case sc.tls != nil && !sc.closing:
			sc.tls.lost = true
			if !errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w (%w)", err, io.ErrUnexpectedEOF) // TCP's end, not TLS's
			}
			sc.tls.pipe.Fail(err) // behind what has arrived
		default:
			s.ended(sc)
		}
	})
	s.flush()
}

// ended tells the broker of a connection whose peer is gone.
func (s *server) ended(c *serverConn) {
	s.forget(c)
	c.conn.Close() // our direction too; a lost connection does not mind
	s.broker.Closed(s.now(), c.id)
	s.flush()
}

// forget ends what the server knows of a connection.
func (s *server) forget(c *serverConn) {
	delete(s.conns, c.id)
	if c.waits != nil {
		c.waits.Stop()
	}
	c.endTLS()
}

// ordered returns the connections by their numbers.
func (s *server) ordered() []*serverConn {
	all := make([]*serverConn, 0, len(s.conns))
	for _, id := range slices.Sorted(maps.Keys(s.conns)) {
		all = append(all, s.conns[id])
	}
	return all
}

func (s *server) now() sim.Time { return s.world.loop.Now() }

// flush does what the broker wants done.
func (s *server) flush() {
	for outputs := s.broker.Outputs(); len(outputs) > 0; outputs = s.broker.Outputs() {
		for _, o := range outputs {
			c := s.conns[o.Conn]
			if c == nil {
				continue // closed by the peer; the broker hears of it from accept's OnClosed
			}
			c.send(o.Data)
			switch {
			case o.Abort:
				s.forget(c)
				c.conn.Abort()
			case o.Close:
				c.farewell()
				c.closing = true
				s.pump(c)
			default:
				s.pump(c)
			}
		}
	}
	if at, ok := s.broker.NextTimeout(); ok {
		s.timer.Reset(at)
	} else {
		s.timer.Stop()
	}
}

// pump gives TCP what it takes and tells the broker what is left.
func (s *server) pump(c *serverConn) {
	if s.conns[c.id] == nil || s.collects(c) {
		return
	}
	n := s.write(c)
	c.backlog = c.backlog[:copy(c.backlog, c.backlog[n:])]
	if c.closing {
		if len(c.backlog) == 0 {
			s.forget(c)
			c.conn.Close()
		}
		return
	}
	s.broker.Backlog(s.now(), c.id, len(c.backlog))
}

// publish sends a message of the broker's own to its subscribers.
func (s *server) publish(a *scenarios.Action, n int) {
	topic, qos := a.Topic, uint8(a.QoS)
	payload := a.Render(n, s.now())
	if s.broker == nil {
		s.world.trace.Emit(trace.Event{
			Kind: trace.KindDrop, Node: brokerNode, Stage: "broker", Reason: broker.DropCrash,
			Topic: topic, QoS: qos, Len: len(payload), Text: "the broker is down",
		})
		return
	}
	must(s.broker.Publish(s.now(), topic, payload, qos, a.Retain))
	s.flush()
}
