package taskconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
)

// A Cause says in one word why a TLS connection did not come to be, or ended.
type Cause string

// The causes. Those of certificates are what the side that verified says: see
// Failure.Local.
const (
	CauseExpired     Cause = "expired"             // a certificate is not valid any more
	CauseNotYetValid Cause = "not_yet_valid"       // or not yet
	CauseUnknownCA   Cause = "unknown_ca"          // nobody it leads to is trusted
	CauseWrongName   Cause = "wrong_name"          // it is for another server
	CauseBadCert     Cause = "bad_certificate"     // it is wrong otherwise
	CauseNoCert      Cause = "no_certificate"      // the client has none, and needs one
	CauseVersion     Cause = "version"             // no version of TLS in common
	CauseCipher      Cause = "cipher"              // no cipher suite, curve or signature in common
	CauseBadRecord   Cause = "bad_record"          // a record that does not verify
	CauseNotTLS      Cause = "not_tls"             // the peer does not speak TLS
	CauseClosed      Cause = "closed"              // the connection ended without an alert
	CauseTimeout     Cause = "timeout"             // nothing came in time
	CauseNoPacket    Cause = "no_packet"           // a device's packet pool was empty
	CauseRecordLost  Cause = "record_lost"         // a record was encrypted and not sent: the next one cannot verify
	CauseOther       Cause = "protocol"            // anything else
	CauseRefused     Cause = "handshake_refused"   // an alert that does not say why
	CauseRejected    Cause = "certificate_refused" // the peer does not accept our certificate, and its alert does not say why
)

// A Failure is what went wrong in a TLS connection, as one end knows it.
type Failure struct {
	Cause Cause
	// Local tells that this end found it; otherwise the peer did, and sent an alert.
	Local bool
	// Alert is the number of the peer's alert, 0 if there was none.
	Alert uint8
	// Err is the error of crypto/tls.
	Err error
}

// String tells the cause, who found it, and how crypto/tls words it.
func (f Failure) String() string {
	side := "found by the peer, which sent an alert"
	if f.Local {
		side = "found by this side"
	}
	hint := ""
	if f.Alert == alertInternalError {
		hint = " (mosquitto's clients send this alert when the certificate is for another name)"
	}
	return fmt.Sprintf("%s, %s: %v%s", f.Cause, side, f.Err, hint)
}

// alertInternalError is sent by programs on OpenSSL whose own check of the server's
// name has failed.
const alertInternalError = 80

// The alerts of RFC 8446, 6, that tell a cause.
var alertCauses = map[uint8]Cause{
	20: CauseBadRecord, 40: CauseRefused, 42: CauseRejected, 43: CauseRejected, 44: CauseRejected,
	45: CauseExpired, 46: CauseRejected, 48: CauseUnknownCA, 51: CauseBadRecord, 70: CauseVersion, 71: CauseCipher, 80: CauseRefused,
	112: CauseWrongName, 116: CauseNoCert,
}

// localCauses are the words of crypto/tls for what it finds without a type of
// its own.
var localCauses = []struct {
	text  string
	cause Cause
}{
	{"didn't provide a certificate", CauseNoCert},
	{"unsupported versions", CauseVersion},
	{"unsupported protocol version", CauseVersion},
	{"protocol version", CauseVersion},
	{"no cipher suite supported", CauseCipher},
	{"unconfigured cipher suite", CauseCipher},
	{"no ECDHE curve", CauseCipher},
	{"no elliptic curve", CauseCipher},
	{"no supported signature", CauseCipher},
	{"signature algorithm", CauseCipher},
	{"bad record MAC", CauseBadRecord},
	{"first record does not look like a TLS handshake", CauseNotTLS},
}

// Diagnose says what an error of a tls.Conn means; err may not be nil.
func Diagnose(err error) Failure {
	f := Failure{Cause: CauseOther, Local: true, Err: err}
	var (
		op       *net.OpError
		invalid  x509.CertificateInvalidError
		unknown  x509.UnknownAuthorityError
		name     x509.HostnameError
		rejected *tls.CertificateVerificationError
		header   tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &op) && op.Op == "remote error":
		f.Local = false
		if v := reflect.ValueOf(op.Err); v.Kind() == reflect.Uint8 {
			f.Alert = uint8(v.Uint())
		}
		if cause, ok := alertCauses[f.Alert]; ok {
			f.Cause = cause
		}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		f.Cause = CauseExpired
		if strings.Contains(invalid.Detail, "is before") {
			f.Cause = CauseNotYetValid
		}
	case errors.As(err, &unknown):
		f.Cause = CauseUnknownCA
	case errors.As(err, &name):
		f.Cause = CauseWrongName
	case errors.As(err, &rejected):
		f.Cause = CauseBadCert
	case errors.As(err, &header):
		f.Cause = CauseNotTLS
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		f.Cause = CauseClosed
	case errors.Is(err, ErrWouldBlock):
		f.Cause = CauseTimeout
	default:
		for _, known := range localCauses {
			if strings.Contains(err.Error(), known.text) {
				f.Cause = known.cause
				break
			}
		}
	}
	return f
}
