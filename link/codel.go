package link

import (
	"math"
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// Reading list: RFC 8289 sections 4 and 5, whose names are used here.

const (
	codelTarget   = 5 * time.Millisecond
	codelInterval = 100 * time.Millisecond
	// codelMTU: a queue of no more than a full frame is never too long.
	codelMTU = 1514
)

// codel is the state of RFC 8289's section 5.
type codel struct {
	firstAbove sim.Time // 0: below target
	dropNext   sim.Time
	count      uint64
	lastCount  uint64
	dropping   bool
}

// okToDrop says whether the frame at the head has found the queue above the
// target for an interval: dodequeue of the RFC. Without a frame it is false.
func (c *codel) okToDrop(s *Shaper, now sim.Time) bool {
	if s.queue.len() == 0 {
		c.firstAbove = 0
		return false
	}
	head := s.queue.front()
	if now.Sub(head.at) < s.cfg.CoDelTarget || s.bytes-len(head.f.Data) <= codelMTU {
		c.firstAbove = 0
		return false
	}
	if c.firstAbove == 0 {
		c.firstAbove = now.Add(s.cfg.CoDelInterval)
		return false
	}
	return now >= c.firstAbove
}

// dequeue drops, or marks, what has to go before the frame that is sent next.
func (c *codel) dequeue(s *Shaper, now sim.Time) {
	ok := c.okToDrop(s, now)
	if c.dropping {
		if !ok {
			c.dropping = false
		}
		for c.dropping && now >= c.dropNext {
			c.count++
			if c.punish(s) {
				c.dropNext = c.controlLaw(s, c.dropNext)
				return
			}
			if !c.okToDrop(s, now) {
				c.dropping = false
				return
			}
			c.dropNext = c.controlLaw(s, c.dropNext)
		}
		return
	}
	if !ok {
		return
	}
	if !c.punish(s) {
		c.okToDrop(s, now)
	}
	c.dropping = true
	// Begin near the rate that controlled the queue the last time.
	if delta := c.count - c.lastCount; delta > 1 && now.Sub(c.dropNext) < 16*s.cfg.CoDelInterval {
		c.count = delta
	} else {
		c.count = 1
	}
	c.dropNext = c.controlLaw(s, now)
	c.lastCount = c.count
}

// punish marks the frame at the head and reports true, or drops it.
func (c *codel) punish(s *Shaper) bool {
	if s.cfg.MarkECN && markCE(s.env, s.queue.front().f, "codel") {
		return true
	}
	s.env.Drop(s.take(), trace.DropCoDel, "")
	return false
}

// controlLaw: division and square root are rounded the same way everywhere.
func (c *codel) controlLaw(s *Shaper, t sim.Time) sim.Time {
	return t.Add(time.Duration(float64(s.cfg.CoDelInterval) / math.Sqrt(float64(c.count))))
}
