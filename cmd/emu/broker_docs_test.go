package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// The commands of the page on the broker work in an empty folder, in the order of
// the page; the port is any free one, and a second is a short time.
func TestTheCommandsOfTheBrokerPageWork(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "broker.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	found := regexp.MustCompile(`(?m)^emu (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(found) < 8 {
		t.Fatalf("the page has %d commands", len(found))
	}
	shorter := strings.NewReplacer(":1883", ":0", "--for 1s", "--for 50ms")
	for _, m := range found {
		if code, out, errs := call(t, strings.Fields(shorter.Replace(m[1]))...); code != exitPass || out == "" {
			t.Errorf("%s: exit %d\n%s%s", m[0], code, out, errs)
		}
	}
	for _, name := range []string{"broker.json", "broker.jsonl"} {
		if info, err := os.Stat(name); err != nil || info.Size() == 0 {
			t.Errorf("no %s (%v)", name, err)
		}
	}
}
