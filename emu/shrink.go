package emu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hilnet/scenarios"
	"hilnet/sim"
)

// A ShrinkConfig says which failing run to shrink.
type ShrinkConfig struct {
	Scenario *scenarios.Scenario
	Source   string          // as in ExploreConfig
	Settings []scenarios.Set // as in ExploreConfig
	Seed     *uint64         // of the failing run; nil: the scenario's
	// Expect chooses what has to fail: the expectations whose text or expression
	// contains it, and findings of that name. Empty: any expectation that the run
	// fails or, if it fails none, any finding that is an error.
	Expect string
	// MaxRuns bounds the runs. 0: DefaultShrinkRuns.
	MaxRuns int
	// Workers run side by side; 0: as many as GOMAXPROCS. The results do not
	// depend on it.
	Workers int
	// Apps are the applications that devices may name.
	Apps map[string]App
	// Progress is called with the number of runs that are done, of at most so many,
	// and with how many drops the smallest failing set has by now.
	Progress func(done, most int64, drops int)
}

// DefaultShrinkRuns is how many runs Shrink does at most.
const DefaultShrinkRuns = 5000

// A Shrunk is the smallest set of drops that Shrink found.
type Shrunk struct {
	Scenario string `json:"scenario"`
	Source   string `json:"source"`
	Seed     uint64 `json:"seed"`
	Command  string `json:"command"` // of the failing run
	// Lost is how many frames the failing run lost to draws and lists.
	Lost int `json:"lost"`
	// Drops are the frames whose loss is enough, as they are in the run that loses
	// no others.
	Drops []FrameInfo `json:"drops"`
	// Smallest: no smaller part of the losses fails. Otherwise, each drop is needed
	// if Needed, and the runs did not suffice to know if not.
	Smallest bool `json:"smallest"`
	Needed   bool `json:"needed"`
	// What fails, in the original run and in the small one.
	Failed   []string            `json:"failed"`
	Findings []scenarios.Finding `json:"findings"`
	Runs     int                 `json:"runs"`
	// Small is the scenario that fails with these drops alone, and Text how it is
	// written, with a comment for each frame.
	Small *scenarios.Scenario `json:"-"`
	Text  []byte              `json:"-"`
}

// The errors of Shrink that callers branch on.
var (
	ErrNothingFails = errors.New("emu: nothing fails in this run: there is nothing to shrink")
	ErrOtherLosses  = errors.New("emu: the run loses frames by something that shrink cannot take apart")
)

// A shrinker looks for the smallest set of drops.
type shrinker struct {
	*explorer
	cfg    *ShrinkConfig
	failed []string // expectations and findings, one of which has to be there
	runs   int
	most   int
	tried  map[string]bool // what came of a set; looked up only
	best   int
}

// errBudget ends the search.
var errBudget = errors.New("the runs are used up")

// Shrink does the failing run again, notes which frames its links lost to draws
// (loss) and lists (drop_frames), and looks for the smallest set of these drops
// with which the run still fails when its links lose nothing else: none at all,
// then each one alone (by its number, and by its moment
// and content, for its number may be another without the others), then by delta debugging (Zeller and Hildebrandt, ddmin),
// after which each drop that is left is needed. Drops for other reasons, such as
// a blackhole or a full queue, stay what they are: consequences.
func Shrink(ctx context.Context, cfg ShrinkConfig) (*Shrunk, error) {
	if cfg.MaxRuns < 0 || cfg.Workers < 0 {
		return nil, errors.New("emu: a negative number in the configuration")
	}
	original, err := newExplorer(cfg.Scenario, cfg.Source, cfg.Settings, cfg.Seed, cfg.Apps)
	if err != nil {
		return nil, err
	}
	first, err := original.run(ctx, nil, true)
	if err != nil {
		return nil, err
	}
	s := &shrinker{cfg: &cfg, most: cfg.MaxRuns, tried: map[string]bool{}, runs: 1}
	if s.most == 0 {
		s.most = DefaultShrinkRuns
	}
	if s.failed = goals(first.run, original.sc, cfg.Expect); len(s.failed) == 0 {
		return nil, ErrNothingFails
	}
	var lost []FrameInfo
	for _, f := range first.frames {
		if f.drew {
			lost = append(lost, f)
		}
	}
	out := &Shrunk{Scenario: cfg.Scenario.Name, Source: cfg.Source, Seed: original.seed, Lost: len(lost), Command: first.run.Command}
	if out.Source == "" {
		out.Source = out.Scenario
	}
	s.explorer = original
	s.sc = withoutLosses(original.sc)
	s.best = len(lost)
	if err := s.check(ctx, lost); err != nil {
		return nil, err
	}
	drops, err := s.search(ctx, lost, out)
	if err != nil {
		return nil, err
	}
	final, err := s.explorer.run(ctx, drops, true)
	if err != nil {
		return nil, err
	}
	out.Runs = s.runs + 1
	out.Drops = named(final.frames, drops)
	out.Failed, out.Findings = final.run.Failed, final.run.Findings
	out.Small = s.with(drops)
	out.Text, err = out.write()
	return out, err
}

