package rtos_test

import (
	"strings"
	"testing"
	"time"

	"hilnet/sim"
	"hilnet/sim/rtos"
)

func TestHaltEndsThreadsAndTimersAtOnce(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	k := rtos.NewKernel(loop, rtos.Config{})
	var log []string
	say := func(s string) { log = append(log, s) }
	tick := rtos.NewTimer(k, func() { say("tick") }, 10, 10)
	tick.Activate()
	k.NewThread("sleeper", 5, func(th *rtos.Thread) {
		defer say("sleeper ends")
		th.Sleep(50)
		say("sleeper wakes")
	})
	k.NewThread("halts", 6, func(th *rtos.Thread) {
		defer say("halts ends")
		th.Sleep(15)
		k.Halt()
		say("goes on to its next wait")
		th.Sleep(1)
		say("runs again")
	})
	if err := loop.Run(sim.Time(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	want := "tick, goes on to its next wait, halts ends, sleeper ends"
	if got := strings.Join(log, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if n := len(k.Threads()); n != 0 {
		t.Errorf("%d threads left", n)
	}
}
