package pcaps

import "math/bits"

// A waiting is a captured record that is not written yet.
type waiting struct {
	point  *Point
	serial uint64 // order of capture over all points
	at     Stamp
	id     uint64
	dir    Direction
	data   []byte // from the pool
	length int    // on the wire
	notes  []byte // comments, each ended by a NUL

	open    int  // copies whose end is not known; 0 = may be written
	arrived bool // a copy was delivered
	lost    bool // a copy was dropped

	sameID *waiting // next younger one with this id that waits for its fate
}

// A queue is a ring of records in the order of their time.
type queue struct {
	ring  []*waiting // length is a power of two
	first int
	count int
}

func (q *queue) at(n int) **waiting { return &q.ring[(q.first+n)&(len(q.ring)-1)] }

// insert puts w behind every record that is not later.
func (q *queue) insert(w *waiting) {
	if q.count == len(q.ring) {
		grown := make([]*waiting, max(8, 2*len(q.ring)))
		for n := range q.count {
			grown[n] = *q.at(n)
		}
		q.ring, q.first = grown, 0
	}
	n := q.count
	q.count++
	for ; n > 0 && (*q.at(n - 1)).at > w.at; n-- {
		*q.at(n) = *q.at(n - 1)
	}
	*q.at(n) = w
}

func (q *queue) head() *waiting {
	if q.count == 0 {
		return nil
	}
	return q.ring[q.first]
}

func (q *queue) pop() *waiting {
	w := q.ring[q.first]
	q.ring[q.first] = nil
	q.first = (q.first + 1) & (len(q.ring) - 1)
	q.count--
	return w
}

// An index finds waiting records by frame id: open addressing with linear
// probing, because a map allocates now and then as keys come and go.
type index struct {
	slots []*waiting // length is a power of two, nil = free
	used  int
}

func (x *index) home(id uint64) int {
	const golden = 0x9E3779B97F4A7C15
	return int(id * golden >> (64 - bits.TrailingZeros(uint(len(x.slots)))))
}

func (x *index) find(id uint64) (slot int, w *waiting) {
	if len(x.slots) == 0 {
		return 0, nil
	}
	slot = x.home(id)
	for x.slots[slot] != nil && x.slots[slot].id != id {
		slot = (slot + 1) & (len(x.slots) - 1)
	}
	return slot, x.slots[slot]
}

// add appends w to the records with its id.
func (x *index) add(w *waiting) {
	if 2*(x.used+1) > len(x.slots) {
		old := x.slots
		x.slots = make([]*waiting, max(16, 2*len(old)))
		for _, o := range old {
			if o != nil {
				slot, _ := x.find(o.id)
				x.slots[slot] = o
			}
		}
	}
	slot, have := x.find(w.id)
	if have == nil {
		x.slots[slot] = w
		x.used++
		return
	}
	for have.sameID != nil {
		have = have.sameID
	}
	have.sameID = w
}

// remove takes w out, if it is in.
func (x *index) remove(w *waiting) {
	slot, have := x.find(w.id)
	if have != w {
		for ; have != nil; have = have.sameID {
			if have.sameID == w {
				have.sameID, w.sameID = w.sameID, nil
				return
			}
		}
		return
	}
	if w.sameID != nil {
		x.slots[slot], w.sameID = w.sameID, nil
		return
	}
	x.used--
	mask := len(x.slots) - 1
	hole := slot
	for next := (slot + 1) & mask; x.slots[next] != nil; next = (next + 1) & mask {
		// An entry may move back into the hole unless its home lies behind it.
		if (next-x.home(x.slots[next].id))&mask >= (next-hole)&mask {
			x.slots[hole] = x.slots[next]
			hole = next
		}
	}
	x.slots[hole] = nil
}

// A pool keeps records and packet buffers for reuse. Buffers come in powers
// of two from 64 bytes up.
type pool struct {
	records []*waiting
	buffers [32][][]byte
	inUse   int // bytes of buffers in records
	free    int // bytes of buffers here
	limit   int // of both together
}

const smallestBuffer = 6 // 64 bytes

func bufferClass(n int) int {
	return max(smallestBuffer, bits.Len(uint(max(n, 1)-1)))
}

func (p *pool) get(data []byte) *waiting {
	var w *waiting
	if n := len(p.records); n > 0 {
		w, p.records = p.records[n-1], p.records[:n-1]
	} else {
		w = &waiting{}
	}
	class := bufferClass(len(data))
	size := 1 << class
	if free := p.buffers[class]; len(free) > 0 {
		w.data, p.buffers[class] = free[len(free)-1], free[:len(free)-1]
		p.free -= size
	} else {
		w.data = make([]byte, 0, size)
	}
	p.inUse += size
	w.data = append(w.data, data...)
	return w
}

func (p *pool) put(w *waiting) {
	size := cap(w.data)
	p.inUse -= size
	if p.inUse+p.free+size <= p.limit {
		class := bufferClass(size)
		p.buffers[class] = append(p.buffers[class], w.data[:0])
		p.free += size
	}
	*w = waiting{notes: w.notes[:0]}
	p.records = append(p.records, w)
}
