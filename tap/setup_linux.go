package tap

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// dumpTries bounds the repetitions of a netlink dump that the kernel says it
// was interrupted in.
const dumpTries = 8

// namespace opens a network namespace by name or path; an empty name gives a
// closed handle.
func namespace(name string) (netns.NsHandle, error) {
	switch {
	case name == "":
		return netns.None(), nil
	case strings.Contains(name, "/"):
		ns, err := netns.GetFromPath(name)
		if err != nil {
			return netns.None(), fmt.Errorf("network namespace %s: %w", name, err)
		}
		return ns, nil
	}
	ns, err := netns.GetFromName(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return netns.None(), fmt.Errorf("no network namespace %q; create it: sudo ip netns add %s: %w", name, name, err)
	case err != nil:
		return netns.None(), fmt.Errorf("network namespace %q: %w", name, err)
	}
	return ns, nil
}

func closeNamespace(ns netns.NsHandle) {
	if ns.IsOpen() {
		_ = ns.Close() // nothing was written to it
	}
}

// inNamespace runs fn on a thread in the namespace. The thread is given back
// only when it has returned to where it was; otherwise it ends with its
// goroutine, so that no other code ever runs in the wrong namespace.
func inNamespace(ns netns.NsHandle, fn func() error) error {
	if !ns.IsOpen() {
		return fn()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			done <- fmt.Errorf("own network namespace: %w", err)
			return
		}
		defer closeNamespace(home)
		if err := netns.Set(ns); err != nil {
			runtime.UnlockOSThread() // the thread has not moved
			if errors.Is(err, unix.EPERM) {
				err = fmt.Errorf("%w; run with sudo", err)
			}
			done <- fmt.Errorf("enter the network namespace: %w", err)
			return
		}
		err = fn()
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// find reports whether an interface of that name exists, and refuses one that
// cannot be a TAP.
func find(name string) (bool, error) {
	if name == "" {
		return false, nil
	}
	l, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for the interface: %w", err)
	case l.Type() != "tuntap" && l.Type() != "tun":
		return false, fmt.Errorf("the interface exists and is a %s, not a TAP; choose another name", l.Type())
	}
	return true, nil
}

// The modes of an interface, as ip tuntap has them.
const (
	modeTAP = "tap"
	modeTUN = "tun"
)

// explainOpen says why there is no interface and what to do next.
func explainOpen(err error, name, mode string, exists bool) error {
	var ioctl *os.SyscallError
	inIoctl := errors.As(err, &ioctl)
	next := ""
	switch {
	case !inIoctl && errors.Is(err, fs.ErrNotExist):
		next = "there is no /dev/net/tun; load the driver with `sudo modprobe tun`, or start the container with --device /dev/net/tun"
	case !inIoctl && (errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO)):
		next = "the kernel has no TAP driver; load it with `sudo modprobe tun`"
	case !inIoctl && errors.Is(err, fs.ErrPermission):
		next = "this user may not open /dev/net/tun; run with sudo, or let everybody open it, as most systems do: sudo chmod 666 /dev/net/tun"
	case !inIoctl:
		next = "/dev/net/tun does not open"
	case errors.Is(err, unix.EPERM) && exists:
		next = "the interface belongs to another user; run with sudo, or choose another name"
	case errors.Is(err, unix.EPERM):
		if name == "" {
			name = "tap0"
		}
		next = fmt.Sprintf("this user may not create a TAP; run with sudo, or create it once: "+
			"sudo ip tuntap add dev %s mode %s user $USER && sudo ip link set %s up", name, mode, name)
	case errors.Is(err, unix.EBUSY):
		next = "another program has the interface open (`sudo fuser -v /dev/net/tun` names it); end it, or choose another name"
	case errors.Is(err, unix.EINVAL) && exists && mode == modeTUN:
		next = "the interface exists and is a TAP or has several queues, not a plain TUN; choose another name"
	case errors.Is(err, unix.EINVAL) && exists:
		next = "the interface exists and is a TUN or has several queues, not a plain TAP; choose another name"
	default:
		next = "the kernel refuses the interface"
	}
	return fmt.Errorf("%s: %w", next, err)
}

