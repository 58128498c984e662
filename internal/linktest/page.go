package linktest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Section tests that a page of docs has text between the lines begin and end, or
// with rewrite writes it there. command is what rewrites it, for the message.
func Section(t testing.TB, rewrite bool, page, begin, end, text, command string) {
	t.Helper()
	name := filepath.Join(Root(t), "docs", filepath.FromSlash(page))
	was, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(was), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("docs/%s lacks the lines around what is generated, %q and %q", page, begin, end)
	}
	want := before + begin + text + end + after
	switch {
	case want == string(was):
	case !rewrite:
		t.Errorf("docs/%s is not up to date: %s", page, command)
	default:
		if err := os.WriteFile(name, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Words splits a command line at blanks; single quotes hold words together.
func Words(line string) []string {
	var all []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
		} else {
			all = append(all, strings.Fields(part)...)
		}
	}
	return all
}
