package emu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"runtime"

	"hilnet/scenarios"
	"hilnet/trace"
)

// A SweepConfig says which runs a sweep consists of: each combination of the
// axes' values, the last axis changing fastest, with each seed.
type SweepConfig struct {
	Scenario *scenarios.Scenario
	// Source is how the user named the scenario, for the commands that repeat a
	// run. Empty: its name.
	Source string
	Axes   []Axis
	// FirstSeed and the numbers after it are the seeds, Seeds of them (0: 1). A nil
	// FirstSeed means the scenario's.
	FirstSeed *uint64
	Seeds     int
	// Shard is the part of Shards that Run does: 1 to Shards. Zeros mean all. A
	// shard has every Shards-th run, so that all take about the same time.
	Shard, Shards int
	// Skip is the number of runs of the shard that are done already.
	Skip int64
	// Workers run side by side; 0: as many as GOMAXPROCS. The results do not
	// depend on it.
	Workers int
	// Verify has every so-manieth run done twice; a difference is a
	// *DeterminismError. 0: none.
	Verify int
	// Apps are the applications that devices may name.
	Apps map[string]App
	// Progress is called with the number of runs that are done, of this shard.
	Progress func(done, total int64)
}

// A Sweep is many runs of one scenario, with other values and seeds.
type Sweep struct {
	config SweepConfig
	header SweepHeader
	shard  int64 // from 0
	shards int64
}

// VerdictInternal is the verdict of a run that a bug in hilnet ended.
const VerdictInternal Verdict = "internal"

// A SweepRun is what came of one run of a sweep.
type SweepRun struct {
	Job     int64    `json:"job"` // position in the sweep, from 0
	Seed    uint64   `json:"seed"`
	Values  []string `json:"values"` // of the axes
	Verdict Verdict  `json:"verdict"`
	Failed  []string `json:"failed,omitempty"` // expectations that failed
	Error   string   `json:"error,omitempty"`  // of a run that was not judged
	// Hash is the beginning of the SHA-256 of the run's trace: equal runs have
	// equal ones.
	Hash    string  `json:"hash"`
	Metrics Metrics `json:"metrics"`
}

// A DeterminismError says that one run came out in two ways: a bug in hilnet, or
// two different builds of it.
type DeterminismError struct {
	Job          int64
	Command      string // what repeats it
	First, Other string // hashes
}

func (e *DeterminismError) Error() string {
	return fmt.Sprintf("emu: run %d of the sweep came out in two ways: its traces have the hashes %s and %s\n"+
		"This is a bug in hilnet, or the results are of two builds of it. What repeats it: %s", e.Job, e.First, e.Other, e.Command)
}

// maxJobs bounds a sweep.
const maxJobs = 1 << 40

// NewSweep checks the configuration: every value of every axis on its own, and
// the first combination.
func NewSweep(config SweepConfig) (*Sweep, error) {
	s := &Sweep{config: config, shards: max(1, int64(config.Shards))}
	s.shard = max(1, int64(config.Shard)) - 1
	switch {
	case config.Shard < 0 || config.Shards < 0 || s.shard >= s.shards || (config.Shard == 0) != (config.Shards == 0):
		return nil, fmt.Errorf("emu: there is no part %d of %d (write it as 1/%d to %d/%d)", config.Shard, config.Shards, s.shards, s.shards, s.shards)
	case config.Seeds < 0, config.Skip < 0, config.Workers < 0, config.Verify < 0:
		return nil, errors.New("emu: a negative number in the configuration of the sweep")
	}
	if config.Scenario.Clock == scenarios.Real {
		return nil, errors.New("emu: a sweep needs virtual time: the scenario has clock: real (a TAP or a real broker is swept with a loop around emu run)")
	}
	if err := s.checkAxes(); err != nil {
		return nil, err
	}
	return s, s.makeHeader()
}

func (s *Sweep) checkAxes() error {
	sc := s.config.Scenario
	for i, a := range s.config.Axes {
		if len(a.Values) == 0 {
			return fmt.Errorf("emu: %s has no values (write them as in %s=1,2,3)", a.Key, a.Key)
		}
		for _, other := range s.config.Axes[:i] {
			if other.Key == a.Key {
				return fmt.Errorf("emu: the key %s is set twice (write all of its values behind one --set)", a.Key)
			}
		}
	}
	if _, err := sc.With(s.settings(0)...); err != nil {
		return err
	}
	// Each value beside the first ones of the other axes.
	step := int64(1)
	for i := len(s.config.Axes) - 1; i >= 0; i-- {
		n := int64(len(s.config.Axes[i].Values))
		for k := int64(1); k < n; k++ {
			if _, err := sc.With(s.settings(k * step)...); err != nil {
				return err
			}
		}
		if step > maxJobs/n {
			return fmt.Errorf("emu: the sweep has more than %d combinations (write larger steps)", int64(maxJobs))
		}
		step *= n
	}
	return nil
}

