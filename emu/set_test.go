package emu_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/scenarios"
)

const twoDevices = `version: 1
name: two
devices:
  - {name: a, steps: [connect, {sleep: 1s}]}
  - {name: b, steps: [connect]}
links:
  - {device: a, delay: 10ms}
  - {device: b, delay: 20ms}
broker: {users: [{name: u}]}
timeline:
  - {at: 5s, do: loss, value: 10%, link: link-a}
expect: [published == 0]
`

func scenario(t *testing.T, text string) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.Load("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

func library(t *testing.T, name string) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// Each setting, in each spelling of its key, changes what it names.
func TestSetChangesWhatTheKeyNames(t *testing.T) {
	one, two := library(t, "link-drop"), scenario(t, twoDevices)
	for _, c := range []struct {
		sc   *scenarios.Scenario
		set  string
		want func(*scenarios.Scenario) bool
	}{
		{one, "devices[0].pool.packets=8", func(s *scenarios.Scenario) bool { return s.Devices[0].Pool.Packets == 8 }},
		{one, "device.pool.packets=8", func(s *scenarios.Scenario) bool { return s.Devices[0].Pool.Packets == 8 }},
		{one, "pool.packets=8", func(s *scenarios.Scenario) bool { return s.Devices[0].Pool.Packets == 8 }},
		{one, "keepalive=7s", func(s *scenarios.Scenario) bool { return s.Devices[0].MQTT.Keepalive.Std() == 7*time.Second }},
		{one, "links[0].delay=300ms", func(s *scenarios.Scenario) bool {
			return s.Links[0].Up.Delay.Std() == 300*time.Millisecond && s.Links[0].Down.Delay == s.Links[0].Up.Delay
		}},
		{one, "link.loss=5%", func(s *scenarios.Scenario) bool { return s.Links[0].Up.Loss == 0.05 && s.Links[0].Down.Loss == 0.05 }},
		{one, "link.up.loss=0", func(s *scenarios.Scenario) bool { return s.Links[0].Up.Loss == 0 && s.Links[0].Down.Loss == 0.02 }},
		{one, "duration=61s", func(s *scenarios.Scenario) bool { return s.Duration.Std() == 61*time.Second }},
		{one, "profile=linux", func(s *scenarios.Scenario) bool { return s.Devices[0].Profile == scenarios.ProfileLinux }},
		{one, "capture=[peer]", func(s *scenarios.Scenario) bool { return len(s.Capture) == 1 && s.Capture[0] == scenarios.PointPeer }},
		{one, "clean_session=true", func(s *scenarios.Scenario) bool { return s.Devices[0].MQTT.CleanSession }},
		{one, "mqtt.will.topic=gone", func(s *scenarios.Scenario) bool { return s.Devices[0].MQTT.Will.Topic == "gone" }},
		{one, "devices[0].steps[1].every.do[0].publish.topic=x/y", func(s *scenarios.Scenario) bool {
			return s.Devices[0].Steps[1].Every.Do[0].Publish.Topic == "x/y"
		}},
		{one, "timeline[0].for=3s", func(s *scenarios.Scenario) bool { return s.Timeline[0].For.Std() == 3*time.Second }},
		{two, "timeline[0].value=30%", func(s *scenarios.Scenario) bool { return s.Timeline[0].Loss == 0.3 }},
		{two, "devices[b].mtu=1000", func(s *scenarios.Scenario) bool { return s.Devices[0].MTU == 1500 && s.Devices[1].MTU == 1000 }},
		{two, "devices[*].mtu=1000", func(s *scenarios.Scenario) bool { return s.Devices[0].MTU == 1000 && s.Devices[1].MTU == 1000 }},
		{two, "devices[a].steps[1].sleep=2s", func(s *scenarios.Scenario) bool { return s.Devices[0].Steps[1].Sleep.Std() == 2*time.Second }},
		{two, "links[1].delay=", func(s *scenarios.Scenario) bool { return s.Links[1].Up.Delay == 0 }},
		{one, "device.mtu=", func(s *scenarios.Scenario) bool { return s.Devices[0].MTU == 1500 }},
	} {
		before := c.sc.Clone()
		setting, err := emu.ParseSetting(c.set)
		if err != nil {
			t.Fatal(err)
		}
		got, err := emu.Set(c.sc, setting)
		if err != nil || !c.want(got) {
			t.Errorf("%s: %v, or it changed something else", c.set, err)
		}
		if !scenarios.Equal(before, c.sc) {
			t.Errorf("%s changed the scenario it was given", c.set)
		}
	}
}

// A pool has packets or memory: the one that the file has is taken away first.
func TestSettingsTogetherAreJudgedTogether(t *testing.T) {
	got, err := emu.Set(library(t, "link-drop"), emu.Setting{Key: "pool.packets"}, emu.Setting{Key: "pool.memory", Value: "20kB"})
	if err != nil || got.Devices[0].Pool.Memory != 20000 || got.Devices[0].Pool.Packets != 0 {
		t.Errorf("%v", err)
	}
}

// Every error names the setting, says what is wrong and what to do.
func TestSetRefusesWithTheNextStep(t *testing.T) {
	one, two := library(t, "link-drop"), scenario(t, twoDevices)
	for _, c := range []struct {
		sc        *scenarios.Scenario
		set, want string
	}{
		{one, "pool.packet=8", "did you mean devices[].pool.packets?"},
		{one, "links[0].dely=1s", "did you mean links[].delay?"},
		{one, "pool.packets=0x8", "write it as in 8"},
		{one, "pool.packets=0", "between 1 and 65535"},
		{one, "pool.packets=70000", "between 1 and 65535"},
		{one, "link.loss=5", "write it as in 20%"},
		{one, "link.loss=101%", "more than everything"},
		{one, "link.delay=3", "no unit"},
		{one, "profile=lunix", "one of: netx, linux"},
		{one, "packets=3", "write one of: devices[].pool.packets, links[].queue.packets"},
		{one, "clean_session=yes", "neither true nor false"},
		{one, "devices[7].mtu=1000", "the first is devices[0]"},
		{one, "device.pool=3", "single value"},
		{one, "device.steps=connect", "set the keys of an entry"},
		{one, "duration[0]=3s", "duration is no list"},
		{one, "nothing.like.it=3", "there is no key"},
		{one, "device.name=gone", "link"},
		{one, "mqtt.keepalive=1500ms", "whole seconds"},
		{one, "pool.memory=20kB", "either packets or memory"},
		{two, "pool.packets=8", "write devices[0].pool.packets, or devices[*].pool.packets for all"},
		{two, "link.delay=1s", "write links[0].delay, or links[*].delay for all"},
		{two, "links[*].loss=200%", "more than everything"},
		{two, "devices[*].pool.packets=0", "between 1 and 65535"},
		{two, "timeline[0].packets=3", "does nothing with it"},
	} {
		setting, err := emu.ParseSetting(c.set)
		if err != nil {
			t.Fatal(err)
		}
		got, err := emu.Set(c.sc, setting)
		var set *emu.SettingError
		if !errors.As(err, &set) {
			t.Errorf("%s: %v, %v: want a SettingError", c.set, got, err)
			continue
		}
		if msg := err.Error(); !strings.HasPrefix(msg, c.set+": ") || !strings.Contains(msg, c.want) {
			t.Errorf("%s: got %q, want %q in it", c.set, msg, c.want)
		}
	}
	for _, text := range []string{"pool.packets", "=3", ""} {
		if _, err := emu.ParseSetting(text); err == nil || !strings.Contains(err.Error(), "KEY=VALUE") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Every key of the language that has one value can be set by its path.
func TestEveryScalarKeyCanBeSet(t *testing.T) {
	text := `version: 1
name: all
devices:
  - name: sensor
    mqtt: {login: {user: u}, will: {topic: w}}
    steps: [connect, {publish: {topic: t}}, {subscribe: {topic: t}}, {unsubscribe: {topic: t}}, message_get,
      {sleep: 1s}, {wait_for: {event: acked}}, {every: {period: 1s, count: 1, do: [connect]}}, {repeat: {times: 1, do: [connect]}}]
links: [{name: l}]
broker: {users: [{name: u}]}
timeline: [{at: 1s, do: loss, value: 1%}]
expect: [{text: x, that: published >= 0}]
`
	tried := 0
	for _, k := range scenarios.Keys() {
		if k.Alternative == "" || strings.Contains(k.Path, "tap") || strings.Contains(k.Path, ".do[]") ||
			k.Path == "clock" || strings.HasPrefix(k.Path, "expect") || k.Path == "devices[].name" || k.Path == "speed" || strings.HasPrefix(k.Path, "timeline") && k.Path != "timeline[].at" {
			continue
		}
		sc := scenario(t, text)
		path := strings.ReplaceAll(k.Path, "[]", "[0]")
		if strings.HasSuffix(path, "offline_queue") || strings.HasSuffix(path, "persist") {
			sc.Devices[0].Quirks.None = true // only that client can
		}
		for i := range sc.Devices[0].Steps {
			if name := sc.Devices[0].Steps[i].Name(); strings.HasPrefix(path, "devices[0].steps[0]."+name) {
				path = strings.Replace(path, "steps[0]", "steps["+string(rune('0'+i))+"]", 1)
			}
		}
		if strings.Contains(path, "size") || path == "devices[0].app" || path == "devices[0].pool.memory" {
			continue // exclude something else in this scenario
		}
		changed, err := emu.Set(sc, emu.Setting{Key: path, Value: k.Alternative})
		if err != nil && !strings.Contains(err.Error(), "does not hold") {
			t.Errorf("%s=%s: %v", path, k.Alternative, err)
		}
		if err == nil && scenarios.Equal(sc, changed) {
			t.Errorf("%s=%s changed nothing", path, k.Alternative)
		}
		tried++
	}
	if tried < 40 {
		t.Errorf("%d keys tried", tried)
	}
}
