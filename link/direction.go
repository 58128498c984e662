package link

import (
	"fmt"

	"hilnet/sim"
	"hilnet/trace"
)

// IDs numbers the frames of a world, from 1. All links of a world share one.
type IDs struct{ last uint64 }

// Next returns the next number, for frames that get theirs before they enter a link.
func (n *IDs) Next() uint64 {
	n.last++
	return n.last
}

// A Verdict is why and where a frame was dropped.
type Verdict struct {
	Reason trace.DropReason
	Stage  string // such as "up/loss"
	Text   string // the rule, for a person
}

// An Observer is told what happens to the frames of a direction. It copies what
// it keeps. Captures are Observers.
type Observer interface {
	// Entered is called when a frame has got its number.
	Entered(d *Direction, f *Frame)
	// Left is called just before a frame is given to the far end.
	Left(d *Direction, f *Frame)
	// Dropped is called for a frame that goes no further.
	Dropped(d *Direction, f *Frame, v Verdict)
}

// Counters count the frames of a stage or a direction. At every moment
//
//	In + Duplicated + Generated = Out + Dropped + InFlight
type Counters struct {
	In, Duplicated, Generated, Out, Dropped, InFlight uint64
}

func (c Counters) check() error {
	if c.In+c.Duplicated+c.Generated != c.Out+c.Dropped+c.InFlight {
		return fmt.Errorf("in %d + duplicated %d + generated %d is not out %d + dropped %d + in flight %d",
			c.In, c.Duplicated, c.Generated, c.Out, c.Dropped, c.InFlight)
	}
	return nil
}

// A ChangeObserver is an Observer that is also told of copies and damage.
type ChangeObserver interface {
	Observer
	// Duplicated is called when a stage has made one more copy of a frame. Each
	// copy has its own Left or Dropped; all have the frame's ID.
	Duplicated(d *Direction, f *Frame, v Verdict)
	// Corrupted is called when a stage has damaged a frame.
	Corrupted(d *Direction, f *Frame, v Verdict)
}

// A Direction is one way through a Link: a Sink for the frames of one end.
type Direction struct {
	// Link and Name say which it is, such as "link" and "up".
	Link, Name string

	loop      *sim.Loop
	log       *trace.Log
	ids       *IDs
	seed      uint64
	observers []Observer
	deciders  []Decider
	decision  Decision // the one that is being made

	entry            hop
	end              Sink
	slots            []*slot
	in, out, dropped uint64
	generated        uint64
}

// Put numbers the frame and sends it on its way.
func (d *Direction) Put(f *Frame) {
	if f.ID == 0 {
		f.ID = d.ids.Next()
	}
	d.in++
	f.Ordinal, f.Entered = d.in, d.loop.Now()
	for _, o := range d.observers {
		o.Entered(d, f)
	}
	d.entry.Put(f)
}

// Observe adds an Observer, which is called after those added earlier.
func (d *Direction) Observe(o Observer) { d.observers = append(d.observers, o) }

// Counters returns the direction's counters; InFlight is what its stages hold.
func (d *Direction) Counters() Counters {
	c := Counters{In: d.in, Out: d.out, Dropped: d.dropped}
	for _, s := range d.StageCounters() {
		c.Duplicated += s.Duplicated
		c.Generated += s.Generated
		c.InFlight += s.InFlight
	}
	return c
}

// StageCounters are the counters of one stage.
type StageCounters struct {
	Path string
	Counters
}

// StageCounters returns the counters of all stages in their order.
func (d *Direction) StageCounters() []StageCounters {
	all := make([]StageCounters, len(d.slots))
	for i, s := range d.slots {
		e := s.env
		all[i] = StageCounters{e.Path, e.counters}
		if e.inFlight != nil {
			all[i].InFlight = e.inFlight()
		}
	}
	return all
}

// Check returns an error when a frame is unaccounted for.
func (d *Direction) Check() error {
	for _, s := range d.StageCounters() {
		if err := s.check(); err != nil {
			return fmt.Errorf("link: %s: stage %s: %w", d.Link, s.Path, err)
		}
	}
	if err := d.Counters().check(); err != nil {
		return fmt.Errorf("link: %s: direction %s: %w", d.Link, d.Name, err)
	}
	return nil
}
