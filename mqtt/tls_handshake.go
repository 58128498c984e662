package mqtt

// How the client and the server get to know each other. Reading list: netxduo
// nxd_mqtt_client.c (_nxd_mqtt_tcp_establish_process and
// _nxd_mqtt_tls_establish_process, of a non-blocking connect).

import (
	"fmt"
	"io"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/sim/taskconn"
	"hilnet/trace"
)

// start shakes hands, in the thread that calls it.
func (s *secureSocket) start(wait rtos.Ticks) Status {
	c, began := s.client, s.client.kernel.Loop().Now()
	s.wait, s.inThread = wait, !c.blocking
	s.shaking = true
	err := s.tls.Handshake()
	s.shaking = false
	s.release()
	if err != nil && s.gone() {
		s.conn.Take() // TCP is not this session's any more
	}
	if sent := s.flush(wait); err == nil && sent != Success {
		err = unsent(sent)
	}
	if s.abandoned&^eventDisconnected != 0 {
		s.broken = err
		return nic.NotConnected // TLS did not fail
	}
	if err != nil {
		f := s.diagnose(err)
		status := tlsStatus(f)
		if s.pullError != Success && f.Local && (f.Cause == taskconn.CauseClosed || f.Cause == taskconn.CauseTimeout) {
			status = s.pullError
		}
		s.broken = err
		c.tlsFailed(f, status)
		return status
	}
	s.up = true
	if s.inThread {
		c.events.Set(eventPacketReceive) // of what came behind the handshake the event was used up
	}
	state := s.tls.ConnectionState()
	c.emit(trace.Event{
		Kind: trace.KindTLS, Count: int64(c.kernel.Loop().Now().Sub(began)), Text: describe(state),
	})
	return Success
}

// fill gives crypto/tls the next record. During the handshake it waits for it,
// once what was written has been sent.
func (s *secureSocket) fill() error {
	s.release()
	if !s.up && s.broken == nil {
		if status := s.flush(s.wait); status != Success {
			return unsent(status)
		}
	}
	for {
		if n := s.whole(); n > 0 {
			s.feed(n)
			return nil
		}
		if s.up {
			return taskconn.ErrWouldBlock
		}
		switch status := s.handshakePull(); status {
		case Success:
		case nic.NoPacket:
			s.pullError = status
			return taskconn.ErrWouldBlock
		default:
			s.pullError = status
			return fmt.Errorf("%w: %v", io.ErrUnexpectedEOF, status)
		}
	}
}

// gone reports whether the attempt that the handshake belongs to is over.
func (s *secureSocket) gone() bool {
	return s.client.secure != s || s.client.state != StateConnecting
}

// handshakePull takes a segment of the handshake from TCP. The client's own
// thread, which shakes hands for a non-blocking SecureConnect, waits for events
// meanwhile, for one of them may end the attempt: NetX's thread is back in its
// loop between two segments (_nxd_mqtt_tls_establish_process).
func (s *secureSocket) handshakePull() Status {
	if !s.inThread {
		return s.pull(s.wait)
	}
	c, end := s.client, uint32(0)
	for !s.gone() {
		switch status := s.pull(rtos.NoWait); {
		case status == Success:
			c.events.Set(end) // first what came before it
			return Success
		case end != 0:
			s.abandoned = end
			c.events.Set(end)
			return nic.NotConnected
		case status != nic.NoPacket:
			return status
		}
		events, ok := c.events.Get(allEvents, true, true, rtos.WaitForever)
		if s.gone() {
			c.events.Set(events &^ eventPacketReceive)
		} else if end = events & (eventDelete | eventDisconnected); !ok {
			return nic.NotConnected
		}
	}
	s.abandoned = allEvents
	return nic.NotConnected
}
