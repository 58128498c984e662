package taskconn_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"sync"
	"testing"
	"time"

	"hilnet/sim"
	"hilnet/sim/taskconn"
)

// A world is a TLS client and a server on one loop, on Tasks of their own, and a
// hash over every (time, direction, bytes) between them.
type world struct {
	t    testing.TB
	loop *sim.Loop
	sum  hash.Hash

	client, server *taskconn.Conn
	frames         int
	shared         bool // sabotage: both ends draw from one stream
	plain          bool // sabotage: a reader that moves on with each byte
}

// epoch is the moment at which the worlds' clocks begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *world) now() time.Time { return epoch.Add(time.Duration(w.loop.Now())) }

// carry takes what one end wrote to the other, in pieces and later.
func (w *world) carry(name string, from, to *taskconn.Conn) {
	data := from.Take()
	for i := 0; len(data) > 0; i++ {
		n := min(len(data), 700)
		piece := data[:n]
		data = data[n:]
		w.loop.After(20*time.Millisecond+time.Duration(i)*time.Millisecond, func() {
			fmt.Fprintf(w.sum, "%d %s %x\n", w.loop.Now(), name, piece)
			w.frames++
			to.Feed(piece)
		})
	}
}

// plainReader is a Rand without its answer to single bytes.
type plainReader struct{ *sim.Rand }

func (w *world) rand(seed uint64, path string) io.Reader {
	if w.plain {
		return plainReader{sim.NewRand(seed, path)}
	}
	return taskconn.NewRand(seed, path)
}

// identity makes a certificate whose key is of a kind, all from one reader.
func identity(t testing.TB, kind string, from io.Reader) tls.Certificate {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), from)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(from)
	case "rsa":
		key, err = rsaKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, DNSNames: []string{"broker"},
		NotBefore: epoch.Add(-time.Hour), NotAfter: epoch.Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(from, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// rsaKey is made once: it takes its time.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) {
	return rsa.GenerateKey(taskconn.NewRand(1, "test/rsa"), 2048)
})

// talk runs a session of twenty messages each way and returns the hash.
func (w *world) talk(seed uint64, version uint16, suite uint16, kind string) string {
	t := w.t
	t.Helper()
	if err := taskconn.Repeatable(); err != nil {
		t.Fatal(err)
	}
	w.loop, w.sum = sim.NewLoop(sim.Config{Seed: seed}), sha256.New()
	cert := identity(t, kind, w.rand(seed, "identity"))
	common := tls.Config{
		MinVersion: version, MaxVersion: version, CipherSuites: []uint16{suite}, Time: w.now,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}, SessionTicketsDisabled: true,
	}
	serve, dial := common.Clone(), common.Clone()
	serve.Certificates, serve.Rand = []tls.Certificate{cert}, w.rand(seed, "server")
	dial.Rand, dial.ServerName, dial.RootCAs = w.rand(seed, "client"), "broker", x509.NewCertPool()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	dial.RootCAs.AddCert(leaf)
	var echoed []byte
	w.loop.Go("server", func(task *sim.Task) {
		w.server = taskconn.OnTask(task, taskconn.Config{Wrote: func() { w.carry("down", w.server, w.client) }})
		c := tls.Server(w.server, serve)
		if _, err := io.Copy(c, c); err != nil {
			t.Errorf("server: %v", err)
		}
		c.Close()
	})
	w.loop.Go("client", func(task *sim.Task) {
		w.client = taskconn.OnTask(task, taskconn.Config{Wrote: func() { w.carry("up", w.client, w.server) }})
		c := tls.Client(w.client, dial)
		for i := range 20 {
			if _, err := fmt.Fprintf(c, "message %d", i); err != nil {
				t.Errorf("client: %v", err)
				return
			}
			b := make([]byte, 64)
			n, err := c.Read(b)
			if err != nil {
				t.Errorf("client: %v", err)
				return
			}
			echoed = append(append(echoed, b[:n]...), '\n')
			task.Sleep(100 * time.Millisecond)
		}
		c.Close()
		w.loop.After(time.Second, func() { w.server.Fail(io.EOF) })
	})
	if err := errors.Join(w.loop.Run(sim.Time(time.Minute)), w.loop.Close()); err != nil {
		t.Fatal(err)
	}
	want := ""
	for i := range 20 {
		want += fmt.Sprintf("message %d\n", i)
	}
	if string(echoed) != want {
		t.Fatalf("%x with %s: echoed %q", version, kind, echoed)
	}
	return hex.EncodeToString(w.sum.Sum(nil)[:8])
}

// sessions are the kinds of session that repeat.
var sessions = []struct {
	version, suite uint16
	kind           string
}{
	{tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "rsa"},
	{tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "rsa"},
	{tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ecdsa"},
	{tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256, "ecdsa"},
	{tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256, "ed25519"},
	{tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256, "rsa"},
}

// digest is one line over all kinds of session.
func digest(t testing.TB, w world, seed uint64) string {
	line := ""
	for _, s := range sessions {
		w.t = t
		line += fmt.Sprintf("%x/%s=%s ", s.version, s.kind, w.talk(seed, s.version, s.suite, s.kind))
	}
	return line
}
