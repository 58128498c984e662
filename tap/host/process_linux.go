package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
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
	mark string // of all that it has started
	done chan struct{}

	mu     sync.Mutex // guards the rest
	reaped bool       // its number, and its group's, may be another one's
}

// startedPrograms counts those that this process has started.
var startedPrograms atomic.Int64

// StartProcess starts a program.
func StartProcess(cfg ProcessConfig) (*Process, error) {
	p := &Process{cmd: exec.Command("/bin/sh", "-c", cfg.Command), done: make(chan struct{})}
	p.mark = fmt.Sprintf("%s.%d-%d", cfg.RunID, os.Getpid(), startedPrograms.Add(1))
	p.cmd.Env = append(append(os.Environ(), cfg.Env...), RunVariable+"="+cfg.RunID, programVariable+"="+p.mark)
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
		awaitEnd(p.cmd.Process.Pid)
		p.mu.Lock()
		p.reaped = true
		p.mu.Unlock()
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

// awaitEnd waits until a child has ended, and leaves its number taken.
func awaitEnd(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// Signal sends a signal to the whole process group, as long as the program runs:
// afterwards the group's number may be somebody else's.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = unix.Kill(-p.cmd.Process.Pid, s) // it may have ended just now
	}
}

// Stop asks the group to end, and ends all that is left of the program after grace,
// or when it has ended.
func (p *Process) Stop(grace time.Duration) error {
	p.Signal(unix.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
	}
	return p.Kill()
}

// Kill ends the program at once, as a power cut does, with all that it has started,
// in whatever group or session that is, and waits for the end.
func (p *Process) Kill() error {
	p.Signal(unix.SIGKILL)
	_, err := killMarked(programVariable, p.mark)
	<-p.done
	return err
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
