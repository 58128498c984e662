package stack

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// readChunk is the most that one call of a Conn's OnData gets.
const readChunk = 64 << 10

// endpoint is a gVisor TCP endpoint and its place in the host.
type endpoint struct {
	host  *Host
	ep    tcpip.Endpoint
	queue *waiter.Queue
	entry waiter.Entry
	noted bool // guarded by host.mu
}

// watch makes gVisor tell the host about changes of e. n is who is told.
func (e *endpoint) watch(n notifiable) {
	e.entry = waiter.NewFunctionEntry(waiter.ReadableEvents|waiter.WritableEvents|waiter.EventErr|waiter.EventHUp,
		func(waiter.EventMask) { e.host.notify(n) })
	e.queue.EventRegister(&e.entry)
}

// note implements notifiable.
func (e *endpoint) note() bool {
	was := e.noted
	e.noted = true
	return !was
}

// seen lets the endpoint be noted again.
func (e *endpoint) seen() {
	e.host.mu.Lock()
	e.noted = false
	e.host.mu.Unlock()
}

func (e *endpoint) state() tcp.EndpointState { return tcp.EndpointState(e.ep.State()) }

// newEndpoint makes an endpoint for the family of an address. It is not watched
// yet.
func (h *Host) newEndpoint(family netip.Addr) (endpoint, error) {
	e := endpoint{host: h, queue: new(waiter.Queue)}
	if h.closed {
		return e, ErrClosed
	}
	ep, err := h.gvisor.NewEndpoint(tcp.ProtocolNumber, networkProtocol(family), e.queue)
	if err != nil {
		return e, wrap("new endpoint", err)
	}
	e.ep = ep
	if !family.Is4() {
		ep.SocketOptions().SetV6Only(true)
	}
	return e, nil
}

