package analyze

import (
	"fmt"
	"hash/fnv"
	"time"

	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/wire"
)

const (
	// tapWindow is how soon the second sight of a frame is the tap's doing.
	tapWindow = time.Millisecond
	// largestFrame is a full frame of standard Ethernet with two VLAN tags.
	largestFrame = 1522
	recentFrames = 64
)

// artefacts counts what the capturing did.
type artefacts struct {
	ring [recentFrames]sight
	next int
	last sim.Time
	any  bool

	backward, duplicates, giants, missing      uint64
	firstBack, firstDup, firstGiant, firstMiss uint64
	atBack, atDup, atGiant, atMiss             sim.Time
}

type sight struct {
	sum uint64
	at  sim.Time
	set bool
}

func note(n, first *uint64, at *sim.Time, f uint64, t sim.Time) {
	if *n == 0 {
		*first, *at = f, t
	}
	*n++
}

// frame looks at the times and sizes of frames.
func (x *artefacts) frame(f *flow.Frame) {
	if x.any && f.At < x.last {
		note(&x.backward, &x.firstBack, &x.atBack, f.Number, f.At)
	}
	x.last, x.any = f.At, true
	if len(f.Data) > largestFrame {
		note(&x.giants, &x.firstGiant, &x.atGiant, f.Number, f.At)
	}
}

// duplicate finds frames that are the same to the last byte within a
// millisecond: a sender does not send that fast again.
func (x *artefacts) duplicate(f *flow.Frame, r *flow.Result) {
	ip := wire.IPv4(r.IP)
	if r.Conversation == nil || r.Len == 0 && (len(ip) < wire.IPv4HeaderLen || ip[0]>>4 != 4 || ip.ID() == 0) {
		return // empty segments without identification are alike
	}
	h := fnv.New64a()
	_, _ = h.Write(f.Data) // cannot fail
	sum := h.Sum64()
	for i := range x.ring {
		if s := &x.ring[i]; s.set && s.sum == sum {
			if d := f.At.Sub(s.at); d >= 0 && d < tapWindow {
				note(&x.duplicates, &x.firstDup, &x.atDup, f.Number, f.At)
				break
			}
		}
	}
	x.ring[x.next] = sight{sum, f.At, true}
	x.next = (x.next + 1) % recentFrames
}

// segment counts what was acknowledged but not captured.
func (x *artefacts) segment(seg *Segment) {
	if seg.Labels.Has(ACKLostSegment) {
		note(&x.missing, &x.firstMiss, &x.atMiss, seg.Frame, seg.At)
	}
}

// list puts what was counted into words.
func (x *artefacts) list(stats flow.Stats, l *Labeller) []Finding {
	all := []Finding{}
	add := func(kind string, n, first uint64, at sim.Time, text string, args ...any) {
		if n > 0 {
			all = append(all, Finding{At: time.Duration(at), Frame: first, Kind: kind, Count: n, Text: fmt.Sprintf(text, args...)})
		}
	}
	add("duplicates", x.duplicates, x.firstDup, x.atDup, "%d frames are copies of one seen less than %v before: the tap doubled them, or it sees them at two places", x.duplicates, tapWindow)
	add("missing", x.missing, x.firstMiss, x.atMiss, "%d times something was acknowledged that the capture does not have: the tap lost frames", x.missing)
	add("offload", x.giants, x.firstGiant, x.atGiant, "%d frames are larger than %d bytes: captured where the network card still has to cut them, or has put them together", x.giants, largestFrame)
	add("time", x.backward, x.firstBack, x.atBack, "%d frames have an earlier time than the one before", x.backward)
	add("limit", stats.Evicted+l.Forgotten, 0, 0, "%d times a conversation was given up for the limit of %d at once", stats.Evicted+l.Forgotten, MaxStreams)
	return all
}
