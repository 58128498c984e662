package host

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// An item is one thing that is to be undone. The newest is undone first. It says
// which interface is meant, not only its name: by the time that somebody cleans up,
// the name may be another one's, of another namespace or of another user.
type item struct {
	Undo  string `json:"undo"`            // undoDelete or undoOut
	Name  string `json:"name"`            // of the interface
	Netns string `json:"netns,omitempty"` // what its namespace was opened by
	Space string `json:"space"`           // which namespace that was
	MAC   string `json:"mac"`             // of the interface; one that we made has it from us

	// With undoOut, how it was before.
	Bridge string `json:"bridge,omitempty"` // address of the bridge that it was put into
	Index  int    `json:"index,omitempty"`
	Down   bool   `json:"down,omitempty"`
	MTU    int    `json:"mtu,omitempty"`
	IPv6   bool   `json:"ipv6,omitempty"` // it was on
}

// What is done with an interface at the end.
const (
	undoDelete = "delete"
	undoOut    = "out" // of our bridge
)

// ownMAC returns the Ethernet address by which an interface that a run makes is
// known again: locally administered, unicast, and nobody else's.
func ownMAC(lease, name string) net.HardwareAddr {
	sum := sha256.Sum256([]byte("hilnet " + lease + " " + name))
	mac := net.HardwareAddr(sum[:6])
	mac[0] = mac[0]&0xfc | 2
	return mac
}

// undo undoes a lease, its processes first, and says what that was.
func undo(folder, id string) (done []string, err error) {
	items, err := readLease(folder)
	n, killErr := killMarked(RunVariable, id)
	if n > 0 {
		done = append(done, fmt.Sprintf("ended %d processes of a run that was killed", n))
	}
	errs := []error{err, killErr}
	for _, i := range slices.Backward(items) {
		did, err := i.undo()
		if err != nil {
			errs = append(errs, fmt.Errorf("host: clean up %s: %w", i.Name, err))
		}
		if did {
			done = append(done, i.String())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return done, err // the folder stays: the next one tries again
	}
	return done, os.RemoveAll(folder)
}

func (i item) String() string {
	if i.Undo == undoOut {
		return "took the interface " + i.Name + " out of its bridge"
	}
	return "deleted the interface " + i.Name
}

// undo reports whether there was anything to do.
func (i item) undo() (did bool, err error) {
	ns, err := findNamespace(i.Netns, i.Space)
	if ns == nil || err != nil {
		return false, err // without its namespace it has gone with what was in it
	}
	defer ns.Close()
	err = ns.Do(func() error {
		l, err := i.find()
		if l == nil || err != nil {
			return err
		}
		did = true
		if i.Undo == undoDelete {
			return netlink.LinkDel(l)
		}
		return i.giveBack(l)
	})
	return did, err
}

// find returns the interface if it is there still and is the one that is meant.
func (i item) find() (netlink.Link, error) {
	l, err := netlink.LinkByName(i.Name)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return nil, nil
	case err != nil:
		return nil, err
	case l.Attrs().HardwareAddr.String() != i.MAC:
		return nil, nil // another one of that name
	case i.Undo == undoDelete:
		return l, nil
	case l.Attrs().Index != i.Index || l.Attrs().MasterIndex == 0:
		return nil, nil // it was given back, or somebody else has taken it out
	}
	br, err := netlink.LinkByIndex(l.Attrs().MasterIndex)
	if err != nil || br.Attrs().HardwareAddr.String() != i.Bridge {
		return nil, err // somebody else's bridge
	}
	return l, nil
}

// giveBack takes an interface out of our bridge and leaves it as it was.
func (i item) giveBack(l netlink.Link) error {
	errs := []error{netlink.LinkSetNoMaster(l)}
	if i.Down {
		errs = append(errs, netlink.LinkSetDown(l))
	}
	if l.Attrs().MTU != i.MTU {
		errs = append(errs, netlink.LinkSetMTU(l, i.MTU))
	}
	if i.IPv6 {
		errs = append(errs, setIPv6(i.Name, true))
	}
	if !i.Down {
		errs = append(errs, netlink.LinkSetUp(l))
	}
	return errors.Join(errs...)
}

// switchIPv6 is the file that switches IPv6 off at an interface of the thread's
// namespace.
func switchIPv6(name string) string {
	return filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6")
}

// hasIPv6 reports whether IPv6 is on at an interface.
func hasIPv6(name string) bool {
	is, err := os.ReadFile(switchIPv6(name))
	return err == nil && strings.TrimSpace(string(is)) == "0"
}

// setIPv6 switches IPv6 at an interface: off, the kernel sends nothing there of its
// own accord.
func setIPv6(name string, on bool) error {
	if on == hasIPv6(name) {
		return nil // as it is, or a kernel without IPv6
	}
	value := map[bool]string{true: "0", false: "1"}[on]
	if err := os.WriteFile(switchIPv6(name), []byte(value), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("switch IPv6 at %s: %w", name, err)
	}
	return nil
}

// identity tells a namespace from all others that there are: device and inode of
// its file.
func identity(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino), nil
}

// identity of the namespace.
func (n *Namespace) identity() (string, error) {
	if n.Own() {
		return identity("/proc/thread-self/ns/net")
	}
	return identity(fmt.Sprintf("/proc/self/fd/%d", int(n.handle)))
}

// findNamespace opens the namespace of an identity; nil: there is none any more. It
// looks at the process's own, at what name stands for, at those with a name, and at
// those of all processes.
func findNamespace(name, space string) (*Namespace, error) {
	own, err := identity("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	if own == space {
		return OpenNamespace("")
	}
	candidates, _ := filepath.Glob("/run/netns/*")
	switch {
	case strings.Contains(name, "/"):
		candidates = append([]string{name}, candidates...)
	case name != "":
		candidates = append([]string{filepath.Join("/run/netns", name)}, candidates...)
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, path := range append(candidates, processes...) {
		if id, err := identity(path); err != nil || id != space {
			continue // gone, another user's, or another one
		}
		handle, err := netns.GetFromPath(path)
		if err != nil {
			continue // gone meanwhile
		}
		n := &Namespace{name: path, handle: handle}
		if id, err := n.identity(); err == nil && id == space {
			return n, nil
		}
		_ = handle.Close() // it was only looked at
	}
	return nil, nil
}
