package taskconn

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"os"
	"strings"
	"sync"

	"hilnet/sim"
)

// A Rand is the predictable randomness of one TLS endpoint, from the seed of a
// run and a path: tls.Config.Rand, and the argument of functions that make keys.
type Rand struct{ from *sim.Rand }

// NewRand returns the randomness of an endpoint. No two endpoints may have the
// same path.
func NewRand(seed uint64, path string) *Rand { return &Rand{sim.NewRand(seed, path)} }

// Read fills p and never fails. A single byte is answered without moving on:
// functions of crypto read one or none, by a chance that is not ours, so that
// nobody builds on what their argument yields.
func (r *Rand) Read(p []byte) (int, error) {
	if len(p) == 1 {
		p[0] = 0
		return 1, nil
	}
	return r.from.Read(p)
}

// ErrNotRepeatable says that this version of Go takes its own randomness for
// keys whatever it is given: TLS works, and its bytes differ from run to run.
var ErrNotRepeatable = errors.New("taskconn: keys do not follow the seed: GODEBUG=cryptocustomrand=1 has no effect in this version of Go")

var repeatable struct {
	sync.Mutex
	known bool
	err   error
}

// customRand is the setting of Go 1.26 that makes keys follow the reader that
// they are asked of.
const customRand = "cryptocustomrand=1"

// Repeatable sees to it that keys made with a Rand follow it, for the whole
// process, and returns ErrNotRepeatable if that cannot be had. What asks
// crypto/rand for randomness, as a tls.Config without Rand does, is not touched.
func Repeatable() error {
	repeatable.Lock()
	defer repeatable.Unlock()
	if repeatable.known {
		return repeatable.err
	}
	repeatable.known = true
	if follows() {
		return nil
	}
	settings := customRand
	if now := os.Getenv("GODEBUG"); now != "" {
		kept := []string{}
		for _, s := range strings.Split(now, ",") {
			if !strings.HasPrefix(s, "cryptocustomrand=") {
				kept = append(kept, s)
			}
		}
		settings = strings.Join(append(kept, customRand), ",")
	}
	if err := os.Setenv("GODEBUG", settings); err != nil || !follows() {
		repeatable.err = ErrNotRepeatable
	}
	return repeatable.err
}

// follows reports whether two keys of one seed are equal.
func follows() bool {
	var keys [2][]byte
	for i := range keys {
		k, err := ecdsa.GenerateKey(elliptic.P256(), NewRand(1, "taskconn/probe"))
		if err != nil {
			return false
		}
		if keys[i], err = k.Bytes(); err != nil {
			return false
		}
	}
	return bytes.Equal(keys[0], keys[1])
}
