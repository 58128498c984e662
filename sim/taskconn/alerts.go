package taskconn

import (
	"crypto/tls"
	"fmt"
)

// Alerts looks for a fatal alert that a peer sends in clear, in the bytes of its
// records. A tls.Conn that expects encryption already takes such a one for a
// record that does not verify: OpenSSL's clients of TLS 1.3 refuse a server's
// certificate that way. The zero value is at the start of a stream.
type Alerts struct {
	head  [7]byte // a record's header, and the body of a short one
	have  int
	skip  int
	fatal uint8
}

// Watch takes the next bytes of the stream.
func (a *Alerts) Watch(p []byte) {
	const alert, fatal, header, short = 21, 2, 5, 2
	for len(p) > 0 {
		if a.skip > 0 {
			n := min(a.skip, len(p))
			a.skip -= n
			p = p[n:]
			continue
		}
		a.head[a.have] = p[0]
		a.have++
		p = p[1:]
		if a.have < header {
			continue
		}
		length := int(a.head[3])<<8 | int(a.head[4])
		if a.head[0] != alert || length != short {
			a.skip, a.have = length, 0
		} else if a.have == header+short {
			if a.head[5] == fatal && a.fatal == 0 {
				a.fatal = a.head[6]
			}
			a.have = 0
		}
	}
}

// Explain returns what a failure really was: the peer's alert, where it was taken
// for a record that does not verify.
func (a *Alerts) Explain(f Failure) Failure {
	if f.Cause != CauseBadRecord || !f.Local || a.fatal == 0 {
		return f
	}
	f.Local, f.Alert, f.Cause = false, a.fatal, CauseOther
	if cause, ok := alertCauses[a.fatal]; ok {
		f.Cause = cause
	}
	f.Err = fmt.Errorf("remote error in clear: %w", tls.AlertError(a.fatal))
	return f
}
