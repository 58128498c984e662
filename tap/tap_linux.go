package tap

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/songgao/water"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// noFile is a descriptor that is not open.
const noFile = -1

// minFrame is an Ethernet header: the kernel takes nothing shorter.
const minFrame = 14

// A TAP is an open TAP interface. Put sends a frame to the kernel.
type TAP struct {
	cfg      Config
	name     string
	mtu      int
	index    int
	attached bool           // it was there before us
	ns       netns.NsHandle // where it is; closed: the process's own
	dropped0 uint64         // frames that the kernel had dropped before us

	cut int // bytes of a frame that its interface has not got
	fd  int // not in the runtime's poller, which would be woken by each frame, too

	// The loop's.
	next      link.Sink
	watching  bool
	noCarrier bool
	closed    bool
	counters  Counters
	reader    reader
	writer    writer
}

// Open opens the interface that cfg describes, or creates it, and brings it up.
// Nothing is read before Start.
func Open(cfg Config) (*TAP, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	ns, err := namespace(cfg.Namespace)
	if err != nil {
		return nil, fmt.Errorf("tap: open %q: %w", cfg.Name, err)
	}
	t := &TAP{cfg: cfg, ns: ns, fd: noFile}
	if cfg.Layer3 {
		t.cut = wire.EthernetHeaderLen
	}
	if err := inNamespace(ns, t.open); err != nil {
		if t.fd != noFile {
			err = errors.Join(err, unix.Close(t.fd))
		}
		closeNamespace(ns)
		return nil, fmt.Errorf("tap: open %q: %w", cfg.Name, err)
	}
	if t.cfg.Node == "" {
		t.cfg.Node = "tap"
	}
	if t.cfg.Stage == "" {
		t.cfg.Stage = t.name
	}
	return t, nil
}

// open runs in the interface's namespace.
func (t *TAP) open() error {
	found, err := find(t.cfg.Name)
	if err != nil {
		return err
	}
	t.attached = found
	if err := t.openFile(); err != nil {
		return err
	}
	return t.configure()
}

