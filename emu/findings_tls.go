package emu

import (
	"fmt"

	"hilnet/nic"
	"hilnet/sim"
	"hilnet/trace"
)

// tlsFailed: TLS did not come to be, or ended by an error, and the application
// heard nothing of the cause.
type tlsFailed struct {
	w      *watch
	h      *hits
	cause  string     // of the first one
	inside nic.Status // what NetX Secure returned
	open   bool       // the result of connect, which the application gets, is still to come
	told   nic.Status
	heard  bool
}

func newTLSFailed(w *watch, h *hits) detector { return &tlsFailed{w: w, h: h} }

func (d *tlsFailed) add(e *trace.Event) {
	switch {
	case e.Node != d.w.name:
	case e.Kind == trace.KindTLSFailed:
		if d.h.n == 0 {
			d.cause, d.inside, d.open = e.Text, nic.Status(e.Status), true
		}
		d.h.add(e.T, e.Seq)
	case d.open && e.Kind == trace.KindConnected:
		d.told, d.heard, d.open = nic.Status(e.Status), true, false
	case d.open && e.Kind == trace.KindDisconnected:
		d.open = false
	}
}

func (d *tlsFailed) end(sim.Time) {}

func (d *tlsFailed) text() string {
	told := "the application only heard that the session had ended"
	if d.heard {
		told = fmt.Sprintf("the application got %v", d.told)
	}
	return fmt.Sprintf("TLS failed: %s (%v; %s)%s", d.cause, d.inside, told, d.h.times())
}
