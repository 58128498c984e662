package traces

import (
	"fmt"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// DropTraceEnded is why a frame is dropped behind the end of a trace that is
// played once.
const DropTraceEnded trace.DropReason = "trace_ended"

// DeliverConfig configures Deliver.
type DeliverConfig struct {
	// Start is where in the trace to begin, less than its round.
	Start time.Duration
	// Once ends the link with the trace: what waits then, and what comes later, is
	// dropped. Otherwise the trace begins again.
	Once bool
	// QueuePackets and QueueBytes bound what waits, the packet that is on its way
	// not counted; 0: link.DefaultQueuePackets and link.DefaultQueueBytes.
	QueuePackets, QueueBytes int
	// DropHead drops the packets that have waited longest, instead of a new one.
	DropHead bool
}

// A Delivery plays Opportunities.
type Delivery struct {
	env   *link.Env
	trace *Opportunities
	cfg   DeliverConfig
	base  sim.Time
	next  link.Sink
	timer *sim.Timer

	k       int64 // the next opportunity
	current *link.Frame
	left    int // bytes of current that are not sent
	queue   []*link.Frame
	head    int
	bytes   int
}

// DeliverName is the name of the stage in its direction.
const DeliverName = "trace"

// Deliver puts a stage into a direction that delivers frames when the trace has
// an opportunity. The trace begins now. An opportunity carries several packets
// or a part of one; a packet leaves with its last byte; what nobody uses is
// lost. Lengths are those of IP packets, so without the Ethernet header. A
// packet longer than an opportunity, which stops mahimahi, is dropped.
func Deliver(d *link.Direction, t *Opportunities, cfg DeliverConfig) (*Delivery, error) {
	if cfg.Start < 0 || cfg.Start >= t.Round() {
		return nil, fmt.Errorf("traces: start %v is not within the %v of the trace", cfg.Start, t.Round())
	}
	s := &Delivery{trace: t, cfg: cfg}
	err := s.SetQueue(cfg.QueuePackets, cfg.QueueBytes, cfg.DropHead)
	if err != nil {
		return nil, err
	}
	err = d.Add(link.AtModel, DeliverName, func(e *link.Env) link.Stage {
		s.env, s.base = e, e.Loop.Now()-sim.Time(cfg.Start)
		e.Holds(func() uint64 { return uint64(s.waiting()) + one(s.current != nil) })
		return s.stage
	})
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	return s, nil
}

// SetQueue changes the limits between two frames; what waits stays. 0 is the
// default of each.
func (s *Delivery) SetQueue(packets, bytes int, dropHead bool) error {
	if packets < 0 || bytes < 0 || packets > link.MaxQueuePackets || bytes > link.MaxQueueBytes {
		return fmt.Errorf("traces: a queue of %d packets, %d B", packets, bytes)
	}
	if packets == 0 {
		packets = link.DefaultQueuePackets
	}
	if bytes == 0 {
		bytes = link.DefaultQueueBytes
	}
	s.cfg.QueuePackets, s.cfg.QueueBytes, s.cfg.DropHead = packets, bytes, dropHead
	return nil
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (s *Delivery) waiting() int { return len(s.queue) - s.head }

func (s *Delivery) stage(next link.Sink) link.Sink {
	s.next = next
	s.timer = s.env.Loop.NewTimer(s.due)
	return s
}

// length is that of the IP packet in the frame.
func length(f *link.Frame) int { return max(0, len(f.Data)-wire.EthernetHeaderLen) }

// Put queues a frame. Opportunities up to now are gone before it comes.
func (s *Delivery) Put(f *link.Frame) {
	now := s.env.Loop.Now()
	s.use(now)
	if s.current == nil && s.waiting() == 0 {
		s.k = max(s.k, s.trace.after(s.base, now)) // nobody used those before
	}
	switch {
	case length(f) > OpportunityBytes:
		s.env.Drop(f, trace.DropTooLong, "longer than an opportunity of the trace")
		return
	case s.trace.time(s.base, s.k, s.cfg.Once) == sim.Never:
		s.env.Drop(f, DropTraceEnded, "")
		return
	case !s.room(f):
		return
	}
	if s.head > 0 && s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
	} else if s.head > 64 && s.head > len(s.queue)/2 {
		n := copy(s.queue, s.queue[s.head:])
		clear(s.queue[n:])
		s.queue, s.head = s.queue[:n], 0
	}
	s.queue = append(s.queue, f)
	s.bytes += length(f)
	s.arm()
}

// room makes room for a frame, or drops it.
func (s *Delivery) room(f *link.Frame) bool {
	fits := func() bool {
		return s.waiting() < s.cfg.QueuePackets && s.bytes+length(f) <= s.cfg.QueueBytes
	}
	for s.cfg.DropHead && !fits() && s.waiting() > 0 {
		s.env.Drop(s.pop(), trace.DropQueueFull, "trace, drop head")
	}
	if !fits() {
		s.env.Drop(f, trace.DropQueueFull, "trace, drop tail")
		return false
	}
	return true
}

func (s *Delivery) pop() *link.Frame {
	f := s.queue[s.head]
	s.queue[s.head] = nil
	s.head++
	s.bytes -= length(f)
	return f
}

func (s *Delivery) arm() { s.timer.Reset(s.trace.time(s.base, s.k, s.cfg.Once)) }

func (s *Delivery) due() { s.use(s.env.Loop.Now()) }

// use spends the opportunities up to now.
func (s *Delivery) use(now sim.Time) {
	for s.current != nil || s.waiting() > 0 {
		at := s.trace.time(s.base, s.k, s.cfg.Once)
		if at == sim.Never {
			s.end()
			return
		}
		if at > now {
			s.timer.Reset(at)
			return
		}
		s.k++
		s.spend()
	}
	s.timer.Stop()
}

// spend sends with one opportunity.
func (s *Delivery) spend() {
	budget := OpportunityBytes
	for {
		if s.current == nil {
			if s.waiting() == 0 {
				return
			}
			s.current = s.pop()
			s.left = length(s.current)
		}
		part := min(budget, s.left)
		budget -= part
		s.left -= part
		if s.left > 0 {
			return
		}
		f := s.current
		s.current = nil
		s.next.Put(f)
	}
}

// end drops what a trace that has ended leaves behind.
func (s *Delivery) end() {
	if f := s.current; f != nil {
		s.current = nil
		s.env.Drop(f, DropTraceEnded, "")
	}
	for s.waiting() > 0 {
		s.env.Drop(s.pop(), DropTraceEnded, "")
	}
}
