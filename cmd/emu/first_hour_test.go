package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// buildLine is the command of the first hour that compiles, which takes long in
// a new folder.
const buildLine = "$ go build -o bin/ ./cmd/...\n"

// The way of a newcomer, as the page shows it, in a fresh clone: what is in the
// index of the repository, and nothing else. In soak the commands are built there;
// otherwise bin/emu is the one that all tests have, for that takes long.
func TestTheFirstHourWorksInAFreshClone(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	linktest.Require(t, "bash", "git")
	root := linktest.Root(t)
	file := filepath.Join(root, "docs", "guides", "first-hour.md")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clone := filepath.Join(t.TempDir(), "hilnet") + string(filepath.Separator)
	run := func(dir string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(root, ".git")); err == nil {
		run(root, "git", "checkout-index", "--all", "--prefix="+clone)
	} else if err := os.CopyFS(clone, os.DirFS(root)); err != nil { // the sources without their history
		t.Fatal(err)
	}
	if !strings.Contains(string(page), buildLine) {
		t.Fatalf("the page has no line %q", buildLine)
	}
	if os.Getenv(linktest.SoakEnv) == "" {
		emu, err := exec.LookPath("emu")
		if err == nil {
			err = errors.Join(os.Mkdir(clone+"bin", 0o777), os.Symlink(emu, filepath.Join(clone, "bin", "emu")))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(clone)
	got := consoleBlock.ReplaceAllStringFunc(string(page), func(block string) string {
		text := consoleBlock.FindStringSubmatch(block)[2]
		if os.Getenv(linktest.SoakEnv) == "" {
			if rest, builds := strings.CutPrefix(text, buildLine); builds {
				return "```console\n" + buildLine + session(t, rest) + "```"
			}
		}
		return "```console\n" + session(t, text) + "```"
	})
	switch {
	case got == string(page):
	case *update:
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the commands print something else than the page shows (go test ./cmd/emu -run FirstHour -update):\n%s", firstDifference(string(page), got))
	}
	for _, name := range []string{"broken.html", "broken.svg", "report.html", "out.xml", ".github/workflows/emulation.yml"} {
		if info, err := os.Stat(filepath.FromSlash(name)); err != nil || info.Size() == 0 {
			t.Errorf("no %s: %v", name, err)
		}
	}
	// Whoever follows a guide needs no page that is not there.
	for _, m := range pageLink.FindAllStringSubmatch(string(page), -1) {
		if _, err := os.Stat(filepath.Join("docs", "guides", filepath.FromSlash(m[1]))); err != nil {
			t.Errorf("the page leads to %s: %v", m[1], err)
		}
	}
}
