package sim

import (
	"fmt"
	"math"
	"time"
)

// Time is a moment of a run: nanoseconds since its start.
type Time int64

// Never is later than every moment of a run.
const Never Time = math.MaxInt64

// Add returns the moment d after t, at most Never.
func (t Time) Add(d time.Duration) Time {
	sum := t + Time(d)
	if d > 0 && sum < t {
		return Never
	}
	return sum
}

// Sub returns the duration from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Seconds returns t in seconds.
func (t Time) Seconds() float64 { return float64(t) / 1e9 }

// String returns t in seconds with nine decimals, such as "12.000300000s".
func (t Time) String() string {
	if t == Never {
		return "never"
	}
	sign, n := "", int64(t)
	if n < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%09ds", sign, n/1e9, n%1e9)
}
