//go:build !linux

package sim

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// NewRealPacer returns a Pacer on Go's monotonic clock whose clock runs speed
// times as fast as the real one (1: real time; 0 means 1). Go's timers make it
// up to a millisecond late; on Linux it is exact to microseconds.
func NewRealPacer(speed float64) (Pacer, error) {
	if speed == 0 {
		speed = 1
	}
	if !(speed > 0) || speed > 1e6 {
		return nil, fmt.Errorf("sim: speed %v is not between 0 and 1,000,000", speed)
	}
	return &portablePacer{speed: speed, wake: make(chan struct{}, 1)}, nil
}

type portablePacer struct {
	speed  float64
	origin time.Time
	held   atomic.Int64 // nanoseconds in Hold
	wake   chan struct{}
}

func (p *portablePacer) elapsed() time.Duration {
	return time.Since(p.origin) - time.Duration(p.held.Load())
}

func (p *portablePacer) Hold(wait func()) {
	began := time.Now()
	wait()
	p.held.Add(int64(time.Since(began)))
}

func (p *portablePacer) Start() error {
	p.origin = time.Now()
	return nil
}

func (p *portablePacer) Now() Time { return Time(float64(p.elapsed()) * p.speed) }

func (p *portablePacer) Wait(t Time) error {
	if t == Never {
		<-p.wake
		return nil
	}
	timer := time.NewTimer(time.Duration(float64(t)/p.speed) - p.elapsed())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.wake:
	}
	return nil
}

func (p *portablePacer) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Watch returns an error: nothing is read here that could be watched.
func (p *portablePacer) Watch(int, func()) error { return errors.ErrUnsupported }

func (p *portablePacer) Unwatch(int) {}

func (p *portablePacer) Poll() error { return nil }

func (p *portablePacer) Close() error { return nil }
