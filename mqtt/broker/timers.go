package broker

import "hilnet/sim"

// timer is a moment at which a connection wants to be looked at.
type timer struct {
	at   sim.Time
	conn *conn
}

func (t timer) before(u timer) bool {
	return t.at < u.at || t.at == u.at && t.conn.id < u.conn.id
}

// timers is a binary heap.
type timers struct{ heap []timer }

func (ts *timers) next() (sim.Time, bool) {
	if len(ts.heap) == 0 {
		return sim.Never, false
	}
	return ts.heap[0].at, true
}

func (ts *timers) push(t timer) {
	ts.heap = append(ts.heap, t)
	i := len(ts.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !ts.heap[i].before(ts.heap[up]) {
			return
		}
		ts.heap[i], ts.heap[up] = ts.heap[up], ts.heap[i]
		i = up
	}
}

// valid reports whether t still counts: closed connections leave their entry
// behind, and an earlier one takes the place of another.
func (t timer) valid() bool { return !t.conn.closed && t.at == t.conn.scheduled }

// compact rebuilds the heap once more than half of it must be entries that no
// longer count.
func (ts *timers) compact(connections int) {
	if len(ts.heap) <= 2*connections+64 {
		return
	}
	old := ts.heap
	ts.heap = make([]timer, 0, connections)
	for _, t := range old {
		if t.valid() {
			ts.push(t)
		}
	}
}

func (ts *timers) pop() timer {
	top, last := ts.heap[0], len(ts.heap)-1
	ts.heap[0], ts.heap[last] = ts.heap[last], timer{}
	ts.heap = ts.heap[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if ts.heap[child].before(ts.heap[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		ts.heap[i], ts.heap[least] = ts.heap[least], ts.heap[i]
		i = least
	}
}
