package embedded

import "hilnet/sim"

// randMax is newlib's RAND_MAX: rand returns 31 bits.
const randMax = 1<<31 - 1

// A random is NX_RAND, which is the C library's rand unless the product defines
// another. NetX never seeds it, so that a device draws the same numbers after
// each boot: without a sim.Rand the numbers are those of newlib's rand with its
// initial seed of 1 (newlib/libc/stdlib/rand.c), which the usual Arm and RISC-V
// toolchains link.
type random struct {
	seeded *sim.Rand
	state  uint64
}

func newRandom(seeded *sim.Rand) random { return random{seeded: seeded, state: 1} }

func (r *random) next() uint32 {
	if r.seeded != nil {
		return uint32(r.seeded.Uint64()) & randMax
	}
	r.state = r.state*6364136223846793005 + 1
	return uint32(r.state>>32) & randMax
}
