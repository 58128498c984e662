package tlsdec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/tls"
	"encoding/binary"
	"hash"
)

// A suite is what matters of a cipher suite here.
type suite struct {
	key, mac int // lengths
	aead     func(key []byte) (cipher.AEAD, error)
	macHash  func() hash.Hash // of CBC
	prf      func() hash.Hash
	explicit bool // part of the nonce stands in the record: GCM and CCM of TLS 1.2
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func chachaAEAD(key []byte) (cipher.AEAD, error) { return newChaCha(key), nil }

// suites are those of TLS 1.2 and 1.3 that are read, by number, of IANA's
// registry. Those with DHE and PSK are here as well: key exchange does not matter.
var suites = func() map[uint16]suite {
	all := map[uint16]suite{
		tls.TLS_AES_128_GCM_SHA256:       {key: 16, aead: gcm, prf: sha256.New},
		tls.TLS_AES_256_GCM_SHA384:       {key: 32, aead: gcm, prf: sha512.New384},
		tls.TLS_CHACHA20_POLY1305_SHA256: {key: chachaKey, aead: chachaAEAD, prf: sha256.New},
	}
	add := func(s suite, numbers ...uint16) {
		for _, n := range numbers {
			all[n] = s
		}
	}
	// RSA, DHE_RSA, ECDHE_ECDSA, ECDHE_RSA, PSK in this order, as far as there are such.
	add(suite{key: 16, aead: gcm, prf: sha256.New, explicit: true}, 0x009C, 0x009E, 0xC02B, 0xC02F, 0x00A8)
	add(suite{key: 32, aead: gcm, prf: sha512.New384, explicit: true}, 0x009D, 0x009F, 0xC02C, 0xC030, 0x00A9)
	add(suite{key: chachaKey, aead: chachaAEAD, prf: sha256.New}, 0xCCAA, 0xCCA9, 0xCCA8, 0xCCAB, 0xCCAC)
	add(suite{key: 16, aead: ccmAEAD(ccmTag), prf: sha256.New}, 0x1304)
	add(suite{key: 16, aead: ccmAEAD(ccmTag8), prf: sha256.New}, 0x1305)
	// RSA, DHE_RSA, PSK, DHE_PSK, ECDHE_ECDSA; with eight bytes ECJPAKE too.
	add(suite{key: 16, aead: ccmAEAD(ccmTag), prf: sha256.New, explicit: true}, 0xC09C, 0xC09E, 0xC0A4, 0xC0A6, 0xC0AC)
	add(suite{key: 32, aead: ccmAEAD(ccmTag), prf: sha256.New, explicit: true}, 0xC09D, 0xC09F, 0xC0A5, 0xC0A7, 0xC0AD)
	add(suite{key: 16, aead: ccmAEAD(ccmTag8), prf: sha256.New, explicit: true}, 0xC0A0, 0xC0A2, 0xC0A8, 0xC0AA, 0xC0AE, 0xC0FF)
	add(suite{key: 32, aead: ccmAEAD(ccmTag8), prf: sha256.New, explicit: true}, 0xC0A1, 0xC0A3, 0xC0A9, 0xC0AB, 0xC0AF)
	add(suite{key: 16, mac: 20, macHash: sha1.New, prf: sha256.New}, 0x002F, 0x0033, 0xC009, 0xC013, 0x008C)
	add(suite{key: 32, mac: 20, macHash: sha1.New, prf: sha256.New}, 0x0035, 0x0039, 0xC00A, 0xC014, 0x008D)
	add(suite{key: 16, mac: 32, macHash: sha256.New, prf: sha256.New}, 0x003C, 0x0067, 0xC023, 0xC027, 0x00AE)
	add(suite{key: 32, mac: 32, macHash: sha256.New, prf: sha256.New}, 0x003D, 0x006B)
	add(suite{key: 32, mac: 48, macHash: sha512.New384, prf: sha512.New384}, 0xC024, 0xC028, 0x00AF)
	return all
}()

// An opener decrypts the records of one direction, in their order.
type opener struct {
	version uint16
	suite   *suite
	seq     uint64
	aead    cipher.AEAD
	block   cipher.Block
	iv      []byte
	macKey  []byte
	etm     bool // the MAC is over what is encrypted: RFC 7366
}

// open decrypts a record: its type, and its body, which is overwritten.
func (o *opener) open(kind byte, version uint16, body []byte) ([]byte, error) {
	defer func() { o.seq++ }()
	if o.aead == nil {
		return o.openCBC(kind, version, body)
	}
	var extra [13]byte
	nonce := make([]byte, 12)
	if o.version >= tls.VersionTLS13 {
		o.mask(nonce)
		extra[0], extra[1], extra[2] = kind, byte(version>>8), byte(version)
		binary.BigEndian.PutUint16(extra[3:], uint16(len(body)))
		return o.aead.Open(body[:0:0], nonce, body, extra[:5])
	}
	if o.suite.explicit {
		if len(body) < 8 {
			return nil, errOpen
		}
		copy(nonce, o.iv)
		copy(nonce[4:], body[:8])
		body = body[8:]
	} else {
		o.mask(nonce)
	}
	if len(body) < o.aead.Overhead() {
		return nil, errOpen
	}
	o.header(extra[:], kind, version, len(body)-o.aead.Overhead())
	return o.aead.Open(body[:0:0], nonce, body, extra[:])
}

// mask makes the nonce of RFC 8446 5.3.
func (o *opener) mask(nonce []byte) {
	copy(nonce, o.iv)
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], o.seq)
	for i := range seq {
		nonce[4+i] ^= seq[i]
	}
}

