package netem

import (
	"hilnet/link"
	"hilnet/sim"
)

// A queued frame and when it may leave.
type queued struct {
	at  sim.Time
	seq uint64
	f   *link.Frame
}

func (q *queued) before(o *queued) bool { return q.at < o.at || q.at == o.at && q.seq < o.seq }

// A fifo is a queue by time; those of one time keep their order. It is a heap
// of four children a node, and grows only.
type fifo struct {
	items []queued
	seq   uint64
	// last is the latest time of a frame in the queue: frames leave in the order
	// of time, so it is the latest since the queue was empty.
	last sim.Time
}

func (q *fifo) len() int { return len(q.items) }

func (q *fifo) front() *queued { return &q.items[0] }

func (q *fifo) push(at sim.Time, f *link.Frame) {
	if len(q.items) == 0 || at > q.last {
		q.last = at
	}
	q.seq++
	q.items = append(q.items, queued{at, q.seq, f})
	i := len(q.items) - 1
	v := q.items[i]
	for i > 0 {
		up := (i - 1) / 4
		if !v.before(&q.items[up]) {
			break
		}
		q.items[i] = q.items[up]
		i = up
	}
	q.items[i] = v
}

func (q *fifo) pop() *link.Frame {
	f := q.items[0].f
	n := len(q.items) - 1
	v := q.items[n]
	q.items[n] = queued{}
	q.items = q.items[:n]
	if n == 0 {
		return f
	}
	i := 0
	for {
		least := 4*i + 1
		if least >= n {
			break
		}
		for c := least + 1; c < min(4*i+5, n); c++ {
			if q.items[c].before(&q.items[least]) {
				least = c
			}
		}
		if !q.items[least].before(&v) {
			break
		}
		q.items[i] = q.items[least]
		i = least
	}
	q.items[i] = v
	return f
}
