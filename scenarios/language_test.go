package scenarios

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// write makes files in a new folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOneEntryStandsForManyDevices(t *testing.T) {
	s := load(t, `version: 1
name: fleet
network: 10.1.0.0/16
devices:
  - {name: hub, steps: [connect]}
  - name: s{i}
    count: 3
    mac: 02:00:00:00:01:ff
    address: 10.1.9.254/16
    mqtt: {client_id: "id-{i}", login: {user: "u{i}"}, will: {topic: "gone/{i}", message: "{i}"}}
    steps: [connect, every: {period: 1s, do: [publish: {topic: "t/{i}", payload: "{i} {n}"}]}]
  - {count: 2, steps: [connect]}
links:
  - {device: s2, delay: 7ms}
  - {device: "s{i}", delay: 5ms, name: "l{i}"}
broker: {}
`)
	var got []string
	for _, d := range s.Devices {
		got = append(got, d.Name, d.MAC.String(), d.Address.String(), d.MQTT.ClientID, s.DeviceLink(d.Name).Up.Delay.String())
	}
	want := []string{
		"hub", "02:00:00:00:00:02", "10.1.0.2/16", "hub", "0s",
		"s1", "02:00:00:00:01:ff", "10.1.9.254/16", "id-1", "5ms",
		"s2", "02:00:00:00:02:00", "10.1.9.255/16", "id-2", "7ms",
		"s3", "02:00:00:00:02:01", "10.1.10.0/16", "id-3", "5ms",
		"device-5", "02:00:00:00:00:06", "10.1.0.3/16", "device-5", "0s",
		"device-6", "02:00:00:00:00:07", "10.1.0.4/16", "device-6", "0s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if s.Broker.Address.String() != "10.1.0.1/16" || s.Link("l3").Device != "s3" {
		t.Errorf("broker %v, link %+v", s.Broker.Address, s.Link("l3"))
	}
	d := s.Device("s3")
	if p := d.Steps[1].Every.Do[0].Publish; p.Topic != "t/3" || p.Payload != "3 {n}" || d.MQTT.Will.Topic != "gone/3" || d.MQTT.Login.User != "u3" {
		t.Errorf("%+v %+v %+v", p, d.MQTT.Will, d.MQTT.Login)
	}
	if s.Device("s1").Steps[1].Every.Do[0].Publish == p0(s.Device("s2")) {
		t.Error("two devices share a step")
	}
	again := load(t, resolved(t, s))
	if !Equal(s, again) {
		t.Error("resolved it is another scenario")
	}
}

func p0(d *Device) *Publish { return d.Steps[1].Every.Do[0].Publish }

