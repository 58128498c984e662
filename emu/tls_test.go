package emu

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/mqtt"
	"hilnet/nic"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/sim/taskconn"
	"hilnet/trace"
)

// tlsRun is a run of one device that connects over TLS.
func tlsRun(t *testing.T, profile, device, broker string) *recording {
	t.Helper()
	return record(t, load(t, fmt.Sprintf(`
version: 1
name: tls
duration: 10s
devices: [{profile: %s, mqtt: {wait: 2s, tls: {%s}}, steps: [connect, publish: {topic: t, payload: secret, qos: 1}, {sleep: 1s}, disconnect]}]
links: [{delay: 10ms}]
broker: {tls: {%s}}
`, profile, device, broker)), Options{})
}

// Each end says what it knows: who found it, and why, where NetX's client has one
// status for all of it.
func TestTLSFailuresNameTheirCause(t *testing.T) {
	for _, tc := range []struct {
		name, profile, device, broker string
		atDevice                      string
		status                        nic.Status
		atBroker                      string
	}{
		{"expired", "netx", "", "certificate: expired", "expired local", nic.X509CertificateExpired, "certificate_refused remote"},
		{"not yet valid", "linux", "", "certificate: not_yet_valid", "not_yet_valid local", nic.X509CertificateNotYetValid, "certificate_refused remote"},
		{"another name", "linux", "", "certificate: other_name", "wrong_name local", nic.X509DNSMismatch, "certificate_refused remote"},
		{"unknown authority", "netx", "", "certificate: other_ca", "unknown_ca local", nic.TLSIssuerNotFound, "certificate_refused remote"},
		{"unknown authority, name not looked at", "netx", "server_name: none", "certificate: other_ca", "unknown_ca local", nic.TLSIssuerNotFound, "certificate_refused remote"},
		{"broker too new", "netx", "", `min_version: "1.3"`, "version remote", nic.TLSAlertReceived, "version local"},
		{"device too new", "linux", `min_version: "1.3"`, `max_version: "1.2"`, "version remote", nic.TLSAlertReceived, "version local"},
		{"no suite in common", "netx", "", "ciphers: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", "handshake_refused remote", nic.TLSAlertReceived, "cipher local"},
		{"no client certificate, 1.2", "netx", "", "client_certificate: required", "handshake_refused remote", nic.TLSAlertReceived, "no_certificate local"},
		{"client certificate expired, 1.2", "netx", "certificate: expired", "client_certificate: required", "expired remote", nic.TLSAlertReceived, "expired local"},
		{"client certificate of another authority, 1.2", "netx", "certificate: other_ca", "client_certificate: required", "unknown_ca remote", nic.TLSAlertReceived, "unknown_ca local"},
		// In TLS 1.3 the client's handshake has ended when the server looks at its certificate.
		{"no client certificate, 1.3", "linux", "", "client_certificate: required", "no_certificate remote", nic.TLSAlertReceived, "no_certificate local"},
		{"client certificate of another authority, 1.3", "linux", "certificate: other_ca", "client_certificate: required", "unknown_ca remote", nic.TLSAlertReceived, "unknown_ca local"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := tlsRun(t, tc.profile, tc.device, tc.broker)
			got := map[string]string{}
			var status nic.Status
			for _, e := range r.events {
				if e.Kind != trace.KindTLSFailed {
					continue
				}
				side := "remote"
				if strings.Contains(e.Text, "found by this side") {
					side = "local"
				}
				if (side == "remote") != (e.Count != 0) {
					t.Errorf("%s, and the alert's number is %d", e.Text, e.Count)
				}
				got[e.Node] = e.Stage + " " + side
				if e.Node == "device" {
					status = nic.Status(e.Status)
				}
			}
			if got["device"] != tc.atDevice || got["broker"] != tc.atBroker || status != tc.status {
				t.Errorf("device: %s (%v), broker: %s; want %s (%v), %s", got["device"], status, got["broker"], tc.atDevice, tc.status, tc.atBroker)
			}
			if r.Outcome.Connects != 0 || r.Outcome.Finding["tls_failed"] != 1 {
				t.Errorf("%d connects, findings %v", r.Outcome.Connects, r.Outcome.Finding)
			}
			if free := counter(t, r, "pool", "free"); free != 16 {
				t.Errorf("%d of 16 packets are free at the end", free)
			}
		})
	}
}