// openFile opens the interface's file. water does not mark it close-on-exec, so
// no process may be forked before we have: the interface would outlive Close in
// a child that knows nothing of it.
func (t *TAP) openFile() error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	deviceType, mode := water.DeviceType(water.TAP), modeTAP
	if t.cfg.Layer3 {
		deviceType, mode = water.TUN, modeTUN
	}
	ifc, err := water.New(water.Config{
		DeviceType: deviceType,
		PlatformSpecificParams: water.PlatformSpecificParams{
			Name: t.cfg.Name,
			// water sets the flag either way; an interface that waits for us
			// exists only because it has it.
			Persist: t.cfg.Persistent || t.attached,
		},
	})
	if err != nil {
		return explainOpen(err, t.cfg.Name, mode, t.attached)
	}
	file, ok := ifc.ReadWriteCloser.(*os.File)
	if !ok {
		return errors.Join(fmt.Errorf("the interface is a %T, not a file", ifc.ReadWriteCloser), ifc.Close())
	}
	t.name = ifc.Name()
	raw, err := file.SyscallConn()
	if err == nil {
		var failed error
		err = raw.Control(func(fd uintptr) { t.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
		err = errors.Join(err, failed)
	}
	return errors.Join(err, file.Close())
}

// Name returns the interface's name.
func (t *TAP) Name() string { return t.name }

// MTU returns the interface's MTU when it was opened.
func (t *TAP) MTU() int { return t.mtu }

// Attached reports whether the interface existed before Open.
func (t *TAP) Attached() bool { return t.attached }

// Start begins to read: frames from the kernel go to next, on the loop.
func (t *TAP) Start(next link.Sink) error {
	if t.next != nil || t.closed {
		return fmt.Errorf("tap: %s was started before", t.name)
	}
	t.next, t.watching = next, true
	return t.reader.start(t)
}

func (t *TAP) unwatch() {
	if t.watching {
		t.watching = false
		t.cfg.Loop.Unwatch(t.fd)
	}
}

// Put sends a frame to the kernel and releases it.
func (t *TAP) Put(f *link.Frame) {
	t.counters.Put++
	switch {
	case t.closed:
		t.refuse(f, &t.counters.WriteFailed, trace.DropTapWrite, "the interface is closed")
		return
	case t.noCarrier:
		t.refuse(f, &t.counters.NoCarrier, trace.DropLinkDown, "no carrier")
		return
	case len(f.Data) < minFrame:
		t.refuse(f, &t.counters.WriteFailed, trace.DropTapWrite, "shorter than an Ethernet header")
		return
	}
	if !t.byLoop() {
		t.hand(f)
		return
	}
	at := t.cfg.Clock() // in front of any answer
	t.wrote(f, at, t.write(f.Data[t.cut:]))
}

// wrote ends the way of a frame that began to be written at a moment, or was not.
func (t *TAP) wrote(f *link.Frame, at sim.Time, err error) {
	if err != nil {
		t.refuse(f, &t.counters.WriteFailed, trace.DropTapWrite, explainWrite(err))
		return
	}
	t.counters.Written++
	if t.cfg.Sent != nil {
		t.cfg.Sent(f, at)
	}
	f.Release()
}

// write never waits for room: that would stop the loop.
func (t *TAP) write(data []byte) error {
	for {
		if _, err := unix.Write(t.fd, data); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// refuse ends the way of a frame that the kernel does not get.
func (t *TAP) refuse(f *link.Frame, counter *uint64, reason trace.DropReason, text string) {
	*counter++
	t.cfg.Trace.Emit(trace.Event{
		Kind: trace.KindDrop, Node: t.cfg.Node, Stage: t.cfg.Stage, Frame: f.ID,
		Reason: reason, Len: len(f.Data), Text: text,
	})
	f.Release()
}

// SetCarrier plugs the cable in or pulls it: the kernel sees its carrier go, and
// keeps addresses and routes, unlike when the interface is set down. Frames the
// kernel had queued for us before still arrive.
func (t *TAP) SetCarrier(on bool) error {
	value := 0
	if on {
		value = 1
	}
	if t.closed {
		return fmt.Errorf("tap: carrier of %s: the interface is closed", t.name)
	}
	t.flush() // what was sent before is on the cable
	if err := unix.IoctlSetPointerInt(t.fd, unix.TUNSETCARRIER, value); err != nil {
		return fmt.Errorf("tap: carrier of %s: %w", t.name, err)
	}
	t.noCarrier = !on
	return nil
}

// Carrier reports whether the cable is plugged in.
func (t *TAP) Carrier() bool { return !t.noCarrier }

// Counters returns the counters so far.
func (t *TAP) Counters() Counters {
	c := t.counters
	c.Read, c.Backlog = t.reader.read, t.reader.lost
	return c
}

func (t *TAP) emitLost(frames uint64, text string) {
	t.cfg.Trace.Emit(trace.Event{
		Kind: trace.KindDrop, Node: t.cfg.Node, Stage: t.cfg.Stage, Reason: trace.DropTapBacklog,
		Text: text, Values: []trace.Value{{Name: "frames", N: int64(frames)}},
	})
}

// Close stops reading and closes the interface, which goes with it unless it is
// persistent or was there before. Frames that had not reached the loop are
// counted and reported as lost to the backlog. It may be called again.
func (t *TAP) Close() error {
	if t.closed {
		return nil
	}
	var errs []error
	kernelDropped, err := t.kernelDropped()
	if err != nil {
		errs = append(errs, err)
	}
	t.unwatch()
	t.stopWriter()
	t.closed = true
	errs = append(errs, unix.Close(t.fd))
	closeNamespace(t.ns)
	if undelivered := t.reader.abandon(); undelivered > 0 {
		t.emitLost(undelivered, "the run ended before the loop took them")
	}
	if t.counters.KernelDropped = kernelDropped; kernelDropped > 0 {
		t.emitLost(kernelDropped, "the kernel dropped them in front of the TAP: its queue was full, or the carrier off")
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("tap: close %s: %w", t.name, err)
	}
	return nil
}

// explainWrite names what the kernel's refusal means.
func explainWrite(err error) string {
	switch {
	case errors.Is(err, unix.EIO):
		return "the kernel's interface is down"
	case errors.Is(err, unix.EBADFD):
		return "the kernel's interface is gone"
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
		return "the kernel has no room: " + err.Error()
	}
	return err.Error()
}

var _ link.Sink = (*TAP)(nil)
