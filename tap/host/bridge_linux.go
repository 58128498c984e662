package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Bridge joins a TAP of ours to an interface that somebody else has: the TAP
// that an emulator opens, or the NIC that a board is at. It is made for a run.
type Bridge struct {
	lease *Lease
	ns    *Namespace
	space string // which namespace that is
	name  string // of the bridge
	mac   net.HardwareAddr
	ours  string // of our TAP, which the caller opens
	other string // the other port
	had   uint64 // frames that the kernel had dropped in front of it before
	lent  *item  // how that one is given back; nil: it was made for us
}

// nameTries is how many names are tried for a bridge: a process in another PID
// namespace may have our number.
const nameTries = 16

// bridges counts those of this process.
var bridges atomic.Int64

// NewBridge makes a bridge in a namespace, with nothing in it. Our TAP, of the
// name that Ours returns, and the other interface are added by Join.
func NewBridge(lease *Lease, ns *Namespace) (*Bridge, error) {
	b := &Bridge{lease: lease, ns: ns}
	var err error
	if b.space, err = ns.identity(); err != nil {
		return nil, fmt.Errorf("host: bridge: %w", err)
	}
	for range nameTries {
		tag := fmt.Sprintf("%d-%d", os.Getpid()%1000000, bridges.Add(1)%1000)
		b.name, b.ours = "hb"+tag, "ht"+tag
		b.mac = ownMAC(lease.id, b.name)
		if err = b.note(item{Undo: undoDelete, Name: b.name, MAC: b.mac.String()}); err != nil {
			return nil, err
		}
		if err = ns.Do(b.make); !errors.Is(err, unix.EEXIST) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("host: bridge: %w", err), b.Close())
	}
	return b, nil
}

// make makes the bridge, in its namespace.
func (b *Bridge) make() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = b.name, b.mac
	off := false
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off}); err != nil {
		return explain(err, "make a bridge", "load the driver with `sudo modprobe bridge`")
	}
	if err := setIPv6(b.name, false); err != nil {
		return err
	}
	if err := muteARP(b.name); err != nil {
		return err
	}
	l, err := netlink.LinkByName(b.name)
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	return err
}

// muteARP keeps this machine from answering, at the bridge, for the addresses that it
// has elsewhere, as Linux does: a device that asks for the broker's would get two
// answers where this machine has the same one.
func muteARP(name string) error {
	const nothing = "8" // ip-sysctl, arp_ignore: do not reply for all local addresses
	err := os.WriteFile(filepath.Join("/proc/sys/net/ipv4/conf", name, "arp_ignore"), []byte(nothing), 0)
	if err != nil {
		return fmt.Errorf("keep this machine from answering ARP at %s: %w", name, err)
	}
	return nil
}

// note writes down what is to be undone, unless it goes with its namespace.
func (b *Bridge) note(i item) error {
	if b.ns.temporary {
		return nil
	}
	i.Netns, i.Space = b.ns.name, b.space
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
			mac := ownMAC(b.lease.id, name)
			if err := b.note(item{Undo: undoDelete, Name: name, MAC: mac.String()}); err != nil {
				return err
			}
			if l, err = addTAP(name, owner, mac); err != nil {
				return err
			}
			return b.join(l, mtu)
		case err != nil:
			return fmt.Errorf("host: look for the interface %s: %w", name, err)
		case l.Type() != "tuntap" && l.Type() != "tun":
			return fmt.Errorf("host: the interface %s exists and is a %s, not a TAP; choose another name", name, l.Type())
		case l.Attrs().MasterIndex != 0:
			return fmt.Errorf("host: the TAP %s is in a bridge already; take it out: sudo ip link set %s nomaster", name, name)
		}
		if err := losesIPv6(l); err != nil {
			return err
		}
		return b.borrow(l, mtu)
	})
}

// JoinNIC adds the interface that a board is at, for packets of at least an MTU. It
// is refused when this machine uses it.
func (b *Bridge) JoinNIC(name string, mtu int) error {
	return b.ns.Do(func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("host: the interface %s: %w; ip -br link lists what there is", name, err)
		}
		if err := lendable(l); err != nil {
			return err
		}
		if l.Attrs().MTU >= mtu {
			mtu = 0
		}
		return b.borrow(l, mtu)
	})
}