func (s *Sweep) makeHeader() error {
	c := &s.config
	first := c.Scenario.Seed
	if c.FirstSeed != nil {
		first = *c.FirstSeed
	}
	seeds := max(1, c.Seeds)
	resolved, err := c.Scenario.Resolved()
	if err != nil {
		return err
	}
	combinations := int64(1)
	for _, a := range c.Axes {
		combinations *= int64(len(a.Values))
	}
	switch {
	case combinations > maxJobs/int64(seeds):
		return fmt.Errorf("emu: the sweep has more than %d runs (write larger steps or fewer seeds)", int64(maxJobs))
	case first > math.MaxUint64-uint64(seeds-1):
		return fmt.Errorf("emu: %d seeds from %d on are more than there are", seeds, first)
	}
	sum := sha256.Sum256(resolved)
	s.header = SweepHeader{
		Format: SweepFormat, Hilnet: Version, Go: runtime.Version(), Scenario: c.Scenario.Name, Source: c.Source,
		SHA256: hex.EncodeToString(sum[:]), Axes: c.Axes, FirstSeed: first, Seeds: seeds, Jobs: combinations * int64(seeds),
	}
	if s.header.Source == "" {
		s.header.Source = c.Scenario.Name
	}
	if s.shards > 1 {
		s.header.Shard = fmt.Sprintf("%d/%d", s.shard+1, s.shards)
	}
	return nil
}

// Header returns what a file of the sweep's results begins with.
func (s *Sweep) Header() SweepHeader { return s.header }

// Total returns the number of runs of the shard.
func (s *Sweep) Total() int64 { return s.header.shardTotal() }

// settings returns the values of a combination.
func (s *Sweep) settings(combination int64) []scenarios.Set {
	all := make([]scenarios.Set, len(s.config.Axes))
	for i, v := range valuesOf(s.config.Axes, combination) {
		all[i] = scenarios.Set{Key: s.config.Axes[i].Key, Value: v}
	}
	return all
}

func valuesOf(axes []Axis, combination int64) []string {
	all := make([]string, len(axes))
	for i := len(axes) - 1; i >= 0; i-- {
		n := int64(len(axes[i].Values))
		all[i] = axes[i].Values[combination%n]
		combination /= n
	}
	return all
}

// A sweepRunner does runs one after the other. It keeps the scenario of the last
// combination, for jobs come combination by combination.
type sweepRunner struct {
	sweep       *Sweep
	combination int64
	scenario    *scenarios.Scenario
}

// run does one job. An error means that the sweep cannot go on.
func (r *sweepRunner) run(ctx context.Context, job int64) (*SweepRun, error) {
	h := &r.sweep.header
	combination := job / int64(h.Seeds)
	if r.scenario == nil || r.combination != combination {
		sc, err := r.sweep.config.Scenario.With(r.sweep.settings(combination)...)
		if err != nil {
			return nil, err
		}
		r.scenario, r.combination = sc, combination
	}
	run := &SweepRun{Job: job, Seed: h.FirstSeed + uint64(job%int64(h.Seeds)), Values: valuesOf(h.Axes, combination)}
	return run, r.fill(ctx, run)
}

// fill runs the world and records what came of it.
func (r *sweepRunner) fill(ctx context.Context, run *SweepRun) (err error) {
	defer func() {
		if p := recover(); p != nil {
			run.Verdict, run.Error = VerdictInternal, fmt.Sprint(p)
		}
	}()
	w, err := New(r.scenario, Options{Seed: &run.Seed, Apps: r.sweep.config.Apps})
	if err != nil {
		return err
	}
	digest := sha256.New()
	w.onStart(func() error {
		tw, err := trace.NewWriter(digest, trace.Header{
			Hilnet: Version, Go: runtime.Version(), Scenario: w.sc.Name, Seed: w.sc.Seed, Clock: string(w.sc.Clock),
		})
		if err != nil {
			return err
		}
		w.trace.Subscribe(func(e *trace.Event) {
			tw.Write(e)
			if e.Kind == trace.KindEnd {
				must(tw.Flush())
			}
		})
		return nil
	})
	result, err := w.Run(ctx)
	switch {
	case result == nil || result.Verdict == Interrupted:
		return errors.Join(err, ctx.Err())
	case err != nil:
		return err
	}
	run.Verdict, run.Hash = result.Verdict, hex.EncodeToString(digest.Sum(nil)[:12])
	for _, c := range result.Checks {
		if !c.Passed {
			run.Failed = append(run.Failed, c.That)
		}
	}
	run.Metrics = metricsOf(result.Outcome)
	for _, d := range w.devices {
		run.Metrics.PoolMemory += d.pool.Memory()
	}
	return nil
}
