package conformance

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

var update = flag.Bool("update", false, "rewrite docs/conformance.md")

const (
	pageBegin = "<!-- generated: HILNET_SOAK=1 go test ./link/conformance -run Page -update -->\n"
	pageEnd   = "<!-- end -->\n"
)

// page returns docs/conformance.md around and within what is generated.
func page(t *testing.T) (name, before, table, after string) {
	t.Helper()
	name = filepath.Join("..", "..", "docs", "conformance.md")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), pageBegin)
	table, after, ok2 := strings.Cut(rest, pageEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the lines around what is generated", name)
	}
	return name, before, table, after
}

// What the page shows of each row but the numbers that the packets decide is what
// the suite has now; and each of its rows is right.
func TestThePageHasEveryRow(t *testing.T) {
	if *update {
		t.Skip("the page is being rewritten")
	}
	_, _, table, _ := page(t)
	rows, err := Run(Options{Seed: 1, Packets: MinPackets})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(table, "\n```\n"), "```\n\n"), "\n")
	if len(lines) != len(rows)+2 || lines[0] != Header() {
		t.Fatalf("%d lines for %d rows; HILNET_SOAK=1 go test ./link/conformance -run Page -update", len(lines), len(rows))
	}
	for i, r := range rows {
		line := lines[i+1]
		if !strings.HasPrefix(line, r.Model) || !strings.Contains(line, r.Statistic[:min(len(r.Statistic), 6)]) || !strings.HasSuffix(line, "  ok") {
			t.Errorf("%q is not the row of %s, %s", line, r.Model, r.Statistic)
		}
	}
}

func TestThePageIsWhatTheCommandPrints(t *testing.T) {
	linktest.Soak(t)
	name, before, table, after := page(t)
	rows, err := Run(Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("\n```\n" + Header() + "\n")
	for _, r := range rows {
		b.WriteString(r.String() + "\n")
		if !r.OK() {
			t.Errorf("wrong: %v", r)
		}
	}
	b.WriteString("```\n\n")
	if *update {
		if err := os.WriteFile(name, []byte(before+pageBegin+b.String()+pageEnd+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != b.String() {
		t.Error("docs/conformance.md is not what emu conformance prints: HILNET_SOAK=1 go test ./link/conformance -run Page -update")
	}
}
