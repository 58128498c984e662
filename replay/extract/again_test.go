package extract

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"hilnet/internal/linktest"
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

// rests makes a scenario of captures, another one of its run, and so on, and returns
// which is the first that comes again, 0 if none of the first four does.
func rests(t *testing.T, device, peer *Capture) int {
	t.Helper()
	before := ""
	const most = 5
	for n := range most {
		var text string
		if text, device, peer = made(t, device, peer); text == before {
			return n
		}
		before = text
	}
	return 0
}

// firstRest is the seed of the first run that nobody looked at while this was made.
const firstRest = 4001

// A scenario that is made of a scenario's run is that scenario, at once or soon: its
// steps, their times, and the numbers of the frames that the link loses.
func TestAScenarioOfAScenariosRunIsTheSame(t *testing.T) {
	trials, soak := uint64(5), os.Getenv(linktest.SoakEnv) != "" || *update
	if soak {
		trials = 50
	}
	type tally struct{ cases, once, third, fourth int }
	note := func(c *tally, name string, n int) {
		t.Logf("%s: comes to rest with number %d", name, n)
		c.cases++
		if n == 1 {
			c.once++
		}
		if n == 1 || n == 2 {
			c.third++
		}
		if n > 0 {
			c.fourth++
		}
	}
	var runs, recordings tally
	dir := t.TempDir()
	for seed := uint64(firstRest); seed < firstRest+trials; seed++ {
		c := newTrial(seed)
		c.run(t, dir)
		note(&runs, fmt.Sprintf("seed %d", seed), rests(t, readFile(t, c.dev), readFile(t, c.broker)))
	}
	for _, k := range groundtruth(t) {
		if short := k.name == "mqtt311-q1-clean" || k.name == "mqtt311-q1-iid5"; soak && strings.HasPrefix(k.name, "mqtt311") || short {
			note(&recordings, k.name, rests(t, readFile(t, k.dev), readFile(t, k.broker)))
		}
	}
	for _, c := range []tally{runs, recordings} {
		if c.third*10 < c.cases*8 || c.fourth*10 < c.cases*9 {
			t.Errorf("%+v", c)
		}
	}
	if !soak {
		return
	}
	row := func(what string, c tally) string {
		return fmt.Sprintf("| %s | %d | %d | %d | %d |\n", what, c.cases, c.once, c.third, c.fourth)
	}
	table(t, "rest", "| made of | cases | the second is the first | the third is the second, or that | the fourth is the third, or that |\n|---|---|---|---|---|\n"+
		row("random runs of the emulator", runs)+row("recordings of Linux, MQTT 3.1.1", recordings))
}
