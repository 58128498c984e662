package emu_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/golden"
	"hilnet/pcaps"
	"hilnet/replay/segment"
	"hilnet/scenarios"
	"hilnet/trace"
	"hilnet/wire"
)

// recordedScenario does again what the application of the recording 1-basic did.
const recordedScenario = `
version: 1
name: recorded
duration: 15s
devices:
  - mac: 02:4e:58:00:00:02
    address: 10.50.0.2/24
    pool: {packets: 32, payload: 1536B}
    mqtt: {client_id: netx-golden, keepalive: 4s}
    steps:
      - connect
      - sleep: 200ms
      - subscribe: {topic: golden/t1, qos: 1}
      - sleep: 500ms
      - publish: {topic: golden/t1, payload: hello-qos0, qos: 0}
      - sleep: 500ms
      - publish: {topic: golden/t1, payload: hello-qos1, qos: 1}
      - sleep: 500ms
      - message_get: all
      - sleep: 10s
      - disconnect
broker:
  kind: capture
  address: 10.50.0.1/24
  capture: {file: recording.pcap}
expect:
  - acknowledged == 1
  - received == 2
  - device("device").ping_timeouts == 0
`

// writeRecorded puts a scenario and the recording 1-basic into a folder and
// returns the scenario's file.
func writeRecorded(t *testing.T, text string, change func([]byte) []byte) string {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile("../pcaps/golden/netx/1-basic.pcap")
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		data = change(data)
	}
	file := filepath.Join(dir, "scenario.yaml")
	for name, data := range map[string][]byte{file: []byte(text), filepath.Join(dir, "recording.pcap"): data} {
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// runRecorded runs a scenario file and returns its result, the frames at a
// capture point and the counters of the play.
func runRecorded(t *testing.T, file string, point scenarios.Point) (*emu.Result, []segment.Frame, map[string]int64) {
	t.Helper()
	sc, err := scenarios.LoadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := emu.New(sc, emu.Options{Out: t.ArtifactDir()})
	if err != nil {
		t.Fatal(err)
	}
	events := w.Observe(10_000)
	r, err := w.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	counters := map[string]int64{}
	for e := range events.Events() {
		if e.Kind == trace.KindCounters && e.Stage == scenarios.StageRecording {
			for _, v := range e.Values {
				counters[v.Name] = v.N
			}
		}
	}
	var frames []segment.Frame
	for p, err := range pcaps.Packets(filepath.Join(t.ArtifactDir(), sc.Name+"."+string(point)+".pcapng")) {
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, segment.Frame{At: time.Duration(p.Time - pcaps.VirtualEpoch), Data: slices.Clone(p.Data)})
	}
	return r, frames, counters
}

// A scenario whose broker is a recording, and whose device does what the
// recorded one did, records the same frames.
func TestARecordedBrokerAnswersAsItDid(t *testing.T) {
	r, frames, counters := runRecorded(t, writeRecorded(t, recordedScenario, nil), scenarios.PointPeer)
	if r.Verdict != emu.Pass || r.ModelBroker {
		t.Errorf("%s, model broker %v: %+v", r.Verdict, r.ModelBroker, r.Checks)
	}
	recorded := golden.Load(t, "1-basic")
	want := golden.DeviceFrames(0, recorded.Frames)
	c := golden.Compare(want, golden.DeviceFrames(0, frames))
	if c.Matching != len(want) || len(c.Differing) != 0 {
		t.Errorf("%d of %d frames match\n%s", c.Matching, c.Frames, strings.Join(c.Differing, "\n"))
	}
	peers := int64(len(recorded.Frames) - len(want))
	if counters["frames"] != peers || counters["sent"] != peers || counters["not_sent"] != 0 || counters["foreign"] != 0 {
		t.Errorf("of %d frames of the peer: %v", peers, counters)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "recording.pcap: 12 of its 12 frames were sent") {
		t.Errorf("notes %q", r.Notes)
	}
}

