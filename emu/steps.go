package emu

import (
	"fmt"
	"time"

	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/sim"
)

// do performs steps, one after the other. What fails is in the trace, by the
// client's own events, and the next step follows.
func (d *device) do(t *sim.Task, steps []scenarios.Step) {
	for i := range steps {
		d.step(t, &steps[i])
	}
}

func (d *device) step(t *sim.Task, s *scenarios.Step) {
	wait := d.ticks(d.cfg.MQTT.Wait.Std())
	switch {
	case s.Connect != nil:
		d.wanted = true
		if !d.connected {
			d.connect(t)
		}
	case s.Disconnect != nil:
		d.wanted = false
		d.client.Disconnect()
	case s.Subscribe != nil:
		d.client.Subscribe(s.Subscribe.Topic, uint8(s.Subscribe.QoS))
	case s.Unsubscribe != nil:
		d.client.Unsubscribe(s.Unsubscribe.Topic)
	case s.Publish != nil:
		d.numbers[s.Publish]++
		payload := s.Publish.Render(d.numbers[s.Publish], t.Now())
		if len(payload) == 0 {
			payload = nil // NetX takes no message, but refuses one of length 0
		}
		d.client.Publish(s.Publish.Topic, payload, s.Publish.Retain, uint8(s.Publish.QoS), wait)
	case s.MessageGet != nil:
		d.messageGet(*s.MessageGet)
	case s.Sleep != nil:
		t.Sleep(s.Sleep.Std())
	case s.WaitFor != nil:
		d.waitFor(t, s.WaitFor)
	case s.Every != nil:
		d.every(t, s.Every)
	case s.Repeat != nil:
		for range s.Repeat.Times {
			d.do(t, s.Repeat.Do)
			t.Sleep(0) // rounds that take no time must not keep the run from being stopped
		}
	case s.Login != nil:
		d.client.LoginSet([]byte(s.Login.User), []byte(s.Login.Password))
	case s.Will != nil:
		d.client.WillMessageSet([]byte(s.Will.Topic), []byte(s.Will.Message), s.Will.Retain, uint8(s.Will.QoS))
	case s.Delete != nil:
		d.wanted = false
		d.client.Delete()
	case s.Reboot != nil:
		d.restart(t)
	default:
		panic("emu: an empty step passed validation")
	}
}

// restart ends the connection in order and resets the device. It does not return.
func (d *device) restart(t *sim.Task) {
	d.wanted = false
	if d.connected {
		d.client.Disconnect()
	}
	m := d.machine
	d.world.loop.At(t.Now(), func() {
		if d.on && d.machine == m {
			d.reset("software reset")
		}
	})
	var never sim.Cond
	t.Wait(&never, -1)
}

// messageGet takes one message, or all. An application that gets one cut goes on
// with the next; one that is told nothing but that its buffers are too small does
// not try for ever.
func (d *device) messageGet(which scenarios.MessageGet) {
	if d.topicRead == nil {
		d.topicRead, d.messageRead = make([]byte, d.cfg.MQTT.TopicBuffer), make([]byte, d.cfg.MQTT.MessageBuffer)
	}
	for {
		topic, message, s := d.client.MessageGet(d.topicRead, d.messageRead)
		cut := s == mqtt.InsufficientBufferSpace && topic+message > 0
		if s != mqtt.Success && !cut || which == scenarios.GetOne {
			return
		}
	}
}

func (d *device) waitFor(t *sim.Task, w *scenarios.WaitFor) {
	deadline := t.Now().Add(w.Timeout.Std())
	for !d.holds(w.Event) {
		left := deadline.Sub(t.Now())
		if left <= 0 || !t.Wait(&d.changed, left) {
			return
		}
	}
}

// holds reports whether what wait_for waits for is so.
func (d *device) holds(e scenarios.WaitEvent) bool {
	switch e {
	case scenarios.WhenConnected:
		return d.connected
	case scenarios.WhenDisconnected:
		return !d.connected
	case scenarios.WhenMessage:
		return d.queued > 0
	case scenarios.WhenAcked:
		return d.client.TransmitDepth() == 0
	}
	panic(fmt.Sprintf("emu: event %q passed validation", e))
}

// every begins rounds at multiples of the period. A late one begins at once.
func (d *device) every(t *sim.Task, e *scenarios.Every) {
	start := t.Now()
	for n := 0; e.Count == 0 || n < e.Count; n++ {
		offset := time.Duration(n) * e.Period.Std()
		if e.For > 0 && offset >= e.For.Std() {
			return
		}
		if at := start.Add(offset); at > t.Now() {
			t.SleepUntil(at)
		}
		d.do(t, e.Do)
		t.Sleep(0) // as in repeat: late rounds follow at once
	}
}
