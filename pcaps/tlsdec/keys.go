package tlsdec

import (
	"bytes"
	"encoding/hex"
)

// MaxSecrets bounds the secrets that a Keys holds; the others are counted.
const MaxSecrets = 1 << 16

// MaxBuffered bounds the bytes that all Sessions of a Keys hold.
const MaxBuffered = 16 << 20

const (
	randomLength = 32
	maxSecret    = 64
)

// The labels of RFC 9850 that matter here.
const (
	labelMaster          = "CLIENT_RANDOM"
	labelClientHandshake = "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
	labelServerHandshake = "SERVER_HANDSHAKE_TRAFFIC_SECRET"
	labelClientTraffic   = "CLIENT_TRAFFIC_SECRET_0"
	labelServerTraffic   = "SERVER_TRAFFIC_SECRET_0"
)

var labels = map[string]bool{
	labelMaster: true, labelClientHandshake: true, labelServerHandshake: true, labelClientTraffic: true, labelServerTraffic: true,
}

type keyName struct {
	label  string
	random [randomLength]byte
}

// Keys are secrets of TLS sessions, by the random number of the client. The zero
// value is ready to use and has none.
type Keys struct {
	secrets map[keyName][]byte
	refused uint64
	unread  uint64
	held    int // bytes of all sessions
}

// Add takes lines of a key log. What is no such line is counted: see Unread.
func (k *Keys) Add(log []byte) {
	if k.secrets == nil {
		k.secrets = map[keyName][]byte{}
	}
	for line := range bytes.Lines(log) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if !k.line(line) {
			k.unread++
		}
	}
}

// line takes one line and reports whether it is one.
func (k *Keys) line(line []byte) bool {
	words := bytes.Fields(line)
	if len(words) != 3 || len(words[1]) != 2*randomLength || len(words[2]) > 2*maxSecret || len(words[2]) == 0 {
		return false
	}
	name := keyName{label: string(words[0])}
	if _, err := hex.Decode(name.random[:], words[1]); err != nil {
		return false
	}
	secret, err := hex.DecodeString(string(words[2]))
	if err != nil {
		return false
	}
	if !labels[name.label] {
		return true // of a session all the same
	}
	if _, known := k.secrets[name]; !known && len(k.secrets) >= MaxSecrets {
		k.refused++
		return true
	}
	k.secrets[name] = secret
	return true
}

// Len returns the number of secrets.
func (k *Keys) Len() int { return len(k.secrets) }

// Unread returns how many lines were no lines of a key log.
func (k *Keys) Unread() uint64 { return k.unread }

// Refused returns how many secrets were beyond MaxSecrets.
func (k *Keys) Refused() uint64 { return k.refused }

func (k *Keys) find(label string, random [randomLength]byte) []byte {
	return k.secrets[keyName{label, random}]
}

// knows reports whether there is any secret of a session.
func (k *Keys) knows(random [randomLength]byte) bool {
	for label := range labels {
		if k.find(label, random) != nil {
			return true
		}
	}
	return false
}
