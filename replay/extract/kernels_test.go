package extract

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// kernelScores are what single captures of kernels were found to say.
type kernelScores struct {
	exact, near, front, rtt, edges *score
}

func newKernelScores() *kernelScores {
	return &kernelScores{
		exact: &score{what: "lost with data behind it, within 1"},
		near:  &score{what: "lost with data behind it, within 1, or within bounds no wider than ±3"},
		front: &score{what: "lost with data in front of it, within bounds"},
		rtt:   &score{what: "shortest round trip, within 1 ms and 1 %"},
		edges: &score{what: "outage edges, within one retransmission timeout"},
	}
}

// note extracts the conditions of both captures of a run, each alone. unseen: SYNs were
// lost before the first one passed, and of those nothing is in a capture behind the link.
func (k *kernelScores) note(t *testing.T, c *trial, what string, unseen bool, lost [3]int) {
	t.Helper()
	files := [3]string{up: c.dev, down: c.broker}
	both, err := Pair(readFile(t, c.dev), readFile(t, c.broker))
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	// In real time a link is late by what the machine is: so it was as fast as both
	// captures say.
	path := both.Up.Delay.Min + both.Down.Delay.Min
	for _, w := range ways {
		one, err := Single(readFile(t, files[w]))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		d, truth := one.of(w).Data, lost[w]
		inside := truth >= d.Min && truth <= d.Max
		close := d.Estimate-truth <= 1 && truth-d.Estimate <= 1
		k.exact.note(c, close, "%s, %s: %+v, want %d", what, w, d, truth)
		k.near.note(c, close || inside && d.Max-d.Min <= 6, "%s, %s: %+v, want %d", what, w, d, truth)
		if far, truth := one.of(w.peer()).Data, lost[w.peer()]; !unseen || w == up {
			k.front.note(c, truth >= far.Min-1 && truth <= far.Max+1, "%s, %s at the other end: %+v, want %d", what, w.peer(), far, truth)
		}
		if off := one.RTT.Min - path; c.rate == 0 {
			k.rtt.note(c, off > -time.Millisecond && off < time.Millisecond+path/100, "%s, %s: %v, want %v", what, w, one.RTT.Min, path)
		}
		if w == up && c.outage[1] > 0 {
			k.outage(c, what, one)
		}
	}
}

// outage compares the edges of an outage, where the device sent enough to show it.
// Times of a capture begin with its first frame, those of the run with the run: their
// difference is what the length of the outage does without.
func (k *kernelScores) outage(c *trial, what string, one *Conditions) {
	for _, o := range one.Outages {
		if o.NeverPassed {
			continue
		}
		want := c.outage[1] - c.outage[0]
		timeout := max(time.Second, 2*(o.Latest-o.End))
		long, short := o.Latest-o.Earliest, o.End-o.Start
		k.edges.note(c, long >= want-50*time.Millisecond && short <= want+timeout && short >= want-timeout-max(0, o.Start-o.Earliest),
			"%s: %v to %v (%v, %v), want %v in all", what, o.Start, o.End, o.Earliest, o.Latest, want)
	}
}

// judge prints the table and fails the test where too little is right.
func (k *kernelScores) judge(t *testing.T, near, front float64) {
	t.Helper()
	var rows strings.Builder
	for _, g := range []struct {
		s     *score
		least float64
	}{{k.exact, 0}, {k.near, near}, {k.front, front}, {k.rtt, 0.8}, {k.edges, 0.6}} {
		fmt.Fprintf(&rows, "| %s | %d | %d |\n", g.s.what, g.s.cases, g.s.ok)
		if float64(g.s.ok) < g.least*float64(g.s.cases) {
			t.Errorf("%s: %d of %d, want %.0f %%", g.s.what, g.s.ok, g.s.cases, 100*g.least)
		}
		if g.least > 0 && len(g.s.wrong) > 0 {
			slices.Sort(g.s.wrong)
			t.Logf("%s:\n%s", g.s.what, strings.Join(g.s.wrong, "\n"))
		}
	}
	t.Logf("\n%s", rows.String())
}

// A kernelTruth is a line of testdata/kernels/truth.jsonl.
type kernelTruth struct {
	Name, About      string
	RTTms            int
	Limited          bool // by a rate, or by a network that reorders: it says nothing of RTTms
	Unseen           bool // SYNs were lost first
	OutageMs         [2]int
	LostUp, LostDown int
}

// kernelRecordings are recordings of two kernels that are kept, with what the link
// dropped.
func kernelRecordings(t testing.TB) (trials []*trial, truths []kernelTruth) {
	t.Helper()
	dir := filepath.Join("testdata", "kernels")
	text, err := os.ReadFile(filepath.Join(dir, "truth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var k kernelTruth
		if err := json.Unmarshal([]byte(line), &k); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		c := &trial{dev: filepath.Join(dir, k.Name+".device.pcap"), broker: filepath.Join(dir, k.Name+".broker.pcap"), up: time.Duration(k.RTTms) * time.Millisecond}
		if k.Limited {
			c.rate = 1
		}
		c.outage = [2]time.Duration{time.Duration(k.OutageMs[0]) * time.Millisecond, time.Duration(k.OutageMs[1]) * time.Millisecond}
		trials, truths = append(trials, c), append(truths, k)
	}
	return trials, truths
}

// Recordings of two Linux kernels, by tcpdump, say what the link between them did.
func TestRecordingsOfKernelsAreFoundAgain(t *testing.T) {
	k := newKernelScores()
	trials, truths := kernelRecordings(t)
	for i, c := range trials {
		k.note(t, c, truths[i].Name+": "+truths[i].About, truths[i].Unseen, [3]int{up: truths[i].LostUp, down: truths[i].LostDown})
		both, err := Pair(readFile(t, c.dev), readFile(t, c.broker))
		if err != nil {
			t.Error(err)
			continue
		}
		if u, d := both.Up.Data, both.Down.Data; u.Estimate != truths[i].LostUp || d.Estimate != truths[i].LostDown {
			t.Errorf("%s, two captures: %v up and %v down, want %d and %d", truths[i].Name, u, d, truths[i].LostUp, truths[i].LostDown)
		}
	}
	k.judge(t, 1, 1)
}

// A sender whose network card cuts its segments is captured before it does: what was lost
// are parts of them.
func TestPartsOfWhatTheNetworkCardCutsAreFound(t *testing.T) {
	trials, truths := kernelRecordings(t)
	i := slices.IndexFunc(truths, func(k kernelTruth) bool { return strings.Contains(k.Name, "bulk-down") })
	k := readFile(t, trials[i].broker)
	frames := len(k.packets)
	joined := k.packets[:1]
	for _, p := range k.packets[1:] {
		q := &joined[len(joined)-1]
		const atOnce = int64(100 * time.Microsecond)
		if p.payload > 1000 && q.payload > 1000 && p.src == q.src && p.conn == q.conn && p.seq == q.end() && p.at-q.at < atOnce && q.payload < 20000 {
			q.payload, q.len, q.flags = q.payload+p.payload, q.len+p.payload, q.flags|p.flags
			continue
		}
		joined = append(joined, p)
	}
	k.packets = joined
	one, err := Single(k)
	if err != nil || frames-len(joined) < 50 {
		t.Fatalf("%v, %d of %d frames left", err, len(joined), frames)
	}
	if d := one.Down.Data; d.Estimate-truths[i].LostDown > 1 || truths[i].LostDown-d.Estimate > 1 {
		t.Errorf("%v of %d", d, truths[i].LostDown)
	}
}
