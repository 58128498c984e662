package emu_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/sim"
)

func TestTheSensorSurvivesACut(t *testing.T) {
	sc, err := scenarios.Open("link-drop")
	if err != nil {
		t.Fatal(err)
	}
	device := &sc.Devices[0]
	device.Steps, device.Reconnect, device.App = nil, 0, "sensor" // what happens is the app's business
	sensor := func(task *sim.Task, client *mqtt.Client) {
		broker := netip.MustParseAddrPort("10.0.0.1:1883")
		client.Connect(broker, 30, true, 500) // keepalive 30 s, clean session, wait 5 s
		for range 40 {
			client.Publish("telemetry", []byte("21.5"), false, 1, 500)
			task.Sleep(time.Second)
		}
	}
	r, err := emu.Run(t.Context(), sc, emu.Options{Apps: map[string]emu.App{"sensor": sensor}})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Outcome.Acknowledged; n != 40 {
		t.Fatalf("%d of 40 messages acknowledged; to repeat: %s", n, r.Command())
	}
}

// The test above is the README's, letter by letter.
func TestTheREADMEShowsATestThatPasses(t *testing.T) {
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{linktest.Root(t)}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, rest, _ := strings.Cut(read("README.md"), "```go\n")
	shown, _, ok := strings.Cut(rest, "```")
	if !ok || !strings.Contains(read("emu", "readme_test.go"), shown) {
		t.Errorf("the README shows another test:\n%s", shown)
	}
}
