package extract

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// changes is what Make says of the captures of suricata's tests, which were made
// on a loopback interface: both ends have one address there.
func changes(name string) (all []string) {
	for start, text := range map[string]string{"suricata-mqtt31-": "MQTT 3.1;", "suricata-mqtt5-": "MQTT 5;"} {
		if strings.HasPrefix(name, start) {
			all = append(all, text)
		}
	}
	return append(all, "IPv6; here they are IPv4")
}

// Captures of every version of MQTT, over IPv6, between two programs on one host, become
// scenarios whose runs do the same again, and say what they have in another form.
func TestScenariosOfAnyVersionDoTheSameAgain(t *testing.T) {
	paths, err := filepath.Glob(linktest.Data(t, "captures/mqtt") + "/*.pcap")
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d captures, %v", len(paths), err)
	}
	differ := map[string]string{
		"suricata-mqtt-events-invalid-qos.pcap":  "a PUBLISH of QoS 3, which the client refuses",
		"suricata-mqtt-events-unintroduced.pcap": "a PUBLISH before CONNECT, which no client sends",
	}
	for _, path := range paths {
		name := filepath.Base(path)
		c, err := Single(readFile(t, path))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m, err := c.Make(Plan{})
		if name == "suricata-mqtt-midstream-split.pcap" { // its CONNECT was not captured
			if !errors.Is(err, ErrNoSession) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := m.Fit(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a, err := m.Again(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if why, known := differ[name]; a.Differs() != known {
			t.Errorf("%s (%s):\n%s\n%s", name, why, a.Text(), m.Text())
		}
		if len(c.Outages) > 0 {
			t.Errorf("%s: an outage where there was none: %+v", name, c.Outages)
		}
		for _, want := range changes(name) {
			if !slices.ContainsFunc(m.Changed(), func(s string) bool { return strings.Contains(s, want) }) || !strings.Contains(m.Text(), want) {
				t.Errorf("%s: %q is not said: %q", name, want, m.Changed())
			}
		}
	}
}

// A frame between two ends on one host goes up if who opened the connection sent it.
func TestFramesOnOneHostHaveADirection(t *testing.T) {
	c := readFile(t, linktest.Data(t, "captures/mqtt/suricata-mqtt311-sub-userpass.pcap"))
	device, err := c.ends()
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for i := range c.packets {
		got += c.packets[i].way.String()[:1]
	}
	if want := "uduudduuduuudu"; device.String() != "::1" || got != want {
		t.Errorf("%v: %s, want %s", device, got, want)
	}
}
