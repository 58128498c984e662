package emu

import (
	"fmt"
	"strings"
	"time"

	"hilnet/mqtt"
	"hilnet/mqtt/broker"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// shortPing: a session ended because of a PINGRESP that the keepalive time would
// have had room for, and the closing handshake then was answered.
type shortPing struct {
	w            *watch
	h            *hits
	sent, gaveUp sim.Time
	seqs         [2]uint64
	waited       time.Duration
}

// answered is how soon a closing handshake ends that is answered: without an
// answer it takes longer (11 s with NetX's retries, 5 s where that is bounded).
const answered = 5 * time.Second

func newShortPing(w *watch, h *hits) detector { return &shortPing{w: w, h: h} }

func (d *shortPing) add(e *trace.Event) {
	switch {
	case e.Node != d.w.name:
	case e.Kind == trace.KindPingTimeout:
		d.sent, d.gaveUp, d.seqs = d.w.pingSent, e.T, [2]uint64{d.w.pingSeq, e.Seq}
	case e.Kind == trace.KindTCP && e.Text == retryLimit:
		d.gaveUp = 0 // the handshake was short for TCP had begun to send again before: nobody answered
	case e.Kind == trace.KindDisconnected && d.gaveUp > 0:
		if waited := d.gaveUp.Sub(d.sent); e.T.Sub(d.gaveUp) < answered && waited < d.w.keepalive {
			if d.h.n == 0 {
				d.waited = waited
			}
			d.h.add(d.sent, d.seqs[0], d.seqs[1], e.Seq)
		}
		d.gaveUp = 0
	}
}

func (d *shortPing) end(sim.Time) { d.gaveUp = 0 }

func (d *shortPing) text() string {
	return fmt.Sprintf("the session was lost because one PINGRESP was not there after %s, though the broker could be reached%s", span(d.waited), d.h.times())
}

// keepaliveStopped: the broker hears nothing, for the client sends no PINGREQ.
type keepaliveStopped struct {
	w    *watch
	h    *hits
	idle time.Duration
}

func newKeepaliveStopped(w *watch, h *hits) detector { return &keepaliveStopped{w: w, h: h} }

func (d *keepaliveStopped) add(e *trace.Event) {
	if e.Kind != trace.KindBrokerDisconnected || !strings.HasPrefix(e.Text, broker.CauseKeepAlive) || !d.w.on || !d.w.connected {
		return
	}
	if idle := e.T.Sub(d.w.sent); idle >= d.w.keepalive {
		if d.h.n == 0 {
			d.idle = idle
		}
		d.h.add(d.w.sent, d.w.sentSeq, e.Seq)
	}
}

func (d *keepaliveStopped) end(sim.Time) {}

func (d *keepaliveStopped) text() string {
	return fmt.Sprintf("the device was connected and sent no PINGREQ for %s, and the broker gave its session up%s", span(d.idle), d.h.times())
}

// callbacks: one of the application's made the client's thread wait.
type callbacks struct {
	w       *watch
	h       *hits
	name    string
	longest time.Duration
}

// longCallback is the period of the client's keepalive timer.
const longCallback = time.Second

func newCallbacks(w *watch, h *hits) detector { return &callbacks{w: w, h: h} }

func (d *callbacks) add(e *trace.Event) {
	took := time.Duration(e.Count)
	if e.Node != d.w.name || e.Kind != trace.KindWait || took < longCallback || !strings.HasPrefix(e.Text, callbackWaits) {
		return
	}
	d.h.add(e.T.Add(-took), e.Seq)
	if took > d.longest {
		d.longest = took
		d.name, _, _ = strings.Cut(strings.TrimPrefix(e.Text, callbackWaits), ",")
	}
}

func (d *callbacks) end(sim.Time) {}

func (d *callbacks) text() string {
	return fmt.Sprintf("the application's %s kept the MQTT thread waiting for %s, with the client's mutex held%s", d.name, span(d.longest), d.h.times())
}

// stuckCallback: one of the application's has not come back.
type stuckCallback struct {
	w      *watch
	h      *hits
	name   string
	since  sim.Time
	seq    uint64
	open   bool
	lasted time.Duration
}

func newStuckCallback(w *watch, h *hits) detector { return &stuckCallback{w: w, h: h} }

func (d *stuckCallback) add(e *trace.Event) {
	if e.Node != d.w.name || e.Kind != trace.KindWait {
		return
	}
	name, still := strings.CutPrefix(e.Text, "still "+callbackWaits)
	if !still {
		name = strings.TrimPrefix(e.Text, callbackWaits)
	}
	switch name, _, _ = strings.Cut(name, ","); {
	case still:
		d.open, d.since, d.seq = true, e.T.Add(-longCallback), e.Seq
		if d.h.n == 0 {
			d.name = name
		}
	case d.open && strings.HasPrefix(e.Text, callbackWaits) && e.T.Add(-time.Duration(e.Count)) <= d.since:
		d.open = false // it is back; what ran inside it began later
	}
}

func (d *stuckCallback) end(now sim.Time) {
	if lasted := now.Sub(d.since); d.open && lasted >= longWait {
		d.h.add(d.since, d.seq)
		d.lasted = max(d.lasted, lasted)
	}
	d.open = false
}

func (d *stuckCallback) text() string {
	return fmt.Sprintf("the application's %s has not returned for %s: the MQTT thread stands still, with the client's mutex held%s", d.name, span(d.lasted), d.h.times())
}

// connackRefused: a CONNACK with something behind it.
type connackRefused struct {
	w    *watch
	h    *hits
	seq  uint64
	what string
}

func newConnackRefused(w *watch, h *hits) detector { return &connackRefused{w: w, h: h} }

func (d *connackRefused) add(e *trace.Event) {
	switch {
	case e.Node != d.w.name:
	case e.Kind == trace.KindDrop && e.Reason == trace.DropMalformedMQTT && strings.HasPrefix(e.Text, "CONNACK"):
		d.seq = e.Seq
		if d.h.n == 0 {
			d.what = e.Text
		}
	case e.Kind == trace.KindConnected:
		if d.seq != 0 && e.Status == uint32(mqtt.ServerMessageFailure) {
			d.h.add(e.T, d.seq, e.Seq)
		}
		d.seq = 0
	}
}

func (d *connackRefused) end(sim.Time) {}

func (d *connackRefused) text() string {
	return fmt.Sprintf("connect failed with 0x%x because the segment held more than the CONNACK (%s)%s", uint32(mqtt.ServerMessageFailure), d.what, d.h.times())
}

// connectNeverEnds: an attempt lasts and lasts.
type connectNeverEnds struct {
	w       *watch
	h       *hits
	since   sim.Time
	seq     uint64
	open    bool
	longest time.Duration
}

const longConnect = time.Minute

func newConnectNeverEnds(w *watch, h *hits) detector { return &connectNeverEnds{w: w, h: h} }

func (d *connectNeverEnds) add(e *trace.Event) {
	if e.Node != d.w.name || e.Kind != mqtt.KindState {
		return
	}
	if d.open {
		d.end(e.T)
	}
	if e.Text == mqtt.StateConnecting.String() {
		d.open, d.since, d.seq = true, e.T, e.Seq
	}
}

func (d *connectNeverEnds) end(now sim.Time) {
	if lasted := now.Sub(d.since); d.open && lasted >= longConnect {
		d.h.add(d.since, d.seq)
		d.longest = max(d.longest, lasted)
	}
	d.open = false
}

func (d *connectNeverEnds) text() string {
	return fmt.Sprintf("an attempt to connect has lasted %s, and the application was not told how it went%s", span(d.longest), d.h.times())
}

// toldLate: the application hears of the end of its session when TCP has closed.
type toldLate struct {
	w       *watch
	h       *hits
	since   sim.Time
	seq     uint64
	open    bool
	never   bool
	longest time.Duration
}

func newToldLate(w *watch, h *hits) detector { return &toldLate{w: w, h: h} }

func (d *toldLate) add(e *trace.Event) {
	switch {
	case e.Node != d.w.name:
	case e.Kind == mqtt.KindState && e.Text == mqtt.StateIdle.String() && d.w.connected:
		d.open, d.since, d.seq = true, e.T, e.Seq
	case e.Kind == trace.KindDisconnected && d.open:
		d.close(e.T, e.Seq)
	}
}

func (d *toldLate) close(now sim.Time, seq uint64) bool {
	d.open = false
	late := now.Sub(d.since)
	if late < longWait {
		return false
	}
	d.h.add(d.since, d.seq, seq)
	d.longest = max(d.longest, late)
	return true
}

func (d *toldLate) end(now sim.Time) {
	if d.open && d.close(now, 0) {
		d.never = true
	}
}

func (d *toldLate) text() string {
	if d.never {
		return fmt.Sprintf("the client gave its session up, and after %s the application had still not been told%s", span(d.longest), d.h.times())
	}
	return fmt.Sprintf("the application heard of the end of its session %s after the client had given it up%s", span(d.longest), d.h.times())
}

// halfOpen: the broker's half of a connection outlives the device's.
type halfOpen struct {
	w     *watch
	h     *hits
	off   sim.Time
	seq   uint64
	open  bool
	never bool
	last  time.Duration
}

// longHalfOpen is from when on a connection to nobody is worth telling.
const longHalfOpen = time.Second

func newHalfOpen(w *watch, h *hits) detector { return &halfOpen{w: w, h: h} }

func (d *halfOpen) add(e *trace.Event) {
	switch {
	case e.Kind == scenarios.KindOff && e.Node == d.w.name && d.w.connected:
		d.open, d.off, d.seq = true, e.T, e.Seq
	case e.Kind == trace.KindBrokerDisconnected && d.open:
		d.open = false
		if gap := e.T.Sub(d.off); gap >= longHalfOpen {
			d.h.add(d.off, d.seq, e.Seq)
			d.last = max(d.last, gap)
		}
	}
}

func (d *halfOpen) end(sim.Time) {}

func (d *halfOpen) text() string {
	return fmt.Sprintf("the broker held its half of the connection for %s after the device had lost its power%s", span(d.last), d.h.times())
}

// loginForgotten: a client that was let in before is refused.
type loginForgotten struct {
	w      *watch
	h      *hits
	before uint64
}

func newLoginForgotten(w *watch, h *hits) detector { return &loginForgotten{w: w, h: h} }

func (d *loginForgotten) add(e *trace.Event) {
	switch {
	case e.Node != d.w.name:
	case e.Kind == scenarios.KindBoot:
		d.before = 0
	case e.Kind != trace.KindConnected:
	case e.Status == 0:
		d.before = e.Seq
	case d.before != 0 && (e.Status == uint32(mqtt.ErrorConnectReturnCode)+4 || e.Status == uint32(mqtt.ErrorConnectReturnCode)+5):
		d.h.add(e.T, d.before, e.Seq)
	}
}

func (d *loginForgotten) end(sim.Time) {}

func (d *loginForgotten) text() string {
	return "the broker refused the client that it had let in before: login and will are forgotten at every disconnect" + d.h.times()
}

// refusals: SUBACK 0x80, of which the application was not told.
type refusals struct {
	w     *watch
	h     *hits
	topic string
}

// subackFailure is the return code of a refused subscription, MQTT 3.1.1
// section 3.9.3.
const subackFailure = 0x80

func newRefusals(w *watch, h *hits) detector { return &refusals{w: w, h: h} }

func (d *refusals) add(e *trace.Event) {
	if e.Node != d.w.name || e.Kind != trace.KindSubscribed || e.QoS != subackFailure || e.Status != 0 {
		return
	}
	if d.h.n == 0 {
		d.topic = e.Topic
	}
	d.h.add(e.T, e.Seq)
}

func (d *refusals) end(sim.Time) {}

func (d *refusals) text() string {
	return fmt.Sprintf("the broker refused the subscription to %q, which the client takes for granted%s", d.topic, d.h.times())
}
