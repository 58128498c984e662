package emu

import (
	"fmt"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/scenarios"
	"hilnet/trace"
)

// tshark, which knows nothing of rules, names the messages that were dropped: in
// the capture of their sender they stand with a comment, in the receiver's not.
func TestTsharkNamesTheMessagesThatRulesDropped(t *testing.T) {
	linktest.Require(t, "tshark")
	const text = `
version: 1
name: rules
duration: 20s
devices:
  - profile: PROFILE
    steps:
      - connect
      - subscribe: {topic: "commands/#", qos: 1}
      - every: {period: 500ms, count: 10, do: [publish: {topic: a/b, payload: x, qos: 1}, publish: {topic: c, payload: x, qos: 1}]}
links:
  - delay: 20ms
    match:
      - {do: drop, message: PUBACK, nth: 4, direction: down}
      - {do: drop, message: PUBLISH, topic: a/+, nth: 3, direction: up}
      - {do: drop, message: SUBACK, direction: down}
broker: {}
`
	for _, profile := range []string{"netx", "linux"} {
		r := record(t, load(t, strings.Replace(text, "PROFILE", profile, 1)), Options{})
		dropped := func(p scenarios.Point, fields ...string) string {
			args := []string{"-r", r.capture(p), "-Y", "mqtt && frame.comment contains \"dropped\"", "-T", "fields"}
			for _, f := range fields {
				args = append(args, "-e", f)
			}
			return strings.TrimSpace(linktest.Tshark(t, args...))
		}
		down := dropped(scenarios.PointPeer, "mqtt.msgtype", "mqtt.msgid")
		if want := "9\t1\n4\t5"; down != want {
			t.Errorf("%s: tshark says that %q was dropped on the way down, want %q", profile, down, want)
		}
		up := dropped(scenarios.PointDevice, "mqtt.topic", "mqtt.msgid")
		if !strings.HasPrefix(up, "a/b") || !strings.Contains(up, "6") || strings.Contains(up, "\n") {
			t.Errorf("%s: tshark says that %q was dropped on the way up, want the third PUBLISH to a/b, identifier 6", profile, up)
		}
		if n := r.Outcome.Drops.Reason["match"]; n != 3 || len(r.Notes) > 0 && strings.Contains(fmt.Sprint(r.Notes), "never had") {
			t.Errorf("%s: %d dropped by rules, notes %q", profile, n, r.Notes)
		}
	}
}

func TestARuleThatHadNothingToDoIsInTheResultAndTheTrace(t *testing.T) {
	const text = `
version: 1
name: rules
duration: 5s
devices: [{steps: [connect, {publish: {topic: t, qos: 1}}]}]
links: [{match: [{do: drop, message: PUBACK, nth: 3, direction: down}, {do: drop, message: PUBREC}]}]
broker: {}
`
	r := record(t, load(t, text), Options{})
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{
		"link: rule 1, drop PUBACK #3 down: never had anything to do, only 1 came that it counts",
		"link: rule 2, drop PUBREC: never had anything to do",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes lack %q: %s", want, notes)
		}
	}
	unused := 0
	for _, e := range r.events {
		if e.Kind == trace.KindUnused {
			unused++
		}
	}
	if last := r.events[len(r.events)-1]; unused != 2 || last.Kind != trace.KindEnd {
		t.Errorf("%d events of unused rules, the last event is %s", unused, last.Kind)
	}
}

// A run with rules is repeated by its decision log, and its log names their drops.
func TestADecisionLogHoldsTheDropsOfRules(t *testing.T) {
	sc := open(t, "puback-lost")
	first, log := recordWithLog(t, sc, Options{})
	if !strings.Contains(string(log), `"stage":"down/match","verdict":"drop","reason":"match"`) {
		t.Error("the log lacks the drop")
	}
	second, again := recordWithLog(t, sc, Options{Decisions: readLog(t, log)})
	if string(log) != string(again) || !same(t, first.dir, second.dir) {
		t.Error("the replay has other files")
	}
}
