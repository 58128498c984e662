package emu

import (
	"fmt"

	"hilnet/mqtt/broker"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/stack"
)

// A server is the model broker on a TCP host: it carries bytes and time between
// the two.
type server struct {
	world  *World
	broker *broker.Broker
	host   *stack.Host
	conns  map[broker.ConnID]*serverConn // looked up only, never ranged over
	last   broker.ConnID
	timer  *sim.Timer
}

// A serverConn is one connection and what its TCP has not taken yet.
type serverConn struct {
	id      broker.ConnID
	conn    *stack.Conn
	backlog []byte
	closing bool // close when the backlog has gone
}

func (w *World) newServer(host *stack.Host) (*server, error) {
	var users []broker.User
	for _, u := range w.sc.Broker.Users {
		users = append(users, broker.User{Name: u.Name, Password: u.Password})
	}
	b, err := broker.New(broker.Config{Node: brokerNode, Trace: w.trace, Users: users})
	if err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	s := &server{world: w, broker: b, host: host, conns: map[broker.ConnID]*serverConn{}}
	s.timer = w.loop.NewTimer(func() {
		b.Timeout(w.loop.Now())
		s.flush()
	})
	backlog := 2*len(w.sc.Devices) + 16
	if _, err := host.Listen(uint16(w.sc.Broker.Port), backlog, s.accept); err != nil {
		return nil, fmt.Errorf("emu: broker: %w", err)
	}
	return s, nil
}

// brokerNode is the broker's name in the trace.
const brokerNode = "broker"

func (s *server) accept(c *stack.Conn) {
	s.last++
	sc := &serverConn{id: s.last, conn: c}
	s.conns[sc.id] = sc
	s.broker.Open(s.now(), sc.id, c.Remote().String())
	c.OnData(func(data []byte) {
		if s.conns[sc.id] == nil {
			return // the broker has closed it
		}
		s.broker.Data(s.now(), sc.id, data)
		s.flush()
	})
	c.OnWritable(func() {
		s.pump(sc)
		s.flush()
	})
	c.OnClosed(func(error) {
		if s.conns[sc.id] == nil {
			return
		}
		delete(s.conns, sc.id)
		c.Close() // our direction too; a lost connection does not mind
		s.broker.Closed(s.now(), sc.id)
		s.flush()
	})
	s.flush()
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
			c.backlog = append(c.backlog, o.Data...)
			switch {
			case o.Abort:
				delete(s.conns, o.Conn)
				c.conn.Abort()
			case o.Close:
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
	if s.conns[c.id] == nil {
		return
	}
	n := c.conn.Write(c.backlog)
	c.backlog = c.backlog[:copy(c.backlog, c.backlog[n:])]
	if c.closing {
		if len(c.backlog) == 0 {
			delete(s.conns, c.id)
			c.conn.Close()
		}
		return
	}
	s.broker.Backlog(s.now(), c.id, len(c.backlog))
}

// publish sends a message of the broker's own to its subscribers.
func (s *server) publish(topic string, m *scenarios.Message, n int) {
	must(s.broker.Publish(s.now(), topic, m.Render(n, s.now()), uint8(m.QoS), m.Retain))
	s.flush()
}
