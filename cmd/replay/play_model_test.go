package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/replay/play"
	"hilnet/replay/script"
	"hilnet/scenarios"
)

func testCapture(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(linktest.Root(t), "replay", "testdata", "mqtt", name)
}

// sensor is a device that publishes, is answered, and answers.
const sensor = `version: 1
name: sensor
duration: 60s
devices:
  - name: device
    mqtt: {client_id: sensor, keepalive: 10s}
    steps:
      - connect
      - subscribe: {topic: "cmd/#", qos: 1}
      - every: {period: 1700ms, count: 6, do: [{publish: {topic: cmd/echo, payload: "reading {n}", qos: 1}}]}
      - sleep: 12s
      - disconnect
links: [{delay: 10ms}]
broker: {kind: model}
`

// thoughts are the think times of a conversation's client.
func thoughts(c *script.Conversation) (names []string, gaps []time.Duration) {
	for i := range c.Events {
		e := &c.Events[i]
		if e.From == script.Client && e.Kind == script.Message {
			names, gaps = append(names, e.Label()), append(gaps, e.Gap)
		}
	}
	return names, gaps
}

// On a link with ten times the round-trip time every think time, as a capture of
// the play shows it, is that of the first capture, to the nanosecond.
func TestThinkTimesAreTheRecordedOnesOnALinkTenTimesAsLong(t *testing.T) {
	sc, err := scenarios.Load("sensor.yaml", []byte(sensor))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: dir}); err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(dir, "sensor.device.pcapng")
	out := t.TempDir()
	code, r, errs := callPlay(t, first, "--as", "client", "--against", "model", "--timing", "causal", "--set", "link.delay=100ms", "--out", out)
	if code != exitPass || r.Reproduced != 1 {
		t.Fatalf("exit %d: %+v %s", code, r, errs)
	}
	before, after := readScriptOf(t, first).Conversations[0], readScriptOf(t, filepath.Join(out, "play.device.pcapng")).Conversations[0]
	if before.ToServer != 20*time.Millisecond || after.ToServer != 200*time.Millisecond {
		t.Errorf("round trips of %v and %v", before.ToServer, after.ToServer)
	}
	names, want := thoughts(before)
	again, got := thoughts(after)
	if strings.Join(names, ",") != strings.Join(again, ",") || len(names) < 15 {
		t.Fatalf("%v\n%v", names, again)
	}
	// Where a message goes out between two others' arrival, its cause may be another one.
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: thought %v, recorded %v", names[i], got[i], want[i])
		}
	}
	if r.Gaps.Min != 0 || r.Gaps.Max != 0 {
		t.Errorf("gap errors %+v", r.Gaps)
	}
}

// Loss and an outage do not end a play: TCP recovers, and the report says what
// changed.
func TestAPlayOverALossyLinkWithACutComesToItsEnd(t *testing.T) {
	file := testCapture(t, "suricata-mqtt-limit-2.pcap")
	out := t.TempDir()
	args := []string{file, "--as", "client", "--against", "model", "--wait", "2m", "--set", "link.delay=50ms", "--set", "link.loss=5%",
		"--set", "timeline=[{at: 5s, do: blackhole, for: 3s}]"}
	code, r, errs := callPlay(t, append(args, "--out", out, "--seed", "3")...)
	c := r.Conversations[0]
	if code != exitPass || r.Reproduced != 1 || r.Verdict != play.Equivalent && r.Verdict != play.Faithful {
		t.Fatalf("exit %d: %+v %s", code, r, errs)
	}
	if c.Live.Max < 3*time.Second || c.Recorded.Max > 10*time.Millisecond {
		t.Errorf("answered within %v, recorded %v", c.Live.Max, c.Recorded.Max)
	}
	code, r, _ = callPlay(t, append(args, "--seed", "4")...)
	if code != exitPass || r.Conversations[0].Live.Max == c.Live.Max {
		t.Errorf("exit %d: another seed has the same answer times: %v", code, c.Live.Max)
	}
	if all, _ := filepath.Glob(filepath.Join(out, "play.*")); len(all) != 3 {
		t.Errorf("written: %v", all)
	}
}

// Segment by segment the bytes go out as they did, message boundaries or not, and
// over losses they arrive all the same.
func TestSegmentModeCutsTheStreamAsTheCaptureDoes(t *testing.T) {
	sc, err := scenarios.Load("small.yaml", []byte(strings.Replace(sensor, "mqtt: {", "mtu: 576\n    mqtt: {", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sc.Devices[0].Steps {
		if e := sc.Devices[0].Steps[i].Every; e != nil {
			e.Do[0].Publish.Payload = strings.Repeat("a long reading ", 60)
		}
	}
	dir := t.TempDir()
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: dir}); err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(dir, "sensor.device.pcapng")
	cuts := func(file string) (all []string) {
		for _, e := range readScriptOf(t, file).Conversations[0].Events {
			if e.From == script.Client && e.Kind == script.Message {
				all = append(all, fmt.Sprint(e.Label(), e.Segments))
			}
		}
		return all
	}
	want := cuts(first)
	if !strings.Contains(strings.Join(want, " "), "[536 ") {
		t.Fatalf("the device's messages are not in pieces: %v", want)
	}
	for _, mode := range []string{"segment", "socket"} {
		out := t.TempDir()
		code, r, errs := callPlay(t, first, "--as", "client", "--against", "model", "--mode", mode, "--out", out)
		if code != exitPass || r.Reproduced != 1 {
			t.Fatalf("%s: exit %d: %+v %s", mode, code, r, errs)
		}
		if same := slices.Equal(cuts(filepath.Join(out, "play.device.pcapng")), want); same != (mode == "segment") {
			t.Errorf("%s: %v\n%v", mode, cuts(filepath.Join(out, "play.device.pcapng")), want)
		}
	}
	for _, as := range []string{"client", "broker"} {
		code, r, errs := callPlay(t, first, "--as", as, "--against", "model", "--mode", "segment", "--wait", "2m", "--set", "link.loss=10%", "--set", "link.delay=50ms",
			"--set", "timeline=[{at: 5s, do: blackhole, for: 3s}]")
		if code != exitPass || r.Reproduced != 1 || len(r.Conversations) != 1 {
			t.Errorf("%s: exit %d: %+v %s", as, code, r, errs)
		}
	}
}

// A play in virtual time is the same each time.
func TestAPlayInVirtualTimeRepeatsItself(t *testing.T) {
	var texts []string
	for range 2 {
		code, out := call(t, "play", testCapture(t, "suricata-mqtt-limit-2.pcap"), "--as", "client", "--against", "model", "--set", "link.loss=20%", "--messages", "--timing", "absolute", "--speed", "3")
		if code != exitPass {
			t.Error(out)
		}
		texts = append(texts, out)
	}
	if texts[0] != texts[1] || !strings.Contains(texts[0], "dropped") {
		t.Errorf("%s\n%s", texts[0], texts[1])
	}
}

// What a scenario's own device does is laid beside the capture, too.
func TestAScenariosDeviceIsTheOtherSide(t *testing.T) {
	code, r, errs := callPlay(t, testCapture(t, "suricata-mqtt311-pub-qos1.pcap"), "--as", "broker", "--against", "model", "--scenario", "clean-link", "--policy", "follow")
	if code != exitFail || r.Verdict != play.Diverged || r.Received.Extra == 0 || r.Conversations[0].Answered == 0 {
		t.Errorf("exit %d: %+v %s", code, r, errs)
	}
}
