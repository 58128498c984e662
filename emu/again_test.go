package emu_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/sim"
)

// recorded runs a scenario and returns a capture of it.
func recorded(t *testing.T, sc *scenarios.Scenario, point string, opt emu.Options) string {
	t.Helper()
	opt.Out = t.TempDir()
	if _, err := emu.Run(t.Context(), sc, opt); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(opt.Out, sc.Name+"."+point+".pcapng")
}

// again repeats the run of a capture and returns what is said of it.
func again(t *testing.T, path string, opt emu.Options) (passed bool, text string) {
	t.Helper()
	r, err := emu.OpenRecorded(path, opt.Apps)
	if err != nil {
		t.Fatal(err)
	}
	opt.Out = t.TempDir()
	result, err := emu.Run(t.Context(), r.Scenario, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Compare(result); err != nil {
		t.Fatal(err)
	}
	check := result.Checks[len(result.Checks)-1]
	if check.Passed != (result.Verdict == emu.Pass) {
		t.Errorf("verdict %s, check %+v", result.Verdict, check)
	}
	return check.Passed, check.Why + strings.Join(result.Notes, "\n")
}

// change replaces text in a file by text of the same length.
func change(t *testing.T, path, old, new string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(data, []byte(old)) || len(old) != len(new) {
		t.Fatalf("%v: %q", err, old)
	}
	if err := os.WriteFile(path, bytes.Replace(data, []byte(old), []byte(new), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every capture of a run has the run in it: scenario, seed, and the same bytes again.
func TestARecordingIsMadeAgainByteForByte(t *testing.T) {
	seed := uint64(99)
	for _, name := range []string{"link-drop", "connect-v6", "idle-sensor"} {
		for _, point := range []string{"device", "peer"} {
			path := recorded(t, library(t, name), point, emu.Options{Seed: &seed})
			if same, text := again(t, path, emu.Options{}); !same || !strings.Contains(text, "byte for byte") {
				t.Errorf("%s at the %s: %s", name, point, text)
			}
		}
	}
}

// A recording that is renamed, or cut, is known by what is in it.
func TestARenamedOrCutRecordingIsMadeAgain(t *testing.T) {
	path := recorded(t, library(t, "link-drop"), "peer", emu.Options{})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{len(data): "byte for byte", len(data) - 5: "as far as it goes", len(data) / 2: "as far as it goes"} {
		other := filepath.Join(t.TempDir(), "field report.pcapng")
		if err := os.WriteFile(other, data[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if same, text := again(t, other, emu.Options{}); !same || !strings.Contains(text, want) {
			t.Errorf("%d bytes: %s", n, text)
		}
	}
}

// Other bytes are found, with their place.
func TestARecordingThatIsNotMadeAgainSaysWhere(t *testing.T) {
	path := recorded(t, library(t, "link-drop"), "device", emu.Options{})
	change(t, path, "telemetry", "TELEMETRY") // in the scenario: the device publishes to another topic
	if same, text := again(t, path, emu.Options{}); same || !strings.Contains(text, "block 1 at byte 0") && !strings.Contains(text, "frame ") {
		t.Error(text)
	}
}

// Another version of hilnet or Go is told, and then only what it did counts.
func TestOtherVersionsAreToldAndTheFramesCompared(t *testing.T) {
	path := recorded(t, library(t, "link-drop"), "device", emu.Options{})
	change(t, path, "version: "+emu.Version, "version: 0.0.9")
	same, text := again(t, path, emu.Options{})
	if !same || !strings.Contains(text, "hilnet is "+emu.Version+" and was 0.0.9") || !strings.Contains(text, "the same 230 frames") {
		t.Error(text)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)*2/3] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if same, text := again(t, path, emu.Options{}); same || !strings.Contains(text, "and was 0.0.9") {
		t.Error(text)
	}
}

func TestWhatCannotBeRepeatedSaysWhy(t *testing.T) {
	app := func(*sim.Task, *mqtt.Client) {}
	withApp, err := scenarios.Load("app.yaml", []byte("version: 1\nname: app\nduration: 1s\ndevices: [{name: device, app: firmware}]\nbroker: {kind: model}\n"))
	if err != nil {
		t.Fatal(err)
	}
	realTime, err := scenarios.Load("real.yaml", []byte("version: 1\nname: real\nduration: 50ms\nclock: real\ndevices: [{name: device, steps: [connect]}]\nbroker: {kind: model}\n"))
	if err != nil {
		t.Fatal(err)
	}
	unknown := recorded(t, library(t, "link-drop"), "device", emu.Options{})
	change(t, unknown, "duration:", "durations")
	apps := map[string]emu.App{"firmware": app}
	folder := t.TempDir()
	for path, want := range map[string]string{
		recorded(t, withApp, "device", emu.Options{Apps: apps}): `application "firmware"`,
		recorded(t, realTime, "device", emu.Options{}):          "in real time",
		unknown: "none for this hilnet",
		"../replay/testdata/mqtt/suricata-mqtt311-pub-qos1.pcap": "no recording of hilnet",
		"again_test.go": "no capture",
		folder:          "not a file",
	} {
		_, err := emu.OpenRecorded(path, nil)
		var refused *emu.RecordedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// With the application it is repeated.
	path := recorded(t, withApp, "device", emu.Options{Apps: apps})
	if same, text := again(t, path, emu.Options{Apps: apps}); !same {
		t.Error(text)
	}
	if _, err := emu.OpenRecorded("nowhere.pcapng", nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
