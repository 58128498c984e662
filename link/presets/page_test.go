package presets_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/link/presets"
)

var update = flag.Bool("update", false, "rewrite docs/presets.md")

const (
	begin = "<!-- generated: go test ./link/presets -update -->\n"
	end   = "<!-- end -->\n"
)

func rate(bits uint64) string {
	switch {
	case bits%1e6 == 0:
		return fmt.Sprintf("%d Mbit/s", bits/1e6)
	case bits%1e3 == 0:
		return fmt.Sprintf("%d kbit/s", bits/1e3)
	}
	return fmt.Sprintf("%d bit/s", bits)
}

func way(w presets.Way) string {
	delay := w.Delay.String()
	if w.Jitter > 0 {
		delay += " ± " + w.Jitter.String()
	}
	if len(w.Quantiles) > 0 {
		var parts []string
		for _, q := range w.Quantiles {
			parts = append(parts, fmt.Sprintf("%v (%g %%)", q.D, 100*q.P))
		}
		delay = strings.Join(parts, ", ")
	}
	loss := fmt.Sprintf("%.3g %%", 100*w.Loss)
	if w.LossRun > 1 {
		loss += fmt.Sprintf(" in runs of %g", w.LossRun)
	}
	return fmt.Sprintf("delay %s; %s, %d B of overhead a packet; loss %s; queue %d packets", delay, rate(w.RateBitsPerSecond), w.OverheadBytes, loss, w.QueuePackets)
}

func section(p presets.Preset) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s. MTU %d.\n\n- up: %s\n- down: %s\n", p.Name, p.Title, p.MTU, way(p.Up), way(p.Down))
	if r := p.Radio; r.Inactivity > 0 {
		fmt.Fprintf(&b, "- radio: idle after %v, wake-up %v, paging each %v\n", r.Inactivity, r.Wake, r.Paging)
	}
	if p.Trace != "" {
		fmt.Fprintf(&b, "- trace: `%s`\n", p.Trace)
	}
	b.WriteString("\n| | basis | source |\n|---|---|---|\n")
	for _, f := range p.Facts {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.Of, f.Basis, f.Source)
	}
	if p.Remarks != "" {
		fmt.Fprintf(&b, "\n%s\n", p.Remarks)
	}
	return b.String() + "\n"
}

func TestThePageHasEveryPreset(t *testing.T) {
	name := filepath.Join("..", "..", "docs", "presets.md")
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the lines around what is generated", name)
	}
	var b strings.Builder
	for _, p := range presets.All() {
		b.WriteString(section(p))
	}
	want := before + begin + "\n" + b.String() + end + after
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Error("docs/presets.md is not what the table says: go test ./link/presets -update")
	}
}
