package emu

import "context"

// Run does the runs of the shard and calls each with their results, in their
// order, from the calling goroutine. It ends early when ctx is done, with its
// error, or when each returns an error; what each was given before is whole and
// without holes.
func (s *Sweep) Run(ctx context.Context, each func(*SweepRun) error) error {
	all := &jobs[*SweepRun]{
		from: s.config.Skip, total: s.Total(), workers: s.config.Workers, each: each, progress: s.config.Progress,
		worker: func() func(context.Context, int64) (*SweepRun, error) {
			r := &sweepRunner{sweep: s}
			return func(ctx context.Context, n int64) (*SweepRun, error) { return r.checked(ctx, n*s.shards+s.shard) }
		},
	}
	return all.run(ctx)
}

// checked does a job, and does it twice where Verify asks for it.
func (r *sweepRunner) checked(ctx context.Context, job int64) (*SweepRun, error) {
	run, err := r.run(ctx, job)
	if every := int64(r.sweep.config.Verify); err != nil || every == 0 || job%every != 0 {
		return run, err
	}
	again, err := r.run(ctx, job)
	if err == nil && again.Hash != run.Hash {
		err = &DeterminismError{job, r.sweep.header.Command(run), run.Hash, again.Hash}
	}
	return run, err
}
