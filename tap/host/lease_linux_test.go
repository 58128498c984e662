package host_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hilnet/internal/linktest"
	"hilnet/tap/host"
)

// startVictim starts a run that takes dut0, and nic0 if there is one, of a
// namespace: of its own, or of one that it opens by name.
func startVictim(t *testing.T, ns *linktest.Net, own bool) *linktest.Process {
	t.Helper()
	cmd, name := exec.Command(os.Args[0], "-test.run", "^TestVictim$", "-test.v"), ns.Name
	if own {
		cmd, name = ns.Command(os.Args[0], "-test.run", "^TestVictim$", "-test.v"), ""
	}
	cmd.Env = append(os.Environ(), "HILNET_TEST_VICTIM=1", "HILNET_TEST_VICTIM_NETNS="+name)
	p := linktest.Start(t, cmd)
	p.WaitFor(t, "victim is ready")
	return p
}

// killVictim kills a victim as kill -9 does: ip netns exec has become it.
func killVictim(t *testing.T, p *linktest.Process) {
	t.Helper()
	p.Kill(t)
}

// What is cleaned up behind a run that was killed is what that run took, and nobody
// else's that has its name by now, in its namespace or in another one.
func TestCleaningUpTouchesNothingOfOthers(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns, "ip")
	t.Run("made anew by somebody else", func(t *testing.T) {
		ns := linktest.Namespace(t)
		ns.Run("ip", "link", "add", "nic0", "type", "veth", "peer", "name", "board0")
		p := startVictim(t, ns, false)
		bridge := bridgeIn(t, ns)
		killVictim(t, p)
		ns.Run("ip", "link", "del", "dut0")
		ns.Run("ip", "link", "set", "nic0", "nomaster")
		ns.Run("ip", "link", "del", bridge)
		ns.Run("ip", "tuntap", "add", "dut0", "mode", "tap")
		ns.Run("ip", "link", "add", bridge, "type", "bridge")
		ns.Run("ip", "link", "add", "br9", "type", "bridge")
		ns.Run("ip", "link", "set", "nic0", "master", "br9")
		if _, err := host.CleanUp(); err != nil {
			t.Fatal(err)
		}
		left := ns.Run("ip", "-d", "link")
		for _, want := range []string{" dut0: ", " " + bridge + ": ", "master br9"} {
			if !strings.Contains(left, want) {
				t.Errorf("%q was another one's and is gone:\n%s", want, left)
			}
		}
	})
	t.Run("of the same name elsewhere", func(t *testing.T) {
		theirs, ours := linktest.Namespace(t), linktest.Namespace(t)
		for _, ns := range []*linktest.Net{theirs, ours} {
			ns.Run("ip", "link", "add", "nic0", "type", "veth", "peer", "name", "board0")
		}
		killVictim(t, startVictim(t, theirs, true))
		ours.Run("ip", "tuntap", "add", "dut0", "mode", "tap")
		ours.Run("ip", "link", "add", "br9", "type", "bridge")
		ours.Run("ip", "link", "set", "nic0", "master", "br9")
		ours.Do(func() error { _, err := host.CleanUp(); return err })
		if left := ours.Run("ip", "-d", "link"); !strings.Contains(left, " dut0: ") || !strings.Contains(left, "master br9") {
			t.Errorf("of the other namespace are gone:\n%s", left)
		}
		if left := theirs.Run("ip", "-d", "link"); strings.Contains(left, "dut0") || strings.Contains(left, "hb") || strings.Contains(left, "master") {
			t.Errorf("left where the run was:\n%s", left)
		}
	})
}

// bridgeIn returns the name of the bridge of a run in a namespace.
func bridgeIn(t *testing.T, ns *linktest.Net) string {
	t.Helper()
	for _, word := range strings.Fields(ns.Run("ip", "-o", "link", "show", "type", "bridge")) {
		if strings.HasPrefix(word, "hb") {
			return strings.TrimSuffix(word, ":")
		}
	}
	t.Fatal("there is no bridge")
	return ""
}

