package flow

import "math/bits"

// memory counts the bytes that the flows of a table hold, and keeps blocks for
// use again.
type memory struct {
	used, limit int
	free        [][]byte // blocks of blockSize
}

const (
	blockSize = 2048 // holds a segment of an Ethernet frame
	maxFree   = 256
)

// get returns a buffer of n bytes, or false beyond the limit.
func (m *memory) get(n int) ([]byte, bool) {
	size := max(n, blockSize)
	if m.used+size > m.limit {
		return nil, false
	}
	m.used += size
	if k := len(m.free); size == blockSize && k > 0 {
		b := m.free[k-1]
		m.free = m.free[:k-1]
		return b[:n], true
	}
	return make([]byte, n, size), true
}

// put takes back a buffer of get.
func (m *memory) put(b []byte) {
	m.used -= cap(b)
	if cap(b) == blockSize && len(m.free) < maxFree {
		m.free = append(m.free, b)
	}
}

// extend appends data to b, whose capacity is accounted for. false: no room.
func (m *memory) extend(b, data []byte) ([]byte, bool) {
	if n := len(b) + len(data); n > cap(b) {
		size := 1 << bits.Len(uint(max(n, 64)-1))
		if m.used+size > m.limit { // old and new exist at once
			return b, false
		}
		m.used += size - cap(b)
		grown := make([]byte, len(b), size)
		copy(grown, b)
		b = grown
	}
	return append(b, data...), true
}

// drop gives up a buffer of extend.
func (m *memory) drop(b *[]byte) {
	m.used -= cap(*b)
	*b = nil
}

// history holds the last bytes of a stream, to compare repeated ones with. buf
// is a ring: the byte of offset o stands at o modulo its length.
type history struct {
	buf        []byte
	start, end int64 // offsets held
}

// push adds data at offset off, growing up to limit (a power of two or 0).
func (h *history) push(m *memory, off int64, data []byte, limit int) {
	if off != h.end {
		h.start, h.end = off, off
	}
	if limit == 0 {
		return
	}
	if want := int(h.end-h.start) + len(data); want > len(h.buf) && len(h.buf) < limit {
		h.grow(m, min(limit, 1<<bits.Len(uint(want-1))))
	}
	if len(h.buf) == 0 {
		return
	}
	h.end += int64(len(data))
	tail := data[max(0, len(data)-len(h.buf)):]
	at := int(h.end-int64(len(tail))) & (len(h.buf) - 1)
	n := copy(h.buf[at:], tail)
	copy(h.buf, tail[n:])
	h.start = max(h.start, h.end-int64(len(h.buf)))
}

func (h *history) grow(m *memory, size int) {
	if m.used+size > m.limit {
		return
	}
	m.used += size - len(h.buf)
	old := *h
	h.buf = make([]byte, size)
	for o := old.start; o < old.end; o++ {
		h.buf[int(o)&(size-1)] = old.buf[int(o)&(len(old.buf)-1)]
	}
}

// differs returns the offset of the first byte of data, which stands at off,
// that is not the one held, or -1. Bytes not held are not compared.
func (h *history) differs(off int64, data []byte) int64 {
	from, to := max(off, h.start), min(off+int64(len(data)), h.end)
	for o := from; o < to; o++ {
		if h.buf[int(o)&(len(h.buf)-1)] != data[o-off] {
			return o
		}
	}
	return -1
}

func (h *history) release(m *memory) {
	m.used -= len(h.buf)
	*h = history{}
}