// header is what a MAC covers beside the data: RFC 5246 6.2.3.1.
func (o *opener) header(b []byte, kind byte, version uint16, length int) {
	binary.BigEndian.PutUint64(b, o.seq)
	b[8], b[9], b[10] = kind, byte(version>>8), byte(version)
	binary.BigEndian.PutUint16(b[11:], uint16(length))
}

// openCBC is RFC 5246 6.2.3.2.
func (o *opener) openCBC(kind byte, version uint16, body []byte) ([]byte, error) {
	mac := []byte(nil)
	if o.etm {
		if len(body) < o.suite.mac {
			return nil, errOpen
		}
		body, mac = body[:len(body)-o.suite.mac], body[len(body)-o.suite.mac:]
		if !o.verify(kind, version, body, mac) {
			return nil, errOpen
		}
	}
	if len(body) < 2*aes.BlockSize || len(body)%aes.BlockSize != 0 {
		return nil, errOpen
	}
	iv, data := body[:aes.BlockSize], body[aes.BlockSize:]
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(o.block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1]) + 1
	if pad > len(plain) {
		return nil, errOpen
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad-1 {
			return nil, errOpen
		}
	}
	plain = plain[:len(plain)-pad]
	if o.etm {
		return plain, nil
	}
	if len(plain) < o.suite.mac {
		return nil, errOpen
	}
	plain, mac = plain[:len(plain)-o.suite.mac], plain[len(plain)-o.suite.mac:]
	if !o.verify(kind, version, plain, mac) {
		return nil, errOpen
	}
	return plain, nil
}

func (o *opener) verify(kind byte, version uint16, data, mac []byte) bool {
	var header [13]byte
	o.header(header[:], kind, version, len(data))
	h := hmac.New(o.suite.macHash, o.macKey)
	h.Write(header[:])
	h.Write(data)
	return subtle.ConstantTimeCompare(h.Sum(nil), mac) == 1
}

// expand12 is the PRF of RFC 5246 5.
func expand12(h func() hash.Hash, secret []byte, label string, seed []byte, n int) []byte {
	seed = append([]byte(label), seed...)
	mac := func(parts ...[]byte) []byte {
		m := hmac.New(h, secret)
		for _, p := range parts {
			m.Write(p)
		}
		return m.Sum(nil)
	}
	var out []byte
	for a := mac(seed); len(out) < n; a = mac(a) {
		out = append(out, mac(a, seed)...)
	}
	return out[:n]
}

// openers12 makes the openers of TLS 1.2 for client and server: RFC 5246 6.3.
func openers12(s *suite, master, clientRandom, serverRandom []byte, etm bool) (client, server *opener, err error) {
	iv := 0
	if s.aead != nil {
		iv = 12
		if s.explicit {
			iv = 4
		}
	}
	seed := append(append([]byte(nil), serverRandom...), clientRandom...)
	block := expand12(s.prf, master, "key expansion", seed, 2*(s.mac+s.key+iv))
	take := func(n int) []byte {
		b := block[:n]
		block = block[n:]
		return b
	}
	client, server = &opener{version: tls.VersionTLS12, suite: s, etm: etm}, &opener{version: tls.VersionTLS12, suite: s, etm: etm}
	client.macKey, server.macKey = take(s.mac), take(s.mac)
	keys := [2][]byte{take(s.key), take(s.key)}
	client.iv, server.iv = take(iv), take(iv)
	for i, o := range []*opener{client, server} {
		if s.aead != nil {
			o.aead, err = s.aead(keys[i])
		} else {
			o.block, err = aes.NewCipher(keys[i])
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return client, server, nil
}

// opener13 makes an opener of TLS 1.3 from a traffic secret: RFC 8446 7.3.
func opener13(s *suite, secret []byte) (*opener, error) {
	if s.aead == nil { // of a session that was renegotiated to another version half-way
		return nil, errOpen
	}
	key, err := expand13(s, secret, "key", s.key)
	if err != nil {
		return nil, err
	}
	iv, err := expand13(s, secret, "iv", 12)
	if err != nil {
		return nil, err
	}
	o := &opener{version: tls.VersionTLS13, suite: s, iv: iv}
	o.aead, err = s.aead(key)
	return o, err
}

// expand13 is HKDF-Expand-Label of RFC 8446 7.1 without a context.
func expand13(s *suite, secret []byte, label string, n int) ([]byte, error) {
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	return hkdf.Expand(s.prf, secret, string(append(info, 0)), n)
}