func resolved(t *testing.T, s *Scenario) string {
	t.Helper()
	b, err := s.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestErrorsInAFleetPointAtItsEntry(t *testing.T) {
	text := strings.NewReplacer("{client_id: device, keepalive: 30s}", "{keepalive: 30s}\n    count: 5", "    delay: 100ms", "    device: device\n    delay: 100ms",
		cut, "{at: 1s, do: leak, device: device-4, packets: 99}").Replace(base)
	_, err := Load("f.yaml", []byte(text))
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 1 || !strings.Contains(err.Error(), "only 16 packets") {
		t.Errorf("%v", err)
	}
	s := load(t, strings.Replace(text, "packets: 99", "packets: 9", 1))
	if e := s.ErrorAt("devices[3].steps[1].publish.topic", "x", ""); e.Line != 10 || e.Column != 26 {
		t.Errorf("the topic of the fourth device stands at %d:%d", e.Line, e.Column)
	}
	if e := s.ErrorAt("links[4].delay", "x", ""); e.Line != 14 {
		t.Errorf("the delay of the fifth link stands at %d:%d", e.Line, e.Column)
	}
}

func TestParametersStandForValues(t *testing.T) {
	s := load(t, `version: 1
name: params
params: {delay: 30ms, n: 7, who: world}
devices:
  - pool:
      packets: ${n}
    steps: [connect, publish: {topic: "${who}/${who}", payload: "$${who} costs $5 {n} ${n}"}]
links:
  - delay: ${delay}
broker: {}
expect:
  - latency_max < ${delay} + 1s
`)
	p := s.Devices[0].Steps[1].Publish
	if s.Devices[0].Pool.Packets != 7 || s.Links[0].Up.Delay.Std() != 30*time.Millisecond || p.Topic != "world/world" || p.Payload != "${who} costs $5 {n} 7" {
		t.Errorf("%+v %+v", s.Links[0], p)
	}
	if s.Expect[0].That != "latency_max < 30ms + 1s" || len(s.Parameters()) != 3 || s.Parameters()[1] != (Param{"n", "7"}) {
		t.Errorf("%q, %v", s.Expect[0].That, s.Parameters())
	}
	if again := load(t, resolved(t, s)); !Equal(s, again) || len(again.Parameters()) != 0 {
		t.Error("resolved it is another scenario")
	}
}

func TestParametersCannotBlowUpAFile(t *testing.T) {
	text := strings.Replace(base, head, "params: {a: "+strings.Repeat("x", 100_000)+"}\n"+head+"\nabout: \""+strings.Repeat("${a}", 1000)+"\"", 1)
	if _, err := Load("f.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "put more than 1048576 bytes") {
		t.Errorf("error %.200v", err)
	}
}

func TestAnIncludedFileAddsAndTheIncludingOneWins(t *testing.T) {
	dir := write(t, map[string]string{
		"main.yaml": "version: 1\nname: main\ninclude: [parts/common.yaml]\nparams: {delay: 9ms}\nduration: 20s\ncapture: [peer]\n" +
			"devices: [{name: b, steps: [connect]}]\nexpect: [lost == 0]\nbroker: {port: 1999}\n",
		"parts/common.yaml": "include: [more.yaml]\nname: common\nduration: 10s\ncapture: [device]\nparams: {delay: 5ms, unused: 1}\n" +
			"devices: [{name: a, steps: [connect]}]\nbroker: {port: 1888, address: 10.0.0.9/24}\n",
		"parts/more.yaml": "links: [{device: a, delay: \"${delay}\"}]\nexpect: [duplicated == 0]\n",
	})
	s, err := LoadFile(filepath.Join(dir, "main.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "main" || s.Duration.Std() != 20*time.Second || s.Broker.Port != 1999 || s.Broker.Address.String() != "10.0.0.9/24" {
		t.Errorf("%+v", s)
	}
	if s.Devices[0].Name != "a" || s.Devices[1].Name != "b" || s.Expect[0].That != "duplicated == 0" || s.Expect[1].That != "lost == 0" || len(s.Capture) != 1 {
		t.Errorf("%+v", s)
	}
	if s.DeviceLink("a").Up.Delay.Std() != 9*time.Millisecond {
		t.Errorf("the including file's parameter does not count: %v", s.DeviceLink("a").Up.Delay)
	}
	if again := load(t, resolved(t, s)); !Equal(s, again) {
		t.Error("resolved it needs its files")
	}
}

func TestWhatIsWrongInAnIncludedFileIsShownThere(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"key", "links:\n  - dealy: 5ms\n", "b.yaml:2:5: unknown key \"dealy\""},
		{"check", "expect:\n  - lots == 0\n", "b.yaml:2:5: the outcome has nothing called \"lots\""},
		{"syntax", "links: [\n", "b.yaml:1:8: this is not YAML"},
		{"version", "version: 2\n", "b.yaml:1:10: version \"2\""},
		{"cycle", "include: [c.yaml]\n", "a.yaml includes itself: "},
		{"not text", "\xff", "b.yaml:1:1: a byte that is not UTF-8"},
	} {
		dir := write(t, map[string]string{
			"a.yaml": strings.Replace(base, head, "include: [b.yaml]\n"+head, 1), "b.yaml": c.text, "c.yaml": "include: [a.yaml]\n",
		})
		_, err := LoadFile(filepath.Join(dir, "a.yaml"))
		var errs Errors
		if !errors.As(err, &errs) || !strings.Contains(strings.ReplaceAll(err.Error(), dir+"/", ""), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.name != "cycle" {
			continue
		}
		plain := strings.ReplaceAll(err.Error(), dir+"/", "")
		for _, step := range []string{"c.yaml:1:11: ", "a.yaml:3:11 includes b.yaml, b.yaml:1:11 includes c.yaml, c.yaml:1:11 includes a.yaml"} {
			if !strings.Contains(plain, step) {
				t.Errorf("no %q in %v", step, plain)
			}
		}
	}
}

func TestIncludesAreBounded(t *testing.T) {
	deep := map[string]string{"0.yaml": strings.Replace(base, head, "include: [1.yaml]\n"+head, 1)}
	for i := 1; i < 12; i++ {
		deep[string(rune('0'+i))+".yaml"] = "include: ['" + string(rune('0'+i+1)) + ".yaml']\n"
	}
	dir := write(t, deep)
	if _, err := LoadFile(filepath.Join(dir, "0.yaml")); err == nil || !strings.Contains(err.Error(), "more than 8 files include one another") {
		t.Errorf("error %v", err)
	}
	dir = write(t, map[string]string{
		"a.yaml": strings.Replace(base, head, "include: [b.yaml]\n"+head, 1), "b.yaml": "about: " + strings.Repeat("x", MaxFile-100),
	})
	if _, err := LoadFile(filepath.Join(dir, "a.yaml")); err == nil || !strings.Contains(err.Error(), "files are larger than") {
		t.Errorf("error %v", err)
	}
}

func TestOverridesSetParametersAndKeys(t *testing.T) {
	text := strings.NewReplacer(delay, "    delay: ${delay}", head, "params: {delay: 5ms}\n"+head).Replace(base)
	for _, c := range []struct {
		key, value string
		got        func(*Scenario) string
	}{
		{"delay", "7ms", func(s *Scenario) string { return s.Links[0].Down.Delay.String() }},
		{"link.delay", "8ms", func(s *Scenario) string { return s.Links[0].Down.Delay.String() }},
		{"links[0].up.delay", "9ms", func(s *Scenario) string { return s.Links[0].Up.Delay.String() }},
		{"links[link].loss", "2%", func(s *Scenario) string { return s.Links[0].Up.Loss.Share.String() }},
		{"pool.packets", "3", func(s *Scenario) string { return strconv.Itoa(s.Devices[0].Pool.Packets) }},
		{"devices[*].count", "1", func(s *Scenario) string { return strconv.Itoa(s.Devices[0].Count) }},
		{"device.mqtt.client_id", "007", func(s *Scenario) string { return s.Devices[0].MQTT.ClientID }},
		{"mqtt.will.topic", "gone", func(s *Scenario) string { return s.Devices[0].MQTT.Will.Topic }},
		{"devices[0].steps[1].publish.topic", "x/y", func(s *Scenario) string { return s.Devices[0].Steps[1].Publish.Topic }},
		{"timeline[0].for", "3s", func(s *Scenario) string { return s.Timeline[0].For.String() }},
		{"seed", "9", func(s *Scenario) string { return strconv.Itoa(int(s.Seed)) }},
		{"capture", "[peer]", func(s *Scenario) string { return string(s.Capture[0]) + strconv.Itoa(len(s.Capture)) }},
		{"expect[0]", "published > 1", func(s *Scenario) string { return s.Expect[0].That }},
		{"broker.port", "77", func(s *Scenario) string { return strconv.Itoa(s.Broker.Port) }},
	} {
		s, err := LoadWith("f.yaml", []byte(text), []Set{{c.key, c.value}})
		if err != nil {
			t.Errorf("%s: %v", c.key, err)
			continue
		}
		want := c.value
		if c.key == "capture" {
			want = "peer1"
		}
		if got := c.got(s); got != want {
			t.Errorf("%s=%s gives %s", c.key, c.value, got)
		}
	}
}

func TestBadOverridesAreRefusedWithPositionAndHint(t *testing.T) {
	two := strings.Replace(base, "links:\n  - name: link\n", "  - {name: other, steps: [connect]}\nlinks:\n  - {device: other}\n  - name: link\n    device: device\n", 1)
	two = strings.Replace(two, "do: blackhole", "link: link, do: blackhole", 1)
	for _, c := range []struct{ text, key, value, at, msg, hint string }{
		{base, "link.delay", "5", "1:12", "has no unit", "5s"},
		{base, "link.dealy", "5s", "1:1", `unknown key "dealy"`, `did you mean "delay"?`},
		{base, "pol.packets", "5", "1:1", `no parameter and no key is called "pol.packets"`, `did you mean "pool.packets"?`},
		{base, "packets", "5", "1:1", "several meanings", "devices.pool.packets"},
		{base, "links[3].delay", "5s", "1:1", `no entry "3"`, "one of: 0, *"},
		{base, "links[nolink].delay", "5s", "1:1", `no entry "nolink"`, "one of"},
		{base, "pool.packets", "0", "1:14", "too small", "65535"},
		{base, "name", "", "1:6", "cannot be left out", "equals sign"},
		{base, "pool.packets.x", "1", "1:1", "no parameter and no key", ""},
		{base, "seed[0]", "1", "1:1", "not a list", "brackets"},
		{base, "timeline[0].do", "leak", "1:1", "an override cannot", "it takes"},
		{base, "timeline[0].packets", "3", "1:1", "an override cannot", "it takes"},
		{base, "devices[0].steps[0].publish.topic", "x", "1:1", "is a connect, not a publish", "connect"},
		{base, "a b", "x", "1:1", "not the path of a key", "links[0].delay"},
		{base, "duration", "10s", "", "not before the end of the run", "longer"},
		{base, "links[0].delay", "[1s", "", "not YAML", "brackets"},
		{two, "link.delay", "5s", "1:1", "links has 2 entries", "links[*]"},
		{two, "pool.packets", "5", "1:1", "devices has 2 entries", "devices[0] to devices[1]"},
	} {
		_, err := LoadWith("f.yaml", []byte(c.text), []Set{{c.key, c.value}})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s=%s: error %v", c.key, c.value, err)
			continue
		}
		if !strings.HasPrefix(e.Error(), "--set "+c.key+"="+c.value+": ") && c.at != "" || c.at != "" && fmt.Sprintf("%d:%d", e.Line, e.Column) != c.at || !strings.Contains(e.Msg, c.msg) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s=%s: %v", c.key, c.value, err)
		}
	}
}

func TestActionsThatRepeatOrWaitAreResolved(t *testing.T) {
	s := load(t, strings.Replace(base, cut, `{every: 10s, do: reboot}
  - {at: 1s, every: 10s, count: 2, until: 50s, label: tick, do: broker_publish, topic: t}
  - {after: {event: broker.connected, device: device, nth: 2, delay: 1s}, do: power_cut, for: 2s}
  - {after: {label: tick}, do: loss, value: 5%, for: 1s}`, 1))
	if a := s.Timeline[0]; a.At != a.Every {
		t.Errorf("the first time is at %v", a.At)
	}
	if again := load(t, resolved(t, s)); !Equal(s, again) {
		t.Errorf("resolved it is another scenario:\n%s", resolved(t, s))
	}
}
