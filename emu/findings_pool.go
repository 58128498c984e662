package emu

import (
	"fmt"
	"strings"
	"time"

	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// longWait is from when on a wait with the client's mutex held is worth telling.
const longWait = 5 * time.Second

// How the client and the pool word the beginning and the end of such a wait.
const (
	waitBegins    = "begins to wait for a packet of "
	waitEnds      = "a packet of "
	mutexWait     = "waited for the client's mutex"
	callbackWaits = "in callback "
)

// A wait is one that lasts: a thread's, for a packet, with the mutex held.
type wait struct {
	thread string
	since  sim.Time
	seq    uint64
}

// mutexWaits follows threads that wait for packets with the client's mutex held.
type mutexWaits struct {
	w    *watch
	h    *hits
	open []wait
}

// follow returns the wait that an event ends.
func (d *mutexWaits) follow(e *trace.Event) (ended wait, ok bool) {
	if e.Kind != trace.KindWait {
		return wait{}, false
	}
	switch {
	case e.Count == 0 && strings.HasPrefix(e.Text, waitBegins):
		d.open = append(d.open, wait{e.Stage, e.T, e.Seq})
	case strings.HasPrefix(e.Text, waitEnds):
		for i, o := range d.open {
			if o.thread == e.Stage {
				d.open = append(d.open[:i], d.open[i+1:]...)
				return o, true
			}
		}
	}
	return wait{}, false
}

// deadlock: such a wait never ends.
type deadlock struct {
	mutexWaits
	longest wait
	lasted  time.Duration
	unread  int
}

func newDeadlock(w *watch, h *hits) detector { return &deadlock{mutexWaits: mutexWaits{w: w, h: h}} }

func (d *deadlock) add(e *trace.Event) {
	if e.Node == d.w.name {
		d.follow(e)
		if e.Kind == trace.KindReceived {
			d.unread = len(d.w.unread)
		}
	}
}

func (d *deadlock) end(now sim.Time) {
	for _, o := range d.open {
		if lasted := now.Sub(o.since); lasted >= longWait {
			d.h.add(o.since, o.seq)
			if lasted > d.lasted {
				d.longest, d.lasted = o, lasted
			}
		}
	}
	d.open = nil
}

func (d *deadlock) text() string {
	holds := ""
	if d.unread > 0 {
		holds = fmt.Sprintf("; %d messages that nobody has read hold packets", d.unread)
	}
	return fmt.Sprintf("the thread %q has waited %s for a packet while it holds the client's mutex, which message_get needs to free one: deadlock%s",
		d.longest.thread, span(d.lasted), holds)
}

// longWaits: such a wait ended, but late.
type longWaits struct {
	mutexWaits
	thread  string
	longest time.Duration
}

func newLongWait(w *watch, h *hits) detector { return &longWaits{mutexWaits: mutexWaits{w: w, h: h}} }

func (d *longWaits) add(e *trace.Event) {
	if e.Node != d.w.name {
		return
	}
	if o, ok := d.follow(e); ok && e.T.Sub(o.since) >= longWait {
		d.h.add(o.since, o.seq, e.Seq)
		if lasted := e.T.Sub(o.since); lasted > d.longest {
			d.thread, d.longest = o.thread, lasted
		}
	}
}

func (d *longWaits) end(sim.Time) { d.open = nil }

func (d *longWaits) text() string {
	return fmt.Sprintf("the thread %q waited %s for a packet with the client's mutex held, and every call of the client with it%s", d.thread, span(d.longest), d.h.times())
}

// leaks: packets that their holders have forgotten, counted when the device
// stops.
type leaks struct {
	w      *watch
	h      *hits
	events []uint64 // of messages that were dropped
	first  sim.Time
	by     []trace.Value
}

func newLeaks(w *watch, h *hits) detector { return &leaks{w: w, h: h} }

func (d *leaks) add(e *trace.Event) {
	switch {
	case e.Node != d.w.name:
	case e.Kind == trace.KindDrop && (e.Reason == trace.DropUnread || e.Reason == trace.DropMalformedMQTT):
		if len(d.events) == 0 {
			d.first = e.T
		}
		if len(d.events) < maxEvidence-1 {
			d.events = append(d.events, e.Seq)
		}
	case e.Kind == trace.KindCounters && e.Stage == scenarios.StageLeaks:
		at := e.T
		if len(d.events) > 0 {
			at = d.first
		}
		for _, v := range e.Values {
			for range v.N {
				d.h.add(at, append(d.events, e.Seq)...)
			}
			d.count(v)
		}
		d.events = nil
	}
}

func (d *leaks) count(v trace.Value) {
	for i := range d.by {
		if d.by[i].Name == v.Name {
			d.by[i].N += v.N
			return
		}
	}
	d.by = append(d.by, v)
}

func (d *leaks) end(sim.Time) {}

func (d *leaks) text() string {
	var why []string
	for _, v := range d.by {
		why = append(why, fmt.Sprintf("%d %s", v.N, v.Name))
	}
	return fmt.Sprintf("%s leaked: %s", plural(d.h.n, "packet"), strings.Join(why, ", "))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// copyDrops: messages that TCP had acknowledged and the client dropped.
type copyDrops struct {
	w     *watch
	h     *hits
	topic string
	qos1  int
}

func newCopyDrops(w *watch, h *hits) detector { return &copyDrops{w: w, h: h} }

func (d *copyDrops) add(e *trace.Event) {
	if e.Kind != trace.KindDrop || e.Reason != trace.DropPublishCopy || e.Node != d.w.name {
		return
	}
	if d.h.n == 0 {
		d.topic = e.Topic
	}
	d.h.add(e.T, e.Seq)
	if e.QoS > 0 {
		d.qos1++
	}
}

func (d *copyDrops) end(sim.Time) {}

func (d *copyDrops) text() string {
	unacked := ""
	if d.qos1 > 0 {
		unacked = fmt.Sprintf("; %d of them the broker waits to have acknowledged", d.qos1)
	}
	if d.h.n == 1 {
		return fmt.Sprintf("a message to %q was acknowledged by TCP and dropped for want of a packet%s", d.topic, unacked)
	}
	return fmt.Sprintf("%d messages were acknowledged by TCP and dropped for want of packets, the first to %q%s", d.h.n, d.topic, unacked)
}

// notReading: the pool is empty while messages have waited for long.
type notReading struct {
	w      *watch
	h      *hits
	oldest sim.Time
	unread int
	empty  sim.Time
	told   bool
}

func newNotReading(w *watch, h *hits) detector { return &notReading{w: w, h: h} }

func (d *notReading) add(e *trace.Event) {
	if e.Node != d.w.name || d.told || e.Kind != trace.KindPoolEmpty || e.Stage != "" && e.Stage != scenarios.StagePool || len(d.w.unread) == 0 || e.T.Sub(d.w.unread[0]) < longWait {
		return
	}
	d.told = true
	if d.h.n == 0 {
		d.oldest, d.unread, d.empty = d.w.unread[0], len(d.w.unread), e.T
	}
	d.h.add(d.w.unread[0], e.Seq)
}

func (d *notReading) end(sim.Time) { d.told = false }

func (d *notReading) text() string {
	return fmt.Sprintf("when the pool was empty, at %s, %d messages waited for message_get, the oldest for %s",
		span(time.Duration(d.empty)), d.unread, span(d.empty.Sub(d.oldest)))
}

// blocked: message_get fails again and again at the same message.
type blocked struct {
	w    *watch
	h    *hits
	size int
	last uint64 // hash of the message that was in the way; it counts once
	most int
}

func newBlocked(w *watch, h *hits) detector { return &blocked{w: w, h: h} }

func (d *blocked) add(e *trace.Event) {
	if e.Node != d.w.name || e.Kind != trace.KindMessageGet {
		return
	}
	if e.Text != mqtt.TextBlocked {
		d.last = 0
		return
	}
	d.most = max(d.most, len(d.w.unread)-1)
	if e.Hash != d.last {
		if d.last = e.Hash; d.h.n == 0 {
			d.size = e.Len
		}
		d.h.add(e.T, e.Seq)
	}
}

func (d *blocked) end(sim.Time) { d.last = 0 }

func (d *blocked) text() string {
	return fmt.Sprintf("a message of %d bytes does not fit the buffers of message_get: it stays in the queue, and up to %s behind it, with their packets%s",
		d.size, plural(d.most, "message"), d.h.times())
}

// exhausted: frames and control packets that found no packet.
type exhausted struct {
	w               *watch
	h               *hits
	frames, control int
	until           sim.Time
}

func newExhausted(w *watch, h *hits) detector { return &exhausted{w: w, h: h} }

func (d *exhausted) add(e *trace.Event) {
	if e.Kind != trace.KindDrop || e.Node != d.w.name {
		return
	}
	switch e.Reason {
	case trace.DropRxPool:
		d.frames++
	case trace.DropControl:
		d.control++
	default:
		return
	}
	d.h.add(e.T, e.Seq)
	d.until = e.T
}

func (d *exhausted) end(sim.Time) {}

func (d *exhausted) text() string {
	var what []string
	if d.frames > 0 {
		what = append(what, plural(d.frames, "arriving frame")+" dropped")
	}
	if d.control > 0 {
		what = append(what, plural(d.control, "control packet")+" (ACK, SYN, FIN, RST, ARP) not sent")
	}
	return fmt.Sprintf("%s because the pool was empty, from %s to %s", strings.Join(what, " and "), span(time.Duration(d.h.at)), span(time.Duration(d.until)))
}

// countLeaks writes into the trace which packets of the device nobody can give
// back, by what lost them. It writes nothing when there are none.
func (d *device) countLeaks() {
	var values []trace.Value
	for _, h := range d.pool.Holdings() {
		if what, ok := strings.CutPrefix(h.Holder, "leaked: "); ok {
			values = append(values, trace.Value{Name: what, N: int64(h.Packets)})
		}
	}
	if len(values) > 0 {
		d.world.counters(d.cfg.Name, scenarios.StageLeaks, values...)
	}
}
