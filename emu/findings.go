package emu

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// Findings are a pure function of the trace, as the Outcome is. A finder reads
// the events as they come and keeps, for each device, what its detectors need:
// a fixed number of numbers, and what waits at the moment.

// maxEvidence bounds the events that a finding names.
const maxEvidence = 8

// A finder makes findings of the events of a run.
type finder struct {
	devices  []*watch // in the order of the scenario
	byName   map[string]*watch
	byClient map[string]*watch
	last     sim.Time
}

// A detector looks for one kind of finding on one device.
type detector interface {
	// add takes an event that belongs to the device, after the watch has.
	add(e *trace.Event)
	// end is called at the end of the run, and with every end of the device:
	// what waits then has waited in vain.
	end(now sim.Time)
	// text tells what was found; it is asked only if something was.
	text() string
}

// detectors make a detector of each kind, in the order of scenarios.FindingKinds.
var detectors = []struct {
	name string
	make func(*watch, *hits) detector
}{
	{"deadlock_client_mutex", newDeadlock},
	{"client_waited_for_packet", newLongWait},
	{"packets_leaked", newLeaks},
	{"acknowledged_then_dropped", newCopyDrops},
	{"session_lost_to_one_ping", newShortPing},
	{"keepalive_stopped", newKeepaliveStopped},
	{"callback_blocked_client", newCallbacks},
	{"callback_never_returned", newStuckCallback},
	{"retry_limit_bypassed", newRetriesBeyond},
	{"retries_exhausted", newRetriesExhausted},
	{"connack_with_data_refused", newConnackRefused},
	{"connect_never_ends", newConnectNeverEnds},
	{"disconnect_told_late", newToldLate},
	{"application_stopped_reading", newNotReading},
	{"message_blocks_queue", newBlocked},
	{"pool_exhausted", newExhausted},
	{"arp_queue_overflow", newARPOverflow},
	{"half_open_peer", newHalfOpen},
	{"packet_id_reused", newReusedID},
	{"login_forgotten", newLoginForgotten},
	{"refusal_taken_for_grant", newRefusals},
	{"tls_failed", newTLSFailed},
	{oracleARP, newOverseen(oracleARP)},
	{oracleProgress, newOverseen(oracleProgress)},
	{oracleTooSoon, newOverseen(oracleTooSoon)},
	{oracleTooLate, newOverseen(oracleTooLate)},
	{oracleSendsDown, newOverseen(oracleSendsDown)},
	{oracleISN, newOverseen(oracleISN)},
}

// hits are the moments at which a detector found what it looks for.
type hits struct {
	n      int
	at     sim.Time // of the first one
	events []uint64
}

// add counts one that began at a moment and rests on some events.
func (h *hits) add(at sim.Time, events ...uint64) {
	if h.n == 0 || at < h.at {
		h.at = at
	}
	h.n++
	for _, seq := range events {
		if len(h.events) < maxEvidence && seq != 0 && !slices.Contains(h.events, seq) {
			h.events = append(h.events, seq)
		}
	}
}

// times writes the number of times if there were several.
func (h *hits) times() string {
	if h.n == 1 {
		return ""
	}
	return fmt.Sprintf(", %d times in all", h.n)
}

// A watch is what is known of a device at the moment, for all detectors.
type watch struct {
	name string

	on        bool
	connected bool
	keepalive time.Duration
	unread    []sim.Time // arrival of the messages that wait for message_get
	pingSent  sim.Time   // last PINGREQ, or connect
	pingSeq   uint64
	sent      sim.Time // last MQTT packet of any kind
	sentSeq   uint64

	detectors []detector
	hits      []*hits
}

func newFinder(sc *scenarios.Scenario) *finder {
	f := &finder{byName: map[string]*watch{}, byClient: map[string]*watch{}}
	for i := range sc.Devices {
		d := &sc.Devices[i]
		w := &watch{name: d.Name}
		for _, k := range detectors {
			h := &hits{}
			w.hits = append(w.hits, h)
			w.detectors = append(w.detectors, k.make(w, h))
		}
		f.devices = append(f.devices, w)
		f.byName[d.Name] = w
		if _, taken := f.byClient[d.MQTT.ClientID]; !taken {
			f.byClient[d.MQTT.ClientID] = w
		}
	}
	return f
}

// add takes the next event.
func (f *finder) add(e *trace.Event) {
	f.last = e.T
	w := f.byName[e.Node]
	if w == nil && e.Client != "" {
		w = f.byClient[e.Client] // the broker's events
	}
	if w == nil {
		return
	}
	if e.Kind == scenarios.KindOff {
		for _, d := range w.detectors {
			d.end(e.T)
		}
	}
	if e.Node == w.name {
		w.follow(e)
	}
	for _, d := range w.detectors {
		d.add(e)
	}
	if e.Kind == scenarios.KindOff {
		w.connected = false
	}
}

// maxUnread bounds the messages whose arrival is remembered.
const maxUnread = 1 << 16

// sends reports whether a device sent an MQTT packet when an event happened.
func sends(e *trace.Event) bool {
	switch e.Kind {
	case trace.KindConnected, trace.KindPingReq, trace.KindSubscribe, trace.KindUnsubscribe, trace.KindRepublish:
		return true
	case trace.KindPublish:
		return e.Status == 0
	case trace.KindReceived:
		return e.QoS > 0 // its acknowledgement
	}
	return false
}

// took reports whether a message_get took its message out of the queue, whole or
// cut.
func took(e *trace.Event) bool {
	return e.Status == 0 || e.Status == uint32(mqtt.InsufficientBufferSpace) && e.Text != mqtt.TextBlocked
}

// follow keeps what several detectors need.
func (w *watch) follow(e *trace.Event) {
	if sends(e) {
		w.sent, w.sentSeq = e.T, e.Seq
	}
	switch e.Kind {
	case scenarios.KindBoot:
		w.on, w.unread = true, nil
	case scenarios.KindOff:
		w.on, w.unread = false, nil
	case trace.KindConnect:
		w.keepalive = time.Duration(e.Count) * time.Second
	case trace.KindConnected:
		w.connected = e.Status == 0
		w.pingSent, w.pingSeq = e.T, e.Seq
	case trace.KindDisconnected:
		w.connected, w.unread = false, nil
	case trace.KindPingReq:
		w.pingSent, w.pingSeq = e.T, e.Seq
	case trace.KindReceived:
		if len(w.unread) < maxUnread {
			w.unread = append(w.unread, e.T)
		}
	case trace.KindMessageGet:
		if took(e) && len(w.unread) > 0 {
			w.unread = w.unread[1:]
		}
	}
}

// findings returns what was found until now, by its moment.
func (f *finder) findings() []scenarios.Finding {
	all := []scenarios.Finding{}
	kinds := scenarios.FindingKinds()
	for _, w := range f.devices {
		for i, d := range w.detectors {
			if w.on {
				d.end(f.last)
			}
			if h := w.hits[i]; h.n > 0 {
				all = append(all, scenarios.Finding{
					Name: kinds[i].Name, Severity: kinds[i].Severity, Device: w.name,
					T: h.at, Count: h.n, Text: d.text(), Events: h.events,
				})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b scenarios.Finding) int { return cmp.Compare(a.T, b.T) })
	return all
}

// span writes a time for a person.
func span(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}
