package mqtt

import (
	"fmt"
	"math"
	"time"

	"hilnet/sim"
)

// A Backoff says how long an application waits before it connects again: After
// the first time, then Factor times as long with every attempt in a row that
// fails, at most Max, each spread by Jitter so that the devices of a fleet do
// not come back as one.
type Backoff struct {
	After  time.Duration
	Max    time.Duration // 0: After, which never grows
	Factor float64       // 0: 1
	Jitter float64       // 0 to 1: 0.2 spreads a pause of 10 s over 8 s to 12 s
}

// Check refuses what makes no sense.
func (b Backoff) Check() error {
	switch {
	case b.After <= 0:
		return fmt.Errorf("mqtt: a back-off of %v", b.After)
	case b.Max != 0 && b.Max < b.After:
		return fmt.Errorf("mqtt: a back-off of %v that may not exceed %v", b.After, b.Max)
	case math.IsNaN(b.Factor) || b.Factor != 0 && b.Factor < 1:
		return fmt.Errorf("mqtt: a back-off that grows by a factor of %v", b.Factor)
	case math.IsNaN(b.Jitter) || b.Jitter < 0 || b.Jitter > 1:
		return fmt.Errorf("mqtt: a back-off with a jitter of %v", b.Jitter)
	}
	return nil
}

// Pause returns the pause before attempt n in a row, from 0. draws is where the
// jitter comes from; the same n at the same place of it gives the same pause.
// Without jitter nothing is drawn.
func (b Backoff) Pause(n int, draws *sim.Rand) time.Duration {
	limit := max(b.After, b.Max)
	pause := float64(b.After)
	for range min(n, maxSteps) {
		if pause >= float64(limit) {
			break
		}
		pause = float64(pause * max(b.Factor, 1)) // the conversion rules out a fused multiply-add
	}
	pause = min(pause, float64(limit))
	if b.Jitter > 0 {
		spread := float64(b.Jitter * (float64(2*draws.Float64()) - 1))
		pause += float64(pause * spread)
	}
	return time.Duration(pause)
}

// maxSteps bounds the work for an attempt of a large number.
const maxSteps = 64
