package emu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hilnet/scenarios"
)

func newExplorer(sc *scenarios.Scenario, source string, settings []scenarios.Set, seed *uint64, apps map[string]App) (*explorer, error) {
	own := sc.Clone()
	if err := own.Validate(); err != nil {
		return nil, err
	}
	if own.Clock == scenarios.Real {
		return nil, errors.New("emu: this needs virtual time, in which a run repeats: the scenario has clock: real")
	}
	if seed != nil {
		own.Seed = *seed
	}
	if source == "" {
		source = own.Name
	}
	x := &explorer{sc: own, seed: own.Seed, apps: apps}
	x.command = func(drops []FrameInfo) string {
		all := slices.Clone(settings)
		for i := range own.Links {
			all = append(all, dropSets(&own.Links[i], len(own.Links) == 1, drops)...)
		}
		return RunCommand(source, all, own.Seed)
	}
	return x, nil
}

// dropSets returns the settings that have a link drop these frames, beside those
// that it drops anyway.
func dropSets(l *scenarios.Link, only bool, drops []FrameInfo) []scenarios.Set {
	with := *l
	addDrops(&with, drops)
	name := "links[" + l.Name + "]"
	if only {
		name = "link"
	}
	var all []scenarios.Set
	for _, way := range []struct {
		dir           string
		before, after []uint64
	}{{"up", l.Up.DropFrames, with.Up.DropFrames}, {"down", l.Down.DropFrames, with.Down.DropFrames}} {
		if len(way.after) > len(way.before) {
			all = append(all, scenarios.Set{Key: name + "." + way.dir + ".drop_frames", Value: frameList(way.after)})
		}
	}
	return all
}

func frameList(frames []uint64) string {
	var words []string
	for _, n := range frames {
		words = append(words, strconv.FormatUint(uint64(n), 10))
	}
	return "[" + strings.Join(words, ",") + "]"
}

// addDrops has the link drop those of the frames that are its own.
func addDrops(l *scenarios.Link, drops []FrameInfo) {
	l.Up.DropFrames, l.Down.DropFrames = slices.Clone(l.Up.DropFrames), slices.Clone(l.Down.DropFrames)
	for _, f := range drops {
		switch {
		case f.Link != l.Name:
		case f.Dir == "up":
			l.Up.DropFrames = append(l.Up.DropFrames, uint64(f.Frame))
		default:
			l.Down.DropFrames = append(l.Down.DropFrames, uint64(f.Frame))
		}
	}
}

// with returns the scenario with frames dropped.
func (x *explorer) with(drops []FrameInfo) *scenarios.Scenario {
	sc := x.sc.Clone()
	for i := range sc.Links {
		addDrops(&sc.Links[i], drops)
	}
	return sc
}

// run runs the scenario with frames dropped. An error means that nothing can go
// on; a bug that ends the run is one of the things that may come of it.
func (x *explorer) run(ctx context.Context, drops []FrameInfo, names bool) (out *watchedRun, err error) {
	run := &ExploredRun{Drops: drops, Failed: []string{}, Findings: []scenarios.Finding{}, Command: x.command(drops)}
	if drops == nil {
		run.Drops = []FrameInfo{}
	}
	defer func() {
		if p := recover(); p != nil {
			run.Verdict, run.Error = VerdictInternal, fmt.Sprint(p)
			out, err = &watchedRun{run: run}, nil
		}
	}()
	w, err := New(x.with(drops), Options{Seed: &x.seed, Apps: x.apps})
	if err != nil {
		return nil, err
	}
	watcher := w.watchFrames(names)
	result, err := w.Run(ctx)
	switch {
	case err != nil:
		return nil, err
	case result.Verdict == Interrupted:
		return nil, context.Cause(ctx)
	}
	run.Verdict = result.Verdict
	x.judge(run, result)
	return &watchedRun{run, watcher.frames}, nil
}

// judge notes what went wrong, and not in the base run.
func (x *explorer) judge(run *ExploredRun, result *Result) {
	for _, c := range result.Checks {
		if !c.Passed && (x.base == nil || !slices.Contains(x.base.Failed, c.That)) {
			run.Failed = append(run.Failed, c.That)
		}
	}
	for _, f := range result.Outcome.Findings {
		same := func(g scenarios.Finding) bool { return g.Name == f.Name && g.Device == f.Device }
		switch {
		case x.base == nil:
		case f.Severity == scenarios.SeverityWarning && !x.warnings, slices.ContainsFunc(x.base.Findings, same):
			continue
		}
		run.Findings = append(run.Findings, f)
	}
}
