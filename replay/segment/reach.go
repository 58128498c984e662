package segment

import (
	"slices"

	"hilnet/sim"
)

// A reach remembers when a device had sent how much of a conversation: for a
// recorded device each moment at which it went on, of which there are as many as
// frames; for a live one, which may send without end, only the moments at which
// it reached what is awaited. Positions count from the initial sequence number
// and do not wrap.
type reach struct {
	ends []int64 // growing
	at   []sim.Time
	high int64
}

// unwrap is the position of a sequence number near the highest one so far.
func (r *reach) unwrap(rel uint32) int64 { return r.high + int64(int32(rel-uint32(r.high))) }

// add notes that everything before rel was sent at a moment.
func (r *reach) add(rel uint32, at sim.Time) {
	end := r.unwrap(rel)
	if end > r.high || len(r.ends) == 0 {
		r.high = max(r.high, end)
		r.ends, r.at = append(r.ends, end), append(r.at, at)
	}
}

// await makes arrive note the moment of a position.
func (r *reach) await(end int64) {
	if i, known := slices.BinarySearch(r.ends, end); !known {
		r.ends = slices.Insert(r.ends, i, end)
	}
}

// arrive is add for positions that are awaited.
func (r *reach) arrive(rel uint32, at sim.Time) {
	r.high = max(r.high, r.unwrap(rel))
	for len(r.at) < len(r.ends) && r.ends[len(r.at)] <= r.high {
		r.at = append(r.at, at)
	}
}

// when returns the moment at which everything before end had been sent.
func (r *reach) when(end int64) (sim.Time, bool) {
	i, _ := slices.BinarySearch(r.ends, end)
	if i >= len(r.at) {
		return 0, false
	}
	return r.at[i], true
}
