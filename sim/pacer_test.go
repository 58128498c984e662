package sim_test

import (
	"errors"
	"testing"
	"time"

	"hilnet/sim"
)

func paced(t *testing.T, speed float64) *sim.Loop {
	t.Helper()
	p, err := sim.NewRealPacer(speed)
	if err != nil {
		t.Fatal(err)
	}
	loop := sim.NewLoop(sim.Config{Pacer: p})
	t.Cleanup(func() {
		if err := loop.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := loop.StartPacer(); err != nil {
		t.Fatal(err)
	}
	return loop
}

func TestRealTimeRunsEventsInOrderAndNotBeforeTheirMoment(t *testing.T) {
	loop := paced(t, 1)
	start := time.Now()
	var order []int
	for i, ms := range []int{30, 10, 20} {
		loop.After(time.Duration(ms)*time.Millisecond, func() {
			order = append(order, i)
			if early := time.Duration(ms)*time.Millisecond - time.Since(start); early > 0 {
				t.Errorf("event %d ran %v early", i, early)
			}
		})
	}
	if err := loop.Run(sim.Time(40 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if len(order) != 3 || order[0] != 1 || order[1] != 2 || order[2] != 0 {
		t.Errorf("order %v, want [1 2 0]", order)
	}
	if wall := time.Since(start); wall < 40*time.Millisecond {
		t.Errorf("the run took %v, want 40 ms", wall)
	}
	late := loop.Lateness()
	if late.Events != 3 || late.Quantile(1) > late.Max || late.Quantile(0.5) > late.Quantile(1) {
		t.Errorf("lateness %+v", late)
	}
}

func TestSpeedMultipliesTheClock(t *testing.T) {
	loop := paced(t, 100)
	start := time.Now()
	if err := loop.Run(sim.Time(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if wall := time.Since(start); wall < 50*time.Millisecond || wall > 4*time.Second {
		t.Errorf("5 s at speed 100 took %v", wall)
	}
}

func TestPostWakesASleepingLoop(t *testing.T) {
	loop := paced(t, 1)
	const n = 1000
	got := 0
	go func() {
		for range n {
			for !loop.Post(func() {
				if got++; got == n {
					loop.Stop()
				}
			}) {
			}
		}
	}()
	if err := loop.Run(sim.Time(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got != n || loop.Now() > sim.Time(30*time.Second) {
		t.Errorf("%d of %d posted functions ran by %v", got, n, loop.Now())
	}
}

func TestCancelWakesASleepingLoop(t *testing.T) {
	loop := paced(t, 1)
	go loop.Cancel(nil)
	if err := loop.Run(sim.Time(time.Minute)); !errors.Is(err, sim.ErrCanceled) {
		t.Errorf("error %v", err)
	}
}

func TestPostIsRefusedWhenTheInboxIsFullOrTheLoopClosed(t *testing.T) {
	loop := paced(t, 1)
	for range sim.MaxPosted {
		if !loop.Post(func() {}) {
			t.Fatal("refused below the limit")
		}
	}
	if loop.Post(func() {}) {
		t.Error("accepted beyond the limit")
	}
	if err := loop.Close(); err != nil {
		t.Fatal(err)
	}
	if loop.Post(func() {}) {
		t.Error("accepted by a closed loop")
	}
}

func TestPostInVirtualTimePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	sim.NewLoop(sim.Config{}).Post(func() {})
}

// The time that a loop is held is none of the run's.
func TestAHeldLoopLosesNoTime(t *testing.T) {
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		t.Fatal(err)
	}
	l := sim.NewLoop(sim.Config{Pacer: pacer})
	defer l.Close()
	var held, after sim.Time
	var real time.Duration
	began := time.Now()
	l.At(sim.Time(5*time.Millisecond), func() {
		l.Hold(func() { time.Sleep(300 * time.Millisecond) })
		held = pacer.Now()
	})
	l.At(sim.Time(10*time.Millisecond), func() { after, real = l.Now(), time.Since(began) })
	if err := l.StartPacer(); err != nil {
		t.Fatal(err)
	}
	if err := l.Run(sim.Time(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if held > sim.Time(250*time.Millisecond) || after != sim.Time(10*time.Millisecond) || real < 300*time.Millisecond {
		t.Errorf("held until %v, an event of 10 ms at %v, after %v", held, after, real)
	}
	defer func() {
		if recover() == nil {
			t.Error("a loop in virtual time is held")
		}
	}()
	sim.NewLoop(sim.Config{}).Hold(func() {})
}
