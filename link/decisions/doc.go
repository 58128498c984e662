// Package decisions is the decision log of a run: which frames entered each
// direction of each link, what its stages drew and decided for them, and which
// frames a rule dropped. A [Recorder] writes it, [Read] reads it, and a [Replay]
// makes another run decide alike, or stops it where it goes another way.
//
// A list of drops is the simplest form: the frames named in it are dropped at
// the entrance of their direction, and nothing else changes.
//
// It is neither a trace (package trace) nor a capture (package pcaps): it has no
// bytes of frames and nothing that happened outside the links. Frames are
// counted at the entrance of their direction, before anything can drop them, so
// a drop does not renumber the frames that were sent before it.
//
// Everything that runs belongs to the goroutine of the loop. A Log does not
// change once it was read: worlds that run side by side may share one.
package decisions
