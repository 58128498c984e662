package rtos_test

import (
	"fmt"
	"time"

	"hilnet/sim"
	"hilnet/sim/rtos"
)

func Example() {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	kernel := rtos.NewKernel(loop, rtos.Config{})
	received := rtos.NewEventFlags(kernel, "received")

	kernel.NewThread("reader", 5, func(*rtos.Thread) {
		_, ok := received.Get(1, true, true, 200)
		fmt.Println("reader:", ok, "at", loop.Now())
		_, ok = received.Get(1, true, true, 200) // 2 s
		fmt.Println("reader:", ok, "at", loop.Now())
	})
	loop.After(35*time.Millisecond, func() { received.Set(1) })

	if err := loop.Run(sim.Never); err != nil {
		fmt.Println(err)
	}
	// Output:
	// reader: true at 0.035000000s
	// reader: false at 2.030000000s
}
