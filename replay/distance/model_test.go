package distance_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/replay/distance"
	"hilnet/scenarios"
	"hilnet/trace"
)

// read reads a capture.
func read(t *testing.T, path string, config distance.Config) *distance.Capture {
	t.Helper()
	in, done, err := pcaps.Open(path, pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer done() //nolint:errcheck // only read from
	c, err := distance.Read(context.Background(), in, config)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

// model runs a scenario of the library with a profile and reads what its device did,
// with the outages that the trace tells of.
func model(t *testing.T, name string, profile scenarios.Profile, quirks string) *distance.Capture {
	t.Helper()
	sc, err := scenarios.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if sc, err = distance.Twin(sc, "", profile); err != nil {
		t.Fatal(err)
	}
	if err := sc.Devices[0].Quirks.UnmarshalText([]byte(quirks)); err != nil {
		t.Fatal(err)
	}
	return run(t, sc, nil)
}

// run runs a scenario and reads what its device did.
func run(t *testing.T, sc *scenarios.Scenario, apps map[string]emu.App) *distance.Capture {
	t.Helper()
	out := t.TempDir()
	if _, err := emu.Run(context.Background(), sc, emu.Options{Out: out, Apps: apps}); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(out, sc.Name+".trace.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in, err := trace.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	d, path := &sc.Devices[0], filepath.Join(out, sc.Name+".device.pcapng")
	outages, err := distance.ReadOutages(in, d.Name, sc.Links[0].Name, began(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, path, distance.Config{Device: d.MAC.String(), Outages: outages})
}

// began returns when the run of a capture began, which in virtual time is known.
func began(t *testing.T, path string) pcaps.Stamp {
	t.Helper()
	in, done, err := pcaps.Open(path, pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer done() //nolint:errcheck // only read from
	start, known := distance.Began(in)
	if !known || start != pcaps.VirtualEpoch {
		t.Fatalf("%s began at %v, %v", path, start, known)
	}
	return start
}

// between compares two devices.
func between(t *testing.T, a, b *distance.Capture, config distance.Config) *distance.Report {
	t.Helper()
	r, err := distance.Compare(a, b, config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// classes returns the names of the classes that have a distance.
func classes(r *distance.Report) []string {
	all := []string{}
	for _, c := range r.Classes {
		if c.Distance > 0 {
			all = append(all, c.Name)
		}
	}
	return all
}

// A device is as it is: every recording of a real stack is at no distance of itself,
// with no tolerance.
func TestARecordingIsAtNoDistanceOfItself(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "*.pcap"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	exact := distance.Config{Tolerance: -1, Contents: true}
	for _, name := range names {
		a := read(t, name, exact)
		if r := between(t, a, read(t, name, exact), exact); r.Distance != 0 || a.Samples == 0 {
			t.Errorf("%s: distance %v of %d samples", name, r.Distance, a.Samples)
		}
	}
}

// A model that runs twice is at no distance of itself, outages and all.
func TestAModelIsAtNoDistanceOfItself(t *testing.T) {
	for _, profile := range []scenarios.Profile{scenarios.ProfileNetX, scenarios.ProfileLinux} {
		a, b := model(t, "link-drop", profile, "default"), model(t, "link-drop", profile, "default")
		r := between(t, a, b, distance.Config{Tolerance: -1})
		if r.Distance != 0 {
			t.Errorf("%s: distance %v: %v", profile, r.Distance, classes(r))
		}
		if a.Outages != 1 || a.Of(distance.OutageReturns) != 1 || a.Of(distance.OutageSends) == 0 {
			t.Errorf("%s: %d outages, %d sends in them", profile, a.Outages, a.Of(distance.OutageSends))
		}
	}
}

// A bug that is switched off shows where it is, and nowhere else; one that only the
// application sees does not show.
func TestASwitchedQuirkShowsInItsClass(t *testing.T) {
	for _, c := range []struct {
		scenario, quirk string
		want            []string
	}{
		{"id-restart", "id_restart", []string{"mqtt"}},
		{"no-ack-every-second-segment", "no_ack_every_second_segment", []string{"acknowledgement", "window"}},
		{"any-segment-is-duplicate-ack", "any_segment_is_duplicate_ack", []string{"retransmission", "acknowledgement"}},
		{"out-of-order-starves-pool", "out_of_order_starves_pool", []string{"acknowledgement"}},
		{"credentials-cleared", "credentials_cleared", []string{"acknowledgement", "segmentation", "mqtt", "close"}}, // the broker ends the session
		{"copy-drop", "copy_drop", []string{}},
	} {
		r := between(t, model(t, c.scenario, scenarios.ProfileNetX, "default"), model(t, c.scenario, scenarios.ProfileNetX, "default -"+c.quirk), distance.Config{})
		if got := classes(r); !slices.Equal(got, c.want) || (r.Distance > 0) != (len(c.want) > 0) {
			t.Errorf("%s: distance %v in %v, want %v", c.scenario, r.Distance, got, c.want)
		}
	}
}

// twoQuirks is a scenario in which two bugs show.
const twoQuirks = `
version: 1
name: two
duration: 8s
devices:
  - pool: {packets: 64}
    mqtt: {keepalive: 0s, clean_session: false}
    steps:
      - connect
      - subscribe: {topic: commands}
      - publish: {topic: telemetry, payload: old, qos: 1}
      - sleep: 1s
      - disconnect
      - sleep: 1s
      - connect
      - publish: {topic: telemetry, payload: new, qos: 1}
broker: {kind: model}
timeline:
  - {at: 500ms, do: broker_publish, topic: commands, size: 10kB}
  - {at: 0s, do: broker_acks, fault: missing}
`

// Two bugs that are switched off show where either does.
func TestTwoSwitchedQuirksShowInTheClassesOfBoth(t *testing.T) {
	const first, second = " -id_restart", " -no_ack_every_second_segment"
	as := func(quirks string) []string {
		sc, err := scenarios.Load("two.yaml", []byte(twoQuirks))
		if err != nil {
			t.Fatal(err)
		}
		other := sc.Clone()
		if err := other.Devices[0].Quirks.UnmarshalText([]byte("default" + quirks)); err != nil {
			t.Fatal(err)
		}
		return classes(between(t, run(t, sc, nil), run(t, other, nil), distance.Config{}))
	}
	x, y, both := as(first), as(second), as(first+second)
	union := slices.Concat(x, y)
	slices.Sort(union)
	slices.Sort(both)
	if union = slices.Compact(union); len(x) == 0 || len(y) == 0 || !slices.Equal(union, both) {
		t.Errorf("%v and %v, both %v", x, y, both)
	}
}

// Models are nearest to themselves.
func TestAModelIsNearestToItself(t *testing.T) {
	for _, name := range []string{"link-drop", "3b-arp-missing-host"} {
		netx, linux := model(t, name, scenarios.ProfileNetX, "default"), model(t, name, scenarios.ProfileLinux, "default")
		const least = 20
		for _, r := range []*distance.Report{between(t, netx, linux, distance.Config{}), between(t, linux, netx, distance.Config{})} {
			if r.Distance < least {
				t.Errorf("%s: netx and linux are %v apart, less than %v", name, r.Distance, least)
			}
		}
	}
}

// A real device's place is taken by a model with the program of another scenario, from
// a moment on, under the conditions of the run.
func TestAProgramRunsInAnothersPlace(t *testing.T) {
	sc, err := scenarios.Open("link-drop")
	if err != nil {
		t.Fatal(err)
	}
	bench, err := scenarios.Load("bench.yaml", []byte(`
version: 1
name: bench
clock: real
duration: 50s
devices: [{name: dut, kind: tap, address: 10.0.0.2/24, exec: "true"}]
links: [{delay: 100ms, loss: 2%}]
broker: {kind: gateway}
timeline: [{at: 20s, do: blackhole, for: 8s}]
expect: [device("dut").exec.status == 0]
`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := distance.Twin(bench, "dut", scenarios.ProfileNetX); !errors.Is(err, distance.ErrReal) {
		t.Errorf("a model of what is not known: %v", err)
	}
	const start = 3 * time.Second
	twin, err := distance.Program(bench, "dut", sc, start)
	if err == nil {
		twin, err = distance.Twin(twin, "dut", scenarios.ProfileNetX)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, twin, nil)
	if first := got.First.Sub(pcaps.VirtualEpoch); first < start || first > start+time.Second || got.Outages != 1 || got.Of(distance.OutageSends) == 0 || got.Of(distance.Messages) == 0 {
		t.Errorf("it began at %v; %d outages, %d sends in them, %d messages", first, got.Outages, got.Of(distance.OutageSends), got.Of(distance.Messages))
	}
}
