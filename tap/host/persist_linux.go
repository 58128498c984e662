package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hilnet/tap"
)

// A TAPInfo is a TAP interface of the machine.
type TAPInfo struct {
	Name   string
	Owner  int    // user ID; -1: none, so that it takes CAP_NET_ADMIN to open it
	Bridge string // that it is in, empty if none
	Up     bool   // as it is set
	InUse  bool   // a program has it open, and the cable is plugged in
	Addrs  []string
}

// CreateTAP makes a TAP that stays until it is deleted, sets it up, and puts it
// into a bridge, which is made if there is none of that name (empty: no bridge).
// The owner may open it without further rights; -1: none.
func CreateTAP(ns *Namespace, name string, owner int, bridge string) error {
	if err := tap.CheckName(name); err != nil {
		return err
	}
	return ns.Do(func() error {
		if _, err := netlink.LinkByName(name); err == nil {
			return fmt.Errorf("host: there is an interface %s already; ip -d link show %s tells what it is", name, name)
		}
		l, err := addTAP(name, owner, nil)
		if err != nil {
			return err
		}
		err = setIPv6(name, false)
		if err == nil && bridge != "" {
			err = intoBridge(l, bridge)
		}
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("host: create the TAP %s: %w", name, err), netlink.LinkDel(l))
		}
		return nil
	})
}

// addTAP makes a persistent TAP with one queue and no header of its own, as
// emulators expect it, with an Ethernet address for the kernel (nil: any).
func addTAP(name string, owner int, mac net.HardwareAddr) (netlink.Link, error) {
	if err := makeTAP(name, owner, mac); errors.Is(err, unix.EACCES) { // the file's rights: those of a namespace do not help
		return nil, fmt.Errorf("host: create the TAP %s: %w; run with sudo, or let everybody open it, as most systems do: sudo chmod 666 /dev/net/tun", name, err)
	} else if err != nil {
		return nil, explain(err, "host: create the TAP "+name, "load the driver with `sudo modprobe tun`")
	}
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("host: find the TAP %s: %w", name, err)
	}
	return l, nil
}

// makeTAP does what netlink.LinkAdd does not: it sets no group, for a TAP with
// owner and group opens only for who is both (Linux tun.c, tun_not_capable).
func makeTAP(name string, owner int, mac net.HardwareAddr) (err error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev/net/tun: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_TUN_EXCL) // one that is there is not ours
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return err
	}
	if mac != nil { // before it stays: one that is left behind is known by it
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetHardwareAddr(l, mac)
		}
		if err != nil {
			return fmt.Errorf("address %v: %w", mac, err)
		}
	}
	if owner >= 0 {
		if err := unix.IoctlSetInt(fd, unix.TUNSETOWNER, owner); err != nil {
			return fmt.Errorf("owner %d: %w", owner, err)
		}
	}
	return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
}

func intoBridge(l netlink.Link, bridge string) error {
	br, err := netlink.LinkByName(bridge)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		attrs := netlink.NewLinkAttrs()
		attrs.Name = bridge
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return explain(err, "make the bridge "+bridge, "load the driver with `sudo modprobe bridge`")
		}
		if br, err = netlink.LinkByName(bridge); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(br); err != nil {
			return err
		}
	case err != nil:
		return err
	case br.Type() != "bridge":
		return fmt.Errorf("%s exists and is a %s, not a bridge; choose another name", bridge, br.Type())
	}
	return netlink.LinkSetMasterByIndex(l, br.Attrs().Index)
}

// ListTAPs returns the TAPs of a namespace, by name.
func ListTAPs(ns *Namespace) ([]TAPInfo, error) {
	var all []TAPInfo
	err := ns.Do(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return fmt.Errorf("host: list the interfaces: %w", err)
		}
		names := map[int]string{}
		for _, l := range links {
			names[l.Attrs().Index] = l.Attrs().Name
		}
		for _, l := range links {
			if !isTAP(l) {
				continue
			}
			a := l.Attrs()
			info := TAPInfo{
				Name: a.Name, Owner: ownerOf(ns, l), Bridge: names[a.MasterIndex],
				Up: a.RawFlags&unix.IFF_UP != 0, InUse: a.RawFlags&unix.IFF_LOWER_UP != 0,
			}
			addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
			if err != nil {
				return fmt.Errorf("host: addresses of %s: %w", a.Name, err)
			}
			for _, addr := range addrs {
				info.Addrs = append(info.Addrs, addr.IPNet.String())
			}
			all = append(all, info)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b TAPInfo) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

func isTAP(l netlink.Link) bool {
	t, ok := l.(*netlink.Tuntap)
	return ok && t.Mode == netlink.TUNTAP_MODE_TAP
}

// ownerOf returns the user who may open the TAP. Another namespace's interface is
// not in our /sys, where one of the same name may be.
func ownerOf(ns *Namespace, l netlink.Link) int {
	if ns.Own() {
		b, err := os.ReadFile(filepath.Join("/sys/class/net", l.Attrs().Name, "owner"))
		if err == nil {
			if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				return n
			}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return -1
		}
	}
	if t, ok := l.(*netlink.Tuntap); ok && t.Owner != 0 {
		return int(t.Owner)
	}
	return -1 // root's too: only who may change the network opens it
}

// DeleteTAP deletes a TAP that is no longer needed. Other interfaces are refused,
// and so is one that a program has open.
func DeleteTAP(ns *Namespace, name string) error {
	return ns.Do(func() error {
		l, err := netlink.LinkByName(name)
		var missing netlink.LinkNotFoundError
		switch {
		case errors.As(err, &missing):
			return fmt.Errorf("host: there is no interface %s; emu tap list shows the TAPs", name)
		case err != nil:
			return fmt.Errorf("host: find the interface %s: %w", name, err)
		case !isTAP(l):
			return fmt.Errorf("host: the interface %s is a %s, not a TAP: it stays", name, l.Type())
		}
		taken, err := isOpen(name)
		switch {
		case err != nil:
			return explain(err, "host: delete "+name, "")
		case taken:
			return fmt.Errorf("host: a program has the TAP %s open: it stays; end the program first (`sudo fuser -v /dev/net/tun` names it)", name)
		}
		if err := netlink.LinkDel(l); err != nil {
			return explain(err, "host: delete "+name, "")
		}
		return nil
	})
}

// isOpen reports whether a program has a TAP open: its carrier does not tell, for the
// program may have switched that off. One of several queues always takes one more.
func isOpen(name string) (bool, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("/dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err := unix.Close(fd); err != nil {
		return false, err
	}
	switch {
	case errors.Is(err, unix.EBUSY):
		return true, nil
	case errors.Is(err, unix.EINVAL): // it has several queues
		l, err := netlink.LinkByName(name)
		return err == nil && l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0, err
	}
	return false, err
}
