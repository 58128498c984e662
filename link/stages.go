package link

import (
	"fmt"
	"math"
	"math/bits"
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// A Blackhole swallows every frame while it is on, and nobody is told. It
// stands at the entrance: frames that are already inside the link arrive.
type Blackhole struct {
	env *Env
	on  bool
}

// Set switches the blackhole.
func (b *Blackhole) Set(on bool) { b.on = on }

// On reports whether the blackhole swallows frames.
func (b *Blackhole) On() bool { return b.on }

func (b *Blackhole) stage(next Sink) Sink {
	return SinkFunc(func(f *Frame) {
		if b.on {
			b.env.Drop(f, trace.DropBlackhole, "blackhole")
			return
		}
		next.Put(f)
	})
}

// A Loss drops each frame with the same probability, independently of all others.
type Loss struct {
	env       *Env
	p         float64
	threshold uint64 // drop when a 53-bit draw is below it
}

const drawBits = 53

// Set changes the probability, 0 to 1.
func (l *Loss) Set(p float64) error {
	if !(p >= 0 && p <= 1) {
		return fmt.Errorf("link: loss probability %v is not between 0 and 1", p)
	}
	// Multiplying by a power of two is exact, so the verdict is the same on every machine.
	l.p, l.threshold = p, uint64(math.Ldexp(p, drawBits))
	return nil
}

func (l *Loss) stage(next Sink) Sink {
	return SinkFunc(func(f *Frame) {
		if l.threshold > 0 && l.env.Stream.At(f.Ordinal)>>(64-drawBits) < l.threshold {
			l.env.Drop(f, trace.DropLoss, "")
			return
		}
		next.Put(f)
	})
}

// Defaults of a Shaper's queue.
const (
	DefaultQueuePackets = 1000 // as netem's limit
	DefaultQueueBytes   = 16 << 20
)

// A Shaper sends frames one after the other at a rate, those that wait in a
// drop-tail queue. Without a rate it passes frames through.
type Shaper struct {
	env *Env
	cfg ShaperConfig

	queue  ring[*Frame] // the frame being sent is at the head
	bytes  int
	timer  *sim.Timer
	next   Sink
	excess uint64 // part of a nanosecond, in units of 1/rate, that the last frame took longer
}

// ShaperConfig configures a Shaper.
type ShaperConfig struct {
	RateBitsPerSecond uint64 // 0: no limit
	// OverheadBytes are added to each frame's length: 24 for what Ethernet adds
	// on a wire (checksum, preamble, gap).
	OverheadBytes int
	QueuePackets  int // frames that wait or are being sent; 0: DefaultQueuePackets
	QueueBytes    int // their bytes; 0: DefaultQueueBytes
}

// Set changes rate and limits between two frames: what is queued stays.
func (s *Shaper) Set(cfg ShaperConfig) error {
	if cfg.OverheadBytes < 0 || cfg.OverheadBytes > 65535 {
		return fmt.Errorf("link: overhead %d B is not between 0 and 65,535", cfg.OverheadBytes)
	}
	if cfg.QueuePackets < 0 || cfg.QueueBytes < 0 {
		return fmt.Errorf("link: a queue of %d packets, %d B", cfg.QueuePackets, cfg.QueueBytes)
	}
	if cfg.QueuePackets == 0 {
		cfg.QueuePackets = DefaultQueuePackets
	}
	if cfg.QueueBytes == 0 {
		cfg.QueueBytes = DefaultQueueBytes
	}
	s.cfg, s.excess = cfg, 0
	return nil
}

func (s *Shaper) stage(next Sink) Sink {
	s.next = next
	s.timer = s.env.Loop.NewTimer(s.sent)
	return SinkFunc(s.put)
}

func (s *Shaper) put(f *Frame) {
	if s.cfg.RateBitsPerSecond == 0 && s.queue.len() == 0 {
		s.next.Put(f)
		return
	}
	if s.queue.len() >= s.cfg.QueuePackets || s.bytes+len(f.Data) > s.cfg.QueueBytes {
		s.env.Drop(f, trace.DropQueueFull, fmt.Sprintf("%d frames, %d B queued", s.queue.len(), s.bytes))
		return
	}
	s.queue.push(f)
	s.bytes += len(f.Data)
	if s.queue.len() == 1 {
		s.start()
	}
}

// start begins to send the frame at the head.
func (s *Shaper) start() {
	s.timer.ResetAfter(s.airtime(len(s.queue.front().Data)))
}

func (s *Shaper) sent() {
	f := s.queue.pop()
	s.bytes -= len(f.Data)
	if s.queue.len() > 0 {
		s.start()
	}
	s.next.Put(f)
}

// airtime returns how long a frame of n bytes takes. Parts of a nanosecond are
// carried over, so that the rate is exact in the long run.
func (s *Shaper) airtime(n int) time.Duration {
	rate := s.cfg.RateBitsPerSecond
	if rate == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(n+s.cfg.OverheadBytes)*8, uint64(time.Second))
	lo, carry := bits.Add64(lo, s.excess, 0)
	hi += carry
	if hi >= rate { // beyond 2^64 ns: 584 years
		return math.MaxInt64
	}
	ns, rest := bits.Div64(hi, lo, rate)
	s.excess = rest
	return time.Duration(min(ns, math.MaxInt64))
}

// A Delay holds each frame for a fixed time. Frames keep their order: when the
// delay is shortened, a later frame waits for an earlier one.
type Delay struct {
	env   *Env
	d     time.Duration
	queue ring[delayed]
	last  sim.Time
	timer *sim.Timer
	next  Sink
}

type delayed struct {
	at sim.Time
	f  *Frame
}

// MaxDelayed bounds the frames that a Delay holds.
const MaxDelayed = 1 << 20

// Set changes the delay for frames that come later.
func (d *Delay) Set(delay time.Duration) error {
	if delay < 0 {
		return fmt.Errorf("link: delay %v is negative", delay)
	}
	d.d = delay
	return nil
}

func (d *Delay) stage(next Sink) Sink {
	d.next = next
	d.timer = d.env.Loop.NewTimer(d.due)
	return SinkFunc(d.put)
}

// put queues the frame even when there is no delay: the far end then handles it
// as an event of its own, never inside the sender's call.
func (d *Delay) put(f *Frame) {
	if d.queue.len() >= MaxDelayed {
		d.env.Drop(f, trace.DropQueueFull, fmt.Sprintf("%d frames in flight", d.queue.len()))
		return
	}
	d.last = max(d.last, d.env.Loop.Now().Add(d.d))
	d.queue.push(delayed{d.last, f})
	if d.queue.len() == 1 {
		d.timer.Reset(d.last)
	}
}

func (d *Delay) due() {
	f := d.queue.pop().f
	if d.queue.len() > 0 {
		d.timer.Reset(d.queue.front().at)
	}
	d.next.Put(f)
}
