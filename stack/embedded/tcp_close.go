package embedded

import (
	"net/netip"
	"slices"

	"hilnet/nic"
	"hilnet/sim/rtos"
)

// Reading list: nx_tcp_socket_disconnect.c, nx_tcp_socket_connection_reset.c,
// nx_tcp_socket_block_cleanup.c, nx_tcp_client_socket_unbind.c,
// nx_tcp_socket_delete.c, nx_tcp_connect_cleanup.c, nx_tcp_receive_cleanup.c,
// nx_tcp_transmit_cleanup.c, nx_tcp_socket_transmit_queue_flush.c,
// nx_tcp_socket_receive_queue_flush.c.

// Disconnect closes the connection. With a wait it sends a FIN, behind data
// that are not acknowledged yet too, and waits for the end of the handshake;
// when the wait ends first the connection is simply forgotten. Without one it
// sends a RST and returns InProgress.
func (s *TCPSocket) Disconnect(wait rtos.Ticks) nic.Status {
	ip := s.ip
	status := nic.Success
	patient := ip.mayWait(wait)
	shut := func() bool {
		switch {
		case s.state == SynSent || s.state == SynReceived:
			s.abandonOpening()
		case !patient:
			s.sendControl(flagRST, s.txSeq, 0, nil)
			s.blockCleanup()
			status = nic.InProgress
		default:
			to := FinWait1
			if s.state == CloseWait {
				to = LastAck
			}
			s.setState(to)
			if len(s.tx) == 0 {
				s.timeout, s.retries = int(ip.rates.fin), 0
			}
			s.txSeq++
			s.sendFIN(s.txSeq - 1)
			return true
		}
		s.disconnectFlush()
		return false
	}
	switch s.state {
	case Established, SynSent, SynReceived, CloseWait:
	default:
		return nic.NotConnected
	}
	if !patient {
		ip.protect(func() { shut() })
		return status
	}
	v, waited := s.disconnecting.do(wait, 0, shut)
	if waited {
		status = v.(nic.Status)
		ip.protect(func() {
			if s.state != TimeWait {
				s.blockCleanup()
			}
			s.disconnectFlush()
		})
	}
	return status
}

// abandonOpening gives up a connection that does not stand yet.
func (s *TCPSocket) abandonOpening() {
	if s.state == SynReceived && s.peer.IsValid() {
		s.txSeq++
		s.sendFIN(s.txSeq - 1)
	}
	if s.server {
		s.setState(Listening)
		s.rxSeq--
	} else {
		s.setState(Closed)
	}
	s.timeout = 0
}

// disconnectFlush is the end of nx_tcp_socket_disconnect.
func (s *TCPSocket) disconnectFlush() {
	s.flushTransmit()
	s.connecting.flush()
	s.receiving.flush()
	s.sending.flush()
}

// Unbind frees the port of a closed socket, and drops data not read.
func (s *TCPSocket) Unbind() nic.Status {
	var status nic.Status
	s.ip.protect(func() {
		if s.state == TimeWait {
			s.blockCleanup()
		}
		switch {
		case s.state != Closed:
			status = nic.NotClosed
		case !s.bound:
			status = nic.NotBound
		default:
			s.flushReceive()
			s.bound = false
		}
	})
	return status
}

// Delete ends a socket that is closed and not bound.
func (s *TCPSocket) Delete() nic.Status {
	switch {
	case s.deleted:
		return nic.NotCreated
	case s.bound || s.state != Closed:
		return nic.StillBound
	}
	s.deleted = true
	i := slices.Index(s.ip.sockets, s)
	s.ip.sockets = slices.Delete(s.ip.sockets, i, i+1)
	return nic.Success
}

// reset ends the connection on this side: a RST came, or the retries are used up.
func (s *TCPSocket) reset() {
	was := s.state
	s.blockCleanup()
	s.flushTransmit()
	s.receiving.flush()
	s.sending.flush()
	s.connecting.flush()
	s.disconnecting.flush()
	if (was == Established || was == SynSent) && s.onDisconnect != nil {
		s.onDisconnect()
	}
}

// blockCleanup forgets the connection, not the queues.
func (s *TCPSocket) blockCleanup() {
	s.peer = netip.AddrPort{}
	s.probe.armed = false
	s.timeout = 0
	s.dupAcks = 0
	s.recovery = false
	if s.server {
		s.setState(Listening)
	} else {
		s.setState(Closed)
	}
}

// connectCleanup is a connection attempt whose caller waits no longer.
func (s *TCPSocket) connectCleanup() nic.Status {
	s.timeout = 0
	if s.server {
		s.setState(Listening)
		s.rxSeq--
	} else {
		s.setState(Closed)
	}
	return nic.NotConnected
}

func (s *TCPSocket) receiveCleanup() nic.Status {
	if s.state != Established {
		return nic.NotConnected
	}
	return nic.NoPacket
}

func (s *TCPSocket) sendCleanup() nic.Status {
	switch {
	case s.state != Established:
		return nic.NotConnected
	case len(s.tx) < s.ip.profile.TCP.TxQueue:
		return nic.WindowOverflow
	}
	return nic.TxQueueDepth
}

// flushTransmit lets go of what was sent and not acknowledged. A packet that
// still waits for ARP is released by that queue.
func (s *TCPSocket) flushTransmit() {
	for _, seg := range s.tx {
		s.releaseSent(seg)
	}
	clear(s.tx)
	s.tx, s.outstanding = s.tx[:0], 0
}

// flushReceive drops what the application has not read.
func (s *TCPSocket) flushReceive() {
	for _, seg := range s.rx {
		s.ip.drop(seg.p, "tcp", DropFlushed)
	}
	clear(s.rx)
	s.rx = s.rx[:0]
}
