package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/scenarios"
)

// quirksPage is what docs/quirks.md has between its two lines.
func quirksPage() string {
	var b strings.Builder
	for _, p := range quirkParts {
		fmt.Fprintf(&b, "\n## %s\n\n| quirk | with it | without it | source in netxduo | issue | shown by |\n|---|---|---|---|---|---|\n", strings.TrimSuffix(p.text, ":"))
		for _, q := range scenarios.QuirkList() {
			if q.Part != p.part {
				continue
			}
			with, without, _ := strings.Cut(q.Text, "; else ")
			var issues []string
			for _, n := range strings.Split(q.Issue, ", ") {
				if n != "" {
					issues = append(issues, fmt.Sprintf("[%s](%s)", n, issueLinks(n)))
				}
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | `%s` |\n", q.Name, strings.TrimSuffix(with, "."), strings.TrimSuffix(without, "."), q.Source, strings.Join(issues, ", "), q.Scenario)
		}
	}
	b.WriteString("\n")
	return b.String()
}

// The page has every quirk; -update writes it.
func TestThePageOfQuirksHasAllOfThem(t *testing.T) {
	linktest.Section(t, *update, "quirks.md", begin, end, quirksPage(), "go test ./cmd/emu -update")
}

// The commands of the page do what they are shown for.
func TestTheCommandsOnThePageOfQuirksWork(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "quirks.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^    emu (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(found) < 3 {
		t.Fatalf("%d commands on the page", len(found))
	}
	t.Chdir(t.TempDir())
	for _, m := range found {
		code, out, errs := call(t, linktest.Words(m[1])...)
		if code == exitUsage || code == exitEnvironment || out == "" {
			t.Errorf("emu %s ends with %d\n%s", m[1], code, errs)
		}
	}
}

func TestQuirksTellsOfOneAndOfAll(t *testing.T) {
	code, out, _ := call(t, "quirks")
	for _, q := range scenarios.QuirkList() {
		if code != exitPass || !strings.Contains(out, "  "+q.Name+" ") {
			t.Errorf("exit %d: %s is missing", code, q.Name)
		}
		with, without, ok := strings.Cut(q.Text, "; else ")
		if !ok || with == "" || without == "" {
			t.Errorf("%s: %q does not tell both sides", q.Name, q.Text)
		}
	}
	_, out, _ = call(t, "quirks", "unread_leak")
	for _, want := range []string{"a bug of the MQTT client", "without   they are released.", "_nxd_mqtt_release_receive_packet", "issues/384", "quirks: default -unread_leak", "emu run delete-leak\n", "emu run delete-leak --set 'quirks=default -unread_leak'"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	code, _, errs := call(t, "quirks", "unread_leek")
	if code != exitUsage || !strings.Contains(errs, `did you mean "unread_leak"?`) {
		t.Errorf("exit %d: %s", code, errs)
	}
}
