package emu

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// MaxByHand bounds the actions of a Session, pauses included.
const MaxByHand = 1000

// StageHand is the Stage of the events of actions by hand.
const StageHand = "hand"

// byHandSuffix ends the name of a session's scenario.
const byHandSuffix = "-by-hand"

// untilUndone ends the description of an action that lasts until somebody ends it.
const untilUndone = " until undone"

// A Session is what somebody does by hand to a run in real time: actions of the
// timeline, at the moment when they are asked for. Each is in the trace like one
// of the scenario's, and Scenario returns a scenario in which all of them are. Its
// methods may be called by any goroutine but the run's.
type Session struct {
	w     *World
	pause chan func() // what happens during a pause; the run listens

	mu      sync.Mutex // guards the rest
	entries []*byHand
	held    bool // the run stands still, or is about to
}

// A byHand is an action of a Session.
type byHand struct {
	id     int
	action scenarios.Action // as it was asked for
	text   string
	at     sim.Time
	until  sim.Time      // when it ended, if it has
	undo   func()        // nil: it has no end, or has ended
	pause  bool          // no action: the run stood still
	real   time.Duration // that it did
}

// An Entry is an action of a Session, for whoever shows it.
type Entry struct {
	ID     int
	Action scenarios.Action
	Text   string
	At     sim.Time
	Until  sim.Time // when it ended
	Holds  bool     // it can be ended
	Pause  bool
}

// A RefusedError says why nothing can be done by hand.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return "emu: " + e.Why }

func refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// ByHand returns the session of a world. It must be called before Run. A run in
// virtual time has none: the error, a *RefusedError, says why.
func (w *World) ByHand() (*Session, error) {
	if w.sc.Clock != scenarios.Real {
		return nil, refused("nothing can be done by hand to a run in virtual time, which is over before a hand moves, and comes out the same each time because of that: " +
			"write it into the timeline, or run with clock: real (--set clock=real)")
	}
	if w.opt.Device != nil || w.opt.Broker != nil {
		return nil, refused("nothing can be done by hand to a run with an end that is the caller's")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != worldNew {
		panic("emu: ByHand after Run")
	}
	if w.session == nil {
		w.session = &Session{w: w, pause: make(chan func())}
	}
	return w.session, nil
}

// Begin makes an action happen now and returns its number. With For it ends by
// itself; without, it lasts until End, or to the end of the run. It takes the place
// of what was done by hand to the same thing before.
func (s *Session) Begin(a scenarios.Action) (int, error) {
	if a.At != 0 || a.Every != 0 || a.Count != 0 || a.Until != 0 || a.After != nil || a.Label != "" || a.Over != 0 {
		return 0, refused("what is done by hand happens now, and at once: leave out at, every, count, until, after, over and label")
	}
	if err := s.w.sc.CheckAction(&a); err != nil {
		return 0, err
	}
	var id int
	var err error
	if failed := s.do(func() { id, err = s.begin(&a) }); failed != nil {
		return 0, failed
	}
	return id, err
}

// End undoes an action that holds.
func (s *Session) End(id int) error {
	err := refused("nothing of the number %d holds: it has ended, or never was", id)
	if failed := s.do(func() {
		if s.end(id) {
			err = nil
		}
	}); failed != nil {
		return failed
	}
	return err
}

// CanPause returns nil, or an error that says why the run cannot stand still: one
// with real parts cannot, as these go on.
func (s *Session) CanPause() error {
	if why := s.w.realParts(); why != "" {
		return refused("the run cannot pause: %s, and that does not stand still", why)
	}
	return nil
}

// Pause stops the run, or lets it go on. While it stands still no time of the run
// passes; what is done then happens at that moment.
func (s *Session) Pause(on bool) error {
	if err := s.CanPause(); err != nil {
		return err
	}
	if s.Paused() == on {
		return nil
	}
	if !on {
		return s.do(func() { s.setHeld(false) })
	}
	var err error
	if failed := s.do(func() {
		if err = s.room(); err != nil || s.Paused() {
			return
		}
		// From here on what is done by hand goes to stand, which is behind everything
		// that was posted before: nothing is left to wait for the end of the pause.
		s.setHeld(true)
		if !s.w.loop.Post(s.stand) {
			s.setHeld(false)
			err = refused("the run is overloaded and was not stopped")
		}
	}); failed != nil {
		return failed
	}
	return err
}

// Paused reports whether the run stands still.
func (s *Session) Paused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// Entries returns what was done so far, pauses included.
func (s *Session) Entries() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Entry, len(s.entries))
	for i, e := range s.entries {
		all[i] = Entry{e.id, e.action, e.text, e.at, e.until, e.undo != nil, e.pause}
	}
	return all
}

// Scenario writes the scenario with everything that was done by hand in its
// timeline: Load reads it, and a run of it does the same at the same times.
func (s *Session) Scenario() ([]byte, error) {
	sc := s.w.sc.Clone()
	sc.Name = strings.TrimSuffix(sc.Name, byHandSuffix) + byHandSuffix
	head := fmt.Sprintf("# emu run %s --seed %d, and what was done to it by hand.\n", oneLine(s.w.opt.Source), sc.Seed)
	s.mu.Lock()
	for _, e := range s.entries {
		if e.pause {
			head += fmt.Sprintf("# At %v the run stood still for %v: no time of the run passed.\n", time.Duration(e.at), e.real.Round(time.Millisecond))
			continue
		}
		if e.at >= sim.Time(sc.Duration) {
			continue // it did nothing any more
		}
		a := e.action
		a.At, a.For = scenarios.Duration(e.at), 0
		if e.until > 0 {
			a.For = scenarios.Duration(e.until - e.at)
		} else {
			a.For = e.action.For
		}
		sc.Timeline = append(sc.Timeline, a)
	}
	s.mu.Unlock()
	body, err := sc.Brief()
	if err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	return append([]byte(head), body...), nil
}

