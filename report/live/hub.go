package live

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Limits of what a hub keeps for those who come late or are slow.
const (
	hubMessages = 1 << 15
	hubBytes    = 24 << 20
)

// A message is told to every reader. One with a number of its own stays in the
// hub until newer ones need its room; one without is a state, of which only the
// newest counts.
type message struct {
	id   uint64 // from 1; 0: a state
	kind string
	data []byte
}

// A hub hands messages of one run to any number of readers. Who tells it
// something never waits: a reader asks for what is behind the last message it had,
// and is told how many there were that are gone. The hub holds hubBytes, and
// nothing for a reader.
type hub struct {
	mu     sync.Mutex // guards the rest
	ring   []message  // in the order of their numbers, without a gap
	bytes  int
	next   uint64
	states []state
	turn   uint64        // grows with each state
	news   chan struct{} // closed when there is something new
	closed bool
}

// A state is the newest message of a kind, and when it was told.
type state struct {
	message
	turn uint64
}

func newHub() *hub { return &hub{next: 1, news: make(chan struct{})} }

// tell adds a message.
func (h *hub) tell(kind string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.ring = append(h.ring, message{h.next, kind, data})
	h.next++
	h.bytes += len(data)
	gone := 0
	for gone < len(h.ring)-1 && (h.bytes > hubBytes || len(h.ring)-gone > hubMessages) {
		h.bytes -= len(h.ring[gone].data)
		h.ring[gone].data = nil
		gone++
	}
	// The front of the slice is freed when append moves the rest.
	h.ring = h.ring[gone:]
	h.wake()
}

// set replaces the message of a kind.
func (h *hub) set(kind string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.turn++
	s := state{message{kind: kind, data: data}, h.turn}
	if i := slices.IndexFunc(h.states, func(x state) bool { return x.kind == kind }); i >= 0 {
		h.states[i] = s
	} else {
		h.states = append(h.states, s)
	}
	h.wake()
}

// close ends all readers once they have had everything.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		h.wake()
	}
}

func (h *hub) wake() {
	close(h.news)
	h.news = make(chan struct{})
}

// A reader is where somebody stands.
type reader struct {
	hub   *hub
	after uint64 // the last message it had
	turn  uint64 // the last state
}

// read returns a reader of what comes behind a message.
func (h *hub) read(after uint64) *reader { return &reader{hub: h, after: after} }

// maxRead bounds what one call of next returns, in bytes; one message may be
// larger.
const maxRead = 1 << 20

// next waits for messages, or for beat. lost are those before the first one that
// the hub does not have any more. more is false behind the last ones.
func (r *reader) next(ctx context.Context, beat <-chan time.Time) (messages []message, lost uint64, more bool) {
	for {
		r.hub.mu.Lock()
		messages, lost = r.take()
		news, closed := r.hub.news, r.hub.closed
		r.hub.mu.Unlock()
		if len(messages) > 0 || lost > 0 {
			return messages, lost, true
		}
		if closed {
			return nil, 0, false
		}
		select {
		case <-news:
		case <-beat:
			return nil, 0, true
		case <-ctx.Done():
			return nil, 0, false
		}
	}
}

// take returns what is new; the caller holds the hub's mu.
func (r *reader) take() (messages []message, lost uint64) {
	h := r.hub
	if r.after >= h.next {
		r.after = h.next - 1 // it claims to know the future
	}
	oldest := h.next - uint64(len(h.ring))
	if r.after+1 < oldest {
		lost = oldest - r.after - 1
		r.after = oldest - 1
	}
	size := 0
	for _, m := range h.ring[r.after+1-oldest:] {
		if size += len(m.data); size > maxRead && len(messages) > 0 {
			return messages, lost // states come when the rest is read
		}
		messages = append(messages, m)
		r.after = m.id
	}
	turn := r.turn
	for _, s := range h.states {
		if s.turn > r.turn {
			messages = append(messages, s.message)
			turn = max(turn, s.turn)
		}
	}
	r.turn = turn
	return messages, lost
}
