package emu

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

const endless = `
version: 1
name: endless
devices:
  - steps: [repeat: {times: 1000000000, do: [message_get: all]}]
broker: {}
`

func TestStepsThatTakeNoTimeCanBeStopped(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := Run(ctx, load(t, endless), Options{})
	if r == nil || r.Verdict != Interrupted || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("result %+v, error %v; want an interrupted run", r, err)
	}
}

func TestTwoRunsDoNotWriteOneAnothersFiles(t *testing.T) {
	dir := t.TempDir()
	f, err := createOutput(dir, "link-drop.trace.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = Run(t.Context(), open(t, "link-drop"), Options{Out: dir})
	var env *EnvironmentError
	if !errors.As(err, &env) || !strings.Contains(err.Error(), "another run is writing") {
		t.Errorf("error %v, want that another run is writing there", err)
	}
}
