//go:build unix

package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
)

const (
	reportEvery = time.Second      // least time between two events about a backlog
	retryEvery  = time.Millisecond // how often room is looked for at a socket that was full
	tellEvery   = 10 * time.Millisecond
	readBytes   = 256 << 10
)

// A Socket is an open socket to an emulator. Put sends it a frame.
type Socket struct {
	cfg      Config
	listener *net.UnixListener // with Stream
	in       inbox
	deliverF func()
	readers  sync.WaitGroup
	quit     chan struct{}

	// The loop's.
	next     link.Sink
	conn     *net.UnixConn // of the emulator that is connected; with Dgram always ours
	raw      syscall.RawConn
	closed   bool
	counters Counters
	reported uint64
	reportAt sim.Time
	report   *sim.Timer

	queue      []*link.Frame // that wait for room, the oldest first
	queueBytes int
	rest       []byte // of the oldest one, what the kernel has not taken yet
	retry      *sim.Timer
	buffer     []byte // what write writes
	wrote      int
	writeErr   error
	writeFn    func(uintptr) bool
	remote     *unix.SockaddrUnix
}

// Open makes the socket. Nothing is read, and nobody let in, before Start.
func Open(cfg Config) (*Socket, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Node == "" {
		cfg.Node = "socket"
	}
	if cfg.Stage == "" {
		cfg.Stage = cfg.Path
	}
	s := &Socket{cfg: cfg, quit: make(chan struct{})}
	if err := removeStale(cfg.Path); err != nil {
		return nil, err
	}
	var err error
	if cfg.Mode == Stream {
		s.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: cfg.Path, Net: "unix"})
		s.writeFn = s.writeStream
	} else {
		s.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: cfg.Path, Net: "unixgram"})
		s.writeFn, s.remote = s.writeDgram, &unix.SockaddrUnix{Name: cfg.Remote}
		if err == nil {
			s.raw, err = s.conn.SyscallConn()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("socket: open %s: %w", cfg.Path, err)
	}
	s.deliverF = s.deliver
	s.report, s.retry = cfg.Loop.NewTimer(s.reportLost), cfg.Loop.NewTimer(s.flush)
	return s, nil
}

// removeStale removes the socket of a program that is gone. One that somebody
// serves, and what is no socket, stays and is an error.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("socket: %w", err)
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("socket: %s exists and is no socket; choose another path", path)
	}
	for _, network := range []string{"unix", "unixgram"} {
		c, err := net.Dial(network, path)
		if err == nil {
			return errors.Join(fmt.Errorf("socket: another program has %s open; end it, or choose another path", path), c.Close())
		}
		if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EPROTOTYPE) {
			return fmt.Errorf("socket: look who is at %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("socket: remove what is left of another program: %w", err)
	}
	return nil
}

// Path returns the path of our socket.
func (s *Socket) Path() string { return s.cfg.Path }

// Connected reports whether an emulator is connected. With Dgram nobody knows.
func (s *Socket) Connected() bool { return s.conn != nil }

// Start begins to read: frames from the emulator go to next, on the loop.
func (s *Socket) Start(next link.Sink) error {
	if s.next != nil || s.closed {
		return fmt.Errorf("socket: %s was started before", s.cfg.Path)
	}
	s.next = next
	s.readers.Add(1)
	if s.cfg.Mode == Stream {
		go s.accept()
	} else {
		go s.readDgrams()
	}
	return nil
}

// Put sends a frame to the emulator and releases it.
func (s *Socket) Put(f *link.Frame) {
	s.counters.Put++
	switch {
	case s.closed:
		s.refuse(f, &s.counters.WriteFailed, trace.DropSocketWrite, "the socket is closed")
	case len(f.Data) < MinFrame:
		s.refuse(f, &s.counters.WriteFailed, trace.DropSocketWrite, "shorter than an Ethernet header")
	case len(f.Data) > MaxFrame:
		s.refuse(f, &s.counters.WriteFailed, trace.DropSocketWrite, "longer than QEMU takes")
	case s.conn == nil:
		s.refuse(f, &s.counters.NoPeer, trace.DropSocketClosed, "no emulator is connected")
	case len(s.queue) >= MaxBacklog || s.queueBytes+len(f.Data) > MaxBacklogBytes:
		s.refuse(f, &s.counters.Overflow, trace.DropSocketBacklog, "the emulator does not read")
	default:
		s.queue = append(s.queue, f)
		s.queueBytes += len(f.Data)
		if len(s.queue) == 1 {
			s.flush()
		}
	}
}

