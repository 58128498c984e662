package scenarios

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
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
services: {dns: {names: [{name: a.example}]}}
timeline:
  - {at: 5s, do: loss, value: 10%, link: link-a}
expect: [published == 0]
`

func builtIn(t *testing.T, name string) *Scenario {
	t.Helper()
	sc, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// Each setting, in each spelling of its key, changes what it names.
func TestSetChangesWhatTheKeyNames(t *testing.T) {
	one, two := builtIn(t, "link-drop"), load(t, twoDevices)
	for _, c := range []struct {
		sc   *Scenario
		set  string
		want func(*Scenario) bool
	}{
		{one, "devices[0].pool.packets=8", func(s *Scenario) bool { return s.Devices[0].Pool.Packets == 8 }},
		{one, "device.pool.packets=8", func(s *Scenario) bool { return s.Devices[0].Pool.Packets == 8 }},
		{one, "pool.packets=8", func(s *Scenario) bool { return s.Devices[0].Pool.Packets == 8 }},
		{one, "keepalive=7s", func(s *Scenario) bool { return s.Devices[0].MQTT.Keepalive.Std() == 7*time.Second }},
		{one, "links[0].delay=300ms", func(s *Scenario) bool {
			return s.Links[0].Up.Delay.Std() == 300*time.Millisecond && s.Links[0].Down.Delay == s.Links[0].Up.Delay
		}},
		{one, "link.loss=5%", func(s *Scenario) bool { return s.Links[0].Up.Loss.Share == 0.05 && s.Links[0].Down.Loss.Share == 0.05 }},
		{one, "link.up.loss=0", func(s *Scenario) bool { return s.Links[0].Up.Loss.Share == 0 && s.Links[0].Down.Loss.Share == 0.02 }},
		{one, "duration=61s", func(s *Scenario) bool { return s.Duration.Std() == 61*time.Second }},
		{one, "profile=linux", func(s *Scenario) bool { return s.Devices[0].Profile == ProfileLinux }},
		{one, "capture=[peer]", func(s *Scenario) bool { return len(s.Capture) == 1 && s.Capture[0] == PointPeer }},
		{one, "clean_session=true", func(s *Scenario) bool { return s.Devices[0].MQTT.CleanSession }},
		{one, "mqtt.will.topic=gone", func(s *Scenario) bool { return s.Devices[0].MQTT.Will.Topic == "gone" }},
		{one, "devices[0].steps[1].every.do[0].publish.topic=x/y", func(s *Scenario) bool {
			return s.Devices[0].Steps[1].Every.Do[0].Publish.Topic == "x/y"
		}},
		{one, "timeline[0].for=3s", func(s *Scenario) bool { return s.Timeline[0].For.Std() == 3*time.Second }},
		{two, "timeline[0].value=30%", func(s *Scenario) bool { return s.Timeline[0].Loss == 0.3 }},
		{two, "devices[b].mtu=1000", func(s *Scenario) bool { return s.Devices[0].MTU == 1500 && s.Devices[1].MTU == 1000 }},
		{two, "devices[*].mtu=1000", func(s *Scenario) bool { return s.Devices[0].MTU == 1000 && s.Devices[1].MTU == 1000 }},
		{two, "devices[a].steps[1].sleep=2s", func(s *Scenario) bool { return s.Devices[0].Steps[1].Sleep.Std() == 2*time.Second }},
		{two, "links[1].delay=", func(s *Scenario) bool { return s.Links[1].Up.Delay == 0 }},
		{one, "pool={packets: 9, payload: 512B}", func(s *Scenario) bool { return s.Devices[0].Pool == Pool{Packets: 9, Payload: 512} }},
		{one, "pool={payload: 512B}", func(s *Scenario) bool { return s.Devices[0].Pool.Packets == defaultPackets }},
		{one, "capture=", func(s *Scenario) bool { return len(s.Capture) == 2 }},
		{one, "mqtt.login={user: me}", func(s *Scenario) bool { return s.Devices[0].MQTT.Login.User == "me" }},
		{one, "device.mtu=", func(s *Scenario) bool { return s.Devices[0].MTU == 1500 }},
	} {
		before := c.sc.Clone()
		setting, err := ParseSet(c.set)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.sc.With(setting)
		if err != nil || !c.want(got) {
			t.Errorf("%s: %v, or it changed something else", c.set, err)
		}
		if !Equal(before, c.sc) {
			t.Errorf("%s changed the scenario it was given", c.set)
		}
	}
}

// A pool has packets or memory: the one that the file has is taken away first.
func TestSettingsTogetherAreJudgedTogether(t *testing.T) {
	got, err := builtIn(t, "link-drop").With(Set{Key: "pool.packets"}, Set{Key: "pool.memory", Value: "20kB"})
	if err != nil || got.Devices[0].Pool.Memory != 20000 || got.Devices[0].Pool.Packets != 0 {
		t.Errorf("%v", err)
	}
}

// Every error names the setting, says what is wrong and what to do.
func TestSetRefusesWithTheNextStep(t *testing.T) {
	one, two := builtIn(t, "link-drop"), load(t, twoDevices)
	for _, c := range []struct {
		sc        *Scenario
		set, want string
	}{
		{one, "pool.packet=8", `did you mean "pool.packets"?`},
		{one, "links[0].dely=1s", `did you mean "delay"?`},
		{one, "pool.packets=0x8", "digits only"},
		{one, "pool.packets=0", "between 1 and 65535"},
		{one, "pool.packets=70000", "between 1 and 65535"},
		{one, "link.loss=5", "write 5%"},
		{one, "link.loss=101%", "more than everything"},
		{one, "link.delay=3", "no unit"},
		{one, "profile=lunix", "one of: netx, linux"},
		{one, "packets=3", "write one of: devices.pool.packets, links.states.packets, links.queue.packets, links.slot.packets"},
		{one, "clean_session=yes", "neither true nor false"},
		{one, "devices[7].mtu=1000", `no entry "7"`},
		{one, "pool=3", "set one of its keys: pool.packets, pool.payload"},
		{one, "pool=[3]", "set one of its keys: pool.packets"},
		{one, "link=3ms", "set one of its keys: link.name"},
		{two, "link={delay: 3ms}", "write links[0], or links[*] for all"},
		{one, "links[0]=3ms", "set one of its keys: links[0].name"},
		{one, "mqtt.will=gone", "set one of its keys: mqtt.will.topic"},
		{one, "device.steps=connect", "connect"},
		{one, "duration[0]=3s", "not a list"},
		{one, "nothing.like.it=3", "no parameter and no key"},
		{one, "mqtt.keepalive=1500ms", "whole seconds"},
		{one, "pool.memory=20kB", "either packets or memory"},
		{one, "name=", "cannot be left out"},
		{one, "devices[0]=", "cannot be left out"},
		{two, "pool.packets=8", "devices[0] to devices[1], a name, or devices[*]"},
		{two, "link.delay=1s", "links[0] to links[1]"},
		{two, "links[*].loss=200%", "more than everything"},
		{two, "devices[*].pool.packets=0", "between 1 and 65535"},
		{two, "timeline[0].packets=3", "an override cannot"},
		{two, "timeline[0].value=", "cannot be left out"},
	} {
		setting, err := ParseSet(c.set)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.sc.With(setting)
		var set *Error
		if !errors.As(err, &set) || !set.IsSet() {
			t.Errorf("%s: %v, %v: want an error about it", c.set, got, err)
			continue
		}
		if msg := err.Error(); !strings.Contains(msg, "--set "+c.set+": ") || !strings.Contains(msg, c.want) || strings.HasPrefix(msg, "--set ") && !strings.Contains(msg, "   1 | "+c.set) {
			t.Errorf("%s: got %q, want %q in it", c.set, msg, c.want)
		}
	}
	for _, text := range []string{"pool.packets", "=3", ""} {
		if _, err := ParseSet(text); err == nil || !strings.Contains(err.Error(), "KEY=VALUE") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Every key of the language that has one value can be set by its path.
func TestEveryScalarKeyCanBeSet(t *testing.T) {
	text := `version: 1
