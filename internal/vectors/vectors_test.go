package vectors

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The counts are those of the files' groups for MQTT 3.1.1: a reader that loses
// cases must not pass.
func TestEveryCaseOfTheVersionIsRead(t *testing.T) {
	for side, want := range map[string]int{"broker": 148, "client": 128} {
		cases := own(t, side)
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
	if _, err := parse([]byte("{")); err == nil {
		t.Error("what is no JSON is read")
	}
}

// What a case says that nobody here knows spoils this case alone; others of
// another version, or switched off, are none.
func TestACaseThatCannotBeReadIsOneThatFails(t *testing.T) {
	cases, err := parse([]byte(`[{"group": "g", "tests": [{"name": "a", "msgs": [{"type": "other"}]}, {"name": "b", "msgs": [{"type": "send", "payload": "0"}]},
		{"name": "c", "msgs": [{"type": "send", "payload": "c0\n 00"}]}, {"name": "d", "ver": 5}, {"name": "e", "disable": true}]}]`))
	if err != nil || len(cases) != 3 {
		t.Fatalf("%+v %v", cases, err)
	}
	if n := Misses(cases, func(*Case) error { return nil }); n != 2 || cases[2].Err != nil || len(cases[2].Messages[0].Bytes) != 2 {
		t.Errorf("%d cases cannot be read: %+v", n, cases)
	}
}

// More cases than the package has are played from a folder.
func TestFurtherCasesComeFromAFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "client"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "client", "MORE.json"), []byte(`[{"group": "g", "tests": [{"name": "new", "msgs": []}]}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(variable, dir)
	if all := Client(t); len(all) != len(own(t, "client"))+1 || all[len(all)-1].Name != "MORE: g: new" {
		t.Errorf("%d cases, the last %+v", len(all), all[len(all)-1])
	}
	if all := Broker(t); len(all) != len(own(t, "broker")) {
		t.Errorf("%d cases of a broker", len(all))
	}
}
