package emu

import (
	"maps"
	"slices"
	"sync"
	"time"

	"hilnet/link"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// Limits of a Watch: what waits for its reader, and the devices and links that
// Counts tells apart.
const (
	maxMoments      = 1 << 16
	maxMomentBytes  = 16 << 20
	MaxWatchedNodes = 64
)

// A Moment is one thing that a run did: one of Event, Sample and Frame is set.
type Moment struct {
	// Missed counts the moments right before this one that found no room.
	Missed uint64
	At     sim.Time
	Event  *trace.Event // of the trace
	Sample *trace.Event // levels of a pool or a queue, as in the file of samples
	Frame  *FrameMoment
}

// A FrameStep is what happened to a frame on its link.
type FrameStep uint8

// The steps.
const (
	FrameEntered FrameStep = iota + 1 // its sender gave it to the link
	FrameLeft                         // the link gave it to its receiver
	FrameDropped
	FrameDuplicated // a copy was made, which leaves or is dropped as well
	FrameCorrupted
	frameSteps
)

// A FrameMoment is a step of a frame.
type FrameMoment struct {
	Link    string
	Up      bool
	Step    FrameStep
	ID      uint64 // as epb_packetid in the captures
	Ordinal uint64 // among the frames of its direction
	Data    []byte // of FrameEntered and FrameLeft: the whole frame
	Verdict link.Verdict
}

// A Watch is a view of a run for another goroutine: events, levels, and what
// happens to frames at both ends of every link, in their order. It holds a
// bounded number of moments for its reader. When that one is slow it misses some,
// never the run's time; Counts miss nothing. To be watched changes nothing of a
// run.
type Watch struct {
	ready chan struct{} // has room for one
	most  int           // moments that wait

	mu      sync.Mutex // guards the rest
	waiting []Moment
	bytes   int
	missed  uint64 // since the last moment that found room
	closed  bool
	counts  Counts
}

// Counts are the numbers of a run so far.
type Counts struct {
	Now    sim.Time
	Missed uint64 // moments that the reader did not get
	Events map[trace.Kind]uint64
	Drops  map[trace.DropReason]uint64
	// Links are those of the first MaxWatchedNodes links that had a frame, the
	// others under the name "", in the order of their first frame.
	Links []LinkCounts
	// Pools are the levels of the first MaxWatchedNodes pools.
	Pools     []PoolLevel
	Connected uint64 // sessions that began well
	Published uint64 // publish calls that went well
	Acked     uint64
	// AckBuckets count acknowledgements by their time since the publish call: each
	// at most that of AckBounds, the last one longer.
	AckBuckets [len(ackBounds) + 1]uint64
	AckSum     time.Duration
	Ended      bool

	places map[LinkCounts]int // in Links, by name and way; looked up only
}

// LinkCounts count what happened to the frames of a link's direction.
type LinkCounts struct {
	Link  string
	Up    bool
	Bytes uint64             // that entered
	Steps [frameSteps]uint64 // by FrameStep
}

// A PoolLevel is how full a packet pool is.
type PoolLevel struct {
	Device string
	Free   int64
	Low    int64 // the fewest that were free so far
	Wait   int64 // threads that wait for a packet
}

var ackBounds = [...]time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second, 60 * time.Second,
}

// AckBounds are the upper bounds of Counts.AckBuckets but the last.
func AckBounds() []time.Duration { return ackBounds[:] }

// Watch returns a view of the run for another goroutine. It must be called before
// Run.
func (w *World) Watch() *Watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != worldNew {
		panic("emu: Watch after Run")
	}
	v := &Watch{ready: make(chan struct{}, 1), most: maxMoments, counts: Counts{
		Events: map[trace.Kind]uint64{}, Drops: map[trace.DropReason]uint64{}, places: map[LinkCounts]int{},
	}}
	w.watches = append(w.watches, v)
	return v
}

// Ready has a value when there is something to Take.
func (v *Watch) Ready() <-chan struct{} { return v.ready }

// Take returns what has happened since the last call, and whether more may come.
// missed are those that found no room behind the last one of them.
func (v *Watch) Take() (moments []Moment, missed uint64, more bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	moments, missed = v.waiting, v.missed
	v.waiting, v.bytes, v.missed = nil, 0, 0
	return moments, missed, !v.closed
}

// Counts returns the numbers so far.
func (v *Watch) Counts() Counts {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.counts
	c.Events, c.Drops = maps.Clone(c.Events), maps.Clone(c.Drops)
	c.Links, c.Pools = slices.Clone(c.Links), slices.Clone(c.Pools)
	c.places = nil
	return c
}

// close tells the reader that no more comes.
func (v *Watch) close() {
	v.mu.Lock()
	v.closed, v.counts.Ended = true, true
	v.mu.Unlock()
	v.wake()
}

func (v *Watch) wake() {
	select {
	case v.ready <- struct{}{}:
	default:
	}
}

// add keeps a moment if there is room; size is that of its data. The caller holds
// mu.
func (v *Watch) add(m *Moment, size int) {
	v.counts.Now = m.At
	if len(v.waiting) >= v.most || v.bytes+size > maxMomentBytes {
		v.missed++
		v.counts.Missed++
		return
	}
	m.Missed, v.missed = v.missed, 0
	v.waiting = append(v.waiting, *m)
	v.bytes += size
}

