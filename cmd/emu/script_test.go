package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"hilnet/internal/linktest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"emu": func() {
			os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}

// command finds the README's commands that need nothing but Go.
var command = regexp.MustCompile(`(?m)^go run \./cmd/emu (.*?)(?:\s+# ?(.*))?$`)

// The README's commands work in an empty folder, in the order of the page, and
// the result that it shows is the one that they print.
func TestTheREADMETellsTheTruth(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(linktest.Root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	found := command.FindAllStringSubmatch(string(readme), -1)
	if len(found) < 5 {
		t.Fatalf("%d commands in the README, want at least 5", len(found))
	}
	for _, m := range found {
		args, file, redirected := strings.Cut(m[1], " > ")
		if strings.HasPrefix(m[2], "ends with 1") {
			script.WriteString("! ")
		}
		script.WriteString("exec emu " + args + "\n")
		if redirected {
			script.WriteString("cp stdout " + file + "\n")
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "readme.txtar"), []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: dir, RequireExplicitExec: true})

	t.Chdir(t.TempDir())
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"run", "link-drop"}, nil, &stdout, &stderr); code != exitPass {
		t.Fatalf("exit %d\n%s", code, stderr.String())
	}
	wall := regexp.MustCompile(`device time in \S+,`)
	want := wall.ReplaceAllString(stdout.String(), "device time in …,")
	page := wall.ReplaceAllString(string(readme), "device time in …,")
	if !strings.Contains(page, strings.TrimSpace(want)) {
		t.Errorf("the README does not show what link-drop prints:\n%s", stdout.String())
	}
}
