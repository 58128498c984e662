package tlsdec

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"hilnet/pcaps/flow"
)

// hello is a record with a ClientHello or ServerHello, of random numbers that are
// zero. A version above 1.2 stands in the extension.
func hello(kind byte, version, suite uint16) string {
	legacy := min(version, tls.VersionTLS12)
	body := append([]byte{byte(legacy >> 8), byte(legacy)}, make([]byte, randomLength+1)...) // and no session identifier
	body = append(body, byte(suite>>8), byte(suite), 0)
	if version > tls.VersionTLS12 {
		body = append(body, 0, 6, 0, extensionVersions, 0, 2, byte(version>>8), byte(version))
	}
	body = append([]byte{kind, 0, 0, byte(len(body))}, body...)
	return string([]byte{kindHandshake, 3, 3, 0, byte(len(body))}) + string(body)
}

// A capture brings its keys along, so whoever makes one also chooses what they are
// used for: hellos that contradict themselves or each other are read to a clear word.
func TestHellosThatContradictThemselvesAreReadToAClearWord(t *testing.T) {
	const ended = "\x16\x03\x03\x00\x04\x14\x00\x00\x00" // Finished, in clear
	const data = "\x17\x03\x03\x00\x28" + "0123456789012345678901234567890123456789"
	for _, tc := range []struct{ name, down, want string }{
		{"TLS 1.3 with a suite of 1.2", hello(serverHello, tls.VersionTLS13, tls.TLS_RSA_WITH_AES_128_CBC_SHA256) + data, "the cipher suite TLS_RSA_WITH_AES_128_CBC_SHA256 is none of TLS 1.3"},
		{"TLS 1.2 with a suite of 1.3", hello(serverHello, tls.VersionTLS12, tls.TLS_AES_128_GCM_SHA256) + "\x14\x03\x03\x00\x01\x01" + data, "the cipher suite TLS_AES_128_GCM_SHA256 is none of TLS 1.2"},
		{"a second ServerHello, with an unknown suite", hello(serverHello, tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256) + hello(serverHello, tls.VersionTLS13, 0x1399) + ended, "a handshake in clear behind a ServerHello of TLS 1.3"},
		{"a Finished in clear", hello(serverHello, tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256) + ended, "a handshake in clear behind a ServerHello of TLS 1.3"},
		{"TLS 1.1", hello(serverHello, tls.VersionTLS11, tls.TLS_RSA_WITH_AES_128_CBC_SHA) + "\x14\x03\x02\x00\x01\x01" + data, "TLS 1.1 is not read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keys := new(Keys)
			for label := range labels {
				keys.Add(fmt.Appendf(nil, "%s %064d %064d\n", label, 0, 7))
			}
			s := keys.Open(nil).(*Session)
			none := func([]byte) { t.Error("something was read") }
			s.Data(flow.SideA, []byte(hello(clientHello, tls.VersionTLS12, 0)), none)
			s.Data(flow.SideB, []byte(tc.down), none)
			s.End()
			if keys.held != 0 || !strings.Contains(s.String(), tc.want) {
				t.Errorf("%d bytes are held, %v", keys.held, s)
			}
		})
	}
}

// RFC 5246 6.2.3.2: each byte of the padding is its length, and a record in which
// one is not has not been taken by its receiver.
func TestPaddingThatIsWrongIsNotTaken(t *testing.T) {
	for _, etm := range []bool{false, true} {
		known := suites[tls.TLS_RSA_WITH_AES_128_CBC_SHA256]
		secret := bytes.Repeat([]byte{7}, 48)
		for _, tc := range []struct {
			pad  string
			want bool
		}{{"\x03\x03\x03\x03", true}, {"\x03\x00\x03\x03", false}, {strings.Repeat("\x13", 20), true}, {"\x12" + strings.Repeat("\x13", 19), false}} {
			o, _, err := openers12(&known, secret, make([]byte, 32), make([]byte, 32), etm)
			if err != nil {
				t.Fatal(err)
			}
			mac := func(data []byte) []byte {
				var header [13]byte
				o.header(header[:], kindApplication, tls.VersionTLS12, len(data))
				h := hmac.New(known.macHash, o.macKey)
				h.Write(header[:])
				h.Write(data)
				return h.Sum(nil)
			}
			plain := []byte("twelve bytes")
			if !etm {
				plain = append(plain, mac(plain)...)
			}
			plain = append(plain, tc.pad...)
			iv := make([]byte, aes.BlockSize)
			cipher.NewCBCEncrypter(o.block, iv).CryptBlocks(plain, plain)
			body := append(iv, plain...)
			if etm {
				body = append(body, mac(body)...)
			}
			got, err := o.open(kindApplication, tls.VersionTLS12, body)
			if (err == nil) != tc.want || tc.want && string(got) != "twelve bytes" {
				t.Errorf("etm %v, padding %x: %q, %v", etm, tc.pad, got, err)
			}
		}
	}
}
