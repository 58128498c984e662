package mqtt_test

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
)

// A hostSocket is an mqtt.Socket on a TCP socket of this machine. It runs on a
// paced loop only.
type hostSocket struct {
	loop   *sim.Loop
	kernel *rtos.Kernel
	pool   *nic.Pool

	conn             net.Conn // nil: none
	generation       int
	rx               []*nic.Packet
	readers, dialers *rtos.WaitQueue
	goroutines       sync.WaitGroup
	done             chan struct{} // closed when the loop has stopped

	receive, disconnect, establish func()
}

func newHostSocket(loop *sim.Loop, kernel *rtos.Kernel, pool *nic.Pool) *hostSocket {
	return &hostSocket{
		loop: loop, kernel: kernel, pool: pool, done: make(chan struct{}),
		readers: rtos.NewWaitQueue(kernel, "data"), dialers: rtos.NewWaitQueue(kernel, "TCP"),
	}
}

func (s *hostSocket) ReceiveNotify(fn func())    { s.receive = fn }
func (s *hostSocket) DisconnectNotify(fn func()) { s.disconnect = fn }
func (s *hostSocket) EstablishNotify(fn func())  { s.establish = fn }

func (s *hostSocket) Connect(server netip.AddrPort, wait rtos.Ticks) nic.Status {
	s.generation++
	generation := s.generation
	s.goroutines.Add(1)
	go func() {
		defer s.goroutines.Done()
		conn, err := net.DialTimeout("tcp", server.String(), 5*time.Second)
		s.loop.Post(func() {
			switch {
			case s.generation != generation:
				if err == nil {
					_ = conn.Close() // nobody waits for it any more
				}
			case err != nil:
				s.dialers.Wake(false)
			default:
				s.conn = conn
				s.goroutines.Add(1)
				go s.read(conn, generation)
				s.establish()
				s.dialers.Wake(true)
			}
		})
	}()
	if wait == rtos.NoWait {
		return nic.InProgress
	}
	if up, ok := s.dialers.Suspend(wait); !ok || !up.(bool) {
		s.generation++
		return nic.NotConnected
	}
	return nic.Success
}

// read carries what arrives into the pool, piece by piece: the next one is read
// when there was room for the last.
func (s *hostSocket) read(conn net.Conn, generation int) {
	defer s.goroutines.Done()
	for {
		b := make([]byte, 200)
		n, err := conn.Read(b)
		stored := make(chan struct{})
		if n > 0 && s.loop.Post(func() { s.store(b[:n], generation, stored) }) {
			select {
			case <-stored:
			case <-s.done:
			}
		}
		if err != nil {
			s.loop.Post(func() { s.ended(generation) })
			return
		}
	}
}

func (s *hostSocket) store(b []byte, generation int, stored chan struct{}) {
	if s.generation != generation {
		close(stored)
		return
	}
	p, status := s.pool.Allocate(nic.Receive, rtos.NoWait)
	if status == nic.Success {
		if status = p.Append(b, s.pool, rtos.NoWait); status != nic.Success {
			p.Release()
		}
	}
	if status != nic.Success {
		s.loop.After(10*time.Millisecond, func() { s.store(b, generation, stored) })
		return
	}
	close(stored)
	if !s.readers.Wake(p) {
		s.rx = append(s.rx, p)
		s.receive()
	}
}

// ended is the peer's end of the connection.
func (s *hostSocket) ended(generation int) {
	if s.generation == generation {
		s.readers.Flush()
		s.disconnect()
	}
}

func (s *hostSocket) Send(p *nic.Packet, _ rtos.Ticks) nic.Status {
	if s.conn == nil {
		return nic.NotConnected
	}
	if _, err := s.conn.Write(p.AppendTo(nil)); err != nil {
		return nic.NotConnected
	}
	p.Release()
	return nic.Success
}

func (s *hostSocket) Receive(wait rtos.Ticks) (*nic.Packet, nic.Status) {
	if len(s.rx) > 0 {
		p := s.rx[0]
		s.rx = s.rx[1:]
		return p, nic.Success
	}
	if s.conn == nil {
		return nil, nic.NotConnected
	}
	p, ok := s.readers.Suspend(wait)
	if !ok {
		return nil, nic.NoPacket
	}
	return p.(*nic.Packet), nic.Success
}

func (s *hostSocket) Disconnect(wait rtos.Ticks) nic.Status {
	s.generation++
	for _, p := range s.rx {
		p.Release()
	}
	s.rx = nil
	if s.conn == nil {
		return nic.NotConnected
	}
	if tcp, ok := s.conn.(*net.TCPConn); ok && wait == rtos.NoWait {
		_ = tcp.SetLinger(0) // a RST; if that fails it is a FIN
	}
	_ = s.conn.Close() // the connection is over either way
	s.conn = nil
	return nic.Success
}

func (s *hostSocket) Unbind() nic.Status { return nic.Success }
func (s *hostSocket) Delete() nic.Status { return nic.Success }

// close waits for the goroutines; the loop has stopped.
func (s *hostSocket) close() {
	close(s.done)
	s.Disconnect(rtos.NoWait)
	s.goroutines.Wait()
}
