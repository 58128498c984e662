package stack

import (
	"errors"
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// What callers branch on. An [Error] wraps one of them when one fits.
var (
	ErrRefused     = errors.New("connection refused")
	ErrReset       = errors.New("connection reset by peer")
	ErrTimeout     = errors.New("timed out")
	ErrUnreachable = errors.New("host or network unreachable")
	ErrAborted     = errors.New("connection aborted")
	ErrInUse       = errors.New("address or port in use")
	ErrClosed      = errors.New("closed")
)

// An Error is what went wrong in the TCP/IP stack.
type Error struct {
	Op  string // what was being done, such as "connect 10.0.0.1:1883"
	Err error
}

// Error describes the failed operation.
func (e *Error) Error() string { return fmt.Sprintf("stack: %s: %v", e.Op, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// wrap is the one place where gVisor's errors become Go's. It returns nil for nil.
func wrap(op string, err tcpip.Error) error {
	var cause error
	switch err.(type) {
	case nil:
		return nil
	case *tcpip.ErrConnectionRefused:
		cause = ErrRefused
	case *tcpip.ErrConnectionReset:
		cause = ErrReset
	case *tcpip.ErrTimeout:
		cause = ErrTimeout
	case *tcpip.ErrHostUnreachable, *tcpip.ErrNetworkUnreachable, *tcpip.ErrHostDown, *tcpip.ErrNoNet:
		cause = ErrUnreachable
	case *tcpip.ErrConnectionAborted, *tcpip.ErrAborted:
		cause = ErrAborted
	case *tcpip.ErrPortInUse, *tcpip.ErrNoPortAvailable, *tcpip.ErrBadLocalAddress:
		cause = ErrInUse
	case *tcpip.ErrClosedForSend, *tcpip.ErrClosedForReceive, *tcpip.ErrNotConnected:
		cause = ErrClosed
	default:
		cause = errors.New(err.String())
	}
	return &Error{Op: op, Err: cause}
}