// do has fn called by the run's goroutine and waits for it.
func (s *Session) do(fn func()) error {
	s.w.mu.Lock()
	state := s.w.state
	s.w.mu.Unlock()
	switch state {
	case worldNew, worldBuilds:
		return refused("the run has not begun yet")
	case worldEnded:
		return ErrEnded
	}
	done := make(chan struct{})
	called := func() { fn(); close(done) }
	s.mu.Lock()
	held := s.held
	posted := !held && s.w.loop.Post(called)
	s.mu.Unlock()
	switch {
	case held:
		select {
		case s.pause <- called:
		case <-s.w.over:
			return ErrEnded
		}
	case !posted:
		return refused("the run has ended or is overloaded: the action was not taken")
	}
	select {
	case <-done:
		return nil
	case <-s.w.over:
		select {
		case <-done:
			return nil
		default:
			return ErrEnded
		}
	}
}

// room reports an error when the session is full.
func (s *Session) room() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) >= MaxByHand {
		return refused("%d things were done by hand: that is all a session takes", MaxByHand)
	}
	return nil
}

// begin does an action. It and the next ones are called by the run's goroutine.
func (s *Session) begin(a *scenarios.Action) (int, error) {
	if err := s.room(); err != nil {
		return 0, err
	}
	w := s.w
	old, err := s.inPlaceOf(a)
	if err != nil {
		return 0, err
	}
	now := *a
	now.For = 0
	p := w.newPlan(&now)
	w.acts++
	suffix := untilUndone
	if a.For > 0 {
		suffix = fmt.Sprintf(" for %v", a.For)
	}
	undo := w.perform(p, 1, w.acts, StageHand, suffix)
	e := &byHand{action: *a, text: describe(a), at: w.loop.Now(), undo: undo}
	s.mu.Lock()
	s.entries = append(s.entries, e)
	e.id = len(s.entries)
	s.mu.Unlock()
	for _, id := range old { // behind the new one, as a timeline has it
		s.end(id)
	}
	if a.For > 0 && undo != nil {
		w.loop.After(a.For.Std(), func() { s.end(e.id) })
	}
	return e.id, nil
}

// leastHold is how long an action holds, as the key for demands.
const leastHold = time.Millisecond

// inPlaceOf returns what holds that an action takes the place of. What would not
// be a timeline is refused.
func (s *Session) inPlaceOf(a *scenarios.Action) (old []int, err error) {
	w := s.w
	now := *a
	now.At = scenarios.Duration(w.loop.Now())
	for i := range w.sc.Timeline {
		if own := &w.sc.Timeline[i]; w.sc.Overlap(own, &now) {
			return nil, refused("%s of the scenario, at %v for %v, happens to the same: let one end before the other begins", own.Do, own.At, own.For)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		switch {
		case e.undo == nil || !w.sc.SameThing(&e.action, a):
		case e.action.Do == scenarios.BrokerCrash || e.action.Do == scenarios.PowerCut:
			return nil, refused("%s still holds: end it first", e.text)
		case w.loop.Now() < e.at.Add(leastHold):
			return nil, refused("%s began at this very moment, and holds for a millisecond at least", e.text)
		default:
			old = append(old, e.id)
		}
	}
	return old, nil
}

// end undoes an action, if it holds.
func (s *Session) end(id int) bool {
	s.mu.Lock()
	if id < 1 || id > len(s.entries) || s.entries[id-1].undo == nil {
		s.mu.Unlock()
		return false
	}
	e := s.entries[id-1]
	if left := e.at.Add(leastHold).Sub(s.w.loop.Now()); left > 0 {
		s.mu.Unlock()
		s.w.loop.After(left, func() { s.end(id) })
		return true
	}
	undo := e.undo
	e.undo, e.until = nil, s.w.loop.Now()
	s.mu.Unlock()
	undo()
	return true
}

func (s *Session) setHeld(on bool) {
	s.mu.Lock()
	s.held = on
	s.mu.Unlock()
}

// stand holds the run until somebody lets it go on.
func (s *Session) stand() {
	w := s.w
	w.trace.Emit(trace.Event{Kind: trace.KindAction, Stage: StageHand, Text: "pause"})
	e := &byHand{text: "pause", at: w.loop.Now(), pause: true}
	s.mu.Lock()
	s.entries = append(s.entries, e)
	e.id = len(s.entries)
	s.mu.Unlock()
	var stood time.Duration
	w.loop.Hold(func() {
		began := sim.WallClock()
		for s.Paused() {
			select {
			case fn := <-s.pause:
				fn()
			case <-w.ended:
				s.setHeld(false)
			}
		}
		stood = sim.WallClock().Sub(began)
	})
	s.mu.Lock()
	e.until, e.real = w.loop.Now(), stood
	s.mu.Unlock()
	w.trace.Emit(trace.Event{Kind: trace.KindAction, Stage: StageHand, Text: fmt.Sprintf("end of pause after %v", stood.Round(time.Millisecond))})
}

// realParts names what goes on whatever the run's clock does, or nothing.
func (w *World) realParts() string {
	if w.sc.Broker.Kind == scenarios.BrokerTap {
		return "its broker is a real one"
	}
	if i := slices.IndexFunc(w.sc.Devices, func(d scenarios.Device) bool { return !d.Model() }); i >= 0 {
		return fmt.Sprintf("%s is a real device", w.sc.Devices[i].Name)
	}
	return ""
}
