package tlsdec

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"

	"hilnet/pcaps/flow"
)

const (
	recordHeader = 5
	maxRecord    = 16384 + 2048
	// maxHandshake bounds a message of a handshake that is put together.
	maxHandshake = 1 << 17

	kindChange      = 20
	kindAlert       = 21
	kindHandshake   = 22
	kindApplication = 23

	clientHello = 1
	serverHello = 2
	finished    = 20
	keyUpdate   = 24
)

// A Session reads one TLS connection. It is a flow.Decrypter.
type Session struct {
	keys    *Keys
	client  flow.Side // who sent the ClientHello
	halves  [2]half
	hellos  int // bit 1: the client's, bit 2: the server's
	randoms [2][randomLength]byte
	version uint16
	suite   uint16
	known   suite // that of the keys
	etm     bool
	early   bool // the client offered early data
	ready   bool // keys were looked for, and found
	records uint64
	bytes   uint64
	why     string // why something cannot be read, the first reason
	alert   string // the first fatal one that can be read
}

// A half is one direction.
type half struct {
	in        []byte // of a record that is not complete
	handshake []byte // of a message that is not complete
	opener    *opener
	pending   *opener // of TLS 1.2: from the next ChangeCipherSpec on
	secret    []byte  // of TLS 1.3, for key updates
	next      []byte  // of TLS 1.3: the secret after Finished
	encrypted bool    // what comes is
	dead      bool    // nothing more is read
}

// Open returns a Session for a conversation: flow.Config.Secure.
func (k *Keys) Open(*flow.Conversation) flow.Decrypter { return &Session{keys: k} }

// Data takes the next bytes that a side sent and gives emit what they carry for
// the application.
func (s *Session) Data(side flow.Side, data []byte, emit func(plain []byte)) {
	h := &s.halves[side-flow.SideA]
	for len(data) > 0 && !h.dead {
		if len(h.in) == 0 { // most records come in one piece
			if n, ok := s.length(h, data); !ok {
				return
			} else if n > 0 && n <= len(data) {
				s.record(side, h, data[:n], emit)
				data = data[n:]
				continue
			}
		}
		want := recordHeader
		if len(h.in) >= recordHeader {
			want, _ = s.length(h, h.in)
		}
		k := min(want-len(h.in), len(data))
		if s.keys.held+k > MaxBuffered {
			s.fail(h, "too many incomplete records wait at once")
			return
		}
		h.in = append(h.in, data[:k]...)
		s.keys.held += k
		data = data[k:]
		if n, ok := s.length(h, h.in); !ok {
			return
		} else if n > 0 && n == len(h.in) {
			in := h.in
			h.in = nil
			s.keys.held -= len(in)
			s.record(side, h, in, emit)
		}
	}
}

