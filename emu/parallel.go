package emu

import (
	"context"
	"runtime"
	"sync"
)

// window is how many jobs each worker may be ahead of the oldest one that is not
// done: it bounds what waits to be handed out in order.
const window = 64

// jobs are numbered pieces of work that are done side by side and handed out in
// their order, whatever the number of workers.
type jobs[R any] struct {
	from, total int64
	workers     int // 0: as many as GOMAXPROCS
	// worker makes the function that does the jobs of one worker.
	worker func() func(ctx context.Context, n int64) (R, error)
	// each gets the results in their order, in the caller's goroutine.
	each func(R) error
	// progress, if it is not nil, is told how many are done.
	progress func(done, total int64)
}

// A finished job on its way to whoever called run.
type finished[R any] struct {
	n      int64
	result R
	err    error
}

// run does the jobs. It ends early when ctx is done, with its error, or when a
// job or each returns an error; what each was given before is without holes.
func (j *jobs[R]) run(ctx context.Context) error {
	own, stop := context.WithCancel(ctx)
	defer stop()
	workers := j.workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	room := make(chan struct{}, workers*window)
	todo := make(chan int64)
	results := make(chan finished[R], workers)
	go func() {
		defer close(todo)
		for n := j.from; n < j.total; n++ {
			select {
			case room <- struct{}{}:
			case <-own.Done():
				return
			}
			select {
			case todo <- n:
			case <-own.Done():
				return
			}
		}
	}()
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			do := j.worker()
			for n := range todo {
				r, err := do(own, n)
				results <- finished[R]{n, r, err}
			}
		})
	}
	go func() {
		running.Wait()
		close(results)
	}()
	return j.collect(ctx, stop, results, room)
}

// collect hands results out in order. After the first error it only waits for
// the workers to end.
func (j *jobs[R]) collect(ctx context.Context, stop func(), results <-chan finished[R], room <-chan struct{}) error {
	waiting := map[int64]finished[R]{}
	next := j.from
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
				failed = j.each(f.result)
			}
			if failed != nil {
				stop()
				break
			}
			<-room
			next++
			if j.progress != nil {
				j.progress(next, j.total)
			}
		}
	}
	if next < j.total && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failed
}
