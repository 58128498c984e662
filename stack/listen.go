package stack

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// DefaultBacklog is the backlog of a listener that does not say.
const DefaultBacklog = 1024

// minBacklog keeps gVisor from SYN cookies, which lose the peer's options, as
// long as few connections are half open.
const minBacklog = 16

// A Listener takes connections to a port of a Host, by IPv4 and by IPv6.
type Listener struct {
	families []*familyListener
}

// familyListener is a Listener's endpoint for one version of IP.
type familyListener struct {
	endpoint
	accept func(*Conn)
}

// Listen takes connections to port and hands each to accept, on the loop.
// It listens on the IPv4 address and on every IPv6 address, future ones too.
// backlog bounds those that wait to be accepted, half-open ones included; 0
// means DefaultBacklog.
func (h *Host) Listen(port uint16, backlog int, accept func(*Conn)) (*Listener, error) {
	op := fmt.Sprintf("listen on port %d", port)
	if port == 0 || accept == nil || backlog < 0 {
		return nil, &Error{Op: op, Err: fmt.Errorf("port %d, backlog %d", port, backlog)}
	}
	if backlog == 0 {
		backlog = DefaultBacklog
	}
	var families []netip.Addr
	if h.cfg.hasIPv4() {
		families = append(families, h.Addr())
	}
	if h.inet6 != nil {
		families = append(families, netip.IPv6Unspecified())
	}
	l := new(Listener)
	for _, addr := range families {
		f, err := h.listen(op, addr, port, backlog, accept)
		if err != nil {
			l.Close()
			return nil, err
		}
		l.families = append(l.families, f)
	}
	return l, nil
}

// listen listens on an address, or on all of IPv6.
func (h *Host) listen(op string, addr netip.Addr, port uint16, backlog int, accept func(*Conn)) (*familyListener, error) {
	e, err := h.newEndpoint(addr)
	if err != nil {
		return nil, &Error{Op: op, Err: err}
	}
	l := &familyListener{endpoint: e, accept: accept}
	// As every server does, so that a restart does not wait for TIME_WAIT.
	l.ep.SocketOptions().SetReuseAddress(true)
	bind := tcpip.FullAddress{Port: port}
	if !addr.IsUnspecified() {
		bind.Addr = toGVisor(addr)
	}
	var failed tcpip.Error
	h.enter(func() {
		if failed = l.ep.Bind(bind); failed == nil {
			failed = l.ep.Listen(max(backlog, minBacklog))
		}
	})
	if failed != nil {
		h.enter(l.ep.Close)
		return nil, wrap(op, failed)
	}
	l.watch(l)
	h.register(l)
	return l, nil
}

// Close stops listening. Connections that were accepted stay; those that were
// not are reset.
func (l *Listener) Close() {
	for _, f := range l.families {
		f.close()
	}
}

func (l *familyListener) close() {
	if l.ep == nil || l.host.closed {
		return
	}
	ep := l.ep
	l.ep = nil
	l.queue.EventUnregister(&l.entry)
	l.host.unregister(l)
	// gVisor resets what waits to be accepted in the order of a map.
	l.host.sortSent = true
	l.host.enter(ep.Close)
	l.host.sortSent = false
}

// destroy implements closer.
func (l *familyListener) destroy() {
	if l.ep != nil {
		l.queue.EventUnregister(&l.entry)
		l.ep.Abort()
	}
}

// ready implements notifiable.
func (l *familyListener) ready() {
	l.seen()
	for l.ep != nil && !l.host.closed {
		var peer tcpip.FullAddress
		e := endpoint{host: l.host}
		var err tcpip.Error
		l.host.enter(func() { e.ep, e.queue, err = l.ep.Accept(&peer) })
		if err != nil || e.ep == nil {
			return
		}
		c := &Conn{endpoint: e, remote: fromGVisor(peer), established: true}
		c.start()
		l.accept(c)
	}
}
