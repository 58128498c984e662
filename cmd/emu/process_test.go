package main

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// What the built command does as a process of its own.
func TestTheBuiltCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command, which a check does without -short")
	}
	emu := build(t)
	t.Run("repeats a seed in any process", func(t *testing.T) { repeatsASeed(t, emu) })
	processFaults(t, emu)
}

// build builds the command into a folder that everybody can enter.
func build(t *testing.T, flags ...string) string {
	t.Helper()
	path := filepath.Join(open(t), "emu")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "./cmd/emu")...)
	cmd.Dir = linktest.Root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return path
}

// open returns an empty folder that everybody can enter, which a test's own is
// not.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hilnet-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// write makes a file and returns its path.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// finish runs a command to its end and returns its exit code and all that it
// printed.
func finish(t *testing.T, cmd *exec.Cmd) (int, string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// The determinism gate: two processes, GOMAXPROCS 1 and 4, and one built with
// the race detector write the same bytes.
func repeatsASeed(t *testing.T, plain string) {
	linktest.Require(t, "gcc") // for -race
	race := build(t, "-race")
	scenario := "link-drop"
	sums := func(emu, procs, seed string) map[string]string {
		dir := t.TempDir()
		cmd := exec.Command(emu, "run", scenario, "--seed", seed, "--out", dir)
		cmd.Env = append(os.Environ(), "GOMAXPROCS="+procs)
		if code, out := finish(t, cmd); code != exitPass && code != exitFail {
			t.Fatalf("exit %d\n%s", code, out)
		}
		return sha256Sums(t, dir)
	}
	want := sums(plain, "1", "7")
	files := []string{"link-drop.device.pcapng", "link-drop.peer.pcapng", "link-drop.trace.jsonl"}
	if got := slices.Sorted(maps.Keys(want)); !slices.Equal(got, files) {
		t.Fatalf("files %v, want %v", got, files)
	}
	for _, c := range []struct{ what, emu, procs string }{
		{"GOMAXPROCS 4", plain, "4"}, {"GOMAXPROCS 1 again", plain, "1"},
		{"-race, GOMAXPROCS 1", race, "1"}, {"-race, GOMAXPROCS 4", race, "4"},
	} {
		if got := sums(c.emu, c.procs, "7"); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.what, got, want)
		}
	}
	scenario = "connect-v6"
	want6 := sums(plain, "1", "7")
	for procs, emu := range map[string]string{"4": plain, "2": race} {
		if got := sums(emu, procs, "7"); len(want6) != 3 || !maps.Equal(got, want6) {
			t.Errorf("IPv6, GOMAXPROCS %s: %v, want %v", procs, got, want6)
		}
	}
	scenario = "tls-lossy"
	wantTLS := sums(plain, "1", "7")
	for procs, emu := range map[string]string{"4": plain, "2": race} {
		if got := sums(emu, procs, "7"); len(wantTLS) != 5 || !maps.Equal(got, wantTLS) {
			t.Errorf("TLS, GOMAXPROCS %s: %v, want %v", procs, got, wantTLS)
		}
	}
	scenario = "link-drop"
	for name, sum := range sums(plain, "1", "8") {
		if want[name] == sum {
			t.Errorf("%s is the same with seed 8", name)
		}
	}
}

func sha256Sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return all
}

const userModule = `module example.com/firmware

go 1.26

require hilnet v0.0.0

replace hilnet => %s
`

// Module hilnet has no address to go get it from: its users replace it. The
// package of the guide on Go tests works so, letter by letter.
func TestAnotherModuleUsesEmuByReplace(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to do with it")
	}
	root, dir := linktest.Root(t), t.TempDir()
	gosum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile(filepath.Join(root, "docs", "guides", "go-tests.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "```go\n")
	userTest, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the guide has no test")
	}
	mod := fmt.Sprintf(userModule, root)
	own, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	// The versions that hilnet was tested with, so that nothing is looked up.
	for block := range strings.SplitSeq(string(own), "require (") {
		if list, _, ok := strings.Cut(block, ")"); ok && !strings.HasPrefix(block, "module") {
			mod += "\nrequire (" + list + ")\n"
		}
	}
	for name, text := range map[string]string{"go.mod": mod, "go.sum": string(gosum), "link_test.go": userTest} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "ok  \texample.com/firmware") {
		t.Errorf("%v\n%s", err, out)
	}
}
