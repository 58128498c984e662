package emu

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hilnet/scenarios"
	"hilnet/sim"
)

// An ExploreConfig says what to explore.
type ExploreConfig struct {
	Scenario *scenarios.Scenario
	// Source is how the user named the scenario, and Settings how it was changed,
	// for the commands that repeat a run. Empty: the scenario's name.
	Source   string
	Settings []scenarios.Set
	Seed     *uint64 // nil: the scenario's
	// Pairs is how many runs may lose two frames. 0: none.
	Pairs int
	// Max bounds the frames that are lost one by one, to the first ones. 0: all.
	Max int
	// Warnings has findings that are warnings count as well, not errors alone.
	Warnings bool
	// Workers run side by side; 0: as many as GOMAXPROCS. The results do not
	// depend on it.
	Workers int
	// Apps are the applications that devices may name.
	Apps map[string]App
	// Progress is called with the number of runs that are done. The total grows
	// when the pairs are known.
	Progress func(done, total int64)
}

// An Exploration is what was found.
type Exploration struct {
	Scenario string `json:"scenario"`
	Source   string `json:"source"`
	Seed     uint64 `json:"seed"`
	// The run without a drop.
	Base ExploredRun `json:"base"`
	// Frames is how many entered the links in the base run, Lost how many of these
	// the base run loses itself: to lose them again changes nothing.
	Frames int `json:"frames"`
	Lost   int `json:"lost"`
	// Singles and Pairs are the runs that were done; Planned is how many there
	// would be if it was not interrupted and not bounded by Max.
	Singles int `json:"singles"`
	Pairs   int `json:"pairs"`
	Planned int `json:"planned"`
	// Fatal are the runs that went wrong and Internal those of them that a bug in
	// hilnet ended, in the order of the runs.
	Fatal    []ExploredRun `json:"fatal"`
	Internal int           `json:"internal"`
}

// An ExploredRun is what came of a run.
type ExploredRun struct {
	Drops    []FrameInfo         `json:"drops"` // none in the base run
	Verdict  Verdict             `json:"verdict"`
	Failed   []string            `json:"failed"`   // expectations that fail; behind the base run, those that hold in it
	Findings []scenarios.Finding `json:"findings"` // behind the base run, those that it has not
	Error    string              `json:"error,omitempty"`
	Command  string              `json:"command"` // what repeats it

	next []FrameInfo // the frames of its link that followed the first drop
}

// fatal reports whether the run went wrong in a way that the base run did not.
func (r *ExploredRun) fatal() bool { return r.Error != "" || len(r.Failed)+len(r.Findings) > 0 }

// An explorer runs a scenario with some frames dropped.
type explorer struct {
	sc       *scenarios.Scenario
	seed     uint64
	apps     map[string]App
	warnings bool
	base     *ExploredRun // nil for the base run
	command  func([]FrameInfo) string
}

// Explore runs the scenario, then once for each frame of that run with this
// frame dropped, then with pairs of them, and judges each by what went wrong
// that did not in the first one. Pairs are, for each frame whose loss alone is
// not fatal, that frame and the one that followed it on its link when it was
// lost, then for all of them that and the second one that followed, and so on
// until the budget is used up: so retransmissions are among them. A pair whose
// second frame brings the same messages as one that is fatal alone, or is that
// frame, is left out.
//
// When ctx is done it returns what there is, and the error of ctx.
func Explore(ctx context.Context, cfg ExploreConfig) (*Exploration, error) {
	if cfg.Pairs < 0 || cfg.Max < 0 || cfg.Workers < 0 {
		return nil, errors.New("emu: a negative number in the configuration")
	}
	x, err := newExplorer(cfg.Scenario, cfg.Source, cfg.Settings, cfg.Seed, cfg.Apps)
	if err != nil {
		return nil, err
	}
	x.warnings = cfg.Warnings
	e := &Exploration{Scenario: cfg.Scenario.Name, Source: cfg.Source, Seed: x.seed, Fatal: []ExploredRun{}}
	if e.Source == "" {
		e.Source = e.Scenario
	}
	watched, err := x.run(ctx, nil, true)
	if err != nil {
		return nil, err
	}
	e.Base = *watched.run
	if e.Base.Error != "" {
		return nil, fmt.Errorf("emu: the run without a drop ends with a bug in hilnet: %s", e.Base.Error)
	}
	x.base = &e.Base
	singles := e.singles(watched.frames, cfg.Max)
	e.Planned = len(singles) + e.unexplored(watched.frames, singles) + cfg.Pairs
	after := 0
	if cfg.Pairs > 0 && len(singles) > 0 {
		after = min(cfg.Pairs/len(singles)+64, maxFollowing)
	}
	var runs []*ExploredRun
	total := int64(len(singles) + cfg.Pairs)
	err = x.all(ctx, cfg.Workers, singles, after, func(r *ExploredRun) {
		e.Singles++
		e.add(r)
		runs = append(runs, r)
	}, func(n int64) { cfg.progress(n, total) })
	if err != nil || cfg.Pairs == 0 {
		return e, err
	}
	pairs := choosePairs(runs, cfg.Pairs)
	e.Planned += len(pairs) - cfg.Pairs
	total = int64(len(singles) + len(pairs))
	err = x.all(ctx, cfg.Workers, pairs, 0, func(r *ExploredRun) {
		e.Pairs++
		e.add(r)
	}, func(n int64) { cfg.progress(int64(len(singles))+n, total) })
	return e, err
}

