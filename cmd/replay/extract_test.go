package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/scenarios"
)

// recordBoth runs a scenario and returns the captures of both ends.
func recordBoth(t *testing.T, name string, sets ...scenarios.Set) (device, peer string) {
	t.Helper()
	sc, err := scenarios.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if sc, err = sc.With(sets...); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: dir}); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, sc.Name+".device.pcapng"), filepath.Join(dir, sc.Name+".peer.pcapng")
}

// lost are the frames of a capture with a verdict that says so.
func lost(t *testing.T, file string) (all []uint64) {
	t.Helper()
	n := uint64(0)
	for p, err := range pcaps.Packets(file) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; len(p.Verdicts) > 0 {
			all = append(all, n)
		}
	}
	return all
}

// What replay extract writes of a run is what the run's verdicts say, which it does
// not read: of a capture without them it writes the same.
func TestExtractFindsWhatOurOwnRunLost(t *testing.T) {
	device, peer := recordBoth(t, "link-drop", scenarios.Set{Key: "link.loss", Value: "8%"})
	want := map[string][]uint64{"up": lost(t, device), "down": lost(t, peer)}
	if len(want["up"]) == 0 || len(want["down"]) == 0 {
		t.Fatal("the run lost nothing")
	}
	out := filepath.Join(t.TempDir(), "conditions.jsonl")
	for _, order := range [][]string{{device, peer}, {peer, device}} {
		code, text := call(t, "extract", order[0], order[1], "-o", out)
		if code != exitPass {
			t.Fatalf("exit %d: %s", code, text)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]map[uint64]bool{"up": {}, "down": {}}
		for line := range strings.Lines(string(data)) {
			var e struct {
				Event, Dir string
				Frame      uint64
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			if e.Event == "drop" {
				got[e.Dir][e.Frame] = true
			}
		}
		for dir, frames := range want {
			if len(got[dir]) != len(frames) {
				t.Errorf("%s: %d lost, want %d", dir, len(got[dir]), len(frames))
			}
			for _, n := range frames {
				if !got[dir][n] {
					t.Errorf("%s: frame %d was lost and is not said to be", dir, n)
				}
			}
		}
	}
}

func TestExtractSaysWhatIsWrong(t *testing.T) {
	device, peer := recordBoth(t, "clean-link")
	cut := filepath.Join(t.TempDir(), "cut.pcapng")
	whole, err := os.ReadFile(peer)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, whole[:len(whole)-100], 0o600); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text.pcap")
	if err := os.WriteFile(text, []byte("no capture at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "see replay extract --help"},
		{[]string{device, peer, peer}, exitUsage, "see replay extract --help"},
		{[]string{device, "nowhere.pcap"}, exitUsage, "no such file"},
		{[]string{device, text}, exitUsage, "is no capture"},
		{[]string{device, peer, "--device", "tom"}, exitUsage, `--device "tom" is not an IP address`},
		{[]string{device, peer, "--device", "192.0.2.1"}, exitUsage, "has no frame of the device 192.0.2.1"},
		{[]string{device, peer, "--port", "0"}, exitUsage, "--port 0 is not a port"},
		{[]string{device, peer, "-o", "x.txt"}, exitUsage, "the name says what to write: NAME.jsonl or NAME.yaml"},
		{[]string{device, peer, "-o", filepath.Join(t.TempDir(), "no", "x.jsonl")}, exitEnvironment, "check the folder"},
		{[]string{device, cut}, exitFail, "damaged"},
		{[]string{device, peer, "--broker", "x"}, exitUsage, "write model or recording"},
		{[]string{device, peer, "--losses", "x"}, exitUsage, "write seen or fitted"},
		{[]string{device, peer, "--losses", "fitted"}, exitUsage, "are for a scenario"},
		{[]string{device, peer, "--broker", "recording", "-o", "x.yaml"}, exitUsage, "needs one capture"},
		{[]string{device, "--broker", "recording", "--losses", "fitted", "-o", "x.yaml"}, exitUsage, "exclude each other"},
		{[]string{device, peer, "--look=false", "-o", "x.yaml"}, exitUsage, "--look is for --broker recording"},
		{[]string{device, peer, "-o", filepath.Join(t.TempDir(), "no", "x.yaml")}, exitEnvironment, "check the folder"},
		{[]string{device, peer, "--device", "10.0.0.2"}, exitPass, "0 lost"},
		{[]string{device}, exitPass, "captured at the device"},
		{[]string{peer}, exitPass, "captured at the far end"},
	} {
		if code, out := call(t, append([]string{"extract"}, c.args...)...); code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%v: exit %d, want %d and %q:\n%s", c.args, code, c.code, c.want, out)
		}
	}
}

