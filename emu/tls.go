package emu

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"hilnet/emu/certs"
	"hilnet/mqtt"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/sim/taskconn"
)

// A worldTLS is what the TLS of a run needs: who signs, what the ends show, and
// where the secrets go. In virtual time all of it follows from the seed.
type worldTLS struct {
	world *World
	own   *certs.Authority // whom devices and broker trust
	other *certs.Authority // whom nobody trusts
	shown *tls.Certificate // by the model broker

	client map[string]*tls.Certificate    // of devices, by name; looked up only
	trust  map[string][]*x509.Certificate // what devices trust, by name; looked up only

	keyLog  *outputFile         // nil: none
	secrets map[string]struct{} // lines that one end has told and the other will; looked up only
}

// maxSecrets bounds the lines that are remembered: those of handshakes under way.
const maxSecrets = 1 << 16

// brokerName is the name that the model broker's certificate is for.
const brokerName = "broker"

// The times of certificates, from the start of the run.
var (
	always      = [2]time.Duration{-365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour}
	expired     = [2]time.Duration{-365 * 24 * time.Hour, -24 * time.Hour}
	notYetValid = [2]time.Duration{24 * time.Hour, 365 * 24 * time.Hour}
)

// usesTLS reports whether anybody in a scenario speaks TLS.
func usesTLS(sc *scenarios.Scenario) bool {
	if sc.Broker.TLS != nil {
		return true
	}
	for i := range sc.Devices {
		if sc.Devices[i].MQTT.TLS != nil {
			return true
		}
	}
	return false
}

// prepareTLS makes keys and certificates, or reads them.
func (w *World) prepareTLS() error {
	if !usesTLS(w.sc) {
		return nil
	}
	t := &worldTLS{
		world: w, secrets: map[string]struct{}{},
		client: map[string]*tls.Certificate{}, trust: map[string][]*x509.Certificate{},
	}
	w.tls = t
	if !w.loop.RealTime() {
		if err := taskconn.Repeatable(); err != nil {
			return &EnvironmentError{Op: "make TLS repeatable", Err: err, Hint: "build hilnet with Go 1.26, or give the scenario clock: real"}
		}
	}
	if err := t.openKeyLog(); err != nil {
		return err
	}
	if w.sc.Broker.TLS != nil {
		if err := t.certify(); err != nil {
			return fmt.Errorf("emu: %w", err)
		}
		return nil
	}
	return t.readFiles()
}

// random returns the randomness of an endpoint. Only in virtual time, where both
// ends are emulated, it follows from the seed.
func (t *worldTLS) random(path string) io.Reader {
	if t.world.loop.RealTime() || t.world.opt.sabotage == sabotageTLSChance {
		return rand.Reader
	}
	return taskconn.NewRand(t.world.sc.Seed, "tls/"+path)
}

// now returns the moment by which certificates are judged: that of captures.
func (t *worldTLS) now() time.Time {
	if t.world.loop.RealTime() {
		return sim.WallClock()
	}
	return pcaps.VirtualEpoch.UTC().Add(time.Duration(t.world.loop.Now()))
}

func (t *worldTLS) validity(span [2]time.Duration) certs.Validity {
	now := t.now()
	return certs.Validity{From: now.Add(span[0]), Until: now.Add(span[1])}
}

// emulatedKeys are the RSA keys of runs in virtual time. They are the same for
// every seed: to make them takes longer than most runs. Of the first seeds this
// one finds its primes soonest.
var emulatedKeys = sync.OnceValues(func() (keys [2]crypto.Signer, err error) {
	random := taskconn.NewRand(1, "tls/rsa")
	for i := range keys {
		if keys[i], err = certs.NewRSA(random); err != nil {
			return keys, err
		}
	}
	return keys, nil
})

// keys returns those of the authority and of the broker.
func (t *worldTLS) keys() (keys [2]crypto.Signer, err error) {
	if !t.world.loop.RealTime() {
		return emulatedKeys()
	}
	for i := range keys {
		if keys[i], err = certs.NewRSA(rand.Reader); err != nil {
			return keys, err
		}
	}
	return keys, nil
}

