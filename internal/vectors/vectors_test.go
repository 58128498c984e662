package vectors

import (
	"strings"
	"testing"
)

// The counts are those of the files' groups for MQTT 3.1.1: a reader that loses
// cases must not pass.
func TestEveryCaseOfTheVersionIsRead(t *testing.T) {
	for side, want := range map[string]int{"broker": 148, "client": 128} {
		cases := read(t, side)
		if len(cases) != want {
			t.Errorf("%s: %d cases, want %d", side, len(cases), want)
		}
		for _, c := range cases {
			if len(c.Messages) == 0 || strings.Contains(c.Name, "v5.0") {
				t.Errorf("%s: %+v", side, c)
			}
		}
	}
}

func TestATestOverridesItsGroup(t *testing.T) {
	cases, err := parse([]byte(`[{"group": "g", "connect": false, "group_msgs": [{"type": "send", "payload": "C0 00"}], "tests": [
		{"name": "a", "msgs": [{"type": "recv", "payload": "D000"}]},
		{"name": "b", "connect": true, "expect_disconnect": false, "command": "publish-1", "msgs": [{"type": "publish", "topic": "t", "qos": 2, "payload": "p"}]},
		{"name": "c", "ver": 3, "msgs": []}]},
		{"group": "h", "ver": 5, "tests": [{"name": "d"}]}]`))
	if err != nil || len(cases) != 3 {
		t.Fatalf("%+v %v", cases, err)
	}
	a, b := cases[0], cases[1]
	if a.Version != 4 || cases[2].Version != 3 {
		t.Errorf("%+v", cases)
	}
	if a.Connect || !a.Connack || !a.Disconnect || a.Command != "" || len(a.Messages) != 2 || a.Messages[1].Bytes[0] != 0xD0 {
		t.Errorf("%+v", a)
	}
	if m := b.Messages[1]; !b.Connect || b.Disconnect || b.Command != "publish-1" || m.Topic != "t" || m.QoS != 2 || m.Text != "p" {
		t.Errorf("%+v", b)
	}
	for _, wrong := range []string{`{`, `[{"tests": [{"msgs": [{"type": "other"}]}]}]`, `[{"tests": [{"msgs": [{"type": "send", "payload": "0"}]}]}]`} {
		if _, err := parse([]byte(wrong)); err == nil {
			t.Errorf("%s is read", wrong)
		}
	}
}