// What the device does not do, the recording does not answer.
func TestARecordedBrokerWaitsForWhatItAnswers(t *testing.T) {
	text := strings.Replace(recordedScenario, "      - subscribe: {topic: golden/t1, qos: 1}\n", "", 1)
	text, _, _ = strings.Cut(text, "expect:")
	r, _, counters := runRecorded(t, writeRecorded(t, text, nil), scenarios.PointPeer)
	if counters["not_sent"] == 0 || counters["sent"]+counters["not_sent"] != counters["frames"] {
		t.Errorf("%v", counters)
	}
	if r.Outcome.ConservationErrorCount != 0 {
		t.Error(r.Outcome.ConservationErrors)
	}
}

// The recorded device's hardware address may be another one, and the peer
// slower and later, through a link of its own delay.
func TestARecordedBrokerFitsTheDevice(t *testing.T) {
	text := strings.NewReplacer("    mac: 02:4e:58:00:00:02\n", "", "  - mac: 02:4e:58:00:00:02\n    address", "  - address",
		"{file: recording.pcap}", "{file: recording.pcap, device: 02:4e:58:00:00:02, start: 100ms, delay: 50ms}\nlinks: [{delay: 10ms}]").Replace(recordedScenario)
	r, frames, _ := runRecorded(t, writeRecorded(t, text, nil), scenarios.PointDevice)
	if r.Verdict != emu.Pass {
		t.Errorf("%s: %+v", r.Verdict, r.Checks)
	}
	var l wire.Layers
	if err := l.Parse(frames[1].Data); err != nil || l.ARP == nil || l.Ethernet.Dst() != (wire.MAC{2, 0, 0, 0, 0, 2}) {
		t.Errorf("the second frame is no ARP reply for the device: %v", err)
	}
	if frames[1].At < 160*time.Millisecond { // start, delay and the link's delay
		t.Errorf("it came at %v", frames[1].At)
	}
}

func TestARecordingThatDoesNotFitIsAnErrorWithAPlace(t *testing.T) {
	for what, c := range map[string]struct {
		old, new string
		change   func([]byte) []byte
		want     []string
	}{
		"no such file":    {"file: recording.pcap", "file: nowhere.pcap", nil, []string{"scenario.yaml:25:19", "no such file"}},
		"a folder":        {"file: recording.pcap", "file: .", nil, []string{"scenario.yaml:25:19", "not a file"}},
		"no capture":      {"file: recording.pcap", "file: scenario.yaml", nil, []string{"scenario.yaml:25:19", "pcap"}},
		"cut short":       {"", "", func(b []byte) []byte { return b[:len(b)-3] }, []string{"scenario.yaml:25:19", "cannot play"}},
		"nothing in it":   {"", "", func(b []byte) []byte { return b[:24] }, []string{"scenario.yaml:25:19", "no frames"}},
		"not Ethernet":    {"", "", func(b []byte) []byte { b[20] = 101; return b }, []string{"scenario.yaml:25:19", "not an Ethernet frame"}},
		"a cut frame":     {"", "", func(b []byte) []byte { b[36]++; return b }, []string{"scenario.yaml:25:19", "was cut"}},
		"another device":  {"mac: 02:4e:58:00:00:02", "mac: 02:4e:58:00:00:03", nil, []string{"scenario.yaml:25:12", "no frame of the device", "02:4e:58:00:00:02"}},
		"another address": {"10.50.0.2/24", "10.50.0.3/24", nil, []string{"scenario.yaml:7:14", "10.50.0.2", "set its address"}},
		"another broker":  {"10.50.0.1/24", "10.50.0.9/24", nil, []string{"scenario.yaml:24:12", "sends nothing to 10.50.0.9", "10.50.0.1"}},
	} {
		t.Run(what, func(t *testing.T) {
			file := writeRecorded(t, strings.Replace(recordedScenario, c.old, c.new, 1), c.change)
			sc, err := scenarios.LoadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = emu.New(sc, emu.Options{})
			if err == nil {
				t.Fatal("it runs")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
		})
	}
	// The folder of the scenario counts, not that of the program: an override's
	// is the program's.
	file := writeRecorded(t, recordedScenario, bytes.Clone)
	sc, err := scenarios.LoadFileWith(file, []scenarios.Set{{Key: "broker.capture.file", Value: "../pcaps/golden/netx/1-basic.pcap"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := emu.New(sc, emu.Options{}); err != nil {
		t.Error(err)
	}
}
