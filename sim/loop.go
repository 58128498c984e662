package sim

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// cancelPoll is the number of events between two looks at the cancel flag.
const cancelPoll = 1024

// MaxPosted bounds the functions that were posted and did not run yet; beyond it
// [Loop.Post] refuses, and the caller counts what it could not hand over.
const MaxPosted = 65536

// MaxStandstill bounds the events of one moment in virtual time; beyond it Run
// ends with ErrStandstill.
const MaxStandstill = 20_000_000

// ErrStandstill says that time does not pass: what happens at one moment leads
// to more at the same moment, without end.
var ErrStandstill = fmt.Errorf("sim: time stands still: more than %d events at one moment", MaxStandstill)

// ErrCanceled is what Run returns when Cancel was called without a cause.
var ErrCanceled = errors.New("sim: run canceled")

// Config configures a Loop. The zero value is virtual time with seed 0.
type Config struct {
	Seed  uint64
	Pacer Pacer // nil: virtual time
}

// A Pacer lets a loop follow real time. Its methods are called by the loop's
// goroutine, except Wake and, once Start has returned, Now.
type Pacer interface {
	// Start fixes the real moment that is Time zero.
	Start() error
	// Now returns the run's time by the real clock. After Start any goroutine may
	// call it.
	Now() Time
	// Wait returns when the real clock has reached t, or after Wake.
	Wait(t Time) error
	// Wake ends a Wait that is under way or the next one. Any goroutine may call it.
	Wake()
	// Hold calls wait; the real time that it takes is no time of the run.
	Hold(wait func())
	// Watch has Wait end when the file descriptor can be read, too, after a call of
	// fn. Unwatch ends that.
	Watch(fd int, fn func()) error
	Unwatch(fd int)
	// Poll calls what Watch was given for the descriptors that can be read now.
	Poll() error
	// Close releases the pacer.
	Close() error
}

// A Loop is the one place where time passes. See the package comment for who
// may call what.
type Loop struct {
	now     Time
	seq     uint64
	events  uint64
	queue   queue
	free    []*Timer // one-shot timers to use again
	seed    uint64
	stopped bool
	ending  bool // Canceled has said yes
	closed  bool

	pacer    Pacer
	lateness Lateness
	watched  int // descriptors
	busy     int // events since the loop last looked at them
	naps     uint64

	current *Task
	tasks   []*Task

	canceled atomic.Bool
	posted   atomic.Bool
	waiting  atomic.Int64 // posted and not run yet

	mu     sync.Mutex // guards the three below
	inbox  []func()
	cause  error
	asleep bool
}

// NewLoop returns a loop at time zero.
func NewLoop(cfg Config) *Loop {
	return &Loop{seed: cfg.Seed, pacer: cfg.Pacer}
}

// Now returns the time of the event that is running.
func (l *Loop) Now() Time { return l.now }

// Seed returns the seed of the run.
func (l *Loop) Seed() uint64 { return l.seed }

// Events returns the number of events run so far.
func (l *Loop) Events() uint64 { return l.events }

// RealTime reports whether a Pacer drives the loop.
func (l *Loop) RealTime() bool { return l.pacer != nil }

// At runs fn at the moment t, or now, after the events already due, if t has passed.
func (l *Loop) At(t Time, fn func()) {
	var timer *Timer
	if n := len(l.free); n > 0 {
		timer = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		timer = &Timer{loop: l, index: -1, once: true}
	}
	timer.fn = fn
	timer.Reset(t)
}

// After runs fn d from now.
func (l *Loop) After(d time.Duration, fn func()) { l.At(l.now.Add(d), fn) }

// Post runs fn on the loop as soon as it can, in real time only. It is the one
// door for other goroutines. It reports false, and keeps nothing, when
// [MaxPosted] functions are waiting already or the loop is closed.
func (l *Loop) Post(fn func()) bool {
	if l.pacer == nil {
		panic("sim: Post on a loop in virtual time")
	}
	l.mu.Lock()
	if l.closed || l.waiting.Load() >= MaxPosted {
		l.mu.Unlock()
		return false
	}
	l.waiting.Add(1)
	l.inbox = append(l.inbox, fn)
	asleep := l.asleep
	l.mu.Unlock()
	l.posted.Store(true)
	if asleep {
		l.pacer.Wake()
	}
	return true
}

// Cancel makes Run return cause (ErrCanceled if nil) within 1024 events. Any
// goroutine may call it, at any moment; the first cause stands.
func (l *Loop) Cancel(cause error) {
	if cause == nil {
		cause = ErrCanceled
	}
	l.mu.Lock()
	if l.cause == nil {
		l.cause = cause
	}
	asleep := l.asleep
	l.mu.Unlock()
	l.canceled.Store(true)
	if asleep {
		l.pacer.Wake()
	}
}

// Stop makes Run return after the event that is running.
func (l *Loop) Stop() { l.stopped = true }

// Run runs all events up to and including the moment until, and leaves the
// clock there. After Stop or Cancel the clock stays at the last event; only
// Cancel and a failing Pacer make it return an error.
func (l *Loop) Run(until Time) error {
	l.stopped = false
	if l.pacer != nil {
		return l.runPaced(until)
	}
	moment, events := l.now, 0
	for poll := 0; !l.stopped; poll++ {
		if poll%cancelPoll == 0 || l.ending {
			if l.canceled.Load() {
				return l.cancelCause()
			}
			if events += cancelPoll; l.now != moment {
				moment, events = l.now, 0
			}
			if events > MaxStandstill {
				return ErrStandstill
			}
		}
		if len(l.queue) == 0 || l.queue[0].at > until {
			if until != Never && until > l.now {
				l.now = until
			}
			return nil
		}
		l.step()
	}
	return nil
}

// step runs the earliest event.
func (l *Loop) step() {
	t := l.queue.pop()
	l.now = t.at
	l.events++
	fn := t.fn
	if t.once {
		t.fn = nil
		l.free = append(l.free, t)
	}
	fn()
}

func (l *Loop) nextSeq() uint64 {
	l.seq++
	return l.seq
}

// Canceled reports whether Cancel was called: what works long within one event
// looks here now and then. Run then ends behind this event.
func (l *Loop) Canceled() bool {
	l.ending = l.ending || l.canceled.Load()
	return l.ending
}

func (l *Loop) cancelCause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// Close ends every Task, newest first, and drops all events. Each Task's
// deferred calls run. The loop cannot run again.
func (l *Loop) Close() error {
	if l.current != nil {
		panic(fmt.Sprintf("sim: Close called by task %q", l.current.name))
	}
	l.mu.Lock()
	already := l.closed
	l.closed = true
	l.inbox = nil
	l.mu.Unlock()
	if already {
		return nil
	}
	for i := len(l.tasks) - 1; i >= 0; i-- {
		l.tasks[i].stop()
	}
	l.tasks = nil
	for _, t := range l.queue {
		t.index = -1
	}
	l.queue = nil
	if l.pacer != nil {
		return l.pacer.Close()
	}
	return nil
}
