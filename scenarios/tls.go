package scenarios

import (
	"crypto/tls"
	"slices"
)

// Ports of IANA's registry.
const (
	portMQTT  = 1883
	portMQTTS = 8883
)

// DeviceTLS is how a device's client speaks TLS.
type DeviceTLS struct {
	// The certificate that the device shows a broker that asks for one, made for the run: none, valid, expired, not_yet_valid, other_ca (signed by an authority that the broker does not trust). With a model broker only.
	Certificate ClientCertificate `yaml:"certificate" default:"none" alt:"valid"`
	// A PEM file with the authorities that the device trusts, by its path from this file. With kind tap, where it is needed; a model broker's authority is made for the run.
	CAFile string `yaml:"ca_file" min:"1" max:"4096"`
	// A PEM file with the device's certificate, by its path from this file. With kind tap only.
	CertFile string `yaml:"cert_file" min:"1" max:"4096"`
	// A PEM file with the private key of that certificate, by its path from this file. With kind tap only.
	KeyFile string `yaml:"key_file" min:"1" max:"4096"`
	// The name that the broker's certificate must be for, and that the device sends. none: it is neither sent nor looked at, as NetX does on its own.
	ServerName string `yaml:"server_name" min:"1" max:"253" default:"broker" alt:"other-broker"`
	// The oldest version of TLS that the device speaks.
	MinVersion TLSVersion `yaml:"min_version" default:"1.2" alt:"1.3"`
	// The newest version of TLS that the device speaks. Default: 1.2 with profile netx, 1.3 with profile linux.
	MaxVersion TLSVersion `yaml:"max_version" alt:"1.3"`
	// The cipher suites of TLS 1.2 that the device offers. Those of TLS 1.3 cannot be chosen. Default: TLS_RSA_WITH_AES_128_CBC_SHA256 with profile netx; with profile linux ECDHE with AES-GCM.
	Ciphers []CipherSuite `yaml:"ciphers" max:"20" alt:"[TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]"`
	// How long the device's processor takes for its part of the key exchange: it answers the broker's certificate so much later. An RSA-2048 handshake takes a Cortex-M 0.1 to 2 seconds.
	HandshakeTime Duration `yaml:"handshake_time" max:"10m" default:"0s" alt:"700ms"`
}

// BrokerTLS is how the model broker speaks TLS. Its keys and certificates are
// made for the run.
type BrokerTLS struct {
	// The certificate that the broker shows: valid (for the name broker and its addresses), expired, not_yet_valid, other_name, other_ca (signed by an authority that no device trusts).
	Certificate BrokerCertificate `yaml:"certificate" default:"valid" alt:"expired"`
	// Whether a device must show a certificate that the broker trusts.
	ClientCertificate CertificateRule `yaml:"client_certificate" default:"none" alt:"required"`
	// The oldest version of TLS that the broker speaks.
	MinVersion TLSVersion `yaml:"min_version" default:"1.2" alt:"1.3"`
	// The newest version of TLS that the broker speaks.
	MaxVersion TLSVersion `yaml:"max_version" default:"1.3" alt:"1.2"`
	// The cipher suites of TLS 1.2 that the broker accepts. Those of TLS 1.3 cannot be chosen. Default: ECDHE with AES-GCM, and TLS_RSA_WITH_AES_128_CBC_SHA256.
	Ciphers []CipherSuite `yaml:"ciphers" max:"20" alt:"[TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]"`
}

// TLSVersion is a version of TLS.
type TLSVersion string

// The versions.
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

// Values returns the valid versions.
func (TLSVersion) Values() []string { return []string{string(TLS12), string(TLS13)} }

