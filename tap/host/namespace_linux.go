package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Namespace is a network namespace that stays as long as it is open.
type Namespace struct {
	name      string
	handle    netns.NsHandle // closed: the process's own
	temporary bool           // it goes with this process and what that has started
}

// OpenNamespace opens a network namespace by its name, as in ip netns, or by a
// path with a slash. The empty name is the process's own.
func OpenNamespace(name string) (*Namespace, error) {
	n := &Namespace{name: name, handle: netns.None()}
	var err error
	switch {
	case name == "":
		return n, nil
	case strings.Contains(name, "/"):
		n.handle, err = netns.GetFromPath(name)
	default:
		n.handle, err = netns.GetFromName(name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("host: no network namespace %q; create it: sudo ip netns add %s: %w", name, name, err)
	case err != nil:
		return nil, fmt.Errorf("host: network namespace %q: %w", name, err)
	}
	return n, nil
}

// NewNamespace makes a network namespace without a name, with its loopback
// interface up. It goes when it is closed and nothing runs in it any more.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{name: "private", handle: netns.None(), temporary: true}
	err := onThread(func() (restore func() bool, err error) {
		home, err := netns.Get()
		if err != nil {
			return nil, err
		}
		restore = func() bool { defer home.Close(); return netns.Set(home) == nil }
		if n.handle, err = netns.New(); err != nil {
			return restore, err
		}
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		return restore, err
	})
	if err != nil {
		if n.handle.IsOpen() {
			_ = n.handle.Close() // the first error counts
		}
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w; run with sudo, or as `unshare -rn emu …`", err)
		}
		return nil, fmt.Errorf("host: make a network namespace: %w", err)
	}
	return n, nil
}

// onThread runs fn on a thread of its own, which is given back only when restore
// says that it is as before.
func onThread(fn func() (restore func() bool, err error)) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		restore, err := fn()
		if restore == nil || restore() {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Name returns the name that the namespace was opened by, or "private".
func (n *Namespace) Name() string { return n.name }

// Own reports whether it is the process's own namespace.
func (n *Namespace) Own() bool { return !n.handle.IsOpen() }

// Path returns a path by which this process can open the namespace again, empty
// for its own.
func (n *Namespace) Path() string {
	if n.Own() {
		return ""
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(n.handle))
}

// Do runs fn on a thread in the namespace.
func (n *Namespace) Do(fn func() error) error {
	if n.Own() {
		return fn()
	}
	return onThread(func() (func() bool, error) {
		home, err := netns.Get()
		if err != nil {
			return nil, fmt.Errorf("host: own network namespace: %w", err)
		}
		restore := func() bool { defer home.Close(); return netns.Set(home) == nil }
		if err := netns.Set(n.handle); err != nil {
			return restore, fmt.Errorf("host: enter the network namespace %s: %w", n.name, err)
		}
		return restore, fn()
	})
}

// Close gives the namespace up.
func (n *Namespace) Close() error {
	if n.Own() {
		return nil
	}
	return n.handle.Close()
}

// SetGateway makes a host the default gateway of the namespace, by an interface.
func (n *Namespace) SetGateway(gateway, name string) error {
	return n.Do(func() error {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.RouteReplace(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(gateway)})
		}
		if err != nil {
			return fmt.Errorf("host: default gateway %s by %s: %w", gateway, name, err)
		}
		return nil
	})
}
