package play

import (
	"errors"
	"net/netip"

	"hilnet/replay/script"
	"hilnet/sim"
	"hilnet/stack"
)

// StackNetwork is TCP of hilnet's own: of a host in a simulated network, in
// virtual time, or on a TAP.
type StackNetwork struct {
	loop     *sim.Loop
	host     *stack.Host
	peer     netip.AddrPort
	listener *stack.Listener
}

// NewStackNetwork returns a network that dials peer from a host, or listens on the
// host at peer's port.
func NewStackNetwork(loop *sim.Loop, host *stack.Host, peer netip.AddrPort) *StackNetwork {
	return &StackNetwork{loop: loop, host: host, peer: peer}
}

// A stackConn is a connection and what its TCP has not taken yet.
type stackConn struct {
	loop    *sim.Loop
	conn    *stack.Conn // nil: it could not be dialled
	events  *Events
	backlog []byte
	taken   int // of the backlog, by TCP
	closing bool
	over    bool
}

// Dial begins a connection.
func (n *StackNetwork) Dial(_ *script.Conversation, e *Events) Conn {
	c := &stackConn{loop: n.loop, events: e}
	conn, err := n.host.Dial(n.peer)
	if err != nil {
		n.loop.After(0, func() { c.closed(err) })
		return c
	}
	c.attach(conn)
	conn.OnConnected(func() {
		if !c.over {
			e.Connected()
		}
	})
	return c
}

func (c *stackConn) attach(conn *stack.Conn) {
	c.conn = conn
	conn.OnData(func(b []byte) {
		if !c.over {
			c.events.Data(b)
		}
	})
	conn.OnWritable(c.pump)
	conn.OnClosed(c.closed)
}

func (c *stackConn) closed(err error) {
	if !c.over {
		c.over = true
		c.events.Closed(err)
	}
	if c.conn != nil && !c.closing {
		c.conn.Close() // a lost connection does not mind
	}
}

// Listen takes connections.
func (n *StackNetwork) Listen(accept func(Conn) *Events) (err error) {
	n.listener, err = n.host.Listen(n.peer.Port(), 0, func(conn *stack.Conn) {
		c := &stackConn{loop: n.loop, conn: conn}
		if c.events = accept(c); c.events == nil {
			conn.Abort()
			return
		}
		c.attach(conn)
	})
	return err
}

// Stop ends the listening; connections end with their host.
func (n *StackNetwork) Stop() {
	if n.listener != nil {
		n.listener.Close()
	}
}

// Remote names the peer.
func (c *stackConn) Remote() string {
	if c.conn == nil {
		return ""
	}
	return c.conn.Remote().String()
}

// Write hands data to TCP, as soon as that takes it.
func (c *stackConn) Write(data []byte, _ []int) {
	if c.conn == nil || c.closing {
		return
	}
	if len(c.backlog)-c.taken+len(data) > maxQueued {
		c.closing, c.backlog, c.taken = true, nil, 0
		c.conn.Abort()
		c.loop.After(0, func() { c.closed(errors.New("the peer does not read")) }) // the caller is not to be called from here
		return
	}
	if len(c.backlog) == 0 {
		data = data[c.conn.Write(data):]
	}
	c.backlog = append(c.backlog, data...)
}

func (c *stackConn) pump() {
	if c.taken < len(c.backlog) {
		c.taken += c.conn.Write(c.backlog[c.taken:])
	}
	switch {
	case c.taken == len(c.backlog):
		c.backlog, c.taken = nil, 0
	case c.taken > len(c.backlog)/2: // each byte is moved once at most, taken as a whole
		c.backlog, c.taken = c.backlog[:copy(c.backlog, c.backlog[c.taken:])], 0
	}
	if c.closing && len(c.backlog) == 0 {
		c.conn.Close()
	}
}

// Close sends FIN when everything was written.
func (c *stackConn) Close() {
	c.over = true
	if c.conn == nil || c.closing {
		return
	}
	c.closing = true
	c.pump()
}

// Abort sends RST.
func (c *stackConn) Abort() {
	c.over, c.closing, c.backlog, c.taken = true, true, nil, 0
	if c.conn != nil {
		c.conn.Abort()
	}
}
