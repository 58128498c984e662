package emu

import (
	"sync/atomic"

	"hilnet/trace"
)

// An Observation is a bounded view of a run's events for another goroutine.
// When its reader is slow it loses events, never the run's time; how many it
// lost is counted.
type Observation struct {
	events  chan trace.Event
	dropped atomic.Uint64
}

// Events is closed at the end of the run.
func (o *Observation) Events() <-chan trace.Event { return o.events }

// Dropped returns the number of events that found the buffer full.
func (o *Observation) Dropped() uint64 { return o.dropped.Load() }

func (o *Observation) add(e *trace.Event) {
	select {
	case o.events <- *e:
	default:
		o.dropped.Add(1)
	}
}
