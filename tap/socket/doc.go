// Package socket is the door between the loop of a run in real time and an
// emulator that sends Ethernet frames over a unix socket: QEMU's -netdev stream
// and -netdev dgram. It needs no root, no TAP and no bridge.
//
// With [Stream] the emulator connects to our socket, and may go and come back; a
// frame has its length in front of it, in four bytes, as net/stream.c of QEMU
// writes it. With [Dgram] each side has a socket of its own, and a frame is a
// datagram.
//
// [SetLink] pulls and plugs the cable of a NIC inside QEMU, by its monitor (QMP).
//
// # Who may call what
//
// Open and Start belong to the goroutine that will run the loop, before or while
// it runs; Put, Counters and Close belong to it as well. Goroutines of the
// package's own accept and read; they touch nothing but what they share under a
// mutex, Config.Clock, Loop.Post and Loop.Cancel.
//
// # What is counted, and when it is lost
//
// Frames from the emulator: Read = Delivered + Backlog + Malformed + those on their
// way to the loop. Frames to it: Put = Written + Waiting + WriteFailed + Overflow +
// NoPeer. Each frame that goes no further has a drop event, except that a backlog
// is told of once a second at most, with the exact number in the value "frames".
package socket

import (
	"errors"
	"fmt"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
)

// Limits.
const (
	MaxBacklog      = 4096     // frames that wait, each way
	MaxBacklogBytes = 16 << 20 // their bytes
	// MaxFrame is the longest frame that is taken, QEMU's NET_BUFSIZE: a length
	// beyond it means that the other side does not speak this protocol.
	MaxFrame = 4096 + 65536
	// MinFrame is an Ethernet header.
	MinFrame = 14
	// MaxPath is the longest path of a unix socket on Linux, in bytes: sun_path less
	// the terminating zero.
	MaxPath = 107
)

// A Mode is how frames are marked off.
type Mode uint8

// The modes.
const (
	Stream Mode = iota + 1 // we listen at Path, the emulator connects
	Dgram                  // we are at Path, the emulator is at Remote
)

// Config says where the socket is.
type Config struct {
	Mode Mode
	// Path of our socket. One that a program left behind is replaced.
	Path string
	// Remote is the path of the emulator's socket, with Dgram.
	Remote string

	// Node and Stage name the socket in the trace. Empty: "socket" and its path.
	Node, Stage string

	Loop  *sim.Loop  // required, in real time
	Trace *trace.Log // may be nil
	// Clock returns the run's time by the real clock, from any goroutine. Required.
	Clock func() sim.Time

	// Received, if set, is told of each frame just before it is given on, with the
	// time read after the system call that returned it.
	Received func(f *link.Frame, at sim.Time)
	// Sent, if set, is told of each frame that the kernel took whole, with the time
	// read before the system call that took its last byte: the emulator may answer
	// before it returns. It copies what it keeps.
	Sent func(f *link.Frame, at sim.Time)
}

// Validate returns an error for a Config that cannot work on any machine.
func (c *Config) Validate() error {
	switch {
	case c.Loop == nil || c.Clock == nil:
		return errors.New("socket: a config without Loop or Clock")
	case !c.Loop.RealTime():
		return errors.New("socket: an emulator needs real time, this run is in virtual time")
	case c.Mode != Stream && c.Mode != Dgram:
		return fmt.Errorf("socket: mode %d is neither Stream nor Dgram", c.Mode)
	case c.Mode == Stream && c.Remote != "":
		return errors.New("socket: a stream has no remote path: the emulator connects to ours")
	}
	if err := CheckPath(c.Path); err != nil {
		return err
	}
	if c.Mode == Dgram {
		if c.Remote == c.Path {
			return fmt.Errorf("socket: both sides are at %q", c.Path)
		}
		return CheckPath(c.Remote)
	}
	return nil
}

// CheckPath returns an error when a unix socket cannot be there.
func CheckPath(path string) error {
	switch {
	case path == "":
		return errors.New("socket: a socket without a path")
	case len(path) > MaxPath:
		return fmt.Errorf("socket: the path %q has %d bytes, a unix socket takes at most %d", path, len(path), MaxPath)
	}
	return nil
}

// Counters count frames. See the package comment for how they add up.
type Counters struct {
	Read, Delivered, Backlog, Malformed                  uint64 // from the emulator
	Put, Written, Waiting, WriteFailed, Overflow, NoPeer uint64 // to the emulator
	Connections                                          uint64 // that came, with Stream
}
