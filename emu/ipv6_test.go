package emu

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// seenBy6 is what tshark says of the frames of a capture, a line for each.
func seenBy6(t *testing.T, path string) []string {
	t.Helper()
	args := []string{"-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator= "}
	for _, field := range []string{"_ws.malformed", "_ws.expert.severity", "tcp.checksum.status", "icmpv6.checksum.status", "ip.checksum.status", "frame.protocols", "icmpv6.type", "icmpv6.opt.prefix", "ipv6.src", "mqtt.msgtype", "mqtt.topic"} {
		args = append(args, "-e", field)
	}
	return strings.Split(linktest.Tshark(t, args...), "\n")
}

// tshark reads what a host does before its first connection by IPv6, and MQTT
// over it, without an error in any checksum.
func TestTsharkReadsIPv6InCaptures(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	linktest.Require(t, "tshark")
	runs := map[string]*recording{}
	for _, c := range []struct {
		scenario, device string
		want             []string // patterns of which frames there must be
		never            string
	}{
		{"connect-v6", "connect-v6", []string{`icmpv6 133`, `icmpv6 134 fd00:0:0:6::`, `icmpv6 135  :: `, `icmpv6 136`, `ipv6:tcp:mqtt .* 1 $`, `ipv6:tcp:mqtt .* 4 $`}, `ip:tcp`},
		{"dual-stack", "dual-stack.new", []string{`icmpv6 135`, `ipv6:tcp:mqtt .* 3 news/old`}, `ip:tcp`},
		{"dual-stack", "dual-stack.old", []string{`arp`, `ip:tcp:mqtt .* 3 news/new`}, `ipv6:tcp`},
		{"dual-stack", "dual-stack.new-by-v4", []string{`arp`, `icmpv6 135`, `ip:tcp:mqtt .* 3 news`}, `ipv6:tcp`},
	} {
		if runs[c.scenario] == nil {
			runs[c.scenario] = record(t, open(t, c.scenario), Options{})
		}
		r := runs[c.scenario]
		if r.Verdict != Pass {
			t.Errorf("%s: %s", c.scenario, r.Verdict)
		}
		for _, point := range []scenarios.Point{scenarios.PointDevice, scenarios.PointPeer} {
			name := c.device + "." + string(point) + ".pcapng"
			frames := seenBy6(t, filepath.Join(r.dir, name))
			for _, want := range c.want {
				if !slices.ContainsFunc(frames, regexp.MustCompile(want).MatchString) {
					t.Errorf("%s: no frame is %s", name, want)
				}
			}
			for i, f := range frames {
				// "Bad" is status 0 of a checksum, an error is 8388608.
				if v := strings.SplitN(f, " ", 6); f != "" && (v[0] != "" || strings.Contains(v[1], "8388608") || strings.Contains(v[2]+v[3]+v[4], "0") || strings.Contains(v[5], ":"+c.never)) {
					t.Fatalf("%s: frame %d is %q", name, i+1, f)
				}
			}
		}
	}
}

const waits6 = `
version: 1
name: waits6
duration: 40s
network6: fd00::/64
devices:
  - {profile: linux, mqtt: {wait: 3s, family: FAMILY}, KEYS, reconnect: 1s, steps: [connect, publish: {topic: t, qos: 1}]}
  - {name: "none", profile: linux, address6: none, steps: [connect]}
broker: {}
`

// A connect by IPv6 begins when the device has an address: not before, and not
// later than the client's wait.
func TestAConnectByIPv6WaitsForAnAddress(t *testing.T) {
	for _, c := range []struct {
		family, keys string
		low, high    time.Duration // the first connect ends within these
		status       func(uint32) bool
		over6        bool // the connection that comes up is one by IPv6
	}{
		{"auto", "dad: 0", 0, time.Millisecond, isZero, true},
		{"auto", "dad: 1", time.Second, 2 * time.Second, isZero, true},
		{"ipv6", "dad: 2", 2 * time.Second, 3 * time.Second, isZero, true},
		{"ipv4", "dad: 10", 0, time.Millisecond, isZero, false},
		{"auto", "dad: 10", 3 * time.Second, 3001 * time.Millisecond, isZero, false}, // IPv4 instead
		{"ipv6", "dad: 10", 3 * time.Second, 3001 * time.Millisecond, func(s uint32) bool { return s != 0 }, true},
		{"ipv6", "address6: slaac, dad: 1", time.Second, 3 * time.Second, isZero, true},
		{"ipv6", "address6: slaac, start: 5s", 6 * time.Second, 8 * time.Second, isZero, true},
	} {
		what := c.family + ", " + c.keys
		r := record(t, load(t, strings.NewReplacer("FAMILY", c.family, "KEYS", c.keys).Replace(waits6)), Options{})
		first, connected := sim.Time(-1), false
		for _, e := range r.events {
			if e.Kind == trace.KindConnected && e.Node == "device" && first < 0 {
				first = e.T
				if !c.status(e.Status) {
					t.Errorf("%s: the first connect ended with %#x", what, e.Status)
				}
			}
			connected = connected || e.Kind == trace.KindConnected && e.Node == "device" && e.Status == 0
			if e.Kind == trace.KindBrokerConnected && e.Client == "none" && !strings.HasPrefix(e.Text, "10.0.0.3:") {
				t.Errorf("%s: without IPv6 a client came from %q", what, e.Text)
			}
			if e.Kind == trace.KindBrokerConnected && e.Client == "device" && strings.Contains(e.Text, "[fd00::") != c.over6 {
				t.Errorf("%s: the broker's client is at %q", what, e.Text)
			}
		}
		if !connected || first < sim.Time(c.low) || first > sim.Time(c.high) {
			t.Errorf("%s: connected %v, the first connect ended at %v, want %v to %v", what, connected, first, c.low, c.high)
		}
	}
}

func isZero(s uint32) bool { return s == 0 }

// In an access network of isolated ports a solicitation goes to whom it asks for
// and to nobody else, and an advertisement to all.
func TestIsolatedDevicesSpeakIPv6(t *testing.T) {
	r := record(t, load(t, `
version: 1
name: isolated6
duration: 20s
access: isolated
network6: fd00::/64
devices:
  - {name: fixed, profile: linux, mqtt: {family: ipv6}, count: 20, steps: [connect, publish: {topic: t, qos: 1}]}
  - {name: made, profile: linux, address6: slaac, start: 2s, mqtt: {family: ipv6}, count: 20, steps: [connect, publish: {topic: t, qos: 1}]}
broker: {}
`), Options{})
	if o := r.Outcome; o.Connects != 40 || o.Acknowledged != 40 {
		t.Errorf("%d connected, %d acknowledged", o.Connects, o.Acknowledged)
	}
	// A solicitation at the wrong port would be a drop at a host that nobody asked
	// for. Those with an address of their own drop advertisements.
	if n := r.count(trace.KindDrop, func(e *trace.Event) bool {
		return e.Node != "broker" && e.Reason == "not_for_us" && !strings.HasPrefix(e.Text, "router advertisement")
	}); n > 0 {
		t.Errorf("%d frames came to hosts that they were not for", n)
	}
}
