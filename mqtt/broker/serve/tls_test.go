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
)

// tlsServer is a server with TLS that asks for client certificates, and the
// folder with the files of its clients.
func tlsServer(t *testing.T) (*served, string) {
	t.Helper()
	dir := t.TempDir()
	key, err := certs.NewRSA(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	valid := certs.Validity{From: now.Add(-time.Hour), Until: now.Add(time.Hour)}
	authority := func(file string) *certs.Authority {
		ca, err := certs.NewAuthority(rand.Reader, file, key, valid)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), certs.CertificatePEM(ca.Certificate.Raw), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	ca := authority("ca.pem")
	authority("other.pem")
	server, err := ca.Issue(certs.Request{Name: "s", Server: true, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Key: key, Valid: valid})
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Issue(certs.Request{Name: "c", Key: key, Valid: valid})
	if err != nil {
		t.Fatal(err)
	}
	pem, err := certs.KeyPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"client.pem": certs.CertificatePEM(client.Certificate[0]), "client.key": pem} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	return start(t, serve.Config{TLS: &tls.Config{
		Certificates: []tls.Certificate{*server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots, MinVersion: tls.VersionTLS12,
	}}), dir
}

func TestMosquittosClientsSpeakTLSWithIt(t *testing.T) {
	linktest.Require(t, "mosquitto_pub", "mosquitto_sub")
	s, dir := tlsServer(t)
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	args := func(ca string, more ...string) []string {
		return append([]string{"-h", "127.0.0.1", "-p", port, "--cafile", filepath.Join(dir, ca), "-q", "1"}, more...)
	}
	own := []string{"--cert", filepath.Join(dir, "client.pem"), "--key", filepath.Join(dir, "client.key")}
	for _, version := range []string{"tlsv1.2", "tlsv1.3"} {
		if out, err := exec.Command("mosquitto_pub", args("ca.pem", append(own, "-r", "-t", "t/"+version, "-m", "over "+version, "--tls-version", version)...)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", version, err, out)
		}
	}
	sub := exec.Command("mosquitto_sub", args("ca.pem", append(own, "-t", "t/#", "-C", "2", "-W", "20")...)...)
	if text, err := sub.CombinedOutput(); err != nil || !bytes.Contains(text, []byte("over tlsv1.2")) || !bytes.Contains(text, []byte("over tlsv1.3")) {
		t.Errorf("%v\n%s", err, text)
	}
	for _, wrong := range [][]string{args("other.pem", append(own, "-t", "t", "-m", "x")...), args("ca.pem", "-t", "t", "-m", "x", "--tls-version", "tlsv1.2")} {
		cmd := exec.Command("timeout", append([]string{"5", "mosquitto_pub"}, wrong...)...)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("%v succeeded\n%s", wrong, out)
		}
	}
	s.stop()
	all := strings.Join(s.trace, "\n")
	for _, want := range []string{"unknown_ca, found by the peer", "no_certificate, found by this side"} {
		if !strings.Contains(all, want) {
			t.Errorf("looked for %q in\n%s", want, all)
		}
	}
}

func TestPredictableRandomnessIsRefused(t *testing.T) {
	_, err := serve.New(serve.Config{TLS: &tls.Config{Rand: taskconn.NewRand(1, "x")}})
	if err == nil || !strings.Contains(err.Error(), "real peers") {
		t.Error(err)
	}
}
