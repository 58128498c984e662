package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hilnet/mqtt/broker"
	"hilnet/sim"
	"hilnet/sim/taskconn"
	"hilnet/trace"
)

const (
	maxEvents    = 1024            // that wait for the broker
	readSize     = 16 << 10        // bytes of one read
	lingerTime   = 5 * time.Second // for the last bytes of a connection that the broker closes
	acceptPause  = 50 * time.Millisecond
	eventsAtOnce = 256 // handled before what came of them is written
)

// Config says what to serve.
type Config struct {
	Broker broker.Config // Trace is set by Trace
	State  []byte        // what the broker knows already; nil: nothing
	// TLS, if it is set, is spoken on every connection. Its Rand must be nil: peers
	// here are real ones.
	TLS *tls.Config
	// Trace is called with each event, by the goroutine of Serve. Nil: no trace.
	Trace func(*trace.Event)
}

// Server is a broker that can be served once. Make it with New.
type Server struct {
	b      *broker.Broker
	tls    *tls.Config // nil: none
	log    *trace.Log  // nil: none
	limit  int         // of unsent bytes
	began  time.Time
	now    sim.Time
	events chan event
	done   chan struct{}
	conns  map[broker.ConnID]*conn // of the goroutine of Serve; iterated in order only
	last   broker.ConnID
	work   sync.WaitGroup
}

// event is what the other goroutines tell the broker's.
type event struct {
	c    *conn
	what what
	data []byte
	why  *taskconn.Failure // of TLS, which ended the connection; nil: it was not that
}

type what uint8

const (
	opened what = iota + 1
	arrived
	drained
	ended
)

// conn is one connection.
type conn struct {
	id   broker.ConnID
	sock net.Conn // what is read and written: raw, or TLS on it
	raw  net.Conn
	seen taskconn.Alerts // of the goroutine that reads

	slow   atomic.Bool  // the broker wants to hear when bytes have gone
	unsent atomic.Int64 // bytes in out and in the writer's hands

	mu      sync.Mutex
	out     []byte
	closing bool // close when out has gone
	gone    bool
	wake    chan struct{} // capacity 1
}

// New makes a server. An error wraps broker.ErrState when the state is wrong.
func New(cfg Config) (*Server, error) {
	if cfg.TLS != nil && cfg.TLS.Rand != nil {
		return nil, errors.New("serve: TLS with randomness of its own; real peers need the machine's")
	}
	s := &Server{tls: cfg.TLS, began: time.Now(), events: make(chan event, maxEvents), done: make(chan struct{}), conns: map[broker.ConnID]*conn{}}
	if cfg.Trace != nil {
		cfg.Broker.Trace = trace.NewLog(func() sim.Time { return s.now })
		cfg.Broker.Trace.Subscribe(cfg.Trace)
		s.log = cfg.Broker.Trace
	}
	var err error
	if cfg.State == nil {
		s.b, err = broker.New(cfg.Broker)
	} else {
		s.b, err = broker.Restore(cfg.Broker, cfg.State)
	}
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	if s.limit = cfg.Broker.MaxUnsent; s.limit == 0 {
		s.limit = broker.DefaultMaxUnsent
	}
	return s, nil
}

// Serve takes connections from l until ctx is done, which is no error, or l
// fails. It closes l and all connections, waits for its goroutines, and returns
// what the broker must know to go on another time.
func (s *Server) Serve(ctx context.Context, l net.Listener) (state []byte, err error) {
	failed := make(chan error, 1)
	s.work.Go(func() { failed <- s.accept(l) })
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for running := true; running; {
		if at, ok := s.b.NextTimeout(); ok {
			timer.Reset(time.Duration(at) - time.Since(s.began))
		} else {
			timer.Stop()
		}
		select {
		case e := <-s.events:
			s.tick()
			s.handle(e)
			s.handleMore()
		case <-timer.C:
			s.tick()
			s.b.Timeout(s.now)
		case <-ctx.Done():
			running = false
		case err = <-failed:
			running = false
		}
		s.flush()
	}
	s.tick()
	state = s.b.Stop(s.now)
	s.flush()
	close(s.done)
	_ = l.Close() // accept returns
	for _, id := range slices.Sorted(maps.Keys(s.conns)) {
		s.conns[id].close()
	}
	s.work.Wait()
	for len(s.events) > 0 { // accepted too late
		if e := <-s.events; e.what == opened {
			_ = e.c.sock.Close()
		}
	}
	return state, err
}

// tick reads the clock.
func (s *Server) tick() { s.now = max(s.now, sim.Time(time.Since(s.began))) }

// handleMore handles what waits already, for then one write carries it all.
func (s *Server) handleMore() {
	for range eventsAtOnce {
		select {
		case e := <-s.events:
			s.handle(e)
		default:
			return
		}
	}
}

