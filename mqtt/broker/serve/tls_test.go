package serve_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/emu/certs"
	"hilnet/internal/linktest"
	"hilnet/mqtt/broker/serve"
	"hilnet/sim/taskconn"
	"hilnet/trace"
)

// tlsFiles makes what server and clients need: files in a folder, and the server's
// certificates by name.
func tlsFiles(t *testing.T) (dir string, shown map[string]tls.Certificate, trusted *x509.CertPool) {
	t.Helper()
	dir = t.TempDir()
	key, err := certs.NewRSA(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	save := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	valid := certs.Validity{From: now.Add(-time.Hour), Until: now.Add(time.Hour)}
	past := certs.Validity{From: now.Add(-2 * time.Hour), Until: now.Add(-time.Hour)}
	authority := func(name string) *certs.Authority {
		ca, err := certs.NewAuthority(rand.Reader, name, key, valid)
		if err != nil {
			t.Fatal(err)
		}
		save(name+".pem", certs.CertificatePEM(ca.Certificate.Raw))
		return ca
	}
	ca, other := authority("ca"), authority("other")
	issue := func(from *certs.Authority, r certs.Request) tls.Certificate {
		r.Key = key
		cert, err := from.Issue(r)
		if err != nil {
			t.Fatal(err)
		}
		return *cert
	}
	local := []net.IP{net.IPv4(127, 0, 0, 1)}
	shown = map[string]tls.Certificate{
		"good":    issue(ca, certs.Request{Name: "s", Server: true, IPs: local, Valid: valid}),
		"expired": issue(ca, certs.Request{Name: "s", Server: true, IPs: local, Valid: past}),
		"other":   issue(ca, certs.Request{Name: "s", Server: true, DNS: []string{"another"}, Valid: valid}),
	}
	for name, cert := range map[string]tls.Certificate{
		"client": issue(ca, certs.Request{Name: "c", Valid: valid}), "client-expired": issue(ca, certs.Request{Name: "c", Valid: past}),
		"client-other": issue(other, certs.Request{Name: "c", Valid: valid}),
	} {
		save(name+".pem", certs.CertificatePEM(cert.Certificate[0]))
	}
	pem, err := certs.KeyPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	save("all.key", pem)
	trusted = x509.NewCertPool()
	trusted.AddCert(ca.Certificate)
	return dir, shown, trusted
}

// mosquittoArgs are those of mosquitto's clients for a server.
func mosquittoArgs(t *testing.T, s *served, dir, ca, cert string, more ...string) []string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-h", "127.0.0.1", "-p", port, "-q", "1", "--cafile", filepath.Join(dir, ca+".pem")}
	if cert != "" {
		args = append(args, "--cert", filepath.Join(dir, cert+".pem"), "--key", filepath.Join(dir, "all.key"))
	}
	return append(args, more...)
}

func TestMosquittosClientsSpeakTLSWithIt(t *testing.T) {
	linktest.Require(t, "mosquitto_pub", "mosquitto_sub")
	dir, shown, trusted := tlsFiles(t)
	for _, mutual := range []bool{false, true} {
		cfg, cert := &tls.Config{Certificates: []tls.Certificate{shown["good"]}, MinVersion: tls.VersionTLS12}, ""
		if mutual {
			cfg.ClientAuth, cfg.ClientCAs, cert = tls.RequireAndVerifyClientCert, trusted, "client"
		}
		s := start(t, serve.Config{TLS: cfg})
		for _, version := range []string{"tlsv1.2", "tlsv1.3"} {
			args := mosquittoArgs(t, s, dir, "ca", cert, "-r", "-t", "t/"+version, "-m", "over "+version, "--tls-version", version)
			if out, err := exec.Command("mosquitto_pub", args...).CombinedOutput(); err != nil {
				t.Errorf("%s, mutual %v: %v\n%s", version, mutual, err, out)
			}
		}
		sub := exec.Command("mosquitto_sub", mosquittoArgs(t, s, dir, "ca", cert, "-t", "t/#", "-C", "2", "-W", "20")...)
		if text, err := sub.CombinedOutput(); err != nil || !bytes.Contains(text, []byte("over tlsv1.2")) || !bytes.Contains(text, []byte("over tlsv1.3")) {
			t.Errorf("mutual %v: %v\n%s", mutual, err, text)
		}
		s.stop()
		if all := strings.Join(s.trace, "\n"); strings.Contains(all, "found by") {
			t.Errorf("failures where there were none:\n%s", all)
		}
	}
}

