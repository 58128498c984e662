package tlsdec

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"hilnet/pcaps/flow"
)

// A hostile stream of either side: what must be said of it. Memory stays bounded,
// and none takes longer than its bytes deserve.
func TestHostileStreamsAreReadToAClearWord(t *testing.T) {
	record := func(kind byte, body string) string {
		return string([]byte{kind, 3, 3, byte(len(body) >> 8), byte(len(body))}) + body
	}
	const million = 1_000_000
	for _, tc := range []struct{ name, up, want string }{
		{"a record of 65535 bytes", "\x17\x03\x03\xff\xff" + strings.Repeat("x", 70_000), "what comes is no TLS record"},
		{"a record a byte too long", "\x16\x03\x03\x48\x01" + strings.Repeat("x", 20_000), "what comes is no TLS record"},
		{"a million records of a byte", strings.Repeat(record(kindHandshake, "\x01"), million), "no application data"},
		{"a million empty records", strings.Repeat(record(kindHandshake, ""), million), "no application data"},
		{"a million alerts", strings.Repeat(record(kindAlert, "\x01\x00"), million), "no application data"},
		{"a million changes of cipher", strings.Repeat(record(kindChange, "\x01"), million), "no application data"},
		{"a handshake message of 16 MB", record(kindHandshake, "\x0b\xff\xff\xff"), "a handshake that is too long"},
		{"data without a handshake", record(kindApplication, "x"), notFromTheStart},
		{"a key update out of the blue", record(kindHandshake, "\x18\x00\x00\x01\x00"), "no application data"},
		{"a request to renegotiate out of the blue", record(kindHandshake, "\x00\x00\x00\x00"), "no application data"},
	} {
		keys := new(Keys)
		s := keys.Open(nil).(*Session)
		s.Data(flow.SideA, []byte(tc.up), func([]byte) { t.Errorf("%s: something was read", tc.name) })
		if keys.held > MaxBuffered {
			t.Errorf("%s: %d bytes are held", tc.name, keys.held)
		}
		s.End()
		if keys.held != 0 || !strings.Contains(s.String(), tc.want) {
			t.Errorf("%s: %d bytes held at the end, %v", tc.name, keys.held, s)
		}
	}
}

// What comes in small records within a session is read as well.
func TestManySmallRecordsOfASessionAreRead(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 48)
	suite := suites[tls.TLS_RSA_WITH_AES_128_GCM_SHA256]
	o, _, err := openers12(&suite, secret, make([]byte, 32), make([]byte, 32), false)
	if err != nil {
		t.Fatal(err)
	}
	const records = 100_000
	var stream []byte
	for n := range uint64(records) { // the other end of the opener, which only opens
		nonce := binary.BigEndian.AppendUint64(bytes.Clone(o.iv), n)
		var extra [13]byte
		(&opener{seq: n}).header(extra[:], kindApplication, tls.VersionTLS12, 1)
		stream = append(stream, kindApplication, 3, 3, 0, 25)
		stream = append(stream, nonce[4:]...)
		stream = o.aead.Seal(stream, nonce, []byte{byte(n)}, extra[:])
	}
	s := &Session{keys: new(Keys), client: flow.SideA, version: tls.VersionTLS12, hellos: 3, ready: true}
	s.halves[0].opener, s.halves[0].encrypted = o, true
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for part := range slices.Chunk(stream, 1460) {
		s.Data(flow.SideA, part, func(plain []byte) {
			if len(plain) != 1 || plain[0] != byte(n) {
				t.Fatalf("record %d: %x", n, plain)
			}
			n++
		})
	}
	runtime.ReadMemStats(&after)
	if n != records {
		t.Errorf("%d of %d records: %v", n, records, s)
	}
	if a := (after.TotalAlloc - before.TotalAlloc) / records; a > 400 {
		t.Errorf("%d bytes are allocated for a record of one", a)
	}
}

// Every suite, with a secret and a record of any bytes: no panic, and what opens is
// not longer than what was sealed.
func FuzzOpen(f *testing.F) {
	all := slices.Sorted(maps.Keys(suites))
	for i := range all {
		f.Add(uint16(i), bytes.Repeat([]byte{1}, 48), false, byte(kindApplication), bytes.Repeat([]byte{2}, 80))
	}
	f.Add(uint16(0), []byte{}, true, byte(0), []byte{})
	f.Fuzz(func(t *testing.T, number uint16, secret []byte, etm bool, kind byte, body []byte) {
		known := suites[all[int(number)%len(all)]]
		var openers []*opener
		if client, server, err := openers12(&known, secret, secret, body, etm); err == nil {
			openers = append(openers, client, server)
		}
		if known.aead != nil {
			if o, err := opener13(&known, secret); err == nil {
				openers = append(openers, o)
			}
		}
		for _, o := range openers {
			if plain, err := o.open(kind, tls.VersionTLS12, bytes.Clone(body)); err == nil && len(plain) > len(body) {
				t.Errorf("%d bytes of %d", len(plain), len(body))
			}
		}
	})
}
