package emu

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// moments lists when events of a kind happened, with their text.
func (r *recording) moments(kind trace.Kind) string {
	var all []string
	for i := range r.events {
		if e := &r.events[i]; e.Kind == kind {
			all = append(all, strings.TrimSpace(fmt.Sprintf("%v %s", time.Duration(e.T), e.Text)))
		}
	}
	return strings.Join(all, ", ")
}

// ports lists the addresses from which clients connected to the broker.
func (r *recording) ports() []string {
	var all []string
	for i := range r.events {
		if e := &r.events[i]; e.Kind == trace.KindBrokerConnected {
			all = append(all, e.Text)
		}
	}
	return all
}

// sequenceNumbers lists those that the device's connections begin with, less what
// RFC 6528 adds in the course of time: 2^18 a second in gVisor.
func (r *recording) sequenceNumbers(t *testing.T) []uint32 {
	t.Helper()
	var all []uint32
	for p, err := range pcaps.Packets(r.capture(scenarios.PointDevice)) {
		if err != nil {
			t.Fatal(err)
		}
		var l wire.Layers
		if l.Parse(p.Data) == nil && l.TCP != nil && l.TCP.Has(wire.TCPSyn) && !l.TCP.Has(wire.TCPAck) {
			n := l.TCP.Seq() - uint32(int64(p.Time-pcaps.VirtualEpoch)>>6)
			if len(all) == 0 || all[len(all)-1]-n+1000 > 2000 { // not the same SYN again
				all = append(all, n)
			}
		}
	}
	return all
}

func TestAfterAPowerCutNetXHasItsPortAgainAndLinuxAnother(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		sc := open(t, "power-cut")
		netx := record(t, sc, Options{Seed: &seed}).ports()
		if len(netx) != 2 || netx[0] != netx[1] {
			t.Errorf("seed %d: netx came from %v", seed, netx)
		}
		sc.Devices[0].Profile = scenarios.ProfileLinux
		r := record(t, sc, Options{Seed: &seed})
		if linux := r.ports(); len(linux) != 2 || linux[0] == linux[1] {
			t.Errorf("seed %d: linux came from %v", seed, linux)
		}
		if isn := r.sequenceNumbers(t); len(isn) != 2 || isn[0] == isn[1] {
			t.Errorf("seed %d: linux began with the sequence numbers %v", seed, isn)
		}
		if r.count(trace.KindBrokerDisconnected, func(e *trace.Event) bool { return strings.Contains(e.Text, "taken over") }) != 1 {
			t.Errorf("seed %d: the broker found the old connection dead by other means than the client identifier", seed)
		}
	}
}

func TestADeviceWithoutPowerSaysNothing(t *testing.T) {
	r := record(t, open(t, "power-cut"), Options{})
	var off, on sim.Time
	for i := range r.events {
		switch e := &r.events[i]; {
		case e.Kind == scenarios.KindOff:
			off = e.T
		case e.Kind == scenarios.KindBoot:
			on = e.T
		case off > 0 && on < off && e.Node == "device" && e.Kind != trace.KindDrop && e.Kind != trace.KindAction:
			t.Errorf("at %v the device, which is off, does %s %s", time.Duration(e.T), e.Kind, e.Text)
		}
	}
	if on.Sub(off) != 5*time.Second {
		t.Errorf("off at %v, on at %v: want 3 s without power and 2 s of booting", time.Duration(off), time.Duration(on))
	}
	sent := 0
	for p, err := range pcaps.Packets(r.capture(scenarios.PointDevice)) {
		if err != nil {
			t.Fatal(err)
		}
		now := sim.Time(p.Time - pcaps.VirtualEpoch)
		if bytes.Equal(p.Data[6:12], []byte{2, 0, 0, 0, 0, 2}) && now > off && now < on {
			sent++
		}
	}
	if sent > 0 {
		t.Errorf("%d frames of a device without power", sent)
	}
}

const restarts = `
version: 1
name: restarts
duration: 20s
devices:
  - boot: 2s
    start: 500ms
    steps: [connect, publish: {topic: t, payload: "{n}", qos: 1}, {sleep: 3s}, reboot]
broker: {kind: model}
`

func TestARebootStepGoesInOrderAndStartsAgain(t *testing.T) {
	r := record(t, load(t, restarts), Options{})
	if got := r.moments(scenarios.KindBoot); got != "500ms, 5.5s, 10.5s, 15.5s" {
		t.Errorf("started at %s", got)
	}
	o := r.Outcome
	if o.Reboots != 3 || o.Connects != 4 || o.Disconnects != 4 || o.Published != 4 || o.Lost != 0 || o.Devices[0].Pool.FreeAtEnd != 16 {
		t.Errorf("%+v %+v", o.Traffic, o.Devices[0].Pool)
	}
	if n := r.count(trace.KindBrokerDisconnected, func(e *trace.Event) bool { return e.Text == "DISCONNECT received" }); n != 4 {
		t.Errorf("the broker got %d DISCONNECTs", n)
	}
}