// flush sends what waits, as far as the kernel takes it.
func (s *Socket) flush() {
	for len(s.queue) > 0 && s.conn != nil {
		f := s.queue[0]
		if s.rest == nil {
			s.buffer = s.buffer[:0]
			if s.cfg.Mode == Stream {
				s.buffer = binary.BigEndian.AppendUint32(s.buffer, uint32(len(f.Data)))
			}
			s.buffer = append(s.buffer, f.Data...)
			s.rest = s.buffer
		}
		at := s.cfg.Clock() // in front of any answer
		err := s.raw.Write(s.writeFn)
		if err == nil {
			err = s.writeErr
		}
		s.rest = s.rest[s.wrote:]
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS), err == nil && len(s.rest) > 0:
			s.retry.ResetAfter(retryEvery)
			return
		case err == nil:
			s.counters.Written++
			if s.cfg.Sent != nil {
				s.cfg.Sent(f, at)
			}
			s.pop(f)
			f.Release()
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
			s.pop(f)
			s.refuse(f, &s.counters.NoPeer, trace.DropSocketClosed, "no emulator is at the other side")
			if s.cfg.Mode == Stream {
				return // the reader tells of the connection's end
			}
		default:
			s.pop(f)
			s.refuse(f, &s.counters.WriteFailed, trace.DropSocketWrite, err.Error())
		}
	}
}

func (s *Socket) pop(f *link.Frame) {
	s.queue = append(s.queue[:0], s.queue[1:]...)
	s.queueBytes -= len(f.Data)
	s.rest = nil
}

// writeStream is given the descriptor by the runtime. It always says that it is
// done: a Put that waited for room would stop the loop.
func (s *Socket) writeStream(fd uintptr) bool {
	s.wrote, s.writeErr = 0, nil
	for s.wrote < len(s.rest) && s.writeErr == nil {
		n, err := unix.SendmsgN(int(fd), s.rest[s.wrote:], nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if err == nil {
			s.wrote += n
		} else if !errors.Is(err, unix.EINTR) {
			s.writeErr = err
		}
	}
	return true
}

// writeDgram is writeStream for a datagram, which is sent whole or not at all.
func (s *Socket) writeDgram(fd uintptr) bool {
	for s.wrote = 0; ; {
		s.writeErr = unix.Sendto(int(fd), s.rest, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, s.remote)
		if s.writeErr == nil {
			s.wrote = len(s.rest)
		}
		if !errors.Is(s.writeErr, unix.EINTR) {
			return true
		}
	}
}

// refuse ends the way of a frame that the emulator does not get.
func (s *Socket) refuse(f *link.Frame, counter *uint64, reason trace.DropReason, text string) {
	*counter++
	s.cfg.Trace.Emit(trace.Event{
		Kind: trace.KindDrop, Node: s.cfg.Node, Stage: s.cfg.Stage, Frame: f.ID,
		Reason: reason, Len: len(f.Data), Text: text,
	})
	f.Release()
}

// Counters returns the counters so far.
func (s *Socket) Counters() Counters {
	c := s.counters
	c.Read, c.Backlog = s.in.counts()
	c.Waiting = uint64(len(s.queue))
	return c
}

// reportLost says how many frames were lost to the backlog since the last time.
func (s *Socket) reportLost() {
	_, lost := s.in.counts()
	if lost == s.reported {
		return
	}
	now := s.cfg.Loop.Now()
	if now < s.reportAt && !s.closed {
		if !s.report.Armed() {
			s.report.Reset(s.reportAt)
		}
		return
	}
	s.cfg.Trace.Emit(trace.Event{
		Kind: trace.KindDrop, Node: s.cfg.Node, Stage: s.cfg.Stage, Reason: trace.DropSocketBacklog,
		Text: "the loop did not keep up", Values: []trace.Value{{Name: "frames", N: int64(lost - s.reported)}},
	})
	s.reported, s.reportAt = lost, now.Add(reportEvery)
}

// leave ends what the loop knows of a connection.
func (s *Socket) leave(text string) {
	s.rest = nil
	for _, f := range s.queue {
		s.refuse(f, &s.counters.NoPeer, trace.DropSocketClosed, text)
	}
	s.queue, s.queueBytes = nil, 0
	s.conn, s.raw = nil, nil
	s.retry.Stop()
}

// Close closes the socket and removes it. It may be called again.
func (s *Socket) Close() error {
	if s.closed {
		return nil
	}
	close(s.quit)
	var errs []error
	if s.listener != nil {
		errs = append(errs, s.listener.Close()) // removes the path too
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	s.leave("the run has ended")
	s.closed = true
	s.readers.Wait()
	if s.cfg.Mode == Dgram {
		errs = append(errs, os.Remove(s.cfg.Path))
	}
	s.in.close()
	s.report.Stop()
	s.reportLost()
	if err := errors.Join(errs...); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("socket: close %s: %w", s.cfg.Path, err)
	}
	return nil
}

var _ link.Sink = (*Socket)(nil)
