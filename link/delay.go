package link

import (
	"fmt"
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// A Delay holds each frame for a time: a fixed one, with jitter around it. Unless
// its jitter reorders, frames keep their order: a later frame waits for an
// earlier one.
type Delay struct {
	env *Env
	d   time.Duration

	jitter  JitterConfig
	jitters bool // whether jitter is on
	copula  copula
	reorder reorder
	// Reordering draws from a stream of its own, so that it does not move the jitter.
	reorderStream sim.Stream
	limit         int
	full          string
	extra         *conditions

	inOrder ring[delayed] // the frames that leave after all that came before them
	others  heap          // the others
	last    sim.Time      // the latest moment that a frame leaves at
	seq     uint64        // of frames, to break ties
	timer   *sim.Timer
	next    Sink
}

type delayed struct {
	at  sim.Time
	seq uint64
	f   *Frame
}

// MaxDelayed bounds the frames that a Delay holds, and DefaultDelayed is how
// many it holds unless told: their memory is about 1.6 KiB each.
const (
	MaxDelayed     = 1 << 20
	DefaultDelayed = 1 << 17
)

// JitterConfig is how the delays of a direction's frames differ. The sum of
// delay and jitter is at least 0.
type JitterConfig struct {
	// Spread is half the width of Uniform and the standard deviation of the other
	// built-in shapes. It must be 0 for a Distribution that is in time.
	Spread       time.Duration
	Distribution *Distribution // nil: Uniform
	// Correlation, from 0 to below 1, ties a frame's delay to that of the frame
	// before it, as in Chance. The distribution stays what it is.
	Correlation float64
	// Reorder lets a frame with a shorter delay overtake. Without it a frame waits
	// for those before it, so the delays come out longer than drawn when frames
	// come closer together than the spread.
	Reorder bool
}

func (c JitterConfig) on() bool { return c.Spread > 0 || c.Distribution != nil }

func (c JitterConfig) validate() error {
	if c.Spread < 0 || c.Spread > MaxDelay {
		return fmt.Errorf("link: jitter %v is not between 0 and %v", c.Spread, MaxDelay)
	}
	if c.Distribution != nil && !c.Distribution.relative && c.Spread != 0 {
		return fmt.Errorf("link: jitter %v with the distribution %s, which is in time already", c.Spread, c.Distribution)
	}
	return validateCorrelation("jitter", c.Correlation)
}

// ReorderConfig sends some frames at once, past those that are being delayed.
type ReorderConfig struct {
	Chance
	// Gap is 1 (also as 0) when each frame may be sent at once, and n when only
	// each nth may: after a frame that was sent at once, n-1 are delayed.
	Gap int
}

func (c ReorderConfig) validate() error {
	if c.Gap < 0 || c.Gap > 1<<30 {
		return fmt.Errorf("link: reorder gap %d is not between 0 and 2^30", c.Gap)
	}
	return c.Chance.validate("reorder")
}

// reorder is a ReorderConfig at work.
type reorder struct {
	chance  chance
	gap     int
	counted int // frames delayed since one was sent at once
}

func (r *reorder) hit(e *Env, s sim.Stream, f *Frame) bool {
	if r.chance.threshold == 0 {
		return false
	}
	if r.counted < r.gap-1 || !r.chance.hit(e, "reorder", VerbReorder, s, f) {
		r.counted++
		return false
	}
	r.counted = 0
	return true
}

func validateDelay(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("link: delay %v is negative", d)
	}
	if d > MaxDelay {
		return fmt.Errorf("link: delay %v is above %v", d, MaxDelay)
	}
	return nil
}

// Set changes the delay for frames that come later.
func (d *Delay) Set(delay time.Duration) error {
	if err := validateDelay(delay); err != nil {
		return err
	}
	d.d = delay
	return nil
}

