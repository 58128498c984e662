package sim

import (
	"hash/fnv"
	"math/bits"
	"sync"
)

// Reading list: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy
// as 1, 2, 3" (SC 2011), which defines Philox.

const (
	philoxMultiplier = 0xD2B74407B1CE6E93
	philoxWeyl       = 0x9E3779B97F4A7C15
	philoxRounds     = 10
)

// A Stream is a random function: draw number n is the same whenever and in
// whatever order it is asked for. Streams with different seeds or paths are
// independent. It is a value without state, safe to copy and to share.
type Stream struct{ key uint64 }

// NewStream returns the stream of a seed and a path, such as "link/up/loss".
func NewStream(seed uint64, path string) Stream {
	h := fnv.New64a()
	_, _ = h.Write([]byte(path)) // a hash.Hash never fails
	// One Philox block mixes both, so that neighbouring seeds share nothing.
	a, b := philox(h.Sum64(), seed, 0)
	return Stream{key: a ^ bits.RotateLeft64(b, 32)}
}

// At returns draw number ordinal, uniform over all uint64.
func (s Stream) At(ordinal uint64) uint64 { return s.At2(ordinal, 0) }

// At2 returns one of many independent draws for the same ordinal.
func (s Stream) At2(ordinal, lane uint64) uint64 {
	a, _ := philox(s.key, ordinal, lane)
	return a
}

// Float64At returns a draw uniform in [0, 1), a multiple of 2^-53.
func (s Stream) Float64At(ordinal, lane uint64) float64 {
	return float64(s.At2(ordinal, lane)>>11) / (1 << 53)
}

// philox is Philox2x64-10.
func philox(key, c0, c1 uint64) (uint64, uint64) {
	for range philoxRounds {
		hi, lo := bits.Mul64(philoxMultiplier, c0)
		c0, c1 = hi^key^c1, lo
		key += philoxWeyl
	}
	return c0, c1
}

// A Rand is a Stream read one draw after the other. It is safe for use by
// several goroutines, since gVisor asks from its own; the order in which they
// ask is then theirs. It implements math/rand/v2's Source and io.Reader.
type Rand struct {
	stream Stream

	mu   sync.Mutex // guards the three below
	next uint64
	buf  uint64
	left int // unread bytes of buf
}

// NewRand returns the sequence of a seed and a path.
func NewRand(seed uint64, path string) *Rand {
	return &Rand{stream: NewStream(seed, path)}
}

// Uint64 returns the next draw.
func (r *Rand) Uint64() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draw()
}

func (r *Rand) draw() uint64 {
	v := r.stream.At(r.next)
	r.next++
	return v
}

// IntN returns a number uniform in [0, n). n must be positive.
func (r *Rand) IntN(n int) int {
	if n <= 0 {
		panic("sim: IntN of a number below 1")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Lemire, "Fast random integer generation in an interval" (2019).
	bound := uint64(n)
	hi, lo := bits.Mul64(r.draw(), bound)
	if lo < bound {
		for threshold := -bound % bound; lo < threshold; {
			hi, lo = bits.Mul64(r.draw(), bound)
		}
	}
	return int(hi)
}

// Float64 returns a draw uniform in [0, 1).
func (r *Rand) Float64() float64 { return float64(r.Uint64()>>11) / (1 << 53) }

// Read fills p and never fails.
func (r *Rand) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range p {
		if r.left == 0 {
			r.buf, r.left = r.draw(), 8
		}
		p[i] = byte(r.buf)
		r.buf >>= 8
		r.left--
	}
	return len(p), nil
}
