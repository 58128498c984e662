package emu

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/pcaps"
	"hilnet/scenarios"
)

// checkWhole checks that the files of a run that ended early can be read to
// their ends.
func checkWhole(t *testing.T, dir, name string) {
	t.Helper()
	readTrace(t, filepath.Join(dir, name+".trace.jsonl"))
	for _, p := range []scenarios.Point{scenarios.PointDevice, scenarios.PointPeer} {
		if err := pcaps.Verify(filepath.Join(dir, name+"."+string(p)+".pcapng")); err != nil {
			t.Error(err)
		}
	}
}

// The disk fills when the run is over but for the last bytes: no event comes
// after the error, so the loop does not hear of it.
func TestADiskThatFailsAtTheLastByteIsNotAPass(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	w, err := New(open(t, "clean-link"), Options{Out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	w.onStart(func() error {
		if err := w.files.traceOut.Close(); err != nil {
			return err
		}
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		w.files.traceOut.File = full
		return err
	})
	result, err := w.Run(t.Context())
	var env *EnvironmentError
	if !errors.As(err, &env) || !strings.Contains(env.Error(), "no space left") || env.Hint == "" {
		t.Errorf("error %v", err)
	}
	if result.Verdict != Broken || len(result.Checks) > 0 {
		t.Errorf("verdict %s with %d checks", result.Verdict, len(result.Checks))
	}
}

func TestAFolderThatCannotBeIsAnEnvironmentError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := Run(t.Context(), open(t, "clean-link"), Options{Out: filepath.Join(file, "folder")})
	var env *EnvironmentError
	if result != nil || !errors.As(err, &env) || !strings.Contains(env.Hint, "--out") {
		t.Errorf("result %v, error %v", result, err)
	}
}