// length returns the length of the record that b begins with, 0 if that is not
// known yet, and false if it is no record.
func (s *Session) length(h *half, b []byte) (int, bool) {
	if len(b) < recordHeader {
		return 0, true
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	if b[0] < kindChange || b[0] > kindApplication+1 || b[1] != 3 || n > maxRecord {
		s.fail(h, "what comes is no TLS record")
		return 0, false
	}
	return recordHeader + n, true
}

// Gap says that bytes of a side are missing. What follows cannot be read, for
// records have no numbers.
func (s *Session) Gap(side flow.Side) {
	s.fail(&s.halves[side-flow.SideA], "bytes are missing in the capture")
}

// End gives up what waits.
func (s *Session) End() {
	for i := range s.halves {
		s.drop(&s.halves[i])
	}
}

func (s *Session) drop(h *half) {
	s.keys.held -= len(h.in) + len(h.handshake)
	h.in, h.handshake = nil, nil
}

func (s *Session) fail(h *half, why string) {
	s.drop(h)
	h.dead = true
	if s.why == "" {
		s.why = why
	}
}

// record takes a whole record.
func (s *Session) record(side flow.Side, h *half, b []byte, emit func([]byte)) {
	kind, version, body := b[0], binary.BigEndian.Uint16(b[1:]), b[recordHeader:]
	if h.encrypted && (s.version < tls.VersionTLS13 || kind == kindApplication) {
		if kind = s.decrypt(h, kind, version, &body); h.dead {
			return
		}
	} else if h.encrypted && kind == kindHandshake {
		s.fail(h, "a handshake in clear behind a ServerHello of TLS 1.3") // RFC 8446 5: it ends the session
		return
	} else if kind == kindApplication {
		if s.early && side == s.client {
			s.fail(h, "the client's early data are not read")
		} else {
			s.fail(h, notFromTheStart)
		}
		return
	}
	switch kind {
	case kindHandshake:
		s.message(side, h, body)
	case kindChange:
		if s.version != 0 && s.version < tls.VersionTLS13 {
			s.change(h)
		}
	case kindAlert:
		const fatal = 2
		if len(body) >= 2 && body[0] == fatal && s.alert == "" {
			who := "server"
			if side == s.client {
				who = "client"
			}
			s.alert = fmt.Sprintf("; the %s sent the fatal alert %d (%v)", who, body[1], tls.AlertError(body[1]))
		}
	case kindApplication:
		s.records++
		s.bytes += uint64(len(body))
		if len(body) > 0 {
			emit(body)
		}
	}
}

// decrypt opens a record and returns its type.
func (s *Session) decrypt(h *half, kind byte, version uint16, body *[]byte) byte {
	if h.opener == nil {
		s.fail(h, s.missing())
		return kind
	}
	plain, err := h.opener.open(kind, version, *body)
	if err != nil {
		s.fail(h, "a record does not verify with the keys that are there")
		return kind
	}
	if s.version >= tls.VersionTLS13 {
		n := len(plain)
		for n > 0 && plain[n-1] == 0 { // padding
			n--
		}
		if n == 0 {
			s.fail(h, "a record without a type")
			return kind
		}
		kind, plain = plain[n-1], plain[:n-1]
	}
	*body = plain
	return kind
}

// missing says why there is no opener.
func (s *Session) missing() string {
	switch _, known := suites[s.suite]; {
	case s.hellos != 3:
		return notFromTheStart
	case s.version < tls.VersionTLS12:
		return tls.VersionName(s.version) + " is not read"
	case !known:
		return fmt.Sprintf("the cipher suite %s is not read", tls.CipherSuiteName(s.suite))
	case !s.fits():
		return fmt.Sprintf("the cipher suite %s is none of %s", tls.CipherSuiteName(s.suite), tls.VersionName(s.version))
	case s.keys.Len() == 0:
		return "there are no keys"
	case !s.keys.knows(s.randoms[0]) && s.keys.refused > 0:
		return fmt.Sprintf("its keys are not among the first %d secrets, which is how many are kept", MaxSecrets)
	case !s.keys.knows(s.randoms[0]):
		return "the keys are those of other sessions"
	}
	return "a key of this session is not there"
}

// message takes bytes of the handshake and looks for the messages that matter.
func (s *Session) message(side flow.Side, h *half, body []byte) {
	if s.keys.held+len(body) > MaxBuffered || len(h.handshake)+len(body) > maxHandshake {
		s.fail(h, "a handshake that is too long")
		return
	}
	h.handshake = append(h.handshake, body...)
	s.keys.held += len(body)
	for len(h.handshake) >= 4 && !h.dead {
		n := 4 + (int(h.handshake[1])<<16 | int(binary.BigEndian.Uint16(h.handshake[2:])))
		if n > maxHandshake {
			s.fail(h, "a handshake that is too long")
			return
		}
		if len(h.handshake) < n {
			return
		}
		m := h.handshake[:n]
		h.handshake = h.handshake[n:]
		s.keys.held -= n
		switch m[0] {
		case clientHello:
			s.clientHello(side, m[4:])
		case serverHello:
			s.serverHello(m[4:])
		case finished:
			if h.next != nil {
				s.advance(h, h.next)
				h.next = nil
			}
		case keyUpdate:
			s.update(h)
		}
	}
	if len(h.handshake) == 0 {
		h.handshake = nil
	}
}

// advance gives a direction of TLS 1.3 its next secret.
func (s *Session) advance(h *half, secret []byte) {
	o, err := opener13(&s.known, secret)
	if err != nil {
		s.fail(h, "a secret that is none: "+err.Error())
		return
	}
	h.opener, h.secret, h.encrypted = o, secret, true
}

// update is RFC 8446 7.2.
func (s *Session) update(h *half) {
	if h.secret == nil || s.version < tls.VersionTLS13 {
		return
	}
	next, err := expand13(&s.known, h.secret, "traffic upd", s.known.prf().Size())
	if err != nil {
		s.fail(h, err.Error())
		return
	}
	s.advance(h, next)
}

// change is a ChangeCipherSpec of TLS 1.2: the first one of a direction, or one of
// a session that is renegotiated.
func (s *Session) change(h *half) {
	s.prepare()
	if s.ready && h.pending == nil {
		return // it changes nothing
	}
	h.opener, h.pending, h.encrypted = h.pending, nil, true
}

// prepare looks for the keys when both hellos are there.
func (s *Session) prepare() {
	if s.hellos != 3 || s.ready {
		return
	}
	known, ok := suites[s.suite]
	if !ok || !s.fits() {
		return
	}
	client, server := &s.halves[s.client-flow.SideA], &s.halves[s.client.Peer()-flow.SideA]
	if s.version < tls.VersionTLS13 {
		master := s.keys.find(labelMaster, s.randoms[0])
		if master == nil {
			return
		}
		var err error
		if client.pending, server.pending, err = openers12(&known, master, s.randoms[0][:], s.randoms[1][:], s.etm); err == nil {
			s.ready, s.known = true, known
		}
		return
	}
	s.ready, s.known = true, known
	for _, d := range []struct {
		h           *half
		first, then string
	}{{client, labelClientHandshake, labelClientTraffic}, {server, labelServerHandshake, labelServerTraffic}} {
		d.h.encrypted = true
		d.h.next = s.keys.find(d.then, s.randoms[0])
		if secret := s.keys.find(d.first, s.randoms[0]); secret != nil {
			s.advance(d.h, secret)
		}
	}
}

// fits reports whether the version is one that is read, and the suite is of it: TLS 1.3
// has suites of its own, 0x13..
func (s *Session) fits() bool {
	return s.version >= tls.VersionTLS12 && s.version >= tls.VersionTLS13 == (s.suite>>8 == 0x13)
}

// Lost reports whether the application data of a side could not be read, or not to
// the end.
func (s *Session) Lost(side flow.Side) bool { return s.halves[side-flow.SideA].dead }

// Agreed returns the version and the cipher suite, 0 if they are not known.
func (s *Session) Agreed() (version, suite uint16) {
	if s.hellos != 3 {
		return 0, 0
	}
	return s.version, s.suite
}

// String says what the session is and what was read of it.
func (s *Session) String() string {
	what := "TLS"
	if s.hellos == 3 {
		what = fmt.Sprintf("%s, %s", tls.VersionName(s.version), tls.CipherSuiteName(s.suite))
	}
	switch {
	case s.why == "" && s.records == 0:
		return what + ", no application data" + s.alert
	case s.why == "":
		return fmt.Sprintf("%s, decrypted: %d records, %d bytes%s", what, s.records, s.bytes, s.alert)
	case s.records > 0:
		return fmt.Sprintf("%s, decrypted in part: %d records, %d bytes, then %s%s", what, s.records, s.bytes, s.why, s.alert)
	}
	return fmt.Sprintf("%s, not decrypted: %s%s", what, s.why, s.alert)
}
