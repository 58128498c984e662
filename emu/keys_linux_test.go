package emu

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/mqtt"
	"hilnet/pcaps"
	"hilnet/sim"
)

// The real clock takes its time, and speed divides it.
func TestClockAndSpeedSetThePace(t *testing.T) {
	wall := func(keys string) time.Duration {
		sc := load(t, strings.Replace(appScenario, "duration: 10s", "duration: 2s\n"+keys, 1))
		r, err := Run(t.Context(), sc, Options{Apps: map[string]App{"firmware": publishes}})
		if err != nil || r.Outcome.Published != 2 {
			t.Fatalf("%s: %v, %d published", keys, err, r.Outcome.Published)
		}
		return r.Wall
	}
	if took := wall("clock: real"); took < 2*time.Second {
		t.Errorf("two seconds of the real clock took %v", took)
	}
	if took := wall("clock: real\nspeed: 4"); took < 500*time.Millisecond || took >= 2*time.Second {
		t.Errorf("at four times the speed they took %v", took)
	}
	if took := wall("clock: virtual"); took >= 2*time.Second {
		t.Errorf("in virtual time they took %v", took)
	}
}

const tapKeys = `
version: 1
name: tap-keys
clock: real
duration: 200ms
devices: [{app: look, address: 10.0.0.2/24, gateway: 10.0.0.1}]
broker: {kind: tap, address: 192.0.2.1/24, tap: {name: hil0, address: 10.0.0.1/24}}
`

// What a TAP is called, has for an address and lives in is what the kernel says
// while the run goes on; the gateway is whom the device asks for.
func TestTheKeysOfATapReachTheKernel(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns)
	here, there := linktest.Namespace(t), linktest.Namespace(t)
	for _, c := range []struct{ old, new, in, addresses, asked string }{
		{"", "", here.Name, "hil0 10.0.0.1/24", "10.0.0.1"},
		{"kind: tap, address: 192.0.2.1/24, tap: {name: hil0, address: 10.0.0.1/24}", "kind: model", here.Name, "", "10.0.0.1"},
		{"kind: tap, address: 192.0.2.1/24, tap: {name: hil0, address: 10.0.0.1/24}", "kind: tap, address: 192.0.2.1/24", here.Name, "hil0 10.0.0.1/24", "10.0.0.1"},
		{"name: hil0", "name: hil1", here.Name, "hil1 10.0.0.1/24", "10.0.0.1"},
		{"address: 10.0.0.1/24}", "address: 10.0.0.98/24}", here.Name, "hil0 10.0.0.98/24", "10.0.0.1"},
		{"name: hil0", "name: hil0, netns: " + there.Name, there.Name, "hil0 10.0.0.1/24", "10.0.0.1"},
		{"gateway: 10.0.0.1", "gateway: 10.0.0.50", here.Name, "hil0 10.0.0.1/24", "10.0.0.50"},
	} {
		sc := load(t, strings.Replace(tapKeys, c.old, c.new, 1))
		seen := map[string]string{}
		look := func(_ *sim.Task, client *mqtt.Client) {
			for _, n := range []*linktest.Net{here, there} {
				seen[n.Name] = addresses(n)
			}
			client.Connect(netip.AddrPortFrom(sc.Broker.Address.Addr(), 1883), 60, true, 1)
		}
		opt := Options{Out: t.TempDir(), Apps: map[string]App{"look": look}}
		here.Do(func() error { // the network namespace that the program runs in
			_, err := Run(t.Context(), sc, opt)
			return err
		})
		other := here.Name
		if c.in == here.Name {
			other = there.Name
		}
		if seen[c.in] != c.addresses || seen[other] != "" {
			t.Errorf("%q: the kernel had %q, want %q in %s", c.new, seen, c.addresses, c.in)
		}
		if asked := arpTargets(t, opt.Out+"/tap-keys.device.pcapng"); !slices.Contains(asked, c.asked) {
			t.Errorf("%q: the device asked for %v, want %s", c.new, asked, c.asked)
		}
		if left := addresses(here) + addresses(there); left != "" {
			t.Errorf("%q: %q is left", c.new, left)
		}
	}
}

// addresses returns the namespace's interfaces beside lo, with IPv4 addresses.
func addresses(n *linktest.Net) string {
	var all []string
	for line := range strings.Lines(n.Run("ip", "-br", "-4", "address")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] != "lo" {
			all = append(all, f[0]+" "+f[2])
		}
	}
	return strings.Join(all, ", ")
}

// arpTargets returns the addresses that are asked for in a capture.
func arpTargets(t *testing.T, path string) []string {
	t.Helper()
	var all []string
	for p, err := range pcaps.Packets(path) {
		if err != nil {
			t.Fatal(err)
		}
		if d := p.Data; p.Flags&pcaps.FlagDirection == pcaps.FlagOutbound && d[12] == 8 && d[13] == 6 {
			all = append(all, fmt.Sprintf("%d.%d.%d.%d", d[38], d[39], d[40], d[41]))
		}
	}
	return all
}
