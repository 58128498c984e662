package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/emu/certs"
)

// testCertificates makes the files of emu certs in a new current folder.
func testCertificates(t *testing.T, flags ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if code, out, stderr := call(t, append([]string{"certs", "--ecdsa"}, flags...)...); code != exitPass || strings.Count(out, "\n") != 6 {
		t.Fatalf("exit %d\n%s%s", code, out, stderr)
	}
}

func readCertificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	all, err := certs.ParseCertificates(data)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// A tlsBroker is emu broker in the background.
type tlsBroker struct {
	addr   string
	stderr bytes.Buffer // valid after stop
	stop   func() int
}

func startBroker(t *testing.T, flags ...string) *tlsBroker {
	t.Helper()
	b := &tlsBroker{}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	c := &cli{args: append([]string{"broker", "--listen", "127.0.0.1:0", "--for", "60s"}, flags...), stdout: w, stderr: &b.stderr}
	ended := make(chan int, 1)
	go func() {
		code := c.run(ctx)
		w.Close()
		ended <- code
	}()
	b.stop = func() int {
		cancel()
		code := <-ended
		ended <- code
		return code
	}
	t.Cleanup(func() { b.stop() })
	buf := make([]byte, 200)
	n, err := r.Read(buf)
	addr, ok := strings.CutPrefix(strings.TrimSpace(string(buf[:n])), "listening on ")
	if err != nil || !ok {
		t.Fatalf("%v %q, exit %d\n%s", err, buf[:n], b.stop(), &b.stderr)
	}
	b.addr = addr
	return b
}

// connect connects as an MQTT client and returns the answer to CONNECT.
func (b *tlsBroker) connect(t *testing.T, cfg *tls.Config) (string, error) {
	t.Helper()
	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(readCertificate(t, "ca.pem"))
	conn, err := tls.Dial("tcp", b.addr, cfg)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte("\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02id")); err != nil {
		return "", err
	}
	answer := make([]byte, 4)
	_, err = io.ReadFull(conn, answer)
	return string(answer), err
}

const connack = "\x20\x02\x00\x00"

// brokerSpeaksTLS shows --tls-cert and --tls-key.
func brokerSpeaksTLS(t *testing.T) {
	testCertificates(t)
	b := startBroker(t, "--tls-cert", "server.pem", "--tls-key", "server.key", "--trace", "t.jsonl")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if answer, err := b.connect(t, &tls.Config{MinVersion: version, MaxVersion: version}); err != nil || answer != connack {
			t.Errorf("%s: %q, %v", tls.VersionName(version), answer, err)
		}
	}
	if _, err := b.connect(t, &tls.Config{ServerName: "other"}); err == nil {
		t.Error("the certificate is for any name")
	}
	plain, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.Write([]byte("\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02id")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, plain) // until the broker has closed it
	if code := b.stop(); code != exitPass {
		t.Errorf("exit %d\n%s", code, &b.stderr)
	}
	if log, err := os.ReadFile("t.jsonl"); err != nil || !strings.Contains(string(log), `"stage":"not_tls"`) {
		t.Errorf("%v\n%s", err, log)
	}
	for _, wrong := range []string{
		"--tls-cert server.pem", "--tls-key server.key", "--keylog k", "--client-ca ca.pem",
		"--tls-cert server.pem --tls-key client.key", "--tls-cert none.pem --tls-key server.key",
		"--tls-cert server.pem --tls-key server.key --client-ca server.key",
	} {
		if code, out, _ := call(t, append([]string{"broker", "--listen", "127.0.0.1:0", "--for", "1s"}, strings.Fields(wrong)...)...); code != exitUsage {
			t.Errorf("%s: exit %d\n%s", wrong, code, out)
		}
	}
}