func (s *Server) handle(e event) {
	c := e.c
	if e.what == opened {
		s.last++
		c.id = s.last
		s.conns[c.id] = c
		s.b.Open(s.now, c.id, c.sock.RemoteAddr().String())
		s.work.Go(func() { s.read(c) })
		s.work.Go(func() { s.write(c) })
		return
	}
	if s.conns[c.id] != c {
		return // the broker has closed it
	}
	switch e.what {
	case arrived:
		s.b.Data(s.now, c.id, e.data)
	case drained:
		c.slow.Store(false)
		s.backlog(c)
	case ended:
		s.tlsFailed(c, e.why)
		delete(s.conns, c.id)
		c.close()
		s.b.Closed(s.now, c.id)
	}
	if e.data != nil {
		buffers.Put((*[readSize]byte)(e.data[:readSize:readSize]))
	}
}

var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// backlog tells the broker what a connection has not sent.
func (s *Server) backlog(c *conn) {
	slow := int(c.unsent.Load()) > s.limit
	c.slow.Store(slow)
	s.b.Backlog(s.now, c.id, int(c.unsent.Load()))
}

// flush does what the broker wants done.
func (s *Server) flush() {
	for outputs := s.b.Outputs(); len(outputs) > 0; outputs = s.b.Outputs() {
		for _, o := range outputs {
			c := s.conns[o.Conn]
			switch {
			case c == nil:
			case o.Abort:
				delete(s.conns, o.Conn)
				if tcp, ok := c.raw.(*net.TCPConn); ok {
					_ = tcp.SetLinger(0) // RST
				}
				c.close()
			case o.Close:
				delete(s.conns, o.Conn)
				c.finish()
			default:
				c.append(o.Data)
				if c.unsent.Load() > int64(s.limit) && !c.slow.Load() {
					s.backlog(c)
				} else if c.slow.Load() {
					s.b.Backlog(s.now, c.id, int(c.unsent.Load()))
				}
			}
		}
		for _, o := range outputs {
			if c := s.conns[o.Conn]; c != nil {
				c.signal()
			}
		}
	}
}

// accept hands connections over until l is closed.
func (s *Server) accept(l net.Listener) error {
	for {
		sock, err := l.Accept()
		if err != nil {
			select {
			case <-s.done:
				return nil
			default:
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("serve: %w", err)
			}
			select { // such as too many open files: others may end
			case <-s.done:
				return nil
			case <-time.After(acceptPause):
			}
			continue
		}
		c := &conn{sock: sock, raw: sock, wake: make(chan struct{}, 1)}
		if s.tls != nil {
			c.sock = tls.Server(watched{sock, &c.seen}, s.tls)
		}
		if !s.tell(event{c: c, what: opened}) {
			_ = sock.Close()
		}
	}
}

// tell hands an event over, and reports false when nobody listens any more.
func (s *Server) tell(e event) bool {
	select {
	case s.events <- e:
		return true
	case <-s.done:
		return false
	}
}

// read hands over what arrives until the connection ends.
func (s *Server) read(c *conn) {
	for {
		b := buffers.Get().(*[readSize]byte)
		n, err := c.sock.Read(b[:])
		if n > 0 && !s.tell(event{c: c, what: arrived, data: b[:n]}) {
			return
		}
		if err != nil {
			s.tell(event{c: c, what: ended, why: c.tlsFailure(err)})
			return
		}
	}
}

// write writes what there is until the connection ends.
func (s *Server) write(c *conn) {
	defer c.close()
	var spare []byte
	for {
		c.mu.Lock()
		data, closing, gone := c.out, c.closing, c.gone
		c.out = spare[:0]
		c.mu.Unlock()
		if gone {
			return
		}
		if len(data) == 0 {
			if closing {
				if t, ok := c.sock.(*tls.Conn); ok {
					_ = t.CloseWrite() // its alert; the deadline of finish holds
				}
				return
			}
			spare = data
			<-c.wake
			continue
		}
		_, err := c.sock.Write(data)
		c.unsent.Add(-int64(len(data)))
		if err != nil {
			return // read sees it too
		}
		if spare = data; cap(spare) > maxSpare {
			spare = nil
		}
		if c.slow.Load() && !s.tell(event{c: c, what: drained}) {
			return
		}
	}
}

// maxSpare is the largest buffer that an idle connection keeps.
const maxSpare = 64 << 10

func (c *conn) append(data []byte) {
	c.unsent.Add(int64(len(data)))
	c.mu.Lock()
	c.out = append(c.out, data...)
	c.mu.Unlock()
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// finish closes the connection when all has gone, which may not take for ever.
func (c *conn) finish() {
	_ = c.sock.SetWriteDeadline(time.Now().Add(lingerTime))
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.signal()
}

// close closes the connection at once.
func (c *conn) close() {
	c.mu.Lock()
	gone := c.gone
	c.gone = true
	c.mu.Unlock()
	if !gone {
		_ = c.raw.Close() // a tls.Conn would first wait for a peer that does not read
	}
	c.signal()
}
