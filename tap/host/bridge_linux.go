package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Bridge joins a TAP of ours to an interface that somebody else has: the TAP
// that an emulator opens, or the NIC that a board is at. It is made for a run.
type Bridge struct {
	lease *Lease
	ns    *Namespace
	name  string // of the bridge
	ours  string // of our TAP, which the caller opens
	other string // the other port
}

// bridges counts those of this process.
var bridges atomic.Int64

// NewBridge makes a bridge in a namespace, with nothing in it. Our TAP, of the
// name that Ours returns, and the other interface are added by Join.
func NewBridge(lease *Lease, ns *Namespace) (*Bridge, error) {
	n := bridges.Add(1)
	tag := fmt.Sprintf("%d-%d", os.Getpid()%1000000, n%1000)
	b := &Bridge{lease: lease, ns: ns, name: "hb" + tag, ours: "ht" + tag}
	if err := b.note(item{Undo: "delete", Name: b.name}); err != nil {
		return nil, err
	}
	err := ns.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = b.name
		off := false
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off}); err != nil {
			return explain(err, "make a bridge", "load the driver with `sudo modprobe bridge`")
		}
		if err := quiet(b.name); err != nil {
			return err
		}
		l, err := netlink.LinkByName(b.name)
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("host: bridge: %w", err), b.Close())
	}
	return b, nil
}

// note writes down what is to be undone, unless it goes with its namespace.
func (b *Bridge) note(i item) error {
	if !b.ns.Own() && (b.ns.name == "private" || strings.Contains(b.ns.name, "/")) {
		return nil
	}
	i.Netns = b.ns.name
	return b.lease.note(i)
}

// explain names what the kernel did not do, and the next step.
func explain(err error, what, missing string) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s: %w; run with sudo, or as `unshare -rn emu …`", what, err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%s: %w; %s", what, err, missing)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// quiet keeps the kernel from sending at an interface of its own accord.
func quiet(name string) error {
	err := os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6"), []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("switch IPv6 off at %s: %w", name, err)
	}
	return nil
}

// Ours returns the name that our TAP must have.
func (b *Bridge) Ours() string { return b.ours }

// Name returns the bridge's name.
func (b *Bridge) Name() string { return b.name }

// JoinTAP makes sure that there is a TAP of that name, which an emulator opens,
// with an owner, and adds it. One that was there before is given back at the end.
func (b *Bridge) JoinTAP(name string, owner int, mtu int) error {
	return b.ns.Do(func() error {
		l, err := netlink.LinkByName(name)
		var missing netlink.LinkNotFoundError
		switch {
		case errors.As(err, &missing):
			if err := b.note(item{Undo: "delete", Name: name}); err != nil {
				return err
			}
			if l, err = addTAP(name, owner); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("host: look for the interface %s: %w", name, err)
		case l.Type() != "tuntap" && l.Type() != "tun":
			return fmt.Errorf("host: the interface %s exists and is a %s, not a TAP; choose another name", name, l.Type())
		case l.Attrs().MasterIndex != 0:
			return fmt.Errorf("host: the TAP %s is in a bridge already; take it out: sudo ip link set %s nomaster", name, name)
		default:
			if err := b.note(item{Undo: "out", Name: name, Down: l.Attrs().RawFlags&unix.IFF_UP == 0}); err != nil {
				return err
			}
		}
		if mtu > 0 && l.Attrs().MTU != mtu {
			if err := netlink.LinkSetMTU(l, mtu); err != nil {
				return fmt.Errorf("host: mtu of %s: %w", name, err)
			}
		}
		return b.join(l)
	})
}

// JoinNIC adds the interface that a board is at. It is refused when this machine
// uses it.
func (b *Bridge) JoinNIC(name string) error {
	return b.ns.Do(func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("host: the interface %s: %w; ip -br link lists what there is", name, err)
		}
		if err := lendable(l); err != nil {
			return err
		}
		if err := b.note(item{Undo: "out", Name: name, Down: l.Attrs().RawFlags&unix.IFF_UP == 0}); err != nil {
			return err
		}
		return b.join(l)
	})
}

// JoinOurs adds our TAP, when it is open.
func (b *Bridge) JoinOurs() error {
	return b.ns.Do(func() error {
		l, err := netlink.LinkByName(b.ours)
		if err != nil {
			return fmt.Errorf("host: our TAP: %w", err)
		}
		return b.add(l)
	})
}

func (b *Bridge) join(l netlink.Link) error {
	b.other = l.Attrs().Name
	if err := quiet(b.other); err != nil {
		return err
	}
	return b.add(l)
}

func (b *Bridge) add(l netlink.Link) error {
	br, err := netlink.LinkByName(b.name)
	if err == nil {
		err = netlink.LinkSetMasterByIndex(l, br.Attrs().Index)
	}
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	if err != nil {
		return explain(err, fmt.Sprintf("host: put %s into the bridge", l.Attrs().Name), "it cannot be in one")
	}
	return nil
}

// SetOther sets the other interface up or down. Down, an emulator that writes to
// its TAP gets EIO, and a board sees its carrier go where the NIC's driver
// switches its transmitter off.
func (b *Bridge) SetOther(up bool) error {
	return b.ns.Do(func() error {
		l, err := netlink.LinkByName(b.other)
		if err == nil && up {
			err = netlink.LinkSetUp(l)
		} else if err == nil {
			err = netlink.LinkSetDown(l)
		}
		if err != nil {
			return fmt.Errorf("host: set %s %s: %w", b.other, map[bool]string{true: "up", false: "down"}[up], err)
		}
		return nil
	})
}

// Close removes the bridge and gives back what was lent. It may be called again.
func (b *Bridge) Close() error {
	err := b.ns.Do(func() error {
		l, err := netlink.LinkByName(b.name)
		var missing netlink.LinkNotFoundError
		if errors.As(err, &missing) {
			return nil
		}
		if err == nil {
			err = netlink.LinkDel(l)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("host: remove the bridge %s: %w", b.name, err)
	}
	return nil
}

// lendable returns why this machine needs an interface itself, or nil.
func lendable(l netlink.Link) error {
	a := l.Attrs()
	refuse := func(why, next string) error {
		return fmt.Errorf("host: the interface %s %s: this machine uses it; %s", a.Name, why, next)
	}
	switch {
	case a.Flags&net.FlagLoopback != 0:
		return fmt.Errorf("host: %s is the loopback interface: no board is at it", a.Name)
	case a.MasterIndex != 0:
		return refuse("is in a bridge or bond", "sudo ip link set "+a.Name+" nomaster, or choose another one")
	case isWireless(a.Name):
		return fmt.Errorf("host: %s is a wireless interface, which cannot be bridged; use a wired one", a.Name)
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		addrs, err := netlink.AddrList(l, family)
		if err != nil {
			return fmt.Errorf("host: addresses of %s: %w", a.Name, err)
		}
		for _, addr := range addrs {
			if family == netlink.FAMILY_V4 || !addr.IP.IsLinkLocalUnicast() {
				return refuse("has the address "+addr.IPNet.String(), fmt.Sprintf("sudo ip addr flush dev %s when nothing needs it", a.Name))
			}
		}
		routes, err := netlink.RouteList(l, family)
		if err != nil {
			return fmt.Errorf("host: routes of %s: %w", a.Name, err)
		}
		for _, r := range routes {
			if r.Dst == nil || r.Dst.IP.IsUnspecified() {
				return refuse("carries the default route", "choose another one")
			}
		}
	}
	return nil
}

func isWireless(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name, "wireless"))
	return err == nil
}
