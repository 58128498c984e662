package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// To open a named pipe waits for somebody at its other end, deaf to Ctrl-C: it is
// refused at once, as a scenario and as a file for results.
func TestANamedPipeIsRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"validate", pipe},
		{"run", pipe},
		{"show", pipe},
		{"sweep", pipe},
		{"run", "clean-link", "--out", t.TempDir(), "--junit", pipe},
		{"sweep", "clean-link", "--csv", pipe},
		{"sweep", "clean-link", "--out-file", pipe},
		{"sweep", "clean-link", "--out-file", pipe, "--resume"},
		{"merge", pipe},
	} {
		if code, _, errs := call(t, args...); code != exitEnvironment && code != exitUsage || !strings.Contains(errs, "named pipe") {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
}
