package tap_test

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hilnet/internal/linktest"
	"hilnet/link"
	"hilnet/tap"
)

func TestADeletedInterfaceEndsTheRun(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	if err := tp.Start(link.SinkFunc((*link.Frame).Release)); err != nil {
		t.Fatal(err)
	}
	b.ns.Run("ip", "link", "del", "tap0")
	err := b.loop.Run(b.clock().Add(patience))
	if err == nil || !strings.Contains(err.Error(), "tap0") {
		t.Fatalf("Run returned %v, want an error that names the interface", err)
	}
	if err := tp.Close(); err != nil {
		t.Error(err)
	}
}

func TestAChildProcessDoesNotKeepTheInterface(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	child := linktest.Start(t, exec.Command("sleep", "60"))
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	if links := b.ns.Run("ip", "-br", "link"); strings.Contains(links, "tap0") {
		t.Errorf("a child of ours keeps the interface:\n%s", links)
	}
	child.Stop(t)
}

func TestAnInterfaceThatWasThereStays(t *testing.T) {
	b := newBench(t)
	b.ns.Run("ip", "tuntap", "add", "dev", "tap0", "mode", "tap")
	b.ns.Run("ip", "addr", "add", hostAddr.String(), "dev", "tap0")
	for range 2 {
		tp := b.open(b.config())
		if !tp.Attached() || tp.MTU() != 1500 || tp.Name() != "tap0" {
			t.Errorf("attached %t, mtu %d, name %q", tp.Attached(), tp.MTU(), tp.Name())
		}
		if err := tp.Close(); err != nil {
			t.Fatal(err)
		}
		if addrs := b.ns.Run("ip", "-br", "addr", "show", "tap0"); strings.Count(addrs, hostAddr.String()) != 1 {
			t.Errorf("after Close:\n%s", addrs)
		}
	}
}

func TestANewInterfaceIsAsConfigured(t *testing.T) {
	b := newBench(t)
	cfg := b.config()
	cfg.MTU, cfg.Persistent = 1280, true
	tp := b.open(cfg)
	show := b.ns.Run("ip", "addr", "show", "tap0")
	for _, want := range []string{"mtu 1280", "link/ether " + hostMAC.String(), "inet " + hostAddr.String(), ",UP", "qlen 4096"} {
		if !strings.Contains(show, want) {
			t.Errorf("no %q in\n%s", want, show)
		}
	}
	if strings.Contains(show, "inet6") {
		t.Errorf("IPv6 is on:\n%s", show)
	}
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	if links := b.ns.Run("ip", "-br", "link"); !strings.Contains(links, "tap0") {
		t.Errorf("the persistent interface went:\n%s", links)
	}

	cfg = b.config()
	cfg.Name, cfg.Address, cfg.MAC, cfg.IPv6 = "", netip.Prefix{}, nil, true
	tp = b.open(cfg)
	if tp.Name() == "" || tp.Name() == "tap0" {
		t.Fatalf("the kernel named a second interface %q", tp.Name())
	}
	on := b.ns.Run("cat", "/proc/sys/net/ipv6/conf/"+tp.Name()+"/disable_ipv6")
	if strings.TrimSpace(on) != "0" {
		t.Errorf("disable_ipv6 is %q where IPv6 was asked for", on)
	}
}

func TestOpenLeavesTheProcessInItsNamespace(t *testing.T) {
	b := newBench(t)
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := b.open(b.config()).Close(); err != nil {
			t.Fatal(err)
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, th := range threads {
		ns, err := os.Readlink("/proc/self/task/" + th.Name() + "/ns/net")
		if err != nil {
			continue // the thread has ended
		}
		if ns != before {
			t.Errorf("thread %s is in %s, the process began in %s", th.Name(), ns, before)
		}
	}
}

// Without descriptors Open says so, wherever they run out, and leaves neither an
// interface nor a descriptor.
func TestWithoutDescriptorsOpenSaysSo(t *testing.T) {
	b := newBench(t)
	b.open(b.config()).Close() // the runtime's own descriptors
	files := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	before, refused := files(), 0
	for limit := uint64(before) - 3; ; limit++ {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
		tp, err := tap.Open(b.config())
		worked := err == nil && tp.SetCarrier(true) == nil
		if err == nil {
			_ = tp.Close() // what counts is whether it worked
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
		if err == nil && !worked {
			t.Errorf("%d descriptors: an interface that nobody can use", limit)
		}
		if err == nil {
			break
		}
		if refused++; refused > 20 {
			t.Fatalf("%d descriptors: %v", limit, err)
		}
		if !errors.Is(err, unix.EMFILE) {
			t.Errorf("%d descriptors: %v", limit, err)
		}
		if left := b.ns.Run("ip", "-br", "link"); strings.Contains(left, "tap0") || files() != before {
			t.Errorf("%d descriptors: %d were open, %d are, and the interfaces are %s", limit, before, files(), left)
		}
	}
	if refused < 3 {
		t.Errorf("refused %d times", refused)
	}
}
