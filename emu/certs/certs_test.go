package certs_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"hilnet/emu/certs"
	"hilnet/sim/taskconn"
)

var valid = certs.Validity{From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}

// An authority that signs a server's certificate, as a client verifies it.
func Example() {
	random := taskconn.NewRand(1, "example")
	key, err := certs.NewECDSA(random)
	if err != nil {
		fmt.Println(err)
		return
	}
	ca, err := certs.NewAuthority(random, "test authority", key, valid)
	if err != nil {
		fmt.Println(err)
		return
	}
	cert, err := ca.Issue(certs.Request{Name: "broker", Server: true, DNS: []string{"broker.local"}, Key: key, Valid: valid})
	if err != nil {
		fmt.Println(err)
		return
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: "broker.local", Roots: roots, CurrentTime: valid.From})
	fmt.Println(leaf.Subject, err)
	// Output: CN=broker <nil>
}

func TestFilesHoldWhatWasMade(t *testing.T) {
	key, err := certs.NewRSA(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certs.NewAuthority(rand.Reader, "authority", key, valid)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Issue(certs.Request{Name: "device", Key: key, Valid: valid})
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := certs.KeyPEM(client.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	files := certs.CertificatePEM(client.Certificate[0], ca.Certificate.Raw)
	if _, err := tls.X509KeyPair(files, keyPEM); err != nil {
		t.Error(err)
	}
	all, err := certs.ParseCertificates(files)
	if err != nil || len(all) != 2 || all[0].Subject.CommonName != "device" || all[1].IsCA != true {
		t.Fatalf("%v, %v", all, err)
	}
	if all[0].ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || all[0].SerialNumber.Sign() != 1 || all[0].SerialNumber.Cmp(all[1].SerialNumber) == 0 {
		t.Errorf("usage %v, numbers %v and %v", all[0].ExtKeyUsage, all[0].SerialNumber, all[1].SerialNumber)
	}
	if _, err := certs.ParseCertificates([]byte("nothing")); err == nil {
		t.Error("no certificate is no error")
	}
}

func FuzzParseCertificates(f *testing.F) {
	key, err := certs.NewECDSA(taskconn.NewRand(1, "fuzz"))
	if err != nil {
		f.Fatal(err)
	}
	ca, err := certs.NewAuthority(taskconn.NewRand(1, "fuzz"), "a", key, valid)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(certs.CertificatePEM(ca.Certificate.Raw))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := certs.ParseCertificates(data)
		if (err == nil) != (len(all) > 0) {
			t.Errorf("%d certificates and error %v", len(all), err)
		}
	})
}
