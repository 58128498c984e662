package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"hilnet/sim"
	"hilnet/stack"
	"hilnet/trace"
)

// A conn is one TCP connection of a device and the machine's socket for it.
type conn struct {
	gw       *Gateway
	number   uint64
	from, to netip.AddrPort
	quit     chan struct{} // closed at the end
	more     chan struct{} // the loop has room for what the reader reads next
	ready    chan struct{} // the writer has something to do

	written atomic.Int64 // to the machine's socket
	held    atomic.Int64 // read from it and not given to the loop yet

	mu      sync.Mutex // guards the four below
	host    *net.TCPConn
	closed  bool // host is closed, or will be as soon as it is there
	waiting []byte
	fin     bool // behind waiting

	// The loop's.
	request   *stack.Request
	device    *stack.Conn // nil until the handshake is complete
	opened    bool
	ended     bool
	up        int      // bytes that the writer has not told of
	paused    bool     // nothing is read of the device
	down      []byte   // that the device's TCP has not taken yet
	deviceEOF bool     // the device has closed its direction
	passed    bool     // and the machine's socket was told
	hostEOF   bool     // the machine's peer has closed its direction
	upBytes   int64    // from the device
	downBytes int64    // to the device
	last      sim.Time // when something passed
	idle      *sim.Timer
}

// connect is called with each connection that a device asks for.
func (g *Gateway) connect(r *stack.Request) {
	g.count.Requested++
	if n := len(g.conns); n >= g.cfg.Connections {
		g.count.Limited++
		r.Refuse(trace.DropGatewayLimit, fmt.Sprintf("%d connections are open or asked for, as many as the gateway takes", n))
		return
	}
	g.last++
	c := &conn{
		gw: g, number: g.last, request: r, from: r.From(), to: r.To(),
		quit: make(chan struct{}), more: make(chan struct{}, 1), ready: make(chan struct{}, 1),
	}
	g.conns[c] = true
	g.work(c.dial)
}

// dial connects on a goroutine of its own.
func (c *conn) dial() {
	g := c.gw
	ctx, cancel := context.WithTimeout(g.ctx, DialTimeout)
	defer cancel()
	target, err := g.policy.target(ctx, c.to)
	if err == nil {
		var d net.Dialer
		var host net.Conn
		if host, err = d.DialContext(ctx, "tcp", target); err == nil && !c.keep(host.(*net.TCPConn)) {
			return
		}
	}
	g.post(func() { c.dialed(target, err) })
}

// keep takes the machine's socket, unless the connection has ended meanwhile.
func (c *conn) keep(host *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = host.Close() // nobody has used it
		return false
	}
	c.host = host
	return true
}

// dialed answers the device.
func (c *conn) dialed(target string, err error) {
	g := c.gw
	switch {
	case c.ended:
	case c.request.Ended():
		g.count.GivenUp++
		c.end(ending{why: "the device has given up"})
	case err != nil:
		c.refuse(failureOf(err))
	default:
		accepted := func(d *stack.Conn) { c.accepted(d, target) }
		if err := c.request.Accept(accepted); err != nil {
			c.refuse(failure{trace.DropGatewayLimit, 0, err.Error()})
		}
	}
}

func (c *conn) refuse(f failure) {
	n := &c.gw.count
	switch f.reason {
	case trace.DropGatewayRefused:
		n.Refused++
	case trace.DropGatewayUnreachable:
		n.Unreachable++
	case trace.DropGatewayProhibited:
		n.Prohibited++
	default:
		n.Limited++
	}
	text := fmt.Sprintf("%v to %v: %s", c.from, c.to, f.text)
	if f.icmp == 0 {
		c.request.Refuse(f.reason, text)
	} else {
		c.request.Unreachable(f.icmp, f.reason, text)
	}
	c.end(ending{why: f.text})
}

// accepted begins to carry bytes.
func (c *conn) accepted(device *stack.Conn, target string) {
	g := c.gw
	switch {
	case device == nil && !c.ended:
		g.count.GivenUp++
		c.end(ending{why: "the device has not completed the handshake"})
		return
	case device == nil:
		return
	case c.ended:
		device.Abort()
		return
	}
	c.device, c.opened, c.last = device, true, g.cfg.Loop.Now()
	g.count.Opened++
	g.count.MaxOpen = max(g.count.MaxOpen, int(g.count.Opened-g.count.Closed))
	c.tell(trace.KindGatewayOpen, fmt.Sprintf("%v to %v: %v from %v", c.from, c.to, target, c.host.LocalAddr()))
	device.OnClosed(c.deviceEnded)
	device.OnLost(c.deviceEnded)
	device.OnWritable(c.pump)
	device.OnData(c.fromDevice)
	if g.cfg.Idle > 0 {
		c.idle = g.cfg.Loop.NewTimer(c.checkIdle)
		c.idle.ResetAfter(g.cfg.Idle)
	}
	g.work(c.write)
	g.work(c.read)
}

func (c *conn) tell(kind trace.Kind, text string, values ...trace.Value) {
	c.gw.cfg.Trace.Emit(trace.Event{
		Kind: kind, Node: c.gw.cfg.Node, Stage: stage, Client: c.gw.client(c.from.Addr()), Count: int64(c.number), Text: text, Values: values,
	})
}

