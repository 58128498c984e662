package main

import (
	"os"
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

// A full disk behind standard output is the machine's fault, not the command line's.
func TestAFullDiskBehindStandardOutputIsTheMachines(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"schema"}, {"show", "link-drop"}, {"run", "idle-sensor", "--json", "--out", t.TempDir()}} {
		var errs strings.Builder
		if code := run(t.Context(), args, nil, full, &errs); code != exitEnvironment || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("%v: exit %d, %s", args, code, errs.String())
		}
	}
}
