package rtos

import (
	"fmt"

	"hilnet/sim"
)

// A Thread is a ThreadX thread. Sleep may be called by its own code only.
type Thread struct {
	kernel   *Kernel
	task     *sim.Task
	name     string
	priority int

	parked  bool // gave the processor up through the kernel
	timeout *sim.Timer
	wait    suspension
}

// A suspension is what a thread waits for. A thread waits for one thing at a
// time, so it is part of the thread.
type suspension struct {
	queue  *queue // nil: asleep, or not suspended
	what   string // "" when not suspended
	since  sim.Time
	want   uint32 // event flags
	all    bool
	clear  bool
	handed any    // what the waker gave
	flags  uint32 // event flags at the moment of waking
	ok     bool   // woken, not timed out
}

// NewThread makes a thread that runs fn, ready at once: if the caller is a
// thread of lower priority, fn runs before NewThread returns. The thread ends
// when fn returns.
func (k *Kernel) NewThread(name string, priority int, fn func(*Thread)) *Thread {
	t := &Thread{kernel: k, name: name, priority: priority}
	t.task = k.loop.NewTask(name, func(*sim.Task) { fn(t) })
	t.task.Local = t
	t.task.Ready = func() {
		k.makeReady(t)
		k.preempt()
	}
	t.timeout = k.loop.NewTimer(t.expire)
	k.threads = append(k.threads, t)
	t.task.Start()
	return t
}

// Name returns the name given to NewThread.
func (t *Thread) Name() string { return t.name }

// Task returns the Task the thread runs on. Its Sleep and Wait may be used by
// the thread's own code beside the kernel's calls; they are not on the tick grid.
func (t *Thread) Task() *sim.Task { return t.task }

// Kernel returns the kernel that schedules the thread.
func (t *Thread) Kernel() *Kernel { return t.kernel }

// Priority returns the thread's priority; lower numbers run first.
func (t *Thread) Priority() int { return t.priority }

// Waiting reports what the thread is suspended on and since when; what is ""
// if it is not suspended by the kernel.
func (t *Thread) Waiting() (what string, since sim.Time) { return t.wait.what, t.wait.since }

// SetPriority changes the thread's priority and returns the old one. A ready
// thread goes behind the others of its new priority, except that the running
// thread stays in front unless a higher one is ready: tx_thread_priority_change.
func (t *Thread) SetPriority(priority int) (old int) {
	k := t.kernel
	old = t.priority
	ready, running := false, k.Current() == t
	for _, r := range k.ready {
		ready = ready || r == t
	}
	t.priority = priority
	if !ready {
		return old
	}
	k.removeReady(t)
	if running && (len(k.ready) == 0 || priority <= k.ready[0].priority) {
		k.ready = append([]*Thread{t}, k.ready...)
		return old
	}
	k.makeReady(t)
	k.preempt()
	return old
}

// Sleep suspends the thread until the n-th tick from now: tx_thread_sleep.
// Sleep(0) returns at once.
func (t *Thread) Sleep(n Ticks) {
	if t.kernel.Current() != t {
		panic(fmt.Sprintf("rtos: thread %q put to sleep by other code than its own", t.name))
	}
	if n == 0 {
		return
	}
	t.suspend("sleep", nil, n)
}

// suspend takes the thread off the processor until wake or until wait ticks
// have passed, and reports which. what names the reason for reports.
func (t *Thread) suspend(what string, q *queue, wait Ticks) bool {
	k := t.kernel
	t.wait.what, t.wait.queue, t.wait.since = what, q, k.loop.Now()
	t.wait.handed, t.wait.ok = nil, false
	if q != nil {
		q.push(t)
	}
	if wait != WaitForever {
		t.timeout.Reset(k.tickTime(k.tick() + int64(wait)))
	}
	k.removeReady(t)
	t.park()
	return t.wait.ok
}

// park gives the processor back to the dispatcher.
func (t *Thread) park() {
	t.parked = true
	t.task.Park()
}

// wake ends the thread's suspension. The caller has taken it off its queue and
// calls preempt when all is changed.
func (t *Thread) wake(ok bool) {
	t.timeout.Stop()
	t.wait.what, t.wait.queue, t.wait.ok = "", nil, ok
	t.kernel.makeReady(t)
}

// expire is the end of a sleep or of a timed wait: _tx_thread_timeout.
func (t *Thread) expire() {
	if t.wait.queue != nil {
		t.wait.queue.remove(t)
	}
	t.wake(false)
	t.kernel.preempt()
}

// waiter returns the thread that wants to wait, or panics if that is nobody.
func (k *Kernel) waiter(what string) *Thread {
	t := k.Current()
	if t == nil {
		panic(fmt.Sprintf("rtos: wait for %s in interrupt context: only NoWait is allowed there", what))
	}
	return t
}
