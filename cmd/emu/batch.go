package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"hilnet/emu"
	"hilnet/report"
	"hilnet/scenarios"
	"hilnet/sim"
)

// A batch is several scenarios that run side by side, one world each.
type batch struct {
	cli     *cli
	flags   *runFlags
	meter   *meter
	entries []*found

	mu    sync.Mutex
	share []float64 // of each scenario, how much is done
}

// A done is what came of one scenario.
type done struct {
	report report.Run
	result *emu.Result
	err    error
	stack  []byte // of a bug in hilnet
}

// run runs all of them and returns what came of each, in their order, as soon as
// those before it are there.
func (b *batch) run(ctx context.Context) iter.Seq[*done] {
	b.share = make([]float64, len(b.entries))
	ready := make([]chan *done, len(b.entries))
	virtual, realTime := make(chan int, len(b.entries)), make(chan int, len(b.entries))
	for i, e := range b.entries {
		ready[i] = make(chan *done, 1)
		if e.sc != nil && e.sc.Clock == scenarios.Real {
			realTime <- i
		} else {
			virtual <- i
		}
	}
	close(virtual)
	close(realTime)
	work := func(jobs <-chan int) {
		for i := range jobs {
			d := b.one(ctx, i)
			b.progress(i, 1, "")
			ready[i] <- d
		}
	}
	var workers sync.WaitGroup
	n := b.flags.parallel
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	n = min(n, len(virtual))
	restore := useProcessors(n)
	for range n {
		workers.Go(func() { work(virtual) })
	}
	go func() {
		// Beside others a run in real time would be late.
		workers.Wait()
		restore()
		work(realTime)
	}()
	return func(yield func(*done) bool) {
		for _, r := range ready {
			if !yield(<-r) {
				return
			}
		}
	}
}

// useProcessors lets the program use n processors until restore is called, where
// it has more. One thing at a time happens in virtual time: on a second processor
// a run's goroutines only wake each other across the two, which takes a third
// longer, and twice as long with gVisor's TCP at both ends. Who sets GOMAXPROCS
// has decided.
func useProcessors(n int) (restore func()) {
	if n < 1 || n >= runtime.GOMAXPROCS(0) || os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	runtime.GOMAXPROCS(n)
	return runtime.SetDefaultGOMAXPROCS
}

// one runs one scenario.
func (b *batch) one(ctx context.Context, i int) (d *done) {
	e := b.entries[i]
	if e.err != nil {
		return &done{report: report.Failed(e.name(), e.source, report.Invalid, e.err), err: e.err}
	}
	if ctx.Err() != nil {
		return &done{report: report.Failed(e.name(), e.source, emu.Interrupted, errors.New("interrupted before it began")), err: ctx.Err()}
	}
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("%s: %v", e.source, p)
			d = &done{report: report.Failed(e.name(), e.source, emu.VerdictInternal, err), err: err, stack: debug.Stack()}
		}
	}()
	opt := emu.Options{Apps: b.cli.apps, Out: b.flags.out, Source: sourceWithSettings(e.source, b.flags.settings)}
	opt.Samples = b.flags.report != "" || b.flags.ui.listener != nil
	opt.Decisions, opt.DecisionsOut = b.flags.decide.log, b.flags.decide.out
	opt.KeyLog = b.flags.keyLog
	opt.MaxLateness = b.flags.maxLateness
	if b.flags.hasSeed {
		opt.Seed = &b.flags.seed
	}
	if b.meter.mode != progressNone {
		opt.Progress = func(now, end sim.Time) {
			b.progress(i, now.Seconds()/end.Seconds(), fmt.Sprintf("%v of %v", time.Duration(now).Round(time.Second), time.Duration(end)))
		}
	}
	result, err := b.world(ctx, e.sc, opt)
	if r := b.flags.from.recorded; r != nil && result != nil && err == nil {
		err = b.flags.from.compare(result)
	}
	if result == nil {
		return &done{report: report.Failed(e.name(), e.source, verdictOf(err), err), err: err}
	}
	d = &done{report: report.NewRun(result, e.source), result: result, err: err}
	d.report.Command += b.flags.where()
	if err != nil {
		if cannotEnd(err) {
			d.report.Verdict = report.Invalid
		}
		d.report.Error = err.Error()
	}
	return d
}

// world runs a world, in sight if --ui asks for it.
func (b *batch) world(ctx context.Context, sc *scenarios.Scenario, opt emu.Options) (*emu.Result, error) {
	w, err := emu.New(sc, opt)
	if err != nil {
		return nil, err
	}
	if err := b.flags.ui.show(ctx, b.cli, w, sc, opt.Source); err != nil {
		return nil, err
	}
	return w.Run(ctx)
}

// cannotEnd reports whether an error that ended a run is of what the user gave:
// it does not fit together, or time does not pass in it.
func cannotEnd(err error) bool {
	var other *emu.DecisionsError
	return errors.As(err, &other) || errors.Is(err, sim.ErrStandstill)
}

// verdictOf tells what an error is about that kept a run from beginning.
func verdictOf(err error) report.Verdict {
	var env *emu.EnvironmentError
	switch {
	case errors.Is(err, context.Canceled):
		return emu.Interrupted
	case errors.As(err, &env):
		return emu.Broken
	}
	return report.Invalid
}

// sourceWithSettings is how the command that repeats a run names the scenario.
func sourceWithSettings(source string, settings []scenarios.Set) string {
	words := emu.Quote(source)
	for _, s := range settings {
		words += " --set " + emu.Quote(s.String())
	}
	return words
}

// progress shows how much of all scenarios is done. Of a single one it tells the
// time of the run.
func (b *batch) progress(i int, share float64, detail string) {
	b.mu.Lock()
	b.share[i] = share
	sum := 0.0
	for _, s := range b.share {
		sum += s
	}
	b.mu.Unlock()
	if len(b.share) > 1 {
		detail = ""
	}
	b.meter.update(sum, float64(len(b.share)), detail)
}
