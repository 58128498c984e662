package extract

import (
	"os"
	"testing"
)

// readBroken reads a capture with a rule broken.
func readBroken(t *testing.T, file string, s sabotage) *Capture {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	k, err := Read(t.Context(), file, f, Config{sabotage: s})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// off is how far the estimate of a capture is from the truth.
func off(t *testing.T, k *Capture, w way, truth int) int {
	t.Helper()
	one, err := Single(k)
	if err != nil {
		t.Fatal(err)
	}
	d := one.of(w).Data.Estimate - truth
	return max(d, -d)
}

// Each rule by which answers are weighed is worth something: with one of them broken the
// losses in the recordings of kernels are found worse; without SACK so much that the gate
// over them is red.
func TestWithABrokenRuleLossesAreNotFound(t *testing.T) {
	trials, truths := kernelRecordings(t)
	wrong := map[sabotage]int{}
	red := map[sabotage]bool{}
	for _, s := range []sabotage{noSabotage, withoutSACK, withoutDSACK, withoutEcho, withoutCount} {
		for i, c := range trials {
			up := off(t, readBroken(t, c.dev, s), up, truths[i].LostUp)
			down := off(t, readBroken(t, c.broker, s), down, truths[i].LostDown)
			wrong[s] += up + down
			red[s] = red[s] || max(up, down) > 1
		}
		if s != noSabotage && wrong[s] <= wrong[noSabotage] {
			t.Errorf("sabotage %d: %d off in all, and %d without it: the rule is worth nothing", s, wrong[s], wrong[noSabotage])
		}
	}
	if red[noSabotage] || !red[withoutSACK] {
		t.Errorf("more than one off: %v of %v", red, wrong)
	}
}

// Where a slow link is, the queue in front of it tells what became of what nobody
// answered any more: of a run that ends while it is full, dozens of segments.
func TestAFullQueueTellsWhatItDropped(t *testing.T) {
	c := newTrial(162)
	c.run(t, t.TempDir())
	truth := c.data(readFile(t, c.dev), up)
	if n := off(t, readFile(t, c.dev), up, truth); n > 1 {
		t.Errorf("%d off of %d", n, truth)
	}
	if n := off(t, readBroken(t, c.dev, withoutQueue), up, truth); n <= 1 {
		t.Errorf("%d off of %d without the queue: the test shows nothing", n, truth)
	}
}
