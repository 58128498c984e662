package emu

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/sim"
)

// No key of the scenario language parses and does nothing: each, with another
// value or taken away, changes what a run records, or is refused by name here.

// keyValues are other values for keys whose alternative stands nowhere in the
// language, being a name or a kind, or is not the one that shows.
var keyValues = map[string][]string{
	"devices[].app":                  {"other"},
	"devices[].mqtt.tls.certificate": {"expired"},
	"devices[].mqtt.thread_priority": {"9", "31"},
	"links[].device":                 {"b"},
	"timeline[].link":                {"link-b"},
	"timeline[].device":              {"b"},
	"timeline[].value":               {"80%", "300ms", "2kbit"},
	"broker.limits":                  {"{inflight: 1}"},
	"broker.state":                   {"testdata/broker-state-2.json"},
	"timeline[].after.device":        {"b"},
	"timeline[].after.label":         {"two"},
	"timeline[].answer":              {"wrong"},
	"devices[].mqtt.host":            {"other.example"},
	"devices[].dns":                  {"[10.0.0.254]"},
	"oracles":                        {"{isn_repeated: true}"},
}

// keyElsewhere are the keys that no run in virtual time shows, and what does.
var keyElsewhere = map[string]string{
	"version":                       "any other is refused: below",
	"devices[].kind":                "TestRealDevicesThatCannotBeAreRefused, TestADeviceOnEachSideOfATAP",
	"about":                         "emu list and emu show: below",
	"clock":                         "TestClockAndSpeedSetThePace",
	"speed":                         "TestClockAndSpeedSetThePace",
	"include":                       "TestAnIncludedFileAddsAndTheIncludingOneWins in package scenarios",
	"devices[].gateway":             "TestTheKeysOfATapReachTheKernel",
	"broker.kind":                   "TestTheKeysOfATapReachTheKernel, TestTheKeysOfAGatewayAreFelt, TestARecordedBrokerAnswersAsItDid",
	"broker.tap":                    "TestTheKeysOfATapReachTheKernel",
	"broker.tap.name":               "TestTheKeysOfATapReachTheKernel",
	"broker.tap.address":            "TestTheKeysOfATapReachTheKernel",
	"broker.tap.address6":           "TestADeviceOnATapSpeaksIPv6",
	"broker.tap.netns":              "TestTheKeysOfATapReachTheKernel",
	"files":                         "TestARecordingHasTheFilesThatItsScenarioNames in package scenarios",
	"files[].name":                  "TestARecordingHasTheFilesThatItsScenarioNames",
	"files[].sha256":                "TestARecordingHasTheFilesThatItsScenarioNames",
	"files[].data":                  "TestARecordingHasTheFilesThatItsScenarioNames",
	"timeline[].change.trace":       "TestBrokenScenariosAreRefusedWithPositionAndHint in package scenarios: it is refused",
	"timeline[].change.drop_frames": "TestBrokenScenariosAreRefusedWithPositionAndHint: it is refused",
	"devices[].mqtt.tls.ca_file":    "TestADeviceSpeaksTLSWithMosquitto",
	"devices[].mqtt.tls.cert_file":  "TestADeviceSpeaksTLSWithMosquitto",
	"devices[].mqtt.tls.key_file":   "TestADeviceSpeaksTLSWithMosquitto",
	"devices[].tap":                 "TestADeviceOnEachSideOfATAP",
	"devices[].tap.name":            "TestADeviceOnEachSideOfATAP",
	"devices[].tap.side":            "TestADeviceOnEachSideOfATAP",
	"devices[].tap.layer":           "TestADeviceWithoutEthernet",
	"devices[].tap.netns":           "TestADeviceOnEachSideOfATAP",
	"devices[].socket":              "TestAnEmulatorAtASocketIsADevice",
	"devices[].socket.mode":         "TestAnEmulatorAtASocketIsADevice",
	"devices[].socket.path":         "TestAnEmulatorAtASocketIsADevice",
	"devices[].socket.remote":       "TestAnEmulatorAtASocketIsADevice",
	"devices[].board":               "TestABoardIsADevice",
	"devices[].board.nic":           "TestABoardIsADevice",
	"devices[].qmp":                 "TestFirmwareInQEMUIsADevice",
	"devices[].qmp.path":            "TestFirmwareInQEMUIsADevice",
	"devices[].qmp.device":          "TestFirmwareInQEMUIsADevice",
	"devices[].exec":                "TestAProgramIsStartedRestartedAndEnded",
	"devices[].exec.command":        "TestAProgramIsStartedRestartedAndEnded",
	"broker.exec":                   "TestARealClientAndARealBroker",
	"broker.exec.command":           "TestARealClientAndARealBroker",
	"oracles.arp_unanswered":        "TestADeviceThatAnswersNoARPIsFound",
	"broker.gateway":                "TestTheKeysOfAGatewayAreFelt",
	"broker.gateway.to":             "TestTheKeysOfAGatewayAreFelt",
	"broker.gateway.allow":          "TestTheKeysOfAGatewayAreFelt",
	"broker.gateway.connections":    "TestTheKeysOfAGatewayAreFelt",
	"broker.gateway.idle":           "TestTheKeysOfAGatewayAreFelt",
	"broker.socket":                 "TestEveryKindOfDeviceTalksToEveryKindOfBroker, TestABrokerBehindASocket",
	"broker.socket.mode":            "TestEveryKindOfDeviceTalksToEveryKindOfBroker, TestABrokerBehindASocket",
	"broker.socket.path":            "TestEveryKindOfDeviceTalksToEveryKindOfBroker, TestABrokerBehindASocket",
	"broker.socket.remote":          "TestEveryKindOfDeviceTalksToEveryKindOfBroker, TestABrokerBehindASocket",
	"broker.board":                  "TestEveryKindOfDeviceTalksToEveryKindOfBroker",
	"broker.board.nic":              "TestEveryKindOfDeviceTalksToEveryKindOfBroker",
	"services.dhcp.first":           "TestClientsThatNobodyHereWroteUseTheServices",
	"services.dhcp.last":            "TestClientsThatNobodyHereWroteUseTheServices",
	"services.sntp":                 "TestClientsThatNobodyHereWroteUseTheServices",
	"services.sntp.delay":           "TestClientsThatNobodyHereWroteUseTheServices",
	"services.sntp.answer":          "TestClientsThatNobodyHereWroteUseTheServices",
}

