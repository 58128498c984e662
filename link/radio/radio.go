// Package radio is the state machine of a cellular modem as a pair of link
// stages: idle, connected, and how a sleeping device is reached. For MQTT it is
// the effect that matters most: a keepalive that falls into idle pays the
// wake-up, and a message for a device that sleeps waits for its paging occasion.
//
// It is about when frames go, not about radio: no signalling message is sent,
// and nothing is lost but at a full buffer. Everything belongs to the goroutine
// of the loop.
package radio

import (
	"errors"
	"fmt"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
)

// Reading list: 3GPP TS 36.331 5.3 (RRC connection), TS 36.304 7 (paging, DRX,
// eDRX), TS 23.682 4.5.4 (power saving mode), TS 24.301 5.3.11.

// Config configures a Radio. The zero value is always connected.
type Config struct {
	// Inactivity ends the connection when no frame has passed for so long; 0:
	// never, the radio stays connected.
	Inactivity time.Duration
	// Wake is the time from idle to connected, once the device wants to send or
	// has been paged.
	Wake time.Duration

	// Paging is the time from a paging occasion to the next while idle (DRX or
	// eDRX cycle): what comes down waits for one. 0: the device listens always.
	Paging time.Duration
	// Offset is when the first paging occasion comes after time 0.
	Offset time.Duration

	// Active is how long an idle device listens for pages before it sleeps in PSM
	// (T3324), and PSM is on when Sleep is above 0. Sleep is how long it sleeps
	// until it wakes by itself to update its tracking area (T3412), connects and
	// can be reached. A device in PSM cannot be paged; what it sends wakes it.
	Active, Sleep time.Duration

	// ConnectedDRX is the cycle in which a connected device listens, when it has
	// been quiet for as long as a cycle; 0: always.
	ConnectedDRX time.Duration

	// Queue bounds the frames that wait in each way; 0: DefaultQueue.
	Queue int
}

// DefaultQueue is how many frames wait in each way when nothing else is said.
const DefaultQueue = 64

// Bounds of a Config.
const (
	MaxTime  = 400 * time.Hour // beyond T3412's 310 h
	MaxQueue = 1 << 16
	minCycle = time.Millisecond
)

// Validate returns what is wrong with the configuration.
func (c *Config) Validate() error {
	for _, t := range []struct {
		name  string
		d     time.Duration
		least time.Duration // when it is not 0
	}{
		{"inactivity", c.Inactivity, minCycle}, {"wake", c.Wake, 0}, {"paging", c.Paging, minCycle}, {"offset", c.Offset, 0},
		{"active", c.Active, 0}, {"sleep", c.Sleep, minCycle}, {"connected DRX", c.ConnectedDRX, minCycle},
	} {
		if t.d < 0 || t.d > MaxTime || t.d != 0 && t.d < t.least {
			return fmt.Errorf("radio: %s %v is not between %v and %v", t.name, t.d, t.least, MaxTime)
		}
	}
	switch {
	case c.Queue < 0 || c.Queue > MaxQueue:
		return fmt.Errorf("radio: a queue of %d frames is not between 0 and %d", c.Queue, MaxQueue)
	case c.Inactivity == 0 && (c.Wake|c.Paging|c.Active|c.Sleep) != 0:
		return errors.New("radio: wake, paging and sleep need an inactivity, or the radio never leaves its connection")
	case c.Active != 0 && c.Sleep == 0:
		return errors.New("radio: an active time without a sleep behind it")
	}
	return nil
}

// A State is what the modem is doing.
type State uint8

// The states.
const (
	Idle State = iota + 1
	Waking
	Connected
	Sleeping // PSM
)

// String returns the state's name, as in the trace.
func (s State) String() string {
	switch s {
	case Idle:
		return "idle"
	case Waking:
		return "waking"
	case Connected:
		return "connected"
	case Sleeping:
		return "sleeping"
	}
	return "none"
}

// Counters count what a Radio did.
type Counters struct {
	Wakes, Pages, Updates, Sleeps uint64
	// Time in each state so far.
	Idle, Waking, Connected, Sleeping time.Duration
}

// A Radio is the modem's state, shared by both ways of its link.
type Radio struct {
	cfg   Config
	loop  *sim.Loop
	log   *trace.Log
	node  string
	state State
	since sim.Time

	counters Counters
	last     sim.Time   // when a frame passed last
	timer    *sim.Timer // what ends the state
	page     *sim.Timer // the next occasion at which something waits
	up, down way
}

// A way is one direction: frames wait in it until they may pass.
type way struct {
	radio *Radio
	env   *link.Env
	next  link.Sink
	queue []*link.Frame
	head  int
}

// Name is the name of the stages in their directions.
const Name = "radio"

// Add puts a radio into both ways of a link, whose device is at the lower end.
// The device begins idle. log may be nil.
func Add(loop *sim.Loop, log *trace.Log, l *link.Link, cfg Config) (*Radio, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Queue == 0 {
		cfg.Queue = DefaultQueue
	}
	r := &Radio{cfg: cfg, loop: loop, log: log, node: l.Name, since: loop.Now(), last: loop.Now()}
	r.timer, r.page = loop.NewTimer(r.timeout), loop.NewTimer(r.paged)
	r.state = Idle
	if cfg.Inactivity == 0 {
		r.state = Connected
	}
	for _, d := range []struct {
		w    *way
		path *link.Path
	}{{&r.up, l.Up}, {&r.down, l.Down}} {
		d.w.radio = r
		err := d.path.Add(link.AtModel, Name, func(e *link.Env) link.Stage {
			d.w.env = e
			e.Holds(func() uint64 { return uint64(d.w.waiting()) })
			return func(next link.Sink) link.Sink { d.w.next = next; return d.w }
		})
		if err != nil {
			return nil, fmt.Errorf("radio: %w", err)
		}
	}
	r.armState()
	return r, nil
}

