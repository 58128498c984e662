package emu

import (
	"fmt"
	"strings"
	"time"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// A setting is a value that the timeline may override for a while. Overrides may
// overlap: the latest that still holds counts, and when none does, the
// scenario's own value.
type setting[T any] struct {
	base   T
	active []override[T]
	apply  func(T)
}

type override[T any] struct {
	id    int
	value T
}

func (s *setting[T]) set(id int, v T) {
	s.active = append(s.active, override[T]{id, v})
	s.apply(v)
}

func (s *setting[T]) unset(id int) {
	for i, o := range s.active {
		if o.id == id {
			s.active = append(s.active[:i], s.active[i+1:]...)
			break
		}
	}
	v := s.base
	if n := len(s.active); n > 0 {
		v = s.active[n-1].value
	}
	s.apply(v)
}

// A cableWay is one direction of a link with what the timeline may change.
type cableWay struct {
	path      *link.Path
	blackhole setting[bool]
	loss      setting[float64]
	delay     setting[time.Duration]
	rate      setting[uint64]
}

func newCableWay(p *link.Path, cfg link.DirectionConfig) *cableWay {
	w := &cableWay{path: p}
	w.blackhole.apply = p.Blackhole.Set
	w.loss.base = cfg.Loss
	w.loss.apply = func(v float64) { must(p.Loss.Set(v)) }
	w.delay.base = cfg.Delay
	w.delay.apply = func(v time.Duration) { must(p.Delay.Set(v)) }
	w.rate.base = cfg.Shaper.RateBitsPerSecond
	w.rate.apply = func(v uint64) {
		shaper := cfg.Shaper
		shaper.RateBitsPerSecond = v
		must(p.Shaper.Set(shaper))
	}
	return w
}

// must is for settings that were validated when the scenario was loaded.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("emu: a validated setting was refused: %v", err))
	}
}

// schedule puts the scenario's timeline, and what Do added before Run, on the
// loop. Entries of the same moment act in the order of the file.
func (w *World) schedule() {
	actions := append(append([]scenarios.Action(nil), w.sc.Timeline...), w.pending...)
	for i := range actions {
		a := &actions[i]
		w.loop.At(sim.Time(a.At), func() { w.act(a) })
	}
}

// act does an action now and undoes it after its time.
func (w *World) act(a *scenarios.Action) {
	w.acts++
	id := w.acts
	w.trace.Emit(trace.Event{Kind: trace.KindAction, Node: w.target(a), Text: describe(a)})
	undo := w.apply(a, id)
	if a.For > 0 && undo != nil {
		w.loop.After(a.For.Std(), func() {
			w.trace.Emit(trace.Event{Kind: trace.KindAction, Node: w.target(a), Text: "end of " + describe(a)})
			undo()
		})
	}
}

// target names what the action happens to.
func (w *World) target(a *scenarios.Action) string {
	switch a.Do {
	case scenarios.LinkDown, scenarios.TxError, scenarios.Leak, scenarios.ReleaseLeak:
		return a.Device
	case scenarios.BrokerPublish:
		return brokerNode
	}
	return a.Link
}

// describe puts an action in words for the trace.
func describe(a *scenarios.Action) string {
	var b strings.Builder
	b.WriteString(string(a.Do))
	switch a.Do {
	case scenarios.SetLoss:
		fmt.Fprintf(&b, " %v", a.Loss)
	case scenarios.SetDelay:
		fmt.Fprintf(&b, " %v", a.Delay)
	case scenarios.SetRate:
		fmt.Fprintf(&b, " %v", a.Rate)
	case scenarios.Leak, scenarios.ReleaseLeak:
		fmt.Fprintf(&b, " %d packets", a.Packets)
	case scenarios.BrokerPublish:
		fmt.Fprintf(&b, " %s", a.Topic)
	}
	switch a.Do {
	case scenarios.Blackhole, scenarios.SetLoss, scenarios.SetDelay, scenarios.SetRate:
		if a.Way != scenarios.Both {
			fmt.Fprintf(&b, " %s", a.Way)
		}
	}
	if a.For > 0 {
		fmt.Fprintf(&b, " for %v", a.For)
	}
	return b.String()
}

// apply does the action and returns what undoes it, nil if nothing does.
func (w *World) apply(a *scenarios.Action, id int) (undo func()) {
	switch a.Do {
	case scenarios.Blackhole:
		return w.override(a, func(d *cableWay) { d.blackhole.set(id, true) }, func(d *cableWay) { d.blackhole.unset(id) })
	case scenarios.SetLoss:
		return w.override(a, func(d *cableWay) { d.loss.set(id, float64(a.Loss)) }, func(d *cableWay) { d.loss.unset(id) })
	case scenarios.SetDelay:
		return w.override(a, func(d *cableWay) { d.delay.set(id, a.Delay.Std()) }, func(d *cableWay) { d.delay.unset(id) })
	case scenarios.SetRate:
		return w.override(a, func(d *cableWay) { d.rate.set(id, uint64(a.Rate)) }, func(d *cableWay) { d.rate.unset(id) })
	case scenarios.LinkDown:
		return w.nicState(a, id, nic.LinkDown)
	case scenarios.TxError:
		return w.nicState(a, id, nic.TxError)
	case scenarios.Leak:
		pool := w.device(a.Device).pool
		got := pool.Leak(a.Packets)
		return func() { pool.Restore(got) }
	case scenarios.ReleaseLeak:
		w.device(a.Device).pool.Restore(a.Packets)
		return nil
	case scenarios.BrokerPublish:
		w.server.publish(a.Topic, &a.Message, id)
		return nil
	}
	panic(fmt.Sprintf("emu: action %q passed validation", a.Do))
}

func (w *World) override(a *scenarios.Action, set, unset func(*cableWay)) func() {
	l := w.cable(a.Link)
	up, down := a.Way.Takes()
	each := func(fn func(*cableWay)) {
		if up {
			fn(l.up)
		}
		if down {
			fn(l.down)
		}
	}
	each(set)
	return func() { each(unset) }
}

func (w *World) nicState(a *scenarios.Action, id int, s nic.State) func() {
	d := w.device(a.Device)
	d.nicState.set(id, s)
	return func() { d.nicState.unset(id) }
}

func (w *World) device(name string) *device {
	for _, d := range w.devices {
		if d.cfg.Name == name {
			return d
		}
	}
	panic(fmt.Sprintf("emu: device %q passed validation", name))
}

func (w *World) cable(name string) *cable {
	for _, l := range w.links {
		if l.Name == name {
			return l
		}
	}
	panic(fmt.Sprintf("emu: link %q passed validation", name))
}
