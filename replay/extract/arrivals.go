package extract

import (
	"math"
	"slices"
	"time"

	"hilnet/wire"
)

// arrivals finds trains in what arrives from a sender behind the network: segments
// whose timestamps say that they were sent before the one in front of them arrived.
func (v *connection) arrivals(w way) [][]interval {
	tick := v.tick(w)
	if tick == 0 {
		return nil
	}
	// The clock that the timestamps are of, as far as the quickest segment tells.
	var first *packet
	least := int64(math.MaxInt64)
	sent := func(p *packet) int64 { return int64(int32(p.tsval-first.tsval)) * tick }
	for _, i := range v.of[w] {
		p := &v.k.packets[i]
		if !p.hasTS {
			continue
		}
		if first == nil {
			first = p
		}
		least = min(least, p.at-sent(p))
	}
	var trains [][]interval
	var train []interval
	end := func() {
		if len(train) >= leastTrain {
			trains = append(trains, train)
		}
		train = nil
	}
	var before *packet
	for _, i := range v.of[w] {
		p := &v.k.packets[i]
		switch {
		case !p.hasTS || p.has(wire.TCPSyn):
			end()
			before = nil
			continue
		case before != nil && p.at > before.at && sent(p)+least+tick <= before.at && v.next(w, before, p):
			train = append(train, interval{p.len, p.at - before.at})
		default:
			end()
		}
		before = p
	}
	end()
	return trains
}

// next reports whether no packet is missing between two, as far as is known.
func (v *connection) next(w way, a, b *packet) bool {
	return v.gaps[w] == nil || b.ipID == a.ipID+1
}

// tick is the unit of a sender's timestamps, 0 when it is not known.
func (v *connection) tick(w way) int64 {
	var a, b *packet
	for _, i := range v.of[w] {
		if p := &v.k.packets[i]; p.hasTS {
			if a == nil {
				a = p
			}
			b = p
		}
	}
	if a == nil || b.at-a.at < int64(time.Second) || int32(b.tsval-a.tsval) < 10 {
		return 0
	}
	unit := float64(b.at-a.at) / float64(b.tsval-a.tsval)
	for _, t := range []time.Duration{time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond, 10 * time.Millisecond} {
		if math.Abs(unit/float64(t)-1) < 0.1 {
			return int64(t)
		}
	}
	return 0
}

// medianOf is the middle one.
func medianOf(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