// goals are what fails in the run: one of them has to fail in a smaller one too.
func goals(run *ExploredRun, sc *scenarios.Scenario, want string) []string {
	var all []string
	for _, that := range run.Failed {
		i := slices.IndexFunc(sc.Expect, func(e scenarios.Expectation) bool { return e.That == that })
		if want == "" || strings.Contains(that, want) || i >= 0 && strings.Contains(sc.Expect[i].Text, want) {
			all = append(all, that)
		}
	}
	for _, f := range run.Findings {
		if f.Name == want || want == "" && len(run.Failed) == 0 && f.Severity == scenarios.SeverityError {
			all = append(all, "finding "+f.Name)
		}
	}
	if run.Error != "" {
		all = append(all, run.Error)
	}
	return all
}

// fails reports whether a run fails like the original.
func (s *shrinker) fails(run *ExploredRun) bool {
	for _, goal := range s.failed {
		name, isFinding := strings.CutPrefix(goal, "finding ")
		switch {
		case slices.Contains(run.Failed, goal), run.Error == goal:
			return true
		case isFinding && slices.ContainsFunc(run.Findings, func(f scenarios.Finding) bool { return f.Name == name }):
			return true
		}
	}
	return false
}

// withoutLosses returns the scenario with links that lose nothing by chance or
// by a list.
func withoutLosses(sc *scenarios.Scenario) *scenarios.Scenario {
	own := sc.Clone()
	for i := range own.Links {
		for _, way := range []*scenarios.Direction{&own.Links[i].Up, &own.Links[i].Down} {
			way.Loss = scenarios.NewLink("", "").Up.Loss
			way.DropFrames = nil
		}
	}
	own.Timeline = slices.DeleteFunc(own.Timeline, func(a scenarios.Action) bool { return a.Do == scenarios.SetLoss })
	return own
}

// check sees that a list of all losses does what the draws did.
func (s *shrinker) check(ctx context.Context, lost []FrameInfo) error {
	all, err := s.explorer.run(ctx, lost, false)
	s.runs++
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, f := range lost {
		listed[f.Name()] = true
	}
	for i := range all.frames {
		if f := &all.frames[i]; f.drew && !listed[f.Name()] {
			return fmt.Errorf("%w: with loss: 0%% the %s is still lost", ErrOtherLosses, f.Name())
		}
	}
	if !s.fails(all.run) {
		return fmt.Errorf("%w: with the list of its %d losses in place of the draws it does not fail", ErrOtherLosses, len(lost))
	}
	s.tried[setKey(lost)] = true
	return nil
}

// search returns the smallest set that it finds.
func (s *shrinker) search(ctx context.Context, lost []FrameInfo, out *Shrunk) ([]FrameInfo, error) {
	alone := [][]FrameInfo{nil}
	for i := range lost {
		alone = append(alone, lost[i:i+1])
	}
	none, err := s.explorer.run(ctx, nil, true)
	if err != nil {
		return nil, err
	}
	s.runs++
	s.tried[setKey(nil)] = s.fails(none.run)
	alone = append(alone, renumbered(none.frames, lost)...)
	i, err := s.firstFailing(ctx, alone)
	switch {
	case err == nil && i >= 0:
		out.Smallest, out.Needed = true, true
		return alone[i], nil
	case err != nil && !errors.Is(err, errBudget):
		return nil, err
	}
	small := lost
	for parts := 2; err == nil && len(small) >= 2; {
		var next []FrameInfo
		if next, parts, err = s.reduce(ctx, small, parts); next == nil {
			break
		}
		small = next
		s.best = len(small)
	}
	if err != nil && !errors.Is(err, errBudget) {
		return nil, err
	}
	out.Needed = err == nil
	out.Smallest = err == nil && len(small) <= 2 // none and each alone were tried
	return small, nil
}

