package emu

import (
	"fmt"
	"slices"
	"time"

	"hilnet/link"
	"hilnet/link/netem"
	"hilnet/link/radio"
	"hilnet/link/traces"
	"hilnet/scenarios"
)

// A cable is a link of the scenario with what the timeline may change.
type cable struct {
	*link.Link
	up, down *cableWay
	box      *link.Box    // nil: there is none
	radio    *radio.Radio // likewise
	captive  setting[bool]
}

// newCable makes a link of the scenario.
func (w *World) newCable(cfg *scenarios.Link) (*cable, error) {
	l, err := link.New(link.World{Loop: w.loop, Trace: w.trace, IDs: &w.ids}, link.Config{
		Name: cfg.Name, Up: cfg.Up.Config(), Down: cfg.Down.Config(),
	})
	if err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	c := &cable{Link: l}
	if cfg.Radio != nil {
		if c.radio, err = radio.Add(w.loop, w.trace, l, cfg.Radio.Config()); err != nil {
			return nil, fmt.Errorf("emu: %w", err)
		}
	}
	if c.up, err = w.newCableWay(l.Up, cfg.Up, scenarios.Up); err == nil {
		c.down, err = w.newCableWay(l.Down, cfg.Down, scenarios.Down)
	}
	if err == nil && cfg.Middlebox != nil {
		c.box, err = l.AddBox(cfg.Middlebox.Config())
		c.captive.apply = func(on bool) { c.box.SetCaptive(on) }
	}
	if err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	return c, nil
}

// A cableWay is one direction of a link with what the timeline may change.
// Changes may overlap: they are applied to the scenario's own in the order in
// which they began.
type cableWay struct {
	path      *link.Path
	way       scenarios.Way
	own       scenarios.Direction // as its trace has it now
	netem     *netem.Stage        // nil: there is none
	delivery  *traces.Delivery    // likewise
	blackhole setting[bool]
	changes   []change
}

// A change is an action that holds.
type change struct {
	id     int
	action *scenarios.Action
	part   float64 // of its time in Over that has gone, up to 1
}

func (w *World) newCableWay(p *link.Path, own scenarios.Direction, way scenarios.Way) (*cableWay, error) {
	c := &cableWay{path: p, way: way, own: own}
	c.blackhole.apply = p.Blackhole.Set
	var err error
	if cfg, tables, ok := own.Netem.Exact(); ok {
		c.netem, err = netem.Add(p.Direction, cfg, tables)
	}
	if err != nil || own.Trace == nil {
		return c, err
	}
	switch t := own.Trace.Read(); {
	case t.Opportunities != nil:
		c.delivery, err = traces.Deliver(p.Direction, t.Opportunities, own.Delivery())
	case t.Conditions != nil:
		_, err = traces.Follow(w.loop, t.Conditions, own.Trace.Play(), func(s *traces.Step) {
			c.own = c.own.Traced(s.Way(way == scenarios.Up))
			c.apply()
		})
	}
	return c, err
}

// apply gives the link what holds now, between two frames.
func (w *cableWay) apply() {
	d := w.own
	for _, c := range w.changes {
		d = c.action.Alter(w.own, d, w.way, c.part)
	}
	must(w.path.Set(d.Config()))
	if cfg, tables, ok := d.Netem.Exact(); ok && w.netem != nil {
		must(w.netem.Set(cfg, tables))
	}
	if w.delivery != nil {
		q := &d.Queue
		must(w.delivery.SetQueue(q.Packets, int(q.Bytes), q.Discipline == scenarios.DropHead))
	}
}

// begin makes a change; step moves it on; end undoes it.
// One that was never undone and comes again takes its own place when it is whole:
// until then a ramp goes on from what it made of the link the last time.
func (w *cableWay) begin(id int, a *scenarios.Action, part float64) {
	w.changes = append(w.changes, change{id, a, part})
	w.whole(len(w.changes) - 1)
	w.apply()
}

func (w *cableWay) step(id int, part float64) {
	if i := w.index(id); i >= 0 {
		w.changes[i].part = part
		w.whole(i)
		w.apply()
	}
}

// whole forgets the former times of a change that has come to its end.
func (w *cableWay) whole(i int) {
	c := w.changes[i]
	if c.part < 1 {
		return
	}
	for k := i - 1; k >= 0; k-- {
		if w.changes[k].id == c.id {
			w.changes = slices.Delete(w.changes, k, k+1)
		}
	}
}

func (w *cableWay) end(id int) {
	if i := w.index(id); i >= 0 {
		w.changes = slices.Delete(w.changes, i, i+1)
		w.apply()
	}
}

// index returns the place of a change: of one that came several times, the last.
func (w *cableWay) index(id int) int {
	for i := len(w.changes) - 1; i >= 0; i-- {
		if w.changes[i].id == id {
			return i
		}
	}
	return -1
}

// rampSteps is how many steps a change makes that takes its time, as the key over
// promises.
const rampSteps = 100

// change does an action that changes the level of a link, at once or little by
// little.
func (w *World) change(a *scenarios.Action, id int) (undo func()) {
	part := 1.0
	if a.Over > 0 {
		part = 0
		began := w.loop.Now()
		for i := 1; i <= rampSteps; i++ {
			at := began.Add(time.Duration(float64(a.Over) * float64(i) / rampSteps))
			w.loop.At(at, func() { w.each(a, func(d *cableWay) { d.step(id, float64(i)/rampSteps) }) })
		}
	}
	return w.override(a, func(d *cableWay) { d.begin(id, a, part) }, func(d *cableWay) { d.end(id) })
}

// override does something with the ways that an action is for, and returns what
// undoes it.
func (w *World) override(a *scenarios.Action, set, unset func(*cableWay)) func() {
	w.each(a, set)
	return func() { w.each(a, unset) }
}

func (w *World) each(a *scenarios.Action, fn func(*cableWay)) {
	l := w.cable(a.Link)
	up, down := a.Way.Takes()
	if up {
		fn(l.up)
	}
	if down {
		fn(l.down)
	}
}

// changeBox does an action on a middlebox.
func (w *World) changeBox(a *scenarios.Action, id int) (undo func()) {
	c := w.cable(a.Link)
	switch a.Do {
	case scenarios.BoxForget:
		c.box.Forget()
	case scenarios.BoxAddress:
		must(c.box.ChangeAddress(a.Address))
	case scenarios.Captive:
		c.captive.set(id, true)
		return func() { c.captive.unset(id) }
	}
	return nil
}
