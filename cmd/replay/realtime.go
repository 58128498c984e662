package main

import (
	"context"
	"errors"
	"runtime"

	"hilnet/emu"
	"hilnet/sim"
)

// A realClock is a loop in real time and what paces it.
type realClock struct {
	pacer sim.Pacer
	loop  *sim.Loop
}

// newRealClock makes a loop in real time; close ends it.
func newRealClock() (*realClock, error) {
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		return nil, &emu.EnvironmentError{Op: "start the clock", Err: err}
	}
	return &realClock{pacer, sim.NewLoop(sim.Config{Pacer: pacer})}, nil
}

func (c *realClock) close() {
	_ = c.loop.Close() // nothing of it is needed any more
	_ = c.pacer.Close()
}

// run starts the clock, calls start, and runs the loop until it is stopped or ctx is
// done, which interrupted tells.
func (c *realClock) run(ctx context.Context, start func() error) (interrupted bool, err error) {
	runtime.LockOSThread() // the loop's Tasks belong to it
	defer runtime.UnlockOSThread()
	stop := context.AfterFunc(ctx, func() { c.loop.Cancel(context.Canceled) })
	defer stop()
	if err := c.loop.StartPacer(); err != nil {
		return false, &emu.EnvironmentError{Op: "start the clock", Err: err}
	}
	if err := start(); err != nil {
		return false, err
	}
	if err = c.loop.Run(sim.Never); errors.Is(err, context.Canceled) {
		return true, nil
	}
	return false, err
}
