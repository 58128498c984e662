package extract

import (
	"strings"
	"testing"
)

// made makes a scenario of captures of both ends, runs it, and returns its text without
// where it is from, and the captures of its run.
func made(t *testing.T, a, b *Capture) (text string, device, peer *Capture) {
	t.Helper()
	c, err := Pair(a, b)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Make(Plan{})
	if err != nil {
		t.Fatal(err)
	}
	missed, err := m.Fit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(missed) > 0 {
		t.Logf("not in the run: %v", missed)
	}
	r, err := m.run(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(m.Text()) {
		// Comments tell of the capture.
		head, _, _ := strings.Cut(line, " #")
		lines = append(lines, strings.TrimRight(head, "\n"))
	}
	text = strings.Join(lines, "\n")
	return text[strings.Index(text, "\nduration:"):], r.caught[0], r.caught[1]
}

// A scenario that is made of a scenario's run is that scenario: its steps, their times,
// and the numbers of the frames that the link loses.
func TestAScenarioOfAScenariosRunIsTheSame(t *testing.T) {
	dir := t.TempDir()
	for _, seed := range []uint64{2, 10} {
		c := newTrial(seed)
		c.run(t, dir)
		one, device, peer := made(t, readFile(t, c.dev), readFile(t, c.broker))
		if two, _, _ := made(t, device, peer); one != two {
			t.Errorf("seed %d:\n%s\nand again:\n%s", seed, one, two)
		}
	}
	for _, k := range groundtruth(t) {
		if k.name != "mqtt311-q1-clean" && k.name != "mqtt311-q1-iid5" {
			continue
		}
		one, device, peer := made(t, readFile(t, k.dev), readFile(t, k.broker))
		two, device, peer := made(t, device, peer)
		if k.name == "mqtt311-q1-clean" && one != two {
			t.Errorf("%s:\n%s\nand again:\n%s", k.name, one, two)
		}
		// The recorded client waited for what it had sent; the model's does so in its own
		// way, which the first scenario has from the one and the second from the other.
		if three, _, _ := made(t, device, peer); two != three {
			t.Errorf("%s again:\n%s\nand once more:\n%s", k.name, two, three)
		}
	}
}
