package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a file says reaches the terminal as text, and never as a command to it.
func TestTextOfAFileDoesNothingToTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"all is well, 95 % – ok": "all is well, 95 % – ok", "\x1b[31mred": `\x1b[31mred`, "a\rb": `a\rb`, "\u009b2J": `\u009b2J`, "\u202eleft": `\u202eleft`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	path := filepath.Join(t.TempDir(), "x.yaml")
	scenario := "version: 1\nname: x\ndevices: [{steps: [connect]}]\nbroker: {}\nexpect: [{text: \"\\e[2Jgone\", that: connects == 7}]\n"
	if err := os.WriteFile(path, []byte(scenario), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := call(t, "run", path, "--out", t.TempDir()); code != exitFail || strings.Contains(out, "\x1b") || !strings.Contains(out, `\x1b[2Jgone`) {
		t.Errorf("exit %d\n%q", code, out)
	}
}

// The captures of a fleet are one line.
func TestManyFilesAreSummedUp(t *testing.T) {
	files := []string{"out/f.trace.jsonl"}
	for i := range 6 {
		files = append(files, fmt.Sprintf("out/f.d%d.device.pcapng", i))
	}
	if got := fileRows(files); !slices.Equal(got, files) {
		t.Errorf("a few: %q", got)
	}
	for i := range 9 {
		files = append(files, fmt.Sprintf("out/f.e%d.device.pcapng", i))
	}
	if got := fileRows(files); len(got) != 2 || got[0] != files[0] || got[1] != "15 captures in out, f.d0.device.pcapng to f.e8.device.pcapng" {
		t.Errorf("many: %q", got)
	}
}
