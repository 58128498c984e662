package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/emu/certs"
)

// brokerTLSFlags are what emu broker was told of TLS.
type brokerTLSFlags struct {
	cert, key, clientCA, keyLog string
}

func (f *brokerTLSFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.cert, "tls-cert", "", "speak TLS, with the certificate in `file` (PEM); emu certs makes one")
	flags.StringVar(&f.key, "tls-key", "", "the private key of that certificate, a `file` (PEM)")
	flags.StringVar(&f.clientCA, "client-ca", "", "ask clients for a certificate of an authority in `file` (PEM)")
	flags.StringVar(&f.keyLog, "keylog", "", "write the secrets of TLS sessions to `file`")
}

// config returns the configuration of TLS, nil without it, and what closes its
// files. Its randomness is the machine's.
func (f *brokerTLSFlags) config(stderr io.Writer) (cfg *tls.Config, end func() error, err error) {
	end = func() error { return nil }
	switch {
	case f.cert == "" && f.key == "":
		for _, k := range []struct{ name, value string }{{"--client-ca", f.clientCA}, {"--keylog", f.keyLog}} {
			if k.value != "" {
				return nil, nil, usagef("%s is for TLS: add --tls-cert and --tls-key", k.name)
			}
		}
		return nil, end, nil
	case f.cert == "" || f.key == "":
		return nil, nil, usagef("--tls-cert and --tls-key go together")
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, nil, usagef("--tls-cert %s --tls-key %s: %w", f.cert, f.key, err)
	}
	cfg = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
	for _, s := range tls.CipherSuites() {
		cfg.CipherSuites = append(cfg.CipherSuites, s.ID)
	}
	cfg.CipherSuites = append(cfg.CipherSuites, tls.TLS_RSA_WITH_AES_128_CBC_SHA256) // the one that NetX and Go share
	if f.clientCA != "" {
		data, err := os.ReadFile(f.clientCA)
		if err != nil {
			return nil, nil, usagef("--client-ca: %w", err)
		}
		all, err := certs.ParseCertificates(data)
		if err != nil {
			return nil, nil, usagef("--client-ca %s: %w", f.clientCA, err)
		}
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		for _, cert := range all {
			cfg.ClientCAs.AddCert(cert)
		}
	}
	if f.keyLog != "" {
		file, err := os.OpenFile(f.keyLog, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, nil, &emu.EnvironmentError{Op: "write the key log", Err: err, Hint: "choose another file with --keylog"}
		}
		fmt.Fprintf(stderr, keyWarning, f.keyLog)
		cfg.KeyLogWriter, end = file, file.Close
	}
	return cfg, end, nil
}
