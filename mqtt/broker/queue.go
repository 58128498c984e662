package broker

import "slices"

// queue is a first-in, first-out queue of deliveries.
type queue struct {
	items []delivery
	head  int
	bytes int // topics and payloads
}

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(d delivery) {
	if len(q.items) == cap(q.items) && 2*q.head >= len(q.items) && q.head > 0 { // make room at the front
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, d)
	q.bytes += d.msg.size()
}

func (q *queue) pop() delivery {
	d := q.items[q.head]
	q.items[q.head] = delivery{}
	q.head++
	q.bytes -= d.msg.size()
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return d
}

// idSet is a sorted set of packet identifiers, at most 128 KiB.
type idSet []uint16

// add reports whether id is new.
func (s *idSet) add(id uint16) bool {
	i, ok := slices.BinarySearch(*s, id)
	if !ok {
		*s = slices.Insert(*s, i, id)
	}
	return !ok
}

func (s *idSet) remove(id uint16) {
	if i, ok := slices.BinarySearch(*s, id); ok {
		*s = slices.Delete(*s, i, i+1)
	}
}
