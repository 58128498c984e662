package emu_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/scenarios"
)

func openScenario(t *testing.T, name string, sets ...string) *scenarios.Scenario {
	t.Helper()
	var all []scenarios.Set
	for _, text := range sets {
		s, err := scenarios.ParseSet(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	sc, err := scenarios.OpenWith(name, all)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

func explored(t *testing.T, cfg emu.ExploreConfig) *emu.Exploration {
	t.Helper()
	e, err := emu.Explore(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// One lost PINGREQ costs a NetX device its session. Nobody tells explore where
// to look; and the frames that it names are harmless when the client waits longer
// for the PINGRESP.
func TestExploreFindsTheLostPing(t *testing.T) {
	e := explored(t, emu.ExploreConfig{Scenario: openScenario(t, "idle-sensor")})
	var pings int
	for _, r := range e.Fatal {
		if len(r.Drops) != 1 || r.Verdict != emu.Fail || len(r.Failed) != 1 {
			t.Errorf("%+v", r)
		}
		if r.Drops[0].What != "PINGREQ" {
			continue
		}
		pings++
		if len(r.Findings) != 1 || r.Findings[0].Name != "session_lost_to_one_ping" {
			t.Errorf("%s: findings %+v", r.Drops[0].Name(), r.Findings)
		}
	}
	if pings < 3 || e.Singles != e.Frames || len(e.Base.Failed) > 0 {
		t.Errorf("%d fatal pings, %d of %d frames lost one by one", pings, e.Singles, e.Frames)
	}
	fixed := explored(t, emu.ExploreConfig{Scenario: openScenario(t, "idle-sensor", "devices[0].quirks=none")})
	for _, r := range fixed.Fatal {
		if strings.HasPrefix(r.Drops[0].What, "PING") {
			t.Errorf("without quirks the loss of a ping is fatal: %+v", r)
		}
	}
}

// The result is the same whatever runs beside what, and a pair is fatal only
// where neither of its frames is alone.
func TestExploreIsTheSameWithAnyNumberOfWorkers(t *testing.T) {
	var texts []string
	for _, workers := range []int{1, 3} {
		e := explored(t, emu.ExploreConfig{Scenario: openScenario(t, "idle-sensor"), Pairs: 60, Workers: workers})
		if e.Pairs == 0 || e.Pairs > 60 || e.Planned != e.Singles+e.Pairs {
			t.Errorf("%d pairs, %d planned", e.Pairs, e.Planned)
		}
		resent := 0
		alone := map[string]bool{}
		for _, r := range e.Fatal {
			if len(r.Drops) == 1 {
				alone[r.Drops[0].Name()+r.Drops[0].What] = true
			} else if alone[r.Drops[0].Name()+r.Drops[0].What] {
				t.Errorf("a pair whose first frame is fatal alone: %+v", r.Drops)
			} else if r.Drops[0].What == "PINGRESP" && r.Drops[1].What == "again: PINGRESP" {
				resent++
			}
		}
		if resent < 3 {
			t.Errorf("%d pairs of a PINGRESP and its retransmission are fatal", resent)
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	if texts[0] != texts[1] {
		t.Errorf("one worker:\n%s\nthree:\n%s", texts[0], texts[1])
	}
}

// What a fatal run did, its command does: the same frames fail the same way.
func TestWhatExploreFindsRepeats(t *testing.T) {
	e := explored(t, emu.ExploreConfig{Scenario: openScenario(t, "idle-sensor"), Max: 20})
	if e.Singles != 20 || e.Planned <= 20 || len(e.Fatal) == 0 {
		t.Fatalf("%d runs of %d, %d fatal", e.Singles, e.Planned, len(e.Fatal))
	}
	for _, r := range e.Fatal {
		words := strings.Fields(r.Command) // emu run idle-sensor --set 'link.up.drop_frames=[8]' --seed 1
		sc := openScenario(t, words[2], strings.Trim(words[4], "'"))
		result, err := emu.Run(t.Context(), sc, emu.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if result.Verdict != r.Verdict {
			t.Errorf("%s: %s, want %s", r.Command, result.Verdict, r.Verdict)
		}
		if n := result.Outcome.Drops.Reason["listed"]; n != 1 {
			t.Errorf("%s: %v drops", r.Command, n)
		}
	}
}

// Ctrl-C keeps what is done.
func TestAnInterruptedExplorationKeepsWhatIsDone(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	e, err := emu.Explore(ctx, emu.ExploreConfig{
		Scenario: openScenario(t, "idle-sensor"), Workers: 1,
		Progress: func(done, _ int64) {
			if done == 20 {
				stop()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || e == nil || e.Singles < 20 || e.Singles >= e.Planned || len(e.Fatal) == 0 {
		t.Errorf("error %v, %+v", err, e)
	}
}

// Frames that never come are told, and those that do are dropped by name.
func TestFramesAreDroppedByTheirNumber(t *testing.T) {
	sc := openScenario(t, "idle-sensor", "link.up.drop_frames=[6,9999]")
	result, err := emu.Run(t.Context(), sc, emu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := result.Outcome.Drops.Stage["link/up/drop_frames"]; n != 1 || result.Verdict != emu.Fail {
		t.Errorf("%v drops, %s", n, result.Verdict)
	}
	if notes := strings.Join(result.Notes, "\n"); !strings.Contains(notes, "never came: link up frame 9999") {
		t.Errorf("notes: %s", notes)
	}
	_, err = scenarios.LoadWith("x.yaml", []byte("version: 1\nname: x\nduration: 1s\ndevices: [{steps: [connect]}]\nbroker: {kind: model}\nlinks: [{up: {drop_frames: [3, 0]}}]\nexpect: [connects == 1]\n"), nil)
	if err == nil || !strings.Contains(err.Error(), "there is no frame 0") || !strings.Contains(err.Error(), "x.yaml:6:") {
		t.Errorf("error %v", err)
	}
}

func shrunk(t *testing.T, cfg emu.ShrinkConfig) *emu.Shrunk {
	t.Helper()
	s, err := emu.Shrink(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Runs that lose 5 % of their frames fail because of single ones, and the
// scenario that shrink writes fails alike, and not without them.
func TestShrinkFindsTheCulprits(t *testing.T) {
	for _, seed := range []uint64{2, 3, 4, 6} {
		sc := openScenario(t, "idle-sensor", "link.loss=5%", "duration=200s")
		s := shrunk(t, emu.ShrinkConfig{Scenario: sc, Seed: &seed})
		if len(s.Drops) != 1 || !s.Smallest || s.Lost < 2 {
			t.Errorf("seed %d: %d drops of %d: %+v", seed, len(s.Drops), s.Lost, s.Drops)
		}
		if !strings.Contains(string(s.Text), "# "+seconds3(s)) {
			t.Errorf("seed %d: no comment at the frame:\n%s", seed, s.Text)
		}
		again, err := scenarios.Load("small.yaml", s.Text)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			without bool
			want    emu.Verdict
		}{{false, emu.Fail}, {true, emu.Pass}} {
			if c.without {
				again.Links[0].Up.DropFrames, again.Links[0].Down.DropFrames = nil, nil
			}
			result, err := emu.Run(t.Context(), again, emu.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if result.Verdict != c.want {
				t.Errorf("seed %d, without the drops %v: %s, want %s", seed, c.without, result.Verdict, c.want)
			}
		}
	}
}

// seconds3 is how the comment of the first drop begins.
func seconds3(s *emu.Shrunk) string {
	_, at, _ := strings.Cut(string(s.Text), s.Drops[0].Name()+", ")
	at, _, _ = strings.Cut(at, "\n")
	return at
}

const manyDrops = `
version: 1
name: many-drops
duration: 20s
devices: [{steps: [connect, {every: {period: 500ms, do: [{publish: {topic: t, payload: x, qos: 0}}]}}]}]
links: [{delay: 10ms, up: {drop_frames: [6, 8, 10, 12, 14, 16, 18, 20]}, down: {drop_frames: [9, 11, 13]}}]
broker: {kind: model}
expect: [EXPECT, conservation_errors == 0]
`

// Delta debugging gets to sets of several drops, each of them needed, whatever
// the number of workers.
func TestShrinkFindsSetsOfSeveralDrops(t *testing.T) {
	for _, c := range []struct {
		expect   string
		drops    int
		smallest bool
	}{
		{`duration < 1s`, 0, true},
		{`drops.reason.listed < 1`, 1, true},
		{`drops.reason.listed < 2`, 2, true},
		{`drops.reason.listed < 5`, 5, false},
		{`drops.stage["link/up/drop_frames"] < 3 or drops.stage["link/down/drop_frames"] < 1`, 4, false},
	} {
		sc, err := scenarios.Load("many.yaml", []byte(strings.Replace(manyDrops, "EXPECT", "'"+c.expect+"'", 1)))
		if err != nil {
			t.Fatal(err)
		}
		var all []*emu.Shrunk
		for _, workers := range []int{1, 3} {
			all = append(all, shrunk(t, emu.ShrinkConfig{Scenario: sc, Workers: workers}))
		}
		s := all[0]
		if len(s.Drops) != c.drops || s.Smallest != c.smallest || !s.Needed || s.Lost != 11 {
			t.Errorf("%s: %d drops of %d, smallest %v, needed %v", c.expect, len(s.Drops), s.Lost, s.Smallest, s.Needed)
		}
		if !reflect.DeepEqual(s.Drops, all[1].Drops) || s.Runs != all[1].Runs || string(s.Text) != string(all[1].Text) {
			t.Errorf("%s: another result with three workers: %d and %d runs", c.expect, s.Runs, all[1].Runs)
		}
		few := shrunk(t, emu.ShrinkConfig{Scenario: sc, MaxRuns: 5})
		if c.drops > 1 && (few.Needed || len(few.Drops) != 11) {
			t.Errorf("%s: with 5 runs %d drops, needed %v", c.expect, len(few.Drops), few.Needed)
		}
	}
}

// A run that does not fail is an error, not a result.
func TestShrinkWantsARunThatFails(t *testing.T) {
	if _, err := emu.Shrink(t.Context(), emu.ShrinkConfig{Scenario: openScenario(t, "idle-sensor")}); !errors.Is(err, emu.ErrNothingFails) {
		t.Errorf("error %v", err)
	}
	sc := openScenario(t, "idle-sensor", "link.up.drop_frames=[6]")
	for expect, want := range map[string]error{"the session lasts": nil, "disconnects": nil, "session_lost_to_one_ping": nil, "conservation": emu.ErrNothingFails} {
		if _, err := emu.Shrink(t.Context(), emu.ShrinkConfig{Scenario: sc, Expect: expect}); !errors.Is(err, want) {
			t.Errorf("--expect %s: error %v, want %v", expect, err, want)
		}
	}
}
