package emu

import "time"

// This file sees to it that a run that was held up is late though nothing was due
// meanwhile: what a real device sent then waited, and nobody can tell how long.

// beats is how often the clock is looked at within the time that anything may be
// late; a run that was held up for a little longer than that is found out.
const beats = 4

// minBeat bounds what that costs.
const minBeat = time.Millisecond

// beat has something happen at short intervals for as long as the run lasts.
func (w *World) beat() {
	if !w.loop.RealTime() || w.opt.MaxLateness <= 0 {
		return
	}
	every := max(w.opt.MaxLateness/beats, minBeat)
	var again func()
	timer := w.loop.NewTimer(func() { again() })
	again = func() { timer.ResetAfter(every) }
	again()
	w.onStop(func() error { timer.Stop(); return nil })
}