// State returns what the modem is doing now.
func (r *Radio) State() State { return r.state }

// Counters returns what the modem has done so far.
func (r *Radio) Counters() Counters {
	c := r.counters
	*c.in(r.state) += r.loop.Now().Sub(r.since)
	return c
}

func (w *way) waiting() int { return len(w.queue) - w.head }

// Put takes a frame.
func (w *way) Put(f *link.Frame) {
	r := w.radio
	if w == &r.down && r.state == Connected && r.deaf() {
		w.push(f)
		r.armPage()
		return
	}
	if r.state == Connected {
		r.touch()
		w.next.Put(f)
		return
	}
	w.push(f)
	if w == &r.up {
		r.wake()
		return
	}
	r.armPage()
}

// push makes a frame wait, or drops it.
func (w *way) push(f *link.Frame) {
	if w.waiting() >= w.radio.cfg.Queue {
		w.env.Drop(f, trace.DropQueueFull, "waits for the radio, "+w.radio.state.String())
		return
	}
	if w.head > 0 && w.head == len(w.queue) {
		w.queue, w.head = w.queue[:0], 0
	}
	w.queue = append(w.queue, f)
}

// flush passes on what waits.
func (w *way) flush() {
	for w.waiting() > 0 {
		f := w.queue[w.head]
		w.queue[w.head] = nil
		w.head++
		w.next.Put(f)
	}
}

// deaf says whether a connected device does not listen now: it has been quiet
// and its cycle has not come round, or others wait already.
func (r *Radio) deaf() bool {
	return r.cfg.ConnectedDRX > 0 && (r.down.waiting() > 0 || r.loop.Now().Sub(r.last) >= r.cfg.ConnectedDRX)
}

// touch notes that a frame passes: the connection goes on.
func (r *Radio) touch() {
	r.last = r.loop.Now()
	if r.cfg.Inactivity > 0 {
		r.timer.ResetAfter(r.cfg.Inactivity)
	}
}

// enter changes the state.
func (r *Radio) enter(s State) {
	now := r.loop.Now()
	*r.counters.in(r.state) += now.Sub(r.since)
	r.state, r.since = s, now
	r.log.Emit(trace.Event{Kind: trace.KindLink, Node: r.node, Stage: Name, Text: "radio " + s.String()})
}

func (c *Counters) in(s State) *time.Duration {
	switch s {
	case Idle:
		return &c.Idle
	case Waking:
		return &c.Waking
	case Sleeping:
		return &c.Sleeping
	}
	return &c.Connected
}

// wake begins the way to a connection.
func (r *Radio) wake() {
	if r.state == Waking || r.state == Connected {
		return
	}
	r.counters.Wakes++
	r.page.Stop()
	r.enter(Waking)
	r.timer.ResetAfter(r.cfg.Wake)
}

// timeout ends a state.
func (r *Radio) timeout() {
	switch r.state {
	case Waking:
		r.enter(Connected)
		r.touch()
		r.up.flush()
		r.down.flush()
	case Connected:
		if r.down.waiting() > 0 {
			r.touch() // what waits for the cycle of the connection keeps it
			return
		}
		r.page.Stop()
		r.enter(Idle)
		r.armState()
	case Idle:
		r.counters.Sleeps++
		r.page.Stop()
		r.enter(Sleeping)
		r.timer.ResetAfter(r.cfg.Sleep)
	case Sleeping:
		r.counters.Updates++
		r.wake()
	}
}

// armState sets when an idle device goes to sleep.
func (r *Radio) armState() {
	if r.state == Idle && r.cfg.Sleep > 0 {
		r.timer.ResetAfter(r.cfg.Active)
	}
}

// armPage sets when what waits for the device can reach it.
func (r *Radio) armPage() {
	if r.page.Armed() || r.down.waiting() == 0 {
		return
	}
	switch r.state {
	case Idle:
		r.page.Reset(r.occasion(r.cfg.Paging, r.cfg.Offset))
	case Connected:
		// The cycle runs from the last frame.
		cycle := sim.Time(r.cfg.ConnectedDRX)
		n := (r.loop.Now() - r.last + cycle - 1) / cycle
		r.page.Reset(r.last + n*cycle)
	case Waking, Sleeping: // it comes along with the connection
	}
}

// occasion returns the first moment of a cycle that is not before now.
func (r *Radio) occasion(cycle, offset time.Duration) sim.Time {
	now := r.loop.Now()
	if cycle == 0 {
		return now
	}
	first := sim.Time(offset)
	if now <= first {
		return first
	}
	n := (now - first + sim.Time(cycle) - 1) / sim.Time(cycle)
	return first + n*sim.Time(cycle)
}

// paged is a paging occasion, or the cycle of a connection.
func (r *Radio) paged() {
	if r.state == Connected {
		r.touch()
		r.down.flush()
		return
	}
	r.counters.Pages++
	r.wake()
}
