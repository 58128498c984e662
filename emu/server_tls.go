package emu

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"hilnet/sim"
	"hilnet/sim/taskconn"
	"hilnet/trace"
)

// This file is TLS at the model broker: for each connection a Task that shakes
// hands and then feeds the broker with what it reads. What the broker sends is a
// record for each MQTT packet.

// A serverTLS is the TLS of one connection.
type serverTLS struct {
	conn *tls.Conn
	pipe *taskconn.Conn // between TLS and TCP
	up   bool           // the handshake has ended well
	lost bool           // TCP has ended, or the peer's direction of it
}

// readBuffer is the most that a record carries.
const readBuffer = 16384

// secure puts TLS on a connection that was accepted.
func (s *server) secure(c *serverConn) {
	device := ""
	for _, d := range s.world.devices {
		if from := c.conn.Remote().Addr(); d.cfg.Address.Addr() == from || d.cfg.Address6.Prefix.Addr() == from {
			device = d.cfg.Name
		}
	}
	c.tls = &serverTLS{}
	task := s.world.loop.NewTask(fmt.Sprintf("broker TLS %d", c.id), func(*sim.Task) { s.serveTLS(c) })
	c.tls.pipe = taskconn.OnTask(task, taskconn.Config{Wrote: func() { s.encrypted(c) }})
	c.tls.conn = tls.Server(c.tls.pipe, s.world.tls.server(uint64(c.id), device))
	task.Start()
}

// serveTLS is the Task of a connection: it ends with TLS, or with what is below
// it, when all that has arrived was read.
func (s *server) serveTLS(c *serverConn) {
	err := c.tls.conn.Handshake()
	c.tls.up = err == nil
	b := make([]byte, readBuffer)
	for err == nil {
		var n int
		if n, err = c.tls.conn.Read(b); n > 0 && s.conns[c.id] == c && !c.closing {
			s.broker.Data(s.now(), c.id, b[:n])
			s.flush()
		}
	}
	if s.conns[c.id] != c || c.closing {
		return // the end was the broker's
	}
	inOrder := errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
	f := taskconn.Diagnose(err)
	if !inOrder && (!c.tls.up || f.Cause != taskconn.CauseClosed) {
		s.tlsFailed(c, f)
	}
	// Our alert still goes out: an error's, or the answer to the peer's close_notify.
	c.farewell()
	if c.tls.lost {
		s.write(c) // as far as there is somebody to read it
		s.ended(c)
		return
	}
	s.broker.Closed(s.now(), c.id)
	c.closing = true
	s.flush()
	s.pump(c)
}

// tlsFailed tells why TLS ended.
func (s *server) tlsFailed(c *serverConn, f taskconn.Failure) {
	s.world.trace.Emit(trace.Event{
		Kind: trace.KindTLSFailed, Node: brokerNode, Client: s.broker.Client(c.id), Stage: string(f.Cause), Count: int64(f.Alert),
		Text: fmt.Sprintf("%v: %v", c.conn.Remote(), f),
	})
}

// encrypted takes what TLS wrote to where TCP takes it.
func (s *server) encrypted(c *serverConn) {
	data := c.tls.pipe.Take()
	if s.conns[c.id] != c {
		return
	}
	c.backlog = append(c.backlog, data...)
	if !c.tls.up { // nobody else does
		s.pump(c)
	}
}

// send appends a packet of the broker's to what TCP shall take.
func (c *serverConn) send(data []byte) {
	switch {
	case c.tls == nil:
		c.backlog = append(c.backlog, data...)
	case c.tls.up && len(data) > 0:
		_, _ = c.tls.conn.Write(data) // it fails in a session that has ended, whose reader tells why
	}
}

// farewell tells the peer that nothing more comes.
func (c *serverConn) farewell() {
	if c.tls != nil && c.tls.up {
		_ = c.tls.conn.CloseWrite() // as above
	}
}

// endTLS ends the Task of a connection that is gone.
func (c *serverConn) endTLS() {
	if c.tls != nil {
		c.tls.pipe.Fail(net.ErrClosed)
	}
}
