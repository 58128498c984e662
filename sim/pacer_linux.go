package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
	return &linuxPacer{tfd: tfd, efd: efd, speed: speed, armed: never, fds: []unix.PollFd{
		{Fd: int32(tfd), Events: unix.POLLIN}, {Fd: int32(efd), Events: unix.POLLIN},
	}}, nil
}

type linuxPacer struct {
	tfd    int
	speed  float64
	origin int64        // CLOCK_MONOTONIC nanoseconds of Time zero
	base   time.Time    // the same moment by Go's clock
	held   atomic.Int64 // nanoseconds since then that are no time of the run
	armed  int64        // what the timerfd is set to

	fds     []unix.PollFd // the timerfd, the eventfd, and what is watched
	watched []func()      // of fds[fixedFds:]

	mu     sync.Mutex // guards the two below against Wake after Close
	efd    int
	closed bool
}

// fixedFds is the number of descriptors in front of those that are watched.
const fixedFds = 2

// never is what a timerfd is set to that never fires.
const never = 0

// startTries is how often Start reads both clocks, to have them close together.
const startTries = 8

func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(fmt.Sprintf("sim: clock_gettime: %v", err)) // cannot fail with these arguments
	}
	return ts.Nano()
}

// Start fixes time zero by both clocks: timerfd wants the number, and Go reads the
// same clock without a system call. Go's is read first: a timer that fires is
// never early.
func (p *linuxPacer) Start() error {
	best := time.Duration(math.MaxInt64)
	for range startTries {
		base := time.Now()
		origin := monotonic()
		if apart := time.Since(base); apart < best {
			best, p.base, p.origin = apart, base, origin
		}
	}
	return nil
}

func (p *linuxPacer) Now() Time {
	elapsed := int64(time.Since(p.base)) - p.held.Load()
	if p.speed == 1 {
		return Time(elapsed)
	}
	return Time(float64(elapsed) * p.speed)
}

func (p *linuxPacer) Hold(wait func()) {
	began := time.Now()
	wait()
	p.held.Add(int64(time.Since(began)))
}

func (p *linuxPacer) Wait(t Time) error {
	if err := p.arm(t); err != nil {
		return err
	}
	if err := p.ppoll(nil); err != nil {
		return err
	}
	if p.fds[1].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(p.efd, count[:]) // empty again; EAGAIN means it was
	}
	p.call()
	return nil
}

// arm sets the timer, unless it is set so already.
func (p *linuxPacer) arm(t Time) error {
	at := int64(never)
	if t != Never {
		offset := int64(t)
		if p.speed != 1 {
			offset = int64(float64(t)/p.speed) + 1
		}
		at = max(p.origin+p.held.Load()+offset, 1)
	}
	if at == p.armed {
		return nil
	}
	p.armed = at
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(at)}
	if err := unix.TimerfdSettime(p.tfd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		return fmt.Errorf("sim: timerfd: %w", err)
	}
	return nil
}

// ppoll waits for one of the descriptors; timeout nil: for as long as it takes.
func (p *linuxPacer) ppoll(timeout *unix.Timespec) error {
	for {
		_, err := unix.Ppoll(p.fds, timeout, nil)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("sim: ppoll: %w", err)
		}
	}
}

// call calls what is watched and ready. What it calls may end a Watch.
func (p *linuxPacer) call() {
	for i := len(p.watched) - 1; i >= 0; i-- {
		if i < len(p.watched) && p.fds[fixedFds+i].Revents != 0 {
			p.fds[fixedFds+i].Revents = 0
			p.watched[i]()
		}
	}
}

func (p *linuxPacer) Watch(fd int, fn func()) error {
	p.fds = append(p.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	p.watched = append(p.watched, fn)
	return nil
}

func (p *linuxPacer) Unwatch(fd int) {
	for i := range p.watched {
		if p.fds[fixedFds+i].Fd == int32(fd) {
			p.fds = slices.Delete(p.fds, fixedFds+i, fixedFds+i+1)
			p.watched = slices.Delete(p.watched, i, i+1)
			return
		}
	}
}

func (p *linuxPacer) Poll() error {
	if err := p.ppoll(&unix.Timespec{}); err != nil {
		return err
	}
	p.call()
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
