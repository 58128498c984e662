package netem

// Reading list: P. L'Ecuyer, "Tables of maximally equidistributed combined LFSR
// generators" (1999); Linux include/linux/prandom.h, lib/random32.c.

// A PRNG is LFSR113, the kernel's prandom_u32_state.
type PRNG struct{ s [4]uint32 }

// Seed sets the state as the kernel's prandom_seed_state does: there is no
// warm-up, so the first numbers of small seeds are small.
func (p *PRNG) Seed(seed uint64) {
	i := uint32(seed>>32 ^ seed<<10 ^ seed)
	for n, least := range [4]uint32{2, 8, 16, 128} {
		p.s[n] = i
		if i < least {
			p.s[n] += least
		}
	}
}

// Uint32 returns the next number.
func (p *PRNG) Uint32() uint32 {
	s := &p.s
	s[0] = s[0]&^1<<18 ^ (s[0]<<6^s[0])>>13
	s[1] = s[1]&^7<<2 ^ (s[1]<<2^s[1])>>27
	s[2] = s[2]&^15<<7 ^ (s[2]<<13^s[2])>>21
	s[3] = s[3]&^127<<13 ^ (s[3]<<3^s[3])>>12
	return s[0] ^ s[1] ^ s[2] ^ s[3]
}

// A correlated is netem's correlated source: each number is a mix of the last
// one and a new one. A mix of uniform numbers is not uniform, which is why a
// correlation changes the rate of what is compared with it.
type correlated struct{ last, rho uint32 }

// next returns the next number, from p alone when there is no correlation.
func (c *correlated) next(p *PRNG) uint32 {
	value := uint64(p.Uint32())
	if c == nil || c.rho == 0 {
		return uint32(value)
	}
	rho := uint64(c.rho) + 1
	c.last = uint32((value*(1<<32-rho) + uint64(c.last)*rho) >> 32)
	return c.last
}
