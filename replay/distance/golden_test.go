package distance_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/internal/golden"
	"hilnet/internal/linktest"
	"hilnet/mqtt"
	"hilnet/replay/distance"
	"hilnet/scenarios"
	"hilnet/sim"
)

var update = flag.Bool("update", false, "write the table of recordings in docs/distance.md")

// inItsPlace puts a model in the place of the recorded device: its application makes
// the recorded calls, and the recording is its peer.
func inItsPlace(t *testing.T, r *golden.Recording, profile scenarios.Profile, quirks string) *distance.Capture {
	t.Helper()
	if strings.HasPrefix(r.Name, "3e") && quirks == "default" { // built with NX_ENABLE_EXTENDED_NOTIFY_SUPPORT
		quirks += " -no_establish_notify"
	}
	path := filepath.Join(linktest.Root(t), "pcaps", "golden", "netx")
	sc, err := scenarios.Load(filepath.Join(path, "recorded.yaml"), fmt.Appendf(nil, `
version: 1
name: recorded
duration: %v
devices:
  - {profile: %s, quirks: %s, mac: %v, address: 10.50.0.2/24, pool: {packets: %d, payload: %d B}, mqtt: {client_id: %s}, app: recorded}
broker: {kind: capture, address: %s/24, capture: {file: %s.pcap, start: %dns}}
`, r.End, profile, quirks, golden.DeviceMAC, r.PoolPackets, r.PoolPayload, r.ClientID(), host(r), r.Name, r.Begin.Nanoseconds()))
	if err != nil {
		t.Fatal(err)
	}
	return run(t, sc, map[string]emu.App{"recorded": func(task *sim.Task, client *mqtt.Client) {
		app := &golden.App{Client: client}
		app.Attach()
		app.On(task, r.Steps)
	}})
}

// host returns the address that the recorded device connects to first.
func host(r *golden.Recording) string {
	for _, s := range r.Steps {
		if _, args := s.Args(); args["host"] != "" {
			addr, _, _ := strings.Cut(args["host"], ":")
			return addr
		}
	}
	return "10.50.0.1"
}

// The models that stand in the place of recorded devices.
var models = []struct {
	name    string
	profile scenarios.Profile
	quirks  string
}{{"netx", scenarios.ProfileNetX, "default"}, {"netx, quirks: none", scenarios.ProfileNetX, "none"}, {"linux", scenarios.ProfileLinux, "default"}}

// Of every recording of the real NetX Duo its model is the nearest one, and what is
// between them is told. The page has the numbers; -update writes them.
func TestTheNearestModelOfARecordingIsTheRightOne(t *testing.T) {
	var table strings.Builder
	table.WriteString("| recording |")
	for _, m := range models {
		fmt.Fprintf(&table, " `%s` |", m.name)
	}
	table.WriteString(" differing in `netx` |\n|---|---|---|---|---|\n")
	for _, name := range golden.Names(t) {
		r := golden.Load(t, name)
		device := read(t, filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", name+".pcap"), distance.Config{})
		fmt.Fprintf(&table, "| %s |", name)
		nearest, differing := 0.0, ""
		for i, m := range models {
			far := between(t, device, inItsPlace(t, r, m.profile, m.quirks), distance.Config{})
			fmt.Fprintf(&table, " %v |", far.Distance)
			switch {
			case i == 0:
				nearest, differing = far.Distance, behaviours(far)
			case m.profile != scenarios.ProfileNetX && far.Distance <= nearest:
				t.Errorf("%s: %s is at %v, and netx, the right one, at %v", name, m.name, far.Distance, nearest)
			case far.Distance < nearest:
				t.Errorf("%s: %s is at %v, and with its bugs it is at %v", name, m.name, far.Distance, nearest)
			}
		}
		const most = 20 // without the time that the recorded device's processor took
		if nearest > most {
			t.Errorf("%s: the model is at %v, more than %v", name, nearest, most)
		}
		fmt.Fprintf(&table, " %s |\n", differing)
	}
	page(t, table.String())
}

// behaviours lists those that have a distance.
func behaviours(r *distance.Report) string {
	var all []string
	for _, m := range r.Measures {
		if m.Distance > 0 {
			all = append(all, fmt.Sprintf("`%s` %v", m.Name, m.Distance))
		}
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

// page compares a table with that of the page, or writes it.
func page(t *testing.T, table string) {
	t.Helper()
	name := filepath.Join(linktest.Root(t), "docs", "distance.md")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(table, "\n")
	before, rest, found := strings.Cut(string(data), head+"\n")
	if !found {
		t.Fatalf("%s has no table that begins with %s", name, head)
	}
	old, behind, _ := strings.Cut(rest, "\n\n")
	switch want := strings.TrimSuffix(strings.TrimPrefix(table, head+"\n"), "\n"); {
	case old == want:
	case *update:
		if err := os.WriteFile(name, []byte(before+head+"\n"+want+"\n\n"+behind), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table is another one (go test ./replay/distance -run Nearest -update):\n%s", table)
	}
}
