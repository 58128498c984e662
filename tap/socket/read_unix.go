//go:build unix

package socket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// accept lets in one emulator at a time.
func (s *Socket) accept() {
	defer s.readers.Done()
	for {
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			if !s.quitting() {
				s.cfg.Loop.Cancel(fmt.Errorf("socket: accept at %s: %w", s.cfg.Path, err))
			}
			return
		}
		if !s.serve(conn) {
			return
		}
	}
}

// serve reads what one emulator sends, until it or we end it. The loop knows of
// the connection before anything is read, and of its end before the next one.
func (s *Socket) serve(conn *net.UnixConn) (more bool) {
	known := make(chan struct{})
	s.tell(s.in.note(func() { s.joined(conn); close(known) }))
	if !s.await(known) {
		_ = conn.Close() // it was never used
		return false
	}
	err := s.readStream(conn)
	if s.quitting() {
		return false
	}
	gone := make(chan struct{})
	s.tell(s.in.note(func() { s.parted(conn, err); close(gone) }))
	return s.await(gone)
}

// await waits until the loop has done what it was told of, and tells it again as
// long as it has too much to do to be told. It reports false when the socket closes.
func (s *Socket) await(done <-chan struct{}) bool {
	for {
		select {
		case <-done:
			return true
		case <-s.quit:
			return false
		case <-time.After(tellEvery):
			s.tell(s.in.forgotten())
		}
	}
}

func (s *Socket) quitting() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// readStream returns why the connection ended, nil when the emulator ended it.
func (s *Socket) readStream(conn *net.UnixConn) error {
	var split Splitter
	buf := make([]byte, readBytes)
	var at sim.Time
	take := func(frame []byte) { s.arrived(frame, at) }
	for {
		n, err := conn.Read(buf)
		at = s.cfg.Clock()
		if bad := split.Feed(buf[:n], take); bad != nil {
			return bad
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (s *Socket) readDgrams() {
	defer s.readers.Done()
	buf := make([]byte, MaxFrame+1)
	for {
		n, err := s.conn.Read(buf)
		at := s.cfg.Clock()
		switch {
		case s.quitting():
			return
		case err != nil:
			s.cfg.Loop.Cancel(fmt.Errorf("socket: read %s: %w", s.cfg.Path, err))
			return
		}
		s.arrived(buf[:n], at)
	}
}

func (s *Socket) arrived(frame []byte, at sim.Time) { s.tell(s.in.put(frame, at)) }

// tell has the loop look into the inbox.
func (s *Socket) tell(needed bool) {
	if needed && !s.cfg.Loop.Post(s.deliverF) {
		s.in.untold()
	}
}

// deliver runs on the loop.
func (s *Socket) deliver() {
	all := s.in.take()
	for i, a := range all {
		if s.closed {
			s.in.abandon(all[i:])
			break
		}
		switch {
		case a.event != nil:
			a.event()
		case len(a.frame.Data) < MinFrame || len(a.frame.Data) > MaxFrame:
			s.refuse(a.frame, &s.counters.Malformed, trace.DropMalformed, "what came from the socket is no Ethernet frame")
		default:
			s.counters.Delivered++
			if s.cfg.Received != nil {
				s.cfg.Received(a.frame, a.at)
			}
			s.next.Put(a.frame)
		}
	}
	clear(all)
	if !s.closed {
		s.reportLost()
	}
}

// joined begins a connection.
func (s *Socket) joined(conn *net.UnixConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		panic(fmt.Sprintf("socket: a connection without a descriptor: %v", err))
	}
	s.conn, s.raw = conn, raw
	s.counters.Connections++
	s.edge("an emulator has connected")
}

// parted ends a connection.
func (s *Socket) parted(conn *net.UnixConn, err error) {
	text := "the emulator has closed its connection"
	if err != nil {
		text = "the connection to the emulator ended: " + err.Error()
	}
	s.edge(text)
	s.leave(text)
	_ = conn.Close() // nobody reads or writes it any more
}

func (s *Socket) edge(text string) {
	s.cfg.Trace.Emit(trace.Event{Kind: trace.KindEdge, Node: s.cfg.Node, Stage: s.cfg.Stage, Text: text})
}

// abandon counts and releases frames that were taken and not delivered.
func (b *inbox) abandon(rest []arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range rest {
		if a.frame != nil {
			b.lost++
			a.frame.Release()
		}
	}
}
