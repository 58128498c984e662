package rtos_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hilnet/sim"
	"hilnet/sim/rtos"
)

// world is a kernel whose threads write what they do, with the time in ms.
type world struct {
	*rtos.Kernel
	loop  *sim.Loop
	lines []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	loop := sim.NewLoop(sim.Config{})
	t.Cleanup(func() { _ = loop.Close() })
	return &world{Kernel: rtos.NewKernel(loop, rtos.Config{}), loop: loop}
}

func (w *world) say(format string, args ...any) {
	ms := float64(w.loop.Now()) / 1e6
	w.lines = append(w.lines, fmt.Sprintf("%g %s", ms, fmt.Sprintf(format, args...)))
}

// want runs the loop and compares what was said.
func (w *world) want(t *testing.T, lines ...string) {
	t.Helper()
	if err := w.loop.Run(sim.Time(time.Hour)); err != nil {
		t.Fatal(err)
	}
	got, want := strings.Join(w.lines, "\n"), strings.Join(lines, "\n")
	if got != want {
		t.Errorf("transcript:\n%s\nwant:\n%s", got, want)
	}
}

func at(ms float64) sim.Time { return sim.Time(ms * 1e6) }

func TestHigherPriorityThreadTakesOverBeforeSetReturns(t *testing.T) {
	w := newWorld(t)
	flags := rtos.NewEventFlags(w.Kernel, "f")
	w.NewThread("high", 5, func(*rtos.Thread) {
		for range 2 {
			got, _ := flags.Get(0xFF, true, true, rtos.WaitForever)
			w.say("high got %#x", got)
		}
	})
	w.NewThread("low", 10, func(*rtos.Thread) {
		w.say("low sets 1")
		flags.Set(1)
		w.say("low sets 2")
		flags.Set(2)
		w.say("low ends")
	})
	w.want(t, "0 low sets 1", "0 high got 0x1", "0 low sets 2", "0 high got 0x2", "0 low ends")
}

func TestEqualPriorityDoesNotPreemptAndRunsInOrder(t *testing.T) {
	w := newWorld(t)
	q := rtos.NewWaitQueue(w.Kernel, "q")
	for _, name := range []string{"a", "b"} {
		w.NewThread(name, 7, func(*rtos.Thread) {
			v, ok := q.Suspend(rtos.WaitForever)
			w.say("%s got %v %v", name, v, ok)
		})
	}
	w.NewThread("waker", 7, func(*rtos.Thread) {
		w.say("woke %v, %v, %v", q.Wake("x"), q.Wake("y"), q.Wake("z"))
	})
	w.want(t, "0 woke true, true, false", "0 a got x true", "0 b got y true")
}

func TestPreemptedThreadGoesOnBeforeItsEquals(t *testing.T) {
	w := newWorld(t)
	start := rtos.NewEventFlags(w.Kernel, "start")
	w.NewThread("high", 1, func(*rtos.Thread) {
		start.Get(1, true, true, rtos.WaitForever)
		w.say("high")
	})
	w.NewThread("first", 5, func(*rtos.Thread) {
		w.say("first")
		start.Set(1)
		w.say("first again")
	})
	w.NewThread("second", 5, func(*rtos.Thread) { w.say("second") })
	w.want(t, "0 first", "0 high", "0 first again", "0 second")
}

func TestInterruptWakesThreadsByPriorityAfterItReturns(t *testing.T) {
	w := newWorld(t)
	flags := rtos.NewEventFlags(w.Kernel, "f")
	for i, name := range []string{"low", "high"} {
		w.NewThread(name, 9-i, func(*rtos.Thread) {
			flags.Get(1, true, false, rtos.WaitForever)
			w.say("%s", name)
		})
	}
	w.loop.At(at(4), func() {
		if w.Current() != nil {
			t.Error("an event handler has a current thread")
		}
		flags.Set(1)
		w.say("handler ends")
	})
	w.want(t, "4 handler ends", "4 high", "4 low")
}

