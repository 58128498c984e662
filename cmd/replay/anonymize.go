package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"hilnet/emu"
	"hilnet/replay/anonymize"
)

const (
	anonymizeFormat  = "hilnet-anonymization"
	anonymizeVersion = 1 // grows when a key changes its meaning or goes away
)

// An anonymizeDocument is what replay anonymize --json prints.
type anonymizeDocument struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	File    string `json:"file"`
	Output  string `json:"output"`
	*anonymize.Report
	Problem *problem `json:"problem,omitempty"`
}

type anonymizeFlags struct {
	output, key, keyFile string
	ports                []uint
	asJSON               bool
}

func (c *cli) anonymizeCommand() *cobra.Command {
	var f anonymizeFlags
	cmd := &cobra.Command{
		Use:   "anonymize FILE",
		Short: "Write a capture without who and what was in it",
		Long: `anonymize writes a capture anew in which Ethernet and IP addresses, host names, client
identifiers, credentials, topics and payloads are replaced, and comments, names, filters
and secrets are left out. Lengths, times, ports and numbers stay, and checksums are right where
they were right, so the copy analyzes to the same findings: replay analyze says of it what
it says of the original, with other names.

What is not understood becomes zeros: UDP but DNS, DHCP and NTP, TCP but MQTT and TLS, unknown
protocols. How much is said at the end.

The same original has the same replacement. With --key or --key-file that holds over several
files, and for who knows the key alone; without, a key is made and forgotten.`,
		Example: "  replay anonymize field.pcapng -o public.pcapng\n  replay anonymize monday.pcapng -o m.pcapng --key-file our.key",
		Args:    onlyOneFile("anonymize"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := f.secret()
			if err != nil {
				return err
			}
			return c.anonymize(cmd.Context(), args[0], &f, key)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.output, "output", "o", "", "file to write (required); one that is there is replaced")
	fl.StringVar(&f.key, "key", "", "key, 16 characters or more that nobody guesses")
	fl.StringVar(&f.keyFile, "key-file", "", "file with the key: all of its bytes, 16 or more")
	fl.UintSliceVar(&f.ports, "port", []uint{1883}, "TCP port of MQTT; may be repeated")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// secret returns the key.
func (f *anonymizeFlags) secret() ([]byte, error) {
	const made, most = 32, 1 << 16
	switch {
	case f.key != "" && f.keyFile != "":
		return nil, errors.New("--key and --key-file: give one")
	case f.keyFile != "":
		file, err := openCapture(f.keyFile)
		if err != nil {
			return nil, &emu.EnvironmentError{Op: "read the key", Err: err, Hint: "check --key-file"}
		}
		defer file.Close()
		key, err := io.ReadAll(io.LimitReader(file, most))
		if err != nil {
			return nil, &emu.EnvironmentError{Op: "read the key", Err: err, Hint: "check --key-file"}
		}
		return longKey(key)
	case f.key != "":
		return longKey([]byte(f.key))
	}
	key := make([]byte, made)
	if _, err := rand.Read(key); err != nil {
		return nil, &emu.EnvironmentError{Op: "make a key", Err: err, Hint: "give one with --key-file"}
	}
	return key, nil
}

func longKey(key []byte) ([]byte, error) {
	if len(key) < anonymize.MinKey {
		return nil, fmt.Errorf("the key has %d bytes, it needs %d: who guesses it can undo what was done", len(key), anonymize.MinKey)
	}
	return key, nil
}

func (c *cli) anonymize(ctx context.Context, name string, f *anonymizeFlags, key []byte) error {
	ports, err := portsOf(f.ports)
	if err != nil {
		return err
	}
	if err := openable(name); err != nil {
		return err
	}
	a, err := anonymize.New(anonymize.Config{Key: key, MQTTPorts: ports})
	if err != nil {
		return err
	}
	inputs := []string{name}
	if f.keyFile != "" {
		inputs = append(inputs, f.keyFile)
	}
	out, err := createOutput(f.output, inputs...)
	if err != nil {
		return err
	}
	defer out.discard()
	report, err := a.Capture(ctx, out.file, func() (io.ReadCloser, error) { return os.Open(name) })
	if errors.Is(err, anonymize.ErrTooLong) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err != nil {
		return explainEdit(name, f.output, err)
	}
	if err := out.keep(); err != nil {
		return err
	}
	if report.Problem != nil {
		c.code = exitFail
	}
	if f.asJSON {
		doc := anonymizeDocument{Format: anonymizeFormat, Version: anonymizeVersion, File: name, Output: f.output, Report: report}
		if report.Problem != nil {
			doc.Problem = problemOf(report.Problem)
		}
		return c.writeJSON(doc)
	}
	c.anonymized(f.output, report)
	return nil
}

// anonymized prints what was done.
func (c *cli) anonymized(output string, r *anonymize.Report) {
	fmt.Fprintf(c.stdout, "%s: %s; replaced %s and %s, of %s and %s\n", printable(output), many(r.Frames, "frame"),
		many(r.Addresses, "address"), many(r.Texts, "text"), many(r.Messages, "MQTT message"), many(r.TLSRecords, "TLS record"))
	for _, z := range r.Zeroed {
		fmt.Fprintf(c.stdout, "  made zeros: %s of %s\n", many(z.N, "byte"), z.What)
	}
	for _, l := range r.LeftOut {
		fmt.Fprintf(c.stdout, "  left out: %d × %s\n", l.N, l.What)
	}
	if r.Problem != nil {
		fmt.Fprintf(c.stdout, "  %s: %v\n", strings.ToUpper(problemOf(r.Problem).Kind), r.Problem)
	}
}
