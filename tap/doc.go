// Package tap is a Linux TAP interface as a link.Sink: the door between the
// loop of a run in real time and the network of the machine it runs on.
//
// It is not a host: nobody here answers ARP or ping. The kernel is one end of
// the interface, and whatever Sink is given to Start is the other. A TAP has no
// place in virtual time, where [Open] refuses; on systems other than Linux Open
// always does, so that programs build everywhere.
//
// # Who may call what
//
// Open and Start belong to the goroutine that will run the loop, before or
// while it runs; Put, SetCarrier, Counters and Close belong to it as well. The
// loop reads the interface itself, by Loop.Watch. While it has time it writes
// itself, too; while it does not sleep, a goroutine of the package's own writes,
// in the same order, which touches nothing but Config.Clock and Loop.Post.
//
// # What is counted, and when it is lost
//
// Frames from the kernel: Read = Delivered + Backlog + those on their way to
// the loop. What comes while the loop is busy waits in the kernel, whose queue
// has [MaxBacklog] frames where the interface was made by Open. Frames that the
// kernel dropped because it was full are counted at Close as KernelDropped, with
// an event of the reason tap_backlog whose value "frames" is exact; Backlog are
// those that were read when the run ended, and not given on.
//
// Frames to the kernel: Put = Written + WriteFailed + NoCarrier + those that wait
// to be written, at most 1024; after Close there are none. A frame that the kernel
// refuses, as it does while its interface is down, ends with the reason tap_write;
// one that is Put while the carrier is off, with link_down.
package tap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
)

// MaxBacklog bounds the frames that wait for the loop in the kernel, at an
// interface that Open made. Linux's own default, 1000, loses a sixth of a burst at
// 200,000 frames a second.
const MaxBacklog = 4096

// MaxNameLen is the longest name of a Linux interface, in bytes: IFNAMSIZ less
// the terminating zero.
const MaxNameLen = 15

// MTU limits: IPv4's minimum and Linux's for a TAP.
const (
	MinMTU = 68
	MaxMTU = 65521
)

// Config says which interface to open or create. Address and MAC are the
// kernel's, at the kernel's end.
type Config struct {
	// Name of the interface. If a TAP of this name exists, Open attaches to it
	// and changes only what Address, MAC and MTU ask for; it stays at Close.
	// Empty: a new one, which the kernel names.
	Name string
	// Address and prefix length of the kernel's end, such as 192.0.2.1/24.
	// Zero: none is added.
	Address netip.Prefix
	// Address6 is the same for IPv6, and switches it on. The kernel uses it at
	// once, without looking for a duplicate. Zero: none is added.
	Address6 netip.Prefix
	// MAC is the kernel's hardware address. Nil: as it is, random on a new one.
	MAC net.HardwareAddr
	// Layer3 makes it a TUN, whose kernel has packets and no frames: what it sends
	// comes behind an Ethernet header without addresses, and that of what it is given
	// is cut off. MAC must be nil then. Package tap/layer3 does the rest.
	Layer3 bool
	// MTU. 0: as it is, 1500 on a new one.
	MTU int
	// Namespace is where the interface is: a name as `ip netns` lists, or a
	// path with a slash such as /proc/1234/ns/net. Empty: the process's own.
	Namespace string
	// Persistent keeps a new interface at Close.
	Persistent bool
	// IPv6 leaves IPv6 switched on at a new interface. By default it is off,
	// because the kernel otherwise sends router solicitations and multicast
	// reports of its own into every run.
	IPv6 bool

	// Node and Stage name the interface in the trace. Empty: "tap" and the
	// interface's name.
	Node, Stage string

	Loop  *sim.Loop  // required, in real time
	Trace *trace.Log // may be nil
	// Clock returns the run's time by the real clock, from any goroutine: the
	// pacer's Now, once the pacer has started. Required.
	Clock func() sim.Time

	// Received, if set, is told of each frame from the kernel just before it is
	// given on, with the time read after the system call that returned it.
	Received func(f *link.Frame, at sim.Time)
	// Sent, if set, is told of each frame that the kernel took, with the time read
	// before the system call: the kernel may answer within it, and the answer be
	// read by another thread before it returns. It copies what it keeps.
	Sent func(f *link.Frame, at sim.Time)
}

// Validate returns an error for a Config that cannot work on any machine.
func (c *Config) Validate() error {
	switch {
	case c.Loop == nil || c.Clock == nil:
		return errors.New("tap: a config without Loop or Clock")
	case !c.Loop.RealTime():
		return errors.New("tap: a TAP needs real time, this run is in virtual time")
	case c.Address.IsValid() && !c.Address.Addr().Is4():
		return fmt.Errorf("tap: address %v is not IPv4", c.Address)
	case c.Address6.IsValid() && (!c.Address6.Addr().Is6() || c.Address6.Addr().Is4In6()):
		return fmt.Errorf("tap: address %v is not IPv6", c.Address6)
	case c.MAC != nil && c.Layer3:
		return errors.New("tap: a layer-3 interface has no Ethernet address")
	case c.MAC != nil && (len(c.MAC) != 6 || c.MAC[0]&1 != 0):
		return fmt.Errorf("tap: %q is not a unicast Ethernet address", c.MAC)
	case c.MTU != 0 && (c.MTU < MinMTU || c.MTU > MaxMTU):
		return fmt.Errorf("tap: mtu %d is not between %d and %d", c.MTU, MinMTU, MaxMTU)
	}
	return CheckName(c.Name)
}

// CheckName returns an error when Linux would not take the name for an
// interface. The empty name is valid: the kernel chooses one.
func CheckName(name string) error {
	switch {
	case len(name) > MaxNameLen:
		return fmt.Errorf("tap: interface name %q has %d bytes, Linux takes at most %d", name, len(name), MaxNameLen)
	case name == "." || name == ".." || strings.ContainsAny(name, "/:% \t\n\v\f\r\x00"):
		return fmt.Errorf("tap: interface name %q: Linux takes no slash, colon, percent sign or space in it", name)
	}
	return nil
}

// Counters count frames. See the package comment for how they add up.
type Counters struct {
	Read, Delivered, Backlog        uint64 // from the kernel
	KernelDropped                   uint64 // before they could be read; known after Close
	Put                             uint64 // to the kernel
	Written, WriteFailed, NoCarrier uint64
}
