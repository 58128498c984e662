package emu

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"hilnet/link"
	"hilnet/link/decisions"
	"hilnet/link/match"
	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/sim"
	taphost "hilnet/tap/host"
	"hilnet/trace"
)

// Version is hilnet's version, as captures and traces carry it.
const Version = "0.1.0"

// An App is firmware-like logic in Go: it runs as the device's application
// thread and may block in the client's calls and in the Task's. A scenario names
// it in its key app.
type App func(*sim.Task, *mqtt.Client)

// Options say how to run a scenario. The zero value runs it as written and
// writes no files.
type Options struct {
	// Seed replaces the scenario's seed if it is not nil.
	Seed *uint64
	// Out is the folder that captures and trace are written to; it is made when
	// it does not exist. Empty: no files.
	Out string
	// Apps are the applications that devices may name.
	Apps map[string]App
	// Source is how the user named the scenario, for the command that repeats the
	// run. Empty: its name.
	Source string
	// Decisions is a decision log that the run follows, or a list of frames that it
	// drops: see package decisions. A log brings its seed. A run that goes another
	// way than its log ends with a *DecisionsError. Several worlds may share one.
	Decisions *decisions.Log
	// DecisionsOut is a file that the run's decision log is written to. Empty: none.
	DecisionsOut string
	// KeyLog is a file that gets the secrets of all TLS sessions, in the format of
	// NSS. With a real peer secrets are kept only if it is set; then they stand in
	// the captures too, as they always do in virtual time. Who has the file can
	// read the sessions. Empty: none.
	KeyLog string
	// Samples has the levels of pools and queues written to a file beside the
	// trace. It needs Out.
	Samples bool
	// MaxLateness is how long after its moment anything may happen in real time;
	// beyond it the run is Inconclusive. 0: it does not matter.
	MaxLateness time.Duration
	// Progress is called by the run's goroutine about every 100 ms of real time,
	// with the time of the run.
	Progress func(now, end sim.Time)

	// Device and Broker, when set, stand in place of the only device, or of the
	// model broker: they are called when the run is built and return what takes the
	// frames of their end of the link.
	Device func(Endpoint) (link.Sink, error)
	Broker func(Endpoint) (link.Sink, error)

	// sabotage breaks the product on purpose, for the tests of the gates.
	sabotage string
}

// A World is one scenario, ready to run once.
type World struct {
	sc    *scenarios.Scenario
	opt   Options
	pacer sim.Pacer // nil in virtual time
	loop  *sim.Loop
	ids   link.IDs
	trace *trace.Log
	tally *scenarios.Tally
	finds *finder

	devices  []*device
	services *netServices       // nil: none
	duts     map[string]*dut    // devices that are not models, by name; looked up only
	byName   map[string]*device // looked up only, never ranged over
	triggers []*trigger
	links    []*cable
	cables   map[string]*cable // by name; looked up only
	droppers []*frameDropper
	linkOf   map[string]*scenarios.Link // of a device, by name; looked up only
	server   *server
	tls      *worldTLS      // nil: nobody speaks it
	lease    *taphost.Lease // nil: the run takes nothing of the machine

	brokerState []byte // that the model broker begins with; nil without one

	recording *recordedPeer // nil without a recorded broker
	files     *files
	deciding  deciding
	matchers  []*match.Matcher
	rules     []*timelineRule
	watchers  []*Observation
	watches   []*Watch
	session   *Session        // nil: nothing is done by hand
	ended     <-chan struct{} // closed when the caller wants no more
	over      chan struct{}   // closed when the run is over
	programs  []*program
	starters  []func() error
	stoppers  []func() error
	closers   []func() error
	counting  []func()
	acts      int // actions taken so far

	mu      sync.Mutex // guards the rest, for Do
	pending []scenarios.Action
	state   worldState
}

// worldState is how far a World is.
type worldState uint8

const (
	worldNew    worldState = iota
	worldBuilds            // Run was called; Do still adds to the timeline
	worldRuns              // Do acts at once
	worldEnded
)

func (w *World) setState(s worldState) {
	w.mu.Lock()
	w.state = s
	w.mu.Unlock()
}

