package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// MaxLine is where a line of a program's output is cut, in bytes.
	MaxLine = 4096
	// drain is how long the output of a program that has ended is waited for: what
	// it left behind may hold it open.
	drain = time.Second
	// killTries bounds the rounds in which a run's processes are looked for: one
	// may make another just before it ends.
	killTries = 50
	killPause = 10 * time.Millisecond
)

// A ProcessConfig says what to run.
type ProcessConfig struct {
	Command   string     // for /bin/sh -c
	Env       []string   // beside this process's own
	Namespace *Namespace // where it runs; nil: the process's own
	RunID     string     // the lease's: marks all its processes
	// Output is called with each line, from goroutines of the package; it keeps
	// nothing of it. cut is the length of a line that was longer than MaxLine, else 0.
	Output func(stream string, line []byte, cut int)
	// Exited is called once, when the program has ended and Output was called for
	// the last time.
	Exited func(status int, text string)
}

// A Process is a program in a process group of its own. It is killed when this
// process dies, however that happens.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// StartProcess starts a program.
func StartProcess(cfg ProcessConfig) (*Process, error) {
	p := &Process{cmd: exec.Command("/bin/sh", "-c", cfg.Command), done: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), cfg.Env...), RunVariable+"="+cfg.RunID)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = drain
	outputs := []*lines{{stream: "stdout", call: cfg.Output}, {stream: "stderr", call: cfg.Output}}
	p.cmd.Stdout, p.cmd.Stderr = outputs[0], outputs[1]
	started := make(chan error)
	go func() {
		// The parent that Pdeathsig is about is this thread: it stays until the
		// program has ended, and ends with this goroutine.
		runtime.LockOSThread()
		var err error
		if ns := cfg.Namespace; ns != nil && !ns.Own() {
			err = netns.Set(ns.handle)
		}
		if err == nil {
			err = p.cmd.Start()
		}
		started <- err
		if err != nil {
			return
		}
		err = p.cmd.Wait()
		for _, o := range outputs {
			o.flush()
		}
		status, text := ending(p.cmd.ProcessState, err)
		cfg.Exited(status, text)
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("host: run %q: %w", cfg.Command, err)
	}
	return p, nil
}

// ending says how a program ended: its exit status, or as a shell does 128 and
// the signal.
func ending(s *os.ProcessState, err error) (int, string) {
	if s == nil {
		return -1, fmt.Sprint(err)
	}
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), "ended by signal " + unix.SignalName(ws.Signal())
	}
	return s.ExitCode(), fmt.Sprintf("exit status %d", s.ExitCode())
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the whole process group.
func (p *Process) Signal(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = unix.Kill(-p.cmd.Process.Pid, s) // it may have ended just now
	}
}

// Stop asks the group to end, kills it when it does not within grace, and waits
// until the program has ended. What it left behind in other groups ends with the
// lease.
func (p *Process) Stop(grace time.Duration) {
	p.Signal(unix.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		p.Kill()
	}
	// Others of the group may have outlived it.
	_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
}

// Kill kills the group at once, as a power cut does, and waits for the end.
func (p *Process) Kill() {
	p.Signal(unix.SIGKILL)
	<-p.done
	_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
}

// lines cuts a program's output into lines.
type lines struct {
	stream string
	call   func(stream string, line []byte, cut int)
	mu     sync.Mutex // guards the rest
	held   []byte
	length int // of the line so far
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		part := p
		if end >= 0 {
			part = p[:end]
		}
		l.length += len(part)
		l.held = append(l.held, part[:min(len(part), MaxLine-len(l.held))]...)
		if end < 0 {
			break
		}
		l.emit()
		p = p[end+1:]
	}
	return n, nil
}

// emit gives on the line that is held.
func (l *lines) emit() {
	cut := 0
	if l.length > len(l.held) {
		cut = l.length
	}
	l.call(l.stream, bytes.TrimSuffix(l.held, []byte{'\r'}), cut)
	l.held, l.length = l.held[:0], 0
}

// flush gives on a last line without an end.
func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.length > 0 {
		l.emit()
	}
}

// marked returns the processes of a run, by the variable that they inherit.
func marked(id string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	mark := []byte(RunVariable + "=" + id)
	var all []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil {
			continue // gone, or another user's: not ours
		}
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if bytes.Equal(v, mark) {
				all = append(all, pid)
				break
			}
		}
	}
	return all
}

// killMarked kills the processes of a run until there are none.
func killMarked(id string) error {
	for range killTries {
		all := marked(id)
		if len(all) == 0 {
			return nil
		}
		for _, pid := range all {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("host: end process %d: %w", pid, err)
			}
		}
		time.Sleep(killPause)
	}
	return fmt.Errorf("host: processes of a run do not end: %v", marked(id))
}
