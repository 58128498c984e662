package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

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
		// Of every table: a default route may stand in a policy's.
		all := &netlink.Route{LinkIndex: a.Index, Table: unix.RT_TABLE_UNSPEC}
		routes, err := netlink.RouteListFiltered(family, all, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
		if err != nil {
			return fmt.Errorf("host: routes of %s: %w", a.Name, err)
		}
		for _, r := range routes {
			if r.Dst == nil || r.Dst.IP.IsUnspecified() && prefixLen(r.Dst) == 0 {
				return refuse("carries the default route", "choose another one")
			}
		}
	}
	return notBeneath(l, refuse)
}

// losesIPv6 refuses an interface whose IPv6 addresses would be lost when IPv6 is
// switched off; those of IPv4 stay.
func losesIPv6(l netlink.Link) error {
	addrs, err := netlink.AddrList(l, netlink.FAMILY_V6)
	if err != nil {
		return fmt.Errorf("host: addresses of %s: %w", l.Attrs().Name, err)
	}
	for _, addr := range addrs {
		if !addr.IP.IsLinkLocalUnicast() {
			return fmt.Errorf("host: the interface %s has the address %v, which it would lose; sudo ip -6 addr flush dev %s when nothing needs it, or choose another one",
				l.Attrs().Name, addr.IPNet, l.Attrs().Name)
		}
	}
	return nil
}

func prefixLen(n *net.IPNet) int {
	ones, _ := n.Mask.Size()
	return ones
}

// notBeneath refuses an interface on top of which there are others, such as a VLAN's:
// what has an address there would lose its cable.
func notBeneath(l netlink.Link, refuse func(why, next string) error) error {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("host: list the interfaces: %w", err)
	}
	for _, other := range links {
		if a := other.Attrs(); a.ParentIndex == l.Attrs().Index && other.Type() != "veth" && a.NetNsID < 0 {
			return refuse("carries the interface "+a.Name, "sudo ip link delete "+a.Name+" when nothing needs it, or choose another one")
		}
	}
	return nil
}

func isWireless(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name, "wireless"))
	return err == nil
}