// renumbered finds the losses among the frames of the run without any: the same
// frame at the same moment may have another number there, for the losses before
// it added frames or saved some.
func renumbered(frames, lost []FrameInfo) [][]FrameInfo {
	type identity struct {
		way  int
		t    sim.Time
		what string
	}
	at := make(map[identity]FrameInfo, len(frames)) // looked up only
	for _, f := range frames {
		at[identity{f.way, f.T, f.What}] = f
	}
	var all [][]FrameInfo
	for _, l := range lost {
		if f, ok := at[identity{l.way, l.T, l.What}]; ok && f.Frame != l.Frame {
			all = append(all, []FrameInfo{f})
		}
	}
	return all
}

// reduce is a step of ddmin: it returns a smaller set and the number of parts to
// cut it into next, or nil if each drop is needed.
func (s *shrinker) reduce(ctx context.Context, set []FrameInfo, parts int) ([]FrameInfo, int, error) {
	for {
		parts = min(parts, len(set))
		var subsets, complements [][]FrameInfo
		for i := range parts {
			from, to := i*len(set)/parts, (i+1)*len(set)/parts
			subsets = append(subsets, set[from:to])
			complements = append(complements, slices.Concat(set[:from], set[to:]))
		}
		i, err := s.firstFailing(ctx, subsets)
		if err != nil || i >= 0 {
			return pick(subsets, i), 2, err
		}
		if parts > 2 { // of two parts each is the other's complement
			if i, err = s.firstFailing(ctx, complements); err != nil || i >= 0 {
				return pick(complements, i), max(parts-1, 2), err
			}
		}
		if parts == len(set) {
			return nil, parts, nil
		}
		parts *= 2
	}
}

func pick(sets [][]FrameInfo, i int) []FrameInfo {
	if i < 0 {
		return nil
	}
	return sets[i]
}

func setKey(set []FrameInfo) string {
	var b strings.Builder
	for _, f := range set {
		fmt.Fprintf(&b, "%d/%d,", f.way, f.Frame)
	}
	return b.String()
}

// errFound ends the runs when a set has failed.
var errFound = errors.New("found")

// firstFailing returns the number of the first set that fails, -1 if none does.
// Sets that were tried are not run again. Which runs count depends on nothing
// but the sets.
func (s *shrinker) firstFailing(ctx context.Context, sets [][]FrameInfo) (int, error) {
	var fresh []int
	known := -1
	for i, set := range sets {
		failed, tried := s.tried[setKey(set)]
		if tried && failed {
			known = i
			break
		}
		if !tried {
			fresh = append(fresh, i)
		}
	}
	budget := errors.New("") // only compared
	at := 0
	work := &jobs[bool]{
		total: int64(len(fresh)), workers: s.cfg.Workers,
		worker: func() func(context.Context, int64) (bool, error) {
			return func(ctx context.Context, n int64) (bool, error) {
				w, err := s.explorer.run(ctx, sets[fresh[n]], false)
				return err == nil && s.fails(w.run), err
			}
		},
		each: func(failed bool) error {
			if s.runs >= s.most {
				return budget
			}
			s.runs++
			s.tried[setKey(sets[fresh[at]])] = failed
			if s.cfg.Progress != nil {
				s.cfg.Progress(int64(s.runs), int64(s.most), s.best)
			}
			if failed {
				return errFound
			}
			at++
			return nil
		},
	}
	switch err := work.run(ctx); {
	case err == budget:
		return -1, errBudget
	case err == errFound:
		return fresh[at], nil
	case err != nil:
		return -1, err
	}
	return known, nil
}

// named returns the drops as they are among the frames of their own run. A frame
// that does not come there stays as it was.
func named(frames, drops []FrameInfo) []FrameInfo {
	all := slices.Clone(drops)
	for i := range all {
		if at := slices.IndexFunc(frames, func(f FrameInfo) bool { return f.way == all[i].way && f.Frame == all[i].Frame }); at >= 0 {
			all[i] = frames[at]
		}
	}
	slices.SortStableFunc(all, func(a, b FrameInfo) int {
		switch {
		case a.T < b.T:
			return -1
		case a.T > b.T:
			return 1
		}
		return 0
	})
	return all
}
