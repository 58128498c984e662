package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/internal/linktest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// begin and end stand around what is generated in docs/cli.md.
const (
	begin = "<!-- generated: go test ./cmd/replay -update -->\n"
	end   = "<!-- end of replay -->\n"
)

func call(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	return run(t.Context(), args, &out, &out), out.String()
}

// The page has the help of every command, word for word; -update writes it.
func TestTheManualHasTheHelpOfEveryCommand(t *testing.T) {
	var b strings.Builder
	for _, cmd := range (&cli{}).root().Commands() {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		code, help := call(t, cmd.Name(), "--help")
		if code != exitPass {
			t.Fatal(help)
		}
		fmt.Fprintf(&b, "### replay %s\n\n```\n%s```\n\n", cmd.Name(), help)
	}
	linktest.Section(t, *update, "cli.md", begin, end, "\n"+b.String(), "go test ./cmd/replay -update")
}

func TestVersionIsAFlagToo(t *testing.T) {
	if code, out := call(t, "--version"); code != exitPass || out != "hilnet "+emu.Version+"\n" {
		t.Errorf("exit %d: %s", code, out)
	}
}

// A capture of hilnet begins with a long block, the scenario: a file that is cut
// within is a capture without packets, not something else.
func TestACaptureCutInItsFirstBlockIsACapture(t *testing.T) {
	_, path := record(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{12, 20, 1000} {
		cut := filepath.Join(t.TempDir(), "cut.pcapng")
		if err := os.WriteFile(cut, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out := call(t, "info", cut); code != exitFail || !regexp.MustCompile(fmt.Sprintf(`cut.*\b%d bytes`, n)).MatchString(out) {
			t.Errorf("%d bytes: exit %d\n%s", n, code, out)
		}
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, append([]byte("\n\r\r\n"), bytes.Repeat([]byte("text"), 100)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := call(t, "info", other); code != exitUsage {
		t.Errorf("no capture: exit %d\n%s", code, out)
	}
}