func (d *Delay) set(delay time.Duration, j JitterConfig, r ReorderConfig, limit int) {
	d.d, d.jitter = delay, j
	d.jitters = j.on()
	if j.Distribution == nil {
		d.jitter.Distribution = Uniform()
	}
	d.copula.set(j.Correlation)
	d.reorder.gap = r.Gap
	d.reorder.chance.set(r.Chance)
	d.limit = limit
	if limit == 0 {
		d.limit = DefaultDelayed
	}
	d.full = fmt.Sprintf("%d frames are being delayed", d.limit)
}

func (d *Delay) stage(next Sink) Sink {
	d.next, d.reorderStream = next, d.env.Substream("reorder")
	d.timer = d.env.Loop.NewTimer(d.due)
	d.env.Holds(func() uint64 { return uint64(d.len()) })
	return SinkFunc(d.put)
}

func (d *Delay) len() int { return d.inOrder.len() + d.others.len() }

// put queues the frame even when there is no delay: the far end then handles it
// as an event of its own, never inside the sender's call.
func (d *Delay) put(f *Frame) {
	if d.len() >= d.limit {
		d.env.Drop(f, trace.DropDelayFull, d.full)
		return
	}
	now := d.env.Loop.Now()
	at, keep := now.Add(d.draw(f)), !d.jitter.Reorder
	if d.reorder.hit(d.env, d.reorderStream, f) {
		at, keep = now, false
	}
	if keep {
		at = max(at, d.last)
	}
	d.seq++
	item := delayed{at, d.seq, f}
	if d.inOrder.len() == 0 || at >= d.inOrder.back().at {
		d.inOrder.push(item)
	} else {
		d.others.push(item)
	}
	d.last = max(d.last, at)
	if !d.timer.Armed() || at < d.timer.Deadline() {
		d.timer.Reset(at)
	}
}

// draw returns the frame's own delay.
func (d *Delay) draw(f *Frame) time.Duration {
	ns := int64(d.d)
	if d.extra != nil {
		ns += int64(d.extra.now().Delay)
	}
	if d.jitters {
		u := d.copula.draw(d.env.Stream, f)
		j := d.jitter.Distribution.scaled(u, d.jitter.Spread)
		ns = max(0, min(ns+min(j, int64(4*MaxDelay)), int64(4*MaxDelay)))
		ns = int64(d.env.ChooseDelay(f, time.Duration(ns), u))
	}
	return time.Duration(ns)
}

// due sends one frame: each is an event of its own.
func (d *Delay) due() {
	var f *Frame
	if d.others.len() > 0 && (d.inOrder.len() == 0 || d.others.first().before(d.inOrder.front())) {
		f = d.others.pop().f
	} else {
		f = d.inOrder.pop().f
	}
	if d.len() > 0 {
		d.timer.Reset(d.deadline())
	}
	d.next.Put(f)
}

func (d *Delay) deadline() sim.Time {
	at := sim.Never
	if d.inOrder.len() > 0 {
		at = d.inOrder.front().at
	}
	if d.others.len() > 0 {
		at = min(at, d.others.first().at)
	}
	return at
}

func (a *delayed) before(b *delayed) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// heap is a 4-ary min-heap of delayed frames.
type heap []delayed

const arity = 4

func (h heap) len() int        { return len(h) }
func (h heap) first() *delayed { return &h[0] }

func (h *heap) push(v delayed) {
	*h = append(*h, v)
	q := *h
	i := len(q) - 1
	for i > 0 && v.before(&q[(i-1)/arity]) {
		q[i] = q[(i-1)/arity]
		i = (i - 1) / arity
	}
	q[i] = v
}

func (h *heap) pop() delayed {
	q := *h
	top, last := q[0], q[len(q)-1]
	q[len(q)-1] = delayed{}
	q = q[:len(q)-1]
	*h = q
	if len(q) == 0 {
		return top
	}
	i := 0
	for {
		first := arity*i + 1
		if first >= len(q) {
			break
		}
		least := first
		for c := first + 1; c < len(q) && c < first+arity; c++ {
			if q[c].before(&q[least]) {
				least = c
			}
		}
		if !q[least].before(&last) {
			break
		}
		q[i] = q[least]
		i = least
	}
	q[i] = last
	return top
}
