package play

import (
	"crypto/tls"
	"fmt"
	"net"

	"hilnet/sim/taskconn"
)

// This file is what happens between a socket that is there and a connection that
// may be used.

// take notes the socket of a connection; false when nobody wants it any more.
func (c *hostConn) take(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.abort {
		c.network.forget(c)
		reset(conn)
		return false
	}
	c.raw, c.remote = conn, conn.RemoteAddr().String()
	return true
}

// accepted tells the player of a client's connection.
func (c *hostConn) accepted(accept func(Conn) *Events) {
	if c.events = accept(c); c.events == nil {
		c.network.forget(c)
		c.Abort()
		return
	}
	c.begin()
	go c.write()
	go c.read()
}

// shakeHands makes of the socket a connection with TLS, if it is to have that. It
// ends with the network.
func (c *hostConn) shakeHands(side func(net.Conn, *tls.Config) *tls.Conn) error {
	conn := c.raw
	if c.network.tls != nil {
		t := side(watched{c.raw, &c.seen}, c.network.tls)
		if err := t.HandshakeContext(c.network.ctx); err != nil {
			_ = c.raw.Close() // the alert was written
			return fmt.Errorf("TLS: %v", c.seen.Explain(taskconn.Diagnose(err)))
		}
		conn = t
	}
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	return nil
}

// maxShaking bounds the clients that shake hands at once.
const maxShaking = 256

// errTooManyShake says so of one more.
var errTooManyShake = fmt.Errorf("TLS: %d clients shake hands already", maxShaking)

// shakeHandsInTurn is shakeHands for a client, of which not too many may come at once.
func (c *hostConn) shakeHandsInTurn() error {
	n := &c.network.shaking
	defer n.Add(-1)
	if n.Add(1) > maxShaking {
		reset(c.raw)
		return errTooManyShake
	}
	return c.shakeHands(tls.Server)
}

// hurry ends a handshake that takes too long.
func (c *hostConn) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil && c.raw != nil {
		reset(c.raw)
	}
}

// A watched socket looks for alerts in what it reads.
type watched struct {
	net.Conn
	alerts *taskconn.Alerts
}

// Read reads from the socket.
func (w watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.alerts.Watch(p[:n])
	return n, err
}
