package emu

import (
	"fmt"
	"slices"
	"strings"
	"time"

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
	s.drop(id)
	s.active = append(s.active, override[T]{id, v})
	s.apply(v)
}

func (s *setting[T]) drop(id int) {
	s.active = slices.DeleteFunc(s.active, func(o override[T]) bool { return o.id == id })
}

func (s *setting[T]) unset(id int) {
	s.drop(id)
	v := s.base
	if n := len(s.active); n > 0 {
		v = s.active[n-1].value
	}
	s.apply(v)
}

// must is for settings that were validated when the scenario was loaded.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("emu: a validated setting was refused: %v", err))
	}
}

// A plan is an action and how often it has happened.
type plan struct {
	*scenarios.Action
	parts []*scenarios.Action // what it is for each device, or itself
	times int
	id    int      // of the first time
	began sim.Time // likewise
}

// newPlan takes an action apart that happens to several devices, or to their
// links. What the broker does to several stays one: it is one fault of the
// broker's.
func (w *World) newPlan(a *scenarios.Action) *plan {
	p := &plan{Action: a, parts: []*scenarios.Action{a}}
	if len(a.Devices) == 0 || a.Do.IsBrokerFault() {
		return p
	}
	p.parts = nil
	for i, name := range w.sc.Targets(a) {
		one := *a
		one.Devices = nil
		if name == a.Devices[i] { // no link has the name of a device
			one.Device = name
		} else {
			one.Link = w.linkOf[a.Devices[i]].Name
		}
		p.parts = append(p.parts, &one)
	}
	return p
}

// A trigger is a plan that waits for something.
type trigger struct {
	plan   *plan
	left   int    // times that it must still happen
	client string // the device's client identifier, where only a device's events count
}

func (w *World) newTrigger(p *plan) *trigger {
	t := &trigger{plan: p, left: p.After.Nth}
	if d := w.sc.Device(p.After.Device); d != nil {
		t.client = d.MQTT.ClientID
	}
	return t
}

// schedule puts the scenario's timeline, and what Do added before Run, on the
// loop. Entries of the same moment act in the order of the file.
func (w *World) schedule() {
	w.trace.Subscribe(w.watch)
	w.mu.Lock()
	actions := append(append([]scenarios.Action(nil), w.sc.Timeline...), w.pending...)
	w.state = worldRuns
	w.mu.Unlock()
	for i := range actions {
		p := w.newPlan(&actions[i])
		if p.After != nil {
			w.triggers = append(w.triggers, w.newTrigger(p))
		} else {
			w.loop.At(sim.Time(p.At), func() { w.begin(p) })
		}
	}
}

// act does an action that Do was given: now, or when what it waits for happens.
func (w *World) act(a *scenarios.Action) {
	p := w.newPlan(a)
	switch {
	case p.After != nil:
		w.triggers = append(w.triggers, w.newTrigger(p))
	case w.loop.Current() != nil && (a.Do == scenarios.ResetDevice || a.Do == scenarios.PowerCut):
		// The caller is an App, which may be what the action ends.
		w.loop.At(w.loop.Now(), func() { w.begin(p) })
	default:
		w.begin(p)
	}
}

// watch counts events for those who wait for them.
func (w *World) watch(e *trace.Event) {
	if e.Status != 0 {
		return
	}
	for _, t := range w.triggers {
		after := t.plan.After
		if after.Label != "" || string(e.Kind) != string(after.Event) {
			continue
		}
		if after.Device != "" && e.Node != after.Device && e.Client != t.client {
			continue
		}
		w.happened(t)
	}
}

// happened counts what a trigger waits for, and plans its action.
func (w *World) happened(t *trigger) {
	if t.left--; t.left == 0 {
		w.loop.After(t.plan.After.Delay.Std(), func() { w.begin(t.plan) })
	}
}

// begin does an action for the first time and plans the next ones.
func (w *World) begin(p *plan) {
	p.began = w.loop.Now()
	w.repeat(p)
}

