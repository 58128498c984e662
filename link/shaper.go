package link

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// Limits and defaults of a Shaper.
const (
	DefaultQueuePackets = 1000 // as netem's limit
	DefaultQueueBytes   = 16 << 20
	MaxQueuePackets     = 1 << 20
	MaxQueueBytes       = 1 << 30
	MaxRate             = 1 << 50 // bit/s
	MaxBurst            = 1 << 30 // bytes
	maxOverhead         = 65535
)

// A Discipline is what a full or slow queue does.
type Discipline uint8

// The disciplines.
const (
	DropTail Discipline = iota // a full queue refuses the new frame
	DropHead                   // a full queue drops its oldest frames
	CoDel                      // as DropTail, and frames that waited too long are dropped on their way out (RFC 8289)
)

// String returns the discipline's name.
func (d Discipline) String() string {
	switch d {
	case DropTail:
		return "drop-tail"
	case DropHead:
		return "drop-head"
	case CoDel:
		return "codel"
	}
	return fmt.Sprintf("discipline %d", uint8(d))
}

// ShaperConfig configures a Shaper.
type ShaperConfig struct {
	RateBitsPerSecond uint64 // 0: no limit, at most MaxRate
	// OverheadBytes are added to each frame's length, or taken off it: 24 for what
	// Ethernet adds on a wire (checksum, preamble, gap), -14 to count IP only.
	OverheadBytes int
	// CellBytes, when above 0, is the payload of the cells that a frame is cut
	// into; CellOverheadBytes are added to each (48 and 5 for ATM). The last cell is
	// padded.
	CellBytes, CellOverheadBytes int
	// BurstBytes is the depth of a token bucket: as much as has saved up while the
	// link was idle leaves at once. 0: every frame takes its time.
	BurstBytes int
	// Airtime is for how long frames keep the channel busy beyond their bits, as
	// dummynet's delay profile: P rises, and the share above the last P is lost. It
	// works without a rate too.
	Airtime []Quantile

	QueuePackets int // frames that wait or are being sent; 0: DefaultQueuePackets
	QueueBytes   int // their bytes; 0: DefaultQueueBytes
	Discipline   Discipline
	// CoDelTarget and CoDelInterval are RFC 8289's; 0: 5 ms and 100 ms.
	CoDelTarget, CoDelInterval time.Duration
	// MarkECN makes CoDel mark frames of an ECN-capable transport instead of
	// dropping them. With MarkPackets, a frame that finds so many in the queue or
	// more is marked, whatever the discipline (RFC 8257 section 3.1).
	MarkECN     bool
	MarkPackets int
}

func (c ShaperConfig) validate() error {
	var err error
	bad := func(format string, args ...any) { err = errors.Join(err, fmt.Errorf("link: "+format, args...)) }
	if c.RateBitsPerSecond > MaxRate {
		bad("rate %d bit/s is above %d", c.RateBitsPerSecond, uint64(MaxRate))
	}
	if c.OverheadBytes < -maxOverhead || c.OverheadBytes > maxOverhead {
		bad("overhead %d B is not between -65,535 and 65,535", c.OverheadBytes)
	}
	if c.CellBytes < 0 || c.CellBytes > maxOverhead || c.CellOverheadBytes < -maxOverhead || c.CellOverheadBytes > maxOverhead {
		bad("cells of %d B with %d B overhead", c.CellBytes, c.CellOverheadBytes)
	}
	if c.CellBytes == 0 && c.CellOverheadBytes != 0 || c.CellBytes > 0 && c.CellBytes+c.CellOverheadBytes <= 0 {
		bad("cells of %d B with %d B overhead take no time", c.CellBytes, c.CellOverheadBytes)
	}
	if c.BurstBytes < 0 || c.BurstBytes > MaxBurst {
		bad("burst %d B is not between 0 and %d", c.BurstBytes, MaxBurst)
	}
	if c.QueuePackets < 0 || c.QueueBytes < 0 || c.QueuePackets > MaxQueuePackets || c.QueueBytes > MaxQueueBytes {
		bad("a queue of %d packets, %d B", c.QueuePackets, c.QueueBytes)
	}
	if c.Discipline > CoDel {
		bad("unknown queue discipline %d", c.Discipline)
	}
	if c.CoDelTarget < 0 || c.CoDelInterval < 0 || c.CoDelTarget > MaxDelay || c.CoDelInterval > MaxDelay {
		bad("CoDel with target %v and interval %v", c.CoDelTarget, c.CoDelInterval)
	}
	if c.MarkPackets < 0 {
		bad("ECN marks from %d packets", c.MarkPackets)
	}
	return errors.Join(err, validateAirtime(c.Airtime))
}

// A Shaper sends frames one after the other at a rate, those that wait in a
// queue. Without a rate and a profile it passes frames through.
type Shaper struct {
	env  *Env
	cfg  ShaperConfig
	full string // text of a drop

	queue   ring[queued] // those that wait
	sending *Frame
	bytes   int // of both
	timer   *sim.Timer
	next    Sink
	free    sim.Time // when the link has sent all that it was given, without a burst
	rate    uint64   // of the last frame
	excess  uint64   // part of a nanosecond, in units of 1/rate, that the last frame took longer
	codel   codel
	profile extraAirtime
	extra   *conditions
}

