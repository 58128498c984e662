package rtos

import "hilnet/sim"

// A Timer is a ThreadX application timer. Its function runs in interrupt
// context (on a board: in the timer thread, which may not wait either).
type Timer struct {
	kernel     *Kernel
	fn         func()
	timer      *sim.Timer
	remaining  Ticks // until expiry, while inactive
	reschedule Ticks
	due        int64 // tick of expiry, while active
	deleted    bool
}

// NewTimer returns an inactive timer that runs fn initial ticks after Activate
// and then every reschedule ticks; reschedule 0 is a one-shot timer.
func NewTimer(k *Kernel, fn func(), initial, reschedule Ticks) *Timer {
	t := &Timer{kernel: k, fn: fn, remaining: initial, reschedule: reschedule}
	t.timer = k.loop.NewTimer(t.expire)
	return t
}

// Active reports whether the timer is running.
func (t *Timer) Active() bool { return t.timer.Armed() }

// Activate starts the timer, from its initial time or from what was left at
// Deactivate. On an active, a deleted or an expired one-shot timer it reports
// false and does nothing.
func (t *Timer) Activate() bool {
	if t.deleted || t.Active() || t.remaining == 0 {
		return false
	}
	if t.remaining == WaitForever {
		return true // ThreadX never puts such a timer on a list.
	}
	t.arm(t.kernel.tick() + int64(t.remaining))
	return true
}

// Deactivate stops the timer and keeps the ticks that were left.
func (t *Timer) Deactivate() {
	if t.Active() {
		t.remaining = Ticks(max(t.due-t.kernel.tick(), 1))
		t.timer.Stop()
	}
}

// Delete stops the timer for good.
func (t *Timer) Delete() {
	t.timer.Stop()
	t.deleted = true
}

func (t *Timer) arm(tick int64) {
	t.due = tick
	t.timer.Reset(t.kernel.tickTime(tick))
}

func (t *Timer) expire() {
	if t.kernel.halted {
		return
	}
	t.remaining = t.reschedule
	if t.reschedule != 0 {
		t.arm(t.due + int64(t.reschedule))
	}
	t.fn()
}

// Deadline returns the moment of the next expiry, sim.Never if inactive.
func (t *Timer) Deadline() sim.Time { return t.timer.Deadline() }
