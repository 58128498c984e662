package emu

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/link/decisions"
	"hilnet/scenarios"
	"hilnet/trace"
)

const lossyText = `
version: 1
name: lossy
duration: 60s
seed: 3
devices:
  - pool: {packets: 24}
    mqtt: {keepalive: 10s}
    reconnect: 2s
    steps:
      - connect
      - repeat: {times: 40, do: [{publish: {topic: t, qos: 1}}, {sleep: 1s}]}
links: [{delay: 40ms, loss: 5%, rate: 40kbit, queue: {packets: 3}}]
broker: {}
timeline:
  - {at: 20s, do: blackhole, for: 4s}
`

// recordWithLog runs a scenario and returns its decision log as well.
func recordWithLog(t *testing.T, sc *scenarios.Scenario, opt Options) (*recording, []byte) {
	t.Helper()
	opt.DecisionsOut = filepath.Join(t.TempDir(), "run.jsonl")
	r := record(t, sc, opt)
	text, err := os.ReadFile(opt.DecisionsOut)
	if err != nil {
		t.Fatal(err)
	}
	return r, text
}

func readLog(t *testing.T, text []byte) *decisions.Log {
	t.Helper()
	l, err := decisions.Read("run.jsonl", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Trace and captures of a replay are those of the run, byte for byte, whatever
// loss the scenario has meanwhile: the log decides.
func TestAReplayOfADecisionLogIsTheRunByteForByte(t *testing.T) {
	sc := load(t, lossyText)
	seed := uint64(9)
	first, log := recordWithLog(t, sc, Options{Seed: &seed})
	for _, reason := range []trace.DropReason{trace.DropLoss, trace.DropBlackhole} {
		if !bytes.Contains(log, []byte(reason)) {
			t.Errorf("the run has no %s", reason)
		}
	}
	second, again := recordWithLog(t, sc, Options{Decisions: readLog(t, log)})
	if !bytes.Equal(log, again) || !same(t, first.dir, second.dir) {
		t.Error("the replay has other files")
	}
	other := load(t, strings.Replace(lossyText, "loss: 5%", "loss: 60%", 1))
	third := record(t, other, Options{Decisions: readLog(t, log)})
	if a, b := first.Outcome.Drops.Reason["loss"], third.Outcome.Drops.Reason["loss"]; a != b || a == 0 {
		t.Errorf("%d losses, then %d", a, b)
	}
	trace1, trace3 := eventsOf(first), eventsOf(third)
	if !bytes.Equal(trace1, trace3) {
		t.Errorf("with another loss in the scenario the trace differs in %s", firstDifference(trace1, trace3))
	}
}

func eventsOf(r *recording) []byte {
	var b []byte
	for i := range r.events {
		b = append(trace.AppendJSON(b, &r.events[i]), '\n')
	}
	return b
}

// Sabotage: one verdict of the log is another one, and the run goes another way.
func TestARunThatLeavesItsLogEndsWithAnErrorThatNamesTheLine(t *testing.T) {
	sc := load(t, lossyText)
	_, log := recordWithLog(t, sc, Options{})
	lost := bytes.Replace(log, []byte(`"frame":9,"stage":"up/loss","draws":"drop","verdict":"pass"`), []byte(`"frame":9,"stage":"up/loss","draws":"drop","verdict":"drop"`), 1)
	cut := log[:bytes.LastIndexByte(log[:len(log)/2], '\n')+1]
	for _, c := range []struct {
		name string
		log  []byte
		want string
	}{
		{"one loss more", lost, "run.jsonl:"},
		{"half a log", cut, "the run"},
	} {
		opt := Options{Decisions: readLog(t, c.log), Out: t.TempDir()}
		result, err := Run(t.Context(), sc, opt)
		var other *DecisionsError
		if !errors.As(err, &other) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if result.Verdict != Broken || result.Length >= 60e9 {
			t.Errorf("%s: %s after %v: not stopped", c.name, result.Verdict, result.Length)
		}
		if e := readTrace(t, filepath.Join(opt.Out, "lossy.trace.jsonl")); e[len(e)-1].Kind != trace.KindEnd {
			t.Errorf("%s: the trace has no end", c.name)
		}
	}
	seed := uint64(4)
	if _, err := New(sc, Options{Decisions: readLog(t, log), Seed: &seed}); err == nil || !strings.Contains(err.Error(), "leave the seed out") {
		t.Errorf("another seed: %v", err)
	}
}

func TestAListOfDropsDropsThoseFramesOnly(t *testing.T) {
	sc := open(t, "clean-link")
	base := record(t, sc, Options{})
	name := sc.Links[0].Name
	list := decisions.Drops(decisions.Drop{Link: name, Dir: "up", Frame: 6}, decisions.Drop{Link: name, Dir: "up", Frame: 6}, decisions.Drop{Link: name, Dir: "down", Frame: 100000})
	got := record(t, sc, Options{Decisions: list})
	var dropped, unused []trace.Event
	for _, e := range got.events {
		switch {
		case e.Kind == trace.KindDrop && e.Node == name:
			dropped = append(dropped, e)
		case e.Kind == trace.KindUnused:
			unused = append(unused, e)
		}
	}
	if len(dropped) != 1 || dropped[0].Reason != trace.DropListed || dropped[0].Stage != "up/decisions" || dropped[0].Count != 6 {
		t.Errorf("dropped %+v, want frame 6 up", dropped)
	}
	if len(unused) != 1 || unused[0].Count != 100000 || len(got.Notes) == 0 || !strings.Contains(strings.Join(got.Notes, "\n"), "down frame 100000") {
		t.Errorf("the frame that never came: %+v, notes %q", unused, got.Notes)
	}
	if len(base.Outcome.Drops.Reason) != 0 || got.Outcome.Drops.Reason["listed"] != 1 {
		t.Errorf("drops %v, with the list %v", base.Outcome.Drops.Reason, got.Outcome.Drops.Reason)
	}
	if _, err := New(sc, Options{Decisions: decisions.Drops(decisions.Drop{Link: "lnk", Dir: "up", Frame: 1})}); err == nil || !strings.Contains(err.Error(), `did you mean "link"?`) {
		t.Errorf("a link that is not there: %v", err)
	}
}
