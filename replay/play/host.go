package play

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"hilnet/replay/script"
	"hilnet/sim"
)

// HostNetwork is TCP of the machine that the program runs on. The loop must run
// in real time.
type HostNetwork struct {
	loop    *sim.Loop
	address string

	listener net.Listener
	mu       sync.Mutex // guards the rest
	conns    map[*hostConn]bool
	stopped  bool
	writers  sync.WaitGroup
}

// NewHostNetwork returns a network that dials, or listens on, HOST:PORT.
func NewHostNetwork(loop *sim.Loop, address string) *HostNetwork {
	return &HostNetwork{loop: loop, address: address, conns: map[*hostConn]bool{}}
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

	mu     sync.Mutex // guards the rest
	cond   *sync.Cond
	conn   net.Conn // nil while it is dialled
	queue  [][]byte
	size   int
	fin    bool
	abort  bool
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
		c.mu.Lock()
		if c.abort {
			c.mu.Unlock()
			n.forget(c)
			reset(conn)
			return
		}
		c.conn, c.remote = conn, conn.RemoteAddr().String()
		c.mu.Unlock()
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
			c.conn, c.remote = conn, conn.RemoteAddr().String()
			n.post(func() {
				if c.events = accept(c); c.events == nil {
					n.forget(c)
					c.Abort()
					return
				}
				c.begin()
				go c.write()
				go c.read()
			})
		}
	}()
	return nil
}

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
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stopped = true
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
		c.Abort()
		c.network.post(func() { c.events.Closed(fmt.Errorf("the peer does not read: %d bytes wait", maxQueued)) })
	}
}

// Close sends FIN when everything was written.
func (c *hostConn) Close() {
	c.over = true
	c.mu.Lock()
	c.fin = true
	c.cond.Broadcast()
	c.mu.Unlock()
}

// Abort sends RST.
func (c *hostConn) Abort() {
	c.over = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abort, c.queue = true, nil
	if c.conn != nil {
		reset(c.conn)
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
			taken := make(chan struct{})
			c.network.post(func() {
				defer close(taken)
				if !c.over {
					c.events.Data(b[:k])
				}
			})
			if err == nil && k == len(b) { // a peer that floods does not fill the memory
				c.await(taken)
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				err = plain(err)
			}
			c.network.post(func() { c.closed(err) })
			return
		}
	}
}

// await returns when the loop has taken what was posted, or the play is over.
func (c *hostConn) await(taken chan struct{}) {
	c.network.mu.Lock()
	stopped := c.network.stopped
	c.network.mu.Unlock()
	if !stopped {
		<-taken
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
		if c.abort {
			c.mu.Unlock()
			return
		}
		queue := c.queue
		c.queue, c.size = nil, 0
		fin := len(queue) == 0 && c.fin
		c.mu.Unlock()
		if fin {
			if t, ok := c.conn.(*net.TCPConn); ok {
				_ = t.CloseWrite() // the reader sees what comes of it
			}
			return
		}
		for _, data := range queue {
			if _, err := c.conn.Write(data); err != nil {
				c.network.post(func() { c.closed(plain(err)) })
				return
			}
		}
	}
}
