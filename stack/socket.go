package stack

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// flow names the connection of a PacketSocket among those of its host.
type flow struct{ remote, local netip.AddrPort }

// phase is how far the connection of a PacketSocket is.
type phase uint8

const (
	idle        phase = iota + 1 // no connection, or one that ended by Disconnect
	connecting                   // SYN sent
	established                  // until a Disconnect; the peer may have closed its direction
	closing                      // a Disconnect waits for the end
	lost                         // ended by the peer or by a time-out
)

// A PacketSocket is a TCP client socket in the shape of NetX Duo's: what it
// sends and receives are packets of a pool. A packet that arrived is held by
// the socket from its arrival until Receive hands it out, in order, positioned
// at its payload; one that was sent, from Send until the peer has acknowledged
// its last byte.
//
// Methods that take a wait option are called by threads of the device's kernel,
// or by anybody with rtos.NoWait. The status codes are NetX's.
type PacketSocket struct {
	endpoint
	name  string
	phase phase
	flow  flow
	bound bool
	ended bool // Delete was called
	eof   bool // the peer has sent FIN

	rx receiveQueue
	tx sendQueue

	readers, writers, changes *rtos.WaitQueue

	onReceive, onDisconnect, onEstablish func()
}

// NewSocket returns an unconnected socket; name is the holder of its packets in
// reports. It panics on a host without pools: Attach comes first.
func (h *Host) NewSocket(name string) *PacketSocket {
	if h.nic == nil {
		panic(fmt.Sprintf("stack: host %q has no NIC with pools, so it has no packet sockets", h.cfg.Node))
	}
	return &PacketSocket{
		endpoint: endpoint{host: h}, name: name, phase: idle,
		readers: rtos.NewWaitQueue(h.kernel, name+" receive"),
		writers: rtos.NewWaitQueue(h.kernel, name+" send"),
		changes: rtos.NewWaitQueue(h.kernel, name+" connection"),
	}
}

// ReceiveNotify sets what is called when data has arrived in order. Like the
// other notifies it is called in interrupt context, and may only set event flags.
func (s *PacketSocket) ReceiveNotify(fn func()) { s.onReceive = fn }

// DisconnectNotify sets what is called when a connection was closed or reset by
// the peer, timed out, or did not come to be, other than by the end of Connect's
// wait.
func (s *PacketSocket) DisconnectNotify(fn func()) { s.onDisconnect = fn }

// EstablishNotify sets what is called when a connection is established.
func (s *PacketSocket) EstablishNotify(fn func()) { s.onEstablish = fn }

// Connect binds an ephemeral port and connects; the result is IPAddressError
// if the host has no address from which the server can be reached. With NoWait it returns
// InProgress; EstablishNotify tells of the end if it is a good one.
func (s *PacketSocket) Connect(server netip.AddrPort, wait rtos.Ticks) nic.Status {
	server = plainAddrPort(server)
	switch {
	case s.ended || s.host.closed:
		return nic.NotCreated
	case s.phase != idle && s.phase != lost:
		return nic.NotClosed
	case server.Addr().IsUnspecified() || s.host.isBroadcast(server.Addr()) || !s.host.source(server.Addr()).IsValid() || !s.host.hasRoute(server.Addr()):
		return nic.IPAddressError
	case server.Port() == 0:
		return nic.InvalidPort
	}
	s.host.interrupt(s.forget)
	if status := s.open(server); status != nic.Success {
		return status
	}
	limit := newDeadline(s.host.kernel, wait)
	for s.phase == connecting {
		if wait == rtos.NoWait {
			return nic.InProgress
		}
		if _, ok := s.changes.Suspend(limit.left()); !ok && s.phase == connecting {
			s.abandon(s.host.abortEndpoint)
		}
	}
	if s.phase != established {
		return nic.NotConnected
	}
	return nic.Success
}

// open makes the endpoint and sends the SYN.
func (s *PacketSocket) open(server netip.AddrPort) nic.Status {
	h := s.host
	e, err := h.newEndpoint(server.Addr())
	if err != nil {
		return nic.NotCreated
	}
	s.ep, s.queue = e.ep, e.queue
	s.ep.SocketOptions().SetSendBufferSize(sendBuffer, false)
	var failed tcpip.Error
	var local tcpip.FullAddress
	h.enter(func() {
		if failed = s.ep.Bind(endpointAddress(h.source(server.Addr()), 0)); failed == nil {
			local, failed = s.ep.GetLocalAddress()
		}
	})
	if failed != nil {
		s.discardEndpoint(h.closeEndpoint)
		return nic.NoFreePorts
	}
	s.flow = flow{server, fromGVisor(local)}
	s.rx, s.tx = receiveQueue{}, sendQueue{}
	s.phase, s.bound, s.eof = connecting, true, false
	h.sockets[s.flow] = s
	h.register(s)
	s.watch(s)
	h.enter(func() { failed = s.ep.Connect(endpointAddress(server.Addr(), server.Port())) })
	if _, started := failed.(*tcpip.ErrConnectStarted); !started && failed != nil && s.phase == connecting {
		s.abandon(h.closeEndpoint)
		return nic.IPAddressError
	}
	return nic.Success
}

