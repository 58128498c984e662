package tap

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"hilnet/link"
	"hilnet/sim"
)

// batchFrames is the number of frames handed to the loop at once, if as many
// are there already: a batch never waits to become full.
const batchFrames = 64

// maxRead is longer than any frame, so that none is cut.
const maxRead = MaxMTU + 64

// A batch is what one wake-up of the reader hands to the loop.
type batch struct {
	tap    *TAP
	frames []arrival
	run    func() // b.deliver, bound once
}

type arrival struct {
	frame *link.Frame
	at    sim.Time
}

// A freeList keeps batches to use again. At most MaxBacklog exist.
type freeList struct {
	mu      sync.Mutex // guards the two below
	batches []*batch
	all     []*batch
}

func (l *freeList) get(t *TAP) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.batches); n > 0 {
		b := l.batches[n-1]
		l.batches = l.batches[:n-1]
		return b
	}
	b := &batch{tap: t, frames: make([]arrival, 0, batchFrames)}
	b.run = b.deliver
	l.all = append(l.all, b)
	return b
}

func (l *freeList) put(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, b)
}

func (r *reader) start(t *TAP) {
	r.done = make(chan struct{})
	go r.loop(t)
}

func (r *reader) wait() {
	if r.done != nil {
		<-r.done
	}
}

// loop reads until the file is closed or the interface goes away.
func (r *reader) loop(t *TAP) {
	defer close(r.done)
	in := &input{tap: t, reader: r, buf: make([]byte, maxRead)}
	readFn := in.read
	for {
		in.batch, in.err = r.free.get(t), nil
		err := t.raw.Read(readFn)
		r.post(t, in.batch)
		if err == nil {
			err = in.err
		}
		if r.closing.Load() {
			return
		}
		if err != nil {
			t.cfg.Loop.Cancel(fmt.Errorf("tap: read %s (was the interface deleted?): %w", t.name, err))
			return
		}
	}
}

// post hands a batch to the loop, or counts what it cannot hand over.
func (r *reader) post(t *TAP, b *batch) {
	if len(b.frames) == 0 {
		r.free.put(b)
		return
	}
	if !t.cfg.Loop.Post(b.run) {
		r.lost.Add(b.drop())
		r.free.put(b)
	}
}

// abandon counts the frames that were posted and will not be delivered.
func (r *reader) abandon() uint64 {
	r.free.mu.Lock()
	defer r.free.mu.Unlock()
	var n uint64
	for _, b := range r.free.all {
		n += b.drop()
	}
	r.lost.Add(n)
	return n
}

// input is the reader's side of one batch.
type input struct {
	tap    *TAP
	reader *reader
	buf    []byte
	batch  *batch
	err    error
}

// read takes what is there, up to a batch; a frame that is lost counts as well,
// so that a flood cannot hold up Close. It reports false when nothing was there,
// so that the runtime calls it again when something is.
func (in *input) read(fd uintptr) bool {
	r, got := in.reader, 0
	for got < batchFrames {
		n, err := unix.Read(int(fd), in.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return got > 0
		case err != nil:
			in.err = err
			return true
		}
		at := in.tap.cfg.Clock()
		got++
		r.read.Add(1)
		if r.waiting.Load() >= MaxBacklog || r.waitingBytes.Load()+int64(n) > MaxBacklogBytes {
			r.lost.Add(1)
			continue
		}
		r.waiting.Add(1)
		r.waitingBytes.Add(int64(n))
		in.batch.frames = append(in.batch.frames, arrival{link.CopyFrame(in.buf[:n]), at})
	}
	return true
}

// deliver runs on the loop.
func (b *batch) deliver() {
	t := b.tap
	if t.closed {
		return // Close has counted and released the frames
	}
	r := &t.reader
	for i := range b.frames {
		a := b.frames[i]
		b.frames[i] = arrival{}
		r.waiting.Add(-1)
		r.waitingBytes.Add(-int64(len(a.frame.Data)))
		t.counters.Delivered++
		if t.cfg.Received != nil {
			t.cfg.Received(a.frame, a.at)
		}
		t.next.Put(a.frame)
		if t.closed {
			return // by next; Close has counted and released the rest
		}
	}
	b.frames = b.frames[:0]
	r.free.put(b)
	t.reportLost()
}

// drop releases the frames and returns their number.
func (b *batch) drop() uint64 {
	n := len(b.frames)
	for i := range b.frames {
		if f := b.frames[i].frame; f != nil {
			b.tap.reader.waiting.Add(-1)
			b.tap.reader.waitingBytes.Add(-int64(len(f.Data)))
			f.Release()
		} else {
			n-- // delivered: Close was called from within the batch
		}
		b.frames[i] = arrival{}
	}
	b.frames = b.frames[:0]
	return uint64(n)
}
