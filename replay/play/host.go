package play

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"hilnet/replay/script"
	"hilnet/sim"
	"hilnet/sim/taskconn"
)

// HostNetwork is TCP of the machine that the program runs on. The loop must run
// in real time.
type HostNetwork struct {
	loop     *sim.Loop
	address  string
	tls      *tls.Config // nil: without
	failed   func(error)
	shaking  atomic.Int32    // clients that shake hands
	unshaken int             // the loop's: those whose handshake it has not heard the end of
	ctx      context.Context // of handshakes, and of what waits for the loop
	cancel   context.CancelFunc

	listener net.Listener
	mu       sync.Mutex // guards the rest
	conns    map[*hostConn]bool
	writers  sync.WaitGroup
}

// NewHostNetwork returns a network that dials, or listens on, HOST:PORT.
func NewHostNetwork(loop *sim.Loop, address string) *HostNetwork {
	n := &HostNetwork{loop: loop, address: address, conns: map[*hostConn]bool{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// Secure puts TLS on the connections. failed hears, on the loop, why a client could
// not be taken.
func (n *HostNetwork) Secure(config *tls.Config, failed func(error)) {
	n.tls, n.failed = config, failed
}

// maxQueued bounds what a connection holds that the peer does not take.
const maxQueued = 128 << 20

// readSize is how much is read from a socket at once.
const readSize = 64 << 10

// A hostConn is a socket with a goroutine that reads and one that writes.
type hostConn struct {
	network *HostNetwork
	events  *Events // the loop's
	over    bool    // the loop's: Close or Abort was called, or Closed
	closing bool    // the loop's

	mu    sync.Mutex // guards the rest
	cond  *sync.Cond
	conn  net.Conn // nil while it is dialled and shakes hands
	raw   net.Conn // nil while it is dialled; else conn, or what is below its TLS
	seen  taskconn.Alerts
	queue [][]byte
	size  int
	// writing: what was in the queue goes to the socket.
	writing, fin, abort bool

	parts  int // of reader and writer, those at work
	remote string
}

func (n *HostNetwork) newConn(e *Events) *hostConn {
	c := &hostConn{network: n, events: e}
	c.cond = sync.NewCond(&c.mu)
	n.mu.Lock()
	n.conns[c] = true
	n.mu.Unlock()
	return c
}

// post runs fn on the loop.
func (n *HostNetwork) post(fn func()) {
	if !n.loop.Post(fn) {
		n.loop.Cancel(errors.New("play: more comes from the network than can be taken"))
	}
}

// Dial begins a connection.
func (n *HostNetwork) Dial(_ *script.Conversation, e *Events) Conn {
	c := n.newConn(e)
	go func() {
		conn, err := net.Dial("tcp", n.address)
		if err != nil {
			n.forget(c)
			n.post(func() { c.closed(plain(err)) })
			return
		}
		if !c.take(conn) {
			return
		}
		if err := c.shakeHands(tls.Client); err != nil {
			n.forget(c)
			n.post(func() { c.closed(err) })
			return
		}
		c.begin()
		n.post(func() {
			if !c.over {
				c.events.Connected()
			}
		})
		go c.write()
		c.read()
	}()
	return c
}

// begin counts reader and writer in.
func (c *hostConn) begin() {
	c.parts = 2
	c.network.writers.Add(1)
}

// leave counts one of them out; the last closes the socket.
func (c *hostConn) leave() {
	c.mu.Lock()
	c.parts--
	last := c.parts == 0
	c.mu.Unlock()
	if last {
		_ = c.conn.Close()
		c.network.forget(c)
	}
}

func (n *HostNetwork) forget(c *hostConn) {
	n.mu.Lock()
	delete(n.conns, c)
	n.mu.Unlock()
}

// plain is an error without the words that net puts in front.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return fmt.Errorf("%s %v: %w", op.Op, op.Addr, op.Err)
	}
	return err
}

// Listen takes connections.
func (n *HostNetwork) Listen(accept func(Conn) *Events) error {
	l, err := net.Listen("tcp", n.address)
	if err != nil {
		return err
	}
	n.listener = l
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				n.loop.Cancel(fmt.Errorf("play: accept: %w", err))
				return
			}
			c := n.newConn(nil)
			if !c.take(conn) {
				continue
			}
			if n.tls == nil {
				c.conn = conn
				n.post(func() { c.accepted(accept) })
				continue
			}
			n.post(func() {
				n.unshaken++
				n.loop.After(handshakeTime, c.hurry)
			})
			go func() {
				err := c.shakeHandsInTurn()
				n.post(func() {
					n.unshaken--
					if err == nil {
						c.accepted(accept)
						return
					}
					n.forget(c)
					if e := accept(c); e != nil { // it counts as a connection
						e.Closed(err)
					}
					n.failed(fmt.Errorf("%s: %w", c.remote, err))
				})
			}()
		}
	}()
	return nil
}

