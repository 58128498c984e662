package sim_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hilnet/sim"
)

func Example() {
	loop := sim.NewLoop(sim.Config{Seed: 1})
	defer loop.Close()
	var bell sim.Cond
	loop.Go("device", func(t *sim.Task) {
		t.Sleep(10 * time.Second)
		bell.Signal()
	})
	loop.Go("peer", func(t *sim.Task) {
		rang := t.Wait(&bell, time.Minute)
		fmt.Println(t.Now(), rang)
		rang = t.Wait(&bell, time.Minute)
		fmt.Println(t.Now(), rang)
	})
	if err := loop.Run(sim.Never); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 10.000000000s true
	// 70.000000000s false
}

func TestEventsRunByTimeThenByOrderOfScheduling(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	rng := rand.New(rand.NewPCG(1, 2))
	type key struct {
		at  sim.Time
		seq int
	}
	var want, got []key
	timers := make([]*sim.Timer, 2000)
	armed := map[int]key{}
	seq := 0
	for i := range timers {
		timers[i] = loop.NewTimer(func() { got = append(got, armed[i]) })
	}
	for range 20000 {
		i := rng.IntN(len(timers))
		if rng.IntN(4) == 0 {
			_, was := armed[i]
			if timers[i].Stop() != was {
				t.Fatalf("Stop disagrees about timer %d", i)
			}
			delete(armed, i)
			continue
		}
		seq++
		armed[i] = key{sim.Time(rng.IntN(500)), seq}
		timers[i].Reset(armed[i].at)
	}
	for _, k := range armed {
		want = append(want, k)
	}
	slices.SortFunc(want, func(a, b key) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return a.seq - b.seq
	})
	if err := loop.Run(sim.Never); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%d events ran out of order or not at all, of %d", len(want)-len(got), len(want))
	}
}

func TestRunLeavesTheClockAtItsEnd(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	ran := false
	loop.After(11*time.Second, func() { ran = true })
	if err := loop.Run(sim.Time(10 * time.Second)); err != nil || ran {
		t.Fatalf("err %v, event after the end ran: %v", err, ran)
	}
	if got := loop.Now().Seconds(); got != 10 {
		t.Errorf("clock at %v s, want 10", got)
	}
	if err := loop.Run(sim.Time(11 * time.Second)); err != nil || !ran {
		t.Errorf("err %v, event due at the end ran: %v", err, ran)
	}
}

func TestAnEventInThePastRunsNow(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	var at sim.Time
	loop.After(time.Second, func() { loop.At(0, func() { at = loop.Now() }) })
	if err := loop.Run(sim.Never); err != nil {
		t.Fatal(err)
	}
	if at != sim.Time(time.Second) {
		t.Errorf("ran at %v, want 1 s", at)
	}
}

func TestStopEndsTheRunAfterTheEvent(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	n := 0
	for range 3 {
		loop.After(time.Second, func() { n++; loop.Stop() })
	}
	if err := loop.Run(sim.Never); err != nil || n != 1 {
		t.Errorf("err %v, %d events ran, want 1", err, n)
	}
}

func TestCancelEndsAnEndlessRunWithItsCause(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	cause := errors.New("enough")
	var again func()
	n := 0
	again = func() {
		n++
		if n == 5000 {
			loop.Cancel(cause)
			loop.Cancel(errors.New("too late"))
		}
		loop.After(time.Nanosecond, again)
	}
	again()
	if err := loop.Run(sim.Never); !errors.Is(err, cause) {
		t.Fatalf("error %v, want %v", err, cause)
	}
	if n > 5000+1024 {
		t.Errorf("ran %d events after Cancel", n-5000)
	}
}

func TestSchedulingDoesNotAllocateInSteadyState(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	var timer *sim.Timer
	timer = loop.NewTimer(func() { timer.ResetAfter(time.Microsecond) })
	timer.ResetAfter(0)
	var oneShot func()
	oneShot = func() { loop.After(time.Microsecond, oneShot) }
	loop.After(0, oneShot)
	until := sim.Time(0)
	if n := testing.AllocsPerRun(100, func() {
		until = until.Add(time.Millisecond)
		if err := loop.Run(until); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a millisecond", n)
	}
}

func BenchmarkEvent(b *testing.B) {
	for _, pending := range []int{1, 100, 10000} {
		b.Run(fmt.Sprint(pending), func(b *testing.B) {
			loop := sim.NewLoop(sim.Config{})
			r := sim.NewRand(1, "bench")
			for range pending {
				var timer *sim.Timer
				timer = loop.NewTimer(func() { timer.ResetAfter(time.Duration(r.Uint64() % 1e6)) })
				timer.ResetAfter(0)
			}
			b.ReportAllocs()
			for b.Loop() {
				before := loop.Events()
				for loop.Events() == before {
					if err := loop.Run(loop.Now().Add(time.Duration(1e6 / pending))); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(loop.Events()), "ns/event")
		})
	}
}
