package emu

import (
	"fmt"
	"time"

	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/stack/embedded"
	"hilnet/trace"
)

// How the engine words its retransmissions.
const (
	dataAgain  = "data again"
	retryLimit = "retry limit, connection ended"
)

// retriesBeyond: data are sent again although the limit is reached.
type retriesBeyond struct {
	w       *watch
	h       *hits
	limit   int64
	first   uint64
	since   sim.Time
	in      bool
	longest time.Duration
	rounds  int64
}

func newRetriesBeyond(w *watch, h *hits) detector {
	profile := embedded.NetXDuo()
	return &retriesBeyond{w: w, h: h, limit: int64(profile.TCP.Data.Max)}
}

func (d *retriesBeyond) add(e *trace.Event) {
	if e.Node != d.w.name || e.Kind != trace.KindTCP || e.Text != dataAgain {
		return
	}
	switch {
	case e.Count == 1:
		d.in, d.first, d.since = false, e.Seq, e.T
	case e.Count > d.limit:
		if !d.in {
			d.in = true
			d.h.add(d.since, d.first, e.Seq)
		}
		if e.Count > d.rounds {
			d.rounds, d.longest = e.Count, e.T.Sub(d.since)
		}
	}
}

func (d *retriesBeyond) end(sim.Time) { d.in = false }

func (d *retriesBeyond) text() string {
	return fmt.Sprintf("TCP sent the same data again %d times in %s, beyond its limit of %d, because a publish that waits lifts the limit%s",
		d.rounds, span(d.longest), d.limit, d.h.times())
}

// retriesExhausted: TCP gave a connection up.
type retriesExhausted struct {
	w *watch
	h *hits
}

func newRetriesExhausted(w *watch, h *hits) detector { return &retriesExhausted{w, h} }

func (d *retriesExhausted) add(e *trace.Event) {
	if e.Node == d.w.name && e.Kind == trace.KindTCP && e.Text == retryLimit {
		d.h.add(e.T, e.Seq)
	}
}

func (d *retriesExhausted) end(sim.Time) {}

func (d *retriesExhausted) text() string {
	return "TCP sent again until its retry limit, without an answer, and ended the connection" + d.h.times()
}

// arpOverflow: packets that waited for an address made room for others.
type arpOverflow struct {
	w *watch
	h *hits
}

func newARPOverflow(w *watch, h *hits) detector { return &arpOverflow{w, h} }

func (d *arpOverflow) add(e *trace.Event) {
	if e.Node == d.w.name && e.Kind == trace.KindDrop && e.Reason == trace.DropARPQueue {
		d.h.add(e.T, e.Seq)
	}
}

func (d *arpOverflow) end(sim.Time) {}

func (d *arpOverflow) text() string {
	return fmt.Sprintf("%s that waited for an ARP reply made room for later ones and went", plural(d.h.n, "packet"))
}

// reusedID: two unacknowledged messages under one identifier.
type reusedID struct {
	w    *watch
	h    *hits
	open map[uint16]uint64 // unacknowledged identifiers; looked up only
	id   uint16
}

func newReusedID(w *watch, h *hits) detector {
	return &reusedID{w: w, h: h, open: map[uint16]uint64{}}
}

func (d *reusedID) add(e *trace.Event) {
	if e.Node != d.w.name {
		return
	}
	switch {
	case e.Kind == trace.KindPublish && e.QoS == 1 && e.ID != 0 && (e.Status == 0 || e.Status == uint32(mqtt.CommunicationFailure)):
		other, taken := d.open[e.ID]
		switch {
		case taken:
			if d.h.n == 0 {
				d.id = e.ID
			}
			d.h.add(e.T, other, e.Seq)
		case e.Status == 0:
			d.open[e.ID] = e.Seq
		}
	case e.Kind == trace.KindAcked:
		delete(d.open, e.ID)
	case e.Kind == trace.KindDrop && e.Reason == mqtt.DropCleanSession:
		delete(d.open, e.ID)
	case e.Kind == scenarios.KindOff:
		clear(d.open)
	}
}

func (d *reusedID) end(sim.Time) {}

func (d *reusedID) text() string {
	return fmt.Sprintf("a message was published with packet identifier %d, which another unacknowledged one still had%s", d.id, d.h.times())
}
