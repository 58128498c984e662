package emu

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/mqtt/broker"
)

// faulty is a device that publishes at QoS 1 twice a second to a broker that
// something happens to.
const faulty = `
version: 1
name: faulty
duration: 20s
devices:
  - mqtt: {clean_session: false, keepalive: 4s, wait: 2s}
    reconnect: 1s
    steps:
      - connect
      - subscribe: {topic: "commands/#", qos: 1}
      - every: {period: 500ms, do: [publish: {topic: t, payload: "{n}", qos: 1}, message_get: all]}
links: [{delay: 10ms}]
broker: {kind: model}
timeline:
`

// Each fault shows at the device, in the trace or on the wire, as the standard
// and TCP have it.
func TestTheBrokerDoesWrongOnDemand(t *testing.T) {
	for _, c := range []struct {
		name, timeline string
		expect         []string
		trace          []string // found in the trace
	}{
		{"crash", "  - {at: 5s, do: broker_crash, for: 4s}\n", []string{"connects == 2", "disconnects == 1", "connect_errors >= 1"},
			[]string{"broker crashed", `"count":1`}},
		{"crash without state", "  - {at: 5s, do: broker_crash, for: 4s, state: lost}\n", []string{"connects == 2"}, []string{"broker crashed"}},
		{"refuse", "  - {at: 0s, do: broker_refuse, code: 3, for: 5s}\n", []string{"connects == 1", "connect_errors >= 2"}, []string{`"kind":"broker.connected"`, `"status":3`}},
		{"no acks", "  - {at: 5s, do: broker_acks, fault: missing, for: 3s}\n", []string{"acknowledged < delivered"}, []string{"PUBACK withheld"}},
		{"slow acks", "  - {at: 2s, do: broker_delay_acks, value: 800ms, for: 10s}\n", []string{"acknowledged == published", "connects == 1"}, nil},
		{"a late CONNACK", "  - {at: 0s, do: broker_delay_connack, value: 1500ms, for: 5s}\n", []string{"connects == 1", "connect_errors == 0", "published < 38"}, nil},
		{"garbage", "  - {at: 5s, do: broker_garbage, hex: 'f0 00'}\n", []string{"published > 0"}, []string{"broker_garbage f0 00"}},
		{"forgotten", "  - {at: 5s, do: broker_forget}\n  - {at: 9s, do: broker_publish, topic: commands/a, qos: 1}\n", []string{"connects == 2", "received == 0"}, []string{"session forgotten"}},
		{"not forgotten", "  - {at: 9s, do: broker_publish, topic: commands/a, qos: 1}\n", []string{"connects == 1", "received == 1"}, []string{`"kind":"broker.sent"`}},
		{"deaf", "  - {at: 5s, do: broker_stop_reading, for: 3s}\n", []string{"connects == 1", "delivered == published"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			sc := load(t, faulty+c.timeline+"expect:\n  - "+strings.Join(append(c.expect, "conservation_errors == 0"), "\n  - ")+"\n")
			result, err := Run(t.Context(), sc, Options{Out: dir})
			if err != nil {
				t.Fatal(err)
			}
			for _, check := range result.Checks {
				if !check.Passed {
					t.Errorf("%+v", check)
				}
			}
			text, err := os.ReadFile(filepath.Join(dir, "faulty.trace.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.trace {
				if !bytes.Contains(text, []byte(want)) {
					t.Errorf("the trace lacks %s", want)
				}
			}
		})
	}
}

// What one run keeps, the next one begins with.
func TestAStateGoesFromRunToRun(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(faulty, "timeline:\n", "", 1)
	first := strings.Replace(text, "{kind: model}", "{keep_state: true}\ntimeline: [{at: 19s, do: broker_publish, topic: commands/kept, payload: x, qos: 1, retain: true}]", 1)
	result, err := Run(t.Context(), load(t, first), Options{Out: dir})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "faulty.state.json")
	if last := result.Files[len(result.Files)-1]; last != path {
		t.Errorf("files %v", result.Files)
	}
	state, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := broker.Restore(broker.Config{}, state); err != nil || b.Stats().Retained != 1 || b.Stats().Sessions != 1 {
		t.Fatalf("%v\n%s", err, state)
	}
	second := strings.Replace(text, "{kind: model}", "{state: "+path+"}", 1)
	second = strings.Replace(second, `      - subscribe: {topic: "commands/#", qos: 1}`+"\n", "", 1) + "timeline: [{at: 5s, do: broker_publish, topic: commands/a, qos: 1}]\nexpect: [received == 1]\n"
	result, err = Run(t.Context(), load(t, second), Options{})
	if err != nil || result.Verdict != Pass {
		t.Errorf("the session's subscription is gone: %v %+v", err, result)
	}
	for name, bad := range map[string]string{"none.json": "no such file", ".": "not a file", "bad.json": "not a state"} {
		if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		sc := load(t, strings.Replace(text, "{kind: model}", "{state: "+filepath.Join(dir, name)+"}", 1))
		if _, err := New(sc, Options{}); err == nil || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), "broker") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// tshark sees what split and coalesced writes are: PUBACKs in segments of one
// byte, put together again, and several PUBACKs in one segment.
func TestWritesAreSplitAndCoalesced(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(faulty, `payload: "{n}", qos: 1}`, `payload: "{n}", qos: 1}, publish: {topic: t, qos: 1}`, 1)
	sc := load(t, text+"  - {at: 5s, do: broker_split, piece: 1B, for: 4s}\n  - {at: 11s, do: broker_coalesce, value: 700ms, for: 4s}\nexpect: [acknowledged == published, connects == 1]\n")
	if result, err := Run(t.Context(), sc, Options{Out: dir}); err != nil || result.Verdict != Pass {
		t.Fatalf("%v %+v", err, result)
	}
	segments := func(from, to string) (lengths, acks []string) {
		out := linktest.Tshark(t, "-r", filepath.Join(dir, "faulty.peer.pcapng"), "-T", "fields", "-e", "tcp.len", "-e", "mqtt.msgtype",
			"-Y", "tcp.srcport==1883 && tcp.len>0 && frame.time_relative>"+from+" && frame.time_relative<"+to)
		for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
			n, types, _ := strings.Cut(line, "\t")
			lengths, acks = append(lengths, n), append(acks, types)
		}
		return lengths, acks
	}
	lengths, acks := segments("5.2", "8.8")
	puback := 0
	for i, n := range lengths {
		if n != "1" {
			t.Errorf("a segment of %s bytes while writes are split", n)
		}
		puback += strings.Count(acks[i], "4")
	}
	if puback < 8 || len(lengths) < 4*puback {
		t.Errorf("%d PUBACKs in %d segments", puback, len(lengths))
	}
	_, acks = segments("11.5", "14.8")
	if !slices.ContainsFunc(acks, func(s string) bool { return strings.Count(s, "4") >= 4 }) {
		t.Errorf("no segment with four PUBACKs: %q", acks)
	}
}
