package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/emu/certs"
	"hilnet/replay/script"
	"hilnet/scenarios"
)

// The values of --tls.
const (
	tlsAuto = "auto"
	tlsOn   = "on"
	tlsOff  = "off"
)

// playTLSFlags are what replay play is told of TLS.
type playTLSFlags struct {
	mode, keyLog        string
	ca, serverName      string
	cert, key, clientCA string
	insecure            bool
}

func (f *playTLSFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	addKeyLog(cmd, &f.keyLog)
	fl.StringVar(&f.mode, "tls", tlsAuto, "play in TLS: auto, as captured, on or off")
	fl.StringVar(&f.ca, "ca", "", "as the client: trust the authorities in `FILE` (PEM) instead of this machine's")
	fl.StringVar(&f.serverName, "server-name", "", "as the client: the name that the broker's certificate is for (default the host of --against or --to)")
	fl.BoolVar(&f.insecure, "insecure", false, "as the client: take any certificate of the broker's")
	fl.StringVar(&f.cert, "tls-cert", "", "the player's certificate, a `FILE` (PEM); a broker needs one; emu certs makes one")
	fl.StringVar(&f.key, "tls-key", "", "the private key of that certificate, a `FILE` (PEM)")
	fl.StringVar(&f.clientCA, "client-ca", "", "as the broker: ask clients for a certificate of an authority in `FILE` (PEM)")
}

// files reports whether anything was told that only TLS makes use of.
func (f *playTLSFlags) files() bool {
	return f.ca != "" || f.serverName != "" || f.insecure || f.cert != "" || f.key != "" || f.clientCA != ""
}

// check finds what is wrong with the flags before anything is read.
func (f *playTLSFlags) check(as script.Role, against string) error {
	files := f.files()
	switch {
	case f.mode != tlsAuto && f.mode != tlsOn && f.mode != tlsOff:
		return fmt.Errorf("--tls %q is none of auto, on, off", f.mode)
	case files && f.mode == tlsOff:
		return errors.New("--tls off makes no use of certificates: leave --ca, --server-name, --insecure, --tls-cert, --tls-key and --client-ca out")
	case files && against == againstModel:
		return errors.New("--against model has certificates of its own: leave --ca, --server-name, --insecure, --tls-cert, --tls-key and --client-ca out")
	case (f.cert == "") != (f.key == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case as == script.Broker && (f.ca != "" || f.serverName != "" || f.insecure):
		return errors.New("--ca, --server-name and --insecure are for --as client")
	case as == script.Client && f.clientCA != "":
		return errors.New("--client-ca is for --as broker")
	case f.ca != "" && f.insecure:
		return errors.New("--ca and --insecure contradict each other")
	}
	return nil
}

// speaksTLS says whether what is played is played in TLS.
func (f *playFlags) speaksTLS(s *script.Script, as script.Role) (bool, error) {
	if f.tls.mode != tlsAuto {
		return f.tls.mode == tlsOn, nil
	}
	var secure, plain []string
	for _, c := range s.Conversations {
		if !f.chosen(c) || c.Unplayable(as, f.synthetic) != "" {
			continue
		}
		if id := fmt.Sprint(c.ID); c.TLS != "" {
			secure = append(secure, id)
		} else {
			plain = append(plain, id)
		}
	}
	if len(secure) > 0 && len(plain) > 0 {
		return false, fmt.Errorf("of the conversations some are in TLS (%s) and some are not (%s): choose with --conversation, or write --tls on or --tls off", few(secure), few(plain))
	}
	return len(secure) > 0, nil
}

// realTLS is the player's TLS in real time, nil without. host is who it connects to.
func (f *playFlags) realTLS(s *script.Script, as script.Role, host string) (*tls.Config, error) {
	on, err := f.speaksTLS(s, as)
	switch {
	case err != nil:
		return nil, err
	case !on && f.tls.files():
		return nil, errors.New("the conversations are not in TLS, and certificates are of no use: --tls on plays them in TLS")
	case !on:
		return nil, nil
	}
	return f.tls.config(as, host)
}

// untaken tells of a client that did not come so far as to speak MQTT.
func (c *cli) untaken(err error) { fmt.Fprintf(c.stderr, "replay: a client was not taken: %v\n", err) }

// few shows the first of many.
func few(all []string) string {
	const most = 5
	if len(all) > most {
		return strings.Join(all[:most], ", ") + ", …"
	}
	return strings.Join(all, ", ")
}

// chosen reports whether a conversation is among those that --conversation names.
func (f *playFlags) chosen(c *script.Conversation) bool {
	for _, id := range f.only {
		if uint64(id) == c.ID {
			return true
		}
	}
	return len(f.only) == 0
}

// config is what the flags say of the player's TLS. host is who it connects to. Its
// randomness is the machine's.
func (f *playTLSFlags) config(as script.Role, host string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true, SessionTicketsDisabled: true}
	for _, s := range tls.CipherSuites() {
		cfg.CipherSuites = append(cfg.CipherSuites, s.ID)
	}
	// The ones that small devices may have alone: NetX Secure's, and RSA key exchange.
	cfg.CipherSuites = append(cfg.CipherSuites, tls.TLS_RSA_WITH_AES_128_CBC_SHA256, tls.TLS_RSA_WITH_AES_128_GCM_SHA256)
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert %s --tls-key %s: %w", f.cert, f.key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if as == script.Broker {
		if f.cert == "" {
			return nil, errors.New("a broker in TLS needs a certificate: --tls-cert and --tls-key, which emu certs makes; or --tls off plays in plain")
		}
		pool, err := poolOf("--client-ca", f.clientCA)
		if pool != nil {
			cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, pool
		}
		return cfg, err
	}
	cfg.ServerName, cfg.InsecureSkipVerify = f.serverName, f.insecure
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	var err error
	cfg.RootCAs, err = poolOf("--ca", f.ca)
	return cfg, err
}

// poolOf reads authorities; nil without a file.
func poolOf(flag, name string) (*x509.CertPool, error) {
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	all, err := certs.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, name, err)
	}
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
	}
	return pool, nil
}

// modelTLS sees that the scenario of a play in virtual time speaks what is to be
// played. A scenario of the user's decides by itself.
func (f *playFlags) modelTLS(sc *scenarios.Scenario) error {
	speaks := sc.Broker.TLS != nil
	if f.tls.mode == tlsAuto || speaks == (f.tls.mode == tlsOn) {
		return nil
	}
	does := "does not speak TLS"
	if speaks {
		does = "speaks TLS"
	}
	return fmt.Errorf("--tls %s, but the scenario %s: give both ends tls, or neither (docs/tls.md)", f.tls.mode, does)
}
