package emu

import (
	"fmt"
	"strings"
	"testing"

	"hilnet/link"
	"hilnet/scenarios"
	"hilnet/trace"
)

// served runs a scenario and returns the result and the events of some kinds, in
// words.
func served(t *testing.T, text string, kinds ...trace.Kind) (*Result, []string) {
	t.Helper()
	w, err := New(load(t, text), Options{Out: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	events := w.Observe(100_000)
	r, err := w.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for e := range events.Events() {
		for _, k := range kinds {
			if e.Kind == k {
				lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Node, e.Kind, e.Text)))
			}
		}
	}
	if len(r.Outcome.ConservationErrors) > 0 || r.Recording.LateFates > 0 || r.Recording.Undecided > 0 {
		t.Errorf("%v, recording %+v", r.Outcome.ConservationErrors, r.Recording)
	}
	return r, lines
}

// Behind ports that are isolated from each other, the services stand beside the
// broker, and an answer to one device costs one delivery.
func TestIsolatedDevicesAndSharedOnesUseTheServices(t *testing.T) {
	for _, access := range []string{"shared", "isolated"} {
		r, bound := served(t, `
version: 1
name: fleet
duration: 30s
access: `+access+`
capture: [peer, broker]
devices:
  - {name: d, count: 30, address: dhcp, mqtt: {host: broker.example}, steps: [connect, publish: {topic: t, qos: 1}]}
broker: {kind: model}
services: {dhcp: {lease: 20s}, dns: {names: [{name: broker.example}]}}
`, trace.KindDHCPBound)
		if o := r.Outcome; o.Connects != 30 || o.Acknowledged != 30 {
			t.Errorf("%s: %d connections, %d acknowledged", access, o.Connects, o.Acknowledged)
		}
		if len(bound) < 60 || !strings.HasPrefix(bound[0], "d-1 dhcp.bound 10.0.0.2/24, for 20s, from 10.0.0.254") {
			t.Errorf("%s: %d leases, %q", access, len(bound), bound[0])
		}
		if n := r.Outcome.Switch.Flooded; access == "isolated" && n > 0 || access == "shared" && n < 120 {
			t.Errorf("%s: %d frames flooded", access, n)
		}
	}
}

// What the servers tell is what a device does.
func TestDevicesBelieveWhatTheServicesTell(t *testing.T) {
	const text = `
version: 1
name: lies
duration: 40s
devices:
  - {name: d, address: dhcp, mqtt: {host: broker.example, wait: 1s}, reconnect: 1s, steps: [connect]}
broker: {kind: model}
services:
  dhcp: {lease: 30s, answer: DHCP}
  dns: {names: [{name: broker.example}], answer: DNS}
`
	for _, c := range []struct {
		dhcp, dns string
		connects  bool
		want      string // what the trace has
	}{
		{"right", "right", true, "d dhcp.bound 10.0.0.2/24, for 30s, from 10.0.0.254"},
		{"off", "right", false, "d mqtt.connected no address by DHCP"},
		{"silent", "right", false, "d mqtt.connected no address by DHCP"},
		{"nak", "right", false, "d dhcp.state INIT"},
		{"wrong", "right", false, "d dhcp.bound 198.51.100.4/24, gateway 198.51.100.1, for 30s, from 10.0.0.254"},
		{"taken", "right", false, "d dhcp.bound 10.0.0.1/24, for 30s, from 10.0.0.254"},
		{"short", "right", true, "d dhcp.bound 10.0.0.2/24, for 10s, from 10.0.0.254"},
		{"bare", "right", false, "d dhcp.bound 10.0.0.2/0, for 30s, from 10.0.0.254"},
		{"right", "off", false, "d mqtt.connected no address of broker.example"},
		{"right", "silent", false, "d mqtt.connected no address of broker.example"},
		{"right", "nxdomain", false, "d mqtt.connected no address of broker.example"},
		{"right", "servfail", false, "d mqtt.connected no address of broker.example"},
		{"right", "refused", false, "d mqtt.connected no address of broker.example"},
		{"right", "empty", false, "d mqtt.connected no address of broker.example"},
		{"right", "truncated", false, "d mqtt.connected no address of broker.example"},
		{"right", "wrong_id", false, "d mqtt.connected no address of broker.example"},
		{"right", "wrong", false, "d dns.resolved broker.example is 192.0.2.1"},
	} {
		r, lines := served(t, strings.NewReplacer("DHCP", c.dhcp, "DNS", c.dns).Replace(text),
			trace.KindDHCP, trace.KindDHCPBound, trace.KindConnected, trace.KindDNS)
		all := "\n" + strings.Join(lines, "\n") + "\n"
		if (r.Outcome.Connects > 0) != c.connects || !strings.Contains(all, "\n"+c.want+"\n") {
			t.Errorf("dhcp %s, dns %s: %d connections, want %q in%s", c.dhcp, c.dns, r.Outcome.Connects, c.want, all)
		}
	}
}

// A device that was off knows nothing of its lease.
func TestAfterAPowerCutTheAddressIsAskedForAnew(t *testing.T) {
	_, lines := served(t, `
version: 1
name: power
duration: 20s
devices:
  - {name: d, address: dhcp, steps: [connect]}
broker: {kind: model}
services: {dhcp: {}}
timeline: [{at: 10s, do: power_cut, for: 1s}]
`, trace.KindDHCP, trace.KindDHCPBound, scenarios.KindBoot)
	want := "d device.boot|d dhcp.state INIT|d dhcp.state SELECTING|d dhcp.state REQUESTING|d dhcp.bound 10.0.0.2/24, for 1h0m0s, from 10.0.0.254"
	if got := strings.Join(lines, "|"); got != want+"|"+want {
		t.Errorf("%s", got)
	}
}

// Actions of Do on a service that is not there are refused, and so is what
// replaces a device.
func TestServicesAreRefusedWhereTheyCannotBe(t *testing.T) {
	sc := load(t, "version: 1\nname: x\ndevices: [{steps: [connect]}]\nbroker: {}\nservices: {dns: {names: [{name: a.example}]}}\n")
	w, err := New(sc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []scenarios.Action{
		{Do: scenarios.ServiceAnswer, Service: scenarios.ServiceDHCP, Answer: "off"},
		{Do: scenarios.ServiceAnswer, Service: scenarios.ServiceDNS, Answer: "nak"},
		{Do: scenarios.ServiceAnswer, Answer: "off"},
	} {
		if err := w.Do(a); err == nil {
			t.Errorf("%+v is taken", a)
		}
	}
	if err := w.Do(scenarios.Action{Do: scenarios.ServiceAnswer, Service: scenarios.ServiceDNS, Answer: "off"}); err != nil {
		t.Error(err)
	}
	if _, err := w.Run(t.Context()); err != nil {
		t.Error(err)
	}
	opt := Options{Device: func(Endpoint) (link.Sink, error) { return link.SinkFunc(func(*link.Frame) {}), nil }}
	if _, err := New(sc, opt); err == nil || !strings.Contains(err.Error(), "services") {
		t.Errorf("a replaced device: %v", err)
	}
}
