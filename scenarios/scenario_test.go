package scenarios

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, text string) *Scenario {
	t.Helper()
	s, err := Load("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDefaultsAreFilledIn(t *testing.T) {
	s := load(t, "version: 1\nname: small\ndevices: [{steps: [connect]}]\nbroker: {}\nexpect: [lost == 0]\n")
	d, l := s.Devices[0], s.Links[0]
	for _, c := range []struct{ what, got, want any }{
		{"seed", s.Seed, uint64(1)}, {"clock", s.Clock, Virtual}, {"duration", s.Duration.Std(), time.Minute},
		{"capture", len(s.Capture), 2}, {"device", d.Name, "device"}, {"profile", d.Profile, ProfileNetX},
		{"mac", d.MAC.String(), "02:00:00:00:00:02"}, {"address", d.Address.Prefix, netip.MustParsePrefix("10.0.0.2/24")},
		{"gateway", d.Gateway.IsValid(), false}, {"packets", d.Pool.Packets, 16}, {"payload", d.Pool.Payload, Size(1536)},
		{"client", d.MQTT.ClientID, "device"}, {"clean", d.MQTT.CleanSession, true}, {"reconnect", d.Reconnect, Pause(0)},
		{"link", l.Name, "link"}, {"link's device", l.Device, "device"}, {"queue", l.Up.Queue.Packets, 1000},
		{"broker", s.Broker.Address, netip.MustParsePrefix("10.0.0.1/24")}, {"port", s.Broker.Port, 1883},
		{"text", s.Expect[0].Text, "lost == 0"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
}

func TestSeveralDevicesGetTheirOwnAddressesAndLinks(t *testing.T) {
	s := load(t, "version: 1\nname: three\ndevices: [{steps: [connect]}, {steps: [connect]}, {name: c, steps: [connect]}]\n"+
		"links: [{device: device-2, delay: 1s}]\nbroker: {address: 10.1.0.10/16}\n")
	var got []string
	for _, d := range s.Devices {
		got = append(got, d.Name, d.MAC.String()[15:], d.Address.String(), s.DeviceLink(d.Name).Name)
	}
	want := "device 02 10.1.0.11/16 link-device device-2 03 10.1.0.12/16 link-device-2 c 04 10.1.0.13/16 link-c"
	if strings.Join(got, " ") != want {
		t.Errorf("got %v", got)
	}
	if s.Link("link-device-2").Up.Delay.Std() != time.Second || s.Device("c") == nil || s.Device("x") != nil || s.Link("x") != nil {
		t.Error("devices and links are not found by name")
	}
}

func TestKeysOfALinkHoldForBothWaysAndAWayOverridesThem(t *testing.T) {
	// The key of one way wins, wherever it stands.
	s := load(t, strings.Replace(base, delay, "    up: {loss: 0%, queue: {packets: 7}}\n    delay: 100ms\n    loss: 2%\n    down: {delay: 5ms}\n    queue: {bytes: 9kB}", 1))
	up, down := s.Links[0].Up, s.Links[0].Down
	if up.Delay.Std() != 100*time.Millisecond || up.Loss.Share != 0 || up.Queue.Packets != 7 || up.Queue.Bytes != 9000 {
		t.Errorf("up %+v", up)
	}
	if down.Delay.Std() != 5*time.Millisecond || down.Loss.Share != 0.02 || down.Queue.Packets != 1000 || down.Queue.Bytes != 9000 {
		t.Errorf("down %+v", down)
	}
}

func TestAnchorsRepeatAValue(t *testing.T) {
	s := load(t, strings.Replace(base, delay, "    up: &way {delay: 7ms}\n    down: *way", 1))
	if s.Links[0].Down.Delay.Std() != 7*time.Millisecond {
		t.Errorf("down %+v", s.Links[0].Down)
	}
}

func TestARealBrokerIsReachedThroughTheTap(t *testing.T) {
	text := strings.NewReplacer("duration: 60s", "duration: 60s\nclock: real", "lost == 0", "acknowledged == published").Replace(base)
	s := load(t, strings.Replace(text, broker, "broker: {kind: tap}", 1))
	if s.Broker.Tap.Name != "hil0" || s.Broker.Address != s.Broker.Tap.Address || s.Devices[0].Address.String() != "10.0.0.2/24" {
		t.Errorf("broker %+v, device %v", s.Broker, s.Devices[0].Address)
	}
	// A broker behind the host needs a gateway.
	far := strings.Replace(text, broker, "broker: {kind: tap, address: 192.168.7.1/24}", 1)
	if _, err := Load("f.yaml", []byte(far)); err == nil || !strings.Contains(err.Error(), "add gateway: 10.0.0.1") {
		t.Errorf("error %v", err)
	}
	load(t, strings.Replace(far, "    steps:", "    gateway: 10.0.0.1\n    steps:", 1))
	for _, name := range []string{"lost == 0", `device("device").delivered > 0`} {
		bad := strings.NewReplacer("acknowledged == published", name, broker, "broker: {kind: tap}").Replace(text)
		if _, err := Load("f.yaml", []byte(bad)); err == nil || !strings.Contains(err.Error(), "use acknowledged") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	bad := strings.NewReplacer(cut, "{at: 1s, do: broker_publish, topic: a}", broker, "broker: {kind: tap}").Replace(text)
	if _, err := Load("f.yaml", []byte(bad)); err == nil || !strings.Contains(err.Error(), "mosquitto_pub") {
		t.Errorf("error %v", err)
	}
}

func TestAResolvedScenarioIsTheSameScenario(t *testing.T) {
	texts := map[string]string{"base": base}
	files, err := filepath.Glob("library/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(data)
	}
	texts["every action"] = strings.Replace(base, cut, `{at: 1s, do: loss, value: 12.5%, direction: up}
  - {at: 2s, do: delay, value: 1500us, for: 1s}
  - {at: 3s, do: rate, value: unlimited}
  - {at: 4s, do: rate, value: 9600bit}
  - {at: 5s, do: leak, packets: 3, for: 1s}
  - {at: 6s, do: release, packets: 1}
  - {at: 7s, do: tx_error}
  - {at: 8s, do: broker_publish, topic: "a", payload: "é\"\\ \n\t: # {n} 123", retain: true}`, 1)
	texts["every step"] = strings.Replace(base, connect, `      - connect:
      - subscribe: {topic: "a/#", qos: 1}
      - unsubscribe: {topic: "+"}
      - message_get
      - message_get: all
      - wait_for: {event: acked}
      - sleep: 1ms
      - repeat: {times: 2, do: [{every: {period: 1s, count: 2, do: [disconnect]}}]}
      - publish: {topic: yes, payload: 12, size: 0x}
`, 1)
	texts["every step"] = strings.Replace(texts["every step"], ", size: 0x", "", 1)
	texts["login"] = strings.Replace(base, "keepalive: 30s", `keepalive: 0s, login: {user: "null", password: "~"}, will: {topic: t, message: "- a", qos: 1, retain: true}`, 1)
	for name, text := range texts {
		s := load(t, text)
		resolved, err := s.Resolved()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := Load("resolved.yaml", resolved)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, resolved)
			continue
		}
		if !Equal(s, again) {
			t.Errorf("%s differs:\n%s", name, resolved)
		}
		if twice, err := again.Resolved(); err != nil || string(twice) != string(resolved) {
			t.Errorf("%s: resolved twice it is\n%s (%v)", name, twice, err)
		}
	}
}

func TestAScenarioMadeInGoIsCheckedLikeAFile(t *testing.T) {
	s := NewScenario("made")
	s.Devices[0].Steps = []Step{{Connect: &Connect{}}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	before := s.Clone()
	if err := s.Validate(); err != nil || !Equal(before, s) {
		t.Errorf("validated twice it differs (%v)", err)
	}
	for _, c := range []struct {
		name string
		edit func(*Scenario)
		want string
	}{
		{"enum", func(s *Scenario) { s.Clock = "sundial" }, `scenarios: clock: "sundial"`},
		{"range", func(s *Scenario) { s.Devices[0].MTU = 0 }, "scenarios: devices[0].mtu: mtu 0 is too small"},
		{"negative", func(s *Scenario) { s.Links[0].Up.Delay = -1 }, "links[0].up.delay: a negative value"},
		{"NaN", func(s *Scenario) { s.Speed = 0 }, "speed"},
		{"loss", func(s *Scenario) { s.Links[0].Up.Loss.Share = 1.5 }, "links[0].up.loss"},
		{"qos", func(s *Scenario) {
			s.Devices[0].Steps = []Step{{Publish: &Publish{Topic: "a", QoS: 4}}}
		}, "publish.qos"},
		{"step", func(s *Scenario) { s.Devices[0].Steps = []Step{{}} }, "a step of 0 kinds"},
		{"no devices", func(s *Scenario) { s.Devices = nil }, "devices has 0 entries"},
		{"expectation", func(s *Scenario) { s.Expect = []Expectation{{That: "lots == 0"}} }, `expect[0].that: the outcome has nothing called "lots"`},
	} {
		broken := s.Clone()
		c.edit(broken)
		var errs Errors
		if err := broken.Validate(); !errors.As(err, &errs) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestAnActionMadeInGoIsCompletedAndChecked(t *testing.T) {
	s := load(t, base)
	a := Action{At: Duration(time.Second), Do: SetLoss, Loss: 0.5}
	if err := s.CheckAction(&a); err != nil || a.Link != "link" || a.Way != Both {
		t.Errorf("%+v, %v", a, err)
	}
	for _, a := range []Action{
		{Do: "explode"}, {Do: Blackhole, Link: "x"}, {Do: Leak}, {Do: LinkDown, At: Duration(time.Hour)},
		{Do: BrokerPublish, Topic: "#"}, {Do: ReleaseLeak, Packets: 1, For: 1e9}, {Do: SetLoss, Loss: 2}, {Do: SetDelay, Delay: -1},
	} {
		if err := s.CheckAction(&a); err == nil {
			t.Errorf("%+v was taken", a)
		}
	}
}

func TestErrorsOfOthersPointIntoTheFile(t *testing.T) {
	s := load(t, strings.Replace(base, steps, "    app: mine\n", 1))
	e := s.ErrorAt("devices[0].app", "no app is called mine", "register it")
	if e.Line != 7 || e.Column != 10 || e.Excerpt == "" || e.Hint != "register it" {
		t.Errorf("%+v", e)
	}
	if e := NewScenario("x").ErrorAt("devices[0].app", "no", ""); e.Error() != "scenarios: devices[0].app: no" {
		t.Errorf("%q", e.Error())
	}
}

func TestEveryKeyHasAValidAlternativeToItsDefault(t *testing.T) {
	var check func(typ reflect.Type, path string)
	seen := map[reflect.Type]bool{}
	check = func(typ reflect.Type, path string) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice && !isScalar(typ) {
			typ = typ.Elem()
		}
		if isScalar(typ) || seen[typ] {
			return
		}
		seen[typ] = true
		for _, f := range fieldsOf(typ) {
			p := path + "." + f.key
			t.Run(p, func(t *testing.T) {
				for _, text := range []string{f.def, f.alt} {
					if text == "" || f.typ.Kind() == reflect.Slice {
						continue
					}
					elem := f.typ
					if elem.Kind() == reflect.Pointer {
						elem = elem.Elem()
					}
					v := reflect.New(elem).Elem()
					if elem.Kind() == reflect.Struct && !isScalar(elem) {
						if err := decodeText(v, text); err != nil {
							t.Error(err)
						}
						continue
					}
					if err := setText(v, text); err != nil {
						t.Error(err)
					} else if err := f.checkRange(v); err != nil {
						t.Error(err)
					}
				}
				if f.alt != "" && f.alt == f.def {
					t.Error("the alternative is the default")
				}
			})
			check(f.typ, p)
		}
	}
	check(reflect.TypeFor[Scenario](), "scenario")
}

// decodeText decodes a value as a file would have it.
func decodeText(v reflect.Value, text string) error {
	file := &textFile{file: "alt"}
	root, err := file.parse(text)
	if err != nil {
		return err
	}
	d := &decoder{src: &source{places: map[string]place{}}, text: file, unused: map[string]place{}}
	setDefaults(v)
	if d.value(root, "alt", v); len(d.errs) > 0 {
		return d.errs
	}
	return nil
}

func TestKeysListsEveryKeyOnce(t *testing.T) {
	keys := Keys()
	have := map[string]KeyPath{}
	for _, k := range keys {
		if _, twice := have[k.Path]; twice {
			t.Errorf("%s is listed twice", k.Path)
		}
		have[k.Path] = k
	}
	for path, want := range map[string]KeyPath{
		"version":                           {Type: "int", Required: true},
		"duration":                          {Type: "Duration", Default: "60s", Alternative: "30s"},
		"links[].delay":                     {Type: "Duration", Default: "0s", Alternative: "30ms"},
		"links[].down.queue.bytes":          {Type: "Size", Default: "16MiB", Alternative: "100B"},
		"devices[].mqtt.will.topic":         {Type: "string", Alternative: "other/topic", Required: true},
		"devices[].steps[].publish.payload": {Type: "string", Alternative: "other {n} at {t}"},
		"devices[].steps[].every.do":        {Type: "[]Step", Required: true},
		"timeline[].value":                  {Type: "Percent, Duration or Rate"},
		"capture":                           {Type: "[]Point", Alternative: "[peer]"},
		"expect[].that":                     {Type: "string", Alternative: "published >= 0", Required: true},
	} {
		want.Path = path
		if have[path] != want {
			t.Errorf("%s: %+v, want %+v", path, have[path], want)
		}
	}
	if len(keys) < 90 || len(keys) > 700 {
		t.Errorf("%d keys", len(keys))
	}
}

func TestPayloadsAreRendered(t *testing.T) {
	for _, c := range []struct {
		m    Message
		want string
	}{
		{Message{Payload: `{"n":{n},"t":{t},"x":{}}`}, `{"n":12,"t":3456,"x":{}}`},
		{Message{Payload: "{n}{n}"}, "1212"},
		{Message{}, ""},
		{Message{Size: 8}, "12 defgh"},
		{Message{Size: 1}, "1"},
	} {
		if got := string(c.m.Render(12, 3456789012)); got != c.want {
			t.Errorf("%+v gives %q, want %q", c.m, got, c.want)
		}
	}
}

// schemaPath is where a scenario finds its schema, by whether it is in a group.
var schemaPath = map[bool]string{false: "../schema.json", true: "../../schema.json"}

func TestTheLibraryIsOpenedByName(t *testing.T) {
	all := Library()
	if len(all) < 5 {
		t.Fatalf("%d scenarios", len(all))
	}
	for _, e := range all {
		s, err := Open(e.Name)
		if err != nil || s.Name != e.Name || s.Summary() != e.Summary || len(s.Expect) == 0 {
			t.Errorf("%s: %v", e.Name, err)
		}
		if !strings.Contains(s.About, "What it teaches: ") || len(e.Summary) < 20 || len(e.Summary) > 140 || !strings.HasSuffix(e.Summary, ".") {
			t.Errorf("%s does not say what it teaches: %q", e.Name, s.About)
		}
		source, err := Source(e.Name)
		if err != nil || !strings.HasPrefix(string(source), "# yaml-language-server: $schema="+schemaPath[e.Group != ""]+"\n") {
			t.Errorf("%s does not name its schema (%v)", e.Name, err)
		}
	}
	for _, name := range []string{"link-dorp", "../schema", "", "a/b"} {
		if _, err := Open(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := Open("link-dorp"); !strings.Contains(err.Error(), `did you mean "link-drop"?`) {
		t.Error(err)
	}
}

func TestFilesAreReadFromDisk(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.yaml")
	if _, err := LoadFile(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(name, []byte(base), 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := LoadFile(name); err != nil || s.Name != "base" {
		t.Errorf("error %v", err)
	}
}