// New checks the scenario and the options. A scenario that was made in Go is
// validated as one from a file.
func New(sc *scenarios.Scenario, opt Options) (*World, error) {
	own := sc.Clone()
	if err := own.Validate(); err != nil {
		return nil, err
	}
	if opt.Seed != nil {
		own.Seed = *opt.Seed
	}
	if err := opt.checkDecisions(own); err != nil {
		return nil, err
	}
	if err := opt.checkEndpoints(own); err != nil {
		return nil, err
	}
	if opt.Source == "" {
		opt.Source = own.Name
	}
	if opt.Samples && opt.Out == "" {
		return nil, errors.New("emu: Options.Samples needs Options.Out, the folder for the file")
	}
	for i := range own.Devices {
		if name := own.Devices[i].App; name != "" && opt.Apps[name] == nil {
			return nil, fmt.Errorf("emu: device %q: there is no app %q: register it in Options.Apps", own.Devices[i].Name, name)
		}
	}
	w := &World{sc: own, opt: opt, over: make(chan struct{})}
	if own.Broker.Kind == scenarios.BrokerCapture {
		var err error
		if w.recording, err = readRecording(own); err != nil {
			return nil, err
		}
	}
	if own.Broker.State != "" {
		var err error
		if w.brokerState, err = readState(own); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Seed returns the seed of every random draw.
func (w *World) Seed() uint64 { return w.sc.Seed }

// Run runs a scenario from start to end: New and World.Run in one.
func Run(ctx context.Context, sc *scenarios.Scenario, opt Options) (*Result, error) {
	w, err := New(sc, opt)
	if err != nil {
		return nil, err
	}
	return w.Run(ctx)
}

// Observe returns a view of the run's events for another goroutine, with room
// for buffer events. It must be called before Run.
func (w *World) Observe(buffer int) *Observation {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != worldNew {
		panic("emu: Observe after Run")
	}
	o := &Observation{events: make(chan trace.Event, max(buffer, 1))}
	w.watchers = append(w.watchers, o)
	return o
}

// Do makes an action happen, as if it stood in the timeline. Before Run, it
// happens at its time At. While the run goes on it happens at once, and is in
// the trace like any other; in virtual time only an App may call it then, in
// real time any goroutine.
func (w *World) Do(a scenarios.Action) error {
	if err := w.sc.CheckAction(&a); err != nil {
		return err
	}
	w.mu.Lock()
	state := w.state
	if state < worldRuns {
		w.pending = append(w.pending, a)
	}
	w.mu.Unlock()
	switch {
	case state < worldRuns:
		return nil
	case state == worldEnded:
		return ErrEnded
	case !w.loop.RealTime():
		w.act(&a)
		return nil
	}
	if !w.loop.Post(func() { w.act(&a) }) {
		return errors.New("emu: the run has ended or is overloaded: the action was not taken")
	}
	return nil
}

// ErrEnded is returned by a second Run of one World, and by Do after the first.
var ErrEnded = errors.New("emu: a world runs once; make another with New")

// Run runs the world to the scenario's end, or until ctx is done, and returns
// what came of it. With an error the result, if there is one, tells how far the
// run came; its files are whole and readable in any case.
func (w *World) Run(ctx context.Context) (result *Result, err error) {
	w.mu.Lock()
	again := w.state != worldNew
	if !again {
		w.state = worldBuilds
	}
	w.mu.Unlock()
	if again {
		return nil, ErrEnded
	}
	began := sim.WallClock()
	if w.sc.Clock == scenarios.Real {
		// Before the loop and its Tasks are built: see package sim.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	defer func() {
		w.setState(worldEnded)
		close(w.over)
		closed := w.close()
		if closed != nil && result != nil {
			result.Verdict, result.Checks = Broken, nil
		}
		err = errors.Join(err, closed)
	}()
	if err := w.build(); err != nil {
		return nil, err
	}
	w.ended = ctx.Done()
	stop := context.AfterFunc(ctx, func() { w.loop.Cancel(context.Cause(ctx)) })
	defer stop()
	runErr := w.loop.StartPacer()
	w.files.start()
	w.beat()
	for _, fn := range w.starters {
		if runErr == nil {
			runErr = fn()
		}
	}
	if ctx.Err() != nil {
		w.loop.Cancel(context.Cause(ctx)) // now, not when the goroutine above gets round to it
	}
	if runErr == nil {
		runErr = w.loop.Run(sim.Time(w.sc.Duration))
	}
	if err := w.finishDecisions(runErr != nil); err != nil && runErr == nil {
		runErr = err
	}
	// The loop looks for a cause to stop every so many events: a file may have
	// failed behind its last look.
	if runErr == nil && w.files.failed != nil {
		runErr = w.files.failed
	}
	for _, fn := range w.stoppers {
		if err := fn(); err != nil && runErr == nil {
			runErr = err
		}
	}
	result = w.finish(runErr, ctx.Err() != nil && errors.Is(runErr, context.Cause(ctx)))
	if failed := w.files.close(w.loop.Now()); failed != nil {
		result.Verdict, result.Checks = Broken, nil
		if !errors.Is(runErr, failed) {
			runErr = errors.Join(runErr, failed)
		}
	}
	result.Recording = w.files.recording()
	result.Wall = sim.WallClock().Sub(began)
	return result, runErr
}

// close undoes build, newest first.
func (w *World) close() error {
	var all []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		all = append(all, w.closers[i]())
	}
	w.closers = nil
	for _, o := range w.watchers {
		close(o.events)
	}
	w.watchers = nil
	for _, v := range w.watches {
		v.close()
	}
	w.watches = nil
	return errors.Join(all...)
}

// onStop has fn called when the loop has run, before the run is judged: what an
// edge still has to say belongs to the trace.
func (w *World) onStop(fn func() error) { w.stoppers = append(w.stoppers, fn) }

// onStart has fn called when the clock has started.
func (w *World) onStart(fn func() error) { w.starters = append(w.starters, fn) }

// onClose has fn called at the end of the run.
func (w *World) onClose(fn func() error) { w.closers = append(w.closers, fn) }