func TestInterruptDuringAThreadDefersPreemption(t *testing.T) {
	w := newWorld(t)
	flags := rtos.NewEventFlags(w.Kernel, "f")
	w.NewThread("high", 1, func(*rtos.Thread) {
		flags.Get(1, true, true, rtos.WaitForever)
		w.say("high")
	})
	w.NewThread("low", 5, func(*rtos.Thread) {
		w.Interrupt(func() {
			flags.Set(1)
			w.say("driver, current thread %v", w.Current())
		})
		w.say("low")
	})
	w.want(t, "0 driver, current thread <nil>", "0 high", "0 low")
}

func TestWaitEndsAtTheNthTick(t *testing.T) {
	for _, tc := range []struct {
		start, end float64
		n          rtos.Ticks
	}{
		{start: 0, n: 1, end: 10},
		{start: 0, n: 100, end: 1000},
		{start: 3, n: 1, end: 10}, // 7 ms: the next tick
		{start: 9.999, n: 2, end: 20},
		{start: 10, n: 1, end: 20}, // on a tick: a whole one
		{start: 10.001, n: 40, end: 410},
	} {
		w := newWorld(t)
		w.loop.At(at(tc.start), func() {
			w.NewThread("t", 5, func(th *rtos.Thread) {
				th.Sleep(tc.n)
				w.say("awake at tick %d", w.Now())
			})
		})
		w.want(t, fmt.Sprintf("%g awake at tick %d", tc.end, int(tc.end/10)))
	}
}

func TestTickGridIsExactForOddRates(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	k := rtos.NewKernel(loop, rtos.Config{TicksPerSecond: 1024})
	k.NewThread("t", 1, func(th *rtos.Thread) {
		for n := rtos.Ticks(1); n <= 5000; n++ {
			th.Sleep(1)
			if k.Now() != n {
				t.Errorf("after %d sleeps of 1 tick it is tick %d (%v)", n, k.Now(), loop.Now())
				return
			}
		}
	})
	if err := loop.Run(sim.Never); err != nil {
		t.Fatal(err)
	}
	if want := sim.Time(4_882_812_500); loop.Now() != want {
		t.Errorf("5000 ticks of 1/1024 s took %v, want %v", loop.Now(), want)
	}
}

func TestMutexIsRecursiveAndHandedOverInOrder(t *testing.T) {
	w := newWorld(t)
	m := rtos.NewMutex(w.Kernel, "m")
	w.NewThread("owner", 5, func(th *rtos.Thread) {
		m.Get(rtos.NoWait)
		m.Get(rtos.NoWait)
		th.Sleep(10)
		m.Put()
		w.say("one put of two, owner %s", m.Owner().Name())
		th.Sleep(10)
		m.Put()
		w.say("owner gone on, a put too many: %v", m.Put())
	})
	for i, name := range []string{"low", "high"} {
		w.NewThread(name, 9-i*7, func(th *rtos.Thread) {
			th.Sleep(rtos.Ticks(i + 1)) // low asks first
			if m.Get(rtos.NoWait) {
				t.Errorf("%s got a held mutex without waiting", name)
			}
			m.Get(rtos.WaitForever)
			w.say("%s has it", name)
			m.Put()
		})
	}
	w.want(t,
		"100 one put of two, owner owner",
		// First come, first served: low gets it although high has the priority
		// (no inheritance, no prioritising), and the owner goes on first.
		"200 owner gone on, a put too many: false",
		"200 low has it",
		"200 high has it")
}

func TestMutexWaitTimesOutOnTheGrid(t *testing.T) {
	w := newWorld(t)
	m := rtos.NewMutex(w.Kernel, "m")
	w.NewThread("owner", 1, func(th *rtos.Thread) {
		m.Get(rtos.WaitForever)
		th.Sleep(100)
		w.say("owner puts")
		m.Put()
	})
	w.NewThread("waiter", 2, func(th *rtos.Thread) {
		what, _ := th.Waiting()
		w.say("get %v, waiting on %q", m.Get(50), what)
		w.say("get %v", m.Get(rtos.WaitForever))
	})
	w.loop.At(at(123), func() {
		what, since := w.Threads()[1].Waiting()
		w.say("waiter waits for %q since %v", what, since)
	})
	w.want(t,
		`123 waiter waits for "mutex m" since 0.000000000s`,
		`500 get false, waiting on ""`, "1000 owner puts", "1000 get true")
}

