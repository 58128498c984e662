package stack

import (
	"runtime"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/log"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// This file is all that makes gVisor deterministic.
//
// gVisor hands each TCP segment to one of several processor goroutines
// (pkg/tcpip/transport/tcp/dispatcher.go). Stack.Pause returns when each of them
// has emptied its queue and stands still, Stack.Resume lets them go on; called
// in a row they wait until all that was started is done. Rules that make it
// hold:
//
//   - one processor to a stack, so that none can hand work to another that
//     stands still already: their number is GOMAXPROCS at the stack's creation;
//   - a barrier after every single frame, timer and call, for gVisor may
//     answer several frames at once;
//   - what the processor does to the outside (packets, timers, notifications) is
//     only noted, and carried out by the loop's goroutine behind the barrier;
//   - never a Pause after Close, for it would wait for ever.

// procs serialises the change of GOMAXPROCS, which belongs to the process.
var procs sync.Mutex

// newGVisorStack makes a stack with one TCP processor and leaves GOMAXPROCS as
// the user set it.
func newGVisorStack(opts gstack.Options) *gstack.Stack {
	procs.Lock()
	defer procs.Unlock()
	silence()
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	return gstack.New(opts)
}

// silence keeps gVisor's log, which belongs to the process, from standard error:
// what it says about packets is in the trace as drop events, and more than that
// nobody asked for. The logger is changed rather than replaced, for gVisor's
// packages keep pointers to the first one.
var silence = sync.OnceFunc(func() { log.Log().Emitter = quiet{} })

// quiet is a log that nobody reads.
type quiet struct{}

// Emit implements log.Emitter.
func (quiet) Emit(int, log.Level, time.Time, string, ...any) {}

// barrierOff lets the sabotage test show that the barrier is needed.
var barrierOff bool

// enter is the one door into gVisor: it runs fn, waits until gVisor has nothing
// left to do, and carries out what it asked for. fn must not call enter. No
// other thread of the device runs before it returns.
func (h *Host) enter(fn func()) {
	if h.kernel == nil || h.kernel.Current() == nil {
		h.enterStack(fn)
		return
	}
	h.kernel.Interrupt(func() { h.enterStack(fn) })
}

// interrupt runs fn, which sends frames or releases packets, so that what that
// leads to lets no other thread run, and enter again, before fn is done.
func (h *Host) interrupt(fn func()) {
	if h.kernel == nil {
		fn()
		return
	}
	h.kernel.Interrupt(fn)
}

func (h *Host) enterStack(fn func()) {
	if h.closed {
		return
	}
	h.clock.sync()
	fn()
	if !barrierOff {
		h.gvisor.Pause()
		h.gvisor.Resume()
	}
	h.clock.arm()
	if a := h.arrival; a != nil {
		h.arrival = nil
		a.settle()
	}
	h.flush()
	h.wakeNotified()
}
