package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// dropsAFrame shows that --decisions drops what is on a list.
func dropsAFrame(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("drops.jsonl", []byte(`{"link":"link","dir":"up","frame":5}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, without, _ := call(t, "run", "clean-link")
	_, with, _ := call(t, "run", "clean-link", "--decisions", "drops.jsonl")
	if strings.Contains(without, "listed") || !strings.Contains(with, "listed 1") {
		t.Errorf("without:\n%s\nwith:\n%s", without, with)
	}
}

// The page's commands repeat a run, and its list drops two frames.
func TestThePageOfDecisionLogsTellsTheTruth(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "decisions.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	commands := regexp.MustCompile(`(?m)^    emu (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(commands) != 2 {
		t.Fatalf("%d commands on the page", len(commands))
	}
	var traces []string
	for _, m := range commands {
		if code, _, errs := call(t, strings.Fields(m[1])...); code != exitPass {
			t.Fatalf("emu %s: %s", m[1], errs)
		}
		b, err := os.ReadFile("link-drop.trace.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		traces = append(traces, string(b))
	}
	if traces[0] != traces[1] {
		t.Error("the second run is not the first one")
	}
	lines := regexp.MustCompile(`(?m)^    (\{.*\})$`).FindAllStringSubmatch(string(page), -1)
	if len(lines) != 4 {
		t.Fatalf("%d lines of files on the page", len(lines))
	}
	if err := os.WriteFile("list.jsonl", []byte(lines[0][1]+"\n"+lines[1][1]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, out, errs := call(t, "run", "clean-link", "--decisions", "list.jsonl"); !strings.Contains(out, "listed 2") {
		t.Errorf("the list on the page: %s%s", out, errs)
	}
	log, err := os.ReadFile("run.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range lines[2:] {
		if !strings.Contains(string(log), m[1]+"\n") {
			t.Errorf("link-drop's log does not have the line %s", m[1])
		}
	}
}

// The commands of the page run, and its rules are a scenario's.
func TestThePageOfRulesTellsTheTruth(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "match.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	commands := regexp.MustCompile(`(?m)^    emu (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(commands) != 4 {
		t.Fatalf("%d commands on the page", len(commands))
	}
	for i, m := range commands {
		code, out, errs := call(t, linktest.Words(m[1])...)
		if want := i == 1; (code == exitFail) != want || code != exitPass && code != exitFail {
			t.Errorf("emu %s ends with %d\n%s%s", m[1], code, out, errs)
		}
	}
	_, rules, _ := strings.Cut(string(page), "```yaml\n")
	rules, _, _ = strings.Cut(rules, "```")
	text := "version: 1\nname: page\ndevices: [{steps: [connect]}]\nbroker: {}\n" + rules
	if err := os.WriteFile("page.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := call(t, "validate", "page.yaml"); code != exitPass {
		t.Errorf("the rules on the page: %s", errs)
	}
}