// A scenario made of a run does the same again, with each flag.
func TestAScenarioOfARunDoesTheSameAgain(t *testing.T) {
	device, peer := recordBoth(t, "link-drop", scenarios.Set{Key: "link.loss", Value: "8%"})
	out := filepath.Join(t.TempDir(), "field.yaml")
	run := func(args ...string) (string, *emu.Result) {
		t.Helper()
		code, text := call(t, append([]string{"extract", "-o", out}, args...)...)
		if code != exitPass || !strings.Contains(text, "the same again") {
			t.Fatalf("%v: exit %d:\n%s", args, code, text)
		}
		sc, err := scenarios.LoadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		result, err := emu.Run(t.Context(), sc, emu.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return text, result
	}
	if text, result := run(device, peer); strings.Contains(text, "differs") || strings.Contains(text, "not in the run") || result.Outcome.Connects == 0 {
		t.Errorf("connects %d:\n%s", result.Outcome.Connects, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	// Of the run of the scenario a scenario can be made that does the same once more.
	again := t.TempDir()
	sc, err := scenarios.LoadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: again}); err != nil {
		t.Fatal(err)
	}
	code, text := call(t, "extract", "-o", filepath.Join(again, "field.yaml"), filepath.Join(again, sc.Name+".device.pcapng"), filepath.Join(again, sc.Name+".peer.pcapng"))
	if code != exitPass || strings.Contains(text, "differs") || !strings.Contains(text, "outage, both") {
		t.Errorf("extracted again, exit %d:\n%s", code, text)
	}
	if !strings.Contains(string(data), "drop_frames:") || !strings.Contains(string(data), "do: blackhole") {
		t.Errorf("no losses and no outage in\n%s", data)
	}
	run(device, peer, "--losses", "fitted")
	if data, err = os.ReadFile(out); err != nil || strings.Contains(string(data), "drop_frames:") || !strings.Contains(string(data), "loss:") {
		t.Errorf("%v: no model in\n%s", err, data)
	}
	if text, result := run(device, "--broker", "recording"); result.ModelBroker || strings.Contains(text, "PUBACK") && strings.Contains(text, "differs") {
		t.Errorf("the recording does not answer:\n%s", text)
	}
}

// What a capture does not show is looked for, unless that is not wanted.
func TestExtractLooksForWhatTheCaptureDoesNotShow(t *testing.T) {
	capture := filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "5a-broker-crash-dup-retransmit.pcap")
	out := filepath.Join(t.TempDir(), "field.yaml")
	for _, c := range []struct{ flag, found, start string }{
		{"--look", "Of the device's 23 frames 23 come again in a run of the scenario, 16 before", ", start: 300us}"},
		{"--look=false", "", "netx/5a-broker-crash-dup-retransmit.pcap\"}"},
	} {
		code, text := call(t, "extract", capture, "--broker", "recording", c.flag, "-o", out)
		data, err := os.ReadFile(out)
		if err != nil || code != exitPass || !strings.Contains(text, c.found) || strings.Contains(text, "come again") != (c.found != "") {
			t.Errorf("%s: exit %d, %v:\n%s", c.flag, code, err, text)
		}
		if !strings.Contains(string(data), c.found) || !strings.Contains(string(data), c.start) {
			t.Errorf("%s: no %q and %q in\n%s", c.flag, c.found, c.start, data)
		}
	}
}
