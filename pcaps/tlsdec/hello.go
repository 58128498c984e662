package tlsdec

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"

	"hilnet/pcaps/flow"
)

const (
	extensionEncryptThenMAC = 22
	extensionEarlyData      = 42
	extensionVersions       = 43
)

// retryRandom is the random number of a ServerHello that is a HelloRetryRequest:
// RFC 8446 4.1.3.
var retryRandom = sha256.Sum256([]byte("HelloRetryRequest"))

// clientHello takes the body of a ClientHello.
func (s *Session) clientHello(side flow.Side, b []byte) {
	if len(b) < 2+randomLength {
		return
	}
	s.client = side
	copy(s.randoms[0][:], b[2:])
	s.hellos |= 1
	if s.ready && s.version < tls.VersionTLS13 { // it is renegotiated, with keys of its own
		s.hellos, s.ready, s.etm = 1, false, false
	}
	s.early = offersEarlyData(b[2+randomLength:])
}

// offersEarlyData reads a ClientHello from its session identifier on: RFC 8446
// 4.1.2 and 4.2.10.
func offersEarlyData(b []byte) bool {
	for _, size := range []int{1, 2, 1} { // session identifier, suites, compressions
		if len(b) < size {
			return false
		}
		n := int(b[0])
		if size == 2 {
			n = int(binary.BigEndian.Uint16(b))
		}
		if b = b[size:]; len(b) < n {
			return false
		}
		b = b[n:]
	}
	if len(b) < 2 {
		return false
	}
	for b = b[2:]; len(b) >= 4; {
		kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if kind == extensionEarlyData {
			return true
		}
		if b = b[4:]; n > len(b) {
			return false
		}
		b = b[n:]
	}
	return false
}

// serverHello takes the body of a ServerHello: RFC 5246 7.4.1.3, RFC 8446 4.1.3.
func (s *Session) serverHello(b []byte) {
	if len(b) < 2+randomLength+1 || [randomLength]byte(b[2:]) == retryRandom {
		return
	}
	version := binary.BigEndian.Uint16(b)
	random := [randomLength]byte(b[2:])
	b = b[2+randomLength:]
	if id := int(b[0]); len(b) < 1+id+3 {
		return
	} else {
		b = b[1+id:]
	}
	s.suite = binary.BigEndian.Uint16(b)
	s.randoms[1], s.version = random, version
	b = b[3:]
	if len(b) >= 2 {
		s.extensions(b[2:])
	}
	s.hellos |= 2
	if s.client == flow.NoSide {
		s.hellos &^= 1
	}
	if s.version >= tls.VersionTLS13 {
		s.prepare()
		if s.hellos == 3 && !s.ready {
			for i := range s.halves { // all that follows is encrypted, and cannot be read
				s.halves[i].encrypted = true
			}
		}
	}
}

// extensions reads those of a ServerHello that matter.
func (s *Session) extensions(b []byte) {
	for len(b) >= 4 {
		kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if b = b[4:]; n > len(b) {
			return
		}
		switch {
		case kind == extensionVersions && n == 2:
			s.version = binary.BigEndian.Uint16(b)
		case kind == extensionEncryptThenMAC:
			s.etm = true
		}
		b = b[n:]
	}
}