// maxFollowing bounds the frames behind a drop that are remembered for pairs.
const maxFollowing = 4096

func (cfg *ExploreConfig) progress(done, total int64) {
	if cfg.Progress != nil {
		cfg.Progress(done, total)
	}
}

func (e *Exploration) add(r *ExploredRun) {
	if !r.fatal() {
		return
	}
	if r.Verdict == VerdictInternal {
		e.Internal++
	}
	kept := *r
	kept.next = nil
	e.Fatal = append(e.Fatal, kept)
}

// singles are the frames to lose one by one.
func (e *Exploration) singles(frames []FrameInfo, most int) [][]FrameInfo {
	e.Frames = len(frames)
	var all [][]FrameInfo
	for _, f := range frames {
		switch {
		case f.lost:
			e.Lost++
		case most == 0 || len(all) < most:
			all = append(all, []FrameInfo{f})
		}
	}
	return all
}

// unexplored is how many frames Max leaves out.
func (e *Exploration) unexplored(frames []FrameInfo, singles [][]FrameInfo) int {
	return len(frames) - e.Lost - len(singles)
}

// choosePairs chooses pairs as Explore says.
func choosePairs(singles []*ExploredRun, budget int) [][]FrameInfo {
	type content struct {
		way  int
		what string
	}
	fatal := map[content][]sim.Time{} // looked up only
	for _, r := range singles {
		if r.fatal() {
			key := content{r.Drops[0].way, r.Drops[0].What}
			fatal[key] = append(fatal[key], r.Drops[0].T)
		}
	}
	var all [][]FrameInfo
	for k := 0; ; k++ {
		any := false
		for _, r := range singles {
			if r.fatal() || k >= len(r.next) {
				continue
			}
			any = true
			second := r.next[k]
			if at := fatal[content{second.way, second.What}]; slices.Contains(at, second.T) || len(at) > 0 && !second.isBare() {
				continue
			}
			if len(all) == budget {
				return all
			}
			all = append(all, []FrameInfo{r.Drops[0], second})
		}
		if !any {
			return all
		}
	}
}

// all does a run for each list of drops, side by side, and hands them out in
// their order. next is how many frames behind the first drop each run is to note.
func (x *explorer) all(ctx context.Context, workers int, drops [][]FrameInfo, next int, each func(*ExploredRun), progress func(int64)) error {
	work := &jobs[*ExploredRun]{
		total: int64(len(drops)), workers: workers,
		each:     func(r *ExploredRun) error { each(r); return nil },
		progress: func(done, _ int64) { progress(done) },
		worker: func() func(context.Context, int64) (*ExploredRun, error) {
			return func(ctx context.Context, n int64) (*ExploredRun, error) {
				w, err := x.run(ctx, drops[n], next > 0)
				if err != nil {
					return nil, err
				}
				w.run.next = w.following(drops[n][0], next)
				return w.run, nil
			}
		},
	}
	return work.run(ctx)
}

// A watchedRun is a run with the frames that it had.
type watchedRun struct {
	run    *ExploredRun
	frames []FrameInfo
}

// following returns the frames that entered a link behind one of its frames and
// were not lost.
func (w *watchedRun) following(first FrameInfo, most int) []FrameInfo {
	at := slices.IndexFunc(w.frames, func(f FrameInfo) bool { return f.way == first.way && f.Frame == first.Frame })
	var all []FrameInfo
	for i := at + 1; at >= 0 && i < len(w.frames) && len(all) < most; i++ {
		if f := w.frames[i]; f.way/2 == first.way/2 && !f.lost {
			all = append(all, f)
		}
	}
	return all
}