// Number returns the version as the protocol has it.
func (v TLSVersion) Number() uint16 {
	if v == TLS13 {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// ClientCertificate is the certificate of a device.
type ClientCertificate string

// BrokerCertificate is the certificate of the model broker.
type BrokerCertificate string

// The kinds of certificate.
const (
	CertNone        = "none"
	CertValid       = "valid"
	CertExpired     = "expired"
	CertNotYetValid = "not_yet_valid"
	CertOtherName   = "other_name"
	CertOtherCA     = "other_ca"
)

// Values returns the valid certificates of a device.
func (ClientCertificate) Values() []string {
	return []string{CertNone, CertValid, CertExpired, CertNotYetValid, CertOtherCA}
}

// Values returns the valid certificates of a broker.
func (BrokerCertificate) Values() []string {
	return []string{CertValid, CertExpired, CertNotYetValid, CertOtherName, CertOtherCA}
}

// CertificateRule says whether a client must have a certificate.
type CertificateRule string

// The rules.
const (
	CertificateNotAsked CertificateRule = "none"
	CertificateRequired CertificateRule = "required"
)

// Values returns the valid rules.
func (CertificateRule) Values() []string {
	return []string{string(CertificateNotAsked), string(CertificateRequired)}
}

// CipherSuite is a cipher suite of TLS 1.2, by the name that IANA gives it.
type CipherSuite string

// suites are those that devices and brokers may have.
var suites = []uint16{
	tls.TLS_RSA_WITH_AES_128_CBC_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Values returns the valid cipher suites: those for a broker with an RSA key.
func (CipherSuite) Values() []string {
	all := make([]string, len(suites))
	for i, id := range suites {
		all[i] = tls.CipherSuiteName(id)
	}
	return all
}

// Number returns the suite as the protocol has it.
func (s CipherSuite) Number() uint16 {
	return suites[slices.Index(s.Values(), string(s))]
}

// fillTLS fills in what depends on other values.
func (s *Scenario) fillTLS() {
	if s.Broker.Port == 0 {
		s.Broker.Port = portMQTT
		if s.Broker.TLS != nil || slices.ContainsFunc(s.Devices, func(d Device) bool { return d.MQTT.TLS != nil }) {
			s.Broker.Port = portMQTTS
		}
	}
	aead := []CipherSuite{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"}
	const netx CipherSuite = "TLS_RSA_WITH_AES_128_CBC_SHA256"
	if b := s.Broker.TLS; b != nil && len(b.Ciphers) == 0 {
		b.Ciphers = append(slices.Clone(aead), netx)
	}
	for i := range s.Devices {
		d, t := &s.Devices[i], s.Devices[i].MQTT.TLS
		if t == nil {
			continue
		}
		if t.MaxVersion == "" {
			t.MaxVersion = TLS12
			if d.Profile == ProfileLinux || t.MinVersion == TLS13 {
				t.MaxVersion = TLS13
			}
		}
		if len(t.Ciphers) == 0 {
			if t.Ciphers = []CipherSuite{netx}; d.Profile == ProfileLinux {
				t.Ciphers = slices.Clone(aead)
			}
		}
	}
}

// brokerTLS checks who speaks TLS with whom.
func (c *checker) brokerTLS() {
	b := &c.s.Broker
	if t := b.TLS; t != nil {
		if b.Kind != BrokerModel {
			c.failf("broker.tls", "remove it, and set the real broker up for TLS", "a broker of kind %s has no TLS that hilnet could set", b.Kind)
			return
		}
		c.versions("broker.tls", t.MinVersion, t.MaxVersion)
	}
	for i := range c.s.Devices {
		d, path := &c.s.Devices[i], index("devices", i)
		switch t := d.MQTT.TLS; {
		case !d.Model() && (t != nil || b.TLS != nil):
			c.failf(path+".kind", "use a real broker, or emu broker --tls-cert, whose certificates the device can know", "%s cannot know the certificates that hilnet makes for a run, nor does hilnet choose its TLS", d.Name)
		case t == nil && b.TLS != nil:
			c.failf(path+".mqtt", "add tls: {}", "the broker speaks TLS, and %s does not", d.Name)
		case t == nil:
		case b.Kind == BrokerCapture:
			c.failf(path+".mqtt.tls", "remove it", "a recording cannot speak TLS: its bytes are of another session")
		case b.Kind == BrokerModel && b.TLS == nil:
			c.failf(path+".mqtt.tls", "add tls: {} to the broker", "%s speaks TLS, and the broker does not", d.Name)
		default:
			c.deviceTLS(path+".mqtt.tls", d, t)
		}
	}
}

func (c *checker) deviceTLS(path string, d *Device, t *DeviceTLS) {
	c.versions(path, t.MinVersion, t.MaxVersion)
	beyond := c.s.Broker.Kind.Real()
	for _, k := range []struct {
		key string
		set bool
	}{{"ca_file", t.CAFile != ""}, {"cert_file", t.CertFile != ""}, {"key_file", t.KeyFile != ""}} {
		if k.set && !beyond {
			c.failf(join(path, k.key), "remove it; certificate: says what the device has", "keys and certificates for a model broker are made for the run")
		}
	}
	switch {
	case !beyond:
	case t.CAFile == "":
		c.failf(path, "add ca_file: ca.pem", "%s must know whom to trust: it has no ca_file", d.Name)
	case t.Certificate != CertNone:
		c.failf(path+".certificate", "write cert_file: and key_file:", "hilnet makes no certificates for a real broker within a run")
	case (t.CertFile == "") != (t.KeyFile == ""):
		c.failf(path, "write both cert_file: and key_file:, or neither", "a certificate goes with its private key")
	}
}

func (c *checker) versions(path string, oldest, newest TLSVersion) {
	if oldest.Number() > newest.Number() {
		c.failf(path+".max_version", "write the newer one here", "the newest version, %s, is older than the oldest, %s", newest, oldest)
	}
}
