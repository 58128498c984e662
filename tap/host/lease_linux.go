package host

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Lease is what a run has taken of the machine: interfaces that outlive a
// process, and processes. It stands in a folder of its own that is locked while
// the run lives, so that the next one can tell what a run that was killed has
// left, and clean up.
type Lease struct {
	folder string
	file   *os.File
	id     string
}

const (
	leaseFile   = "lease"
	leasePrefix = "run-"
)

// leases is the number of leases that this process took.
var leases atomic.Int64

// leaseFolder returns where the leases of this user are. Others may not write there.
func leaseFolder() (string, error) {
	dir := "/run/hilnet"
	if os.Geteuid() != 0 || unix.Access("/run", unix.W_OK) != nil {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("hilnet-%d", outerUser()))
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return "", fmt.Errorf("%s is not a folder that only this user writes to; remove it", dir)
	}
	return dir, nil
}

// outerUser returns the user outside a user namespace, where everybody is root.
func outerUser() int {
	uid := os.Geteuid()
	m, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return uid
	}
	for line := range strings.Lines(string(m)) {
		var inner, outer, n int
		if k, _ := fmt.Sscan(line, &inner, &outer, &n); k == 3 && uid >= inner && uid-inner < n {
			return outer + uid - inner
		}
	}
	return uid
}

// TakeLease begins a lease, when it has cleaned up what runs that were killed
// have left.
func TakeLease() (*Lease, error) {
	if _, err := CleanUp(); err != nil {
		return nil, err
	}
	dir, err := leaseFolder()
	if err != nil {
		return nil, fmt.Errorf("host: folder for what a run takes: %w", err)
	}
	l := &Lease{id: fmt.Sprintf("%d-%d-%d", os.Getpid(), leases.Add(1), bootTicks())}
	l.folder = filepath.Join(dir, leasePrefix+l.id)
	// Made under another name and locked before anybody takes it for an old one.
	tmp := filepath.Join(dir, "."+l.id)
	if err = os.Mkdir(tmp, 0o755); err == nil {
		if l.file, err = os.OpenFile(filepath.Join(tmp, leaseFile), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err == nil {
			if err = unix.Flock(int(l.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
				err = os.Rename(tmp, l.folder)
			}
			if err != nil {
				err = errors.Join(err, l.file.Close())
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("host: note what the run takes: %w", err)
	}
	return l, nil
}

// bootTicks tells this process from an earlier one with its number.
func bootTicks() int64 {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var n int64
	if len(fields) > startTimeField {
		_, _ = fmt.Sscan(fields[startTimeField], &n) // 0 where it is no number
	}
	return n
}

// startTimeField is the place of starttime in /proc/PID/stat behind the name
// (proc(5): field 22).
const startTimeField = 22 - 3

// ID returns what marks the run's processes.
func (l *Lease) ID() string { return l.id }

// Folder returns a folder for the run's sockets. It goes with the lease.
func (l *Lease) Folder() string { return l.folder }

// note writes down what is to be undone. It is called before it is done: undoing
// what was not done does nothing.
func (l *Lease) note(i item) error {
	line, err := json.Marshal(i)
	if err != nil {
		return err
	}
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("host: note what the run takes: %w", err)
	}
	return nil
}

// End undoes what is noted, ends the run's processes and removes the folder.
func (l *Lease) End() error {
	_, err := undo(l.folder, l.id)
	return errors.Join(err, l.file.Close())
}

// CleanUp undoes what runs that were killed have left, and says what that was.
func CleanUp() (done []string, err error) {
	dir, err := leaseFolder()
	if err != nil {
		return nil, fmt.Errorf("host: folder for what runs take: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	var errs []error
	for _, e := range entries {
		folder := filepath.Join(dir, e.Name())
		id, ours := strings.CutPrefix(e.Name(), leasePrefix)
		if !ours {
			errs = append(errs, removeUnfinished(folder, e))
			continue
		}
		held, err := lockLease(folder)
		if err != nil || held == nil {
			continue // its run lives, or another process cleans up
		}
		texts, err := undo(folder, id)
		done = append(done, texts...)
		if err != nil {
			err = fmt.Errorf("host: clean up behind a run that was killed: %w; %s notes what it took: remove that folder when you have cleaned up by hand", err, folder)
		}
		errs = append(errs, err, held.Close())
	}
	return done, errors.Join(errs...)
}

// unfinishedAge is how old a folder must be that never became a lease: making one
// takes no time.
const unfinishedAge = time.Minute

// removeUnfinished removes what a process left that was killed within TakeLease.
func removeUnfinished(folder string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil || !strings.HasPrefix(e.Name(), ".") || time.Since(info.ModTime()) < unfinishedAge {
		return nil // gone, no folder of ours, or still in the making
	}
	return os.RemoveAll(folder)
}

// lockLease returns the lease's file if its run is gone, else nil.
func lockLease(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, leaseFile), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Nlink == 0 {
		return nil, errors.Join(err, f.Close()) // its run ended well since we opened it
	}
	return f, nil
}

// readLease reads what is noted; a line that was cut ends it.
func readLease(folder string) ([]item, error) {
	f, err := os.Open(filepath.Join(folder, leaseFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []item
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var i item
		if json.Unmarshal(lines.Bytes(), &i) != nil {
			break
		}
		all = append(all, i)
	}
	return all, lines.Err()
}
