package emu

import (
	"hilnet/sim"
	"hilnet/trace"
)

// An overseen is a finding that an oracle of the scenario makes: its event says
// all.
type overseen struct {
	w     *watch
	h     *hits
	stage string
	first string
}

// newOverseen returns what makes the detector of an oracle.
func newOverseen(stage string) func(*watch, *hits) detector {
	return func(w *watch, h *hits) detector { return &overseen{w: w, h: h, stage: stage} }
}

func (d *overseen) add(e *trace.Event) {
	if e.Kind != trace.KindOracle || e.Stage != d.stage || e.Node != d.w.name {
		return
	}
	if d.h.n == 0 {
		d.first = e.Text
	}
	d.h.add(max(0, e.T-sim.Time(e.Count)), e.Seq)
}

func (d *overseen) end(sim.Time) {}

func (d *overseen) text() string { return d.first + d.h.times() }