// borrow adds an interface that is given back at the end.
func (b *Bridge) borrow(l netlink.Link, mtu int) error {
	a := l.Attrs()
	i := item{
		Undo: undoOut, Name: a.Name, MAC: a.HardwareAddr.String(), Bridge: b.mac.String(), Index: a.Index,
		Down: a.RawFlags&unix.IFF_UP == 0, MTU: a.MTU, IPv6: hasIPv6(a.Name),
	}
	if err := b.note(i); err != nil {
		return err
	}
	b.lent = &i
	return b.join(l, mtu)
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

// join adds the other port. In the bridge it comes first: that is what tells later
// that the rest is to be undone.
func (b *Bridge) join(l netlink.Link, mtu int) error {
	b.other = l.Attrs().Name
	if s := l.Attrs().Statistics; s != nil {
		b.had = s.TxDropped
	}
	if err := b.enslave(l); err != nil {
		return err
	}
	if mtu > 0 && l.Attrs().MTU != mtu {
		if err := netlink.LinkSetMTU(l, mtu); err != nil {
			return fmt.Errorf("host: mtu of %s: %w", b.other, err)
		}
	}
	if err := setIPv6(b.other, false); err != nil {
		return fmt.Errorf("host: %w", err)
	}
	return b.up(l)
}

func (b *Bridge) add(l netlink.Link) error {
	if err := b.enslave(l); err != nil {
		return err
	}
	return b.up(l)
}

func (b *Bridge) enslave(l netlink.Link) error {
	br, err := b.find()
	if err == nil {
		err = netlink.LinkSetMasterByIndex(l, br.Attrs().Index)
	}
	return b.added(l, err)
}

func (b *Bridge) up(l netlink.Link) error { return b.added(l, netlink.LinkSetUp(l)) }

func (b *Bridge) added(l netlink.Link, err error) error {
	if err != nil {
		return explain(err, fmt.Sprintf("host: put %s into the bridge", l.Attrs().Name), "it cannot be in one")
	}
	return nil
}

// errGone says that the bridge is not there any more.
var errGone = errors.New("somebody has removed it")

// find returns the bridge, and no other one of its name.
func (b *Bridge) find() (netlink.Link, error) {
	l, err := netlink.LinkByName(b.name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) || err == nil && l.Attrs().HardwareAddr.String() != b.mac.String() {
		return nil, fmt.Errorf("the bridge %s: %w", b.name, errGone)
	}
	return l, err
}

// Other returns the name of the other interface.
func (b *Bridge) Other() string { return b.other }

// Dropped returns how many frames the kernel has dropped in front of the other
// interface: who has the TAP open did not read them, or the NIC did not send them.
func (b *Bridge) Dropped() (n uint64, err error) {
	err = b.ns.Do(func() error {
		l, err := netlink.LinkByName(b.other)
		if err != nil {
			return fmt.Errorf("host: statistics of %s: %w", b.other, err)
		}
		if s := l.Attrs().Statistics; s != nil && s.TxDropped > b.had {
			n = s.TxDropped - b.had
		}
		return nil
	})
	return n, err
}

// Whole returns an error when the other interface is not in the bridge any more: no
// frame has passed since.
func (b *Bridge) Whole() error {
	return b.ns.Do(func() error {
		br, err := b.find()
		if err != nil {
			return fmt.Errorf("host: %w while the run went on", err)
		}
		l, err := netlink.LinkByName(b.other)
		var missing netlink.LinkNotFoundError
		switch {
		case errors.As(err, &missing):
			return fmt.Errorf("host: the interface %s is gone: somebody has removed it while the run went on", b.other)
		case err != nil:
			return fmt.Errorf("host: the interface %s: %w", b.other, err)
		case l.Attrs().MasterIndex != br.Attrs().Index:
			return fmt.Errorf("host: somebody has taken the interface %s out of its bridge while the run went on", b.other)
		}
		return nil
	})
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

// Close gives back what was lent and removes the bridge. It may be called again.
func (b *Bridge) Close() error {
	err := b.ns.Do(func() error {
		var given error
		if b.lent != nil {
			if l, err := b.lent.find(); l != nil || err != nil {
				given = errors.Join(err)
				if l != nil {
					given = b.lent.giveBack(l)
				}
			}
		}
		l, err := b.find()
		switch {
		case errors.Is(err, errGone):
			return given
		case err == nil:
			err = netlink.LinkDel(l)
		}
		return errors.Join(given, err)
	})
	if err != nil {
		return fmt.Errorf("host: remove the bridge %s: %w", b.name, err)
	}
	return nil
}
