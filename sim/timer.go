package sim

import "time"

// A Timer runs a function on the loop at a set moment. It is made once, by
// [Loop.NewTimer], and armed as often as wanted without allocating.
type Timer struct {
	loop  *Loop
	fn    func()
	at    Time
	seq   uint64
	index int // slot in the queue, -1 when stopped
	once  bool
}

// NewTimer returns a stopped timer that will run fn on the loop.
func (l *Loop) NewTimer(fn func()) *Timer {
	return &Timer{loop: l, fn: fn, index: -1}
}

// Reset arms the timer for the moment at, replacing an earlier arming. A moment
// that has passed means now, after the events already due now.
func (t *Timer) Reset(at Time) {
	l := t.loop
	if at < l.now {
		at = l.now
	}
	t.at, t.seq = at, l.nextSeq()
	if t.index >= 0 {
		l.queue.fix(t.index, t)
		return
	}
	l.queue.push(t)
}

// ResetAfter arms the timer for d from now.
func (t *Timer) ResetAfter(d time.Duration) { t.Reset(t.loop.now.Add(d)) }

// Stop disarms the timer and reports whether it was armed.
func (t *Timer) Stop() bool {
	if t.index < 0 {
		return false
	}
	t.loop.queue.remove(t.index)
	return true
}

// Armed reports whether the timer is waiting to run.
func (t *Timer) Armed() bool { return t.index >= 0 }

// Deadline returns the moment the timer is armed for, or Never.
func (t *Timer) Deadline() Time {
	if t.index < 0 {
		return Never
	}
	return t.at
}
