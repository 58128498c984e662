package main

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/emu/certs"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/replay/play"
	"hilnet/scenarios"
)

// secrets are a capture of a real session in TLS 1.3 with its keys, the same without,
// and the keys.
func secrets(t testing.TB) (with, without, keys string) {
	at := func(name string) string { return linktest.Data(t, "captures/groundtruth/mqtts13-q1-clean."+name) }
	return at("dev.dsb.pcapng"), at("dev.pcapng"), at("keys")
}

// makeCertificates writes an authority and the certificate of a server that it signs.
func makeCertificates(t testing.TB) (ca, cert, key string) {
	t.Helper()
	dir, now := t.TempDir(), time.Now()
	valid := certs.Validity{From: now.Add(-time.Hour), Until: now.Add(time.Hour)}
	own, err := certs.NewECDSA(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := certs.NewAuthority(rand.Reader, "test authority", own, valid)
	if err != nil {
		t.Fatal(err)
	}
	other, err := certs.NewECDSA(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	server, err := authority.Issue(certs.Request{Name: "localhost", Server: true, DNS: []string{"localhost"}, IPs: []net.IP{{127, 0, 0, 1}, {192, 0, 2, 1}}, Key: other, Valid: valid})
	if err != nil {
		t.Fatal(err)
	}
	text, err := certs.KeyPEM(other)
	if err != nil {
		t.Fatal(err)
	}
	ca, cert, key = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, data := range map[string][]byte{ca: certs.CertificatePEM(authority.Certificate.Raw), cert: certs.CertificatePEM(server.Certificate...), key: text} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return ca, cert, key
}

// What was captured in TLS is played in a new session of TLS, against mosquitto and
// against another player, or in plain.
func TestASessionInTLSIsPlayedInANewOne(t *testing.T) {
	with, without, keys := secrets(t)
	ca, cert, key := makeCertificates(t)
	broker := startMosquitto(t, "cafile "+ca, "certfile "+cert, "keyfile "+key)
	for _, args := range [][]string{{with}, {without, "--keylog", keys}} {
		code, r, errs := callPlay(t, append(args, "--as", "client", "--against", broker, "--ca", ca, "--timing", "fast")...)
		if code != exitPass || r.Verdict != play.Faithful || !r.TLS || r.Sent.Sent != 25 || r.Received.Matched != 24 {
			t.Errorf("%q: exit %d: %+v %s", args, code, r, errs)
		}
	}
	code, r, errs := serve(t, with, func(address string) {
		code, r, errs := callPlay(t, with, "--as", "client", "--against", address, "--ca", ca, "--server-name", "localhost", "--timing", "fast")
		if code != exitPass || r.Reproduced != 1 || !r.TLS {
			t.Errorf("the client: exit %d: %+v %s", code, r, errs)
		}
	}, "--tls-cert", cert, "--tls-key", key, "--timing", "fast")
	if code != exitPass || r.Reproduced != 1 || !r.TLS {
		t.Errorf("the broker: exit %d: %+v %s", code, r, errs)
	}
	code, r, errs = callPlay(t, with, "--as", "client", "--against", startMosquitto(t), "--tls", "off", "--timing", "fast")
	if code != exitPass || r.Verdict != play.Faithful || r.TLS {
		t.Errorf("in plain: exit %d: %+v %s", code, r, errs)
	}
	code, r, errs = callPlay(t, testCapture(t, "suricata-mqtt311-pub-qos2.pcap"), "--as", "client", "--against", broker, "--ca", ca, "--tls", "on")
	if code != exitPass || r.Verdict != play.Faithful || !r.TLS {
		t.Errorf("what was in plain: exit %d: %+v %s", code, r, errs)
	}
}

// A player that is the broker takes mosquitto_pub in TLS, and tells of a client that does
// not trust it.
func TestMosquittosClientTakesThePlayerForABrokerInTLS(t *testing.T) {
	linktest.Require(t, "mosquitto_pub")
	ca, cert, key := makeCertificates(t)
	file := testCapture(t, "suricata-mqtt311-pub-qos2.pcap")
	code, r, errs := serve(t, file, func(address string) {
		args := append(mosquittoArgs(t, readScriptOf(t, file).Conversations[0], address), "--cafile")
		if out, err := exec.Command(args[0], append(args[1:], ca)...).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}, "--tls", "on", "--tls-cert", cert, "--tls-key", key)
	if code != exitPass || r.Reproduced != 1 || !r.TLS {
		t.Errorf("exit %d: %+v %s", code, r, errs)
	}
	stranger, _, _ := makeCertificates(t)
	code, r, errs = serve(t, file, func(address string) {
		code, _, _ := callPlay(t, file, "--as", "client", "--against", address, "--tls", "on", "--ca", stranger)
		if code != exitFail {
			t.Errorf("the client: exit %d", code)
		}
	}, "--tls", "on", "--tls-cert", cert, "--tls-key", key, "--accept", "1s")
	if code != exitFail || r.Strangers != 1 || !strings.Contains(errs, "a client was not taken: 127.0.0.1:") {
		t.Errorf("exit %d: %+v %s", code, r, errs)
	}
}

// Recordings of hilnet's own in TLS are played in virtual time, each side, in either
// mode, over losses, and the captures of the play have its keys.
func TestARecordingInTLSIsPlayedInVirtualTime(t *testing.T) {
	sc, err := scenarios.Load("secure.yaml", []byte(strings.NewReplacer("mqtt: {", "mqtt: {tls: {}, ", "broker: {kind: model", "broker: {tls: {}, kind: model").Replace(sensor)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: dir}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "sensor.device.pcapng")
	for _, mode := range []string{"socket", "segment"} {
		for _, as := range []string{"client", "broker"} {
			out := t.TempDir()
			code, r, errs := callPlay(t, file, "--as", as, "--against", "model", "--mode", mode, "--set", "link.loss=5%", "--set", "link.delay=30ms", "--wait", "1m", "--out", out)
			if code != exitPass || r.Reproduced != 1 || !r.TLS || len(r.Conversations) != 1 {
				t.Errorf("%s, %s: exit %d: %+v %s", mode, as, code, r, errs)
				continue
			}
			again := readScriptOf(t, filepath.Join(out, "play.device.pcapng"))
			if len(again.Conversations) != 1 || again.Conversations[0].TLS == "" || again.Conversations[0].Count(1) != r.Conversations[0].Sent.Sent && as == "client" {
				t.Errorf("%s, %s: the capture of the play: %+v", mode, as, again.Conversations)
			}
		}
	}
	one, two := t.TempDir(), t.TempDir()
	for _, out := range []string{one, two} {
		callPlay(t, file, "--as", "client", "--against", "model", "--out", out)
	}
	a, err1 := os.ReadFile(filepath.Join(one, "play.peer.pcapng"))
	b, err2 := os.ReadFile(filepath.Join(two, "play.peer.pcapng"))
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Errorf("a play in TLS is not the same twice: %v, %v", err1, err2)
	}
}

// Without keys, with other keys, or with flags that make no sense, it is refused with
// what to do.
func TestWhatCannotBePlayedInTLSSaysWhy(t *testing.T) {
	with, without, _ := secrets(t)
	plain := testCapture(t, "suricata-mqtt311-pub-qos2.pcap")
	ca, cert, key := makeCertificates(t)
	other := filepath.Join(t.TempDir(), "other.keys")
	if err := os.WriteFile(other, []byte("CLIENT_RANDOM "+strings.Repeat("ab", 32)+" "+strings.Repeat("cd", 48)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"not decrypted: there are no keys: the MQTT messages cannot be read; --keylog names a file": {without, "--as", "client", "--against", "model"},
		"the keys are those of other sessions":                                                      {without, "--as", "client", "--against", "model", "--keylog", other},
		"a broker in TLS needs a certificate":                                                       {with, "--as", "broker", "--against", ":0"},
		"--tls \"maybe\" is none of":                                                                {with, "--as", "client", "--against", "x:1", "--tls", "maybe"},
		"--tls off makes no use of certificates":                                                    {with, "--as", "client", "--against", "x:1", "--tls", "off", "--ca", ca},
		"--against model has certificates of its own":                                               {with, "--as", "client", "--against", "model", "--ca", ca},
		"--tls-cert and --tls-key go together":                                                      {with, "--as", "client", "--against", "x:1", "--tls-cert", cert},
		"--ca, --server-name and --insecure are for --as client":                                    {with, "--as", "broker", "--against", ":0", "--insecure"},
		"--client-ca is for --as broker":                                                            {with, "--as", "client", "--against", "x:1", "--client-ca", ca},
		"--ca and --insecure contradict":                                                            {with, "--as", "client", "--against", "x:1", "--ca", ca, "--insecure"},
		"the conversations are not in TLS":                                                          {plain, "--as", "client", "--against", "x:1", "--ca", ca},
		"--tls on, but the scenario does not speak TLS":                                             {plain, "--as", "client", "--against", "model", "--tls", "on", "--scenario", "clean-link"},
		"no certificate in PEM form":                                                                {with, "--as", "client", "--against", "x:1", "--ca", key},
		"find any PEM data":                                                                         {with, "--as", "broker", "--against", ":0", "--tls-cert", other, "--tls-key", key},
		"--client-ca: open":                                                                         {with, "--as", "broker", "--against", ":0", "--tls-cert", cert, "--tls-key", key, "--client-ca", ca + "x"},
	} {
		code, _, errs := callPlay(t, args...)
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d: %s", args, code, errs)
		}
	}
}

// withoutFrame copies a capture but for one frame.
func withoutFrame(t *testing.T, file string, frame int) string {
	t.Helper()
	reader, closeFile, err := pcaps.Open(file, pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeFile()
	path := filepath.Join(t.TempDir(), "gapped.pcapng")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var w *pcaps.Writer
	for n := 0; ; {
		r, err := reader.Next()
		if err == io.EOF {
			break
		}
		switch {
		case err != nil:
		case r.Section != nil:
			w, err = pcaps.NewWriter(out, *r.Section, pcaps.WriterConfig{})
		case r.Packet != nil:
			if n++; n != frame {
				err = w.Write(r)
			}
		default:
			err = w.Write(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return path
}

// Behind a byte of TLS that is missing nothing can be read: the conversation is played so
// far, and that is said.
func TestATLSSessionWithAGapIsPlayedSoFar(t *testing.T) {
	with, _, _ := secrets(t)
	for frame, as := range map[int]string{42: "client", 43: "broker"} { // of the client's data, of the broker's
		code, r, errs := callPlay(t, withoutFrame(t, with, frame), "--as", as, "--against", "model", "--timing", "fast", "--policy", "follow")
		if r == nil {
			t.Fatalf("%s: exit %d: %s", as, code, errs)
		}
		c := r.Conversations[0]
		if !strings.Contains(strings.Join(c.Flags, ";"), "the end of the "+as+"'s stream") || r.Verdict == play.Faithful || r.Sent.Sent < 8 || r.Sent.NotSent > 0 ||
			!strings.Contains(c.TLS, "then bytes are missing in the capture") {
			t.Errorf("%s: exit %d, %s: %+v", as, code, r.Verdict, c)
		}
	}
}

// Clients that connect and say nothing are bounded in number, and each is counted.
func TestSilentClientsAreBoundedAndCounted(t *testing.T) {
	_, cert, key := makeCertificates(t)
	const clients = 300
	code, r, errs := serve(t, testCapture(t, "suricata-mqtt311-pub-qos2.pcap"), func(address string) {
		var all []net.Conn
		for range clients {
			if c, err := net.Dial("tcp", address); err == nil { // else it was reset at once
				all = append(all, c)
			}
		}
		_, _ = all[len(all)-1].Read(make([]byte, 1)) // the last one is refused, at last
		for _, c := range all {
			_ = c.Close()
		}
	}, "--tls", "on", "--tls-cert", cert, "--tls-key", key, "--accept", "3s")
	if code != exitFail || r.Strangers != clients || !strings.Contains(errs, "256 clients shake hands already") {
		t.Errorf("exit %d: %d connections: %v: %.300s", code, r.Strangers, r.StrangerReasons, errs)
	}
}
