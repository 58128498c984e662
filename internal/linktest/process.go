package linktest

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a program may take to be ready or to end.
const patience = 10 * time.Second

// pollEvery is the time between two looks at whether a program is ready.
const pollEvery = 10 * time.Millisecond

// Tshark runs tshark and returns what it printed. It reads no settings of the
// user who runs the test.
func Tshark(t testing.TB, args ...string) string {
	t.Helper()
	Require(t, "tshark")
	cmd := exec.Command("tshark", args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "LC_ALL=C.UTF-8", "TZ=UTC")
	return run(t, cmd)
}

// A Process is a program that runs beside a test. It is ended, by a signal to
// it alone, at the test's end.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu     sync.Mutex // guards the two below
	output bytes.Buffer
	err    error
}

// Start starts a command; what it prints is kept.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", strings.Join(cmd.Args, " "), err)
	}
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(p.done)
	}()
	t.Cleanup(func() { p.Stop(t) })
	return p
}

// Write keeps what the program prints.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

// Output returns what the program has printed so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// WaitFor waits until the program has printed text.
func (p *Process) WaitFor(t testing.TB, text string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !strings.Contains(p.Output(), text) {
		select {
		case <-p.done:
			if strings.Contains(p.Output(), text) {
				return
			}
			t.Fatalf("%s ended without printing %q:\n%s", p.cmd.Args, text, p.Output())
		case <-time.After(pollEvery):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not print %q in %v:\n%s", p.cmd.Args, text, patience, p.Output())
		}
	}
}

// Wait waits until the program has ended and returns what it printed and how it ended.
func (p *Process) Wait(t testing.TB) (string, error) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s did not end in %v:\n%s", p.cmd.Args, patience, p.Output())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String(), p.err
}

// WaitWithin is Wait for a program that takes longer.
func (p *Process) WaitWithin(t testing.TB, within time.Duration) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("%s did not end in %v:\n%s", p.cmd.Args, within, p.Output())
	}
}

// Stop asks the program to end, and kills it when it does not. It may be called
// again.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		t.Errorf("%s did not end %v after SIGTERM and was killed", p.cmd.Args, patience)
	}
}

// Kill kills the program, as kill -9 does, and waits for its end.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	_ = p.cmd.Process.Kill() // it may have ended meanwhile
	<-p.done
}

// Pid returns the program's process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// longest is how long a command may run that a test waits for: far more than any
// needs, so that one which never ends is named, not the test binary's timeout.
const longest = 3 * time.Minute

// run runs a command and fails the test, with all it printed, when it fails or
// does not end.
func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Start()
	if err == nil {
		tooLong := time.AfterFunc(longest, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		tooLong.Stop()
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, &stdout, &stderr)
	}
	return stdout.String()
}

var _ io.Writer = (*Process)(nil)
