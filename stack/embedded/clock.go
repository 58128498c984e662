package embedded

import (
	"hilnet/sim"
	"hilnet/sim/rtos"
)

// A clock is a kernel's tick grid: tick n is the moment n/perSecond after the
// kernel's start.
type clock struct {
	loop      *sim.Loop
	start     sim.Time
	perSecond int64
}

// newClock finds the kernel's start from a timer that ends at its next tick.
func newClock(k *rtos.Kernel) clock {
	c := clock{loop: k.Loop(), perSecond: int64(k.TicksPerSecond())}
	probe := rtos.NewTimer(k, func() {}, 1, 0)
	probe.Activate()
	c.start = probe.Deadline() - c.at(int64(k.Now())+1)
	probe.Delete()
	return c
}

// tick returns the number of the last tick.
func (c *clock) tick() int64 {
	since := int64(c.loop.Now() - c.start)
	return since/1e9*c.perSecond + since%1e9*c.perSecond/1e9
}

// at returns the moment of a tick.
func (c *clock) at(tick int64) sim.Time {
	n := c.perSecond
	return c.start + sim.Time(tick/n*1e9+(tick%n*1e9+n-1)/n)
}

// after returns the moment at which a wait of n ticks that begins now ends.
func (c *clock) after(n rtos.Ticks) sim.Time { return c.at(c.tick() + int64(n)) }

// A periodic is a timer on a grid of its own whose phase never moves, and that
// costs nothing while it has nothing to do.
type periodic struct {
	clock  *clock
	origin int64 // tick that the grid counts from
	every  int64 // ticks
	timer  *sim.Timer
}

func newPeriodic(c *clock, every int64, fn func()) *periodic {
	return &periodic{clock: c, origin: c.tick(), every: every, timer: c.loop.NewTimer(fn)}
}

// arm starts the timer if it is not running: it ends at the next tick of the
// grid. A tick of this very moment has passed.
func (p *periodic) arm() {
	if p.timer.Armed() {
		return
	}
	n := (p.clock.tick()-p.origin)/p.every + 1
	p.timer.Reset(p.clock.at(p.origin + n*p.every))
}
