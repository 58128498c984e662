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

	"github.com/vishvananda/netlink"
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
	// RunVariable marks the processes of a run.
	RunVariable = "HILNET_RUN"
)

// An item is one thing that is to be undone. The newest is undone first.
type item struct {
	Undo  string `json:"undo"`            // "delete" an interface, or take it "out" of its bridge
	Name  string `json:"name"`            // of the interface
	Netns string `json:"netns,omitempty"` // where it is
	Down  bool   `json:"down,omitempty"`  // with out: it was down before
}

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
	err := undo(l.folder, l.id)
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
		id, ours := strings.CutPrefix(e.Name(), leasePrefix)
		if !ours {
			continue
		}
		folder := filepath.Join(dir, e.Name())
		held, err := lockLease(folder)
		if err != nil || held == nil {
			continue // its run lives, or another process cleans up
		}
		items, _ := readLease(folder)
		for _, i := range items {
			done = append(done, i.String())
		}
		if n := len(marked(id)); n > 0 {
			done = append(done, fmt.Sprintf("ended %d processes of a run that was killed", n))
		}
		errs = append(errs, undo(folder, id), held.Close())
	}
	return done, errors.Join(errs...)
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
	return f, nil
}

func (i item) String() string {
	if i.Undo == "out" {
		return "took the interface " + i.Name + " out of its bridge"
	}
	return "deleted the interface " + i.Name
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

// undo undoes a lease, its processes first.
func undo(folder, id string) error {
	items, err := readLease(folder)
	errs := []error{err, killMarked(id)}
	for n := len(items) - 1; n >= 0; n-- {
		if err := items[n].undo(); err != nil {
			errs = append(errs, fmt.Errorf("host: clean up %s: %w", items[n].Name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err // the folder stays: the next one tries again
	}
	return os.RemoveAll(folder)
}

func (i item) undo() error {
	ns, err := OpenNamespace(i.Netns)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has gone with what was in it
	}
	if err != nil {
		return err
	}
	defer ns.Close()
	return ns.Do(func() error {
		l, err := netlink.LinkByName(i.Name)
		var missing netlink.LinkNotFoundError
		switch {
		case errors.As(err, &missing):
			return nil
		case err != nil:
			return err
		case i.Undo == "delete":
			return netlink.LinkDel(l)
		}
		if l.Attrs().MasterIndex != 0 {
			if err := netlink.LinkSetNoMaster(l); err != nil {
				return err
			}
		}
		if i.Down {
			return netlink.LinkSetDown(l)
		}
		return netlink.LinkSetUp(l)
	})
}