// configure brings the interface into the state that the Config asks for. What
// is so already is left alone, so that no rights are needed for it.
func (t *TAP) configure() error {
	l, err := netlink.LinkByName(t.name)
	if err != nil {
		return fmt.Errorf("find the interface: %w", err)
	}
	attrs := l.Attrs()
	if !t.attached {
		if err := netlink.LinkSetTxQLen(l, MaxBacklog); err != nil {
			return explainSet(err, "queue length", t.name, fmt.Sprintf("link set %s txqueuelen %d", t.name, MaxBacklog))
		}
	}
	if err := t.switchIPv6(); err != nil {
		return err
	}
	if t.cfg.MAC != nil && !bytes.Equal(attrs.HardwareAddr, t.cfg.MAC) {
		if err := netlink.LinkSetHardwareAddr(l, t.cfg.MAC); err != nil {
			return explainSet(err, "hardware address", t.name, fmt.Sprintf("link set %s address %s", t.name, t.cfg.MAC))
		}
	}
	t.mtu, t.index = attrs.MTU, attrs.Index
	if t.cfg.MTU != 0 && attrs.MTU != t.cfg.MTU {
		if err := netlink.LinkSetMTU(l, t.cfg.MTU); err != nil {
			return explainSet(err, "mtu", t.name, fmt.Sprintf("link set %s mtu %d", t.name, t.cfg.MTU))
		}
		t.mtu = t.cfg.MTU
	}
	if err := t.addAddress(l, t.cfg.Address, netlink.FAMILY_V4); err != nil {
		return err
	}
	if err := t.addAddress(l, t.cfg.Address6, netlink.FAMILY_V6); err != nil {
		return err
	}
	if attrs.RawFlags&unix.IFF_UP == 0 {
		if err := netlink.LinkSetUp(l); err != nil {
			return explainSet(err, "state up", t.name, fmt.Sprintf("link set %s up", t.name))
		}
	}
	if attrs.Statistics != nil {
		t.dropped0 = attrs.Statistics.TxDropped
	}
	return nil
}

// addAddress gives the interface an address, if it has not got it.
func (t *TAP) addAddress(l netlink.Link, want netip.Prefix, family int) error {
	if !want.IsValid() {
		return nil
	}
	var addrs []netlink.Addr
	var err error
	for range dumpTries {
		addrs, err = netlink.AddrList(l, family)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("addresses of the interface: %w", err)
	}
	for _, a := range addrs {
		if a.IPNet.String() == want.String() {
			return nil
		}
	}
	addr, err := netlink.ParseAddr(want.String())
	if err != nil {
		return fmt.Errorf("address %v: %w", want, err)
	}
	if family == netlink.FAMILY_V6 {
		addr.Flags = unix.IFA_F_NODAD // nobody answers for it before the run has begun
	}
	if err := netlink.AddrAdd(l, addr); err != nil && !errors.Is(err, unix.EEXIST) {
		return explainSet(err, "address "+want.String(), t.name, fmt.Sprintf("addr add %v dev %s", want, t.name))
	}
	return nil
}

// switchIPv6 keeps the kernel from sending of its own accord at an interface that
// we made, unless IPv6 is asked for; an address needs it on everywhere.
func (t *TAP) switchIPv6() error {
	want := "1"
	switch {
	case t.cfg.Address6.IsValid():
		want = "0"
	case t.attached || t.cfg.IPv6:
		return nil
	}
	path := filepath.Join("/proc/sys/net/ipv6/conf", t.name, "disable_ipv6")
	if is, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(is)) == want {
		return nil
	}
	err := os.WriteFile(path, []byte(want), 0)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist) && want == "1": // no file: a kernel without IPv6
		return nil
	case want == "0":
		return fmt.Errorf("switch IPv6 on at the interface: %w", err)
	}
	return fmt.Errorf("switch IPv6 off at the interface (where /proc/sys is read-only, ask for IPv6 to leave it on): %w", err)
}

// explainSet names what could not be set, and the command of ip that does it.
func explainSet(err error, what, name, command string) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("set %s of %s: %w; run with sudo, or once: sudo ip %s", what, name, err, command)
	}
	return fmt.Errorf("set %s of %s: %w", what, name, err)
}

// kernelDropped returns how many frames the kernel has dropped since Open
// because its queue to us was full. A deleted interface has no number.
func (t *TAP) kernelDropped() (n uint64, err error) {
	err = inNamespace(t.ns, func() error {
		l, err := netlink.LinkByName(t.name)
		var missing netlink.LinkNotFoundError
		if errors.As(err, &missing) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("statistics: %w", err)
		}
		if s := l.Attrs().Statistics; s != nil && l.Attrs().Index == t.index { // no other one of its name
			n = s.TxDropped - t.dropped0
		}
		return nil
	})
	return n, err
}
