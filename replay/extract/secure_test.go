package extract_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/replay/extract"
	"hilnet/scenarios"
)

// conditionsOf reads a capture.
func conditionsOf(t *testing.T, path string) *extract.Conditions {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	k, err := extract.Read(t.Context(), path, file, extract.Config{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := extract.Extract(k)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// scenarioOf makes a scenario of a capture and fits it.
func scenarioOf(t *testing.T, path string) string {
	t.Helper()
	m, err := conditionsOf(t, path).Make(extract.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Fit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m.Text()
}

// A session in TLS becomes a scenario in TLS, in which as many messages pass and as
// many frames are lost.
func TestASessionInTLSIsDoneAgainInTLS(t *testing.T) {
	sc, err := scenarios.OpenWith("link-drop", []scenarios.Set{{Key: "devices[*].mqtt.tls", Value: "{}"}, {Key: "broker.tls", Value: "{}"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	was, err := emu.Run(t.Context(), sc, emu.Options{Out: dir})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "link-drop.device.pcapng")
	text := scenarioOf(t, path)
	for _, want := range []string{`tls: {max_version: "1.2", ciphers: [TLS_RSA_WITH_AES_128_CBC_SHA256]}`, "port: 8883", "The session was in TLS 1.2, "} {
		if !strings.Contains(text, want) {
			t.Errorf("looked for %q in\n%s", want, text)
		}
	}
	again, err := scenarios.Load("again.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	is, err := emu.Run(t.Context(), again, emu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := was.Outcome, is.Outcome; a.Published != b.Published || a.Acknowledged != b.Acknowledged || a.Connects != b.Connects || a.Links[0].Up.Dropped != b.Links[0].Up.Dropped {
		t.Errorf("published %d and %d, acknowledged %d and %d, lost up %d and %d", a.Published, b.Published, a.Acknowledged, b.Acknowledged, a.Links[0].Up.Dropped, b.Links[0].Up.Dropped)
	}
	if _, err := conditionsOf(t, path).Make(extract.Plan{Recorded: true, Capture: path, Recording: path}); !errors.Is(err, extract.ErrSecureRecording) {
		t.Errorf("with the recording as the broker: %v", err)
	}
}

// mosquitto with OpenSSL, TLS 1.3: with keys there is a scenario, without it is said
// what is missing.
func TestARecordedSessionInTLSNeedsItsKeys(t *testing.T) {
	path := linktest.Data(t, "captures/groundtruth/mqtts13-q1-clean.dev.dsb.pcapng")
	if text := scenarioOf(t, path); !strings.Contains(text, `tls: {min_version: "1.3", max_version: "1.3"}`) {
		t.Error(text)
	}
	path = linktest.Data(t, "captures/groundtruth/mqtts13-q1-clean.dev.pcapng")
	if _, err := conditionsOf(t, path).Make(extract.Plan{}); !errors.Is(err, extract.ErrNoSession) || !strings.Contains(err.Error(), "there are no keys") {
		t.Error(err)
	}
}