func (w *World) repeat(p *plan) {
	if p.Until > 0 && w.loop.Now() >= sim.Time(p.Until) {
		return
	}
	p.times++
	if p.Every > 0 && (p.Count == 0 || p.times < p.Count) {
		w.loop.At(p.began.Add(time.Duration(p.times)*p.Every.Std()), func() { w.repeat(p) })
	}
	w.occur(p)
}

// occur does an action now and undoes it after its time.
func (w *World) occur(p *plan) {
	w.acts++
	id := w.acts
	switch {
	case p.id == 0:
		p.id = id
	case p.For == 0:
		id = p.id // what is never undone takes the place of itself: no run holds more for it
	}
	if back := w.perform(p, p.times, id, "", ""); back != nil && p.For > 0 {
		w.loop.After(p.For.Std(), back)
	}
}

// perform does the parts of a plan now and returns what undoes them, nil if
// nothing does. Stage and suffix are for the events of what is done by hand.
func (w *World) perform(p *plan, times, id int, stage, suffix string) (undo func()) {
	var all []func()
	for i, a := range p.parts {
		text := describe(a)
		if a.Do.Lasts() {
			text += suffix
		}
		w.trace.Emit(trace.Event{Kind: trace.KindAction, Node: w.target(a), Stage: stage, Text: text})
		if i == 0 {
			w.labelled(a.Label)
		}
		if back := w.apply(a, times, id); back != nil {
			all = append(all, func() {
				w.trace.Emit(trace.Event{Kind: trace.KindAction, Node: w.target(a), Stage: stage, Text: "end of " + text})
				back()
			})
		}
	}
	if len(all) == 0 {
		return nil
	}
	return func() {
		for _, back := range all {
			back()
		}
	}
}

// labelled tells the actions that wait for a label.
func (w *World) labelled(label string) {
	for _, t := range w.triggers {
		if label != "" && t.plan.After.Label == label {
			w.happened(t)
		}
	}
}

// target names what the action happens to.
func (w *World) target(a *scenarios.Action) string {
	switch a.Do {
	case scenarios.LinkDown, scenarios.TxError, scenarios.Leak, scenarios.ReleaseLeak, scenarios.ResetDevice, scenarios.PowerCut:
		return a.Device
	case scenarios.BrokerPublish:
		return brokerNode
	case scenarios.ServiceAnswer:
		return servicesNode
	}
	if a.Do.IsBrokerFault() {
		return brokerNode
	}
	return a.Link
}

// maxNamed bounds the devices that the description of an action names.
const maxNamed = 10

// describe puts an action in words for the trace.
func describe(a *scenarios.Action) string {
	var b strings.Builder
	if a.Label != "" {
		b.WriteString(a.Label + ": ")
	}
	b.WriteString(string(a.Do))
	switch a.Do {
	case scenarios.SetLoss:
		fmt.Fprintf(&b, " %v", a.Loss)
	case scenarios.SetDelay:
		fmt.Fprintf(&b, " %v", a.Delay)
	case scenarios.SetRate:
		if a.Share > 0 {
			fmt.Fprintf(&b, " %v", a.Share)
		} else {
			fmt.Fprintf(&b, " %v", a.Rate)
		}
	case scenarios.Impair:
		fmt.Fprintf(&b, " %s", a.Change)
	case scenarios.BoxAddress:
		fmt.Fprintf(&b, " %v", a.Address)
	case scenarios.AddMatch:
		rule := a.Rule.Rule()
		fmt.Fprintf(&b, " %s", &rule)
	case scenarios.Leak, scenarios.ReleaseLeak:
		fmt.Fprintf(&b, " %d packets", a.Packets)
	case scenarios.BrokerPublish:
		fmt.Fprintf(&b, " %s", a.Topic)
	case scenarios.ServiceAnswer:
		fmt.Fprintf(&b, " %s %s", a.Service, a.Answer)
	case scenarios.BrokerCrash:
		fmt.Fprintf(&b, " state %s", a.State)
	case scenarios.BrokerRefuse:
		fmt.Fprintf(&b, " code %d", a.Code)
	case scenarios.BrokerDelayConnack, scenarios.BrokerDelayAcks, scenarios.BrokerCoalesce:
		fmt.Fprintf(&b, " %v", a.Delay)
	case scenarios.BrokerAcks:
		fmt.Fprintf(&b, " %s", a.Fault)
	case scenarios.BrokerSplit:
		fmt.Fprintf(&b, " %v", a.Piece)
	case scenarios.BrokerGarbage:
		fmt.Fprintf(&b, " %s", a.Hex)
	}
	if a.Do.IsBrokerFault() && a.Device != "" {
		fmt.Fprintf(&b, " on %s", a.Device)
	}
	if n := len(a.Devices); n == 1 {
		fmt.Fprintf(&b, " on %s", a.Devices[0])
	} else if n > 1 {
		fmt.Fprintf(&b, " on %d devices: %s", n, strings.Join(a.Devices[:min(n, maxNamed)], ", "))
		if n > maxNamed {
			fmt.Fprintf(&b, " and %d more", n-maxNamed)
		}
	}
	switch a.Do {
	case scenarios.Blackhole, scenarios.SetLoss, scenarios.SetDelay, scenarios.SetRate, scenarios.Impair:
		if a.Way != scenarios.Both {
			fmt.Fprintf(&b, " %s", a.Way)
		}
	}
	if a.Over > 0 {
		fmt.Fprintf(&b, " over %v", a.Over)
	}
	if a.For > 0 {
		fmt.Fprintf(&b, " for %v", a.For)
	}
	return b.String()
}

