package gateway

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"hilnet/stack"
	"hilnet/trace"
)

// A failure is why the machine did not connect, and how the device is told.
type failure struct {
	reason trace.DropReason
	icmp   stack.Unreachable // 0: by RST
	text   string
}

// failureOf translates an error of a dial.
func failureOf(err error) failure {
	text := err.Error()
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	var dns *net.DNSError
	switch {
	case is(errProhibited):
		return failure{trace.DropGatewayProhibited, stack.Prohibited, text}
	case is(syscall.EMFILE):
		return failure{trace.DropGatewayFiles, 0, text + ": this process may open no more files: raise ulimit -n"}
	case is(syscall.ENFILE):
		return failure{trace.DropGatewayFiles, 0, text + ": this machine has no more open files"}
	case is(syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN):
		return failure{trace.DropGatewayLimit, 0, text}
	case is(syscall.ECONNREFUSED, syscall.ECONNRESET):
		return failure{trace.DropGatewayRefused, 0, text}
	case is(syscall.EACCES, syscall.EPERM):
		return failure{trace.DropGatewayProhibited, stack.Prohibited, text}
	case is(syscall.ENETUNREACH, syscall.ENETDOWN):
		return failure{trace.DropGatewayUnreachable, stack.NetUnreachable, text}
	case errors.As(err, &dns), is(syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ETIMEDOUT, os.ErrDeadlineExceeded, context.DeadlineExceeded):
		return failure{trace.DropGatewayUnreachable, stack.HostUnreachable, text}
	}
	return failure{trace.DropGatewayUnreachable, stack.HostUnreachable, text}
}