// counter returns a counter of the only device at the end of the run.
func counter(t *testing.T, r *recording, stage, name string) int64 {
	t.Helper()
	for _, e := range r.events {
		if e.Kind == trace.KindCounters && e.Node == "device" && e.Stage == stage {
			if n, ok := e.Value(name); ok {
				return n
			}
		}
	}
	t.Fatalf("no counter %s of %s", name, stage)
	return 0
}

func TestTLSSucceedsInEveryVersionAndSuite(t *testing.T) {
	for _, suite := range scenarios.CipherSuite("").Values() {
		set := "ciphers: [" + suite + "]"
		r := tlsRun(t, "netx", set+", certificate: valid", set+", client_certificate: required")
		if r.Outcome.Acknowledged != 1 || r.count(trace.KindTLS, func(e *trace.Event) bool { return e.Text == "TLS 1.2, "+suite }) != 1 {
			t.Errorf("%s: %d acknowledged, %+v", suite, r.Outcome.Acknowledged, r.Outcome.Findings)
		}
	}
	r := tlsRun(t, "netx", `max_version: "1.3"`, "")
	if r.Outcome.Acknowledged != 1 || r.count(trace.KindTLS, func(e *trace.Event) bool { return strings.HasPrefix(e.Text, "TLS 1.3, ") }) != 1 {
		t.Errorf("TLS 1.3 on NetX: %+v", r.Outcome)
	}
}

// A run's captures open themselves: tshark shows each MQTT message in them.
func TestTsharkReadsTLSFromTheCaptureAlone(t *testing.T) {
	linktest.Require(t, "tshark")
	for _, version := range []string{"1.2", "1.3"} {
		r := tlsRun(t, "linux", `max_version: "`+version+`"`, "")
		for _, p := range []scenarios.Point{scenarios.PointDevice, scenarios.PointPeer} {
			out := linktest.Tshark(t, "-r", r.capture(p), "-Y", "mqtt", "-T", "fields", "-e", "mqtt.msgtype")
			if got := strings.Join(strings.Fields(out), " "); got != "1 2 3 4 14" {
				t.Errorf("TLS %s at the %s: messages %s", version, p, got)
			}
		}
	}
}

func TestTLSRunsRepeatAtAnyGOMAXPROCS(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	want := record(t, open(t, "tls-lossy"), Options{})
	for _, procs := range []int{1, 4} {
		runtime.GOMAXPROCS(procs)
		if got := record(t, open(t, "tls-lossy"), Options{}); !same(t, want.dir, got.dir) {
			t.Errorf("GOMAXPROCS %d: other files than with %d", procs, before)
		}
	}
	if other := record(t, open(t, "tls-lossy"), Options{Seed: seedOf(8)}); same(t, want.dir, other.dir) {
		t.Error("seed 8 gives the files of seed 1")
	}
}

// What TLS does to the pool: a record waits in the packets of its segments until
// it is whole, and what it carries is in packets of its own.
func TestRecordsAreChargedToThePool(t *testing.T) {
	run := func(tls string) *recording {
		return record(t, load(t, `
version: 1
name: pool
duration: 10s
devices:
  - pool: {packets: 16, payload: 256B}
    mqtt: {`+tls+`}
    steps: [connect, subscribe: {topic: a, qos: 0}, {sleep: 3s}, message_get: all]
broker: {`+tls+`}
timeline: [{at: 1s, do: broker_publish, topic: a, size: 1400B}]
`), Options{})
	}
	plain, secure := run(""), run("tls: {}")
	for _, r := range []*recording{plain, secure} {
		if r.Outcome.Received != 1 {
			t.Fatalf("received %d", r.Outcome.Received)
		}
	}
	// 1400 bytes are six packets of 256; encrypted they are seven more for a moment.
	if p, s := counter(t, plain, "pool", "min_free"), counter(t, secure, "pool", "min_free"); s >= p || s > 4 {
		t.Errorf("least free: %d in clear, %d over TLS", p, s)
	}
}

