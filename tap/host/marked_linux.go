package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The variables that processes inherit, by which they are known again.
const (
	// RunVariable marks the processes of a run.
	RunVariable = "HILNET_RUN"
	// programVariable marks those of one program of a run.
	programVariable = "HILNET_PROGRAM"
)

const (
	// killTries bounds the rounds in which processes are looked for: one may make
	// another just before it ends.
	killTries = 50
	killPause = 10 * time.Millisecond
)

// marked returns the processes that have a variable with a value.
func marked(variable, value string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	mark := []byte(variable + "=" + value)
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() && isMarked(pid, mark) {
			all = append(all, pid)
		}
	}
	return all
}

// isMarked reports whether a process has a variable; one that is gone, a zombie or
// another user's has not.
func isMarked(pid int, mark []byte) bool {
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil || !bytes.Contains(env, mark) {
		return false
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(v, mark) {
			return true
		}
	}
	return false
}

// killMarked kills processes by their mark until there are none, and returns how
// many it has killed.
func killMarked(variable, value string) (killed int, err error) {
	mark := []byte(variable + "=" + value)
	for range killTries {
		all := marked(variable, value)
		if len(all) == 0 {
			return killed, nil
		}
		for _, pid := range all {
			did, err := killIfMarked(pid, mark)
			if err != nil {
				return killed, fmt.Errorf("host: end process %d: %w", pid, err)
			}
			if did {
				killed++
			}
		}
		time.Sleep(killPause)
	}
	return killed, fmt.Errorf("host: processes of a run do not end: %v", marked(variable, value))
}

// killIfMarked kills a process that still has its mark when its number can be
// nobody else's any more.
func killIfMarked(pid int, mark []byte) (did bool, err error) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return false, nil
	case err != nil: // a kernel without it (before 5.3)
		err = unix.Kill(pid, unix.SIGKILL)
	default:
		defer unix.Close(fd)
		if !isMarked(pid, mark) {
			return false, nil
		}
		err = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	return err == nil, err
}