// Shaking is how many clients shake hands.
func (n *HostNetwork) Shaking() int { return n.unshaken }

// Address is where the network listens.
func (n *HostNetwork) Address() string {
	if n.listener == nil {
		return ""
	}
	return n.listener.Addr().String()
}

// Stop ends the listening and every connection; what was written still goes out.
func (n *HostNetwork) Stop() {
	if n.listener != nil {
		_ = n.listener.Close() // nothing is lost with it
	}
	n.cancel()
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns { // each by itself: their order does not matter
		c.mu.Lock()
		c.fin = true
		c.cond.Broadcast()
		c.mu.Unlock()
	}
}

// Drained is closed when everything that was written has gone to the sockets. It
// may be asked for after Stop.
func (n *HostNetwork) Drained() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		n.writers.Wait()
		close(done)
	}()
	return done
}

// Remote names the peer.
func (c *hostConn) Remote() string { return c.remote }

// Write queues data for the goroutine that writes.
func (c *hostConn) Write(data []byte, _ []int) {
	c.mu.Lock()
	c.queue = append(c.queue, data)
	c.size += len(data)
	full := c.size > maxQueued
	c.cond.Broadcast()
	c.mu.Unlock()
	if full && !c.over {
		c.drop()
		c.network.post(func() { c.events.Closed(fmt.Errorf("the peer does not read: %d bytes wait", maxQueued)) })
	}
}

// drop resets the connection at once.
func (c *hostConn) drop() {
	c.mu.Lock()
	c.queue, c.size = nil, 0
	if c.raw != nil {
		reset(c.raw)
	}
	c.mu.Unlock()
	c.Abort()
}

// Close sends FIN when everything was written.
func (c *hostConn) Close() {
	c.over = true
	c.mu.Lock()
	c.fin = true
	c.cond.Broadcast()
	c.mu.Unlock()
}

// Abort sends what was written, then RST.
func (c *hostConn) Abort() {
	c.over = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abort = true
	if c.raw != nil && (c.conn == nil || c.size == 0 && !c.writing) {
		reset(c.raw) // there is nothing, or nobody, to wait for
	}
	c.cond.Broadcast()
}

// reset closes a connection with RST.
func reset(conn net.Conn) {
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // without it, it is a FIN
	}
	_ = conn.Close()
}

// closed tells the loop's side of the end.
func (c *hostConn) closed(err error) {
	if !c.over {
		c.over = true
		c.events.Closed(err)
	}
}

// read hands what comes to the loop.
func (c *hostConn) read() {
	defer c.leave()
	for {
		b := make([]byte, readSize)
		k, err := c.conn.Read(b)
		if k > 0 {
			c.arrived(b[:k])
		}
		if err != nil {
			switch {
			case c.network.tls != nil:
				err = tlsEnd(err, true, true, &c.seen)
			case !errors.Is(err, io.EOF):
				err = plain(err)
			}
			c.network.post(func() { c.closed(err) })
			return
		}
	}
}

// arrived gives the loop what was read, and returns when it has taken that, or when
// the play is over: a peer that floods, in pieces of whatever size, does not fill the
// memory.
func (c *hostConn) arrived(b []byte) {
	over := c.network.ctx.Done()
	if c.network.ctx.Err() != nil {
		return // nobody wants it; only the end is waited for
	}
	taken := make(chan struct{})
	c.network.post(func() {
		defer close(taken)
		if !c.over {
			c.events.Data(b)
		}
	})
	select {
	case <-taken:
	case <-over:
	}
}

// write sends what is queued.
func (c *hostConn) write() {
	defer c.network.writers.Done()
	defer c.leave()
	for {
		c.mu.Lock()
		for len(c.queue) == 0 && !c.fin && !c.abort {
			c.cond.Wait()
		}
		queue := c.queue
		if c.abort && len(queue) == 0 {
			reset(c.raw)
			c.mu.Unlock()
			return
		}
		c.queue, c.size, c.writing = nil, 0, len(queue) > 0
		fin := len(queue) == 0 && c.fin
		c.mu.Unlock()
		if fin {
			if t, ok := c.conn.(*tls.Conn); ok {
				_ = t.CloseWrite() // the reader sees what comes of it
			}
			if t, ok := c.raw.(*net.TCPConn); ok {
				_ = t.CloseWrite() // as above
			}
			return
		}
		for _, data := range queue {
			if _, err := c.conn.Write(data); err != nil {
				c.network.post(func() { c.closed(plain(err)) })
				return
			}
		}
		c.mu.Lock()
		c.writing = false
		c.mu.Unlock()
	}
}
