package tap

import (
	"sync"

	"hilnet/link"
	"hilnet/sim"
)

const (
	// inlineFrames is how many frames the loop writes itself after each sleep. A
	// loop that sleeps has time, and nothing is sooner than it; one that does not
	// leaves the writing, which is most of the work, to a thread of its own: the
	// kernel takes a frame through its whole TCP before write returns.
	inlineFrames = 8
	// maxQueued bounds the frames that wait for the writer; the loop waits for it
	// then, and writes no faster than the kernel takes.
	maxQueued = 1024
	// writeBatch is how many frames the writer takes at once.
	writeBatch = 64
)

// A writer writes frames in their order while the loop goes on, and hands back
// what became of them.
type writer struct {
	// The loop's.
	started bool
	queued  int // handed over and not accounted for yet
	naps    uint64
	inline  int // written by the loop since it slept
	account func()
	spare   []written

	mu      sync.Mutex // guards the rest
	change  sync.Cond
	queue   []*link.Frame
	writing bool
	waiting bool // the writer, for frames
	done    []written
	posted  bool
	quit    bool
	ended   chan struct{}
}

// written is what became of a frame.
type written struct {
	frame *link.Frame
	at    sim.Time // when it began to be written
	err   error
}

// byLoop reports whether the loop writes the next frame itself.
func (t *TAP) byLoop() bool {
	w := &t.writer
	if w.queued > 0 {
		return false // frames stay in their order
	}
	if n := t.cfg.Loop.Naps(); n != w.naps {
		w.naps, w.inline = n, 0
	}
	w.inline++
	return w.inline <= inlineFrames
}

// hand gives a frame to the writer.
func (t *TAP) hand(f *link.Frame) {
	w := &t.writer
	if !w.started {
		w.started = true
		w.change.L = &w.mu
		w.account = t.account
		w.ended = make(chan struct{})
		go t.writeAll()
	}
	if w.queued >= maxQueued {
		t.flush()
	}
	w.queued++
	w.mu.Lock()
	w.queue = append(w.queue, f)
	wake := w.waiting
	w.mu.Unlock()
	if wake {
		w.change.Broadcast()
	}
}

// writeAll is the writer's goroutine.
func (t *TAP) writeAll() {
	w := &t.writer
	defer close(w.ended)
	batch := make([]*link.Frame, 0, writeBatch)
	results := make([]written, 0, writeBatch)
	for {
		if batch = w.take(batch[:0]); len(batch) == 0 {
			return
		}
		results = results[:0]
		for _, f := range batch {
			at := t.cfg.Clock() // in front of any answer
			results = append(results, written{f, at, t.write(f.Data[t.cut:])})
		}
		if w.give(results) && !t.cfg.Loop.Post(w.account) {
			w.untold()
		}
	}
}

// take waits for frames; there are none when the writer is to end.
func (w *writer) take(batch []*link.Frame) []*link.Frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 && !w.quit {
		w.waiting = true
		w.change.Wait()
		w.waiting = false
	}
	n := min(len(w.queue), writeBatch)
	batch = append(batch, w.queue[:n]...)
	rest := copy(w.queue, w.queue[n:])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	w.writing = n > 0
	return batch
}

// give hands results to the loop, and reports whether it must be told.
func (w *writer) give(results []written) (tell bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, results...)
	w.writing = false
	tell, w.posted = !w.posted, true
	w.change.Broadcast()
	return tell
}

// untold notes that the loop does not know: the next batch tells it.
func (w *writer) untold() {
	w.mu.Lock()
	w.posted = false
	w.mu.Unlock()
}

// account counts what the writer has written, on the loop.
func (t *TAP) account() {
	w := &t.writer
	w.mu.Lock()
	done := w.done
	w.done, w.posted = w.spare[:0], false
	w.mu.Unlock()
	w.queued -= len(done)
	for i := range done {
		t.wrote(done[i].frame, done[i].at, done[i].err)
	}
	clear(done)
	w.spare = done[:0]
}

// flush waits until everything is written and accounted for.
func (t *TAP) flush() {
	w := &t.writer
	if !w.started {
		return
	}
	w.mu.Lock()
	for len(w.queue) > 0 || w.writing {
		w.change.Wait()
	}
	w.mu.Unlock()
	t.account()
}

// stopWriter ends the writer when all is written.
func (t *TAP) stopWriter() {
	w := &t.writer
	if !w.started {
		return
	}
	t.flush()
	w.mu.Lock()
	w.quit = true
	w.mu.Unlock()
	w.change.Broadcast()
	<-w.ended
	w.started = false
}
