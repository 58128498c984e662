package linktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const namespacePrefix = "hilnet-"

// nsCount makes the names of a process's namespaces differ.
var nsCount atomic.Int64

// Bits of the effective capabilities in /proc/self/status, capabilities(7).
const (
	capNetAdmin = 12
	capSysAdmin = 21
)

func hasCapability(bit int) bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	_, rest, ok := strings.Cut(string(status), "\nCapEff:")
	if !ok {
		return false
	}
	line, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	return err == nil && set>>bit&1 == 1
}

func missingTUN() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if !hasCapability(capNetAdmin) {
		return errors.New("no right to create an interface; run as root")
	}
	return nil
}

func missingNetns() error {
	if _, err := exec.LookPath("ip"); err != nil {
		return err
	}
	if !hasCapability(capNetAdmin) || !hasCapability(capSysAdmin) {
		return errors.New("no right to create a network namespace; run as root")
	}
	return nil
}

// A Net is a network namespace of a test. It goes at the test's end.
type Net struct {
	Name string // as `ip netns` lists it
	t    testing.TB
}

// Namespace creates a network namespace with its loopback interface up.
func Namespace(t testing.TB) *Net {
	t.Helper()
	Require(t, NeedNetns)
	removeStale()
	n := &Net{Name: fmt.Sprintf("%s%d-%d", namespacePrefix, os.Getpid(), nsCount.Add(1)), t: t}
	run(t, exec.Command("ip", "netns", "add", n.Name))
	t.Cleanup(func() { run(t, exec.Command("ip", "netns", "del", n.Name)) })
	n.Run("ip", "link", "set", "lo", "up")
	return n
}

// In returns a namespace that another process of the test has made, and removes.
func In(t testing.TB, name string) *Net { return &Net{Name: name, t: t} }

// removeStale removes the namespaces of test processes that were killed, and
// ends what those left running there.
func removeStale() {
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		return // there are none
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), namespacePrefix)
		pid, _, _ := strings.Cut(rest, "-")
		n, err := strconv.Atoi(pid)
		if !ours || err != nil || unix.Kill(n, 0) != unix.ESRCH {
			continue
		}
		// Another test process may be quicker: then there is nothing to remove.
		pids, _ := exec.Command("ip", "netns", "pids", e.Name()).Output()
		for _, word := range strings.Fields(string(pids)) {
			if left, err := strconv.Atoi(word); err == nil {
				_ = unix.Kill(left, unix.SIGTERM)
			}
		}
		_ = exec.Command("ip", "netns", "del", e.Name()).Run()
	}
}

// Path returns the namespace's file.
func (n *Net) Path() string { return filepath.Join("/run/netns", n.Name) }

// Command returns a command that runs in the namespace.
func (n *Net) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
}

// Run runs a command in the namespace and returns what it printed; if it fails,
// the test does.
func (n *Net) Run(name string, args ...string) string {
	n.t.Helper()
	return run(n.t, n.Command(name, args...))
}

// List returns the numbers of the processes in the namespace, one a line.
func (n *Net) List() string {
	n.t.Helper()
	return run(n.t, exec.Command("ip", "netns", "pids", n.Name))
}

// Do runs fn on a thread in the namespace: sockets that it opens are there.
func (n *Net) Do(fn func() error) {
	n.t.Helper()
	if err := n.Try(fn); err != nil {
		n.t.Fatal(err)
	}
}

// Try is Do for a goroutine other than the test's: it returns the error.
func (n *Net) Try(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		// A thread that cannot be brought back ends with this goroutine, so that
		// nothing else runs in the namespace.
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			done <- fmt.Errorf("linktest: own namespace: %w", err)
			return
		}
		defer home.Close()
		ns, err := netns.GetFromName(n.Name)
		if err != nil {
			done <- fmt.Errorf("linktest: namespace %s: %w", n.Name, err)
			return
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			done <- fmt.Errorf("linktest: enter namespace %s: %w", n.Name, err)
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
