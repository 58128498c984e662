//go:build !linux

package tap

import (
	"errors"
	"fmt"
	"runtime"

	"hilnet/link"
)

// A TAP is an open TAP interface; on this system there is none.
type TAP struct{ counters Counters }

// Open returns an error: this system has no TAP interfaces.
func Open(cfg Config) (*TAP, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("tap: open %q: TAP interfaces need Linux, this is %s; virtual time works here: %w",
		cfg.Name, runtime.GOOS, errors.ErrUnsupported)
}

// Name returns the interface's name.
func (t *TAP) Name() string { return "" }

// MTU returns the interface's MTU when it was opened.
func (t *TAP) MTU() int { return 0 }

// Attached reports whether the interface existed before Open.
func (t *TAP) Attached() bool { return false }

// Start begins to read.
func (t *TAP) Start(link.Sink) error { return errors.ErrUnsupported }

// Put releases the frame.
func (t *TAP) Put(f *link.Frame) { f.Release() }

// SetCarrier plugs the cable in or pulls it.
func (t *TAP) SetCarrier(bool) error { return errors.ErrUnsupported }

// Carrier reports whether the cable is plugged in.
func (t *TAP) Carrier() bool { return false }

// Counters returns the counters so far.
func (t *TAP) Counters() Counters { return t.counters }

// Close stops reading and closes the interface.
func (t *TAP) Close() error { return nil }

var _ link.Sink = (*TAP)(nil)
