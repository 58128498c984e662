package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/mqtt"
	"hilnet/sim"
)

// A panic in the middle of a run, on a Task of its loop, is an internal error of
// that run, with what repeats it.
func TestAPanicInARunIsAnInternalErrorWithTheCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "broken invariant.yaml")
	write(t, file, `
version: 1
name: broken
duration: 10s
devices: [{app: explodes}]
broker: {kind: model}
`)
	var stdout, stderr bytes.Buffer
	c := &cli{args: []string{"run", file, "--seed", "5", "--out", dir}, stdout: &stdout, stderr: &stderr}
	c.apps = map[string]emu.App{"explodes": func(task *sim.Task, _ *mqtt.Client) {
		task.Sleep(1e9)
		panic("a broken invariant")
	}}
	if code := c.run(t.Context()); code != exitInternal {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"internal error", "a broken invariant", "bug in hilnet", "emu run '" + file + "' --seed 5 --out " + dir, "panic_test.go"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is not in\n%s", want, &stderr)
		}
	}
}
