package sim

import (
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"time"
)

// A Task is blocking code on the loop: a coroutine that runs until it waits.
// Its methods may be called by its own code only, except Name, Done, Resume and
// Local.
type Task struct {
	// Ready, if set, is called instead of scheduling the Task when what it
	// waited for has happened. The scheduler that set it calls Resume later.
	Ready func()
	// Local belongs to the scheduler that set Ready.
	Local any

	loop    *Loop
	name    string
	next    func() (struct{}, bool)
	halt    func()
	yield   func(struct{}) bool
	resume  func() // Resume, made a value once
	timer   *Timer
	cond    *Cond // what the Task waits on
	woken   bool
	waiting bool
	done    bool
}

// errStopped unwinds a Task whose loop is closed.
var errStopped = errors.New("sim: task stopped")

// A TaskPanic is what Run panics with when a Task's code panicked: the value
// and the Task's own stack, which the loop's stack would not show.
type TaskPanic struct {
	Task  string
	Value any
	Stack []byte
}

// Error describes the panic with the Task's stack.
func (p *TaskPanic) Error() string {
	return fmt.Sprintf("sim: task %q: %v\n%s", p.Task, p.Value, p.Stack)
}

// Go starts fn as a Task. It begins to run as an event of its own, now.
func (l *Loop) Go(name string, fn func(*Task)) *Task {
	t := l.NewTask(name, fn)
	t.Start()
	return t
}

// NewTask returns a Task that does not run before Start, so that a scheduler
// can set Ready first.
func (l *Loop) NewTask(name string, fn func(*Task)) *Task {
	t := &Task{loop: l, name: name}
	t.timer = l.NewTimer(t.expire)
	t.resume = t.Resume
	t.next, t.halt = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		defer func() {
			t.done = true
			switch r := recover(); r {
			case nil, errStopped:
			default:
				if _, ok := r.(*TaskPanic); !ok {
					r = &TaskPanic{Task: name, Value: r, Stack: debug.Stack()}
				}
				panic(r)
			}
		}()
		fn(t)
	})
	l.tasks = append(l.tasks, t)
	return t
}

// Start makes a Task from NewTask runnable.
func (t *Task) Start() {
	t.waiting = true
	t.ready(true)
}

// Current returns the Task that is running, nil in an event handler.
func (l *Loop) Current() *Task { return l.current }

// Name returns the name given to Go.
func (t *Task) Name() string { return t.name }

// Loop returns the loop the Task runs on.
func (t *Task) Loop() *Loop { return t.loop }

// Now returns the loop's time.
func (t *Task) Now() Time { return t.loop.now }

// Done reports whether the Task's function has returned or was stopped.
func (t *Task) Done() bool { return t.done }

// Sleep lets d pass. A Task with Sleep(0) lets the events that are due now run first.
func (t *Task) Sleep(d time.Duration) { t.SleepUntil(t.loop.now.Add(max(d, 0))) }

// SleepUntil waits for the moment at.
func (t *Task) SleepUntil(at Time) {
	t.check()
	if at != Never {
		t.timer.Reset(at)
	}
	t.block()
}

// Wait waits for a Signal or Broadcast of c, at most timeout (negative: for
// ever), and reports whether it came.
func (t *Task) Wait(c *Cond, timeout time.Duration) bool {
	t.check()
	t.cond = c
	c.waiters = append(c.waiters, t)
	if timeout >= 0 {
		t.timer.ResetAfter(timeout)
	}
	t.block()
	return t.woken
}

// Park gives up the processor until Resume: the way a scheduler takes a Task
// off that is still runnable.
func (t *Task) Park() {
	t.check()
	t.pass()
}

// Resume runs the Task until it waits again. Only a scheduler that set Ready
// calls it, from an event handler, for a Task that is runnable.
func (t *Task) Resume() {
	if t.done {
		return
	}
	l := t.loop
	if l.current != nil {
		panic(fmt.Sprintf("sim: task %q resumed by task %q", t.name, l.current.name))
	}
	l.current = t
	defer func() { // also when the Task's code panics or ends its goroutine
		l.current = nil
		if t.done {
			l.forget(t)
		}
	}()
	t.next()
}

// Stop ends a Task that is not running, as [Loop.Close] does: what it waits for
// will not come, and its deferred calls run.
func (t *Task) Stop() {
	if t.loop.current != nil {
		panic(fmt.Sprintf("sim: task %q stopped by task %q", t.name, t.loop.current.name))
	}
	t.stop()
	t.loop.forget(t)
}

func (t *Task) check() {
	if t.loop.current != t {
		panic(fmt.Sprintf("sim: task %q blocks outside its own code", t.name))
	}
}

// block gives the processor away until ready was called.
func (t *Task) block() {
	t.waiting = true
	t.pass()
}

func (t *Task) pass() {
	if !t.yield(struct{}{}) {
		panic(errStopped)
	}
}

// expire is the timer's function: the sleep is over or the wait timed out.
func (t *Task) expire() {
	if t.cond != nil {
		t.cond.remove(t)
	}
	t.ready(false)
}

// ready ends the Task's waiting; woken tells Wait what it was.
func (t *Task) ready(woken bool) {
	if !t.waiting {
		return
	}
	t.waiting = false
	t.woken = woken
	t.cond = nil
	t.timer.Stop()
	if t.Ready != nil {
		t.Ready()
		return
	}
	t.loop.At(t.loop.now, t.resume)
}

func (t *Task) stop() {
	if t.done {
		return
	}
	t.done = true
	t.timer.Stop()
	if t.cond != nil {
		t.cond.remove(t)
	}
	prev := t.loop.current
	t.loop.current = t
	t.halt()
	t.loop.current = prev
}

func (l *Loop) forget(t *Task) {
	for i, other := range l.tasks {
		if other == t {
			l.tasks = append(l.tasks[:i], l.tasks[i+1:]...)
			return
		}
	}
}

// A Cond lets Tasks wait for one another, first come, first served. The zero
// value is ready to use.
type Cond struct{ waiters []*Task }

// Signal wakes the Task that has waited longest and reports whether there was one.
func (c *Cond) Signal() bool {
	if len(c.waiters) == 0 {
		return false
	}
	t := c.waiters[0]
	c.waiters = append(c.waiters[:0], c.waiters[1:]...)
	t.cond = nil
	t.ready(true)
	return true
}

// Broadcast wakes all Tasks that wait now, in the order they came.
func (c *Cond) Broadcast() {
	for n := len(c.waiters); n > 0; n-- {
		c.Signal()
	}
}

// Len returns the number of Tasks that wait.
func (c *Cond) Len() int { return len(c.waiters) }

func (c *Cond) remove(t *Task) {
	for i, w := range c.waiters {
		if w == t {
			c.waiters = append(c.waiters[:i], c.waiters[i+1:]...)
			return
		}
	}
}
