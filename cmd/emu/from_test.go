package main

import (
	"strings"
	"testing"
)

// repeatsARecording shows that --from runs what a recording is of.
func repeatsARecording(t *testing.T) {
	t.Chdir(t.TempDir())
	if code, _, errs := call(t, "run", "clean-link", "--seed", "5", "--out", "there"); code != exitPass {
		t.Fatal(errs)
	}
	code, out, errs := call(t, "run", "--from", "there/clean-link.peer.pcapng")
	if code != exitPass || !strings.Contains(out, "seed 5") || !strings.Contains(out, "byte for byte") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
