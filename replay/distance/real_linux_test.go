package distance_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/replay/distance"
	"hilnet/replay/extract"
	"hilnet/scenarios"
)

// inRealTime runs a scenario in real time and returns the path of its device's capture.
func inRealTime(t *testing.T, text string) string {
	t.Helper()
	sc, err := scenarios.Load("real.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	result, err := emu.Run(context.Background(), sc, emu.Options{Out: out})
	if err != nil || result.Verdict != emu.Pass {
		t.Fatalf("%v: %+v", err, result)
	}
	return filepath.Join(out, sc.Name+".device.pcapng")
}

// A Linux client in a namespace is nearer to the model of Linux than to
// that of NetX, both doing what extract finds that it did, under the same conditions.
func TestARealLinuxClientIsNearestToTheModelOfLinux(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto_pub")
	path := inRealTime(t, `
version: 1
name: linux
clock: real
duration: 2200ms
devices:
  - name: linux
    kind: tap
    address: 10.0.0.2/24
    tap: {side: kernel, netns: private}
    mqtt: {client_id: linux}
    exec: |
      for i in $(seq 1 5); do echo "message $i"; sleep 0.3; done |
      mosquitto_pub -h $HILNET_BROKER -p $HILNET_PORT -i $HILNET_CLIENT -t telemetry -q 1 -l
links: [{delay: 20ms}]
broker: {kind: model}
expect: [delivered >= 1] # a busy machine may not get farther
`)
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	recorded, err := extract.Read(context.Background(), path, file, extract.Config{})
	if err != nil {
		t.Fatal(err)
	}
	conditions, err := extract.Extract(recorded)
	if err != nil {
		t.Fatal(err)
	}
	making, err := conditions.Make(extract.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := making.Fit(context.Background()); err != nil {
		t.Fatal(err)
	}
	program, err := scenarios.Load("field.yaml", []byte(making.Text()))
	if err != nil {
		t.Fatal(err)
	}
	was, err := emu.ReadRecorded(path)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := distance.Program(was.Scenario, "linux", program, 0)
	if err != nil {
		t.Fatal(err)
	}
	device := read(t, path, distance.Config{Device: "10.0.0.2"})
	far := map[scenarios.Profile]float64{}
	for _, profile := range []scenarios.Profile{scenarios.ProfileLinux, scenarios.ProfileNetX} {
		twin, err := distance.Twin(sc, "", profile)
		if err != nil {
			t.Fatal(err)
		}
		out := t.TempDir()
		if _, err := emu.Run(context.Background(), twin, emu.Options{Out: out}); err != nil {
			t.Fatal(err)
		}
		r := between(t, device, read(t, filepath.Join(out, twin.Name+".device.pcapng"), distance.Config{}), distance.Config{})
		far[profile] = r.Distance
		t.Logf("%s: %s", profile, behaviours(r))
	}
	t.Logf("linux %v, netx %v", far[scenarios.ProfileLinux], far[scenarios.ProfileNetX])
	if far[scenarios.ProfileLinux] >= far[scenarios.ProfileNetX] {
		t.Errorf("a real Linux is at %v from the model of Linux and at %v from that of NetX", far[scenarios.ProfileLinux], far[scenarios.ProfileNetX])
	}
}

// Of a firmware on lwIP two runs are nearer to each other than to one of the same
// firmware with another setting, and the setting shows in its MQTT.
func TestTwoSettingsOfAFirmwareAreFartherApartThanTwoRuns(t *testing.T) {
	linktest.Soak(t)
	linktest.Require(t, "tun", "netns", "gcc", linktest.NeedLwIP)
	client := filepath.Join(t.TempDir(), "lwip-client")
	cmd := exec.CommandContext(t.Context(), "gcc", "-O1", "-Wall", "-I/usr/include/lwip", "-o", client,
		filepath.Join(linktest.Root(t), "emu", "testdata", "lwip", "main.c"), "-llwip")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	run := func(period string) *distance.Capture {
		path := inRealTime(t, strings.NewReplacer("CLIENT", client, "PERIOD", period).Replace(`
version: 1
name: lwip
clock: real
duration: 9s
devices:
  - name: lwip
    kind: tap
    address: 10.0.0.2/24
    tap: {name: dut5, side: descriptor, netns: private}
    exec: PRECONFIGURED_TAPIF=$HILNET_TAP exec CLIENT $HILNET_ADDRESS 255.255.255.0 $HILNET_BROKER $HILNET_PORT 10 PERIOD
links: [{delay: 10ms}]
broker: {kind: model}
expect: [delivered == 10]
`))
		return read(t, path, distance.Config{Device: "10.0.0.2"})
	}
	first, again, other := run("300"), run("300"), run("600")
	same, apart := between(t, first, again, distance.Config{}), between(t, first, other, distance.Config{})
	t.Logf("the same setting %v %v, another one %v %v", same.Distance, classes(same), apart.Distance, classes(apart))
	if same.Distance >= apart.Distance {
		t.Errorf("two runs are at %v, two settings at %v", same.Distance, apart.Distance)
	}
	late := 0
	for _, m := range apart.Measures {
		if m.Name == distance.Messages.String() {
			late = m.Late.N
		}
	}
	const least = 8 // the first one is not
	if late < least {
		t.Errorf("%d of the messages are late, want %d or more", late, least)
	}
}