name: all
network6: fd00::/64
devices:
  - name: sensor
    profile: linux
    mqtt: {login: {user: u}, will: {topic: w}}
    steps: [connect, {publish: {topic: t}}, {subscribe: {topic: t}}, {unsubscribe: {topic: t}}, message_get,
      {sleep: 1s}, {wait_for: {event: acked}}, {every: {period: 1s, count: 1, do: [connect]}}, {repeat: {times: 1, do: [connect]}}, {login: {user: u}}, {will: {topic: w}}]
links: [{name: l, match: [{do: drop, message: PUBLISH}, {do: drop, tcp: SYN}, {do: drop, bytes: 1..2}, {do: duplicate, frame: 3}, {do: delay, tcp: FIN, by: 1s}, {do: hold, tcp: FIN, frames: 1}, {do: corrupt, tcp: FIN, byte: 0}], delay: 50ms, states: [{dwell: 1s}, {dwell: 1s}]}]
broker: {users: [{name: u}]}
services: {dns: {names: [{name: a.example}]}}
timeline: [{at: 1s, do: loss, value: 1%}]
expect: [{text: x, that: published >= 0}]
`
	tried := 0
	for _, k := range Keys() {
		if k.Alternative == "" || strings.Contains(k.Path, "tap") || strings.Contains(k.Path, "capture.") || k.Path == "devices[].count" || strings.Contains(k.Path, ".do[]") ||
			k.Path == "clock" || strings.HasSuffix(k.Path, ".profile") || strings.HasPrefix(k.Path, "expect") || k.Path == "devices[].name" || k.Path == "speed" || strings.HasPrefix(k.Path, "timeline") && k.Path != "timeline[].at" {
			continue
		}
		sc := load(t, text)
		path := strings.ReplaceAll(k.Path, "[]", "[0]")
		if strings.HasSuffix(path, "offline_queue") || strings.HasSuffix(path, "persist") {
			sc.Devices[0].Quirks.None = true // only that client can
		}
		for i := range sc.Devices[0].Steps {
			if name := sc.Devices[0].Steps[i].Name(); strings.HasPrefix(path, "devices[0].steps[0]."+name) {
				path = strings.Replace(path, "steps[0]", "steps["+strconv.Itoa(i)+"]", 1)
			}
		}
		if key, ok := strings.CutPrefix(path, "links[0].match[0]."); ok { // which rule has it
			if i := slices.Index([]string{"", "tcp", "bytes", "frame", "by", "frames", "byte"}, key); i > 0 {
				path = "links[0].match[" + string(rune('0'+i)) + "]." + key
			}
		}
		if strings.Contains(path, "size") || path == "devices[0].app" || strings.Contains(path, "quantiles[0]") || strings.Contains(path, "airtime[0]") || path == "devices[0].pool.memory" {
			continue // exclude something else in this scenario
		}
		changed, err := sc.With(Set{Key: path, Value: k.Alternative})
		if err != nil && slices.ContainsFunc([]string{"does nothing with", "stands beside netem", "a state holds for", "without a spread", "asks for no name", "has no DNS client", "has a first and a last", "has an SNTP client"}, func(s string) bool { return strings.Contains(err.Error(), s) }) {
			continue // what it excludes is said
		}
		if err != nil && !strings.Contains(err.Error(), ": with --set") {
			t.Errorf("%s=%s: %v", path, k.Alternative, err)
		}
		if err == nil && Equal(sc, changed) {
			t.Errorf("%s=%s changed nothing", path, k.Alternative)
		}
		tried++
	}
	if tried < 40 {
		t.Errorf("%d keys tried", tried)
	}
}

// Texts of several lines are written so that they are read again, and in lines
// where that can be.
func TestTextsOfSeveralLinesStayInLines(t *testing.T) {
	for about, lines := range map[string]bool{
		"one\ntwo\n": true, "one\n\ntwo": true, "# no comment\n- no list\nkey: ${value}": true,
		"one": false, "one\n": false, "\none\ntwo": false, " one\ntwo": false, "one\n  two": false, "one\n\ttwo": false, "one \ntwo": false, "one\ntwo\n\n": false, "one\x1b[31m\ntwo": false,
	} {
		sc := builtIn(t, "clean-link")
		sc.About = about
		text := resolved(t, sc)
		if got := load(t, text); got.About != about || strings.Contains(text, "about: |") != lines {
			t.Errorf("%q: read as %q\n%s", about, got.About, text[:200])
		}
	}
}