// brokerAsksForCertificates shows --client-ca.
func brokerAsksForCertificates(t *testing.T) {
	testCertificates(t)
	b := startBroker(t, "--tls-cert", "server.pem", "--tls-key", "server.key", "--client-ca", "ca.pem")
	if _, err := b.connect(t, &tls.Config{}); err == nil {
		t.Error("without a certificate")
	}
	pair, err := tls.LoadX509KeyPair("client.pem", "client.key")
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := b.connect(t, &tls.Config{Certificates: []tls.Certificate{pair}}); err != nil || answer != connack {
		t.Errorf("with a certificate: %q, %v", answer, err)
	}
}

// brokerLogsKeys shows --keylog, and that it says what it does.
func brokerLogsKeys(t *testing.T) {
	testCertificates(t)
	b := startBroker(t, "--tls-cert", "server.pem", "--tls-key", "server.key", "--keylog", "keys.log")
	if _, err := b.connect(t, &tls.Config{}); err != nil {
		t.Fatal(err)
	}
	b.stop()
	keys, err := os.ReadFile("keys.log")
	if err != nil || !bytes.Contains(keys, []byte("SERVER_TRAFFIC_SECRET_0 ")) || !strings.Contains(b.stderr.String(), "whoever gets them reads all messages") {
		t.Errorf("%v\n%s%s", err, keys, &b.stderr)
	}
	if info, err := os.Stat("keys.log"); err == nil && info.Mode().Perm()&0o077 != 0 && filepath.Separator == '/' {
		t.Errorf("others may read it: %v", info.Mode())
	}
}

// certificateFlags shows --names, --days and --ecdsa.
func certificateFlags(t *testing.T) {
	testCertificates(t, "--names", "broker.local,10.0.0.7", "--days", "3")
	cert := readCertificate(t, "server.pem")
	if cert.VerifyHostname("broker.local") != nil || cert.VerifyHostname("10.0.0.7") != nil || cert.VerifyHostname("localhost") == nil {
		t.Errorf("for %v %v", cert.DNSNames, cert.IPAddresses)
	}
	if left := time.Until(cert.NotAfter); left > 73*time.Hour || left < 70*time.Hour || cert.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("valid for %v, %v", left, cert.PublicKeyAlgorithm)
	}
	if cert.CheckSignatureFrom(readCertificate(t, "ca.pem")) != nil {
		t.Error("signed by somebody else")
	}
	for _, wrong := range []string{"--days 0", "--days 99999", "--names=", "two folders"} {
		if code, out, _ := call(t, append([]string{"certs", "x", "--ecdsa"}, strings.Fields(wrong)...)...); code != exitUsage {
			t.Errorf("%s: exit %d\n%s", wrong, code, out)
		}
	}
}

// certificatesStay shows --force.
func certificatesStay(t *testing.T) {
	testCertificates(t)
	before := readCertificate(t, "ca.pem")
	if code, _, stderr := call(t, "certs", "--ecdsa"); code != exitUsage || !strings.Contains(stderr, "--force") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	if !readCertificate(t, "ca.pem").Equal(before) {
		t.Error("written over without --force")
	}
	if code, _, stderr := call(t, "certs", "--ecdsa", "--force"); code != exitPass || readCertificate(t, "ca.pem").Equal(before) {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	if code, _, _ := call(t, "certs", "rsa"); code != exitPass || readCertificate(t, filepath.Join("rsa", "server.pem")).PublicKeyAlgorithm != x509.RSA {
		t.Errorf("exit %d", code)
	}
}

func TestKeyLogsAreForOneScenario(t *testing.T) {
	t.Chdir(t.TempDir())
	if code, _, stderr := call(t, "run", "tls-expired", "clean-link", "--keylog", "k"); code != exitUsage || !strings.Contains(stderr, "one scenario") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	if code, _, stderr := call(t, "run", "tls-expired", "--keylog", "no/such/k"); code != exitEnvironment {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	set := []string{"run", "tls-expired", "--set", "clock=real", "--set", "duration=1s", "--keylog", "k"}
	if _, _, stderr := call(t, set...); !strings.Contains(stderr, "whoever gets them reads all messages") {
		t.Errorf("no warning in real time:\n%s", stderr)
	}
}
