package decisions

import (
	"fmt"

	"hilnet/link"
)

// A follower makes one direction decide as its log says.
type follower struct {
	*Replay
	way *wayReplay
}

// Entered sees that the frame is the one of the log.
func (r *follower) Entered(_ *link.Direction, f *link.Frame) {
	w := r.way
	w.entered++
	if r.err != nil {
		return
	}
	switch n := uint64(len(w.log.frames)); {
	case f.Ordinal > n:
		r.mismatch(0, "the log ends with frame %d of %s %s, and the run has sent another one", n, w.key.link, w.key.dir)
	case w.log.frames[f.Ordinal-1].length != len(f.Data):
		l := &w.log.frames[f.Ordinal-1]
		r.mismatch(l.line, "frame %d of %s %s has %d bytes in the log and %d in the run", f.Ordinal, w.key.link, w.key.dir, l.length, len(f.Data))
	}
}

// Decide takes the decision from the log.
func (r *follower) Decide(d *link.Direction, f *link.Frame, c *link.Decision) {
	r.last = settled{d, f.Ordinal, f.Copy, c.Stage}
	if r.err != nil {
		return
	}
	logged := r.find(f, c.Stage, false)
	switch {
	case logged == nil:
		r.mismatch(r.lineOf(f), "%s draws for %s, of which the log has nothing", c.Stage, describe(f))
	case logged.verb != c.Verb:
		r.mismatch(logged.line, "%s draws %q for %s, and %q in the log", c.Stage, c.Verb, describe(f), logged.verb)
	default:
		c.Yes, c.Delay = logged.yes, logged.delay
		r.use(logged)
	}
}

// Left does nothing.
func (*follower) Left(*link.Direction, *link.Frame) {}

// Dropped sees that a drop which no draw decided is in the log.
func (r *follower) Dropped(d *link.Direction, f *link.Frame, v link.Verdict) {
	if r.err != nil || r.last.is(d, f, v.Stage) {
		return
	}
	logged := r.find(f, v.Stage, true)
	if logged == nil {
		r.mismatch(r.lineOf(f), "%s drops %s (%s), and not in the log", v.Stage, describe(f), v.Reason)
		return
	}
	r.use(logged)
}

// frame returns what the log has of a frame, or nil.
func (r *follower) frame(f *link.Frame) *frameLog {
	l := r.way.log
	switch {
	case f.Ordinal > link.GeneratedOrdinals:
		return l.made[f.Ordinal-link.GeneratedOrdinals]
	case f.Ordinal <= uint64(len(l.frames)):
		return &l.frames[f.Ordinal-1]
	}
	return nil
}

func (r *follower) lineOf(f *link.Frame) int {
	if l := r.frame(f); l != nil {
		return l.line
	}
	return 0
}

// find returns the decision of the log that is not used yet.
func (r *follower) find(f *link.Frame, stage string, ruled bool) *decision {
	l := r.frame(f)
	if l == nil {
		return nil
	}
	for i := range l.decisions {
		c := &l.decisions[i]
		if c.stage == stage && c.copy == f.Copy && c.ruled == ruled && !r.isUsed(c) {
			return c
		}
	}
	return nil
}

func (r *Replay) isUsed(c *decision) bool { return r.used[c.line/64]>>(c.line%64)&1 != 0 }

func (r *follower) use(c *decision) {
	r.used[c.line/64] |= 1 << (c.line % 64)
	r.way.left--
}

func describe(f *link.Frame) string {
	what := fmt.Sprintf("frame %d", f.Ordinal)
	if f.Ordinal > link.GeneratedOrdinals {
		what = fmt.Sprintf("its own frame %d", f.Ordinal-link.GeneratedOrdinals)
	}
	if f.Copy != 0 {
		what += fmt.Sprintf(", copy %d", f.Copy)
	}
	return what
}

// mismatch stops the run.
func (r *Replay) mismatch(line int, format string, args ...any) error {
	r.err = &Mismatch{Log: r.log.Name, Line: line, Text: fmt.Sprintf(format, args...)}
	r.stop(r.err)
	return r.err
}
