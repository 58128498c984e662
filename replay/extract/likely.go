package extract

import (
	"math"
)

// afterRun is how likely one more is lost after a run of such.
func afterRun(p float64, run int, long float64) float64 {
	switch {
	case run >= longRun:
		return max(long, p)
	case run > 0:
		return max(burst, p)
	}
	return p
}

// unheard is how likely it is that the last arrival was not answered on its own.
func (f *follower) unheard(b *belief, x *outgoing) float64 {
	q := f.q
	if b.kind == inOrder && x.at-f.sent[b.last].at <= f.hold {
		return q + heldBack
	}
	q = afterRun(q, b.quietBefore, silence)
	b.quietBefore = min(longRun, b.quietBefore+1)
	b.missed++
	b.quiet++
	return q
}

// tardy reports whether the last arrival may still wait for its answer, though longer
// than the peer usually takes: it is a busy machine.
func (f *follower) tardy(b *belief, x *outgoing) bool {
	lapse := x.at - f.sent[b.last].at
	return b.pending && b.kind == inOrder && lapse > f.hold && lapse <= mostHold
}

// emit lets a belief say what was heard: as the answer to what arrived last, or, if it
// carries something, by itself, after that answer was lost.
func (f *follower) emit(c *belief, a *answer, out *[]belief) {
	likely := c.says(a, f.sent, false)
	if a.dsack {
		if x := c.last; c.kind != again || !after(a.twice.End, f.sent[x].seq) || !before(a.twice.Start, f.sent[x].end) {
			likely *= 1e-4
		}
	} else if f.dsack && c.pending && c.kind == again {
		likely *= 0.01 // it would have said so
	}
	f.say(c, a, likely*f.timely(c, a), out)
	if !c.pending || !a.carries || a.dsack {
		return
	}
	d := *c
	const byItself = 0.5
	likely = c.says(a, f.sent, true) * byItself * afterRun(f.q, c.quietBefore, silence)
	d.missed++
	d.quiet++
	f.say(&d, a, likely, out)
}

// say adds a belief that says what was heard, so likely.
func (f *follower) say(c *belief, a *answer, likely float64, out *[]belief) {
	switch {
	case a.missing < 0:
		if a.ahead && c.missed == 0 {
			likely *= 0.3
		}
	case c.missed > a.missing:
		likely *= math.Pow(1e-4, float64(c.missed-a.missing))
	default:
		likely *= math.Pow(0.5, float64(a.missing-c.missed))
	}
	if likely == 0 || c.weight*likely < vanishing {
		return
	}
	d := *c
	d.weight *= likely
	d.answered(a)
	*out = join(*out, d)
	if len(*out) > 2*maxBeliefs {
		*out = f.prune(*out)
	}
}

// timely is how likely an answer comes when it came.
func (f *follower) timely(c *belief, a *answer) float64 {
	if !c.pending {
		switch {
		case a.carries:
			return 0.5
		case a.window:
			return 0.2
		}
		return 0.002 // nothing made it speak
	}
	late := a.at - f.sent[c.last].at - f.best
	switch {
	case late <= slack+f.best/8:
		return 1
	case c.kind == inOrder && late <= f.hold+slack:
		return 0.5
	case late <= f.slow+slack:
		return 0.2
	case late <= 2*f.slow+mostHold:
		return 0.01
	}
	return 1e-5
}
