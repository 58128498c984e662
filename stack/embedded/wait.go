package embedded

import (
	"slices"

	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// A waitList holds the threads that wait for one thing at one socket, first
// come first served: NetX's suspension lists. A thread is on the list before
// the engine is left, so nothing can slip through, and a wait that times out is
// cleaned up at that moment by the IP thread, not when the waiting thread runs
// again (nx_tcp_connect_cleanup.c and its kin). That is why this is not a plain
// rtos.WaitQueue with a timeout.
type waitList struct {
	ip        *IP
	what      string
	onTimeout func() nic.Status // cleans up and says what the wait returns
	waiting   []*waiter
	spare     []*waiter
}

type waiterState uint8

const (
	waiterIdle      waiterState = iota
	waiterListed                // on the list, thread not yet off the processor
	waiterSuspended             // thread off the processor
	waiterEnded                 // woken between the two
)

type waiter struct {
	list  *waitList
	queue *rtos.WaitQueue
	timer *sim.Timer
	tag   uint16
	state waiterState
	value any
}

// do runs fn inside the engine. If fn asks for it, the current thread then
// waits until wake, at most n ticks, and do returns what it was woken with.
func (l *waitList) do(n rtos.Ticks, tag uint16, fn func() (wait bool)) (v any, waited bool) {
	ip := l.ip
	w := l.take()
	ip.protect(func() {
		if !fn() {
			return
		}
		w.state, w.tag = waiterListed, tag
		l.waiting = append(l.waiting, w)
		if n != rtos.WaitForever {
			w.timer.Reset(ip.clock.after(n))
		}
	})
	switch w.state {
	case waiterIdle:
		l.spare = append(l.spare, w)
		return nil, false
	case waiterListed:
		thread, since := ip.kernel.Current(), ip.loop.Now()
		w.state = waiterSuspended
		w.value, _ = w.queue.Suspend(rtos.WaitForever)
		if d := ip.loop.Now().Sub(since); d > 0 {
			ip.trace.Emit(trace.Event{
				Kind: trace.KindWait, Node: ip.cfg.Node, Stage: thread.Name(), Text: l.what, Count: int64(d),
			})
		}
	}
	v, w.value, w.state = w.value, nil, waiterIdle
	l.spare = append(l.spare, w)
	return v, true
}

func (l *waitList) take() *waiter {
	if k := len(l.spare); k > 0 {
		w := l.spare[k-1]
		l.spare = l.spare[:k-1]
		return w
	}
	w := &waiter{list: l, queue: rtos.NewWaitQueue(l.ip.kernel, l.what)}
	w.timer = l.ip.loop.NewTimer(w.expire)
	return w
}

// wake lets the thread that has waited longest go on with v, and reports
// whether there was one.
func (l *waitList) wake(v any) bool {
	if len(l.waiting) == 0 {
		return false
	}
	l.waiting[0].end(v)
	return true
}

// wakeTag is wake for the thread that waits with tag.
func (l *waitList) wakeTag(tag uint16, v any) bool {
	for _, w := range l.waiting {
		if w.tag == tag {
			w.end(v)
			return true
		}
	}
	return false
}

// flush ends all waits as a timeout would.
func (l *waitList) flush() {
	for len(l.waiting) > 0 {
		l.waiting[0].end(l.onTimeout())
	}
}

func (w *waiter) end(v any) {
	l := w.list
	i := slices.Index(l.waiting, w)
	l.waiting = slices.Delete(l.waiting, i, i+1)
	w.timer.Stop()
	if w.state == waiterListed {
		w.state, w.value = waiterEnded, v
		return
	}
	w.queue.Wake(v)
}

func (w *waiter) expire() {
	w.list.ip.protect(func() { w.end(w.list.onTimeout()) })
}

// mayWait reports whether a call with this wait option waits: never in
// interrupt context, nor from a Task that is no thread of the kernel.
func (ip *IP) mayWait(wait rtos.Ticks) bool {
	return wait != rtos.NoWait && ip.kernel.Current() != nil
}
