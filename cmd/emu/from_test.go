package main

import (
	"bytes"
	"errors"
	"os"
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

// A list of drops is part of the run, and stands in its captures.
func TestARecordingWithAListOfDropsRepeatsItself(t *testing.T) {
	t.Chdir(t.TempDir())
	list := `{"link":"link","dir":"up","frame":9}` + "\n" + `{"link":"link","dir":"down","frame":12}` + "\n"
	if err := os.WriteFile("drops.jsonl", []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := call(t, "run", "clean-link", "--decisions", "drops.jsonl", "--out", "there"); code > exitFail {
		t.Fatal(out, errs)
	}
	code, out, errs := call(t, "run", "--from", "there/clean-link.device.pcapng", "--out", "again")
	if !strings.Contains(out, "byte for byte") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	one, err1 := os.ReadFile("there/clean-link.device.pcapng")
	two, err2 := os.ReadFile("again/clean-link.device.pcapng")
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(one, two) || !bytes.Contains(one, []byte(`"frame":12`)) {
		t.Errorf("%v: %d and %d bytes", err, len(one), len(two))
	}
}

// A decision log with such drops is not: where the run differs without it, the way to
// it is told.
func TestARecordingThatFollowedALogSaysWhichOne(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("drops.jsonl", []byte(`{"link":"link","dir":"up","frame":9}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	call(t, "run", "clean-link", "--decisions", "drops.jsonl", "--decisions-out", "log.jsonl")
	if code, out, errs := call(t, "run", "clean-link", "--decisions", "log.jsonl", "--out", "there"); code > exitFail {
		t.Fatal(out, errs)
	}
	const recording = "there/clean-link.device.pcapng"
	code, out, errs := call(t, "run", "--from", recording)
	if code != exitFail || !strings.Contains(out, "emu run --from "+recording+" --decisions log.jsonl repeats it") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if _, out, errs = call(t, "run", "--from", recording, "--decisions", "log.jsonl"); !strings.Contains(out, "byte for byte") {
		t.Errorf("%s%s", out, errs)
	}
	if code, _, errs = call(t, "run", "--from", recording, "--decisions", "drops.jsonl"); code != exitUsage || !strings.Contains(errs, "log.jsonl") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
