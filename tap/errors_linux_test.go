package tap_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hilnet/tap"
)

// wantError checks that an error names its cause and the next step.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

func TestAnInterfaceThatAnotherProgramHasOpenIsBusy(t *testing.T) {
	b := newBench(t)
	b.open(b.config())
	_, err := tap.Open(b.config())
	wantError(t, err, `"tap0"`, "another program has the interface open", "choose another name", "busy")
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("%v is not EBUSY", err)
	}
}

func TestAnInterfaceThatIsNoTAPIsRefused(t *testing.T) {
	b := newBench(t)
	b.ns.Run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
	b.ns.Run("ip", "tuntap", "add", "dev", "tun0", "mode", "tun")
	b.ns.Run("ip", "tuntap", "add", "dev", "tapq", "mode", "tap", "multi_queue")
	for _, c := range []struct{ name, want string }{
		{"veth0", "is a veth, not a TAP"},
		{"lo", "is a device, not a TAP"},
		{"tun0", "is a TUN or has several queues"},
		{"tapq", "is a TUN or has several queues"},
	} {
		cfg := b.config()
		cfg.Name = c.name
		_, err := tap.Open(cfg)
		wantError(t, err, c.name, c.want, "choose another name")
		if links := b.ns.Run("ip", "link", "show", c.name); strings.Contains(links, hostMAC.String()) {
			t.Errorf("the refused interface was changed:\n%s", links)
		}
	}
}

func TestAnInterfaceThatIsNoTUNIsRefused(t *testing.T) {
	b := newBench(t)
	b.ns.Run("ip", "tuntap", "add", "dev", "tap0", "mode", "tap")
	cfg := b.config()
	cfg.Layer3, cfg.MAC = true, nil
	_, err := tap.Open(cfg)
	wantError(t, err, "tap0", "not a plain TUN", "choose another name")
	cfg.MAC = hostMAC
	_, err = tap.Open(cfg)
	wantError(t, err, "has no Ethernet address")
}

func TestAMissingNamespaceIsNamed(t *testing.T) {
	b := newBench(t)
	cfg := b.config()
	cfg.Namespace = "no-such-namespace"
	_, err := tap.Open(cfg)
	wantError(t, err, "no-such-namespace", "sudo ip netns add no-such-namespace")
	cfg.Namespace = "/proc/self/ns/nothing"
	_, err = tap.Open(cfg)
	wantError(t, err, "/proc/self/ns/nothing")
	cfg.Namespace = b.ns.Path()
	b.open(cfg)
}

// withoutRights runs fn on a thread without CAP_NET_ADMIN, in the namespace.
func (b *bench) withoutRights(fn func() error) error {
	return b.ns.Try(func() error {
		// Try has locked the thread and gives it back when its namespace is
		// the old one again, so its rights are given back first.
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var full, less [2]unix.CapUserData
		if err := unix.Capget(&hdr, &full[0]); err != nil {
			return err
		}
		less = full
		less[0].Effective &^= 1 << unix.CAP_NET_ADMIN
		if err := unix.Capset(&hdr, &less[0]); err != nil {
			return err
		}
		defer func() {
			if err := unix.Capset(&hdr, &full[0]); err != nil {
				panic(err) // the thread must not be used again
			}
		}()
		return fn()
	})
}

func TestWithoutRightsTheErrorSaysWhatToDo(t *testing.T) {
	b := newBench(t)
	cfg := b.config()
	cfg.Namespace = "" // the thread is there already
	open := func() error {
		tp, err := tap.Open(cfg)
		if err == nil {
			err = errors.Join(tp.Start(&responder{out: tp}), tp.Close())
		}
		return err
	}
	err := b.withoutRights(open)
	wantError(t, err, "sudo", "ip tuntap add dev tap0 mode tap user $USER")
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v is not ErrPermission", err)
	}

	// What somebody with rights has made ready needs none, as long as nothing
	// is to be changed.
	b.ns.Run("ip", "tuntap", "add", "dev", "tap0", "mode", "tap", "user", "0")
	b.ns.Run("ip", "link", "set", "tap0", "address", hostMAC.String(), "up")
	err = b.withoutRights(open)
	wantError(t, err, "sudo ip addr add 192.0.2.1/24 dev tap0")
	b.ns.Run("ip", "addr", "add", hostAddr.String(), "dev", "tap0")
	if err := b.withoutRights(open); err != nil {
		t.Errorf("an interface that is ready cannot be used: %v", err)
	}

	b.ns.Run("ip", "tuntap", "del", "dev", "tap0", "mode", "tap")
	b.ns.Run("ip", "tuntap", "add", "dev", "tap0", "mode", "tap", "user", "12345")
	wantError(t, b.withoutRights(open), "belongs to another user")
}

func TestWithoutTheTUNDeviceTheErrorSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err    error
		name   string
		exists bool
		want   string
	}{
		{unix.ENOENT, "tap0", false, "sudo modprobe tun"},
		{unix.ENODEV, "tap0", false, "sudo modprobe tun"},
		{unix.EACCES, "tap0", false, "run with sudo"},
		{unix.EMFILE, "tap0", false, "/dev/net/tun does not open"},
	} {
		err := tap.ExplainOpen(c.err, c.name, "tap", c.exists)
		wantError(t, err, c.want, c.err.Error())
		if !errors.Is(err, c.err) {
			t.Errorf("%v does not wrap %v", err, c.err)
		}
	}
}
