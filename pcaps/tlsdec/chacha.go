package tlsdec

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math/bits"
)

// ChaCha20-Poly1305 of RFC 8439. The standard library has it for itself only.
// Speed does not matter here.

const (
	chachaKey   = 32
	chachaNonce = 12
	polyTag     = 16
)

// errOpen is a record that does not verify.
var errOpen = errors.New("tlsdec: the record does not verify")

// chacha is a cipher.AEAD that opens only.
type chacha struct{ key [8]uint32 }

func newChaCha(key []byte) cipher.AEAD {
	c := &chacha{}
	for i := range c.key {
		c.key[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	return c
}

// NonceSize implements cipher.AEAD.
func (*chacha) NonceSize() int { return chachaNonce }

// Overhead implements cipher.AEAD.
func (*chacha) Overhead() int { return polyTag }

// Seal panics: nothing here is ever encrypted.
func (*chacha) Seal(_, _, _, _ []byte) []byte { panic("tlsdec: nothing is encrypted here") }

// Open implements cipher.AEAD: RFC 8439 2.8.
func (c *chacha) Open(dst, nonce, sealed, extra []byte) ([]byte, error) {
	if len(sealed) < polyTag {
		return nil, errOpen
	}
	text, tag := sealed[:len(sealed)-polyTag], sealed[len(sealed)-polyTag:]
	first := c.block(0, nonce)
	mac := newPoly(first[:32])
	mac.padded(extra)
	mac.padded(text)
	var lengths [16]byte
	binary.LittleEndian.PutUint64(lengths[:], uint64(len(extra)))
	binary.LittleEndian.PutUint64(lengths[8:], uint64(len(text)))
	mac.padded(lengths[:])
	if got := mac.sum(); subtle.ConstantTimeCompare(got[:], tag) != 1 {
		return nil, errOpen
	}
	for counter := uint32(1); len(text) > 0; counter++ {
		stream := c.block(counter, nonce)
		n := min(len(text), len(stream))
		for i := range n {
			dst = append(dst, text[i]^stream[i])
		}
		text = text[n:]
	}
	return dst, nil
}

// block is RFC 8439 2.3.
func (c *chacha) block(counter uint32, nonce []byte) (out [64]byte) {
	s := [16]uint32{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}
	copy(s[4:], c.key[:])
	s[12] = counter
	for i := range 3 {
		s[13+i] = binary.LittleEndian.Uint32(nonce[4*i:])
	}
	x := s
	quarter := func(a, b, c, d int) {
		x[a] += x[b]
		x[d] = bits.RotateLeft32(x[d]^x[a], 16)
		x[c] += x[d]
		x[b] = bits.RotateLeft32(x[b]^x[c], 12)
		x[a] += x[b]
		x[d] = bits.RotateLeft32(x[d]^x[a], 8)
		x[c] += x[d]
		x[b] = bits.RotateLeft32(x[b]^x[c], 7)
	}
	for range 10 {
		quarter(0, 4, 8, 12)
		quarter(1, 5, 9, 13)
		quarter(2, 6, 10, 14)
		quarter(3, 7, 11, 15)
		quarter(0, 5, 10, 15)
		quarter(1, 6, 11, 12)
		quarter(2, 7, 8, 13)
		quarter(3, 4, 9, 14)
	}
	for i := range x {
		binary.LittleEndian.PutUint32(out[4*i:], x[i]+s[i])
	}
	return out
}

// poly is Poly1305 in three limbs of 64 bits: RFC 8439 2.5.
type poly struct {
	r0, r1     uint64
	s0, s1     uint64
	h0, h1, h2 uint64
}

func newPoly(key []byte) *poly {
	return &poly{
		r0: binary.LittleEndian.Uint64(key) & 0x0FFFFFFC0FFFFFFF, r1: binary.LittleEndian.Uint64(key[8:]) & 0x0FFFFFFC0FFFFFFC,
		s0: binary.LittleEndian.Uint64(key[16:]), s1: binary.LittleEndian.Uint64(key[24:]),
	}
}

// padded takes data, filled up with zeros to whole blocks.
func (p *poly) padded(data []byte) {
	for len(data) > 0 {
		var block [16]byte
		data = data[copy(block[:], data):]
		p.block(binary.LittleEndian.Uint64(block[:]), binary.LittleEndian.Uint64(block[8:]))
	}
}

// block adds 2^128 + a block and multiplies by r, modulo 2^130 - 5.
func (p *poly) block(lo, hi uint64) {
	var carry uint64
	p.h0, carry = bits.Add64(p.h0, lo, 0)
	p.h1, carry = bits.Add64(p.h1, hi, carry)
	p.h2 += carry + 1

	// h2 has few bits, and r has its top bits clear: the products of h2 fit.
	h0r0hi, h0r0lo := bits.Mul64(p.h0, p.r0)
	h1r0hi, h1r0lo := bits.Mul64(p.h1, p.r0)
	h0r1hi, h0r1lo := bits.Mul64(p.h0, p.r1)
	h1r1hi, h1r1lo := bits.Mul64(p.h1, p.r1)
	h2r0, h2r1 := p.h2*p.r0, p.h2*p.r1

	m1lo, c := bits.Add64(h1r0lo, h0r1lo, 0)
	m1hi, _ := bits.Add64(h1r0hi, h0r1hi, c)
	m2lo, c := bits.Add64(h2r0, h1r1lo, 0)
	m2hi, _ := bits.Add64(0, h1r1hi, c)

	t0 := h0r0lo
	t1, c := bits.Add64(m1lo, h0r0hi, 0)
	t2, c := bits.Add64(m2lo, m1hi, c)
	t3, _ := bits.Add64(h2r1, m2hi, c)

	// The bits from 130 on count five times.
	p.h0, p.h1, p.h2 = t0, t1, t2&3
	ccLo, ccHi := t2&^3, t3
	p.h0, c = bits.Add64(p.h0, ccLo, 0)
	p.h1, c = bits.Add64(p.h1, ccHi, c)
	p.h2 += c
	ccLo, ccHi = ccLo>>2|ccHi<<62, ccHi>>2
	p.h0, c = bits.Add64(p.h0, ccLo, 0)
	p.h1, c = bits.Add64(p.h1, ccHi, c)
	p.h2 += c
}

// sum returns the tag.
func (p *poly) sum() (tag [16]byte) {
	// h - (2^130 - 5), if that is not negative.
	t0, b := bits.Sub64(p.h0, 0xFFFFFFFFFFFFFFFB, 0)
	t1, b := bits.Sub64(p.h1, 0xFFFFFFFFFFFFFFFF, b)
	_, b = bits.Sub64(p.h2, 3, b)
	if b == 0 {
		p.h0, p.h1 = t0, t1
	}
	lo, c := bits.Add64(p.h0, p.s0, 0)
	hi, _ := bits.Add64(p.h1, p.s1, c)
	binary.LittleEndian.PutUint64(tag[:], lo)
	binary.LittleEndian.PutUint64(tag[8:], hi)
	return tag
}
