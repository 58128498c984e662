package pcaps

import (
	"math"
	"math/bits"
	"time"
)

// A Stamp is a point in time: nanoseconds since 1970-01-01T00:00:00Z. Times
// that a file holds outside its range (1677 to 2262) become its limits.
type Stamp int64

// VirtualEpoch is the time at which every run in virtual time starts:
// 2026-01-01T00:00:00Z. It is a constant so that equal runs give equal files.
const VirtualEpoch Stamp = 1767225600 * 1e9

// StampOf returns t as a Stamp.
func StampOf(t time.Time) Stamp { return Stamp(t.UnixNano()) }

// Sub returns the time from t to s. One that a Duration can't hold becomes its limit.
func (s Stamp) Sub(t Stamp) time.Duration {
	d := time.Duration(s - t)
	switch {
	case s > t && d < 0:
		return math.MaxInt64
	case s < t && d > 0:
		return math.MinInt64
	}
	return d
}

// UTC returns s as a time.Time in UTC.
func (s Stamp) UTC() time.Time { return time.Unix(0, int64(s)).UTC() }

// String returns s in RFC 3339 format with nanoseconds.
func (s Stamp) String() string { return s.UTC().Format(time.RFC3339Nano) }

// A Resolution is the unit of an interface's timestamps, encoded as
// if_tsresol: n means 10^-n s, 0x80|n means 2^-n s. The zero value means that
// the option is absent, which the format defines as microseconds; one second
// is [Seconds] (2^-0), as which a file's if_tsresol 0 is read too.
type Resolution uint8

// Common resolutions.
const (
	Seconds      Resolution = 0x80
	Milliseconds Resolution = 3
	Microseconds Resolution = 6
	Nanoseconds  Resolution = 9
)

const (
	nanosPerSecond    = 1_000_000_000
	resolutionBinary  = 0x80
	largestPowerOfTen = 19 // 10^19 < 2^64
)

// exponent returns the base-10 or base-2 exponent.
func (r Resolution) exponent() (n uint, binary bool) {
	if r == 0 {
		return 6, false
	}
	return uint(r &^ resolutionBinary), r&resolutionBinary != 0
}

// units returns the ticks of a second, or 0 when they do not fit 64 bits: then
// every 64-bit tick count is less than one second.
func (r Resolution) units() uint64 {
	n, binary := r.exponent()
	switch {
	case binary && n < 64:
		return 1 << n
	case !binary && n <= largestPowerOfTen:
		return powerOfTen(n)
	}
	return 0
}

func powerOfTen(n uint) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

// clock converts the ticks of one interface.
type clock struct {
	resolution Resolution
	units      uint64 // ticks a second, 0 = more than 2^64
	offset     int64  // if_tsoffset, seconds
	identity   bool   // ticks are Stamps
}

func newClock(r Resolution, offset int64) clock {
	return clock{r, r.units(), offset, r == Nanoseconds && offset == 0}
}

// stamp rounds towards the past, as Wireshark does.
func (c *clock) stamp(ticks uint64) Stamp {
	if c.identity && ticks <= math.MaxInt64 {
		return Stamp(ticks)
	}
	if c.units == 0 {
		return combine(0, c.offset, c.tinyNanos(ticks))
	}
	hi, lo := bits.Mul64(ticks%c.units, nanosPerSecond)
	nanos, _ := bits.Div64(hi, lo, c.units)
	return combine(ticks/c.units, c.offset, nanos)
}

// tinyNanos is for units below 10^-19 s or 2^-63 s.
func (c *clock) tinyNanos(ticks uint64) uint64 {
	n, binary := c.resolution.exponent()
	if binary {
		hi, _ := bits.Mul64(ticks, nanosPerSecond)
		return hi >> min(n-64, 63) // hi < 2^30
	}
	if n-9 > largestPowerOfTen {
		return 0
	}
	return ticks / powerOfTen(n-9)
}

// combine returns seconds + offset + nanos, limited to the range of a Stamp.
func combine(seconds uint64, offset int64, nanos uint64) Stamp {
	const limit = math.MaxInt64 / nanosPerSecond // seconds in a Stamp, about 292 years
	if offset < 0 {
		back := uint64(-(offset + 1)) + 1
		if seconds < back {
			if back-seconds > limit {
				return math.MinInt64
			}
			return Stamp(-int64(back-seconds)*nanosPerSecond + int64(nanos))
		}
		seconds -= back
	} else {
		seconds += min(uint64(offset), math.MaxUint64-seconds)
	}
	if seconds >= limit {
		return math.MaxInt64
	}
	return Stamp(int64(seconds)*nanosPerSecond + int64(nanos))
}

// ticks is the inverse of stamp; false when s lies before the interface's
// origin or does not fit. Units finer than a nanosecond round up, so that
// stamp(ticks(s)) == s; coarser ones round towards the past.
func (c *clock) ticks(s Stamp) (uint64, bool) {
	if c.identity {
		return uint64(s), s >= 0
	}
	seconds, nanos := int64(s)/nanosPerSecond, int64(s)%nanosPerSecond
	if nanos < 0 {
		seconds, nanos = seconds-1, nanos+nanosPerSecond
	}
	since := seconds - c.offset
	if since < 0 || (c.offset < 0 && since < seconds) {
		return 0, false
	}
	if c.units == 0 {
		return 0, since == 0 && nanos == 0
	}
	hi, whole := bits.Mul64(uint64(since), c.units)
	var part uint64
	if c.units <= nanosPerSecond { // the latest tick that stamp shows at s or before
		part = (uint64(nanos+1)*c.units - 1) / nanosPerSecond
	} else { // the earliest tick of the nanosecond
		hi, lo := bits.Mul64(uint64(nanos), c.units)
		quotient, rest := bits.Div64(hi, lo, nanosPerSecond)
		part = quotient + min(rest, 1)
	}
	sum, carry := bits.Add64(whole, part, 0)
	return sum, hi == 0 && carry == 0
}
