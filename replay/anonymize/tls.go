package anonymize

import (
	"encoding/binary"
	"slices"

	"hilnet/pcaps/flow"
)

// TLS record and handshake types: RFC 8446 sections 4 and 5.1.
const (
	tlsHeader        = 5
	tlsChangeCipher  = 20
	tlsAlert         = 21
	tlsHandshake     = 22
	tlsData          = 23
	tlsClientHello   = 1
	tlsServerHello   = 2
	tlsHandshakeHead = 4
	tlsMaxRecord     = 1<<14 + 2048 // RFC 5246 section 6.2.3
	tlsMostSuites    = 512          // bytes; a longer list is none
	tlsLongExtension = 128
)

// A tlsState goes through the records of a stream.
type tlsState struct {
	state     uint8  // of the constants below
	record    []byte // the one under way, with its header
	off       int64  // of record in the stream
	encrypted bool   // after ChangeCipherSpec
}

const (
	tlsUnknown = iota
	tlsYes
	tlsNo // something else, or not readable any more: all of it becomes zeros
)

// data takes a piece of a stream in its order.
func (t *tlsState) data(s *survey, p *plan, c *flow.Chunk) {
	if t.state == tlsNo {
		return
	}
	if c.Missing > 0 {
		t.cut(s, p)
		t.state, t.record = tlsNo, nil
		return
	}
	if len(t.record) == 0 {
		t.off = c.Offset
	}
	t.record = append(t.record, c.Data...)
	for len(t.record) >= tlsHeader {
		if !looksLikeTLS(t.record) {
			t.state, t.record = tlsNo, nil
			return
		}
		t.state = tlsYes
		n := tlsHeader + int(binary.BigEndian.Uint16(t.record[3:]))
		if n > tlsHeader+tlsMaxRecord {
			t.state, t.record = tlsNo, nil
			return
		}
		if len(t.record) < n {
			return
		}
		t.whole(s, p, t.record[:n])
		t.record = append(t.record[:0], t.record[n:]...)
		t.off += int64(n)
	}
}

// cut plans the header of a record that is not whole.
func (t *tlsState) cut(s *survey, p *plan) {
	if looksLikeTLS(t.record) {
		s.literal(p, t.off, t.record[:tlsHeader])
	}
}

// whole plans a record.
func (t *tlsState) whole(s *survey, p *plan, record []byte) {
	s.a.report.TLSRecords++
	body := record[tlsHeader:]
	out := make([]byte, len(record))
	copy(out, record[:tlsHeader])
	switch {
	case t.encrypted, record[0] == tlsData:
		s.literal(p, t.off, out[:tlsHeader])
		s.letters(p, t.off+tlsHeader, len(body), body)
		return
	case record[0] == tlsChangeCipher && len(body) == 1, record[0] == tlsAlert && len(body) == 2:
		copy(out[tlsHeader:], body)
		t.encrypted = record[0] == tlsChangeCipher
	case record[0] == tlsHandshake:
		s.a.handshakes(out[tlsHeader:], body)
	default:
		s.a.report.zero(reasonTLS, len(body))
	}
	s.literal(p, t.off, trimZeros(out))
}

// trimZeros leaves out what is zero anyhow.
func trimZeros(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

// handshakes replaces the handshake messages of a record; one that goes on in the next
// record stays zeros.
func (a *Anonymizer) handshakes(out, in []byte) {
	for len(in) >= tlsHandshakeHead {
		n := tlsHandshakeHead + int(in[1])<<16 + int(in[2])<<8 + int(in[3])
		if in[0] > 24 || n > len(in) {
			break
		}
		copy(out[:tlsHandshakeHead], in)
		if in[0] == tlsClientHello || in[0] == tlsServerHello {
			a.hello(out[tlsHandshakeHead:n], in[tlsHandshakeHead:n], in[0] == tlsClientHello)
		} else {
			a.report.zero(reasonTLS, n-tlsHandshakeHead)
		}
		out, in = out[n:], in[n:]
	}
	a.report.zero(reasonTLS, len(in))
}

// hello replaces a ClientHello or ServerHello: RFC 8446 section 4.1.
func (a *Anonymizer) hello(out, in []byte, client bool) {
	b := &body{a: a, in: in, out: out}
	b.copy(2)
	b.random(32)
	if !b.has(1) {
		return
	}
	session := int(in[b.at])
	b.copy(1)
	b.random(session)
	if client {
		if !b.has(2) {
			return
		}
		suites := int(binary.BigEndian.Uint16(in[b.at:]))
		if suites > tlsMostSuites || !b.has(2+suites+1) {
			return
		}
		b.copy(2 + suites)
		if compression := int(in[b.at]); compression > 8 || !b.has(1+compression) {
			return
		}
		b.copy(1 + int(in[b.at]))
	} else {
		b.copy(3)
	}
	b.copy(min(2, b.left()))
	for b.left() >= 4 && !b.failed {
		kind, n := binary.BigEndian.Uint16(in[b.at:]), int(binary.BigEndian.Uint16(in[b.at+2:]))
		if !b.has(4 + n) {
			break
		}
		b.copy(4)
		a.extension(out[b.at:b.at+n], in[b.at:b.at+n], kind)
		b.skip(n)
	}
}

// random replaces n bytes by letters.
func (b *body) random(n int) {
	if b.has(n) {
		seed := b.a.secret.random(domainPayload, b.in[b.at:b.at+n])
		b.a.secret.letters(b.out[b.at:b.at+n], seed[:seedLen], 0)
		b.at += n
	}
}

// openExtensions are those that say what an implementation can do.
var openExtensions = []uint16{1, 10, 11, 13, 22, 23, 28, 43, 45, 50}

// openProtocols are names of application protocols that say nothing (RFC 7301).
var openProtocols = []string{"mqtt", "x-amzn-mqtt-ca", "http/1.1", "h2"}

// extension replaces the content of an extension; the others' stay zeros.
func (a *Anonymizer) extension(out, in []byte, kind uint16) {
	const serverName, protocols = 0, 16
	switch {
	case slices.Contains(openExtensions, kind) && len(in) <= tlsLongExtension:
		copy(out, in)
	case kind == serverName && len(in) >= 5 && in[2] == 0 && 5+int(binary.BigEndian.Uint16(in[3:])) == len(in): // RFC 6066
		copy(out[:5], in)
		copy(out[5:], a.host(in[5:]))
		a.report.Texts++
	case kind == protocols && len(in) >= 2:
		copy(out[:2], in)
		for at := 2; at < len(in) && at+1+int(in[at]) <= len(in); at += 1 + int(in[at]) {
			name := in[at+1 : at+1+int(in[at])]
			out[at] = in[at]
			if slices.Contains(openProtocols, string(name)) {
				copy(out[at+1:], name)
			} else {
				copy(out[at+1:], a.text(name))
			}
		}
	default:
		a.report.zero(reasonTLS, len(in))
	}
}

// host replaces a host name as DNS messages do.
func (a *Anonymizer) host(in []byte) []byte {
	out := make([]byte, 0, len(in))
	for len(in) > 0 {
		n := slices.Index(in, '.')
		if n < 0 {
			n = len(in)
		}
		out = append(out, a.label(in[:n])...)
		if n < len(in) {
			out = append(out, '.')
			n++
		}
		in = in[n:]
	}
	return out
}