// Disconnect ends the connection. With NoWait it sends RST; otherwise FIN, and
// waits until the peer has closed as well. If that takes longer the connection
// is reset and the result is DisconnectFailed.
func (s *PacketSocket) Disconnect(wait rtos.Ticks) nic.Status {
	switch s.phase {
	case connecting:
		s.abandon(s.host.abortEndpoint)
		return nic.Success
	case established:
	default:
		return nic.NotConnected
	}
	if wait == rtos.NoWait {
		s.abandon(s.host.abortEndpoint)
		return nic.Success
	}
	s.phase = closing
	s.host.enter(func() { s.ep.Shutdown(tcpip.ShutdownWrite) })
	s.ready()
	limit := newDeadline(s.host.kernel, wait)
	for s.phase == closing {
		if _, ok := s.changes.Suspend(limit.left()); !ok && s.phase == closing {
			s.abandon(s.host.abortEndpoint)
			return nic.DisconnectFailed
		}
	}
	return nic.Success
}

// Unbind gives the port back and releases packets that were not received.
func (s *PacketSocket) Unbind() nic.Status {
	switch {
	case !s.bound:
		return nic.NotBound
	case s.phase != idle && s.phase != lost:
		return nic.NotClosed
	}
	s.bound = false
	s.host.interrupt(s.forget)
	return nic.Success
}

// Delete ends the life of an unbound socket.
func (s *PacketSocket) Delete() nic.Status {
	switch {
	case s.ended:
		return nic.NotCreated
	case s.bound:
		return nic.StillBound
	}
	s.ended = true
	return nic.Success
}

// Local returns the connection's own address, or that of the last one.
func (s *PacketSocket) Local() netip.AddrPort { return s.flow.local }

// ready implements notifiable: it looks where gVisor's endpoint stands.
func (s *PacketSocket) ready() {
	s.seen()
	if s.ep == nil {
		return
	}
	state := s.state()
	gone := state == tcp.StateError || state == tcp.StateClose
	switch s.phase {
	case connecting:
		switch {
		case gone:
			s.event(fmt.Sprintf("no connection to %v: %v", s.flow.remote, wrap("connect", s.ep.LastError())))
			s.lose()
			call(s.onDisconnect)
		case state == tcp.StateEstablished || state == tcp.StateCloseWait:
			s.phase = established
			s.event(fmt.Sprintf("connected to %v", s.flow.remote))
			s.changes.Wake(nil)
			call(s.onEstablish)
		}
	case closing:
		if gone || state == tcp.StateTimeWait {
			// gVisor would reset a connection that is closed with data unread.
			if unread := int(s.rx.next - s.rx.taken); unread > 0 && !gone {
				s.host.enter(func() { discard(s.ep, unread) })
			}
			s.abandon(s.host.closeEndpoint)
		}
	}
	if s.phase != established {
		return
	}
	switch {
	case gone:
		s.event(fmt.Sprintf("connection to %v lost: %v", s.flow.remote, wrap("receive", s.ep.LastError())))
		s.lose()
		call(s.onDisconnect)
	case state == tcp.StateCloseWait && !s.eof:
		s.eof = true
		s.event(fmt.Sprintf("closed by %v", s.flow.remote))
		s.readers.Flush()
		call(s.onDisconnect)
	}
}

func call(fn func()) {
	if fn != nil {
		fn()
	}
}

func (s *PacketSocket) event(text string) {
	s.host.trace.Emit(trace.Event{Kind: trace.KindTCP, Node: s.host.cfg.Node, Stage: s.name, Text: text})
}

// lose ends a connection that gVisor has given up. Data that arrived in order
// may still be received.
func (s *PacketSocket) lose() {
	s.phase = lost
	s.forgetGaps()
	s.drop(s.host.closeEndpoint)
}

// abandon ends the connection from this side.
func (s *PacketSocket) abandon(how func(tcpip.Endpoint)) {
	s.phase = idle
	s.host.interrupt(func() {
		s.forget()
		s.drop(how)
	})
}

// drop gives the endpoint up and ends all waiting.
func (s *PacketSocket) drop(how func(tcpip.Endpoint)) {
	s.tx.release()
	s.host.unregister(s)
	s.discardEndpoint(how)
	delete(s.host.sockets, s.flow)
	s.readers.Flush()
	s.writers.Flush()
	s.changes.Flush()
}

func (s *PacketSocket) discardEndpoint(how func(tcpip.Endpoint)) {
	if s.ep == nil {
		return
	}
	ep := s.ep
	s.ep = nil
	s.queue.EventUnregister(&s.entry)
	how(ep)
}

// destroy implements closer.
func (s *PacketSocket) destroy() {
	s.phase = lost
	s.rx.release()
	s.tx.release()
	delete(s.host.sockets, s.flow)
	s.discardEndpoint(func(ep tcpip.Endpoint) {
		ep.Abort()
		ep.Close()
	})
	s.readers.Flush()
	s.writers.Flush()
	s.changes.Flush()
}

// deadline is the end of a wait that may take several suspensions.
type deadline struct {
	kernel  *rtos.Kernel
	forever bool
	end     rtos.Ticks
}

func newDeadline(k *rtos.Kernel, wait rtos.Ticks) deadline {
	return deadline{k, wait == rtos.WaitForever, k.Now() + wait}
}

// left returns what is left of the wait; NoWait when it is over.
func (d deadline) left() rtos.Ticks {
	if d.forever {
		return rtos.WaitForever
	}
	if left := d.end - d.kernel.Now(); int32(left) > 0 {
		return left
	}
	return rtos.NoWait
}
