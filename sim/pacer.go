package sim

import (
	"math/bits"
	"time"
)

// runPaced is Run in real time: the same events in the same order, each not
// before its moment, with posted functions in between at the real time of their
// arrival.
func (l *Loop) runPaced(until Time) error {
	for !l.stopped {
		if l.canceled.Load() {
			return l.cancelCause()
		}
		if l.posted.Load() {
			l.takePosted()
		}
		now := l.pacer.Now()
		if len(l.queue) > 0 && l.queue[0].at <= until && l.queue[0].at <= now {
			l.lateness.add(now.Sub(l.queue[0].at))
			l.step()
			if err := l.poll(); err != nil {
				return err
			}
			continue
		}
		if now >= until {
			l.now = max(l.now, until)
			return nil
		}
		next := until
		if len(l.queue) > 0 {
			next = min(next, l.queue[0].at)
		}
		if err := l.sleep(next); err != nil {
			return err
		}
	}
	return nil
}

// pollEvents is the number of events after which a loop that never sleeps looks at
// the descriptors that it watches.
const pollEvents = 32

// poll looks at the watched descriptors now and then.
func (l *Loop) poll() error {
	if l.watched == 0 {
		return nil
	}
	if l.busy++; l.busy < pollEvents {
		return nil
	}
	l.busy = 0
	return l.pacer.Poll()
}

// Watch has fn called, by the goroutine that runs the loop, whenever the file
// descriptor can be read, in real time only. It is called between two events: it
// may read and schedule, and is called again as long as something is left to read.
func (l *Loop) Watch(fd int, fn func()) error {
	if l.pacer == nil {
		panic("sim: Watch on a loop in virtual time")
	}
	if err := l.pacer.Watch(fd, fn); err != nil {
		return err
	}
	l.watched++
	return nil
}

// Unwatch ends Watch.
func (l *Loop) Unwatch(fd int) {
	l.pacer.Unwatch(fd)
	l.watched--
}

// Naps counts the times that the loop had nothing to do and slept, in real time:
// while the number stays the same, the loop is busy.
func (l *Loop) Naps() uint64 { return l.naps }

// Arrived schedules what has come from outside: now by the real clock, behind the
// events already due.
func (l *Loop) Arrived(fn func()) { l.At(max(l.pacer.Now(), l.now), fn) }

// sleep waits for next, unless something was posted before the pacer could be
// told to listen.
func (l *Loop) sleep(next Time) error {
	l.mu.Lock()
	if len(l.inbox) > 0 || l.cause != nil {
		l.mu.Unlock()
		return nil
	}
	l.asleep = true
	l.mu.Unlock()
	err := l.pacer.Wait(next)
	l.busy = 0
	l.naps++
	l.mu.Lock()
	l.asleep = false
	l.mu.Unlock()
	return err
}

// takePosted schedules what other goroutines posted, now by the real clock: an
// event that was due before keeps its place in front.
func (l *Loop) takePosted() {
	l.mu.Lock()
	inbox := l.inbox
	l.inbox = nil
	l.posted.Store(false)
	l.mu.Unlock()
	arrived := max(l.pacer.Now(), l.now)
	for _, fn := range inbox {
		l.At(arrived, func() {
			l.waiting.Add(-1)
			fn()
		})
	}
}

// StartPacer fixes the real moment that is time zero. In virtual time it does
// nothing.
func (l *Loop) StartPacer() error {
	if l.pacer == nil {
		return nil
	}
	return l.pacer.Start()
}

// Hold stops the run in real time, within the event that calls it, for as long as
// wait takes: that is no time of the run. Nothing but wait may happen meanwhile;
// what is posted waits. In virtual time, where nobody waits, it panics.
func (l *Loop) Hold(wait func()) {
	if l.pacer == nil {
		panic("sim: Hold on a loop in virtual time")
	}
	l.pacer.Hold(wait)
}

// Lateness returns how late events ran so far. In virtual time it is empty.
func (l *Loop) Lateness() Lateness { return l.lateness }

// Lateness is a histogram of how long after its moment each event ran, in
// powers of two of a microsecond.
type Lateness struct {
	Events  uint64
	Max     time.Duration
	Buckets [32]uint64 // Buckets[i]: events less than 2^i µs late, not counted before
}

func (h *Lateness) add(d time.Duration) {
	h.Events++
	h.Max = max(h.Max, d)
	h.Buckets[min(bits.Len64(uint64(d/time.Microsecond)), len(h.Buckets)-1)]++
}

// Quantile returns an upper bound of the q-quantile, 0 < q <= 1, exact to a
// factor of two.
func (h *Lateness) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.Events))
	var seen uint64
	for i, n := range h.Buckets {
		seen += n
		if n > 0 && seen >= rank {
			return min(time.Microsecond<<i, h.Max)
		}
	}
	return h.Max
}

// WallClock returns the real date and time. Captures of real links are stamped
// with it at their start; nothing else may depend on it.
func WallClock() time.Time { return time.Now() }
