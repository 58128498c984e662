package scenarios

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// grouped is a fleet of two entries, one without a number mark in its name and
// one with, and a device of its own.
const grouped = `version: 1
name: f
duration: 60s
devices:
  - {name: meter, count: 6, steps: [connect]}
  - {name: "pump-{i}", count: 3, pool: {packets: 4}, steps: [connect]}
  - {name: gateway, steps: [connect]}
broker: {}
timeline:
  - `

func TestAGroupIsTheDevicesThatItChooses(t *testing.T) {
	for _, c := range []struct{ group, want string }{
		{"group: meter", "meter-1 meter-2 meter-3 meter-4 meter-5 meter-6"},
		{"group: {of: meter}", "meter-1 meter-2 meter-3 meter-4 meter-5 meter-6"},
		{"group: {of: meter, from: 2, to: 4}", "meter-2 meter-3 meter-4"},
		{"group: {of: meter, every: 3}", "meter-1 meter-4"},
		{"group: {of: meter, from: 5, to: 100, every: 2}", "meter-5"},
		{"group: pump", "pump-1 pump-2 pump-3"},
		{"group: 'pump-{i}'", "pump-1 pump-2 pump-3"},
		{"group: pump-2", "pump-2"},
		{"group: gateway", "gateway"},
		{"group: {every: 4}", "meter-1 meter-5 pump-3"},
		{"group: {}", "meter-1 meter-2 meter-3 meter-4 meter-5 meter-6 pump-1 pump-2 pump-3 gateway"},
		{"devices: [gateway, meter-3]", "gateway meter-3"},
	} {
		for _, do := range []string{"do: blackhole", "do: power_cut", "do: broker_garbage, hex: f0"} {
			sc := load(t, grouped+"{at: 1s, "+do+", "+c.group+"}\n")
			a := &sc.Timeline[0]
			if got := strings.Join(a.Devices, " "); got != c.want || a.Group != nil {
				t.Errorf("%s: %s", c.group, got)
			}
			targets := sc.Targets(a)
			if a.Do == Blackhole {
				for i := range targets {
					targets[i] = strings.TrimPrefix(targets[i], "link-")
				}
			}
			if !slices.Equal(targets, a.Devices) {
				t.Errorf("%s: happens to %v", c.group, targets)
			}
			if again := load(t, resolved(t, sc)); !Equal(again, sc) {
				t.Errorf("%s: resolved it is another scenario", c.group)
			}
		}
	}
}

func TestABadGroupIsRefused(t *testing.T) {
	for _, c := range []struct{ action, want string }{
		{"{at: 1s, do: power_cut, group: metre}", `no entry of devices is called "metre"`},
		{"{at: 1s, do: power_cut, group: {of: meter, from: 7}}", "no such device among 6"},
		{"{at: 1s, do: power_cut, group: {of: meter, every: 0}}", "too small"},
		{"{at: 1s, do: power_cut, group: meter, devices: [gateway]}", "either devices or a group"},
		{"{at: 1s, do: power_cut, group: meter, device: gateway}", "either a device or several"},
		{"{at: 1s, do: blackhole, group: meter, link: link-gateway}", "either a link or devices"},
		{"{at: 1s, do: power_cut, devices: [gatway]}", `no device is called "gatway"`},
		{"{at: 1s, do: power_cut, devices: [gateway, gateway]}", "stands here twice"},
		{"{at: 1s, do: power_cut, devices: []}", "0 entries"},
		{"{at: 1s, do: broker_crash, group: meter}", `broker_crash does nothing with "group"`},
		{"{at: 1s, do: box_address, address: 10.0.0.90, group: meter}", `box_address does nothing with "group"`},
		{"{at: 1s, do: leak, packets: 5, group: {}}", "the pool of pump-1 has only 4 packets"},
		{"{at: 1s, do: box_forget, group: meter}", "has no middlebox"},
		{"{at: 1s, do: rate, value: 50%, group: meter}", "no rate"},
		{"{at: 1s, do: power_cut, for: 5s, group: meter}\n  - {at: 2s, do: reboot, device: meter-6}", "begins while"},
		{"{at: 1s, do: blackhole, for: 5s, group: {of: meter, to: 3}}\n  - {at: 2s, do: blackhole, group: {of: meter, from: 3}}", "begins while"},
		{"{at: 1s, do: loss, value: 1%, for: 5s, devices: [pump-1]}\n  - {at: 2s, do: loss, value: 2%, link: link-pump-1}", "begins while"},
	} {
		_, err := Load("f.yaml", []byte(grouped+c.action+"\n"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.action, err, c.want)
		}
	}
	// Those that do not meet may overlap.
	load(t, grouped+"{at: 1s, do: blackhole, for: 5s, group: {of: meter, to: 3}}\n  - {at: 2s, do: blackhole, for: 9s, group: {of: meter, from: 4}}\n")
}

// What actions of a fleet name is bounded, so that a small file cannot fill the
// memory.
func TestGroupsAreBounded(t *testing.T) {
	text := strings.Replace(grouped, "count: 6", "count: 5001", 1) + strings.Repeat("{at: 1s, do: leak, packets: 1, group: meter}\n  - ", 40) + "{at: 1s, do: leak, packets: 1, device: gateway}\n"
	began := time.Now()
	_, err := Load("f.yaml", []byte(text))
	if err == nil || !strings.Contains(err.Error(), "more than 200000 devices") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 3*time.Minute { // seconds, unless the machine has much else to do
		t.Errorf("it took %v to say so", took)
	}
}

func TestAnActionMadeInGoMayNameAGroup(t *testing.T) {
	sc := load(t, grouped+"{at: 1s, do: blackhole, group: meter}\n")
	a := Action{Do: SetLoss, Loss: 0.5, Group: &Selection{Of: "meter", From: 6}}
	if err := sc.CheckAction(&a); err != nil || !slices.Equal(a.Devices, []string{"meter-6"}) || a.Link != "" {
		t.Errorf("%+v, %v", a, err)
	}
	if err := sc.CheckAction(&a); err != nil {
		t.Errorf("again: %v", err)
	}
	a = Action{Do: BrokerCrash, Devices: []string{"gateway"}}
	if err := sc.CheckAction(&a); err == nil {
		t.Errorf("%+v was taken", a)
	}
}
