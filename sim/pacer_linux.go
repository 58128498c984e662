package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// NewRealPacer returns a Pacer on CLOCK_MONOTONIC whose clock runs speed times
// as fast as the real one (1: real time; 0 means 1).
//
// It waits in ppoll on a timerfd with an absolute deadline and on an eventfd:
// Go's own timers round to a millisecond when a program is idle.
func NewRealPacer(speed float64) (Pacer, error) {
	if speed == 0 {
		speed = 1
	}
	if !(speed > 0) || speed > 1e6 {
		return nil, fmt.Errorf("sim: speed %v is not between 0 and 1,000,000", speed)
	}
	tfd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("sim: timerfd: %w", err)
	}
	efd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(tfd) // the first error is the one to report
		return nil, fmt.Errorf("sim: eventfd: %w", err)
	}
	return &linuxPacer{tfd: tfd, efd: efd, speed: speed}, nil
}

type linuxPacer struct {
	tfd    int
	speed  float64
	origin atomic.Int64 // CLOCK_MONOTONIC nanoseconds of Time zero

	mu     sync.Mutex // guards the two below against Wake after Close
	efd    int
	closed bool
}

func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(fmt.Sprintf("sim: clock_gettime: %v", err)) // cannot fail with these arguments
	}
	return ts.Nano()
}

func (p *linuxPacer) Start() error {
	p.origin.Store(monotonic())
	return nil
}

func (p *linuxPacer) Now() Time {
	elapsed := monotonic() - p.origin.Load()
	if p.speed == 1 {
		return Time(elapsed)
	}
	return Time(float64(elapsed) * p.speed)
}

func (p *linuxPacer) Hold(wait func()) {
	began := monotonic()
	wait()
	p.origin.Add(monotonic() - began)
}

func (p *linuxPacer) Wait(t Time) error {
	spec := unix.ItimerSpec{}
	if t != Never {
		offset := int64(t)
		if p.speed != 1 {
			offset = int64(float64(t)/p.speed) + 1
		}
		spec.Value = unix.NsecToTimespec(max(p.origin.Load()+offset, 1))
	}
	if err := unix.TimerfdSettime(p.tfd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		return fmt.Errorf("sim: timerfd: %w", err)
	}
	fds := []unix.PollFd{{Fd: int32(p.tfd), Events: unix.POLLIN}, {Fd: int32(p.efd), Events: unix.POLLIN}}
	for {
		_, err := unix.Ppoll(fds, nil, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("sim: ppoll: %w", err)
		}
	}
	if fds[1].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(p.efd, count[:]) // empty again; EAGAIN means it was
	}
	return nil
}

func (p *linuxPacer) Wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(p.efd, one[:]) // EAGAIN means that a wake-up is pending already
}

func (p *linuxPacer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return errors.Join(unix.Close(p.tfd), unix.Close(p.efd))
}