// certify makes the certificates of a run with the model broker.
func (t *worldTLS) certify() error {
	sc, random := t.world.sc, t.random("certificates")
	keys, err := t.keys()
	if err != nil {
		return err
	}
	if t.own, err = certs.NewAuthority(random, "hilnet test authority", keys[0], t.validity(always)); err != nil {
		return err
	}
	stranger, err := certs.NewECDSA(random)
	if err != nil {
		return err
	}
	if t.other, err = certs.NewAuthority(random, "hilnet other authority", stranger, t.validity(always)); err != nil {
		return err
	}
	name, from := brokerName, t.own
	span := always
	switch sc.Broker.TLS.Certificate {
	case scenarios.CertExpired:
		span = expired
	case scenarios.CertNotYetValid:
		span = notYetValid
	case scenarios.CertOtherName:
		name = "another-broker"
	case scenarios.CertOtherCA:
		from = t.other
	}
	request := certs.Request{Name: name, Server: true, DNS: []string{name}, Key: keys[1], Valid: t.validity(span)}
	for _, a := range []net.IP{sc.Broker.Address.Addr().AsSlice(), sc.Broker.Address6.Addr().AsSlice()} {
		if len(a) > 0 && name == brokerName {
			request.IPs = append(request.IPs, a)
		}
	}
	if t.shown, err = from.Issue(request); err != nil {
		return err
	}
	for i := range sc.Devices {
		d := &sc.Devices[i]
		t.trust[d.Name] = []*x509.Certificate{t.own.Certificate}
		if err := t.certifyDevice(d, random); err != nil {
			return err
		}
	}
	return nil
}

// certifyDevice makes a device's certificate, if it has one.
func (t *worldTLS) certifyDevice(d *scenarios.Device, random io.Reader) error {
	from, span := t.own, always
	switch d.MQTT.TLS.Certificate {
	case scenarios.CertNone:
		return nil
	case scenarios.CertExpired:
		span = expired
	case scenarios.CertNotYetValid:
		span = notYetValid
	case scenarios.CertOtherCA:
		from = t.other
	}
	key, err := certs.NewECDSA(random)
	if err != nil {
		return err
	}
	t.client[d.Name], err = from.Issue(certs.Request{Name: d.MQTT.ClientID, Key: key, Valid: t.validity(span)})
	return err
}

// readFiles reads what the devices have of a real broker. What is wrong with a
// file is wrong with the scenario.
func (t *worldTLS) readFiles() error {
	sc := t.world.sc
	for i := range sc.Devices {
		d := &sc.Devices[i]
		if d.MQTT.TLS == nil {
			continue
		}
		path := fmt.Sprintf("devices[%d].mqtt.tls.", i)
		read := func(key, name string) ([]byte, error) {
			data, err := os.ReadFile(sc.FilePath(path+key, name))
			if err != nil {
				return nil, sc.ErrorAt(path+key, fmt.Sprintf("cannot read it: %v", err), "the path begins where the scenario file is; emu certs makes such files")
			}
			return data, nil
		}
		data, err := read("ca_file", d.MQTT.TLS.CAFile)
		if err != nil {
			return err
		}
		if t.trust[d.Name], err = certs.ParseCertificates(data); err != nil {
			return sc.ErrorAt(path+"ca_file", err.Error(), "write a file of certificates in PEM form")
		}
		if d.MQTT.TLS.CertFile == "" {
			continue
		}
		certificate, err := read("cert_file", d.MQTT.TLS.CertFile)
		if err != nil {
			return err
		}
		key, err := read("key_file", d.MQTT.TLS.KeyFile)
		if err != nil {
			return err
		}
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return sc.ErrorAt(path+"cert_file", err.Error(), "write files in PEM form that belong together")
		}
		t.client[d.Name] = &pair
	}
	return nil
}

// session fills in a device's TLS session: the set-up callback of its firmware.
func (d *device) session(s *mqtt.TLSSession) mqtt.Status {
	t, cfg := d.world.tls, d.cfg.MQTT.TLS
	d.sessions++
	s.Trusted, s.Local = t.trust[d.cfg.Name], t.client[d.cfg.Name]
	if s.ServerName = cfg.ServerName; s.ServerName == scenarios.CertNone {
		s.ServerName = ""
	}
	s.MinVersion, s.MaxVersion = cfg.MinVersion.Number(), cfg.MaxVersion.Number()
	s.CipherSuites = numbers(cfg.Ciphers)
	s.Time, s.HandshakeTime = t.now, cfg.HandshakeTime.Std()
	if s.Rand = t.random(fmt.Sprintf("%s/%d", d.cfg.Name, d.sessions)); d.world.loop.RealTime() {
		s.Rand = nil
	}
	s.KeyLog = t.keyLogOf(d.cfg.Name)
	return mqtt.Success
}

// curves are those that are offered: ML-KEM draws from no reader of ours.
func curves() []tls.CurveID { return []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384} }

