package play

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"hilnet/replay/script"
	"hilnet/sim"
	"hilnet/sim/taskconn"
)

// handshakeTime is how long a client that connects to the player may take to shake
// hands in TLS.
const handshakeTime = 30 * time.Second

// readRecord is the most that a record of TLS carries.
const readRecord = 16384

// A TLSNetwork puts TLS on the connections of another network of hilnet's own: a
// Task for each shakes hands and reads. Conversations are told of a connection
// when the handshake has ended well.
type TLSNetwork struct {
	loop    *sim.Loop
	inner   Network
	config  func(n int) *tls.Config
	failed  func(error)
	number  int
	shaking int // clients
}

// NewTLSNetwork returns a network over inner. config gives the configuration of the
// n-th connection, from 1; failed hears why a client could not be taken.
func NewTLSNetwork(loop *sim.Loop, inner Network, config func(n int) *tls.Config, failed func(error)) *TLSNetwork {
	return &TLSNetwork{loop: loop, inner: inner, config: config, failed: failed}
}

// A tlsConn is a connection with TLS on it.
type tlsConn struct {
	network *TLSNetwork
	inner   Conn
	events  *Events // who is told; of a client that connects, when it has shaken hands
	pipe    *taskconn.Conn
	conn    *tls.Conn
	seen    taskconn.Alerts
	timer   *sim.Timer
	started bool // its Task
	up      bool
	over    bool // Close or Abort was called, or Closed
	fin     bool // TCP has ended in order
}

// newConn makes the TLS of a connection; begin starts it.
func (n *TLSNetwork) newConn() (c *tlsConn, task *sim.Task) {
	n.number++
	c = &tlsConn{network: n}
	task = n.loop.NewTask(fmt.Sprintf("TLS of connection %d", n.number), func(*sim.Task) { c.run() })
	c.pipe = taskconn.OnTask(task, taskconn.Config{Wrote: c.wrote})
	return c, task
}

// Dial begins a connection.
func (n *TLSNetwork) Dial(of *script.Conversation, e *Events) Conn {
	c, task := n.newConn()
	c.events = e
	c.conn = tls.Client(c.pipe, n.config(n.number))
	c.inner = n.inner.Dial(of, &Events{Connected: func() {
		c.started = true
		task.Start()
	}, Data: c.arrived, Closed: c.lost})
	return c
}

// Listen takes connections.
func (n *TLSNetwork) Listen(accept func(Conn) *Events) error {
	return n.inner.Listen(func(inner Conn) *Events {
		if n.shaking >= maxShaking {
			refused := &tlsConn{network: n, inner: inner, over: true}
			n.untaken(refused, accept, errTooManyShake)
			return nil
		}
		n.shaking++
		c, task := n.newConn()
		c.inner = inner
		c.conn = tls.Server(c.pipe, n.config(n.number))
		c.events = &Events{Connected: func() {
			if c.events = accept(c); c.events == nil {
				c.Abort()
			}
		}, Closed: func(err error) {
			n.untaken(c, accept, err)
		}}
		c.timer = n.loop.NewTimer(func() { c.pipe.Fail(errors.New("the client does not shake hands")) })
		c.timer.ResetAfter(handshakeTime)
		c.started = true
		task.Start()
		return &Events{Data: c.arrived, Closed: c.lost}
	})
}

// untaken tells of a client that did not come so far as to speak MQTT.
func (n *TLSNetwork) untaken(c *tlsConn, accept func(Conn) *Events, err error) {
	if e := accept(c); e != nil { // it counts as a connection
		e.Closed(err)
	}
	n.failed(fmt.Errorf("%s: %w", c.Remote(), err))
}

// Shaking is how many clients shake hands.
func (n *TLSNetwork) Shaking() int { return n.shaking }

// Drops is what the network below has dropped.
func (n *TLSNetwork) Drops() []Tally {
	if d, ok := n.inner.(dropper); ok {
		return d.Drops()
	}
	return nil
}

// Stop ends the listening and every connection.
func (n *TLSNetwork) Stop() { n.inner.Stop() }

// run is the Task of a connection.
func (c *tlsConn) run() {
	err := c.conn.Handshake()
	if c.timer != nil { // a client's
		c.network.shaking--
		c.timer.Stop()
	}
	if err == nil && !c.over {
		c.up = true
		c.events.Connected()
	}
	b := make([]byte, readRecord)
	for err == nil && !c.over {
		var k int
		if k, err = c.conn.Read(b); k > 0 && !c.over {
			c.events.Data(b[:k])
		}
	}
	if c.over {
		return
	}
	c.over = true
	err = tlsEnd(err, c.up, c.fin, &c.seen)
	c.inner.Close() // our alert still goes out
	c.events.Closed(err)
}

// tlsEnd is the end of a connection as a player understands it: one that TCP closes
// without TLS's word for it is closed all the same.
func tlsEnd(err error, up, fin bool, seen *taskconn.Alerts) error {
	if up && (errors.Is(err, io.EOF) || fin && errors.Is(err, io.ErrUnexpectedEOF)) {
		return io.EOF
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "read" || errors.Is(err, errBelow) {
		return plain(err)
	}
	return fmt.Errorf("TLS: %v", seen.Explain(taskconn.Diagnose(err)))
}

// errBelow marks what TCP says of its end.
var errBelow = errors.New("TCP")

// arrived takes what TCP brings.
func (c *tlsConn) arrived(b []byte) {
	if !c.over {
		c.seen.Watch(b)
		c.pipe.Feed(b)
	}
}

// lost takes the end of TCP.
func (c *tlsConn) lost(err error) {
	if c.over {
		return
	}
	if c.fin = errors.Is(err, io.EOF); !c.fin {
		err = fmt.Errorf("%w: %w", errBelow, err)
	}
	if !c.started { // TCP never came to be, and there is no Task to tell
		c.over = true
		c.events.Closed(err)
		return
	}
	c.pipe.Fail(err)
}

// wrote hands TCP what TLS has written.
func (c *tlsConn) wrote() {
	if data := c.pipe.Take(); c.inner != nil {
		c.inner.Write(data, nil)
	}
}

// Remote names the peer.
func (c *tlsConn) Remote() string { return c.inner.Remote() }

// Write sends data in records of their own.
func (c *tlsConn) Write(data []byte, _ []int) {
	if c.up && !c.over {
		_, _ = c.conn.Write(data) // it fails in a session that has ended, whose reader tells why
	}
}

// Close ends TLS, then TCP.
func (c *tlsConn) Close() {
	if c.over {
		return
	}
	c.over = true
	if c.up {
		_ = c.conn.CloseWrite() // as above
	}
	c.inner.Close()
	c.pipe.Fail(net.ErrClosed)
}

// Abort resets TCP.
func (c *tlsConn) Abort() {
	c.over = true
	c.inner.Abort()
	c.pipe.Fail(net.ErrClosed)
}
