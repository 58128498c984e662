package emu

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/scenarios"
	"hilnet/stack/services"
	"hilnet/trace"
)

// outcomeOf runs a scenario of the library with every device's profile and
// quirks changed, "" leaving them, and returns the result and a hash over its
// trace.
func outcomeOf(t *testing.T, name string, profile scenarios.Profile, quirks string) (*Result, string) {
	t.Helper()
	sc, err := scenarios.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sc.Devices {
		d := &sc.Devices[i]
		if profile != "" {
			d.Profile = profile
		}
		if quirks == "" {
			continue
		}
		if err := d.Quirks.UnmarshalText([]byte(quirks)); err != nil {
			t.Fatal(err)
		}
	}
	w, err := New(sc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	events := w.Observe(1 << 16)
	r, err := w.Run(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if n := events.Dropped(); n > 0 {
		t.Fatalf("%s: %d events not seen", name, n)
	}
	for e := range events.Events() {
		if e.Kind != trace.KindCounters {
			fmt.Fprintln(h, e.T, e.Kind, e.Node, e.Status, e.Text, e.ID, e.Count, e.Reason)
		}
	}
	return r, fmt.Sprintf("%x", h.Sum(nil))
}

// virtual are the scenarios of the library that need no interface of the machine.
func virtual(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, e := range scenarios.Library() {
		sc, err := scenarios.Open(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		if sc.Clock == scenarios.Virtual {
			all = append(all, e.Name)
		}
	}
	return all
}

func failed(r *Result) []string {
	var all []string
	for _, c := range r.Checks {
		if !c.Passed {
			all = append(all, c.That+": "+c.Why)
		}
	}
	return all
}

func TestEveryScenarioOfTheLibraryPassesAndSaysWhatItTeaches(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	for _, name := range virtual(t) {
		r, _ := outcomeOf(t, name, "", "")
		if r.Verdict != Pass || len(r.Checks) < 2 {
			t.Errorf("%s: %s of %d: %s", name, r.Verdict, len(r.Checks), strings.Join(failed(r), "\n"))
		}
		sc, err := scenarios.Open(name)
		if err != nil || !strings.Contains(sc.About, "What it teaches: ") {
			t.Errorf("%s does not say what it teaches (%v)", name, err)
		}
	}
}

// expectsFinding finds an expectation that wants a finding to be there.
var expectsFinding = regexp.MustCompile(`finding\.\w+ (> \d|>= [1-9]|== [1-9])`)

// faultless reports whether nothing happens to a scenario from outside, and its
// links only take time.
func faultless(sc *scenarios.Scenario) bool {
	if sc.Broker.TLS != nil {
		return false // certificates are wrong in many ways
	}
	for i := range sc.Timeline {
		if sc.Timeline[i].Do != scenarios.BrokerPublish {
			return false
		}
	}
	if sc.Services != nil && !reflect.DeepEqual(honest(sc.Services), sc.Services) {
		return false
	}
	for i := range sc.Links {
		plain := plainLink(&sc.Links[i])
		if !reflect.DeepEqual(plain, sc.Links[i]) {
			return false
		}
	}
	return !slices.ContainsFunc(sc.Expect, func(e scenarios.Expectation) bool { return expectsFinding.MatchString(e.That) })
}

// honest returns services that answer what is right.
func honest(s *scenarios.Services) *scenarios.Services {
	h := *s
	if s.DHCP != nil {
		dhcp := *s.DHCP
		dhcp.Answer = services.DHCPRight
		h.DHCP = &dhcp
	}
	if s.DNS != nil {
		dns := *s.DNS
		dns.Answer = services.DNSRight
		h.DNS = &dns
	}
	if s.SNTP != nil {
		sntp := *s.SNTP
		sntp.Answer = services.SNTPRight
		h.SNTP = &sntp
	}
	return &h
}

// plainLink returns a link that is as slow as another one, and nothing else.
func plainLink(l *scenarios.Link) scenarios.Link {
	plain := scenarios.NewLink(l.Name, l.Device)
	plain.Up.Delay, plain.Down.Delay = l.Up.Delay, l.Down.Delay
	return plain
}

// withoutFaults takes away what happens to a scenario from outside, and what is
// wrong with its devices.
func withoutFaults(t *testing.T, sc *scenarios.Scenario) {
	t.Helper()
	sc.Expect = nil
	if sc.Broker.TLS != nil && sc.Broker.Port == 8883 {
		sc.Broker.Port = 1883
	}
	sc.Broker.TLS = nil
	if sc.Services != nil {
		sc.Services = honest(sc.Services)
	}
	sc.Timeline = slices.DeleteFunc(sc.Timeline, func(a scenarios.Action) bool {
		return a.Do != scenarios.BrokerPublish || a.After != nil
	})
	for i := range sc.Links {
		sc.Links[i] = plainLink(&sc.Links[i])
	}
	for i := range sc.Devices {
		d := &sc.Devices[i]
		d.MQTT.TLS = nil
		d.Pool = scenarios.Pool{Packets: 256, Payload: 1536}
		if err := d.Quirks.UnmarshalText([]byte("none")); err != nil {
			t.Fatal(err)
		}
	}
}

// No finding is made where nothing went wrong: of each scenario of the library
// that nothing happens to, as it is, and of all others without what happens to
// them and without bugs and small pools.
func TestACleanRunHasNoFindings(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	asTheyAre, all := 0, virtual(t)
	for _, name := range all {
		sc, err := scenarios.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if faultless(sc) {
			asTheyAre++
		} else {
			withoutFaults(t, sc)
		}
		r, err := Run(t.Context(), sc, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, f := range r.Outcome.Findings {
			t.Errorf("%s: %s at %v: %s", name, f.Name, f.T, f.Text)
		}
	}
	if asTheyAre < 20 || len(all)-asTheyAre < 40 {
		t.Errorf("%d scenarios as they are, of %d", asTheyAre, len(all))
	}
}

// What NetX's bugs do, and that nothing of it is left without them.
func TestTheBugsShowAndVanishWithoutQuirks(t *testing.T) {
	for _, c := range []struct {
		name, scenario, finding string
		vanished                func(o *scenarios.Outcome) bool
	}{
		{
			"DeadlockWhenThePoolIsFullOfUnreadMessages", "pool-deadlock", "deadlock_client_mutex",
			func(o *scenarios.Outcome) bool { return o.Received > 0 },
		},
		{
			"OneLostPingEndsTheSession", "one-lost-ping", "session_lost_to_one_ping",
			func(o *scenarios.Outcome) bool { return o.PingTimeouts == 0 && o.Disconnects == 0 },
		},
		{
			"PublishLoopBypassesTheRetryLimit", "publish-loop", "retry_limit_bypassed",
			func(o *scenarios.Outcome) bool { return o.Disconnects == 1 },
		},
		{
			"DisconnectWithUnreadMessagesLeaks", "5c-disconnect-leak", "packets_leaked",
			// They wait for message_get in the next session too.
			func(o *scenarios.Outcome) bool { return o.Drops.Reason[string(trace.DropUnread)] == 0 },
		},
		{"MalformedPublishLeaks", "malformed-publish", "packets_leaked", allBack},
		{"DeleteWithUnreadMessagesLeaks", "delete-leak", "packets_leaked", allBack},
		{
			"ConnackWithDataInOneSegmentIsRefused", "connack-with-data", "connack_with_data_refused",
			func(o *scenarios.Outcome) bool { return o.Connects == 2 && o.ConnectErrors == 0 && o.Received == 1 },
		},
		{"RecordedMalformedPublishLeaks", "9-scripted-peer-quirks", "packets_leaked", allBack},
		{
			"MessagesThatShareASegmentAreDropped", "4a-pool8x256-qos0-flood", "acknowledged_then_dropped",
			func(o *scenarios.Outcome) bool { return o.Drops.Reason[string(trace.DropPublishCopy)] == 0 },
		},
		{
			"NonBlockingConnectNeverEnds", "3e-nonblocking-extended-notify", "connect_never_ends",
			func(o *scenarios.Outcome) bool { return o.ConnectErrors > 0 },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			with, _ := outcomeOf(t, c.scenario, "", "")
			without, _ := outcomeOf(t, c.scenario, "", "none")
			if with.Outcome.Finding[c.finding] == 0 || c.vanished(with.Outcome) {
				t.Errorf("%s: it does not show: %+v", c.scenario, with.Outcome.Findings)
			}
			if n := without.Outcome.Finding[c.finding]; n != 0 || !c.vanished(without.Outcome) {
				t.Errorf("%s without quirks: %s, %d times", c.scenario, c.finding, n)
			}
		})
	}
}

// allBack reports whether every packet of the first device came back to its pool.
func allBack(o *scenarios.Outcome) bool {
	p := &o.Devices[0].Pool
	return p.FreeAtEnd == p.Total
}

// Each quirk has a scenario among those of quirks that it makes pass: without it,
// and with all others, one of the expectations does not hold any more.
func TestEachQuirkIsShownByAScenario(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	inGroup := map[string]bool{}
	for _, e := range scenarios.Library() {
		inGroup[e.Name] = e.Group == "quirks"
	}
	shows := map[string]bool{}
	for _, q := range scenarios.QuirkList() {
		shows[q.Scenario] = true
		if !inGroup[q.Scenario] {
			t.Errorf("%s: %q is none of the scenarios of quirks", q.Name, q.Scenario)
			continue
		}
		with, _ := outcomeOf(t, q.Scenario, "", "default")
		if with.Verdict != Pass {
			t.Errorf("%s: %s with the quirk: %s", q.Name, q.Scenario, strings.Join(failed(with), "\n"))
		}
		without, _ := outcomeOf(t, q.Scenario, "", "default -"+q.Name)
		if without.Verdict != Fail {
			t.Errorf("%s: %s passes without it too", q.Name, q.Scenario)
		}
	}
	for name, is := range inGroup {
		if is && !shows[name] {
			t.Errorf("%s shows no quirk", name)
		}
	}
}

// regressionCases are those of netxduo's test/regression/mqtt_test,
// netx_mqtt_NAME_test.c.
var regressionCases = strings.Fields(`
api branch connack_error connect connect_v6 connect_auth connect_auth_empty connect_non_block connect_non_block_2
connect_packet_send_failure connect_will_message connect_will_topic_only connect_with_auth_will keepalive
keepalive_timeout multiple_receive not_connected null_password packet_leak publish_non_zero_packet_id
subscribe_non_zero_packet_id publish_packet_chain publish_qos0 publish_qos1 publish_qos2 receive_qos0 receive_qos1
receive_qos2 receive_span remaining_length subscribe unsubscribe subscribe_packet_chain transmit_queue_depth
websocket_block websocket_non_block testcontrol`)

// Each case is a scenario, or docs/fidelity.md says why not.
func TestEveryRegressionCaseIsAScenarioOrHasAReason(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "fidelity.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regressionCases {
		_, err := scenarios.Open(strings.ReplaceAll(name, "_", "-"))
		if hasReason := strings.Contains(string(page), "| `"+name+"` | no scenario: "); hasReason == (err == nil) {
			t.Errorf("%s: scenario %v, reason on the page: %v", name, err == nil, hasReason)
		}
	}
}

// The recordings have scenarios of the same names.
func TestEveryRecordingIsAScenario(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "*.pcap"))
	if err != nil || len(files) < 14 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, f := range files {
		name := strings.ToLower(strings.TrimSuffix(filepath.Base(f), ".pcap"))
		if _, err := scenarios.Open(name); err != nil {
			t.Error(err)
		}
	}
}

// differences finds the table in docs/fidelity.md of the scenarios that end
// otherwise on the gVisor host.
var differences = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| on gVisor: ")

// The same client on the gVisor host passes the same scenarios, but for those
// that the page names.
func TestTheLibraryOnTheGVisorHost(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "fidelity.md"))
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range differences.FindAllStringSubmatch(string(page), -1) {
		named = append(named, m[1])
	}
	for _, name := range virtual(t) {
		sc, err := scenarios.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(sc.Devices, func(d scenarios.Device) bool {
			return d.Profile == scenarios.ProfileLinux || d.Address.DHCP || d.MQTT.Host != "" // which it has not
		}) {
			continue
		}
		r, _ := outcomeOf(t, name, scenarios.ProfileLinux, "")
		if differs := r.Verdict != Pass; differs != slices.Contains(named, name) {
			t.Errorf("%s: %s on the gVisor host, and docs/fidelity.md says otherwise:\n%s", name, r.Verdict, strings.Join(failed(r), "\n"))
		}
	}
	if len(named) == 0 {
		t.Error("docs/fidelity.md names no difference")
	}
}
