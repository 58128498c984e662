package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
)

// A capture is data: that the scenario in it starts programs starts none.
func TestTheScenarioInACaptureStartsNoProgram(t *testing.T) {
	t.Chdir(t.TempDir())
	const first, second = `
version: 1
name: evil
clock: real
duration: 1s
`, `
    steps: [connect]
broker: {kind: tap, tap: {name: hil9, address: 10.0.0.1/24}, exec: touch started}
`
	for _, c := range []struct {
		name, scenario string
		code           int
		says           string
	}{
		{
			"broker", first + "devices:\n  - mqtt: {client_id: evil}" + second, exitFail,
			"note: the broker of evil is real (tap), and that of the model is hilnet's",
		},
		{
			"device", first + "devices:\n  - {kind: tap, address: 10.50.0.2/24, exec: touch started}\nbroker: {kind: model, address: 10.50.0.1/24}\n", exitUsage,
			"name a scenario with a model that does the same, with --program (replay extract device.pcapng -o mine.yaml makes one)",
		},
	} {
		recordOf(t, c.name+".pcapng", c.scenario)
		code, stdout, stderr := call(t, "distance", c.name+".pcapng", "netx", "--device", "10.50.0.2")
		if code != c.code || !strings.Contains(stdout+stderr, c.says) {
			t.Errorf("%s: exit %d, want %d and %q\n%s%s", c.name, code, c.code, c.says, stdout, stderr)
		}
		if _, err := os.Stat("started"); err == nil {
			t.Errorf("the scenario in %s.pcapng has started a program", c.name)
		}
	}
}

// recordOf writes a capture of a device that asks for an address, with a scenario in it.
func recordOf(t *testing.T, path, scenario string) {
	t.Helper()
	recorder, err := pcaps.NewRecorder(pcaps.RecorderConfig{Run: pcaps.RunInfo{Version: "0", Seed: 1, Texts: []pcaps.RunText{{Name: "evil.yaml", Text: scenario}}}})
	if err != nil {
		t.Fatal(err)
	}
	point, err := recorder.CreatePoint("device", path, pcaps.PointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for p, err := range pcaps.Packets(filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "1-basic.pcap")) {
		if err == nil {
			err = point.Capture(0, 1, pcaps.Outbound, p.Data, false)
		}
		if err != nil {
			t.Fatal(err)
		}
		break // one is enough
	}
	if err := recorder.Close(0); err != nil {
		t.Fatal(err)
	}
}

// Without its keys a session in TLS shows what is below TLS, and says so; with a key
// log it shows its messages.
func TestAKeyLogShowsTheMessagesInTLS(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("secure.yaml", []byte(`
version: 1
name: secure
duration: 5s
devices: [{pool: {packets: 64}, mqtt: {tls: {}}, steps: [connect, publish: {topic: t, payload: a, qos: 1}]}]
broker: {kind: model, tls: {}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := call(t, "run", "secure.yaml", "--out", "a", "--quiet", "--keylog", "keys"); code != exitPass {
		t.Fatal(errs)
	}
	f, err := pcaps.Create("bare.pcapng", pcaps.Section{}, pcaps.WriterConfig{})
	if err == nil {
		_, err = f.AddInterface(pcaps.Interface{LinkType: pcaps.LinkTypeEthernet, Resolution: pcaps.Nanoseconds})
	}
	for p, readErr := range pcaps.Packets(filepath.Join("a", "secure.device.pcapng")) {
		if readErr != nil {
			t.Fatal(readErr)
		}
		if p.Interface = 0; err == nil {
			err = f.WritePacket(p)
		}
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	const shown = "mqtt  "
	code, stdout, stderr := call(t, "distance", "bare.pcapng", "bare.pcapng")
	if code != exitPass || strings.Contains(stdout, shown) || !strings.Contains(stdout, "note: bare.pcapng: not read: session in TLS: there are no keys (1)") {
		t.Errorf("without keys: exit %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = call(t, "distance", "bare.pcapng", filepath.Join("a", "secure.device.pcapng"), "--keylog", "keys")
	if code != exitPass || !strings.Contains(stdout, shown) || strings.Contains(stdout, "not read") {
		t.Errorf("with keys: exit %d\n%s%s", code, stdout, stderr)
	}
}
