package pcaps

import (
	"strconv"
	"strings"
)

// A Direction is a frame's direction seen from the capture point's own device.
type Direction uint8

// The directions.
const (
	DirectionNone Direction = iota
	Inbound
	Outbound
)

// Direction returns the direction that the packet's flags state.
func (p *Packet) Direction() Direction {
	if d := Direction(p.Flags & FlagDirection); p.Fields&FieldFlags != 0 && d <= Outbound {
		return d
	}
	return DirectionNone
}

func (d Direction) flags() uint32 { return uint32(d) & FlagDirection }

// A Pending says whether the fate of a captured frame is still to come.
type Pending bool

// Whether Fate will be called for the frame.
const (
	FateFinal   Pending = false // nothing more will be said about the frame
	FatePending Pending = true  // Fate will be called
)

// A FateKind is what happened to a frame on the link.
type FateKind uint8

// The kinds. Delivered and Dropped end one copy of a frame; Duplicated adds a
// copy, whose end the record then waits for too; Corrupted is a remark.
const (
	FateNone FateKind = iota
	Delivered
	Dropped
	Duplicated
	Corrupted
)

// String returns the word that stands in comments.
func (k FateKind) String() string {
	switch k {
	case Delivered:
		return "delivered"
	case Dropped:
		return "dropped"
	case Duplicated:
		return "duplicated"
	case Corrupted:
		return "corrupted"
	}
	return "none"
}

// A Fate is one thing that happened to a frame on the link. Empty strings are
// left out of the comment.
type Fate struct {
	Kind    FateKind
	Stage   string
	Rule    string
	Reason  string
	Ordinal uint64 // of the packet at the link direction's entrance
}

// Comments of records whose fate is not known.
const (
	commentInFlight  = "in flight at the end of the run"
	commentUndecided = "undecided: too many records waited for their fate, which the trace has"
	commentLate      = "out of order: captured after later records were written"
	commentMore      = "more happened to this frame, which the trace has"
)

// remarkRoom bounds the remarks on one waiting record. The last of them says
// that there were more.
const remarkRoom = 1024

// appendRemark adds "dropped: stage=… rule=… reason=… seed=… ordinal=…" and a
// NUL to notes, which separates comments.
func (f *Fate) appendRemark(notes []byte, seed uint64) []byte {
	longest := len(f.Stage) + len(f.Rule) + len(f.Reason)
	if len(notes)+longest*4+128 > remarkRoom { // *4: quoting
		return appendNote(notes, commentMore)
	}
	notes = append(notes, f.Kind.String()...)
	notes = append(notes, ':')
	for _, part := range [...]struct{ name, value string }{{" stage=", f.Stage}, {" rule=", f.Rule}, {" reason=", f.Reason}} {
		if part.value == "" {
			continue
		}
		notes = append(notes, part.name...)
		if strings.ContainsAny(part.value, " =\"\\\x00\n") {
			notes = strconv.AppendQuote(notes, part.value)
		} else {
			notes = append(notes, part.value...)
		}
	}
	notes = strconv.AppendUint(append(notes, " seed="...), seed, 10)
	notes = strconv.AppendUint(append(notes, " ordinal="...), f.Ordinal, 10)
	return append(notes, 0)
}

// appendNote adds a fixed comment once; it always fits.
func appendNote(notes []byte, comment string) []byte {
	if n := len(notes) - len(comment) - 1; n >= 0 && string(notes[n:len(notes)-1]) == comment {
		return notes
	}
	return append(append(notes, comment...), 0)
}
