package mqtt

// What the application says about TLS, and what the client says of it. Reading
// list: netxduo nxd_mqtt_client.c (_nxd_mqtt_client_secure_connect,
// _nxd_mqtt_tcp_establish_process), nx_secure_tls.h and nx_secure_x509.h for the
// status codes, nx_secure_tls_send_record.c and
// nx_secure_tls_session_receive_records.c for what becomes of packets.

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/sim/taskconn"
	"hilnet/trace"
)

// The ports of IANA's registry.
const (
	Port    = 1883 // mqtt
	PortTLS = 8883 // secure-mqtt
)

// A TLSSession is what the set-up callback of SecureConnect fills in, as one
// fills in an NX_SECURE_TLS_SESSION. Without Rand it is safe; with it every key
// can be told in advance.
type TLSSession struct {
	// Trusted are the certificates of authorities that the server's must lead
	// to: nx_secure_tls_trusted_certificate_add.
	Trusted []*x509.Certificate
	// Local is the client's own certificate, for servers that ask for one, which
	// get it whatever authorities they name: nx_secure_tls_local_certificate_add.
	Local *tls.Certificate
	// ServerName is sent to the server and must be in its certificate. Empty: it
	// is neither sent nor looked at, as in NetX without a callback that does.
	ServerName string
	// MinVersion and MaxVersion are tls.VersionTLS12 if they are 0.
	MinVersion, MaxVersion uint16
	// CipherSuites are those of TLS 1.2; nil: NetXCipherSuites. Those of TLS 1.3
	// cannot be chosen.
	CipherSuites []uint16
	// Time returns the moment at which certificates must be valid:
	// nx_secure_tls_session_time_function_set. It must be set.
	Time func() time.Time
	// HandshakeTime is how long the device's processor takes for its part of the
	// key exchange: the handshake waits so long before it answers the server.
	HandshakeTime time.Duration
	// Rand is the randomness of an emulated session, see package taskconn. Nil:
	// real randomness, as every session with a real server must have.
	Rand io.Reader
	// KeyLog gets the session's secrets, in the format of NSS.
	KeyLog io.Writer
}

// A TLSSetup is the set-up callback of SecureConnect. Any status but Success
// ends the call.
type TLSSetup func(c *Client, s *TLSSession) Status

// NetXCipherSuites are the suites of nx_crypto_tls_ciphers that Go has: RSA key
// exchange, AES-128-CBC and HMAC-SHA256. NetX offers AES-256-CBC, 0x003d, too.
func NetXCipherSuites() []uint16 { return []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA256} }

// SecureConnect connects over TLS: nxd_mqtt_client_secure_connect. setup fills
// in the session first, and its status is returned if it is not Success; then
// all is as for Connect. wait bounds each wait for a segment of the handshake.
// When TLS fails the result is ConnectFailure, and an event of the kind
// trace.KindTLSFailed tells the cause that NetX hides.
func (c *Client) SecureConnect(server netip.AddrPort, setup TLSSetup, keepAliveSeconds uint32, cleanSession bool, wait rtos.Ticks) Status {
	if setup == nil {
		return nic.PtrError
	}
	s := &TLSSession{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: NetXCipherSuites()}
	if status := setup(c, s); status != Success {
		return status
	}
	if s.Rand != nil && c.kernel.Loop().RealTime() {
		c.emit(trace.Event{
			Kind: trace.KindTLSFailed, Stage: string(taskconn.CauseOther), Status: uint32(InvalidParameter),
			Text: "the session's randomness is predictable, and real time has real peers: leave TLSSession.Rand nil",
		})
		return InvalidParameter
	}
	if s.Time == nil || len(s.Trusted) == 0 || s.MaxVersion < s.MinVersion {
		return InvalidParameter
	}
	return c.connect(server, s, keepAliveSeconds, cleanSession, wait)
}

// useTLS puts TLS between the client and TCP, or takes it away.
func (c *Client) useTLS(s *TLSSession) {
	c.secure, c.socket = nil, c.tcp
	if s != nil {
		c.secure = newSecureSocket(c, s)
		c.socket = c.secure
	}
}

// startTLS is nx_secure_tls_session_start.
func (c *Client) startTLS(wait rtos.Ticks) Status {
	if c.secure == nil {
		return Success
	}
	return c.secure.start(wait)
}

// config makes what crypto/tls wants of what the application said.
func (s *TLSSession) config() *tls.Config {
	roots := x509.NewCertPool()
	for _, cert := range s.Trusted {
		roots.AddCert(cert)
	}
	cfg := &tls.Config{
		Rand: s.Rand, Time: s.Time, RootCAs: roots, ServerName: s.ServerName,
		MinVersion: s.MinVersion, MaxVersion: s.MaxVersion, CipherSuites: s.CipherSuites,
		// ML-KEM draws from no reader of ours, and no device here has it.
		CurvePreferences:       []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384},
		SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true, KeyLogWriter: s.KeyLog,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if s.Local == nil {
				return new(tls.Certificate), nil
			}
			return s.Local, nil
		},
	}
	if s.ServerName == "" {
		// What crypto/tls would do but for the name, which it insists on.
		cfg.InsecureSkipVerify = true
		cfg.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, roots, s.Time()) }
	}
	return cfg
}

// verifyChain verifies a server's certificates without a look at its name.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool, now time.Time) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("tls: server sent no certificate")
	}
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}

// tlsStatus returns the status of NetX Secure for what went wrong.
func tlsStatus(f taskconn.Failure) Status {
	if !f.Local {
		return nic.TLSAlertReceived
	}
	switch f.Cause {
	case taskconn.CauseExpired:
		return nic.X509CertificateExpired
	case taskconn.CauseNotYetValid:
		return nic.X509CertificateNotYetValid
	case taskconn.CauseUnknownCA:
		return nic.TLSIssuerNotFound
	case taskconn.CauseWrongName:
		return nic.X509DNSMismatch
	case taskconn.CauseBadCert:
		return nic.TLSInvalidServerCert
	case taskconn.CauseVersion:
		return nic.TLSUnsupportedVersion
	case taskconn.CauseCipher:
		return nic.TLSUnknownCipherSuite
	case taskconn.CauseBadRecord:
		return nic.TLSHashMACVerifyFailure
	case taskconn.CauseNotTLS:
		return nic.TLSUnknownVersion
	case taskconn.CauseClosed:
		return nic.NotConnected
	case taskconn.CauseTimeout:
		return nic.NoPacket
	case taskconn.CauseNoPacket:
		return nic.TLSAllocatePacketFailed
	case taskconn.CauseRecordLost:
		return nic.TLSTCPSendFailed
	}
	return nic.TLSHandshakeFailure
}

// tlsFailed tells of a failure.
func (c *Client) tlsFailed(f taskconn.Failure, status Status) {
	c.emit(trace.Event{Kind: trace.KindTLSFailed, Stage: string(f.Cause), Status: uint32(status), Count: int64(f.Alert), Text: f.String()})
}

// describe says what was agreed upon.
func describe(state tls.ConnectionState) string {
	return fmt.Sprintf("%s, %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
}
