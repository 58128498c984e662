package traces

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"time"

	"hilnet/sim"
)

// Reading list: mahimahi src/frontend/link_queue.cc, mm-link(1). The manual says
// 1500 bytes a line; the code, which everybody runs, says 1504.

// OpportunityBytes is what one line of a trace delivers, in bytes of IP packets.
const OpportunityBytes = 1504

// MaxOpportunities bounds a trace: 16 MiB of memory.
const MaxOpportunities = 4 << 20

// Opportunities are a packet-delivery trace: moments, in milliseconds from its
// start, at which a link delivers up to OpportunityBytes each. They never
// decrease and the last one is above 0: after it the trace begins again.
type Opportunities struct{ at []uint32 }

// Len returns the number of opportunities in a round.
func (o *Opportunities) Len() int { return len(o.at) }

// Round returns how long a round takes.
func (o *Opportunities) Round() time.Duration {
	return time.Duration(o.at[len(o.at)-1]) * time.Millisecond
}

// BitsPerSecond returns the mean rate of a round.
func (o *Opportunities) BitsPerSecond() float64 {
	return float64(len(o.at)) * OpportunityBytes * 8 / o.Round().Seconds()
}

// LongestGap returns the longest time without an opportunity.
func (o *Opportunities) LongestGap() time.Duration {
	longest, last := uint32(0), uint32(0)
	for _, t := range o.at {
		longest, last = max(longest, t-last), t
	}
	return time.Duration(longest) * time.Millisecond
}

// ReadOpportunities reads a mahimahi trace: a line for each opportunity, with its
// milliseconds. file names it in errors.
func ReadOpportunities(r io.Reader, file string) (*Opportunities, error) {
	o := &Opportunities{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4096)
	last := uint32(0)
	for n := 1; lines.Scan(); n++ {
		text := lines.Text()
		v, err := strconv.ParseUint(text, 10, 64)
		switch {
		case text == "":
			return nil, fmt.Errorf("%s:%d: an empty line", file, n)
		case err != nil:
			return nil, fmt.Errorf("%s:%d: %q is not a number of milliseconds", file, n, clip(text))
		case v > math.MaxUint32:
			return nil, fmt.Errorf("%s:%d: %d ms is beyond 49 days", file, n, v)
		case uint32(v) < last:
			return nil, fmt.Errorf("%s:%d: %d ms comes after %d ms: the lines must not go back in time", file, n, v, last)
		case len(o.at) == MaxOpportunities:
			return nil, fmt.Errorf("%s:%d: more than %d lines", file, n, MaxOpportunities)
		}
		last = uint32(v)
		o.at = append(o.at, last)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", file, len(o.at)+1, err)
	}
	if len(o.at) == 0 {
		return nil, fmt.Errorf("%s: the trace is empty", file)
	}
	if last == 0 {
		return nil, fmt.Errorf("%s: the last line must be above 0: it says how long the trace is", file)
	}
	return o, nil
}

// Write writes the trace as mahimahi reads it.
func (o *Opportunities) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	for _, t := range o.at {
		_, _ = fmt.Fprintln(b, t) // Flush tells
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("traces: write: %w", err)
	}
	return nil
}

// time returns when opportunity number k comes, rounds counted on, in a trace
// that began at base; Never when it does not come any more.
func (o *Opportunities) time(base sim.Time, k int64, once bool) sim.Time {
	n := int64(len(o.at))
	round := k / n
	if once && round > 0 {
		return sim.Never
	}
	ms := round*int64(o.at[n-1]) + int64(o.at[k%n])
	if ms > (math.MaxInt64-max(0, int64(base)))/int64(time.Millisecond) {
		return sim.Never
	}
	return base + sim.Time(ms)*sim.Time(time.Millisecond)
}

// after returns the number of the first opportunity after a moment.
func (o *Opportunities) after(base, now sim.Time) int64 {
	ms := int64(now-base) / int64(time.Millisecond) // opportunities are at whole milliseconds
	n, last := int64(len(o.at)), int64(o.at[len(o.at)-1])
	// Those of a round at its last millisecond are at the next one's first as well.
	round := max(0, ms/last-1)
	for {
		rest := ms - round*last
		i := int64(sort.Search(len(o.at), func(i int) bool { return int64(o.at[i]) > rest }))
		if i < n {
			return round*n + i
		}
		round++
	}
}

// clip shortens what a hostile file has.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