// endpoint returns the configurations for what stands in place of a device, or of the
// broker that the device connects to; nil without TLS.
func (t *worldTLS) endpoint(d *scenarios.Device, client bool) func(n int) *tls.Config {
	switch {
	case t == nil || d.MQTT.TLS == nil:
		return nil
	case !client:
		return func(n int) *tls.Config { return t.server(uint64(n), d.Name) }
	}
	cfg := d.MQTT.TLS
	return func(n int) *tls.Config {
		c := &tls.Config{
			Rand: t.random(fmt.Sprintf("%s/%d", d.Name, n)), Time: t.now, ServerName: cfg.ServerName, RootCAs: x509.NewCertPool(),
			MinVersion: cfg.MinVersion.Number(), MaxVersion: cfg.MaxVersion.Number(), CipherSuites: numbers(cfg.Ciphers),
			CurvePreferences: curves(), SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true, KeyLogWriter: t.keyLogOf(d.Name),
		}
		for _, a := range t.trust[d.Name] {
			c.RootCAs.AddCert(a)
		}
		if own := t.client[d.Name]; own != nil {
			c.Certificates = []tls.Certificate{*own}
		}
		if cfg.ServerName == scenarios.CertNone { // the name is not looked at, the rest is
			c.ServerName, c.InsecureSkipVerify = "", true
			c.VerifyConnection = func(s tls.ConnectionState) error {
				inner := x509.NewCertPool()
				for _, next := range s.PeerCertificates[1:] {
					inner.AddCert(next)
				}
				_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: c.RootCAs, Intermediates: inner, CurrentTime: t.now()})
				return err
			}
		}
		return c
	}
}

func numbers(suites []scenarios.CipherSuite) []uint16 {
	all := make([]uint16, len(suites))
	for i, s := range suites {
		all[i] = s.Number()
	}
	return all
}

// server returns the configuration of the broker's end of a connection.
func (t *worldTLS) server(number uint64, device string) *tls.Config {
	b := t.world.sc.Broker.TLS
	cfg := &tls.Config{
		Rand: t.random(fmt.Sprintf("broker/%d", number)), Time: t.now, Certificates: []tls.Certificate{*t.shown},
		MinVersion: b.MinVersion.Number(), MaxVersion: b.MaxVersion.Number(), CipherSuites: numbers(b.Ciphers),
		CurvePreferences:       curves(),
		SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true, KeyLogWriter: t.keyLogOf(device),
	}
	if b.ClientCertificate == scenarios.CertificateRequired {
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		cfg.ClientCAs.AddCert(t.own.Certificate)
	}
	return cfg
}

// openKeyLog creates the file of Options.KeyLog.
func (t *worldTLS) openKeyLog() error {
	w := t.world
	if w.opt.KeyLog == "" {
		return nil
	}
	f, err := os.OpenFile(w.opt.KeyLog, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return &EnvironmentError{Op: "create the key log", Err: err, Hint: "choose another file with --keylog"}
	}
	t.keyLog = &outputFile{File: f, name: f.Name()}
	w.onClose(func() error { return f.Close() })
	return nil
}

// A secretWriter takes the secrets of one device's sessions.
type secretWriter struct {
	tls    *worldTLS
	device string // "": not known
}

// keyLogOf returns where the secrets of a device's sessions go. With a real peer
// they go nowhere unless the user asked for it.
func (t *worldTLS) keyLogOf(device string) io.Writer {
	if t.world.loop.RealTime() && t.keyLog == nil {
		return nil
	}
	return &secretWriter{t, device}
}

// Write takes a line of NSS's key log. Both ends tell the same ones; the first
// counts, so that a secret stands before what it opens in every capture.
func (s *secretWriter) Write(line []byte) (int, error) {
	t := s.tls
	if _, told := t.secrets[string(line)]; told {
		delete(t.secrets, string(line))
		return len(line), nil
	}
	if t.world.sc.Broker.TLS != nil && len(t.secrets) < maxSecrets {
		t.secrets[string(line)] = struct{}{}
	}
	f := t.world.files
	if t.keyLog != nil {
		if _, err := t.keyLog.Write(line); err != nil {
			f.fail(err)
		}
	}
	f.secret(s.device, line)
	return len(line), nil
}

// secretDelay is how long a device's capture holds its records back. A real
// broker does not tell its secrets, and the device knows those of TLS 1.3 only
// when it has the first frame that they open: they must stand in front of it.
func (w *World) secretDelay() time.Duration {
	if w.tls == nil || w.tls.keyLog == nil || !w.loop.RealTime() {
		return 0
	}
	return edgeReorder
}
