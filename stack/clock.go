package stack

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"hilnet/sim"
)

// clockOrigin is gVisor's monotonic time at the loop's time zero. It is not
// zero because gVisor reads the zero time as "not set".
const clockOrigin = time.Hour

// wallOrigin is the date at the loop's time zero. A fixed one keeps runs equal.
var wallOrigin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clock is gVisor's clock. gVisor arms and stops timers from its own goroutine,
// so they are kept here, under a lock, and one timer of the loop stands for the
// earliest: the loop itself is only touched by its own goroutine, behind the
// barrier.
type clock struct {
	loop  *sim.Loop
	timer *sim.Timer // armed for the earliest deadline
	fire  func(fn func())

	mu    sync.Mutex // guards the rest
	now   sim.Time
	ahead time.Duration // of gVisor's monotonic time beyond now; see departed
	seq   uint64
	heap  []*clockTimer
}

// newClock returns a clock that calls each timer's function through fire, one
// to an event.
func newClock(loop *sim.Loop, fire func(fn func())) *clock {
	c := &clock{loop: loop, now: loop.Now(), fire: fire}
	c.timer = loop.NewTimer(c.expire)
	return c
}

// sync reads the loop's time. The loop's goroutine calls it before it enters
// gVisor.
func (c *clock) sync() {
	c.mu.Lock()
	c.advance()
	c.mu.Unlock()
}

// advance reads the loop's time; gVisor's does not go back. The caller holds mu.
func (c *clock) advance() {
	now := c.loop.Now()
	c.ahead = max(0, c.ahead-now.Sub(c.now))
	c.now = now
}

// departed lets a nanosecond of gVisor's time pass for a frame that it sends, as
// on any real machine some time does. Of segments that were sent at one moment
// gVisor takes the later ones for lost when the first is acknowledged and the
// others are not a quarter of a round trip later (tcp/rack.go, detectLoss
// compares their ends the wrong way round): each burst over a slow link would be
// sent twice, and over a link without delay without end.
func (c *clock) departed() {
	c.mu.Lock()
	c.ahead++
	c.mu.Unlock()
}

// arm sets the loop's timer. The loop's goroutine calls it behind the barrier.
func (c *clock) arm() {
	c.mu.Lock()
	deadline := sim.Never
	if len(c.heap) > 0 {
		deadline = c.heap[0].at
	}
	c.mu.Unlock()
	switch {
	case deadline == sim.Never:
		c.timer.Stop()
	case c.timer.Deadline() != deadline:
		c.timer.Reset(deadline)
	}
}

// expire runs the earliest timer. Others that are due have events of their own.
func (c *clock) expire() {
	c.mu.Lock()
	c.advance()
	if len(c.heap) == 0 || c.heap[0].at > c.now {
		c.mu.Unlock()
		c.arm()
		return
	}
	t := c.heap[0]
	c.remove(t)
	c.mu.Unlock()
	c.fire(t.fn)
}

// stop drops all timers.
func (c *clock) stop() {
	c.mu.Lock()
	for _, t := range c.heap {
		t.index = -1
	}
	c.heap = nil
	c.mu.Unlock()
	c.timer.Stop()
}

// Now implements tcpip.Clock.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return wallOrigin.Add(time.Duration(c.now))
}

// NowMonotonic implements tcpip.Clock.
func (c *clock) NowMonotonic() tcpip.MonotonicTime {
	c.mu.Lock()
	defer c.mu.Unlock()
	return tcpip.MonotonicTime{}.Add(clockOrigin + time.Duration(c.now) + c.ahead)
}

// AfterFunc implements tcpip.Clock. f runs in an event of the loop, even for a
// duration of zero.
func (c *clock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	t := &clockTimer{clock: c, fn: f, index: -1}
	t.Reset(d)
	return t
}

// clockTimer is a tcpip.Timer.
type clockTimer struct {
	clock *clock
	fn    func()
	at    sim.Time
	seq   uint64
	index int // in the heap, -1: not armed
}

// Stop implements tcpip.Timer.
func (t *clockTimer) Stop() bool {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.index < 0 {
		return false
	}
	c.remove(t)
	return true
}

// Reset implements tcpip.Timer.
func (t *clockTimer) Reset(d time.Duration) {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.index >= 0 {
		c.remove(t)
	}
	c.seq++
	t.at, t.seq = c.now.Add(c.ahead+max(d, 0)), c.seq
	t.index = len(c.heap)
	c.heap = append(c.heap, t)
	c.up(t.index)
}

// remove takes t out of the heap.
func (c *clock) remove(t *clockTimer) {
	i, last := t.index, len(c.heap)-1
	c.swap(i, last)
	c.heap[last] = nil
	c.heap = c.heap[:last]
	t.index = -1
	if i < last {
		c.up(i)
		c.down(i)
	}
}

func (c *clock) up(i int) {
	for i > 0 && c.less(i, (i-1)/2) {
		c.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (c *clock) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(c.heap); child++ {
			if c.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		c.swap(i, least)
		i = least
	}
}

func (c *clock) less(i, j int) bool {
	a, b := c.heap[i], c.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (c *clock) swap(i, j int) {
	c.heap[i], c.heap[j] = c.heap[j], c.heap[i]
	c.heap[i].index, c.heap[j].index = i, j
}
