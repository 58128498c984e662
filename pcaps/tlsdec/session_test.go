package tlsdec

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hilnet/emu/certs"
	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/sim"
)

// RFC 8439 2.8.2.
func TestChaCha20Poly1305OpensTheVectorOfTheRFC(t *testing.T) {
	key := make([]byte, 32)
	for i := range key {
		key[i] = 0x80 + byte(i)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sealed := unhex("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691")
	nonce, extra := unhex("070000004041424344454647"), unhex("50515253c0c1c2c3c4c5c6c7")
	plain, err := newChaCha(key).Open(nil, nonce, sealed, extra)
	if want := "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."; err != nil || string(plain) != want {
		t.Fatalf("%q, %v", plain, err)
	}
	for _, i := range []int{0, 60, len(sealed) - 1} {
		broken := bytes.Clone(sealed)
		broken[i] ^= 1
		if _, err := newChaCha(key).Open(nil, nonce, broken, extra); err == nil {
			t.Errorf("byte %d is wrong, and the record verifies", i)
		}
	}
}

// A tap is a connection that notes what is written to it.
type tap struct {
	net.Conn
	mu   *sync.Mutex
	seen *[]piece
	side flow.Side
}

type piece struct {
	side flow.Side
	data []byte
}

func (c tap) Write(b []byte) (int, error) {
	c.mu.Lock()
	*c.seen = append(*c.seen, piece{c.side, bytes.Clone(b)})
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// session is what crypto/tls writes in a session with a few messages each way.
func session(t testing.TB, version, suite uint16) (seen []piece, keys []byte) {
	t.Helper()
	var log bytes.Buffer
	valid := certs.Validity{From: time.Unix(0, 0), Until: time.Unix(1<<33, 0)}
	key, err := rsaOnce()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certs.NewAuthority(rand.Reader, "ca", key, valid)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue(certs.Request{Name: "b", Server: true, Key: key, Valid: valid})
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{
		Certificates: []tls.Certificate{*cert}, InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
		CipherSuites: []uint16{suite}, KeyLogWriter: &log,
	}
	a, b := net.Pipe()
	var mu sync.Mutex
	client, server := tls.Client(tap{a, &mu, &seen, flow.SideA}, cfg), tls.Server(tap{b, &mu, &seen, flow.SideB}, cfg.Clone())
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 40_000)
		for {
			n, err := server.Read(buf)
			if err != nil {
				done <- server.Close()
				return
			}
			if _, err := server.Write([]byte("you said " + string(buf[:n]))); err != nil {
				done <- err
				return
			}
		}
	}()
	for i := range 5 {
		if _, err := fmt.Fprintf(client, "message %d", i); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	client.Close()
	<-done
	return seen, log.Bytes()
}

// readAll gives a Session pieces, each in parts of n bytes.
func readAll(keys *Keys, seen []piece, n int) (up, down string, s *Session) {
	s = keys.Open(nil).(*Session)
	for _, p := range seen {
		for part := range slices.Chunk(p.data, n) {
			s.Data(p.side, part, func(plain []byte) {
				if p.side == flow.SideA {
					up += string(plain)
				} else {
					down += string(plain)
				}
			})
		}
	}
	s.End()
	return up, down, s
}

const (
	wantUp   = "message 0message 1message 2message 3message 4"
	wantDown = "you said message 0you said message 1you said message 2you said message 3you said message 4"
)

func TestItReadsWhatGoSpeaks(t *testing.T) {
	for _, tc := range []struct{ version, suite uint16 }{
		{tls.VersionTLS13, 0},
		{tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_CBC_SHA256},
		{tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
		{tls.VersionTLS12, tls.TLS_RSA_WITH_AES_256_CBC_SHA},
		{tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256},
		{tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA},
		{tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
		{tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
		{tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
	} {
		seen, log := session(t, tc.version, tc.suite)
		keys := new(Keys)
		keys.Add(log)
		for _, n := range []int{1, 7, 1 << 20} {
			up, down, s := readAll(keys, seen, n)
			if up != wantUp || down != wantDown || !strings.Contains(s.String(), "decrypted: 10 records, 135 bytes") {
				t.Errorf("%s in parts of %d: %q, %q, %v", tls.CipherSuiteName(tc.suite), n, up, down, s)
			}
			if keys.held != 0 {
				t.Errorf("%d bytes are held at the end", keys.held)
			}
		}
		other := new(Keys)
		_, otherLog := session(t, tc.version, tc.suite)
		other.Add(otherLog)
		if up, _, s := readAll(other, seen, 1<<20); up != "" || !strings.Contains(s.String(), "keys are those of other sessions") {
			t.Errorf("keys of another session: %q, %v", up, s)
		}
		if up, _, s := readAll(new(Keys), seen, 1<<20); up != "" || !strings.Contains(s.String(), "there are no keys") {
			t.Errorf("no keys: %q, %v", up, s)
		}
		wrong := new(Keys)
		wrong.Add(log)
		for _, secret := range wrong.secrets {
			secret[3] ^= 1
		}
		if up, _, s := readAll(wrong, seen, 1<<20); up != "" || !strings.Contains(s.String(), "does not verify") {
			t.Errorf("wrong keys: %q, %v", up, s)
		}
		if up, down, s := readAll(keys, slices.DeleteFunc(slices.Clone(seen), func(p piece) bool { return p.side == flow.SideA }), 99); up+down != "" {
			t.Errorf("one direction alone: %q, %v", down, s)
		}
		if up, down, _ := readAll(keys, seen[4:], 99); up+down != "" {
			t.Errorf("the start is missing, and %q %q was read", up, down)
		}
	}
}

func TestAGapEndsADirection(t *testing.T) {
	seen, log := session(t, tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_CBC_SHA256)
	keys := new(Keys)
	keys.Add(log)
	s := keys.Open(nil).(*Session)
	var up, down int
	for i, p := range seen {
		if i == len(seen)/2 {
			s.Gap(flow.SideA)
		}
		s.Data(p.side, p.data, func([]byte) {
			if p.side == flow.SideA {
				up++
			} else {
				down++
			}
		})
	}
	if up == 0 || up == 5 || down != 5 || !strings.Contains(s.String(), "decrypted in part") || !strings.Contains(s.String(), "bytes are missing") {
		t.Errorf("%d up, %d down, %v", up, down, s)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	keys := new(Keys)
	log := bytes.Buffer{}
	for i := range MaxSecrets + 10 {
		fmt.Fprintf(&log, "CLIENT_RANDOM %064x %096x\n", i, i)
	}
	keys.Add(log.Bytes())
	if keys.Len() != MaxSecrets || keys.Refused() != 10 {
		t.Errorf("%d secrets, %d refused", keys.Len(), keys.Refused())
	}
	record := append([]byte{22, 3, 3, 0x40, 0}, make([]byte, 16383)...) // a byte short
	gaveUp := 0
	for range 2000 {
		s := keys.Open(nil).(*Session)
		s.Data(flow.SideA, record, func([]byte) {})
		if s.halves[0].dead {
			gaveUp++
		}
	}
	if keys.held > MaxBuffered || gaveUp == 0 {
		t.Errorf("%d bytes held, %d sessions given up", keys.held, gaveUp)
	}
}

// messages are those that flow finds in a capture.
type messages struct{ flow []string }

func (*messages) Data(*flow.Chunk) {}
func (m *messages) Message(x *flow.Message) {
	m.flow = append(m.flow, fmt.Sprint(x.Type, " ", x.Len))
}
func (*messages) Notice(*flow.Notice) {}

// A capture of mosquitto with OpenSSL, and what tshark sees in it.
func TestItReadsWhatTsharkReads(t *testing.T) {
	linktest.Require(t, "tshark")
	for _, name := range []string{"mqtts13-q1-clean.dev", "mqtts13-q1-clean.broker"} {
		path := linktest.Data(t, "captures/groundtruth/"+name+".dsb.pcapng")
		keys, got := new(Keys), &messages{}
		table, err := flow.New(flow.Config{Secure: keys.Open}, got)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		reader, err := pcaps.NewReader(file, pcaps.ReaderConfig{})
		if err != nil {
			t.Fatal(err)
		}
		for n := uint64(0); ; {
			r, err := reader.Next()
			if err != nil {
				break
			}
			if r.Secrets != nil {
				keys.Add(r.Secrets.Data)
			}
			if p := r.Packet; p != nil {
				n++
				table.Feed(flow.Frame{Data: p.Data, Link: flow.LinkType(p.LinkType), At: sim.Time(p.Time), Number: n})
			}
		}
		table.Close()
		out := linktest.Tshark(t, "-r", path, "-Y", "mqtt", "-T", "fields", "-e", "mqtt.msgtype")
		want := strings.FieldsFunc(out, func(r rune) bool { return r == '\n' || r == ',' })
		if len(got.flow) != len(want) || len(want) < 40 {
			t.Errorf("%s: %d messages, tshark has %d", name, len(got.flow), len(want))
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("CLIENT_RANDOM " + strings.Repeat("ab", 32) + " " + strings.Repeat("cd", 48) + "\n# a comment\nnonsense\n"))
	f.Fuzz(func(t *testing.T, log []byte) {
		keys := new(Keys)
		keys.Add(log)
		if n := uint64(bytes.Count(log, []byte("\n")) + 1); uint64(keys.Len())+keys.Unread() > n {
			t.Errorf("%d secrets and %d others in %d lines", keys.Len(), keys.Unread(), n)
		}
	})
}

// A session of any bytes, cut anywhere: no panic, bounded memory, and the same
// plaintext however it is cut.
func FuzzSession(f *testing.F) {
	seen, log := session(f, tls.VersionTLS13, 0)
	keys := new(Keys)
	keys.Add(log)
	var up, down []byte
	for _, p := range seen {
		if p.side == flow.SideA {
			up = append(up, p.data...)
		} else {
			down = append(down, p.data...)
		}
	}
	f.Add(up, down, 100)
	f.Add([]byte{22, 3, 1, 0, 4, 1, 0, 0, 0}, []byte{22, 3, 3, 0, 2, 2, 0}, 1)
	f.Fuzz(func(t *testing.T, up, down []byte, n int) {
		n = min(max(n, 1), 1<<16)
		pieces := []piece{}
		if len(up) > 0 {
			k := min(len(up), 400)
			pieces = append(pieces, piece{flow.SideA, up[:k]}, piece{flow.SideB, down}, piece{flow.SideA, up[k:]})
		}
		a1, b1, s1 := readAll(keys, pieces, n)
		a2, b2, s2 := readAll(keys, pieces, 1<<20)
		if a1 != a2 || b1 != b2 || s1.String() != s2.String() {
			t.Errorf("in parts of %d: %q %q %v, whole: %q %q %v", n, a1, b1, s1, a2, b2, s2)
		}
		if keys.held != 0 {
			t.Errorf("%d bytes are held", keys.held)
		}
	})
}

// rsaOnce makes the key of all certificates here.
var rsaOnce = sync.OnceValues(func() (crypto.Signer, error) { return certs.NewRSA(rand.Reader) })