func TestThePowerSwitchAndTheResetLineDoNotFight(t *testing.T) {
	for _, c := range []struct{ name, timeline, boots, offs string }{
		{"reset while off", "[{at: 5s, do: power_cut, for: 6s}, {every: 7s, count: 1, do: reboot}]", "500ms, 13s", "5s power cut"},
		{"reset while booting", "[{at: 5s, do: reboot}, {at: 6s, do: reboot}]", "500ms, 8s", "5s reboot"},
		{"cut while booting", "[{at: 5s, do: reboot}, {at: 6s, do: power_cut, for: 4s}]", "500ms, 12s", "5s reboot"},
		{"two cuts", "[{at: 5s, do: power_cut, for: 6s}, {every: 7s, count: 1, do: power_cut, for: 6s}]", "500ms, 15s", "5s power cut"},
		{"cut for good", "[{at: 5s, do: power_cut}]", "500ms", "5s power cut"},
		{"cut before the start", "[{at: 100ms, do: power_cut, for: 1s}]", "3.1s", ""},
		{"reset before the start", "[{at: 100ms, do: reboot}]", "500ms", ""},
	} {
		text := strings.Replace(restarts, "{sleep: 3s}, reboot", "{sleep: 30s}", 1) + "timeline: " + c.timeline + "\n"
		r := record(t, load(t, text), Options{})
		if got := r.moments(scenarios.KindBoot); got != c.boots {
			t.Errorf("%s: started at %s, want %s", c.name, got, c.boots)
		}
		if got := r.moments(scenarios.KindOff); got != c.offs {
			t.Errorf("%s: off at %s, want %s", c.name, got, c.offs)
		}
	}
}

func TestActionsRepeatAndWaitForOneAnother(t *testing.T) {
	r := record(t, load(t, `
version: 1
name: waits
duration: 30s
devices:
  - steps: [connect, subscribe: {topic: "#", qos: 1}, every: {period: 1s, do: [message_get: all]}]
broker: {kind: model}
timeline:
  - {every: 4s, until: 13s, label: tick, do: broker_publish, topic: tick, payload: "number {n}", qos: 1}
  - {after: {label: tick, nth: 3, delay: 1s}, every: 2s, count: 2, do: broker_publish, topic: third}
  - {after: {event: mqtt.received, device: device, delay: 500ms}, label: cut, do: blackhole, for: 1s}
  - {after: {label: cut}, do: release, packets: 1}
`), Options{})
	want := "4s tick: broker_publish tick, 4.5s cut: blackhole for 1s, 4.5s release 1 packets, 5.5s end of cut: blackhole for 1s, " +
		"8s tick: broker_publish tick, 12s tick: broker_publish tick, 13s broker_publish third, 15s broker_publish third"
	if got := r.moments(trace.KindAction); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheSeedSpreadsTheStarts(t *testing.T) {
	text := `
version: 1
name: spread
duration: 20s
devices: [{name: "d{i}", count: 40, start: 2s, start_spread: 8s, steps: [connect]}]
broker: {kind: model}
`
	seen := map[string]bool{}
	for seed := uint64(1); seed <= 3; seed++ {
		r := record(t, load(t, text), Options{Seed: &seed})
		var sum time.Duration
		for i := range r.events {
			if e := &r.events[i]; e.Kind == scenarios.KindBoot {
				if e.T < sim.Time(2*time.Second) || e.T >= sim.Time(10*time.Second) {
					t.Errorf("seed %d: %s started at %v", seed, e.Node, time.Duration(e.T))
				}
				sum += time.Duration(e.T)
			}
		}
		if mean := sum / 40; mean < 5*time.Second || mean > 7*time.Second || r.Outcome.Connects != 40 {
			t.Errorf("seed %d: %d devices, the mean start is at %v", seed, r.Outcome.Connects, mean)
		}
		seen[r.moments(scenarios.KindBoot)] = true
	}
	if len(seen) != 3 {
		t.Errorf("3 seeds, %d spreads", len(seen))
	}
}

func TestNewScenariosRepeatThemselvesAndHoldOverSeeds(t *testing.T) {
	for _, name := range []string{"power-cut", "retained-will", "two-devices", "fleet-small"} {
		seeds := uint64(20)
		if testing.Short() || name == "fleet-small" {
			seeds = 3
		}
		for seed := uint64(1); seed <= seeds; seed++ {
			result, err := Run(t.Context(), open(t, name), Options{Seed: &seed})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range result.Checks {
				if !c.Passed {
					t.Errorf("%s, seed %d: %s", name, seed, c.Why)
				}
			}
		}
		if a, b := events(t, open(t, name), Options{}), events(t, open(t, name), Options{}); !bytes.Equal(a, b) {
			t.Errorf("%s: two runs differ in %s", name, firstDifference(a, b))
		}
	}
}
