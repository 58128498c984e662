package gateway

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestDestinationsAreReadAndWritten(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"127.0.0.1:1883", ""}, {"192.0.2.0/24:8883", ""}, {"192.0.2.0/24", ""}, {"broker.example:8883", ""}, {"localhost", ""},
		{"test_1.example.", ""},
		{"", "no IPv4 address"}, {"10.0.0.1:", "port"}, {"10.0.0.1:0", "port"}, {"10.0.0.1:65536", "port"}, {"10.0.0.1:http", "port"},
		{"300.0.0.1", "no IPv4 address"}, {"-a.example", "no IPv4"}, {"a..b", "no IPv4"}, {"10.0.0.1/24", "write 10.0.0.0/24"}, {"a b", "no IPv4"},
		{strings.Repeat("a", 64) + ".example", "no IPv4"}, {"http://broker", "port"},
	} {
		d, err := ParseDestination(c.text)
		switch {
		case c.want == "" && (err != nil || d.String() != c.text):
			t.Errorf("%q: %q, %v", c.text, d, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: error %v, want %q", c.text, err, c.want)
		}
	}
	for _, text := range []string{"127.0.0.1", "192.0.2.0/24:1", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1"} {
		if _, err := ParseTarget(text); err == nil {
			t.Errorf("%q is a target", text)
		}
	}
}

// The gateway leads to its target, to the loopback and to what is allowed, and
// nowhere else.
func TestThePolicyLeadsNowhereElse(t *testing.T) {
	asked := 0
	p := policy{
		own: netip.MustParseAddr("10.0.0.1"), own6: netip.MustParseAddr("fd00::1"), port: 1883, to: "broker.example:8883",
		lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
			if asked++; name == "other.example" {
				return []netip.Addr{netip.MustParseAddr("198.51.100.7")}, nil
			}
			return nil, errors.New("no such host")
		},
	}
	for _, text := range []string{"192.0.2.0/24:8883", "203.0.113.5", "other.example:1883", "gone.example:25"} {
		d, err := ParseDestination(text)
		if err != nil {
			t.Fatal(err)
		}
		p.allow = append(p.allow, d)
	}
	for to, want := range map[string]string{
		"10.0.0.1:1883": "broker.example:8883", "[fd00::1]:1883": "broker.example:8883",
		"10.0.0.1:53":        "127.0.0.1:53",
		"192.0.2.200:8883":   "192.0.2.200:8883",
		"192.0.2.200:8884":   "",
		"203.0.113.5:9":      "203.0.113.5:9",
		"198.51.100.7:1883":  "198.51.100.7:1883",
		"198.51.100.8:1883":  "",
		"198.51.100.7:1884":  "",
		"127.0.0.1:1883":     "",
		"169.254.169.254:80": "",
		"192.168.1.1:25":     "",
	} {
		got, err := p.target(t.Context(), netip.MustParseAddrPort(to))
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, errProhibited) {
			t.Errorf("%s leads to %q (%v), want %q", to, got, err, want)
		}
	}
	if asked != 4 { // of the names, only those whose port is asked for
		t.Errorf("the resolver was asked %d times", asked)
	}
}

func FuzzParseDestination(f *testing.F) {
	for _, s := range []string{"127.0.0.1:1883", "192.0.2.0/24", "a.example:1", "::1", "a:b:c", "/", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDestination(text)
		if err != nil {
			return
		}
		again, err := ParseDestination(d.String())
		if err != nil || again != d {
			t.Errorf("%q is %q, and that %+v (%v)", text, d, again, err)
		}
	})
}