type queued struct {
	f  *Frame
	at sim.Time // when it came
}

// Set changes rate and limits between two frames: what is queued stays, and what
// is being sent goes on at its old rate.
func (s *Shaper) Set(cfg ShaperConfig) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	s.set(cfg)
	return nil
}

func (s *Shaper) set(cfg ShaperConfig) {
	if cfg.QueuePackets == 0 {
		cfg.QueuePackets = DefaultQueuePackets
	}
	if cfg.QueueBytes == 0 {
		cfg.QueueBytes = DefaultQueueBytes
	}
	if cfg.CoDelTarget == 0 {
		cfg.CoDelTarget = codelTarget
	}
	if cfg.CoDelInterval == 0 {
		cfg.CoDelInterval = codelInterval
	}
	s.cfg, s.excess = cfg, 0
	s.profile.set(cfg.Airtime)
	s.full = fmt.Sprintf("queue of %d frames, %d B", cfg.QueuePackets, cfg.QueueBytes)
}

func (s *Shaper) stage(next Sink) Sink {
	s.next = next
	s.timer = s.env.Loop.NewTimer(s.sent)
	s.env.Holds(func() uint64 { return uint64(s.len()) })
	return SinkFunc(s.put)
}

func (s *Shaper) len() int {
	n := s.queue.len()
	if s.sending != nil {
		n++
	}
	return n
}

func (s *Shaper) put(f *Frame) {
	if s.sending == nil && s.currentRate() == 0 && s.profile.times == nil {
		s.next.Put(f)
		return
	}
	if !s.room(f) {
		s.env.Drop(f, trace.DropQueueFull, s.full)
		return
	}
	if s.cfg.MarkPackets > 0 && s.len() >= s.cfg.MarkPackets {
		markCE(s.env, f, "queue")
	}
	s.queue.push(queued{f, s.env.Loop.Now()})
	s.bytes += len(f.Data)
	if s.sending == nil {
		s.start()
	}
}

// room makes room for the frame if the discipline allows it. The frame that is
// being sent is not taken back.
func (s *Shaper) room(f *Frame) bool {
	for s.len() >= s.cfg.QueuePackets || s.bytes+len(f.Data) > s.cfg.QueueBytes {
		if s.cfg.Discipline != DropHead || s.queue.len() == 0 {
			return false
		}
		s.env.Drop(s.take(), trace.DropQueueFull, s.full)
	}
	return true
}

// take takes the frame at the head out of the queue.
func (s *Shaper) take() *Frame {
	f := s.queue.pop().f
	s.bytes -= len(f.Data)
	return f
}

// start begins to send the next frame, if there is one.
func (s *Shaper) start() {
	now := s.env.Loop.Now()
	if s.cfg.Discipline == CoDel {
		s.codel.dequeue(s, now)
	}
	var f *Frame
	var extra time.Duration
	for lost := true; lost; {
		if s.queue.len() == 0 {
			return
		}
		f = s.queue.pop().f // its bytes count until it is sent
		n := len(f.Data)
		if extra, lost = s.occupy(f); lost {
			s.bytes -= n
		}
	}
	s.sending = f
	rate := s.currentRate()
	if rate != s.rate {
		s.rate, s.excess = rate, 0
		// A token bucket may be empty, but owes nothing for what left at another rate.
		s.free = min(s.free, now.Add(s.bucketTime()))
	}
	s.free = max(s.free, now).Add(s.airtime(s.wireLen(len(f.Data)))).Add(extra)
	s.timer.Reset(max(now, s.free-sim.Time(s.bucketTime())))
}

// bucketTime is how long the token bucket takes to fill.
func (s *Shaper) bucketTime() time.Duration {
	if s.cfg.BurstBytes == 0 || s.rate == 0 {
		return 0
	}
	return airtime(s.cfg.BurstBytes, s.rate)
}

func (s *Shaper) sent() {
	f := s.sending
	s.sending = nil
	s.bytes -= len(f.Data)
	s.start()
	s.next.Put(f)
}

// currentRate is the rate for the next frame: that of the state that the
// conditions are in, if it has one.
func (s *Shaper) currentRate() uint64 {
	if s.extra != nil {
		if rate := s.extra.now().RateBitsPerSecond; rate > 0 {
			return rate
		}
	}
	return s.cfg.RateBitsPerSecond
}

// wireLen returns how many bytes a frame of n bytes takes on the wire.
func (s *Shaper) wireLen(n int) int {
	n = max(0, n+s.cfg.OverheadBytes)
	if s.cfg.CellBytes > 0 {
		cells := (n + s.cfg.CellBytes - 1) / s.cfg.CellBytes
		n = cells * (s.cfg.CellBytes + s.cfg.CellOverheadBytes)
	}
	return n
}

// airtime returns how long n bytes on the wire take. Parts of a nanosecond are
// carried over, so that the rate is exact in the long run.
func (s *Shaper) airtime(n int) time.Duration {
	if s.rate == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(n)*8, uint64(time.Second))
	lo, carry := bits.Add64(lo, s.excess, 0)
	hi += carry
	if hi >= s.rate { // beyond 2^64 ns: 584 years
		return math.MaxInt64
	}
	ns, rest := bits.Div64(hi, lo, s.rate)
	s.excess = rest
	return time.Duration(min(ns, math.MaxInt64))
}