// apply does the action and returns what undoes it, nil if nothing does.
func (w *World) apply(a *scenarios.Action, times, id int) (undo func()) {
	if a.Do.IsBrokerFault() {
		return w.server.fault(a, id)
	}
	switch a.Do {
	case scenarios.Blackhole:
		return w.override(a, func(d *cableWay) { d.blackhole.set(id, true) }, func(d *cableWay) { d.blackhole.unset(id) })
	case scenarios.SetLoss, scenarios.SetDelay, scenarios.SetRate, scenarios.Impair:
		return w.change(a, id)
	case scenarios.BoxForget, scenarios.BoxAddress, scenarios.Captive:
		return w.changeBox(a, id)
	case scenarios.AddMatch:
		return w.addMatch(a)
	case scenarios.MatchRelease:
		w.releaseMatch(a.Link)
		return nil
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
		w.server.publish(a, times)
		return nil
	case scenarios.ServiceAnswer:
		return w.serviceAnswer(a, id)
	case scenarios.ResetDevice:
		if d := w.duts[a.Device]; d != nil {
			d.program.reset("reboot")
			return nil
		}
		w.device(a.Device).reset("reboot")
		return nil
	case scenarios.PowerCut:
		if d := w.duts[a.Device]; d != nil {
			d.program.powerCut()
			return d.program.powerBack
		}
		d := w.device(a.Device)
		d.powerCut()
		return d.powerBack
	}
	panic(fmt.Sprintf("emu: action %q passed validation", a.Do))
}

func (w *World) nicState(a *scenarios.Action, id int, s nic.State) func() {
	if d := w.duts[a.Device]; d != nil {
		state := &d.linkDown
		if s == nic.TxError {
			state = &d.txError
		}
		state.set(id, true)
		return func() { state.unset(id) }
	}
	d := w.device(a.Device)
	d.nicState.set(id, s)
	return func() { d.nicState.unset(id) }
}

func (w *World) device(name string) *device {
	d := w.byName[name]
	if d == nil {
		panic(fmt.Sprintf("emu: device %q passed validation", name))
	}
	return d
}

// config returns what the scenario says about a device, which need not be a model.
func (w *World) config(name string) *scenarios.Device {
	if d := w.duts[name]; d != nil {
		return d.cfg
	}
	return w.device(name).cfg
}

func (w *World) cable(name string) *cable {
	l := w.cables[name]
	if l == nil {
		panic(fmt.Sprintf("emu: link %q passed validation", name))
	}
	return l
}
