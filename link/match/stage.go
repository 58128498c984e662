package match

import (
	"fmt"

	"hilnet/link"
	"hilnet/trace"
	"hilnet/wire"
)

// copyNumber is that of a copy which Duplicate makes: a link's own has 1.
const copyNumber = 2

// A held frame waits until others have passed.
type held struct {
	f    *link.Frame
	rule *rule
	left int // frames that pass before it does; 0: it is not counted
}

// build makes the stage.
func (w *way) build(e *link.Env) link.Stage {
	w.env = e
	e.Holds(func() uint64 { return uint64(len(w.held) + w.delayed) })
	return func(next link.Sink) link.Sink {
		w.next = next
		return link.SinkFunc(w.put)
	}
}

// put does to the frame what the rules say that have chosen it.
func (w *way) put(f *link.Frame) {
	if len(w.hits) == 0 || f.Ordinal != w.ordinal || f.Copy != 0 {
		w.pass(f)
		return
	}
	hits := w.hits
	w.hits = nil // what acts may send frames at once, which enter here
	defer func() { w.hits = append(hits[:0], w.hits...) }()
	others := w.others(false)
	for i := range hits {
		h := &hits[i]
		text := ""
		if h.rule.Message != 0 {
			text = others
		}
		if gone := w.act(h, f, text); gone {
			return
		}
	}
	w.pass(f)
}

// act does one thing; gone reports whether the frame goes no further now.
func (w *way) act(h *hit, f *link.Frame, others string) (gone bool) {
	if room := len(w.held)+w.delayed < MaxHeld; !room && (h.rule.Do == Delay || h.rule.Do == Hold) {
		w.tell(h, f.ID, others)
		w.env.Drop(f, trace.DropDelayFull, fmt.Sprintf("%d frames are held by rules", MaxHeld))
		return true
	}
	if h.rule.Do == Corrupt {
		w.corrupt(h, f, others)
		return false
	}
	w.tell(h, f.ID, others)
	switch h.rule.Do {
	case Drop:
		w.env.Drop(f, trace.DropMatch, h.rule.words+": "+h.text+others)
		return true
	case Delay:
		w.delayed++
		w.env.Loop.After(h.rule.By, func() {
			w.delayed--
			w.next.Put(f)
		})
		return true
	case Hold:
		w.held = append(w.held, held{f, h.rule, h.rule.Frames})
		return true
	case Duplicate:
		w.next.Put(w.env.Duplicate(f, copyNumber))
	case Corrupt:
	}
	return false
}

// pass sends a frame on, and behind it those that have waited for it.
func (w *way) pass(f *link.Frame) {
	w.next.Put(f)
	w.free(func(h *held) bool {
		if h.left == 0 {
			return false
		}
		h.left--
		return h.left == 0
	})
}

// free sends on those that are due.
func (w *way) free(due func(*held) bool) {
	if len(w.held) == 0 {
		return
	}
	var free []*link.Frame
	rest := w.held[:0]
	for i := range w.held {
		if h := &w.held[i]; due(h) {
			free = append(free, h.f)
		} else {
			rest = append(rest, *h)
		}
	}
	clear(w.held[len(rest):])
	w.held = rest
	for _, g := range free {
		w.next.Put(g)
	}
}

// corrupt flips the bits of a byte and makes the checksum right, so that the
// damage reaches the application.
func (w *way) corrupt(h *hit, f *link.Frame, others string) {
	var l wire.Layers
	if l.Parse(f.Data) != nil || l.TCP == nil {
		w.tell(h, f.ID, others+": nothing, for it is no TCP segment")
		return
	}
	at := int64(h.rule.Byte)
	if h.rule.Message != 0 {
		at += h.at - h.payload
	}
	if at < 0 || at >= int64(len(l.Payload)) {
		w.tell(h, f.ID, others+fmt.Sprintf(": nothing, for byte %d is not in this segment", h.rule.Byte))
		return
	}
	w.tell(h, f.ID, others)
	l.Payload[at] ^= 0xff
	l.TCP.UpdateChecksum(l.Src(), l.Dst(), l.Payload)
	// The payload is a slice of the frame that ends where its memory does.
	start := cap(f.Data) - cap(l.Payload)
	w.env.Changed(f, trace.KindCorrupt, h.rule.words+": "+h.text, (int64(start)+at)*8)
}
