package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"hilnet/pcaps"
	"hilnet/pcaps/tlsdec"
)

// maxKeyLog bounds a key log that is read: some 300,000 sessions.
const maxKeyLog = 64 << 20

func addKeyLog(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "keylog", "", "`FILE` with the secrets of TLS sessions, in the form of SSLKEYLOGFILE, beside those in the capture")
}

// readKeys reads a key log; without a name there are no keys yet.
func readKeys(name string) (*tlsdec.Keys, error) {
	keys := new(tlsdec.Keys)
	if name == "" {
		return keys, nil
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("--keylog: %w", err)
	case !info.Mode().IsRegular() || info.Size() > maxKeyLog:
		return nil, fmt.Errorf("--keylog %s: it is no file, or larger than %d bytes", name, maxKeyLog)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--keylog: %w", err)
	}
	keys.Add(data)
	if keys.Len() == 0 {
		return nil, fmt.Errorf("--keylog %s: it holds no secret of a TLS session", name)
	}
	return keys, nil
}

// addSecrets takes the keys that a capture holds.
func addSecrets(keys *tlsdec.Keys, s *pcaps.Secrets) {
	if s.Kind == pcaps.SecretsTLS {
		keys.Add(s.Data)
	}
}

// over names a protocol and the TLS that it is in.
func over(protocol, secure string) string {
	if secure == "" {
		return protocol
	}
	if protocol == "TLS" {
		return secure
	}
	return protocol + " over " + secure
}
