package socket

import (
	"sync"

	"hilnet/link"
	"hilnet/sim"
)

// An arrival is a frame that the loop has not got yet, or, without a frame, what
// happened to the connection meanwhile.
type arrival struct {
	frame *link.Frame
	at    sim.Time
	event func() // on the loop
}

// An inbox is what readers hand to the loop.
type inbox struct {
	mu      sync.Mutex // guards the rest
	waiting []arrival
	bytes   int
	posted  bool // the loop will look
	closed  bool
	read    uint64
	lost    uint64 // to the backlog
	spare   []arrival
}

// put adds a frame and reports whether the loop must be told.
func (b *inbox) put(data []byte, at sim.Time) (tell bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read++
	if b.closed || len(b.waiting) >= MaxBacklog || b.bytes+len(data) > MaxBacklogBytes {
		b.lost++
		return false
	}
	b.bytes += len(data)
	return b.add(arrival{frame: link.CopyFrame(data), at: at})
}

// note adds something that happened.
func (b *inbox) note(event func()) (tell bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	return b.add(arrival{event: event})
}

func (b *inbox) add(a arrival) (tell bool) {
	b.waiting = append(b.waiting, a)
	tell, b.posted = !b.posted, true
	return tell
}

// untold is called when the loop could not be told.
func (b *inbox) untold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posted = false
}

// forgotten reports whether something waits that the loop was not told of.
func (b *inbox) forgotten() (tell bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	tell = len(b.waiting) > 0 && !b.posted
	b.posted = b.posted || tell
	return tell
}

// take returns what waits. What it returned before is used again.
func (b *inbox) take() []arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.waiting
	b.waiting, b.spare = b.spare[:0], all
	b.bytes, b.posted = 0, false
	return all
}

func (b *inbox) counts() (read, lost uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read, b.lost
}

// close refuses what comes from now on and counts what nobody will take.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, a := range b.waiting {
		if a.frame != nil {
			b.lost++
			a.frame.Release()
		}
	}
	b.waiting = nil
}
