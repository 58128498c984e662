package extract

import (
	"cmp"
	"math"
	"slices"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/wire"
)

// regular gives messages that TCP held back, as in an outage, the times at which the
// application published them: it did so in a period before, and does again behind
// them, without a round too many or too few; or what had been sent before them was being
// sent again when they came, and there is nothing behind them.
func (s *session) regular(t *tap) {
	again := t.k.repetitions()
	var rounds []*act // of one row: publishes of the same kind on one connection
	for i := range s.acts {
		a := &s.acts[i]
		switch {
		case a.what == take:
			continue
		case a.what != codec.PUBLISH:
			retime(rounds, again)
			rounds = nil
			continue
		case len(rounds) > 0 && a.pub != rounds[0].pub:
			retime(rounds, again)
			rounds = nil
		}
		rounds = append(rounds, a)
	}
	retime(rounds, again)
	slices.SortStableFunc(s.acts, func(a, b act) int { return cmp.Compare(a.at, b.at) })
}

// repetitions are the times at which the device sent something again.
func (k *Capture) repetitions() (all []int64) {
	newest := map[uint64]uint32{} // by connection; looked up only
	for i := range k.packets {
		p := &k.packets[i]
		if p.way != up || p.twin || p.carries() == 0 {
			continue
		}
		if last, ok := newest[p.conn]; ok && !p.has(wire.TCPSyn) && !after(p.end(), last) {
			all = append(all, p.at)
			continue
		}
		newest[p.conn] = p.end()
	}
	return all
}

// mostHeld bounds how long a message is taken to have been held back.
const mostHeld = int64(time.Minute)

// retime puts the rounds of a row that are late where they belong, if those in front of
// them and behind them are in time.
func retime(rounds []*act, again []int64) {
	for i := 0; i+leastPeriodic < len(rounds); {
		period := int64(math.Round(float64(rounds[i+1].at-rounds[i].at)/float64(tick))) * int64(tick)
		last := i // the last one that was in time, as the one in front of it was
		if period > 0 {
			last = inTime(rounds[i:], period) + i
			if last-i >= 2*leastPeriodic && last+1 < len(rounds) && toTheEnd(rounds[i:], last-i, period, again) {
				last = len(rounds) // those behind it are late to the end
			}
		}
		for m := i + 1; m < last; m++ {
			rounds[m].at = rounds[i].at + int64(m-i)*period
		}
		i = max(last, i+1)
	}
}

// inTime returns the last round of a row up to which it keeps to the period, but for
// rounds that are late; 0 if it does not.
func inTime(rounds []*act, period int64) (last int) {
	early := 0 // rounds in time, in a row
	kept := false
	for m := 1; m < len(rounds); m++ {
		off := rounds[m].at - rounds[0].at - int64(m)*period
		switch {
		case off < -int64(tick) || off > mostHeld:
			return last
		case off > int64(tick):
			early = 0
			continue
		}
		if early++; early >= leastPeriodic-1 && (kept || m == early) || kept && early >= 2 {
			last, kept = m, true
		}
	}
	return last
}

// toTheEnd reports whether the rounds behind last are all late, and what was sent before
// them was sent again.
func toTheEnd(rounds []*act, last int, period int64, again []int64) bool {
	for m := last + 1; m < len(rounds); m++ {
		if off := rounds[m].at - rounds[0].at - int64(m)*period; off < -int64(tick) || off > mostHeld {
			return false
		}
	}
	at, _ := slices.BinarySearch(again, rounds[last].at)
	first := slices.IndexFunc(rounds, func(a *act) bool { return a.at > rounds[last].at })
	return first > 0 && at < len(again) && again[at] <= rounds[first].at
}