// plainAddrPort takes what this package does not need off an address: a zone,
// for there is one link only, and the IPv6 form of an IPv4 address.
func plainAddrPort(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// source returns the host's own address for packets to dst; the zero Addr if it
// has none.
func (h *Host) source(dst netip.Addr) netip.Addr {
	switch {
	case dst.Is4():
		return h.Addr()
	case dst.Is6() && h.inet6 != nil:
		return h.inet6.source(dst)
	}
	return netip.Addr{}
}

// hasRoute reports whether packets to dst have a next hop.
func (h *Host) hasRoute(dst netip.Addr) bool {
	if dst.Is4() {
		return h.cfg.Addr.Contains(dst) || h.cfg.Gateway.IsValid()
	}
	return h.inet6.nextHop(dst).IsValid()
}

// A Conn is a TCP connection as a byte stream. It reports through callbacks,
// which run on the loop and may call any method.
type Conn struct {
	endpoint
	remote      netip.AddrPort
	established bool
	ended       bool // OnClosed was called, or Close or Abort
	eof         bool // the peer has closed its direction
	shut        bool // CloseWrite was called
	released    bool // the endpoint is gVisor's alone
	full        bool // a Write took less than it was given

	readNow func() // made once, for enter
	chunk   tcpip.LimitedWriter
	readErr tcpip.Error

	onConnected func()
	onData      func([]byte)
	onClosed    func(error)
	onLost      func(error)
	onWritable  func()
	onReleased  func()
}

// Dial begins a connection. OnConnected or OnClosed tells how that ends. The
// error wraps ErrUnreachable if the host has no route to the address or no
// address of its own to use with it, such as before its first router
// advertisement.
func (h *Host) Dial(to netip.AddrPort) (*Conn, error) {
	op := fmt.Sprintf("dial %v", to)
	to = plainAddrPort(to)
	switch {
	case h.closed:
		return nil, &Error{Op: op, Err: ErrClosed}
	case !to.Addr().IsValid() || to.Port() == 0:
		return nil, &Error{Op: op, Err: fmt.Errorf("%v is no IP address with port", to)}
	case !h.source(to.Addr()).IsValid() || !h.hasRoute(to.Addr()):
		return nil, &Error{Op: op, Err: ErrUnreachable}
	}
	e, err := h.newEndpoint(to.Addr())
	if err != nil {
		return nil, &Error{Op: op, Err: err}
	}
	c := &Conn{endpoint: e, remote: to}
	c.start()
	var failed tcpip.Error
	h.enter(func() {
		if to.Addr().Is6() {
			// Which of several addresses is used is not left to gVisor.
			if failed = c.ep.Bind(endpointAddress(h.source(to.Addr()), 0)); failed != nil {
				return
			}
		}
		failed = c.ep.Connect(endpointAddress(to.Addr(), to.Port()))
	})
	if _, started := failed.(*tcpip.ErrConnectStarted); failed != nil && !started {
		c.end(h.closeEndpoint)
		return nil, wrap(op, failed)
	}
	return c, nil
}

func (c *Conn) start() {
	c.readNow = func() {
		var r tcpip.ReadResult
		if r, c.readErr = c.ep.Read(&c.chunk, tcpip.ReadOptions{}); c.readErr == nil {
			c.ep.ModerateRecvBuf(r.Count)
		}
	}
	c.watch(c)
	c.host.register(c)
	// What has arrived before this moment was noted for nobody.
	c.host.notify(c)
	c.host.wakeNotified()
}

// OnConnected sets what is called when a dialled connection is established.
func (c *Conn) OnConnected(fn func()) { c.onConnected = fn }

// OnData sets what is called with data that has arrived; the slice is the
// callee's until it returns. While fn is nil nothing is read, and the window
// closes.
func (c *Conn) OnData(fn func(data []byte)) {
	c.onData = fn
	if fn != nil && !c.released && !c.host.closed {
		c.host.notify(c)
		c.host.wakeNotified()
	}
}

// OnClosed sets what is called once when the peer has closed its direction
// (err is io.EOF, after all its data) or the connection is lost or was never
// made. It is not called after Close or Abort.
func (c *Conn) OnClosed(fn func(err error)) { c.onClosed = fn }

// OnLost sets what is called once when a connection whose peer had closed its
// direction, so that OnClosed was called, is lost afterwards.
func (c *Conn) OnLost(fn func(err error)) { c.onLost = fn }

// OnWritable sets what is called when there is room again after a Write that
// took less than it was given.
func (c *Conn) OnWritable(fn func()) { c.onWritable = fn }

// Remote returns the peer's address.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Local returns the connection's own address; its port is 0 when the connection
// is gone.
func (c *Conn) Local() netip.AddrPort {
	if c.released || c.host.closed {
		return netip.AddrPort{}
	}
	a, err := c.ep.GetLocalAddress()
	if err != nil {
		return netip.AddrPort{}
	}
	return fromGVisor(a)
}

// Write hands data to TCP and returns how many bytes it took: fewer when the
// send buffer is full, none when the connection is not established or is lost.
func (c *Conn) Write(data []byte) int {
	if c.released || c.host.closed || len(data) == 0 {
		return 0
	}
	var n int64
	r := bytes.NewReader(data)
	c.host.enter(func() { n, _ = c.ep.Write(r, tcpip.WriteOptions{}) })
	c.full = int(n) < len(data)
	return int(n)
}

// CloseWrite ends our direction: what was written is still sent, then FIN. The
// peer's goes on.
func (c *Conn) CloseWrite() {
	if c.released || c.host.closed {
		return
	}
	c.shut = true
	// A connection that is lost already says so by OnClosed or OnLost.
	c.host.enter(func() { _ = c.ep.Shutdown(tcpip.ShutdownWrite) })
}

// Close ends the stream: what was written is still sent, then FIN. If data has
// arrived that was not read, the connection is reset instead (RFC 2525 2.17).
func (c *Conn) Close() {
	if !c.released {
		c.end(c.host.closeEndpoint)
	}
}

// Abort ends the connection with RST and forgets what was not sent.
func (c *Conn) Abort() {
	if !c.released {
		c.end(c.host.abortEndpoint)
	}
}

// end gives the endpoint up. how closes it.
func (c *Conn) end(how func(tcpip.Endpoint)) {
	c.ended, c.released = true, true
	if c.onReleased != nil {
		c.onReleased()
	}
	if c.host.closed {
		return
	}
	c.queue.EventUnregister(&c.entry)
	c.host.unregister(c)
	how(c.ep)
}

func (h *Host) closeEndpoint(ep tcpip.Endpoint) { h.enter(ep.Close) }

// abortEndpoint resets a connection and frees the endpoint.
func (h *Host) abortEndpoint(ep tcpip.Endpoint) {
	h.enter(ep.Abort)
	h.enter(ep.Close)
}

// destroy implements closer.
func (c *Conn) destroy() {
	c.ended, c.released = true, true
	c.queue.EventUnregister(&c.entry)
	c.ep.Abort()
	c.ep.Close()
}

// ready implements notifiable.
func (c *Conn) ready() {
	c.seen()
	if c.released {
		return
	}
	if !c.established {
		switch s := c.state(); s {
		case tcp.StateInitial, tcp.StateBound, tcp.StateConnecting, tcp.StateSynSent, tcp.StateSynRecv:
			return
		case tcp.StateError, tcp.StateClose:
			c.lost(c.ep.LastError())
			return
		}
		c.established = true
		if c.onConnected != nil {
			c.onConnected()
		}
	}
	c.read()
	// A RST in CLOSE-WAIT closes (tcp/connect.go, handleReset), as our own FIN's ACK does.
	if s := c.state(); c.eof && !c.released && c.onLost != nil && (s == tcp.StateError || s == tcp.StateClose && !c.shut) {
		fn := c.onLost
		c.onLost = nil
		fn(wrap(fmt.Sprintf("connection to %v", c.remote), orAborted(c.ep.LastError())))
	}
	if c.full && (!c.ended || c.eof) && !c.released && c.ep.Readiness(waiter.WritableEvents) != 0 {
		c.full = false
		if c.onWritable != nil {
			c.onWritable()
		}
	}
}

// read hands out what has arrived until there is nothing more, nobody to take
// it, or the stream has ended.
func (c *Conn) read() {
	b := &c.host.readBuffer
	for c.onData != nil && !c.ended && !c.host.closed {
		b.Reset()
		c.chunk = tcpip.LimitedWriter{W: b, N: readChunk}
		c.host.enter(c.readNow)
		switch err := c.readErr; err.(type) {
		case nil:
			c.onData(b.Bytes())
		case *tcpip.ErrWouldBlock:
			return
		case *tcpip.ErrClosedForReceive:
			if s := c.state(); s == tcp.StateError {
				c.lost(c.ep.LastError())
				return
			}
			c.eof = true
			c.finish(io.EOF)
			return
		default:
			c.lost(err)
			return
		}
	}
	if c.onData == nil && !c.ended && c.state() == tcp.StateError {
		c.lost(c.ep.LastError())
	}
}

// lost ends the connection because gVisor has.
func (c *Conn) lost(err tcpip.Error) {
	c.finish(wrap(fmt.Sprintf("connection to %v", c.remote), orAborted(err)))
}

// orAborted is the cause of a lost connection, which gVisor may have forgotten.
func orAborted(err tcpip.Error) tcpip.Error {
	if err == nil {
		return &tcpip.ErrConnectionAborted{}
	}
	return err
}

func (c *Conn) finish(err error) {
	if c.ended {
		return
	}
	c.ended = true
	if c.onClosed != nil {
		c.onClosed(err)
	}
}
