package anonymize

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// A domain keeps the uses of the key apart.
type domain byte

const (
	domainFirstOctets domain = iota + 1
	domainIPv6Prefix
	domainOUI
	domainDevice
	domainInterfaceHigh
	domainGroup
	domainMulticastMAC
	domainWord
	domainLongWord
	domainPayload
)

// A secret makes numbers of the key that look random.
type secret struct {
	mac   hash.Hash
	block cipher.Block
	sum   [sha256.Size]byte
}

func newSecret(key []byte) *secret {
	s := &secret{mac: hmac.New(sha256.New, key)}
	own := s.random(0, []byte("addresses"))
	s.block, _ = aes.NewCipher(own[:16]) // 16 bytes are a key
	return s
}

// random returns 32 bytes for what is given.
func (s *secret) random(d domain, parts ...[]byte) [sha256.Size]byte {
	s.mac.Reset()
	var n [5]byte
	n[0] = byte(d)
	for _, p := range parts {
		binary.BigEndian.PutUint32(n[1:], uint32(len(p)))
		s.mac.Write(n[:])
		s.mac.Write(p)
	}
	s.mac.Sum(s.sum[:0])
	return s.sum
}

// number is random as a number of what is given.
func (s *secret) number(d domain, values ...uint64) uint64 {
	var b [48]byte
	for i, v := range values {
		binary.BigEndian.PutUint64(b[8*i:], v)
	}
	r := s.random(d, b[:8*len(values)])
	return binary.BigEndian.Uint64(r[:])
}

// rounds of the Feistel networks below: 8 and more of them with a strong function make
// a permutation that looks random (M. Luby and C. Rackoff, 1988; NIST SP 800-38G).
const rounds = 10

// permute permutes the numbers of n bits, n even.
func (s *secret) permute(d domain, n uint, v uint64) uint64 {
	half := n / 2
	mask := uint64(1)<<half - 1
	a, b := v>>half, v&mask
	for r := range uint64(rounds) {
		a, b = b, a^s.number(d, r, uint64(n), b)&mask
	}
	return a<<half | b
}

// bits permutes the n highest bits of v such that what two values have in common in
// front, their results have as well.
func (s *secret) prefix(d domain, v uint64, n uint) uint64 {
	var in, out [16]byte
	result := v
	for i := range n {
		in = [16]byte{byte(d), byte(i)}
		if i > 0 {
			binary.BigEndian.PutUint64(in[8:], v>>(64-i)<<(64-i))
		}
		s.block.Encrypt(out[:], in[:])
		result ^= uint64(out[0]&1) << (63 - i)
	}
	return result
}

// letters writes characters that look random for a seed, from position at on.
func (s *secret) letters(out []byte, seed []byte, at int64) {
	var in, block [16]byte
	copy(in[:8], seed)
	n := int64(-1)
	for i := range out {
		p := at + int64(i)
		if p/16 != n {
			n = p / 16
			copy(in[:8], seed)
			binary.BigEndian.PutUint64(in[8:], uint64(n)^binary.BigEndian.Uint64(seed[8:]))
			s.block.Encrypt(block[:], in[:])
		}
		out[i] = alphabet[block[p%16]&63]
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
