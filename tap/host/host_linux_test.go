package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hilnet/internal/linktest"
	"hilnet/tap/host"
)

const patience = 20 * time.Second

// A program is what a process printed and how it ended.
type program struct {
	mu     sync.Mutex
	lines  []string
	status int
	text   string
	done   chan struct{}
}

func start(t *testing.T, cfg host.ProcessConfig) (*host.Process, *program) {
	t.Helper()
	p := &program{done: make(chan struct{})}
	cfg.Output = func(stream string, line []byte, cut int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.lines = append(p.lines, fmt.Sprintf("%s %d %s", stream, cut, line))
	}
	cfg.Exited = func(status int, text string) { p.status, p.text = status, text; close(p.done) }
	proc, err := host.StartProcess(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return proc, p
}

func (p *program) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatal("the program does not end")
	}
}

func lease(t *testing.T) *host.Lease {
	t.Helper()
	l, err := host.TakeLease()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.End(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestAProgramPrintsAndEnds(t *testing.T) {
	linktest.NoLeaks(t)
	_, p := start(t, host.ProcessConfig{
		Command: `echo "$WORD"; printf 'no end' >&2; head -c 5000 /dev/zero | tr '\0' x; echo; exit 7`, Env: []string{"WORD=hello"},
	})
	p.wait(t)
	got := strings.Join(p.lines, "|")
	for _, want := range []string{"stdout 0 hello", "stderr 0 no end", "stdout 5000 " + strings.Repeat("x", host.MaxLine)} {
		if !strings.Contains(got, want) {
			t.Errorf("%.20q is missing in %.200q", want, got)
		}
	}
	if p.status != 7 || p.text != "exit status 7" {
		t.Errorf("status %d, %s", p.status, p.text)
	}
}

// What a program has started ends with the run, in whatever process group it is.
func TestNothingOfAProgramStaysBehind(t *testing.T) {
	linktest.Require(t, "setsid")
	linktest.NoLeaks(t)
	l, err := host.TakeLease()
	if err != nil {
		t.Fatal(err)
	}
	proc, p := start(t, host.ProcessConfig{
		Command: `sleep 300 & echo $!; setsid sleep 300 & echo $!; trap '' TERM; echo ready; while :; do sleep 0.1; done`, RunID: l.ID(),
	})
	var pids [2]int
	deadline := time.Now().Add(patience)
	for ready := false; !ready; {
		p.mu.Lock()
		if ready = len(p.lines) == 3; ready {
			_, _ = fmt.Sscan(strings.TrimPrefix(p.lines[0], "stdout 0 "), &pids[0])
			_, _ = fmt.Sscan(strings.TrimPrefix(p.lines[1], "stdout 0 "), &pids[1])
		}
		p.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatal("the program is not ready")
		}
		time.Sleep(10 * time.Millisecond)
	}
	proc.Stop(50 * time.Millisecond) // it does not listen to SIGTERM
	p.wait(t)
	if p.status != 128+int(unix.SIGKILL) || p.text != "ended by signal SIGKILL" {
		t.Errorf("status %d, %s", p.status, p.text)
	}
	if err := l.End(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if pid == 0 || alive(pid) {
			t.Errorf("process %d lives", pid)
		}
	}
	if _, err := os.Stat(l.Folder()); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// What a run that was killed has left goes with the next one.
func TestTheNextRunCleansUpBehindOneThatWasKilled(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns, "ip")
	ns := linktest.Namespace(t)
	p := startVictim(t, ns, false)
	var sleeper int
	for _, line := range strings.Split(p.Output(), "\n") {
		_, _ = fmt.Sscanf(line, "sleeper %d", &sleeper)
	}
	if got := ns.Run("ip", "-br", "link"); !strings.Contains(got, "dut0") || !strings.Contains(got, "hb") || sleeper == 0 {
		t.Fatalf("the victim has no bridge, TAP or process (%d): %s", sleeper, got)
	}
	p.Kill(t)
	done, err := host.CleanUp()
	if err != nil {
		t.Fatal(err)
	}
	// Another run on this machine may have been quicker: then there was nothing to do.
	if text := strings.Join(done, "; "); text != "" && !strings.Contains(text, "deleted the interface dut0") {
		t.Errorf("cleaned up: %s", text)
	}
	for deadline := time.Now().Add(patience); alive(sleeper) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if got := ns.Run("ip", "-br", "link"); strings.Contains(got, "dut0") || strings.Contains(got, "hb") {
		t.Errorf("left: %s", got)
	}
	if alive(sleeper) {
		t.Errorf("process %d of the victim lives", sleeper)
	}
	if again, err := host.CleanUp(); err != nil || len(again) > 0 {
		t.Errorf("cleaned up again: %v, %v", again, err)
	}
}

// TestVictim is the run that is killed; it is no test.
func TestVictim(t *testing.T) {
	if os.Getenv("HILNET_TEST_VICTIM") == "" {
		t.Skip("runs only inside TestTheNextRunCleansUpBehindOneThatWasKilled")
	}
	victim(t)
}

func victim(t *testing.T) {
	ns, err := host.OpenNamespace(os.Getenv("HILNET_TEST_VICTIM_NETNS"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := host.TakeLease()
	if err != nil {
		t.Fatal(err)
	}
	b, err := host.NewBridge(l, ns)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.JoinTAP("dut0", -1, 0); err != nil {
		t.Fatal(err)
	}
	if second, err := host.NewBridge(l, ns); err != nil {
		t.Fatal(err)
	} else if err := second.JoinNIC("nic0", 0); err != nil && !strings.Contains(err.Error(), "not found") {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	_, err = host.StartProcess(host.ProcessConfig{
		Command: "setsid sh -c 'echo $$; exec sleep 300' & wait", RunID: l.ID(), Namespace: ns,
		Output: func(_ string, line []byte, _ int) { ready <- string(line) }, Exited: func(int, string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("sleeper %s\nvictim is ready\n", <-ready)
	time.Sleep(patience)
}

func TestTAPsAreMadeListedAndDeleted(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns, "ip")
	ns := linktest.Namespace(t)
	in, err := host.OpenNamespace(ns.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := host.CreateTAP(in, "dut0", 1234, "br7"); err != nil {
		t.Fatal(err)
	}
	if err := host.CreateTAP(in, "dut1", -1, "br7"); err != nil {
		t.Fatal(err)
	}
	if err := host.CreateTAP(in, "dut0", -1, ""); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second time: %v", err)
	}
	all, err := host.ListTAPs(in)
	if err != nil || len(all) != 2 || all[0].Name != "dut0" || all[0].Owner != 1234 || all[0].Bridge != "br7" || !all[0].Up || all[0].InUse || all[1].Owner != -1 {
		t.Errorf("%+v, %v", all, err)
	}
	other, err := host.OpenNamespace("")
	if err != nil {
		t.Fatal(err)
	}
	linktest.Namespace(t).Do(func() error { // where a dut0 of another owner is
		if err := host.CreateTAP(other, "dut0", 4321, ""); err != nil {
			return err
		}
		own, err := host.ListTAPs(other)
		if err == nil && (len(own) != 1 || own[0].Owner != 4321) {
			t.Errorf("in the own namespace: %+v", own)
		}
		return err
	})
	if got := ns.Run("ip", "-d", "tuntap", "list"); !strings.Contains(got, "dut0: tap persist user 1234") {
		t.Errorf("ip says %s", got)
	}
	for name, why := range map[string]string{"lo": "not a TAP", "br7": "not a TAP", "none": "no interface"} {
		if err := host.DeleteTAP(in, name); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	if err := in.Do(func() error { return holdTAP(t, "dut0") }); err != nil {
		t.Fatal(err)
	}
	if err := host.DeleteTAP(in, "dut0"); err == nil || !strings.Contains(err.Error(), "a program has the TAP dut0 open") {
		t.Errorf("delete what a program has open: %v", err)
	}
	letTAPsGo()
	if err := host.DeleteTAP(in, "dut0"); err != nil {
		t.Error(err)
	}
	if all, err := host.ListTAPs(in); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

// held is a TAP that this process has open.
var held = -1

// holdTAP opens a TAP of the thread's namespace and pulls its cable, so that its
// carrier does not tell.
func holdTAP(t *testing.T, name string) error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	held = fd
	t.Cleanup(letTAPsGo)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return err
	}
	return unix.IoctlSetPointerInt(fd, unix.TUNSETCARRIER, 0)
}

func letTAPsGo() {
	if held >= 0 {
		_ = unix.Close(held)
		held = -1
	}
}

func TestALeaseFolderThatOthersMayWriteToIsRefused(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root's is /run/hilnet")
	}
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("hilnet-%d", os.Geteuid()))
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := host.TakeLease(); err == nil || !strings.Contains(err.Error(), "only this user") {
		t.Errorf("%v", err)
	}
}
