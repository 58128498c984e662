package link

import (
	"fmt"
	"math/bits"
	"time"

	"hilnet/sim"
	"hilnet/trace"
)

// SlotConfig lets frames leave in slots only, as a radio that wakes up at times
// or a MAC layer that gathers frames. When a slot's packets or bytes are used
// up, the next one begins a pause later; the pause is uniform between Min and
// Max. A frame that comes after the pause begins a slot of its own.
type SlotConfig struct {
	Min, Max time.Duration
	Packets  int // of a slot; 0: no limit
	Bytes    int // of a slot; 0: no limit. The last frame may exceed it
	// Grid makes slots begin at multiples of Min (which is then also Max) since
	// the start of the run, as a connection interval does, even for a frame that
	// comes after a pause.
	Grid bool
	// QueuePackets bounds the frames that wait; 0: DefaultQueuePackets.
	QueuePackets int
}

func (c SlotConfig) on() bool { return c.Max > 0 }

func (c SlotConfig) validate() error {
	switch {
	case c.Min < 0 || c.Max < c.Min || c.Max > MaxDelay:
		return fmt.Errorf("link: slots %v to %v apart: not a range up to %v", c.Min, c.Max, MaxDelay)
	case c.Packets < 0 || c.Bytes < 0:
		return fmt.Errorf("link: slots of %d packets, %d B", c.Packets, c.Bytes)
	case c.QueuePackets < 0 || c.QueuePackets > MaxQueuePackets:
		return fmt.Errorf("link: a slot's queue of %d packets is not between 0 and %d", c.QueuePackets, MaxQueuePackets)
	case c.Grid && (c.Min != c.Max || c.Min == 0):
		return fmt.Errorf("link: a grid of slots needs one distance, not %v to %v", c.Min, c.Max)
	case c.on() && !c.Grid && c.Packets == 0 && c.Bytes == 0:
		return fmt.Errorf("link: slots without a number of packets or bytes never end")
	}
	return nil
}

// slotter is a SlotConfig at work.
type slotter struct {
	env     *Env
	cfg     SlotConfig
	full    string
	queue   ring[*Frame]
	opens   sim.Time // when the slot begins or began
	packets int      // sent in this slot
	bytes   int
	slots   uint64 // drawn so far
	timer   *sim.Timer
	next    Sink
}

func (s *slotter) set(c SlotConfig) {
	if c.QueuePackets == 0 {
		c.QueuePackets = DefaultQueuePackets
	}
	s.cfg, s.full = c, fmt.Sprintf("%d frames wait for a slot", c.QueuePackets)
	if s.timer != nil && s.queue.len() > 0 {
		s.timer.Reset(s.env.Loop.Now()) // the new setting decides at once
	}
}

func (s *slotter) stage(next Sink) Sink {
	s.next = next
	s.timer = s.env.Loop.NewTimer(s.send)
	s.env.Holds(func() uint64 { return uint64(s.queue.len()) })
	return SinkFunc(s.put)
}

func (s *slotter) put(f *Frame) {
	if !s.cfg.on() && s.queue.len() == 0 {
		s.next.Put(f)
		return
	}
	if s.queue.len() >= s.cfg.QueuePackets {
		s.env.Drop(f, trace.DropQueueFull, s.full)
		return
	}
	s.queue.push(f)
	if s.queue.len() == 1 {
		s.send()
	}
}

// send lets one frame go if a slot is open, and waits for the next if not.
func (s *slotter) send() {
	now := s.env.Loop.Now()
	if s.cfg.on() && !s.open(now) {
		s.timer.Reset(s.opens)
		return
	}
	f := s.queue.pop()
	s.packets++
	s.bytes += len(f.Data)
	if s.cfg.Packets > 0 && s.packets >= s.cfg.Packets || s.cfg.Bytes > 0 && s.bytes >= s.cfg.Bytes {
		s.begin(now)
	}
	if s.queue.len() > 0 {
		s.timer.Reset(now) // each frame is an event of its own
	}
	s.next.Put(f)
}

// open reports whether a frame may leave now.
func (s *slotter) open(now sim.Time) bool {
	if !s.cfg.Grid {
		return s.opens <= now
	}
	if s.opens > now {
		return false
	}
	grid := sim.Time(s.cfg.Min)
	if s.opens == now && now%grid == 0 {
		return true
	}
	s.opens = (now + grid - 1) / grid * grid
	s.packets, s.bytes = 0, 0
	return s.opens == now
}

// begin sets when the next slot begins.
func (s *slotter) begin(now sim.Time) {
	s.packets, s.bytes = 0, 0
	if s.cfg.Grid {
		grid := sim.Time(s.cfg.Min)
		s.opens = (now/grid + 1) * grid
		return
	}
	s.slots++
	pause, _ := bits.Mul64(s.env.Stream.At(s.slots), uint64(s.cfg.Max-s.cfg.Min)+1)
	s.opens = now.Add(s.cfg.Min + time.Duration(pause))
}