// Each way for TLS to fail with mosquitto's clients, by what the broker says of it.
func TestItSaysWhyMosquittosClientsFail(t *testing.T) {
	linktest.Require(t, "mosquitto_pub")
	dir, shown, trusted := tlsFiles(t)
	const aes128, aes256 = "ECDHE-RSA-AES128-GCM-SHA256", tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
	for _, tc := range []struct {
		name, cert string
		server     *tls.Config
		ca, own    string
		more       []string
		openssl    string // settings of OpenSSL's own
		want       string
	}{
		{name: "expired", cert: "expired", ca: "ca", want: "expired, found by the peer"},
		{name: "unknown authority", cert: "good", ca: "other", want: "unknown_ca, found by the peer"},
		{name: "another name", cert: "other", ca: "ca", want: "handshake_refused, found by the peer, which sent an alert: remote error in clear: tls: internal error (mosquitto's clients send this alert when the certificate is for another name)"},
		{name: "server too new", cert: "good", server: &tls.Config{MinVersion: tls.VersionTLS13}, ca: "ca", openssl: "MaxProtocol = TLSv1.2", want: "version, found by this side"},
		{name: "client too new", cert: "good", server: &tls.Config{MaxVersion: tls.VersionTLS12}, ca: "ca", more: []string{"--tls-version", "tlsv1.3"}, want: "version, found by this side"},
		{name: "no suite in common", cert: "good", server: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{aes256}}, ca: "ca", more: []string{"--ciphers", aes128, "--tls-version", "tlsv1.2"}, want: "cipher, found by this side"},
		{name: "no client certificate", cert: "good", server: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}, ca: "ca", want: "no_certificate, found by this side"},
		{name: "client certificate expired", cert: "good", server: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}, ca: "ca", own: "client-expired", want: "expired, found by this side"},
		{name: "client certificate of another authority", cert: "good", server: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}, ca: "ca", own: "client-other", want: "unknown_ca, found by this side"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := tc.server.Clone()
			if cfg == nil {
				cfg = new(tls.Config)
			}
			cfg.Certificates, cfg.ClientCAs = []tls.Certificate{shown[tc.cert]}, trusted
			told := make(chan struct{}, 16)
			s := start(t, serve.Config{TLS: cfg, Trace: func(e *trace.Event) {
				if e.Kind == trace.KindTLSFailed {
					told <- struct{}{}
				}
			}})
			args := mosquittoArgs(t, s, dir, tc.ca, tc.own, append(tc.more, "-t", "t", "-m", "x")...)
			cmd := exec.Command("timeout", append([]string{"5", "mosquitto_pub"}, args...)...)
			if tc.openssl != "" { // what mosquitto_pub itself cannot be told
				conf := filepath.Join(dir, "openssl.cnf")
				if err := os.WriteFile(conf, []byte("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n"+tc.openssl+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				cmd.Env = append(os.Environ(), "OPENSSL_CONF="+conf)
			}
			if out, err := cmd.CombinedOutput(); err == nil {
				t.Errorf("mosquitto_pub succeeded\n%s", out)
			}
			select {
			case <-told:
			case <-time.After(patience):
				t.Error("the broker says nothing")
			}
			s.stop()
			if all := strings.Join(s.trace, "\n"); !strings.Contains(all, tc.want) {
				t.Errorf("looked for %q in\n%s", tc.want, all)
			}
		})
	}
}

func TestPredictableRandomnessIsRefused(t *testing.T) {
	_, err := serve.New(serve.Config{TLS: &tls.Config{Rand: taskconn.NewRand(1, "x")}})
	if err == nil || !strings.Contains(err.Error(), "real peers") {
		t.Error(err)
	}
}