// A name that is taken, as by a process in another container with the same number,
// is left alone.
func TestABridgeOfOthersStays(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns, "ip")
	ns := linktest.Namespace(t)
	in, err := host.OpenNamespace(ns.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	l, err := host.TakeLease()
	if err != nil {
		t.Fatal(err)
	}
	b, err := host.NewBridge(l, in)
	if err != nil {
		t.Fatal(err)
	}
	var pid, n int
	if _, err := fmt.Sscanf(b.Name(), "hb%d-%d", &pid, &n); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	taken := fmt.Sprintf("hb%d-%d", pid, n+1)
	ns.Run("ip", "link", "add", taken, "type", "bridge")
	if b, err = host.NewBridge(l, in); err != nil {
		t.Fatal(err)
	}
	if b.Name() == taken {
		t.Errorf("took %s", taken)
	}
	if err := errors.Join(b.Close(), l.End()); err != nil {
		t.Fatal(err)
	}
	if left := ns.Run("ip", "-br", "link"); !strings.Contains(left, taken) || strings.Count(left, "hb") != 1 {
		t.Errorf("%s was another one's: %s", taken, left)
	}
}

// A lease whose making was interrupted goes when it is old enough.
func TestALeaseThatNeverWasIsRemoved(t *testing.T) {
	l := lease(t)
	dir := strings.TrimSuffix(l.Folder(), "/run-"+l.ID())
	old, young := dir+"/.1-old", dir+"/.1-young"
	for _, path := range []string{old, young} {
		if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		defer os.RemoveAll(path)
	}
	before := time.Now().Add(-time.Hour)
	if err := os.Chtimes(old, before, before); err != nil {
		t.Fatal(err)
	}
	if _, err := host.CleanUp(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old one: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("the young one: %v", err)
	}
}

// What a program has started ends with its power, though it has a session of its
// own and the program itself has ended.
func TestAPowerCutEndsWhatHasDaemonised(t *testing.T) {
	linktest.Require(t, "setsid")
	linktest.NoLeaks(t)
	for _, end := range []string{"exec sleep 300", "exit 0"} {
		proc, p := start(t, host.ProcessConfig{Command: "setsid sh -c 'echo $$; exec sleep 300' & sleep 0.2; " + end, RunID: "test"})
		daemon := 0
		for deadline := time.Now().Add(patience); daemon == 0; time.Sleep(10 * time.Millisecond) {
			p.mu.Lock()
			if len(p.lines) > 0 {
				_, _ = fmt.Sscanf(p.lines[0], "stdout 0 %d", &daemon)
			}
			p.mu.Unlock()
			if time.Now().After(deadline) {
				t.Fatal("the program prints nothing")
			}
		}
		if end == "exit 0" {
			time.Sleep(300 * time.Millisecond)
		}
		began := time.Now()
		if err := proc.Kill(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 900*time.Millisecond {
			t.Errorf("%s: it took %v, as if somebody held its output", end, took)
		}
		if alive(daemon) {
			t.Errorf("%s: process %d lives", end, daemon)
			_ = unix.Kill(daemon, unix.SIGKILL)
		}
		p.wait(t)
	}
}

// The number of a program that ended long ago is somebody else's by now: Stop
// leaves that one alone.
func TestStopLeavesTheNextOwnerOfANumberAlone(t *testing.T) {
	const last = "/proc/sys/kernel/ns_last_pid"
	linktest.Require(t, "setsid")
	f, err := os.OpenFile(last, os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("the next process's number cannot be chosen: %v", err)
	}
	defer f.Close()
	for range 50 {
		proc, p := start(t, host.ProcessConfig{Command: "echo $$", RunID: "test"})
		p.wait(t)
		<-proc.Done()
		var pid int
		_, _ = fmt.Sscanf(p.lines[0], "stdout 0 %d", &pid)
		if _, err := f.WriteAt([]byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Skipf("the next process's number cannot be chosen: %v", err)
		}
		next := exec.Command("sleep", "300")
		next.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
		if err := next.Start(); err != nil {
			t.Fatal(err)
		}
		ours := next.Process.Pid == pid
		if ours {
			if err := proc.Stop(time.Second); err != nil {
				t.Error(err)
			}
			if !alive(pid) {
				t.Error("a process of somebody else was killed")
			}
		}
		_ = next.Process.Kill()
		_ = next.Wait() // it was killed
		if ours {
			return
		}
	}
	t.Skip("other processes took the number each time")
}

// A run that ends well while another one looks for what is left behind is not taken
// for one that was killed.
func TestRunsThatEndWhileOthersBeginHarmNobody(t *testing.T) {
	const each = 300
	errs := make(chan error)
	for range 4 {
		go func() {
			for range each {
				l, err := host.TakeLease()
				if err == nil {
					err = l.End()
				}
				errs <- err
			}
		}()
	}
	for range 4 * each {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
