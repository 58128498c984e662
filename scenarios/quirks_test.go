package scenarios

import (
	"strings"
	"testing"

	"hilnet/mqtt"
	"hilnet/stack/embedded"
)

func TestQuirksAreSwitchedOneByOne(t *testing.T) {
	for _, c := range []struct {
		text, as           string
		leak, deadlock     bool // of the client
		silent, probeLimit bool // of the engine
	}{
		{"default", "default", true, true, true, true},
		{"none", "none", false, false, false, false},
		{"default -unread_leak", "default -unread_leak", false, true, true, true},
		{"default  -silent_reset -unread_leak", "default -unread_leak -silent_reset", false, true, false, true},
		{"none +pool_deadlock +probe_bypasses_retry_limit", "none +pool_deadlock +probe_bypasses_retry_limit", false, true, false, true},
	} {
		var q Quirks
		if err := q.UnmarshalText([]byte(c.text)); err != nil || q.String() != c.as {
			t.Errorf("%q is %q: %v", c.text, q, err)
			continue
		}
		client, engine := q.Client(), q.Engine()
		if client.UnreadLeak != c.leak || client.PoolDeadlock != c.deadlock || engine.SilentReset != c.silent || engine.ProbeBypassesRetryLimit != c.probeLimit {
			t.Errorf("%q: %+v, %+v", c.text, client, engine)
		}
	}
}

func TestEveryQuirkSwitchesOneThing(t *testing.T) {
	names := map[string]bool{}
	for _, info := range QuirkList() {
		if names[info.Name] {
			t.Errorf("two quirks are called %s", info.Name)
		}
		names[info.Name] = true
		var q Quirks
		if err := q.UnmarshalText([]byte("default -" + info.Name)); err != nil {
			t.Error(err)
			continue
		}
		isClient, isEngine := q.Client() != mqtt.NetX642(), q.Engine() != embedded.DefaultQuirks()
		if isClient != (info.Part == QuirkClient) || isEngine != (info.Part == QuirkEngine) {
			t.Errorf("%s of the %s changes the client: %v, the engine: %v", info.Name, info.Part, isClient, isEngine)
		}
	}
}

func TestWrongQuirksAreErrorsWithAHint(t *testing.T) {
	for _, c := range []struct{ profile, quirks, msg, hint string }{
		{"netx", "defualt -unread_leak", "neither default nor none", `did you mean "default"?`},
		{"netx", "default -unread_leek", `no quirk is called "unread_leek"`, `did you mean "unread_leak"?`},
		{"netx", "default +unread_leak", "switched with -", "write default -unread_leak"},
		{"netx", "none -unread_leak", "switched with +", "write none +unread_leak"},
		{"netx", "none +unread_leak +unread_leak", "twice", "remove one"},
		{"linux", "default -silent_reset", "NetX Duo's TCP/IP stack", "profile: netx"},
	} {
		text := "version: 1\nname: x\ndevices: [{profile: " + c.profile + ", quirks: " + c.quirks + ", steps: [connect]}]\nbroker: {kind: model}\n"
		_, err := Load("x.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), c.msg) || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s: %v", c.quirks, err)
		}
		if err != nil && !strings.Contains(err.Error(), "x.yaml:3:") {
			t.Errorf("%s: no place: %v", c.quirks, err)
		}
	}
	s, err := Load("x.yaml", []byte("version: 1\nname: x\ndevices: [{steps: [connect]}]\nbroker: {kind: model}\n"))
	if err != nil {
		t.Fatal(err)
	}
	s.Devices[0].Quirks.Switched = []string{"nothing"}
	if err := s.Validate(); err == nil {
		t.Error("a quirk that does not exist passes in a scenario made in Go")
	}
}
