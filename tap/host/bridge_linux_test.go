package host_test

import (
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/tap/host"
)

func TestABoardsInterfaceIsLentAndGivenBack(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns, "ip")
	ns := linktest.Namespace(t)
	ns.Run("ip", "link", "add", "nic0", "type", "veth", "peer", "name", "board0")
	ns.Run("ip", "link", "set", "board0", "up")
	in, err := host.OpenNamespace(ns.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	join := func(nic string) error {
		b, err := host.NewBridge(lease(t), in)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		return b.JoinNIC(nic, 0)
	}
	refused := func(nic, why string) {
		t.Helper()
		if err := join(nic); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", nic, err, why)
		}
	}
	refused("lo", "loopback")
	refused("eth9", "not found")
	ns.Run("ip", "addr", "add", "192.0.2.9/24", "dev", "nic0")
	refused("nic0", "has the address 192.0.2.9/24")
	ns.Run("ip", "addr", "flush", "dev", "nic0")
	ns.Run("ip", "link", "set", "nic0", "up")
	ns.Run("ip", "route", "add", "default", "dev", "nic0")
	refused("nic0", "carries the default route")
	ns.Run("ip", "route", "del", "default")
	ns.Run("ip", "route", "add", "default", "dev", "nic0", "table", "77")
	refused("nic0", "carries the default route")
	ns.Run("ip", "route", "flush", "table", "77")
	ns.Run("ip", "link", "add", "link", "nic0", "name", "nic0.7", "type", "macvlan")
	refused("nic0", "carries the interface nic0.7")
	ns.Run("ip", "link", "del", "nic0.7")
	ns.Run("ip", "link", "set", "nic0", "down")

	l, err := host.TakeLease()
	if err != nil {
		t.Fatal(err)
	}
	b, err := host.NewBridge(l, in)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.JoinNIC("nic0", 0); err != nil {
		t.Fatal(err)
	}
	if got := ns.Run("ip", "-d", "link", "show", "nic0"); !strings.Contains(got, "master "+b.Name()) || !strings.Contains(got, ",UP") {
		t.Errorf("not in the bridge, or down: %s", got)
	}
	refused("nic0", "is in a bridge")
	if err := b.SetOther(false); err != nil {
		t.Fatal(err)
	}
	if got := ns.Run("ip", "link", "show", "board0"); !strings.Contains(got, "NO-CARRIER") {
		t.Errorf("the board sees a carrier: %s", got)
	}
	if err := b.Whole(); err != nil {
		t.Error(err)
	}
	ns.Run("ip", "link", "set", "nic0", "nomaster")
	if err := b.Whole(); err == nil || !strings.Contains(err.Error(), "out of its bridge") {
		t.Errorf("out of its bridge: %v", err)
	}
	ns.Run("ip", "link", "set", "nic0", "master", b.Name())
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.End(); err != nil {
		t.Fatal(err)
	}
	if got := ns.Run("ip", "-d", "link", "show", "nic0"); strings.Contains(got, "master") || strings.Contains(got, ",UP") {
		t.Errorf("not given back as it was: %s", got)
	}
}

// What was lent is as it was before: in no bridge, up or down, with its MTU and its
// IPv6, whose addresses the kernel makes again.
func TestWhatWasLentIsGivenBackAsItWas(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns, "ip", "sysctl")
	ns := linktest.Namespace(t)
	ns.Run("ip", "link", "add", "nic0", "type", "veth", "peer", "name", "board0")
	ns.Run("ip", "tuntap", "add", "dut0", "mode", "tap")
	for _, name := range []string{"board0", "nic0", "dut0"} {
		ns.Run("ip", "link", "set", name, "up")
	}
	in, err := host.OpenNamespace(ns.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for name, join := range map[string]func(*host.Bridge) error{
		"nic0": func(b *host.Bridge) error { return b.JoinNIC("nic0", 4000) },
		"dut0": func(b *host.Bridge) error { return b.JoinTAP("dut0", -1, 1400) },
	} {
		is := func() string {
			return ns.Run("sysctl", "net.ipv6.conf."+name+".disable_ipv6") + ns.Run("ip", "-o", "link", "show", name)
		}
		before := is()
		l, err := host.TakeLease()
		if err != nil {
			t.Fatal(err)
		}
		b, err := host.NewBridge(l, in)
		if err != nil {
			t.Fatal(err)
		}
		if err := join(b); err != nil {
			t.Fatal(err)
		}
		if name == "nic0" && !strings.Contains(is(), "mtu 4000") {
			t.Errorf("longer packets do not pass: %s", is())
		}
		if name == "nic0" && strings.Contains(ns.Run("ip", "-6", "addr", "show", "dev", name), "inet6") {
			t.Errorf("%s speaks IPv6 while it is lent", name)
		}
		if err := b.SetOther(false); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if after := is(); after != before {
			t.Errorf("%s was\n%sand is\n%s", name, before, after)
		}
		if err := l.End(); err != nil {
			t.Fatal(err)
		}
		if after := is(); after != before {
			t.Errorf("%s: the lease has changed it to\n%s", name, after)
		}
	}
}

// IPv6 is switched off at a TAP that is lent: one that has an address is refused.
func TestATAPWithAnIPv6AddressIsRefused(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns, "ip")
	ns := linktest.Namespace(t)
	ns.Run("ip", "tuntap", "add", "dut0", "mode", "tap")
	ns.Run("ip", "-6", "addr", "add", "fd00::7/64", "dev", "dut0", "nodad")
	in, err := host.OpenNamespace(ns.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	b, err := host.NewBridge(lease(t), in)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.JoinTAP("dut0", -1, 0); err == nil || !strings.Contains(err.Error(), "has the address fd00::7/64") {
		t.Errorf("%v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if left := ns.Run("ip", "-6", "addr", "show", "dev", "dut0"); !strings.Contains(left, "fd00::7") {
		t.Errorf("it has lost its address: %s", left)
	}
}
