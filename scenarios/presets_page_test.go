package scenarios

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const (
	presetsPage  = "../docs/presets.md"
	presetsBegin = "<!-- generated: go test ./scenarios -run Presets -update -->\n"
	presetsEnd   = "<!-- end -->\n"
)

// presetSection is what the page says of a preset.
func presetSection(p *Preset) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n%s.\n\n", p.Name, strings.ToUpper(p.About[:1])+p.About[1:])
	b.WriteString("| number | basis | source |\n|---|---|---|\n")
	for _, f := range p.Facts {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.Of, f.Basis, f.Source)
	}
	fmt.Fprintf(&b, "\n```yaml\n%s```\n", p.Text())
	return b.String()
}

func TestThePageOfPresetsHasEachOne(t *testing.T) {
	page, err := os.ReadFile(presetsPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), presetsBegin)
	_, after, ok2 := strings.Cut(rest, presetsEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the lines around what is generated", presetsPage)
	}
	var b strings.Builder
	for _, p := range Presets() {
		b.WriteString(presetSection(&p))
	}
	want := before + presetsBegin + b.String() + "\n" + presetsEnd + after
	if *update {
		if err := os.WriteFile(presetsPage, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Error("docs/presets.md is not what the presets say; run go test ./scenarios -run Presets -update and read the difference")
	}
}

// The keys that need to be backed: whatever a preset sets, a fact names.
func TestPresetsSayWhatEachOfTheirNumbersRestsOn(t *testing.T) {
	backed := func(p *Preset, key string) bool {
		words := map[string][]string{
			"overhead": {"overhead", "cell", "rate", "all"}, "states": {"states", "hand-over", "drops", "how"},
			"jitter": {"jitter", "delay"}, // quantiles are delays
		}[key]
		for _, f := range p.Facts {
			for _, w := range append(words, key, "all") {
				if strings.Contains(f.Of, w) {
					return true
				}
			}
		}
		return false
	}
	for _, p := range Presets() {
		for _, key := range append(p.up, p.down...) {
			if !backed(&p, key) {
				t.Errorf("%s: nothing tells what %s rests on", p.Name, key)
			}
		}
		for _, f := range p.Facts {
			if f.Source == "" && f.Basis != Assumed {
				t.Errorf("%s: %s is %s, and nothing tells by whom", p.Name, f.Of, f.Basis)
			}
		}
	}
	for _, p := range Presets() {
		if strings.HasPrefix(p.Name, "nbiot") && !strings.Contains(p.Bases(), "3 measured") {
			t.Errorf("%s: %s", p.Name, p.Bases())
		}
	}
}
