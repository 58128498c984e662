//go:build !unix

package socket

import (
	"errors"
	"fmt"
	"runtime"

	"hilnet/link"
)

// A Socket is an open socket to an emulator; on this system there is none.
type Socket struct{ counters Counters }

// Open returns an error: this system has no unix sockets that we use.
func Open(cfg Config) (*Socket, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("socket: open %s: unix sockets are not used on %s: %w", cfg.Path, runtime.GOOS, errors.ErrUnsupported)
}

// Path returns the path of our socket.
func (s *Socket) Path() string { return "" }

// Connected reports whether an emulator is connected.
func (s *Socket) Connected() bool { return false }

// Start begins to read.
func (s *Socket) Start(link.Sink) error { return errors.ErrUnsupported }

// Put releases the frame.
func (s *Socket) Put(f *link.Frame) { f.Release() }

// Counters returns the counters so far.
func (s *Socket) Counters() Counters { return s.counters }

// Close does nothing.
func (s *Socket) Close() error { return nil }

var _ link.Sink = (*Socket)(nil)
