package emu

import (
	"context"
	"runtime"
	"sync"
)

// window is how many runs each worker may be ahead of the oldest one that is not
// done: it bounds what waits to be handed out in order.
const window = 64

// A finished job on its way to whoever called Run.
type finished struct {
	n   int64 // position in the shard
	run *SweepRun
	err error
}

// Run does the runs of the shard and calls each with their results, in their
// order, from the calling goroutine. It ends early when ctx is done, with its
// error, or when each returns an error; what each was given before is whole and
// without holes.
func (s *Sweep) Run(ctx context.Context, each func(*SweepRun) error) error {
	own, stop := context.WithCancel(ctx)
	defer stop()
	workers := s.config.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	total := s.Total()
	room := make(chan struct{}, workers*window)
	jobs := make(chan int64)
	results := make(chan finished, workers)
	go func() {
		defer close(jobs)
		for n := s.config.Skip; n < total; n++ {
			select {
			case room <- struct{}{}:
			case <-own.Done():
				return
			}
			select {
			case jobs <- n:
			case <-own.Done():
				return
			}
		}
	}()
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			r := &sweepRunner{sweep: s}
			for n := range jobs {
				run, err := r.checked(own, n*s.shards+s.shard)
				results <- finished{n, run, err}
			}
		})
	}
	go func() {
		running.Wait()
		close(results)
	}()
	return s.collect(ctx, stop, results, room, each)
}

// collect hands results out in order. After the first error it only waits for
// the workers to end.
func (s *Sweep) collect(ctx context.Context, stop func(), results <-chan finished, room <-chan struct{}, each func(*SweepRun) error) error {
	waiting := map[int64]finished{}
	next, total := s.config.Skip, s.Total()
	var failed error
	for f := range results {
		waiting[f.n] = f
		for failed == nil {
			f, ok := waiting[next]
			if !ok {
				break
			}
			delete(waiting, next)
			if failed = f.err; failed == nil {
				failed = each(f.run)
			}
			if failed != nil {
				stop()
				break
			}
			<-room
			next++
			if s.config.Progress != nil {
				s.config.Progress(next, total)
			}
		}
	}
	if next < total && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failed
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
