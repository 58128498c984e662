package link

import (
	"fmt"
	"slices"

	"hilnet/sim"
)

// A Position is where a stage stands in a direction. Frames pass the positions
// in the order of their numbers, and stages of one position in the order in
// which they were added.
type Position uint8

// The positions. Those without a capital are taken by the stages of
// DirectionConfig.
const (
	atBoxEntrance Position = iota + 1
	atBlackhole
	AtMatch // for stages that choose frames by what they are
	AtModel // for a stage that stands for all that follow, such as netem's
	atLoss
	atBurst
	atConditions
	atDuplicate
	atCorrupt
	atMTU
	atPolicer
	atRate
	atDelay
	atSlot
	atBoxExit
)

// A slot is a stage in its direction.
type slot struct {
	at   Position
	env  *Env
	sink Sink
	out  hop
}

// A hop is the way from one stage to the next. It counts for both.
type hop struct {
	from, to *Env
	next     Sink
}

// Put passes the frame on.
func (h *hop) Put(f *Frame) {
	if h.from != nil {
		h.from.counters.Out++
	}
	if h.to != nil {
		h.to.counters.In++
	}
	h.next.Put(f)
}

// Add puts a stage into the direction, at any moment between two frames. build
// makes it for its Env; name is unique in the direction and stands in the
// stage's path, trace and draws. Frames that are already behind the position
// are not touched.
func (d *Direction) Add(at Position, name string, build func(*Env) Stage) error {
	path := d.Name + "/" + name
	for _, s := range d.slots {
		if s.env.Path == path {
			return fmt.Errorf("link: %s: there is a stage %q already", d.Link, path)
		}
	}
	e := &Env{Loop: d.loop, Stream: sim.NewStream(d.seed, d.Link+"/"+path), Path: path, dir: d}
	s := &slot{at: at, env: e}
	s.out.from = e
	s.sink = build(e)(&s.out)
	i := 0
	for i < len(d.slots) && d.slots[i].at <= at {
		i++
	}
	d.slots = slices.Insert(d.slots, i, s)
	d.join()
	return nil
}

// join makes each stage's way out lead to the stage behind it.
func (d *Direction) join() {
	way := &d.entry
	for _, s := range d.slots {
		way.to, way.next = s.env, s.sink
		way = &s.out
	}
	way.to, way.next = nil, exit{d}
}

// exit is the end of a direction.
type exit struct{ *Direction }

// Put gives the frame to the far end.
func (e exit) Put(f *Frame) {
	d := e.Direction
	d.out++
	for _, o := range d.observers {
		o.Left(d, f)
	}
	d.end.Put(f)
}
