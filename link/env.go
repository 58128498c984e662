package link

import (
	"hilnet/sim"
	"hilnet/trace"
)

// Env is a stage's place in its world: its clock, its randomness, its name, and
// the ledger that every frame it does not pass on must be written to.
type Env struct {
	Loop   *sim.Loop
	Stream sim.Stream // draws of this stage, by Frame.Ordinal
	Path   string     // such as "up/loss", unique in its link

	dir      *Direction
	counters Counters
	inFlight func() uint64
}

// Substream returns the draws of one more decision of the stage.
func (e *Env) Substream(name string) sim.Stream {
	return sim.NewStream(e.dir.seed, e.dir.Link+"/"+e.Path+"/"+name)
}

// Holds sets the function that counts the frames the stage keeps. A stage that
// keeps frames calls it once, when it is made.
func (e *Env) Holds(inFlight func() uint64) { e.inFlight = inFlight }

// Drop ends the frame's way: it is counted, reported with its reason, and
// released. text names the rule for a person.
func (e *Env) Drop(f *Frame, reason trace.DropReason, text string) {
	e.counters.Dropped++
	d := e.dir
	d.dropped++
	d.log.Emit(trace.Event{
		Kind: trace.KindDrop, Node: d.Link, Stage: e.Path, Frame: f.ID,
		Reason: reason, Len: len(f.Data), Count: int64(f.Ordinal), Text: text,
	})
	v := Verdict{Reason: reason, Stage: e.Path, Text: text}
	for _, o := range d.observers {
		o.Dropped(d, f, v)
	}
	f.Release()
}

// Duplicate returns a copy of the frame, counted and reported, which the stage
// passes on or drops. It has the frame's ID and Ordinal and a Copy number that
// the caller gives: copies of one frame have different ones, none has 0.
func (e *Env) Duplicate(f *Frame, number uint32) *Frame {
	e.counters.Duplicated++
	d := e.dir
	g := CopyFrame(f.Data)
	g.ID, g.Ordinal, g.Entered, g.Copy = f.ID, f.Ordinal, f.Entered, number
	d.log.Emit(trace.Event{
		Kind: trace.KindDuplicate, Node: d.Link, Stage: e.Path, Frame: f.ID, Len: len(f.Data), Count: int64(number),
	})
	for _, o := range d.observers {
		if c, ok := o.(ChangeObserver); ok {
			c.Duplicated(d, f, Verdict{Stage: e.Path})
		}
	}
	return g
}

// Changed reports that the stage has changed the frame's bytes: kind is
// trace.KindCorrupt for damage and trace.KindMark for what a router may do; bit
// is the first one that changed, counted from the frame's beginning.
func (e *Env) Changed(f *Frame, kind trace.Kind, text string, bit int64) {
	d := e.dir
	d.log.Emit(trace.Event{Kind: kind, Node: d.Link, Stage: e.Path, Frame: f.ID, Len: len(f.Data), Count: bit, Text: text})
	if kind != trace.KindCorrupt {
		return
	}
	for _, o := range d.observers {
		if c, ok := o.(ChangeObserver); ok {
			c.Corrupted(d, f, Verdict{Stage: e.Path, Text: text})
		}
	}
}

// GeneratedOrdinals is above the Ordinal of every frame that entered a
// direction: those that a stage makes itself are counted from there, so that
// they do not move the draws of the others.
const GeneratedOrdinals = 1 << 62

// Generate returns a frame of n bytes that the stage itself sends, counted and
// numbered. text says what it is.
func (e *Env) Generate(n int, text string) *Frame {
	e.counters.Generated++
	d := e.dir
	d.generated++
	f := NewFrame(n)
	f.ID, f.Ordinal, f.Entered = d.ids.Next(), GeneratedOrdinals+d.generated, d.loop.Now()
	d.log.Emit(trace.Event{Kind: trace.KindGenerated, Node: d.Link, Stage: e.Path, Frame: f.ID, Len: n, Text: text})
	return f
}