func TestTheHandshakeTakesTheTimeOfTheDevice(t *testing.T) {
	for _, cost := range []string{"0s", "900ms"} {
		r := tlsRun(t, "netx", "handshake_time: "+cost, "")
		i := slices.IndexFunc(r.events, func(e trace.Event) bool { return e.Kind == trace.KindTLS })
		want := map[string]int64{"0s": 40e6, "900ms": 940e6}[cost]
		if i < 0 || r.events[i].Count != want {
			t.Errorf("handshake_time %s: %+v, want %d ns", cost, r.events[max(i, 0)], want)
		}
	}
}

func TestPowerAndCrashesEndTLSWithoutHarm(t *testing.T) {
	r := record(t, load(t, `
version: 1
name: cuts
duration: 60s
devices:
  - name: device
    reconnect: 1s
    mqtt: {tls: {handshake_time: 2s}, wait: 3s, keepalive: 10s}
    steps: [connect, every: {period: 500ms, do: [publish: {topic: t, qos: 1}]}]
broker: {tls: {}}
timeline:
  - {at: 1s, do: power_cut, for: 1s}
  - {at: 12s, do: power_cut, for: 1s}
  - {at: 20s, do: broker_crash, for: 2s}
  - {at: 30s, do: broker_stop_reading, for: 3s}
  - {at: 40s, do: link_down, for: 5s}
`), Options{})
	if len(r.Outcome.ConservationErrors) != 0 || r.Outcome.Acknowledged < 20 || r.count(trace.KindTLS) < 3 {
		t.Errorf("%d acknowledged, %d handshakes: %+v", r.Outcome.Acknowledged, r.count(trace.KindTLS), r.Outcome)
	}
}

// The key log of NSS's form opens what a capture without secrets holds.
func TestTheKeyLogIsAFileOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.log")
	r := record(t, open(t, "tls-lossy"), Options{KeyLog: path})
	messages := func(file, log string) int {
		return strings.Count(linktest.Tshark(t, "-r", file, "-o", "tls.keylog_file:"+log, "-Y", "mqtt"), "\n")
	}
	for _, device := range []string{"netx", "linux"} {
		open := filepath.Join(r.dir, r.Scenario+"."+device+".device.pcapng")
		closed := filepath.Join(t.TempDir(), "closed.pcap") // a format without secrets
		linktest.Tshark(t, "-r", open, "-F", "pcap", "-w", closed)
		if want, with := messages(open, ""), messages(closed, path); want < 50 || with != want {
			t.Errorf("%s: frames with MQTT: %d by the capture's secrets, %d with the log", device, want, with)
		}
		if without := messages(closed, ""); without != 0 {
			t.Errorf("%s: %d frames with MQTT without any secret", device, without)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, label := range []string{"CLIENT_RANDOM ", "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_HANDSHAKE_TRAFFIC_SECRET "} {
		if strings.Count(text, label) != 1 {
			t.Errorf("%d lines with %s:\n%s", strings.Count(text, label), label, text)
		}
	}
}

// An application that brings randomness of its own is refused where peers may be
// real; there is no switch for it.
func TestAPredictableSeedIsRefusedInRealTime(t *testing.T) {
	for clock, want := range map[string]mqtt.Status{"real": mqtt.InvalidParameter, "virtual": mqtt.ConnectFailure} {
		var got mqtt.Status
		app := func(_ *sim.Task, c *mqtt.Client) {
			got = c.SecureConnect(netip.MustParseAddrPort("10.0.0.1:8883"), func(_ *mqtt.Client, s *mqtt.TLSSession) mqtt.Status {
				s.Rand, s.Time = taskconn.NewRand(1, "mine"), func() time.Time { return time.Unix(1767225600, 0) }
				s.Trusted = []*x509.Certificate{{}} // nobody's: the handshake fails, if there is one
				return mqtt.Success
			}, 0, true, 100)
		}
		sc := load(t, "version: 1\nname: app\nclock: "+clock+"\nduration: 300ms\ndevices: [{app: app, mqtt: {tls: {}}}]\nbroker: {tls: {}}\n")
		if _, err := Run(t.Context(), sc, Options{Apps: map[string]App{"app": app}}); err != nil || got != want {
			t.Errorf("clock %s: %v, %v; want %v", clock, got, err, want)
		}
	}
}
