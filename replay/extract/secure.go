package extract

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hilnet/pcaps/tlsdec"
	"hilnet/scenarios"
)

// ErrSecureRecording is a plan in which a recording answers that speaks TLS.
var ErrSecureRecording = errors.New("extract: the recorded session is in TLS, whose bytes answer nobody else: let hilnet's broker answer (--broker model)")

// secure returns what is read of the session's TLS, nil if it is in clear.
func (s *session) secure() *tlsdec.Session {
	for _, v := range s.conns {
		if t, ok := v.Secure.(*tlsdec.Session); ok {
			return t
		}
	}
	return nil
}

// noSession says why there is none. Where there is TLS that is not read, that is why.
func (t *tap) noSession() error {
	for _, v := range t.k.conns {
		if why := tlsdec.Describe(v); tlsdec.Unread(v) != "" {
			return fmt.Errorf("%w: %s", ErrNoSession, why)
		}
	}
	return ErrNoSession
}

// secureKeys are those of a device that agrees on the TLS of the recorded session,
// as far as hilnet has it; empty for one in clear.
func (m *Making) secureKeys() string {
	s := m.session.secure()
	if s == nil {
		return ""
	}
	version, suite := s.Agreed()
	keys := []string{`max_version: "1.2"`}
	if version == tls.VersionTLS13 {
		keys = []string{`min_version: "1.3"`, `max_version: "1.3"`}
	} else if name := tls.CipherSuiteName(suite); slices.Contains(scenarios.CipherSuite("").Values(), name) {
		keys = append(keys, "ciphers: ["+name+"]")
	}
	return strings.Join(keys, ", ")
}

// brokerKeys are those of its broker.
func (m *Making) brokerKeys() string {
	_, ciphers, ok := strings.Cut(m.secureKeys(), "ciphers: ")
	if !ok {
		return ""
	}
	return "ciphers: " + ciphers
}
