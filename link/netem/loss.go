package netem

// Reading list: Linux net/sched/sch_netem.c, loss_4state and loss_gilb_ell;
// Salsano, Ludovici, Ordine, "Definition of a general and intuitive loss model"
// (2009).

// A chain is the state of netem's loss models, with their numbers as the kernel
// has them.
type chain struct {
	model LossModel
	state uint8

	loss                    uint32
	correlated              correlated
	p, r, h, k              uint32 // h: the share that survives in the bad state
	p13, p31, p32, p23, p14 uint32
}

// The states of the four-state model, by the kernel's numbers, and those of the
// Gilbert-Elliott model.
const (
	gapReceived = iota + 1
	burstReceived
	gapLost
	burstLost

	good = 1
	bad  = 2
)

// lost decides on the next packet.
func (c *chain) lost(p *PRNG) bool {
	switch c.model {
	case LossState:
		return c.fourState(p.Uint32())
	case LossGemodel:
		return c.gilbertElliott(p)
	case LossRandom:
		return c.loss != 0 && c.loss >= c.correlated.next(p)
	case LossNone:
	}
	return false
}

// fourState moves first: the state that it comes to says what happens.
func (c *chain) fourState(draw uint32) bool {
	switch c.state {
	case gapReceived:
		switch {
		case draw < c.p14:
			c.state = gapLost
			return true
		case draw < c.p13+c.p14: // in 32 bits, as the kernel adds
			c.state = burstLost
			return true
		}
	case burstReceived:
		if draw < c.p23 {
			c.state = burstLost
			return true
		}
	case burstLost:
		switch {
		case draw < c.p32:
			c.state = burstReceived
		case draw < c.p31+c.p32:
			c.state = gapReceived
		default:
			return true
		}
	case gapLost:
		c.state = gapReceived
	}
	return false
}

// gilbertElliott decides by the state from before the move.
func (c *chain) gilbertElliott(p *PRNG) bool {
	if c.state == good {
		if p.Uint32() < c.p {
			c.state = bad
		}
		return p.Uint32() < c.k
	}
	if p.Uint32() < c.r {
		c.state = good
	}
	return p.Uint32() > c.h
}