func TestDeletedMutexAndFlagsFailTheirWaiters(t *testing.T) {
	w := newWorld(t)
	m, e := rtos.NewMutex(w.Kernel, "m"), rtos.NewEventFlags(w.Kernel, "e")
	w.NewThread("owner", 1, func(th *rtos.Thread) { m.Get(0); th.Sleep(1); m.Delete(); e.Delete() })
	w.NewThread("m", 2, func(*rtos.Thread) { w.say("mutex %v then %v", m.Get(rtos.WaitForever), m.Get(5)) })
	w.NewThread("e", 3, func(*rtos.Thread) {
		_, ok := e.Get(1, true, true, rtos.WaitForever)
		_, again := e.Get(1, true, true, 5)
		w.say("flags %v then %v", ok, again)
	})
	w.want(t, "10 mutex false then false", "10 flags false then false")
}

func TestEventFlagsAndOrClear(t *testing.T) {
	w := newWorld(t)
	e := rtos.NewEventFlags(w.Kernel, "e")
	w.NewThread("and", 1, func(*rtos.Thread) {
		got, ok := e.Get(0x3, false, true, rtos.WaitForever)
		w.say("and got %#x %v", got, ok)
	})
	w.NewThread("or", 2, func(*rtos.Thread) {
		got, ok := e.Get(0x6, true, false, rtos.WaitForever)
		w.say("or got %#x %v", got, ok)
	})
	w.NewThread("timeout", 3, func(*rtos.Thread) {
		got, ok := e.Get(0x80, true, false, 2)
		w.say("timeout got %#x %v", got, ok)
	})
	w.loop.At(at(1), func() { e.Set(1); w.say("1 set") })
	w.loop.At(at(2), func() { e.Set(2); w.say("left %#x", e.Flags()) })
	w.loop.At(at(3), func() { e.Set(9); e.Clear(8); w.say("left %#x", e.Flags()) })
	w.want(t, "1 1 set",
		// Both see the same 0x3; what "and" clears is gone for later Gets only.
		"2 left 0x0", "2 and got 0x3 true", "2 or got 0x3 true",
		"3 left 0x1", "20 timeout got 0x0 false")
}

func TestSetPriorityReorders(t *testing.T) {
	w := newWorld(t)
	var mid *rtos.Thread
	w.NewThread("boss", 1, func(th *rtos.Thread) {
		w.say("mid had %d", mid.SetPriority(2)) // still below boss
		w.say("boss had %d", th.SetPriority(20))
		w.say("boss last")
	})
	mid = w.NewThread("mid", 10, func(*rtos.Thread) { w.say("mid") })
	w.NewThread("other", 5, func(*rtos.Thread) { w.say("other") })
	w.want(t, "0 mid had 10", "0 mid", "0 other", "0 boss had 1", "0 boss last")
}

func TestRunningThreadThatRaisesItselfKeepsRunning(t *testing.T) {
	w := newWorld(t)
	w.NewThread("a", 5, func(th *rtos.Thread) {
		th.SetPriority(3)
		w.say("a")
		th.SetPriority(5) // goes in front of b, which became ready before
		w.say("a again")
	})
	w.NewThread("b", 5, func(*rtos.Thread) { w.say("b") })
	w.want(t, "0 a", "0 a again", "0 b")
}

func TestPeriodicTimerStaysOnTheGridOfItsStart(t *testing.T) {
	w := newWorld(t)
	var timer *rtos.Timer
	n := 0
	timer = rtos.NewTimer(w.Kernel, func() {
		n++
		w.say("expiry %d", n)
		if n == 3 {
			timer.Delete()
		}
	}, 100, 50)
	w.loop.At(at(25), func() { timer.Activate() }) // after tick 2
	w.want(t, "1020 expiry 1", "1520 expiry 2", "2020 expiry 3")
	if timer.Activate() {
		t.Error("a deleted timer started")
	}
}

