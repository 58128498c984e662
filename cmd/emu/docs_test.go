package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"hilnet/internal/linktest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// begin and end stand around what is generated in a page.
const (
	begin = "<!-- generated: go test ./cmd/emu -update -->\n"
	end   = "<!-- end -->\n"
)

// reference is the help of every command, as a page shows it.
func reference(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, cmd := range (&cli{}).root().Commands() {
		if cmd.Name() == "help" {
			continue
		}
		code, help, errs := call(t, cmd.Name(), "--help")
		if code != exitPass {
			t.Fatal(errs)
		}
		fmt.Fprintf(&b, "### emu %s\n\n```\n%s```\n\n", cmd.Name(), help)
		for _, sub := range cmd.Commands() {
			code, help, errs := call(t, cmd.Name(), sub.Name(), "--help")
			if code != exitPass {
				t.Fatal(errs)
			}
			fmt.Fprintf(&b, "### emu %s %s\n\n```\n%s```\n\n", cmd.Name(), sub.Name(), help)
		}
	}
	return b.String()
}

// The page has the help of every command, word for word; -update writes it.
func TestTheManualHasTheHelpOfEveryCommand(t *testing.T) {
	linktest.Section(t, *update, "cli.md", begin, end, "\n"+reference(t), "go test ./cmd/emu -update")
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{exitPass, exitFail, exitUsage, exitEnvironment, exitInternal, exitInconclusive, exitInterrupted} {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^\| %d \|`, code)).Match(page) {
			t.Errorf("docs/cli.md does not explain the exit code %d", code)
		}
	}
}

// lines returns the command lines of a job file, in their order: the values of
// run and script.
func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "ci", file))
	if err != nil {
		t.Fatal(err)
	}
	var root any
	if err := yaml.UnmarshalWithOptions(text, &root, yaml.UseOrderedMap()); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var all []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case yaml.MapSlice:
			for _, item := range v {
				s, isText := item.Value.(string)
				list, isList := item.Value.([]any)
				switch {
				case item.Key == "run" && isText:
					all = append(all, s)
				case item.Key == "script" && isList:
					for _, line := range list {
						all = append(all, line.(string))
					}
				default:
					walk(item.Value)
				}
			}
		case []any:
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(root)
	return all
}

// The command lines of the example jobs do what their comments say, run by a
// shell in a project with a scenario of its own.
func TestTheExampleJobsWork(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	linktest.Require(t, "bash", "go")
	build := filepath.Join(t.TempDir(), "bin")
	for _, c := range []struct {
		file  string
		least int
		files []string
	}{
		{"github-actions.yml", 4, []string{"out.xml", "out/mine.trace.jsonl", "sweep.jsonl", "sweep.csv"}},
		{"gitlab-ci.yml", 5, []string{"out.xml", "out/mine.device.pcapng", "sweep-4.jsonl", "sweep.jsonl", "sweep.csv"}},
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "tests", "scenarios"), 0o777); err != nil {
			t.Fatal(err)
		}
		var scenario, errs bytes.Buffer
		if run(t.Context(), []string{"show", "clean-link"}, nil, &scenario, &errs) != exitPass {
			t.Fatal(errs.String())
		}
		text := strings.Replace(scenario.String(), "name: clean-link", "name: mine", 1)
		if err := os.WriteFile(filepath.Join(dir, "tests", "scenarios", "mine.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		found := lines(t, c.file)
		if len(found) < c.least {
			t.Fatalf("%s has %d command lines: %q", c.file, len(found), found)
		}
		for _, line := range found {
			if strings.HasPrefix(line, "go build") {
				shell(t, linktest.Root(t), nil, strings.Replace(line, "-o bin/", "-o "+build+"/", 1))
				if err := os.Symlink(build, filepath.Join(dir, "bin")); err != nil {
					t.Fatal(err)
				}
				continue
			}
			nodes := 1
			if strings.Contains(line, "$CI_NODE_INDEX") {
				nodes = 4
			}
			for n := range nodes {
				shell(t, dir, []string{fmt.Sprintf("CI_NODE_INDEX=%d", n+1), fmt.Sprintf("CI_NODE_TOTAL=%d", nodes)}, line)
			}
		}
		for _, name := range c.files {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: no %s (%v)", c.file, name, err)
			}
		}
	}
}

func shell(t *testing.T, dir string, env []string, line string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", line)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// The commands of the page on netem are run as they stand there.
func TestTheCommandsOfTheNetemPageWork(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "netem.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^emu (netem) "([^"]+)"(.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(found) < 3 {
		t.Fatalf("the page has %d commands", len(found))
	}
	for _, m := range found {
		args := append([]string{m[1], m[2], "--packets", "20000"}, strings.Fields(m[3])...)
		if code, out, errs := call(t, args...); code != exitPass || len(out) < 200 {
			t.Errorf("%s: exit %d\n%s%s", m[0], code, out, errs)
		}
	}
}
