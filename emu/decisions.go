package emu

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"hilnet/link"
	"hilnet/link/decisions"
	"hilnet/scenarios"
	"hilnet/trace"
)

// deciding is the decision log that a run follows and the one that it writes.
type deciding struct {
	replay   *decisions.Replay
	recorder *decisions.Recorder
	out      *outputFile
}

// checkDecisions sees that the log that is to be followed fits the scenario, and
// takes its seed.
func (opt *Options) checkDecisions(sc *scenarios.Scenario) error {
	l := opt.Decisions
	if l == nil {
		return nil
	}
	if h := l.Header; h != nil {
		switch {
		case opt.Seed == nil:
			sc.Seed = h.Seed
		case *opt.Seed != h.Seed:
			return fmt.Errorf("emu: %s is the log of a run with seed %d, so it cannot be followed with seed %d: leave the seed out", l.Name, h.Seed, *opt.Seed)
		}
	}
	var names []string
	for i := range sc.Links {
		names = append(names, sc.Links[i].Name)
	}
	for _, name := range l.Links() {
		if !slices.Contains(names, name) {
			hint := "the scenario's links are " + strings.Join(names[:min(len(names), 10)], ", ")
			if near := Nearest(name, names); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return fmt.Errorf("emu: %s names a link %q that the scenario has not; %s", l.Name, name, hint)
		}
	}
	return nil
}

// prepareDecisions makes ready to follow a log, and to write one.
func (w *World) prepareDecisions() error {
	if w.opt.Decisions != nil {
		w.deciding.replay = w.opt.Decisions.NewReplay(func(error) { w.loop.Stop() })
	}
	if w.opt.DecisionsOut == "" {
		return nil
	}
	folder, name := filepath.Split(w.opt.DecisionsOut)
	if folder == "" {
		folder = "."
	}
	out, err := createOutput(folder, name)
	if err != nil {
		return err
	}
	w.onClose(out.Close)
	w.files.names = append(w.files.names, w.opt.DecisionsOut)
	w.deciding.out = out
	w.deciding.recorder = decisions.NewRecorder(w.loop, out, decisions.Header{
		Hilnet: Version, Scenario: w.sc.Name, Seed: w.sc.Seed, Clock: string(w.sc.Clock), List: w.opt.Decisions.HasList(),
	}, w.files.fail)
	return nil
}

// decide has the draws of a link's stages come from the log, and written to the
// other one.
func (w *World) decide(l *link.Link) error {
	for _, d := range []*link.Direction{l.Up.Direction, l.Down.Direction} {
		if w.deciding.replay != nil {
			if err := w.deciding.replay.Attach(d); err != nil {
				return fmt.Errorf("emu: %w", err)
			}
		}
		if w.deciding.recorder != nil {
			d.AddDecider(w.deciding.recorder)
		}
	}
	return nil
}

// finishDecisions ends both logs when the loop has run, and returns what did not
// fit. The rest of a log that a run was stopped in the middle of says nothing.
func (w *World) finishDecisions(stopped bool) error {
	var err error
	if r := w.deciding.replay; r != nil {
		if err = r.Err(); err == nil && !stopped {
			err = r.Finish()
		}
		if err != nil {
			err = &DecisionsError{err}
		}
	}
	if w.deciding.recorder != nil {
		w.files.fail(w.deciding.recorder.Flush())
	}
	return err
}

// A DecisionsError says that a run went another way than the decision log that it
// was to follow.
type DecisionsError struct{ Err error }

func (e *DecisionsError) Error() string {
	return fmt.Sprintf("emu: the run does not follow its decision log: %v", e.Err)
}

func (e *DecisionsError) Unwrap() error { return e.Err }

// maxNamedDrops bounds the frames that a note names.
const maxNamedDrops = 5

// note tells of the drops on a list that did not happen.
func (d *deciding) notes() []string {
	if d.replay == nil {
		return nil
	}
	unused := d.replay.Unused()
	if len(unused) == 0 {
		return nil
	}
	var names []string
	for _, x := range unused[:min(len(unused), maxNamedDrops)] {
		names = append(names, x.String())
	}
	if more := len(unused) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return []string{fmt.Sprintf("on the list of frames to drop, but none was dropped there: %s", strings.Join(names, ", "))}
}

// report writes into the trace which drops on a list did not happen.
func (d *deciding) report(log *trace.Log) {
	if d.replay == nil {
		return
	}
	for _, x := range d.replay.Unused() {
		log.Emit(trace.Event{Kind: trace.KindUnused, Node: x.Link, Stage: x.Dir + "/" + decisions.StageName, Count: int64(x.Frame),
			Text: fmt.Sprintf("frame %d is on the list of frames to drop, but was not dropped there", x.Frame)})
	}
}