var keyApps = map[string]App{
	"firmware": publishes,
	"other":    func(_ *sim.Task, c *mqtt.Client) { c.Connect(brokerAt, 60, true, 500) },
}

func TestNoKeyParsesAndDoesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	bases := slices.Concat(keyBases, impairedBases())
	trees := make([]any, len(bases))
	want := make([]string, len(bases))
	for i, text := range bases {
		if err := yaml.Unmarshal([]byte(text), &trees[i]); err != nil {
			t.Fatal(err)
		}
		var err error
		if want[i], err = observed(t, trees[i]); err != nil {
			t.Fatalf("base %d: %v", i, err)
		}
	}
	seen := map[string]bool{}
	for _, k := range scenarios.Keys() {
		seen[k.Path] = true
		if nestedWay.MatchString(k.Path) || keyElsewhere[k.Path] != "" || impairedElsewhere[strings.TrimPrefix(directionPrefix.ReplaceAllString(k.Path, ""), "links[].")] != "" {
			continue
		}
		tried := tryKey(t, k, trees, want)
		if !slices.Contains(tried, "other") {
			t.Errorf("%s does nothing; tried: %v", k.Path, tried)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(keyElsewhere)) {
		if !seen[path] {
			t.Errorf("%s is not a key any more", path)
		}
	}
}

// tryKey gives a key its other values in every base until one shows.
func tryKey(t *testing.T, k scenarios.KeyPath, trees []any, want []string) (tried []string) {
	t.Helper()
	values := keyValues[k.Path]
	if len(values) == 0 && k.Alternative != "" {
		values = []string{k.Alternative}
	}
	for i, tree := range trees {
		for _, place := range places(tree, strings.Split(k.Path, ".")) {
			edits := []edit{{place: place}} // taken away
			if len(values) > 0 {
				edits = edits[:0]
			}
			for _, text := range values {
				var v any
				if err := yaml.Unmarshal([]byte(text), &v); err != nil {
					t.Fatalf("%s: alternative %q: %v", k.Path, text, err)
				}
				edits = append(edits, edit{place, v})
			}
			for _, e := range edits {
				got, err := observed(t, e.apply(tree))
				switch {
				case err != nil && e.value == nil:
					return append(tried, "other") // it must be there
				case err != nil:
					tried = append(tried, err.Error())
				case got == want[i]:
					tried = append(tried, "same")
				default:
					return append(tried, "other")
				}
			}
		}
	}
	return tried
}

// keyBase returns the base of that name.
func keyBase(t *testing.T, name string) string {
	t.Helper()
	i := slices.IndexFunc(keyBases, func(s string) bool { return strings.Contains(s, "\nname: "+name+"\n") })
	if i < 0 {
		t.Fatalf("no base is called %q", name)
	}
	return keyBases[i]
}

// Each entry of the timeline that takes a key feels it: this is stricter than
// one effect somewhere.
func TestEveryActionFeelsEachOfItsKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	var tree any
	if err := yaml.Unmarshal([]byte(keyBase(t, "actions")), &tree); err != nil {
		t.Fatal(err)
	}
	want, err := observed(t, tree)
	if err != nil {
		t.Fatal(err)
	}
	others := map[string]any{
		"at": "25500ms", "for": "700ms", "link": "link-b", "device": "b", "direction": "up", "packets": 2,
		"rule": map[string]any{"do": "drop", "message": "PUBLISH"}, "topic": "commands/other", "payload": "other", "qos": 1,
		"loss value": "90%", "delay value": "400ms", "rate value": "2kbit",
	}
	for n, entry := range tree.(map[string]any)["timeline"].([]any) {
		action := entry.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(action)) {
			if key == "do" || key == "retain" { // retain: of a subscriber that comes later, in another base
				continue
			}
			v := others[key]
			if key == "value" {
				v = others[fmt.Sprint(action["do"], " value")]
			}
			got, err := observed(t, edit{[]any{"timeline", n, key}, v}.apply(tree))
			if err != nil || got == want {
				t.Errorf("%s: %s: %v does nothing (%v)", action["do"], key, v, err)
			}
		}
	}
}

func TestWhatHasOneValueRefusesAllOthers(t *testing.T) {
	for key, text := range map[string]string{
		"version": strings.Replace(keyBase(t, "firmware"), "version: 1", "version: 2", 1),
		"kind":    strings.Replace(keyBase(t, "firmware"), "{app:", "{kind: robot, app:", 1),
	} {
		if _, err := scenarios.Load("x.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), key) && !strings.Contains(err.Error(), "board") {
			t.Errorf("%s: error %v", key, err)
		}
	}
	sc := load(t, strings.Replace(keyBase(t, "firmware"), "name:", "about: what it teaches\nname:", 1))
	if text, err := sc.Resolved(); err != nil || sc.Summary() != "what it teaches" || !strings.Contains(string(text), "what it teaches") {
		t.Errorf("about is lost: %v\n%s", err, text)
	}
}
