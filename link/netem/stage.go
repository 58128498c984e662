package netem

import (
	"fmt"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// StageName is the name of the stage in its direction, and so in the trace and
// in drops.
const StageName = "netem"

// A Stage is netem in a direction of a link, exact: it takes the place of loss,
// duplicate, corrupt, rate and delay, which ought to be off.
type Stage struct {
	env   *link.Env
	q     *Qdisc
	timer *sim.Timer
	next  link.Sink
}

// Add puts an exact netem into a direction of a link. seed, unless the Config
// has its own, and what the kernel takes from its entropy pool come from the
// world's seed and the stage's path.
func Add(d *link.Direction, cfg Config, tables Tables) (*Stage, error) {
	s := &Stage{}
	err := cfg.valid(tables)
	if err == nil {
		err = d.Add(link.AtModel, StageName, func(e *link.Env) link.Stage {
			s.env = e
			entropy, n := e.Substream("entropy"), uint64(0)
			s.q = newQdisc(s, func() uint32 {
				n++
				return uint32(entropy.At(n) >> 32)
			})
			s.q.change(e.Loop.Now(), cfg, tables)
			e.Holds(func() uint64 { return uint64(s.q.Len()) })
			return s.stage
		})
	}
	if err != nil {
		return nil, fmt.Errorf("netem: %s, %s: %w", d.Link, d.Name, err)
	}
	return s, nil
}

// Set changes the configuration between two packets, as Qdisc.Change says.
func (s *Stage) Set(cfg Config, tables Tables) error {
	if err := s.q.Change(s.env.Loop.Now(), cfg, tables); err != nil {
		return err
	}
	s.dequeue()
	return nil
}

// Counters returns what netem has done so far.
func (s *Stage) Counters() Counters { return s.q.Counters() }

func (s *Stage) stage(next link.Sink) link.Sink {
	s.next = next
	s.timer = s.env.Loop.NewTimer(s.dequeue)
	return s
}

// Put takes a frame. What leaves at once goes on inside the call, as in the
// kernel, where a limit is met by what waits and not by what has left; the delay
// at the end of each direction makes an event of it.
func (s *Stage) Put(f *link.Frame) {
	s.q.Enqueue(s.env.Loop.Now(), f)
	s.dequeue()
}

// dequeue passes on what leaves now.
func (s *Stage) dequeue() {
	for {
		f, at := s.q.Dequeue(s.env.Loop.Now())
		if f == nil {
			if at != sim.Never {
				s.timer.Reset(at)
			}
			return
		}
		s.next.Put(f)
	}
}

// Drop tells the link of a frame that netem drops.
func (s *Stage) Drop(f *link.Frame, reason trace.DropReason, text string) {
	s.env.Drop(f, reason, text)
}

// Duplicate makes a copy that the link counts.
func (s *Stage) Duplicate(f *link.Frame, number uint32) *link.Frame {
	return s.env.Duplicate(f, number)
}

// Corrupted tells the link of a flipped bit.
func (s *Stage) Corrupted(f *link.Frame, at, bit int) {
	s.env.Changed(f, trace.KindCorrupt, "", int64(8*at+bit))
}

// Marked tells the link of a mark, which is in the second byte of the packet.
func (s *Stage) Marked(f *link.Frame) {
	s.env.Changed(f, trace.KindMark, "netem loss with ecn", 8*(wire.EthernetHeaderLen+1))
}
