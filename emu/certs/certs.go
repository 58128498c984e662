// Package certs makes certificates for tests: an authority, and certificates of
// servers and clients that it signs. The caller brings the randomness and the
// moments, so that an emulated world can have the same ones in every run.
//
// It is not a certificate authority for anything else: it keeps no list of what
// it has signed, and revokes nothing. Its functions may be called from any
// goroutine if the randomness may.
//
// Reading list: RFC 5280 (certificates), RFC 9325 (recommendations for TLS).
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"
)

// rsaBits is the size of an RSA key.
const rsaBits = 2048

// NewRSA makes a key that every cipher suite can use.
func NewRSA(random io.Reader) (crypto.Signer, error) {
	key, err := rsa.GenerateKey(random, rsaBits)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	return key, nil
}

// NewECDSA makes a key on the curve P-256.
func NewECDSA(random io.Reader) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	return key, nil
}

// A Validity is the time in which a certificate is valid.
type Validity struct{ From, Until time.Time }

// An Authority signs certificates.
type Authority struct {
	Certificate *x509.Certificate
	key         crypto.Signer
	random      io.Reader
}

// NewAuthority makes an authority with a certificate signed by itself.
func NewAuthority(random io.Reader, name string, key crypto.Signer, valid Validity) (*Authority, error) {
	serial, err := newSerial(random)
	if err != nil {
		return nil, err
	}
	about := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: valid.From, NotAfter: valid.Until,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a := &Authority{key: key, random: random}
	der, err := x509.CreateCertificate(random, about, about, key.Public(), key)
	if err == nil {
		a.Certificate, err = x509.ParseCertificate(der)
	}
	if err != nil {
		return nil, fmt.Errorf("certs: authority %q: %w", name, err)
	}
	return a, nil
}

// A Request is what is to be certified.
type Request struct {
	Name   string // common name
	Server bool   // else a client's
	DNS    []string
	IPs    []net.IP
	Key    crypto.Signer
	Valid  Validity
}

// Issue signs a certificate.
func (a *Authority) Issue(r Request) (*tls.Certificate, error) {
	serial, err := newSerial(a.random)
	if err != nil {
		return nil, err
	}
	usage := x509.ExtKeyUsageClientAuth
	if r.Server {
		usage = x509.ExtKeyUsageServerAuth
	}
	about := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: r.Name}, NotBefore: r.Valid.From, NotAfter: r.Valid.Until,
		DNSNames: r.DNS, IPAddresses: r.IPs, ExtKeyUsage: []x509.ExtKeyUsage{usage}, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(a.random, about, a.Certificate, r.Key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("certs: %q: %w", r.Name, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: r.Key}, nil
}

// newSerial draws a positive number of 127 bits: RFC 5280 4.1.2.2.
func newSerial(random io.Reader) (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("certs: serial number: %w", err)
	}
	b[0] = b[0]&0x7F | 0x40
	return new(big.Int).SetBytes(b), nil
}

// CertificatePEM writes certificates as a PEM file holds them.
func CertificatePEM(ders ...[]byte) []byte {
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// KeyPEM writes a private key as a PEM file holds it, in PKCS #8.
func KeyPEM(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// KeyPEM writes the authority's private key.
func (a *Authority) KeyPEM() ([]byte, error) { return KeyPEM(a.key) }

// ParseCertificates reads all certificates of a PEM file.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certs: certificate %d: %w", len(all)+1, err)
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("certs: no certificate in PEM form")
	}
	return all, nil
}
