package embedded

import (
	"slices"

	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// A waitList holds the threads that wait for one thing at one socket, first
// come first served: NetX's suspension lists. A wait that times out is cleaned
// up at that moment by the IP thread, not when the waiting thread runs again
// (nx_tcp_connect_cleanup.c and its kin), which is why this is not a plain
// rtos.WaitQueue with a timeout.
type waitList struct {
	ip        *IP
	what      string
	onTimeout func() nic.Status // cleans up and says what the wait returns
	waiting   []*waiter
	spare     []*waiter
}

type waiter struct {
	list  *waitList
	queue *rtos.WaitQueue
	timer *sim.Timer
	tag   uint16
}

// wait suspends the current thread until wake, at most n ticks, and returns
// what it was woken with. The caller is outside the engine.
func (l *waitList) wait(n rtos.Ticks, tag uint16) any {
	ip := l.ip
	var w *waiter
	if k := len(l.spare); k > 0 {
		w = l.spare[k-1]
		l.spare = l.spare[:k-1]
	} else {
		w = &waiter{list: l, queue: rtos.NewWaitQueue(ip.kernel, l.what)}
		w.timer = ip.loop.NewTimer(w.expire)
	}
	w.tag = tag
	l.waiting = append(l.waiting, w)
	if n != rtos.WaitForever {
		w.timer.Reset(ip.clock.after(n))
	}
	thread, since := ip.kernel.Current(), ip.loop.Now()
	v, _ := w.queue.Suspend(rtos.WaitForever)
	l.spare = append(l.spare, w)
	if waited := ip.loop.Now().Sub(since); waited > 0 {
		ip.trace.Emit(trace.Event{
			Kind: trace.KindWait, Node: ip.cfg.Node, Stage: thread.Name(), Text: l.what, Count: int64(waited),
		})
	}
	return v
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
	l.waiting = slices.Delete(l.waiting, slices.Index(l.waiting, w), slices.Index(l.waiting, w)+1)
	w.timer.Stop()
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
