package rtos

import (
	"fmt"
	"slices"

	"hilnet/sim"
)

// Ticks counts timer ticks, of a clock (where it wraps) or of a wait.
type Ticks uint32

// The two special waits, TX_NO_WAIT and TX_WAIT_FOREVER.
const (
	NoWait      Ticks = 0
	WaitForever Ticks = 0xFFFFFFFF
)

// DefaultTicksPerSecond is TX_TIMER_TICKS_PER_SECOND.
const DefaultTicksPerSecond = 100

// maxTicksPerSecond keeps a tick at least a microsecond long.
const maxTicksPerSecond = 1_000_000

// Config configures a Kernel. The zero value is ThreadX's default.
type Config struct {
	TicksPerSecond int // 0: DefaultTicksPerSecond
}

// A Kernel schedules the threads of one device.
type Kernel struct {
	loop    *sim.Loop
	start   sim.Time
	tps     int64
	threads []*Thread // in order of creation, without those that have ended
	ready   []*Thread // by priority, then by the order they became ready

	dispatcher  *sim.Timer
	dispatching bool
	interrupts  int // depth of Interrupt
	halted      bool
}

// NewKernel returns a kernel whose tick 0 is now. It panics if TicksPerSecond
// is negative or above a million.
func NewKernel(loop *sim.Loop, cfg Config) *Kernel {
	tps := cfg.TicksPerSecond
	if tps == 0 {
		tps = DefaultTicksPerSecond
	}
	if tps < 0 || tps > maxTicksPerSecond {
		panic(fmt.Sprintf("rtos: %d ticks per second", tps))
	}
	k := &Kernel{loop: loop, start: loop.Now(), tps: int64(tps)}
	k.dispatcher = loop.NewTimer(k.dispatch)
	return k
}

// Loop returns the loop the kernel runs on.
func (k *Kernel) Loop() *sim.Loop { return k.loop }

// TicksPerSecond returns the length of a second in ticks.
func (k *Kernel) TicksPerSecond() Ticks { return Ticks(k.tps) }

// Now returns the ticks since the kernel's start, modulo 2^32: tx_time_get.
func (k *Kernel) Now() Ticks { return Ticks(k.tick()) }

// tick returns the number of the last tick, without wrapping.
func (k *Kernel) tick() int64 {
	since := int64(k.loop.Now() - k.start)
	return since/1e9*k.tps + since%1e9*k.tps/1e9
}

// tickTime returns the moment of a tick: the first at which tick() gives n.
func (k *Kernel) tickTime(n int64) sim.Time {
	return k.start + sim.Time(n/k.tps*1e9+(n%k.tps*1e9+k.tps-1)/k.tps)
}

// Current returns the thread that is running, nil in interrupt context.
func (k *Kernel) Current() *Thread {
	if k.interrupts > 0 {
		return nil
	}
	task := k.loop.Current()
	if task == nil {
		return nil
	}
	if t, ok := task.Local.(*Thread); ok && t.kernel == k {
		return t
	}
	return nil
}

// Threads returns the threads that have not ended, in order of creation.
func (k *Kernel) Threads() []*Thread { return slices.Clone(k.threads) }

// Interrupt runs fn in interrupt context even if a thread is running: what fn
// makes ready preempts that thread when fn has returned, not within it. Code
// that is called by a thread and must not be entered again before it is done,
// such as a network driver, wraps its callbacks in it.
func (k *Kernel) Interrupt(fn func()) {
	k.interrupts++
	defer func() {
		k.interrupts--
		k.preempt()
	}()
	fn()
}

// Halt ends the kernel as a power cut does: no other thread of it runs from now
// on, and no timer expires. A thread that calls it runs until it next waits. The
// threads are gone, and their deferred calls have run, in an event of their own
// at the same moment.
func (k *Kernel) Halt() {
	if k.halted {
		return
	}
	k.halted = true
	k.dispatcher.Stop()
	k.loop.At(k.loop.Now(), func() {
		for i := len(k.threads) - 1; i >= 0; i-- {
			k.threads[i].task.Stop()
		}
		k.threads, k.ready = nil, nil
	})
}

// makeReady puts t behind the ready threads of its priority. The caller calls
// preempt when it has changed all it wants to change.
func (k *Kernel) makeReady(t *Thread) {
	i := 0
	for i < len(k.ready) && k.ready[i].priority <= t.priority {
		i++
	}
	k.ready = slices.Insert(k.ready, i, t)
}

func (k *Kernel) removeReady(t *Thread) {
	if i := slices.Index(k.ready, t); i >= 0 {
		k.ready = slices.Delete(k.ready, i, i+1)
	}
}

// preempt lets the first ready thread run if it is not the running one: at once
// from a thread, in one event from interrupt context.
func (k *Kernel) preempt() {
	if len(k.ready) == 0 || k.halted {
		return
	}
	if t := k.Current(); t != nil {
		if k.ready[0] != t {
			t.park()
		}
		return
	}
	if k.interrupts > 0 || k.dispatching || k.dispatcher.Armed() {
		// The dispatcher, or the end of the interrupt, looks again.
		return
	}
	k.dispatcher.Reset(k.loop.Now())
}

// dispatch runs ready threads, highest priority first, until none is left.
func (k *Kernel) dispatch() {
	k.dispatching = true
	defer func() { k.dispatching = false }()
	for len(k.ready) > 0 && !k.halted {
		t := k.ready[0]
		t.parked = false
		t.task.Resume()
		switch {
		case t.task.Done():
			k.removeReady(t)
			if i := slices.Index(k.threads, t); i >= 0 {
				k.threads = slices.Delete(k.threads, i, i+1)
			}
		case !t.parked:
			// It waits in a method of its Task, such as Sleep: the Task's
			// Ready hook brings it back.
			k.removeReady(t)
		}
	}
}