func TestTimerKeepsWhatIsLeftAcrossDeactivate(t *testing.T) {
	w := newWorld(t)
	timer := rtos.NewTimer(w.Kernel, func() { w.say("expired") }, 10, 0)
	timer.Activate()
	w.loop.At(at(41), timer.Deactivate) // 6 ticks left
	w.loop.At(at(205), func() { timer.Activate() })
	w.want(t, "260 expired")
	if timer.Activate() || timer.Active() {
		t.Error("an expired one-shot timer started again")
	}
}

func TestTimeoutAndWakeAtTheSameTick(t *testing.T) {
	w := newWorld(t)
	q := rtos.NewWaitQueue(w.Kernel, "q")
	w.NewThread("t", 5, func(*rtos.Thread) {
		v, ok := q.Suspend(1)
		w.say("got %v %v", v, ok)
	})
	// The timeout was armed first, so it comes first, and Wake finds nobody.
	w.loop.At(at(10), func() {})
	w.loop.At(at(5), func() {
		w.loop.At(at(10), func() { w.say("wake %v", q.Wake("late")) })
	})
	w.want(t, "10 wake false", "10 got <nil> false")
}

func TestWaitingInInterruptContextPanics(t *testing.T) {
	w := newWorld(t)
	q := rtos.NewWaitQueue(w.Kernel, "a packet")
	w.loop.At(0, func() {
		defer func() {
			if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "a packet in interrupt context") {
				t.Errorf("recovered %v", r)
			}
		}()
		if _, ok := q.Suspend(rtos.NoWait); ok {
			t.Error("got something without a wait")
		}
		q.Suspend(1)
	})
	w.want(t)
}

func TestThreadMayUseItsTasksOwnSleep(t *testing.T) {
	w := newWorld(t)
	w.NewThread("app", 10, func(th *rtos.Thread) {
		th.Task().Sleep(1500 * time.Microsecond) // not on the grid
		w.say("app")
	})
	w.NewThread("busy", 20, func(th *rtos.Thread) { th.Sleep(1); w.say("busy") })
	w.want(t, "1.5 app", "10 busy")
}

func TestKernelsDoNotMixTheirThreads(t *testing.T) {
	w := newWorld(t)
	other := rtos.NewKernel(w.loop, rtos.Config{})
	flags := rtos.NewEventFlags(other, "f")
	other.NewThread("theirs", 1, func(*rtos.Thread) {
		flags.Get(1, true, true, rtos.WaitForever)
		w.say("theirs")
	})
	w.NewThread("ours", 9, func(*rtos.Thread) {
		if other.Current() != nil {
			t.Error("another kernel claims our thread")
		}
		flags.Set(1) // to the other device this is an interrupt
		w.say("ours")
	})
	w.want(t, "0 ours", "0 theirs")
}

func TestClosedLoopUnwindsThreadsThroughTheirDeferredWaits(t *testing.T) {
	w := newWorld(t)
	m := rtos.NewMutex(w.Kernel, "m")
	w.NewThread("t", 5, func(th *rtos.Thread) {
		defer w.say("unwound")
		defer th.Sleep(1) // waits although the world has ended
		m.Get(rtos.WaitForever)
		defer m.Put()
		th.Sleep(rtos.WaitForever)
	})
	if err := w.loop.Run(at(100)); err != nil {
		t.Fatal(err)
	}
	if err := w.loop.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.lines, ";"); got != "100 unwound" {
		t.Errorf("said %q", got)
	}
}

func BenchmarkHandOverBetweenThreads(b *testing.B) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	k := rtos.NewKernel(loop, rtos.Config{})
	flags := rtos.NewEventFlags(k, "f")
	k.NewThread("high", 1, func(*rtos.Thread) {
		for {
			flags.Get(1, true, true, rtos.WaitForever)
		}
	})
	k.NewThread("low", 2, func(*rtos.Thread) {
		b.ReportAllocs()
		for b.Loop() {
			flags.Set(1)
		}
	})
	if err := loop.Run(1); err != nil {
		b.Fatal(err)
	}
}