// passed tells that time has passed, though nothing happened.
func (v *Watch) passed(now sim.Time) {
	v.mu.Lock()
	v.counts.Now = now
	v.mu.Unlock()
}

// event takes an event of the trace.
func (v *Watch) event(e *trace.Event) {
	own := *e
	own.Values = slices.Clone(e.Values)
	v.mu.Lock()
	v.counts.event(e)
	v.add(&Moment{At: e.T, Event: &own}, len(e.Text)+len(e.Topic))
	v.mu.Unlock()
	v.wake()
}

// sample takes a level.
func (v *Watch) sample(e *trace.Event) {
	own := *e
	own.Values = slices.Clone(e.Values)
	v.mu.Lock()
	v.counts.sample(e)
	v.add(&Moment{At: e.T, Sample: &own}, 0)
	v.mu.Unlock()
	v.wake()
}

// frame takes a step of a frame; data is copied.
func (v *Watch) frame(at sim.Time, f *FrameMoment, length int, data []byte) {
	v.mu.Lock()
	v.counts.frame(f, length)
	if len(v.waiting) < v.most && v.bytes+len(data) <= maxMomentBytes {
		f.Data = slices.Clone(data)
	}
	v.add(&Moment{At: at, Frame: f}, len(data))
	v.mu.Unlock()
	v.wake()
}

func (c *Counts) event(e *trace.Event) {
	c.Events[e.Kind]++
	switch e.Kind {
	case trace.KindDrop:
		n := uint64(1)
		if many, ok := e.Value("frames"); ok && many > 0 {
			n = uint64(many)
		}
		c.Drops[e.Reason] += n
	case trace.KindConnected:
		if e.Status == 0 {
			c.Connected++
		}
	case trace.KindPublish:
		if e.Status == 0 {
			c.Published++
		}
	case trace.KindAcked:
		c.Acked++
		took := time.Duration(e.Count)
		c.AckSum += took
		i := 0
		for i < len(ackBounds) && took > ackBounds[i] {
			i++
		}
		c.AckBuckets[i]++
	}
}

func (c *Counts) frame(f *FrameMoment, length int) {
	key := LinkCounts{Link: f.Link, Up: f.Up}
	i, known := c.places[key]
	if !known && len(c.places) >= 2*MaxWatchedNodes {
		key.Link = ""
		i, known = c.places[key]
	}
	if !known {
		i = len(c.Links)
		c.Links = append(c.Links, key)
		c.places[key] = i
	}
	c.Links[i].Steps[f.Step]++
	if f.Step == FrameEntered {
		c.Links[i].Bytes += uint64(length)
	}
}

func (c *Counts) sample(e *trace.Event) {
	if e.Stage != scenarios.StagePool {
		return
	}
	i := slices.IndexFunc(c.Pools, func(p PoolLevel) bool { return p.Device == e.Node })
	if i < 0 && len(c.Pools) >= MaxWatchedNodes {
		return
	}
	p := PoolLevel{Device: e.Node}
	p.Free, _ = e.Value(scenarios.ValueFree)
	p.Low, _ = e.Value(ValueLowest)
	p.Wait, _ = e.Value(ValueWaiting)
	if i < 0 {
		c.Pools = append(c.Pools, p)
		return
	}
	p.Low = min(p.Low, c.Pools[i].Low)
	c.Pools[i] = p
}

// watchLink has the frames of a link watched.
func (w *World) watchLink(l *link.Link) {
	for _, v := range w.watches {
		l.Up.Observe(&frameWatch{v, w.loop, true})
		l.Down.Observe(&frameWatch{v, w.loop, false})
	}
}

// A frameWatch is a Watch as a direction of a link sees it.
type frameWatch struct {
	watch *Watch
	loop  *sim.Loop
	up    bool
}

func (t *frameWatch) step(d *link.Direction, f *link.Frame, s FrameStep, v link.Verdict) {
	var data []byte
	if s == FrameEntered || s == FrameLeft {
		data = f.Data
	}
	t.watch.frame(t.loop.Now(), &FrameMoment{Link: d.Link, Up: t.up, Step: s, ID: f.ID, Ordinal: f.Ordinal, Verdict: v}, len(f.Data), data)
}

// Entered tells of a frame that its sender gave to the link.
func (t *frameWatch) Entered(d *link.Direction, f *link.Frame) {
	t.step(d, f, FrameEntered, link.Verdict{})
}

// Left tells of a frame that arrives.
func (t *frameWatch) Left(d *link.Direction, f *link.Frame) { t.step(d, f, FrameLeft, link.Verdict{}) }

// Dropped tells of a frame that does not.
func (t *frameWatch) Dropped(d *link.Direction, f *link.Frame, v link.Verdict) {
	t.step(d, f, FrameDropped, v)
}

// Duplicated tells of a copy.
func (t *frameWatch) Duplicated(d *link.Direction, f *link.Frame, v link.Verdict) {
	t.step(d, f, FrameDuplicated, v)
}

// Corrupted tells of damage.
func (t *frameWatch) Corrupted(d *link.Direction, f *link.Frame, v link.Verdict) {
	t.step(d, f, FrameCorrupted, v)
}
