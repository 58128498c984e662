package main

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/emu/certs"
)

// A certsFlags is what emu certs is told.
type certsFlags struct {
	names []string
	days  int
	ecdsa bool
	force bool
}

const day = 24 * time.Hour

func (c *cli) certsCommand() *cobra.Command {
	var f certsFlags
	cmd := &cobra.Command{
		Use:   "certs [DIR]",
		Short: "Make a test authority with certificates for a broker and a client",
		Long: `certs writes ca.pem, ca.key, server.pem, server.key, client.pem and client.key to
a folder: what a test needs that connects a device to a broker over TLS. The
server's certificate is for the names and addresses in --names.

They are for tests. Whoever has ca.key can make certificates that the devices of
the test trust; files that exist already are kept unless --force is given.
Scenarios with a model broker need no files: their certificates are made for the
run.`,
		Example: `  emu certs
  emu certs bench --names broker.local,192.168.7.1 --days 30
  emu broker --listen 127.0.0.1:8883 --tls-cert server.pem --tls-key server.key`,
		Args: arguments(0, 1, "at most one folder"),
		RunE: func(_ *cobra.Command, args []string) error { return c.certs(args, &f) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.names, "names", []string{"localhost", "127.0.0.1", "::1", "broker"}, "`names` and addresses of the server, separated by commas")
	flags.IntVar(&f.days, "days", 365, "for how many days the certificates are valid, 1 to 36500")
	flags.BoolVar(&f.ecdsa, "ecdsa", false, "make ECDSA keys instead of RSA; cipher suites with RSA key exchange, as NetX has them, do not work with those")
	flags.BoolVar(&f.force, "force", false, "write over files that exist")
	return cmd
}

func (c *cli) certs(args []string, f *certsFlags) error {
	dir := "."
	if len(args) == 1 {
		dir = args[0]
	}
	if f.days < 1 || f.days > 36500 {
		return usagef("--days %d: write 1 to 36500", f.days)
	}
	if len(f.names) == 0 {
		return usagef("--names is empty: a server's certificate is for a name or an address")
	}
	files, err := makeCertificates(f)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return &emu.EnvironmentError{Op: "create the folder", Err: err}
	}
	if !f.force {
		for _, file := range files {
			if _, err := os.Lstat(filepath.Join(dir, file.name)); err == nil {
				return usagef("%s exists already; add --force to write over it, or name another folder", filepath.Join(dir, file.name))
			}
		}
	}
	for _, file := range files {
		path := filepath.Join(dir, file.name)
		if err := writeSecret(path, file.data, file.mode, f.force); err != nil {
			return &emu.EnvironmentError{Op: "write a certificate", Err: err}
		}
		fmt.Fprintln(c.stdout, path)
	}
	return nil
}

// writeSecret makes a file that has its mode from the start, and takes the place
// of an older one only if it may.
func writeSecret(path string, data []byte, mode fs.FileMode, force bool) error {
	if force {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

type certFile struct {
	name string
	data []byte
	mode fs.FileMode
}

// makeCertificates makes all files before the first one is written.
func makeCertificates(f *certsFlags) ([]certFile, error) {
	newKey := certs.NewRSA
	if f.ecdsa {
		newKey = certs.NewECDSA
	}
	var keys [3]crypto.Signer
	for i := range keys {
		var err error
		if keys[i], err = newKey(rand.Reader); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	valid := certs.Validity{From: now.Add(-day), Until: now.Add(time.Duration(f.days) * day)}
	ca, err := certs.NewAuthority(rand.Reader, "hilnet test authority", keys[0], valid)
	if err != nil {
		return nil, err
	}
	server := certs.Request{Name: f.names[0], Server: true, Key: keys[1], Valid: valid}
	for _, name := range f.names {
		if ip := net.ParseIP(name); ip != nil {
			server.IPs = append(server.IPs, ip)
		} else {
			server.DNS = append(server.DNS, name)
		}
	}
	files := []certFile{{"ca.pem", certs.CertificatePEM(ca.Certificate.Raw), 0o666}}
	caKey, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	files = append(files, certFile{"ca.key", caKey, 0o600})
	for i, r := range []certs.Request{server, {Name: "device", Key: keys[2], Valid: valid}} {
		name := []string{"server", "client"}[i]
		cert, err := ca.Issue(r)
		if err != nil {
			return nil, usagef("--names: %w", err)
		}
		key, err := certs.KeyPEM(r.Key)
		if err != nil {
			return nil, err
		}
		files = append(files, certFile{name + ".pem", certs.CertificatePEM(cert.Certificate[0]), 0o666}, certFile{name + ".key", key, 0o600})
	}
	return files, nil
}
