package mqtt_test

import (
	"testing"

	"hilnet/mqtt"
	"hilnet/mqtt/codec"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

func publishDup(topic, body string, qos uint8, id uint16) []byte {
	return codec.AppendPublish(nil, &codec.Publish{Topic: []byte(topic), Payload: []byte(body), QoS: qos, ID: id, Dup: true})
}

func TestFixedPublishAtQoS2SendsOnlyWhatIsMissingAfterAReconnect(t *testing.T) {
	w := newWire(t, options{mode: mqtt.ModeFixed})
	w.connected0(0, false)
	w.mute[3] = true
	w.at(10, func() {
		w.app(func(*rtos.Thread) {
			for _, m := range []string{"one", "two", "three"} {
				w.c.Publish("t", []byte(m), false, 2, 10)
			}
		})
	})
	// Two and then one are with the broker: PUBREL keeps that order.
	w.at(20, func() { w.deliver(codec.AppendAck(nil, codec.PUBREC, 2), codec.AppendAck(nil, codec.PUBREC, 1)) })
	w.at(30, w.reset)
	w.connack = codec.AppendConnack(nil, codec.Connack{SessionPresent: true})
	w.at(40, func() { w.app(func(*rtos.Thread) { w.connect(0, false) }) })
	w.at(50, func() {
		w.deliver(codec.AppendAck(nil, codec.PUBCOMP, 2), codec.AppendAck(nil, codec.PUBCOMP, 1), codec.AppendAck(nil, codec.PUBREC, 3),
			codec.AppendAck(nil, codec.PUBCOMP, 3))
	})
	w.want(
		"10 D PUBLISH q2 id=1 t 3 B", "10 D PUBLISH q2 id=2 t 3 B", "10 D PUBLISH q2 id=3 t 5 B",
		"20 B PUBREC id=2", "20 B PUBREC id=1", "20 D PUBREL id=2", "20 D PUBREL id=1",
		"30 B RST", "30 cb disconnect_notify",
		"40 tcp connect 10.0.0.1:1883 wait 500", "41 D CONNECT dev keepalive=0s", "42 B CONNACK session-present accepted",
		"42 cb connect_notify NX_SUCCESS", "42 D PUBREL id=2", "42 D PUBREL id=1", "42 D PUBLISH q2 dup id=3 t 5 B", "42 connect NX_SUCCESS",
		"50 B PUBCOMP id=2", "50 B PUBCOMP id=1", "50 B PUBREC id=3", "50 B PUBCOMP id=3",
		"50 cb ack 7 id=2", "50 cb ack 7 id=1", "50 D PUBREL id=3", "50 cb ack 7 id=3")
	w.free(16)
}

func TestFixedReceiveAtQoS2PassesOnceOverReconnects(t *testing.T) {
	w := newWire(t, options{mode: mqtt.ModeFixed})
	w.connected0(0, false)
	w.at(10, func() { w.deliver(publish("t", "once", 2, 7)) })
	w.at(20, w.reset)
	w.connack = codec.AppendConnack(nil, codec.Connack{SessionPresent: true})
	w.at(30, func() { w.app(func(*rtos.Thread) { w.mutely(func() { w.connect(0, false) }) }) })
	w.at(40, func() { w.deliver(publishDup("t", "once", 2, 7)) })
	w.at(50, func() { w.deliver(codec.AppendAck(nil, codec.PUBREL, 7)) })
	w.at(60, func() { w.deliver(codec.AppendAck(nil, codec.PUBREL, 7)) }) // the PUBCOMP was lost
	w.at(70, func() { w.app(func(*rtos.Thread) { w.read(); w.read() }) })
	w.want(
		"10 B PUBLISH q2 id=7 t 4 B", "10 D PUBREC id=7", "20 B RST", "20 cb disconnect_notify",
		"40 B PUBLISH q2 dup id=7 t 4 B", "40 D PUBREC id=7",
		"50 B PUBREL id=7", "50 D PUBCOMP id=7", "50 cb ack 6 id=7", "60 B PUBREL id=7", "60 D PUBCOMP id=7",
		"70 message_get t once", "70 message_get NXD_MQTT_NO_MESSAGE")
	w.free(16)
	if n := len(w.kinds(trace.KindReceived)); n != 1 {
		t.Errorf("passed on %d times", n)
	}
}

func TestFixedForgetsIncomingIdentifiersWithTheBrokersSession(t *testing.T) {
	w := newWire(t, options{mode: mqtt.ModeFixed})
	w.connected0(0, false)
	w.at(10, func() { w.mutely(func() { w.deliver(publish("t", "old", 2, 7)) }) })
	w.at(20, w.reset)
	w.at(30, func() { w.app(func(*rtos.Thread) { w.mutely(func() { w.connect(0, false) }) }) })
	w.at(40, func() { w.mutely(func() { w.deliver(publish("t", "new", 2, 7)) }) })
	w.at(50, func() { w.app(func(*rtos.Thread) { w.read(); w.read() }) })
	w.want("10 D PUBREC id=7", "20 B RST", "20 cb disconnect_notify", "40 D PUBREC id=7", "50 message_get t old", "50 message_get t new")
}

func TestFixedSubscribesAgainWhereTheSessionIsGone(t *testing.T) {
	for _, present := range []bool{false, true} {
		w := newWire(t, options{mode: mqtt.ModeFixed})
		w.connected0(0, false)
		w.app(func(*rtos.Thread) {
			w.mutely(func() { w.c.Subscribe("a", 1); w.c.Subscribe("b", 2); w.c.Subscribe("c", 0); w.c.Unsubscribe("c") })
		})
		w.at(15, func() { w.mute[8] = true; w.app(func(*rtos.Thread) { w.mutely(func() { w.c.Subscribe("late", 0) }) }) })
		w.at(20, func() { w.lines = nil; w.mute[8] = false; w.reset() })
		w.at(25, func() { w.connack = codec.AppendConnack(nil, codec.Connack{SessionPresent: present}) })
		w.at(30, func() {
			w.lines = nil
			w.app(func(*rtos.Thread) { w.mutely(func() { w.connect(0, false) }) })
		})
		w.at(31.5, func() { w.quiet = false })
		w.run(1)
		var subscribed []string
		for _, e := range w.kinds(trace.KindSubscribed) {
			if e.T > 30e6 {
				subscribed = append(subscribed, e.Topic)
			}
		}
		want := 1
		if !present {
			want = 3
		}
		if len(subscribed) != want || subscribed[want-1] != "late" {
			t.Errorf("session present %v: subscribed to %v again", present, subscribed)
		}
		w.free(16)
	}
}

func TestFixedTakesMessagesWithoutAConnection(t *testing.T) {
	w := newWire(t, options{mode: mqtt.ModeFixed, offline: 2})
	w.app(func(*rtos.Thread) {
		w.say("subscribe %v", w.c.Subscribe("s", 2))
		for i, qos := range []uint8{0, 1, 2, 1} {
			w.say("publish %v", w.c.Publish("t", []byte{byte('1' + i)}, false, qos, 10))
		}
	})
	w.at(10, func() { w.app(func(*rtos.Thread) { w.connect(0, true) }) })
	w.at(12.5, func() { w.quiet = true })
	w.want("0 subscribe NX_SUCCESS", "0 publish NXD_MQTT_NOT_CONNECTED", "0 publish NX_SUCCESS", "0 publish NX_SUCCESS", "0 publish NX_TX_QUEUE_DEPTH",
		"10 tcp connect 10.0.0.1:1883 wait 500", "11 D CONNECT dev clean keepalive=0s", "12 B CONNACK accepted", "12 cb connect_notify NX_SUCCESS",
		"12 D SUBSCRIBE id=3 s:q2", "12 D PUBLISH q1 id=1 t 1 B", "12 D PUBLISH q2 id=2 t 1 B", "12 connect NX_SUCCESS")
	if e := w.kinds(trace.KindDrop); len(e) != 1 || e[0].Reason != mqtt.DropOfflineQueue {
		t.Errorf("drops %v", e)
	}
}

func TestFixedCleanSessionForgetsWhatWasSentAndSaysSo(t *testing.T) {
	for _, resend := range []bool{false, true} {
		w := newWire(t, options{mode: mqtt.ModeFixed, resend: resend})
		w.connected0(0, true)
		w.mute[3] = true
		w.app(func(*rtos.Thread) { w.mutely(func() { w.c.Publish("t", []byte("x"), false, 1, 10) }) })
		w.at(10, func() { w.mute[3] = false; w.reset() })
		w.at(20, func() { w.app(func(*rtos.Thread) { w.mutely(func() { w.connect(0, true) }) }) })
		w.run(1)
		acked, drops := w.kinds(trace.KindAcked), w.kinds(trace.KindDrop)
		if resend && (len(acked) != 1 || len(drops) != 0) || !resend && (len(acked) != 0 || len(drops) != 1 || drops[0].Reason != mqtt.DropCleanSession) {
			t.Errorf("resend %v: acknowledged %v, dropped %v", resend, acked, drops)
		}
		w.free(16)
	}
}

func TestFixedSessionOutlivesTheDevice(t *testing.T) {
	w := newWire(t, options{mode: mqtt.ModeFixed})
	w.connected0(0, false)
	w.mute[3] = true
	w.app(func(*rtos.Thread) {
		w.mutely(func() {
			w.c.Subscribe("s", 1)
			for _, m := range []string{"one", "two"} {
				w.c.Publish("t", []byte(m), true, 2, 10)
			}
		})
	})
	w.at(10, func() {
		w.mutely(func() {
			w.deliver(publish("t", "unread", 2, 9))
			w.deliver(codec.AppendAck(nil, codec.PUBREC, 2))
		})
	})
	w.run(0.05)
	s := w.c.Session()
	w = newWire(t, options{mode: mqtt.ModeFixed, session: s})
	w.connack = codec.AppendConnack(nil, codec.Connack{SessionPresent: true})
	w.app(func(*rtos.Thread) { w.connect(0, false); w.read() })
	w.at(10, func() {
		w.mutely(func() { w.deliver(publishDup("t", "unread", 2, 9)) })
		w.app(func(*rtos.Thread) { w.read() })
	})
	w.at(20, func() { w.quiet = true; w.app(func(*rtos.Thread) { w.c.Delete() }) })
	w.want("0 tcp connect 10.0.0.1:1883 wait 500", "1 D CONNECT dev keepalive=0s", "2 B CONNACK session-present accepted", "2 cb connect_notify NX_SUCCESS",
		"2 D SUBSCRIBE id=4 s:q1", "2 D PUBREL id=2", "2 D PUBLISH q2 dup retain id=3 t 3 B", "2 connect NX_SUCCESS", "2 message_get t unread",
		"3 B SUBACK id=4 q1", "3 cb ack 9 id=4", "10 D PUBREC id=9", "10 message_get NXD_MQTT_NO_MESSAGE")
	w.free(16)
}

// A subscription that was ended while the broker did not answer must not live on
// because the device was reset.
func TestFixedUnsubscribeOutlivesTheDevice(t *testing.T) {
	w := newWire(t, options{mode: mqtt.ModeFixed})
	w.connected0(0, false)
	w.app(func(*rtos.Thread) { w.mutely(func() { w.c.Subscribe("s", 1) }) })
	w.at(10, func() {
		w.mute[10] = true
		w.app(func(*rtos.Thread) { w.mutely(func() { w.c.Unsubscribe("s") }) })
	})
	w.run(0.05)
	s := w.c.Session()
	w = newWire(t, options{mode: mqtt.ModeFixed, session: s})
	w.connack = codec.AppendConnack(nil, codec.Connack{SessionPresent: true})
	w.app(func(*rtos.Thread) { w.mutely(func() { w.connect(0, false) }) })
	w.run(1)
	if e := w.kinds(mqtt.KindUnsubscribed); len(e) != 1 || e[0].Topic != "s" {
		t.Errorf("unsubscribed %v after the reset", e)
	}
	if e := w.c.Session(); len(e.Ended)+len(e.Filters) != 0 {
		t.Errorf("left: %+v", e)
	}
}

func TestFixedAcknowledgementsThatDoNotFitCloseTheConnection(t *testing.T) {
	for name, answer := range map[string][]byte{
		"PUBACK of QoS 2":      codec.AppendAck(nil, codec.PUBACK, 2),
		"PUBREC of QoS 1":      codec.AppendAck(nil, codec.PUBREC, 1),
		"PUBCOMP of QoS 1":     codec.AppendAck(nil, codec.PUBCOMP, 1),
		"PUBCOMP, no PUBREC":   codec.AppendAck(nil, codec.PUBCOMP, 2),
		"two codes":            codec.AppendSuback(nil, 3, []byte{0, 0}),
		"CONNACK again":        {0x20, 2, 0, 0},
		"DISCONNECT":           {0xE0, 0},
		"larger than the pool": {0x30, 0xFF, 0xFF, 0x7F},
	} {
		w := newWire(t, options{mode: mqtt.ModeFixed})
		w.connected0(0, false)
		w.mute[3], w.mute[8] = true, true
		w.app(func(*rtos.Thread) {
			w.mutely(func() { w.c.Publish("t", nil, false, 1, 1); w.c.Publish("t", nil, false, 2, 1); w.c.Subscribe("s", 0) })
		})
		w.at(20, func() { w.segment(answer) })
		w.run(1)
		if e := w.kinds(trace.KindDrop); w.connected || len(e) != 1 || e[0].Reason != trace.DropMalformedMQTT || w.c.TransmitDepth() != 2 {
			t.Errorf("%s: connected %v, %v, %d wait", name, w.connected, e, w.c.TransmitDepth())
		}
	}
}
