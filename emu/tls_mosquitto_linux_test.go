package emu_test

import (
	"crypto"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/emu/certs"
	"hilnet/internal/linktest"
	"hilnet/nic"
	"hilnet/scenarios"
	"hilnet/trace"
)

// tlsFiles makes an authority with certificates for mosquitto and for devices,
// valid ones and expired ones, and another authority.
func tlsFiles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	save := func(name string, data []byte, err error) {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	valid := certs.Validity{From: now.Add(-time.Hour), Until: now.Add(time.Hour)}
	past := certs.Validity{From: now.Add(-2 * time.Hour), Until: now.Add(-time.Hour)}
	authority := func(name string) (*certs.Authority, crypto.Signer) {
		key, err := certs.NewRSA(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		ca, err := certs.NewAuthority(rand.Reader, name, key, valid)
		if err != nil {
			t.Fatal(err)
		}
		save(name+".pem", certs.CertificatePEM(ca.Certificate.Raw), nil)
		return ca, key
	}
	ca, key := authority("ca")
	other, _ := authority("other-ca")
	for _, r := range []struct {
		name    string
		request certs.Request
	}{
		{"client-other", certs.Request{Name: "device", Key: key, Valid: valid}},
		{"server", certs.Request{Name: "broker", Server: true, DNS: []string{"broker"}, IPs: []net.IP{net.IPv4(10, 0, 0, 1)}, Key: key, Valid: valid}},
		{"server-expired", certs.Request{Name: "broker", Server: true, DNS: []string{"broker"}, Key: key, Valid: past}},
		{"client", certs.Request{Name: "device", Key: key, Valid: valid}},
		{"client-expired", certs.Request{Name: "device", Key: key, Valid: past}},
	} {
		from := ca
		if r.name == "client-other" {
			from = other
		}
		cert, err := from.Issue(r.request)
		if err != nil {
			t.Fatal(err)
		}
		save(r.name+".pem", certs.CertificatePEM(cert.Certificate[0]), nil)
	}
	pem, err := certs.KeyPEM(key)
	save("all.key", pem, err)
	return dir
}

// Devices of each profile and mosquitto, over a TAP: TLS 1.2 and 1.3, with client
// certificates, and each failure with its cause.
func TestADeviceSpeaksTLSWithMosquitto(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto", "tshark")
	ns := linktest.Namespace(t)
	dir := tlsFiles(t)
	listener := func(port int, cert string, more ...string) []string {
		return append([]string{
			fmt.Sprintf("listener %d 0.0.0.0", port), "cafile " + dir + "/ca.pem", "certfile " + dir + "/" + cert + ".pem", "keyfile " + dir + "/all.key",
		}, more...)
	}
	var settings []string
	settings = append(settings, listener(8883, "server", "require_certificate true")...)
	settings = append(settings, listener(8884, "server-expired", "ciphers ECDHE-RSA-AES256-GCM-SHA384")...)
	settings = append(settings, listener(8885, "server", "tls_version tlsv1.3")...)
	ns.Mosquitto(netip.MustParseAddrPort("127.0.0.1:1883"), settings...)
	conf := filepath.Join(dir, "openssl.cnf") // mosquitto's own settings know no newest version
	if err := os.WriteFile(conf, []byte("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = TLSv1.2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OPENSSL_CONF", conf)
	ns.Mosquitto(netip.MustParseAddrPort("127.0.0.1:1884"), listener(8886, "server")...)

	const own = "ca_file: ca.pem, cert_file: client.pem, key_file: all.key"
	for _, run := range []struct {
		port    int
		devices []tlsPeer
	}{
		{8883, []tlsPeer{
			{"netx", own, "TLS 1.2, TLS_RSA_WITH_AES_128_CBC_SHA256", 0},
			{"netx", own + ", ciphers: [TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]", "TLS 1.2, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0},
			{"linux", own, "TLS 1.3, ", 0},
			{"linux", own + ", server_name: other", "wrong_name, found by this side", nic.X509DNSMismatch},
			{"netx", "ca_file: other-ca.pem, cert_file: client.pem, key_file: all.key", "unknown_ca, found by this side", nic.TLSIssuerNotFound},
			{"linux", "ca_file: ca.pem", "no_certificate, found by the peer", nic.TLSAlertReceived},
			{"netx", "ca_file: ca.pem", "handshake_refused, found by the peer", nic.TLSAlertReceived}, // of 1.2, which has no alert for it
			{"netx", "ca_file: ca.pem, cert_file: client-expired.pem, key_file: all.key", "expired, found by the peer", nic.TLSAlertReceived},
			{"linux", "ca_file: ca.pem, cert_file: client-other.pem, key_file: all.key", "unknown_ca, found by the peer", nic.TLSAlertReceived},
		}},
		{8884, []tlsPeer{
			{"linux", "ca_file: ca.pem, max_version: \"1.2\"", "expired, found by this side", nic.X509CertificateExpired},
			{"netx", "ca_file: ca.pem", "handshake_refused, found by the peer", nic.TLSAlertReceived},
		}},
		{8885, []tlsPeer{
			{"linux", "ca_file: ca.pem", "TLS 1.3, ", 0},
			{"netx", "ca_file: ca.pem", "version, found by the peer", nic.TLSAlertReceived},
		}},
		{8886, []tlsPeer{ // server only
			{"netx", "ca_file: ca.pem", "TLS 1.2, TLS_RSA_WITH_AES_128_CBC_SHA256", 0},
			{"linux", "ca_file: ca.pem, min_version: \"1.3\"", "version, found by the peer", nic.TLSAlertReceived},
		}},
	} {
		t.Run(fmt.Sprint(run.port), func(t *testing.T) { speakTLS(t, ns, dir, run.port, run.devices) })
	}
}

// tlsScenario loads a file: paths in it begin where it is.
func tlsScenario(t *testing.T, file string) *scenarios.Scenario {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scenarios.Load(file, text)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// A tlsPeer is a device and what becomes of its handshake.
type tlsPeer struct {
	profile, tls, want string
	status             nic.Status // of NetX Secure
}

func speakTLS(t *testing.T, ns *linktest.Net, dir string, port int, devices []tlsPeer) {
	var list strings.Builder
	for i, d := range devices {
		fmt.Fprintf(&list, `
  - name: d%d
    profile: %s
    mqtt: {wait: 2s, tls: {%s}}
    steps: [connect, publish: {topic: t/%d, payload: secret, qos: 1}, wait_for: {event: acked, timeout: 1s}, disconnect]`, i, d.profile, d.tls, i)
	}
	file := filepath.Join(dir, fmt.Sprintf("tls-%d.yaml", port))
	text := fmt.Sprintf("version: 1\nname: tls-%d\nclock: real\nduration: 2500ms\ndevices:%s\nbroker: {kind: tap, port: %d, tap: {name: hil0, netns: %s}}\n", port, list.String(), port, ns.Name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys")
	w, err := emu.New(tlsScenario(t, file), emu.Options{Out: out, KeyLog: keys})
	if err != nil {
		t.Fatal(err)
	}
	view := w.Observe(1 << 14)
	result, err := w.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, status := map[string]string{}, map[string]nic.Status{}
	for e := range view.Events() {
		if e.Kind == trace.KindTLS || e.Kind == trace.KindTLSFailed {
			got[e.Node], status[e.Node] = e.Text, nic.Status(e.Status)
		}
	}
	good, seen := 0, map[string]bool{}
	for i, d := range devices {
		name := fmt.Sprintf("d%d", i)
		version, _, fine := strings.Cut(d.want, ",")
		if fine = fine && strings.HasPrefix(version, "TLS "); fine {
			good++
		}
		if fine && !seen[version] { // tshark takes its time to start
			seen[version] = true
			// With --keylog the captures of a real link open themselves.
			path := filepath.Join(out, fmt.Sprintf("tls-%d.%s.device.pcapng", port, name))
			topics := linktest.Tshark(t, "-r", path, "-d", fmt.Sprintf("tls.port==%d,mqtt", port), "-Y", "mqtt.msgtype==3", "-T", "fields", "-e", "mqtt.topic")
			if strings.TrimSpace(topics) != fmt.Sprintf("t/%d", i) {
				t.Errorf("%s: tshark sees the topics %q", name, topics)
			}
		}
		if !strings.HasPrefix(got[name], d.want) {
			t.Errorf("%s, %s {%s}: %q, want %q", name, d.profile, d.tls, got[name], d.want)
		}
		told := slices.ContainsFunc(result.Outcome.Findings, func(f scenarios.Finding) bool {
			return f.Name == "tls_failed" && f.Device == name && strings.Contains(f.Text, d.want) && strings.Contains(f.Text, d.status.String())
		})
		if status[name] != d.status || told != (d.status != 0) {
			t.Errorf("%s: %v, want %v, in %+v", name, status[name], d.status, result.Outcome.Findings)
		}
	}
	if result.Outcome.Acknowledged != good {
		t.Errorf("%d messages acknowledged, want %d", result.Outcome.Acknowledged, good)
	}
}

// On a real link nothing is written that opens the captures unless it was asked for.
func TestRealLinksKeepTheirKeys(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto")
	ns := linktest.Namespace(t)
	dir := tlsFiles(t)
	ns.Mosquitto(netip.MustParseAddrPort("127.0.0.1:1883"), "listener 8883 0.0.0.0", "certfile "+dir+"/server.pem", "keyfile "+dir+"/all.key")
	file := filepath.Join(dir, "keep.yaml")
	text := "version: 1\nname: keep\nclock: real\nduration: 3s\ndevices: [{mqtt: {tls: {ca_file: ca.pem}}, steps: [connect]}]\nbroker: {kind: tap, tap: {name: hil0, netns: " + ns.Name + "}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 2 {
		out := t.TempDir()
		result, err := emu.Run(t.Context(), tlsScenario(t, file), emu.Options{Out: out})
		if err != nil || result.Outcome.Connects != 1 {
			t.Fatalf("%v, %+v", err, result)
		}
		data, err := os.ReadFile(filepath.Join(out, "keep.device.pcapng"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "CLIENT_RANDOM") {
			t.Error("the capture holds keys")
		}
		i := strings.Index(string(data), "\x16\x03\x01") // the ClientHello, and its random number
		if i < 0 || seen[string(data[i+11:i+43])] {
			t.Error("two runs have the same random numbers")
		} else {
			seen[string(data[i+11:i+43])] = true
		}
	}
}
