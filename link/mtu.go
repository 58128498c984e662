package link

import (
	"fmt"
	"math"
	"math/bits"
	"time"

	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// mtuLimit drops packets that are too long, and nobody is told: the path-MTU
// black hole of RFC 2923 section 2.1. A Box sends ICMP instead.
type mtuLimit struct {
	env  *Env
	mtu  int // 0: no limit
	rule string
}

// MinMTU is the least MTU that IPv4 allows (RFC 791 section 3.2).
const MinMTU = 68

func validateMTU(mtu int) error {
	if mtu != 0 && (mtu < MinMTU || mtu > math.MaxUint16) {
		return fmt.Errorf("link: MTU %d is not between %d and 65,535", mtu, MinMTU)
	}
	return nil
}

func (m *mtuLimit) set(mtu int) {
	m.mtu, m.rule = mtu, fmt.Sprintf("MTU %d", mtu)
}

func (m *mtuLimit) stage(next Sink) Sink {
	return SinkFunc(func(f *Frame) {
		if m.mtu > 0 && len(f.Data) > m.mtu && packetLen(f.Data) > m.mtu {
			m.env.Drop(f, trace.DropMTU, m.rule)
			return
		}
		next.Put(f)
	})
}

// packetLen returns the length of what is behind a frame's Ethernet header.
func packetLen(frame []byte) int {
	_, rest, err := wire.ParseEthernet(frame)
	if err != nil {
		return len(frame)
	}
	return len(rest)
}

// PolicerConfig drops what exceeds a rate: a token bucket without a queue.
type PolicerConfig struct {
	RateBitsPerSecond uint64 // 0: no limit
	BurstBytes        int    // what may come at once; needed with a rate
}

func (c PolicerConfig) validate() error {
	if c.RateBitsPerSecond > MaxRate {
		return fmt.Errorf("link: policer rate %d bit/s is above %d", c.RateBitsPerSecond, uint64(MaxRate))
	}
	if c.BurstBytes < 0 || c.BurstBytes > MaxBurst {
		return fmt.Errorf("link: policer burst %d B is not between 0 and %d", c.BurstBytes, MaxBurst)
	}
	if c.RateBitsPerSecond > 0 && c.BurstBytes == 0 {
		return fmt.Errorf("link: a policer without a burst passes nothing")
	}
	return nil
}

// policer is a PolicerConfig at work, as the generic cell rate algorithm (ITU-T
// I.371): full is when the bucket would be full again.
type policer struct {
	env  *Env
	cfg  PolicerConfig
	full sim.Time
	rule string
}

func (p *policer) set(c PolicerConfig) {
	p.cfg, p.rule = c, fmt.Sprintf("%d bit/s, burst %d B", c.RateBitsPerSecond, c.BurstBytes)
}

func (p *policer) stage(next Sink) Sink {
	return SinkFunc(func(f *Frame) {
		if p.cfg.RateBitsPerSecond > 0 {
			now := p.env.Loop.Now()
			full := max(p.full, now).Add(airtime(len(f.Data), p.cfg.RateBitsPerSecond))
			if full.Sub(now) > airtime(p.cfg.BurstBytes, p.cfg.RateBitsPerSecond) {
				p.env.Drop(f, trace.DropPoliced, p.rule)
				return
			}
			p.full = full
		}
		next.Put(f)
	})
}

// airtime returns how long n bytes take, rounded down, at most for ever.
func airtime(n int, rate uint64) time.Duration {
	hi, lo := bits.Mul64(uint64(n)*8, uint64(time.Second))
	if hi >= rate {
		return math.MaxInt64
	}
	ns, _ := bits.Div64(hi, lo, rate)
	return time.Duration(min(ns, math.MaxInt64))
}
