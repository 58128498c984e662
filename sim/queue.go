package sim

// queue is a 4-ary min-heap of timers ordered by (deadline, sequence). Four
// children a node make it half as deep as a binary heap, and a typed slice
// avoids the interface calls of container/heap.
type queue []*Timer

const arity = 4

func before(a, b *Timer) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (q *queue) push(t *Timer) {
	*q = append(*q, t)
	q.up(len(*q)-1, t)
}

// pop removes the earliest timer. The queue must not be empty.
func (q *queue) pop() *Timer {
	first := (*q)[0]
	q.remove(0)
	return first
}

func (q *queue) remove(i int) {
	h := *q
	last := len(h) - 1
	h[i].index = -1
	t := h[last]
	h[last] = nil
	*q = h[:last]
	if i != last {
		q.fix(i, t)
	}
}

// fix puts t, whose order may have changed, in place starting from slot i.
func (q *queue) fix(i int, t *Timer) {
	h := *q
	if i > 0 && before(t, h[(i-1)/arity]) {
		q.up(i, t)
		return
	}
	for {
		first := arity*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for c := first + 1; c < len(h) && c < first+arity; c++ {
			if before(h[c], h[least]) {
				least = c
			}
		}
		if !before(h[least], t) {
			break
		}
		h[i] = h[least]
		h[i].index = i
		i = least
	}
	h[i] = t
	t.index = i
}

func (q *queue) up(i int, t *Timer) {
	h := *q
	for i > 0 {
		parent := (i - 1) / arity
		if !before(t, h[parent]) {
			break
		}
		h[i] = h[parent]
		h[i].index = i
		i = parent
	}
	h[i] = t
	t.index = i
}
