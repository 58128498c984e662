package tlsdec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// AES-CCM of RFC 3610, which constrained devices have and the standard library
// has not. Speed does not matter here.

const (
	ccmNonce   = 12
	ccmTag     = 16
	ccmTag8    = 8
	ccmLengths = 15 - ccmNonce // L of the RFC: bytes that count blocks, and the length
)

// ccm is a cipher.AEAD that opens only.
type ccm struct {
	block cipher.Block
	tag   int
}

// ccmAEAD returns a maker of CCM with tags of some length: 16, or 8 in the suites
// whose names end with CCM_8.
func ccmAEAD(tag int) func(key []byte) (cipher.AEAD, error) {
	return func(key []byte) (cipher.AEAD, error) {
		block, err := aes.NewCipher(key)
		return &ccm{block, tag}, err
	}
}

// NonceSize implements cipher.AEAD.
func (*ccm) NonceSize() int { return ccmNonce }

// Overhead implements cipher.AEAD.
func (c *ccm) Overhead() int { return c.tag }

// Seal panics: nothing here is ever encrypted.
func (*ccm) Seal(_, _, _, _ []byte) []byte { panic("tlsdec: nothing is encrypted here") }

// Open implements cipher.AEAD: RFC 3610 2.5.
func (c *ccm) Open(dst, nonce, sealed, extra []byte) ([]byte, error) {
	if len(sealed) < c.tag {
		return nil, errOpen
	}
	text, tag := sealed[:len(sealed)-c.tag], sealed[len(sealed)-c.tag:]
	var counter [aes.BlockSize]byte // A_0 of 2.3
	counter[0] = ccmLengths - 1
	copy(counter[1:], nonce)
	stream := cipher.NewCTR(c.block, counter[:])
	var mask [aes.BlockSize]byte // of the tag
	stream.XORKeyStream(mask[:], mask[:])
	plain := make([]byte, len(text))
	stream.XORKeyStream(plain, text)
	mac := c.mac(nonce, extra, plain)
	subtle.XORBytes(mac[:], mac[:], mask[:])
	if subtle.ConstantTimeCompare(mac[:c.tag], tag) != 1 {
		return nil, errOpen
	}
	return append(dst, plain...), nil
}

// mac is the CBC-MAC of 2.2.
func (c *ccm) mac(nonce, extra, plain []byte) (x [aes.BlockSize]byte) {
	const withExtra = 0x40
	x[0] = byte((c.tag-2)/2)<<3 | (ccmLengths - 1)
	copy(x[1:], nonce)
	n := len(plain)
	x[13], x[14], x[15] = byte(n>>16), byte(n>>8), byte(n)
	if len(extra) > 0 {
		x[0] |= withExtra
	}
	c.block.Encrypt(x[:], x[:])
	if len(extra) > 0 { // far shorter than the 0xFF00 bytes from which on its length is written otherwise
		c.absorb(&x, append(binary.BigEndian.AppendUint16(nil, uint16(len(extra))), extra...))
	}
	c.absorb(&x, plain)
	return x
}

// absorb takes data, filled up with zeros to whole blocks.
func (c *ccm) absorb(x *[aes.BlockSize]byte, data []byte) {
	for len(data) > 0 {
		n := subtle.XORBytes(x[:], x[:], data[:min(len(data), len(x))])
		data = data[n:]
		c.block.Encrypt(x[:], x[:])
	}
}
