package emu

import (
	"time"

	"hilnet/sim"
)

const (
	progressEvery = 100 * time.Millisecond // real time between two reports
	progressSteps = 1000                   // moments of a run at which a report may be due
)

// reportProgress calls Options.Progress now and then. It looks at the real
// clock, which decides nothing but whether the caller hears of it; and it hangs
// its looks on events of their own, which touch nothing.
func (w *World) reportProgress() {
	if w.opt.Progress == nil {
		return
	}
	end := sim.Time(w.sc.Duration)
	step := max(end/progressSteps, 1)
	var last time.Time
	var timer *sim.Timer
	timer = w.loop.NewTimer(func() {
		if now := sim.WallClock(); now.Sub(last) >= progressEvery {
			last = now
			w.opt.Progress(w.loop.Now(), end)
		}
		timer.Reset(w.loop.Now() + step)
	})
	timer.Reset(step)
}