// fromDevice hands what arrived to the writer.
func (c *conn) fromDevice(data []byte) {
	c.last = c.gw.cfg.Loop.Now()
	c.up += len(data)
	c.upBytes += int64(len(data))
	c.mu.Lock()
	c.waiting = append(c.waiting, data...)
	c.mu.Unlock()
	c.wake()
	if c.up >= MaxUp-readChunk && !c.paused {
		c.paused = true
		c.device.OnData(nil)
	}
}

// readChunk is the most that stack.Conn hands out at a time.
const readChunk = 64 << 10

func (c *conn) wake() {
	select {
	case c.ready <- struct{}{}:
	default: // it looks already
	}
}

// write writes to the machine's socket, on a goroutine of its own.
func (c *conn) write() {
	var spare []byte
	for {
		c.mu.Lock()
		data, fin := c.waiting, c.fin
		c.waiting = spare[:0]
		c.mu.Unlock()
		if len(data) == 0 {
			if fin {
				err := c.host.CloseWrite()
				c.gw.post(func() { c.wroteAll(err) })
				return
			}
			spare = data
			select {
			case <-c.ready:
			case <-c.quit:
				return
			}
			continue
		}
		n, err := c.host.Write(data)
		c.written.Add(int64(n))
		spare = data
		if cap(spare) > readChunk {
			spare = nil // a burst's; an idle connection does not keep it
		}
		if !c.gw.post(func() { c.wrote(n, err) }) || err != nil {
			return
		}
	}
}

// wrote counts what the machine's socket took.
func (c *conn) wrote(n int, err error) {
	if c.ended {
		return
	}
	c.up -= n
	switch {
	case err != nil:
		c.hostEnded(err)
	default:
		c.last = c.gw.cfg.Loop.Now()
		if c.paused && c.up < MaxUp/2 {
			c.paused = false
			c.device.OnData(c.fromDevice)
		}
	}
}

// wroteAll passes the end of the device's direction on.
func (c *conn) wroteAll(err error) {
	switch {
	case c.ended:
	case err != nil:
		c.hostEnded(err)
	default:
		c.passed = true
		c.endIfBoth()
	}
}

// deviceEnded is called when the device has closed its direction, or is lost.
func (c *conn) deviceEnded(err error) {
	if c.ended {
		return
	}
	if !errors.Is(err, io.EOF) {
		c.end(ending{why: "the device's side: " + err.Error(), resetHost: true})
		return
	}
	c.deviceEOF = true
	c.mu.Lock()
	c.fin = true
	c.mu.Unlock()
	c.wake()
}

// firstRead and maxRead bound the reader's buffer, which grows when it was full.
const (
	firstRead = 4 << 10
	maxRead   = MaxDown
)

// read reads from the machine's socket, on a goroutine of its own. It reads on
// when the device's TCP has taken all of it.
func (c *conn) read() {
	buf := make([]byte, firstRead)
	for {
		n, err := c.host.Read(buf)
		if n > 0 {
			c.held.Store(int64(n))
			if !c.gw.post(func() { c.fromHost(buf[:n]) }) {
				return
			}
			select {
			case <-c.more:
			case <-c.quit:
				return
			}
			if n == len(buf) && n < maxRead {
				buf = make([]byte, 2*n)
			}
		}
		if err != nil {
			c.gw.post(func() { c.hostEnded(err) })
			return
		}
	}
}

// fromHost takes what the machine's socket has received.
func (c *conn) fromHost(data []byte) {
	if c.ended {
		return // end has reported it
	}
	c.held.Store(0)
	c.last = c.gw.cfg.Loop.Now()
	c.down = data
	c.pump()
}

// pump gives the device's TCP what it takes.
func (c *conn) pump() {
	if c.ended || len(c.down) == 0 {
		return
	}
	n := c.device.Write(c.down)
	c.down = c.down[n:]
	c.downBytes += int64(n)
	c.gw.count.DownBytes += uint64(n)
	if n > 0 {
		c.last = c.gw.cfg.Loop.Now()
	}
	if len(c.down) == 0 {
		c.more <- struct{}{}
	}
}

// hostEnded is called when the machine's peer has closed its direction, or the
// socket is lost.
func (c *conn) hostEnded(err error) {
	switch {
	case c.ended:
	case errors.Is(err, io.EOF):
		c.hostEOF = true
		c.device.CloseWrite()
		c.endIfBoth()
	default:
		c.end(ending{why: "the machine's side: " + err.Error(), resetDevice: true})
	}
}

// endIfBoth ends a connection of which both directions have.
func (c *conn) endIfBoth() {
	if c.hostEOF && c.passed {
		c.end(ending{why: "closed by both sides"})
	}
}

// checkIdle ends a connection that has carried nothing for too long.
func (c *conn) checkIdle() {
	if quiet := c.gw.cfg.Loop.Now().Sub(c.last); quiet < c.gw.cfg.Idle {
		c.idle.ResetAfter(c.gw.cfg.Idle - quiet)
		return
	}
	c.end(ending{why: "nothing passed for " + c.gw.cfg.Idle.String(), resetDevice: true, resetHost: true})
}
