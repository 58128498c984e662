package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hilnet/emu"
)

// A fromFlags is what run is told about a recording to repeat.
type fromFlags struct {
	path     string
	recorded *emu.Recorded
	dropped  bool // the files of the run are not kept
}

func (f *fromFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "from", "", "capture of hilnet's, a `FILE`, whose run is repeated and compared")
}

// open reads the recording and finds a place for the files of the run. done is to
// be called behind it.
func (f *fromFlags) open(cmd *cobra.Command, run *runFlags, apps map[string]emu.App) (done func() error, err error) {
	for _, name := range []string{"seed", "set"} {
		if cmd.Flags().Changed(name) {
			return nil, usagef("--from repeats a run as it was: --%s would make another one of it", name)
		}
	}
	f.recorded, err = emu.OpenRecorded(f.path, apps)
	var refused *emu.RecordedError
	switch {
	case errors.As(err, &refused):
		return nil, &usageError{err}
	case errors.Is(err, fs.ErrNotExist):
		return nil, usagef("%s: no such file (emu run records captures)", f.path)
	case err != nil:
		return nil, &emu.EnvironmentError{Op: "read the recording", Err: err, Hint: "name a file that you may read"}
	}
	switch in := run.decide.in; {
	case in == "":
		run.decide.log = f.recorded.Decisions
	case f.recorded.Followed == "":
		return nil, usagef("--from repeats a run as it was, and that of %s followed no decision log: --decisions would make another one of it", f.path)
	case filepath.Base(in) != f.recorded.Followed:
		return nil, usagef("the run of %s followed the decision log %s, and --decisions names %s", f.path, f.recorded.Followed, in)
	}
	if cmd.Flags().Changed("out") {
		return func() error { return nil }, f.distinct(run.out)
	}
	run.out, err = os.MkdirTemp("", "hilnet-from-")
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "create a folder for the run", Err: err, Hint: "name one with --out"}
	}
	f.dropped = true
	return func() error { return os.RemoveAll(run.out) }, nil
}

// distinct sees that the run does not overwrite what it is compared with.
func (f *fromFlags) distinct(out string) error {
	there, err := os.Stat(out)
	if err != nil {
		return nil // it is not there yet
	}
	here, err := os.Stat(filepath.Dir(f.path))
	if err == nil && os.SameFile(here, there) {
		return usagef("--out %s is where the recording is, and the run would write over it: name another folder", out)
	}
	return nil
}

// compare lays what the run has written beside the recording.
func (f *fromFlags) compare(r *emu.Result) error {
	r.From = f.path
	if err := f.recorded.Compare(r); err != nil {
		return fmt.Errorf("compare with %s: %w", f.path, err)
	}
	if f.dropped {
		r.Files = nil
	}
	return nil
}
