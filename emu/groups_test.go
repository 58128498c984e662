package emu

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

const meters = `
version: 1
name: meters
duration: 30s
devices:
  - name: meter
    count: 6
    mqtt: {keepalive: 0s, wait: 1s}
    steps: [connect, subscribe: {topic: t}, every: {period: 1s, do: [publish: {topic: up, payload: "{n}", qos: 1}]}]
broker: {kind: model}
timeline:
`

// actionsOf runs a scenario and returns its action events by node and text, each
// with its second, and the result.
func actionsOf(t *testing.T, text string) ([]string, *Result) {
	t.Helper()
	w, err := New(load(t, text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	events := w.Observe(1 << 16)
	r, err := w.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for e := range events.Events() {
		if e.Kind == trace.KindAction {
			all = append(all, fmt.Sprintf("%v %s: %s", time.Duration(e.T), e.Node, e.Text))
		}
	}
	return all, r
}

func TestAnActionOnAGroupHappensToEachAndEndsForEach(t *testing.T) {
	got, r := actionsOf(t, meters+"  - {label: cut, at: 5s, do: power_cut, for: 3s, group: {of: meter, every: 3}}\n"+
		"  - {after: {label: cut, delay: 1s}, do: leak, packets: 2, devices: [meter-2]}\n")
	want := []string{
		"5s meter-1: cut: power_cut for 3s", "5s meter-4: cut: power_cut for 3s", "6s meter-2: leak 2 packets",
		"8s meter-1: end of cut: power_cut for 3s", "8s meter-4: end of cut: power_cut for 3s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("actions\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, d := range r.Outcome.Devices {
		if want := map[int]int{0: 1, 3: 1}[i]; d.Reboots != want {
			t.Errorf("%s: %d reboots, want %d", d.Name, d.Reboots, want)
		}
	}
	got, r = actionsOf(t, meters+"  - {at: 5s, do: blackhole, group: {of: meter, from: 5}}\n")
	if want := []string{"5s link-meter-5: blackhole", "5s link-meter-6: blackhole"}; !slices.Equal(got, want) {
		t.Errorf("actions %q", got)
	}
	for i, d := range r.Outcome.Devices {
		if cut := d.Acknowledged < 20; cut != (i >= 4) {
			t.Errorf("%s: %d acknowledged", d.Name, d.Acknowledged)
		}
	}
}

func TestWhatTheBrokerDoesToAGroupIsOneAction(t *testing.T) {
	got, r := actionsOf(t, meters+"  - {at: 10s, do: broker_acks, fault: missing, for: 10s, group: {of: meter, from: 2, to: 3}}\n"+
		"  - {at: 25s, do: broker_forget, devices: [meter-6]}\n")
	want := []string{
		"10s broker: broker_acks missing on 2 devices: meter-2, meter-3 for 10s",
		"20s broker: end of broker_acks missing on 2 devices: meter-2, meter-3 for 10s",
		"25s broker: broker_forget on meter-6",
	}
	if !slices.Equal(got, want) {
		t.Errorf("actions\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, d := range r.Outcome.Devices {
		if hit := d.Acknowledged < d.Published-5 && d.Disconnects == 0; hit != (i == 1 || i == 2) {
			t.Errorf("%s: %d of %d acknowledged", d.Name, d.Acknowledged, d.Published)
		}
		if d.Disconnects != map[int]int{5: 1}[i] {
			t.Errorf("%s: %d disconnects", d.Name, d.Disconnects)
		}
	}
	// A group may be named in Go too, while the run goes on.
	sc := load(t, strings.Replace(meters, "steps: [connect", "steps: [sleep: 1s, connect", 1)+"  - {at: 29s, do: leak, packets: 1, group: meter}\n")
	w, err := New(sc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Do(scenarios.Action{At: scenarios.Duration(2 * time.Second), Do: scenarios.PowerCut, Group: &scenarios.Selection{Of: "meter", From: 6}}); err != nil {
		t.Fatal(err)
	}
	var off []string
	events := w.Observe(1 << 16)
	if _, err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for e := range events.Events() {
		if e.Kind == scenarios.KindOff && e.T == sim.Time(2*time.Second) {
			off = append(off, e.Node)
		}
	}
	if !slices.Equal(off, []string{"meter-6"}) {
		t.Errorf("switched off: %v", off)
	}
}

// What happens to nobody says so.
func TestAnActionOnTheBrokerThatHitsNobodyLeavesAnEvent(t *testing.T) {
	for _, c := range []struct{ timeline, want string }{
		{"  - {at: 0s, do: broker_garbage, hex: f0}\n", "broker_garbage f0 did nothing: nobody was connected"},
		{"  - {at: 0s, do: broker_forget, devices: [meter-2]}\n", "broker_forget on meter-2 did nothing: nobody had a session"},
		{"  - {at: 9s, do: broker_garbage, hex: f0, device: meter-2}\n", ""},
		{"  - {at: 9s, do: broker_forget}\n", ""},
		{"  - {at: 9s, do: broker_crash, state: lost, for: 9s}\n  - {at: 10s, do: broker_forget}\n  - {at: 11s, do: broker_garbage, hex: f0}\n", "broker_forget did nothing: nobody had a session|broker_garbage f0 did nothing: nobody was connected"},
	} {
		all, _ := actionsOf(t, meters+c.timeline)
		var got []string
		for _, text := range all {
			if _, text, _ = strings.Cut(text, "broker: "); strings.Contains(text, "did nothing") {
				got = append(got, text)
			}
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s: %q, want %q", c.timeline, got, c.want)
		}
	}
}
