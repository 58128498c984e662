package sim_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"hilnet/sim"
)

func TestTasksTakeTurnsInOrder(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	var log []string
	for _, name := range []string{"a", "b", "c"} {
		loop.Go(name, func(task *sim.Task) {
			for range 2 {
				log = append(log, name)
				task.Sleep(time.Second)
			}
		})
	}
	if err := loop.Run(sim.Never); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(log, ""); got != "abcabc" {
		t.Errorf("order %q, want abcabc", got)
	}
}

func TestSignalWakesTheTaskThatWaitedLongest(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	var cond sim.Cond
	var log []string
	for _, name := range []string{"first", "second", "third"} {
		loop.Go(name, func(task *sim.Task) {
			if task.Wait(&cond, 10*time.Second) {
				log = append(log, name)
			} else {
				log = append(log, name+" timed out at "+task.Now().String())
			}
		})
	}
	loop.After(time.Second, func() { cond.Signal() })
	loop.After(2*time.Second, func() { cond.Signal() })
	if err := loop.Run(sim.Never); err != nil {
		t.Fatal(err)
	}
	want := "first second third timed out at 10.000000000s"
	if got := strings.Join(log, " "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if cond.Len() != 0 {
		t.Errorf("%d tasks still wait", cond.Len())
	}
}

func TestBroadcastDoesNotWakeTasksThatWaitAgain(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	var cond sim.Cond
	woken := 0
	for range 3 {
		loop.Go("waiter", func(task *sim.Task) {
			for task.Wait(&cond, -1) {
				woken++
			}
		})
	}
	loop.After(time.Second, cond.Broadcast)
	if err := loop.Run(sim.Never); err != nil {
		t.Fatal(err)
	}
	if woken != 3 || cond.Len() != 3 {
		t.Errorf("woken %d, waiting %d; want 3 and 3", woken, cond.Len())
	}
}

func TestCloseUnwindsTasksAndTheirDeferredCalls(t *testing.T) {
	before := runtime.NumGoroutine()
	loop := sim.NewLoop(sim.Config{})
	var cond sim.Cond
	var log []string
	loop.Go("waits", func(task *sim.Task) {
		defer func() { log = append(log, "waits") }()
		task.Wait(&cond, -1)
		t.Error("a stopped task went on")
	})
	loop.Go("sleeps", func(task *sim.Task) {
		defer func() {
			log = append(log, "sleeps")
			task.Sleep(time.Second) // must not hang
		}()
		task.Sleep(time.Hour)
	})
	if err := loop.Run(sim.Time(time.Minute)); err != nil {
		t.Fatal(err)
	}
	loop.Go("never started", func(*sim.Task) { t.Error("ran after Close") })
	if err := loop.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(log, " "); got != "sleeps waits" {
		t.Errorf("unwound %q, want the newest first", got)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines left", after-before)
	}
	if err := loop.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestAPanicInATaskCarriesItsNameAndStack(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	loop.Go("device", func(task *sim.Task) {
		task.Sleep(time.Second)
		explode()
	})
	defer func() {
		p, ok := recover().(*sim.TaskPanic)
		if !ok || p.Task != "device" || !strings.Contains(p.Error(), "explode") {
			t.Errorf("recovered %v", p)
		}
	}()
	_ = loop.Run(sim.Never)
	t.Error("Run returned")
}

func explode() { panic(errors.New("broken")) }

func TestASchedulerDecidesWhenAReadyTaskRuns(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	var ready []*sim.Task
	var log []string
	for _, name := range []string{"a", "b"} {
		task := loop.NewTask(name, func(*sim.Task) { log = append(log, name) })
		task.Ready = func() { ready = append(ready, task) }
		task.Start()
	}
	loop.After(0, func() {
		for i := len(ready) - 1; i >= 0; i-- {
			ready[i].Resume()
		}
	})
	if err := loop.Run(sim.Never); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(log, ""); got != "ba" {
		t.Errorf("order %q, want ba", got)
	}
}

func BenchmarkTaskSwitch(b *testing.B) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	loop.Go("device", func(task *sim.Task) {
		for {
			task.Sleep(time.Microsecond)
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		if err := loop.Run(loop.Now().Add(time.Microsecond)); err != nil {
			b.Fatal(err)
		}
	}
}
