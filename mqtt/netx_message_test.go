package mqtt_test

// More of NetX Duo's regression cases: keepalive, messages in both directions.

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"hilnet/mqtt"
	"hilnet/mqtt/codec"
	"hilnet/sim/rtos"
)

func TestKeepalive(t *testing.T) {
	w := newWire(t, options{})
	w.at(333, func() { w.app(func(*rtos.Thread) { w.quiet = true; w.connect(4, true); w.quiet = false }) })
	w.at(12000, func() { w.quiet = true })
	// The timer's phase is the connect() call, 333 ms, on the tick grid: it
	// fires at 1330, 2330 ... An idle client pings every keepalive-1 s.
	w.want("3330 D PINGREQ", "3331 B PINGRESP", "6330 D PINGREQ", "6331 B PINGRESP", "9330 D PINGREQ", "9331 B PINGRESP")
}

func TestKeepaliveTimeout(t *testing.T) {
	w := newWire(t, options{})
	w.mute[12] = true
	w.app(func(*rtos.Thread) { w.quiet = true; w.connect(4, true); w.quiet = false })
	w.want("3000 D PINGREQ", "4000 tcp FIN, wait -1", "4000 cb disconnect_notify")
	if e := w.kinds("mqtt.disconnected"); len(e) != 1 || e[0].Text != "no PINGRESP in time" {
		t.Errorf("%v", e)
	}
}

func TestMultipleReceive(t *testing.T) {
	w := newWire(t, options{})
	w.app(func(*rtos.Thread) { w.quiet = true; w.connect(0, true); w.quiet = false })
	w.c.AckReceiveNotify = nil
	w.app(func(*rtos.Thread) {
		w.c.ReceiveNotifySet(func(_ *mqtt.Client, depth int) { w.say("cb receive_notify %d", depth) })
	})
	w.at(100, func() { w.deliver(publish("a", "0", 0, 0), publish("b", "1", 1, 9), publish("c", "2", 2, 10)) })
	w.at(200, func() { w.app(func(*rtos.Thread) { w.read(); w.read(); w.read(); w.read() }) })
	w.want("100 B PUBLISH q0 a 1 B", "100 B PUBLISH q1 id=9 b 1 B", "100 B PUBLISH q2 id=10 c 1 B",
		"100 cb receive_notify 1",
		// receive_notify comes before the acknowledgement.
		"100 cb receive_notify 2", "100 D PUBACK id=9",
		"100 cb receive_notify 3", "100 D PUBREC id=10",
		"200 message_get a 0", "200 message_get b 1", "200 message_get c 2", "200 message_get NXD_MQTT_NO_MESSAGE")
	w.free(15) // the copy of the PUBREC waits for its PUBREL
}

func TestNotConnected(t *testing.T) {
	w := newWire(t, options{})
	w.app(func(*rtos.Thread) {
		w.say("publish %v", w.c.Publish("t", nil, false, 0, 1))
		w.say("subscribe %v", w.c.Subscribe("t", 0))
		w.say("unsubscribe %v", w.c.Unsubscribe("t"))
	})
	w.want("0 publish NXD_MQTT_NOT_CONNECTED", "0 subscribe NXD_MQTT_NOT_CONNECTED", "0 unsubscribe NXD_MQTT_NOT_CONNECTED")
	w.free(16)
}

func TestPacketLeakSubackOfWrongLength(t *testing.T) {
	w := newWire(t, options{})
	w.mute[8] = true
	w.app(func(*rtos.Thread) { w.quiet = true; w.connect(0, true); w.c.Subscribe("t", 1); w.quiet = false })
	w.at(100, func() { w.segment([]byte{0x90, 4, 0, 1, 0, 0}); w.segment([]byte{0x90, 1, 0}) })
	w.at(200, func() { w.free(15); w.app(func(*rtos.Thread) { w.c.Disconnect() }) })
	w.want("200 D DISCONNECT", "200 tcp FIN, wait -1", "200 cb disconnect_notify")
	w.free(16)
}

func TestPublishNonZeroPacketID(t *testing.T) {
	w := newWire(t, options{})
	w.app(func(*rtos.Thread) {
		w.quiet = true
		w.connect(0, true)
		w.mute[3], w.mute[8] = true, true
		for range 0xFFFF - 1 {
			if !w.c.Publish("t", nil, false, 1, 0).OK() {
				t.Error("publish failed")
				return
			}
			w.deliverPubackOfLast()
		}
		w.quiet = false
		w.c.Publish("t", nil, false, 1, 0)
		w.c.Publish("t", nil, false, 1, 0) // never 0
		w.c.Subscribe("t", 0)
	})
	w.want("2 D PUBLISH q1 id=65535 t 0 B", "2 D PUBLISH q1 id=1 t 0 B", "2 D SUBSCRIBE id=2 t:q0")
}

// deliverPubackOfLast acknowledges the newest publish.
func (w *wire) deliverPubackOfLast() {
	for i := len(w.events) - 1; i >= 0; i-- {
		if e := w.events[i]; e.Kind == "mqtt.publish" {
			w.events = w.events[:0]
			w.deliver(codec.AppendAck(nil, codec.PUBACK, e.ID))
			return
		}
	}
}

func TestPublishPacketChain(t *testing.T) {
	w := newWire(t, options{payload: 100, packets: 8})
	long := string(bytes.Repeat([]byte("long/"), 20))
	w.app(func(th *rtos.Thread) {
		w.connect(0, true)
		w.lines = nil
		w.holdTCP = true
		// Header 3, topic 2+100, message 141: 44+100+100+2 bytes in 4 packets.
		w.say("publish %v", w.c.Publish(long, bytes.Repeat([]byte("x"), 141), false, 0, 0))
		w.say("%d packets, %d free", w.sent[0].Packets(), w.pool.Free())
		w.say("publish %v", w.c.Publish(long, bytes.Repeat([]byte("x"), 600), false, 0, 0))
		w.pool.Leak(1)
		w.say("publish %v, %d free", w.c.Publish(long, nil, false, 1, 0), w.pool.Free())
		w.pool.Leak(2)
		w.say("publish %v, %d free", w.c.Publish("t", nil, false, 1, 0), w.pool.Free())
		w.pool.Leak(1)
		w.say("publish %v", w.c.Publish("t", nil, false, 1, 0))
		w.ackTCP()
		w.pool.Restore(4)
		w.say("publish %v", w.c.Publish(long, bytes.Repeat([]byte("x"), 300), false, 0, 0))
		w.ackTCP()
	})
	w.want("2 D PUBLISH q0 "+long+" 141 B", "2 publish NX_SUCCESS", "2 4 packets, 4 free",
		"2 publish NXD_MQTT_INTERNAL_ERROR",              // the message did not fit
		"2 publish NXD_MQTT_PACKET_POOL_FAILURE, 3 free", // 2 packets, no 2 for the copy
		"2 publish NXD_MQTT_PACKET_POOL_FAILURE, 1 free",
		"2 publish NXD_MQTT_PACKET_POOL_FAILURE",
		"2 D PUBLISH q0 "+long+" 300 B", "2 publish NX_SUCCESS")
	w.free(8)
}

func TestPublishQoS0And1(t *testing.T) {
	w := newWire(t, options{})
	w.app(func(th *rtos.Thread) {
		w.quiet = true
		w.connect(0, true)
		w.quiet, w.holdTCP, w.mute[3] = false, true, true
		w.c.Publish("a/b", []byte("hello"), true, 0, 100)
		w.c.Publish("a/b", []byte("hello"), false, 1, 100)
	})
	w.run(1)
	if got := fmt.Sprintf("%q %q", w.sent[0].AppendTo(nil), w.sent[1].AppendTo(nil)); got != `"1\n\x00\x03a/bhello" "2\f\x00\x03a/b\x00\x01hello"` {
		t.Error(got)
	}
	w.free(13) // a QoS 1 message takes two packets
	w.ackTCP()
	w.free(15)
	w.deliver(codec.AppendAck(nil, codec.PUBACK, 2)) // of nobody
	w.deliver(codec.AppendAck(nil, codec.PUBACK, 1))
	w.want("2 D PUBLISH q0 retain a/b 5 B", "2 D PUBLISH q1 id=1 a/b 5 B", "1000 B PUBACK id=2", "1000 B PUBACK id=1", "1000 cb ack 4 id=1")
	w.free(16)
	if e := w.kinds("mqtt.acked"); len(e) != 1 || e[0].Count != 998e6 || e[0].Hash == 0 {
		t.Errorf("acked %+v", e)
	}
}

func TestReceiveQoS2(t *testing.T) {
	w := newWire(t, options{quirks: without("pubcomp_stale_id", "pubrec_queued_twice")})
	w.app(func(*rtos.Thread) { w.quiet = true; w.connect(0, true); w.quiet = false })
	w.at(100, func() { w.deliver(publish("t", "x", 2, 0x102)) })
	w.at(200, func() { w.deliver(publish("t", "x", 2, 0x102)) })
	w.at(300, func() { w.deliver(codec.AppendAck(nil, codec.PUBREL, 0x102)) })
	w.at(400, func() { w.app(func(*rtos.Thread) { w.read(); w.read() }) })
	w.want("100 B PUBLISH q2 id=258 t 1 B", "100 D PUBREC id=258", "200 B PUBLISH q2 id=258 t 1 B", "200 D PUBREC id=258",
		"300 B PUBREL id=258", "300 D PUBCOMP id=258", "300 cb ack 6 id=258", "400 message_get t x", "400 message_get NXD_MQTT_NO_MESSAGE")
	w.free(16)
}

func TestReceiveSpan(t *testing.T) {
	body := strings.Repeat("0123456789", 60)
	frame := publish("t", body, 1, 7)
	for _, cut := range []int{1, 2, 3, 5, 20, 199, 200, 201, 700} {
		w := newWire(t, options{payload: 128, packets: 700})
		w.app(func(*rtos.Thread) { w.quiet = true; w.connect(0, true); w.quiet = false })
		w.at(10, func() {
			for rest := frame; len(rest) > 0; rest = rest[min(cut, len(rest)):] {
				w.segment(rest[:min(cut, len(rest))])
			}
		})
		w.at(50, func() { w.app(func(*rtos.Thread) { w.read() }) })
		w.run(1)
		if got := strings.Join(w.lines, "|"); got != "10 D PUBACK id=7|50 message_get t 600 B" {
			t.Errorf("pieces of %d: %s", cut, got)
		}
		w.free(700)
	}
}

func TestRemainingLength(t *testing.T) {
	for _, n := range []int{0, 1, 120, 121, 122, 123, 16374, 16375, 16376, 16377} {
		w := newWire(t, options{payload: 1500, packets: 40})
		body := bytes.Repeat([]byte("x"), n)
		w.app(func(*rtos.Thread) {
			w.connect(0, true)
			w.holdTCP = true
			if n == 0 {
				w.c.Publish("topic", nil, false, 0, 0)
			} else {
				w.c.Publish("topic", body, false, 0, 0)
			}
		})
		w.run(1)
		var p codec.Packet
		if err := p.Decode(w.sent[0].AppendTo(nil)); err != nil || !bytes.Equal(p.Publish.Payload, body) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestSubscribeUnsubscribe(t *testing.T) {
	w := newWire(t, options{})
	w.app(func(th *rtos.Thread) {
		w.connect(0, true)
		w.lines = nil
		w.say("subscribe %v, %d free", w.c.Subscribe("a/+", 1), w.pool.Free())
		th.Sleep(1)
		w.say("unsubscribe %v", w.c.Unsubscribe("a/+"))
	})
	w.want("2 D SUBSCRIBE id=1 a/+:q1", "2 subscribe NX_SUCCESS, 15 free", "3 B SUBACK id=1 q1", "3 cb ack 9 id=1",
		"10 D UNSUBSCRIBE id=2 a/+", "10 unsubscribe NX_SUCCESS", "11 B UNSUBACK id=2", "11 cb ack 11 id=2")
	w.free(16)
}

func TestSubackOfARefusedSubscriptionCountsAsAny(t *testing.T) {
	w := newWire(t, options{})
	w.mute[8] = true
	w.app(func(th *rtos.Thread) { w.connect(0, true); w.lines = nil; w.c.Subscribe("a", 1) })
	w.at(50, func() { w.deliver(codec.AppendSuback(nil, 1, []byte{0x80})) })
	w.want("2 D SUBSCRIBE id=1 a:q1", "50 B SUBACK id=1 refused", "50 cb ack 9 id=1")
	if e := w.kinds("mqtt.subscribed"); len(e) != 1 || e[0].QoS != 0x80 {
		t.Errorf("the trace does not say what was granted: %+v", e)
	}
}

func TestTransmitQueueDepth(t *testing.T) {
	w := newWire(t, options{payload: 256, packets: 64, depth: 20})
	w.app(func(th *rtos.Thread) {
		w.quiet = true
		w.connect(0, true)
		w.mute[3] = true
		for range 20 {
			if s := w.c.Publish("t", nil, false, 1, 10); !s.OK() {
				t.Errorf("publish: %v", s)
			}
		}
		w.quiet = false
		w.say("the 21st %v, depth %d", w.c.Publish("t", nil, false, 1, 10), w.c.TransmitDepth())
		w.c.Delete()
	})
	w.want("2 the 21st NXD_MQTT_PACKET_POOL_FAILURE, depth 20", "2 tcp FIN, wait -1", "2 cb disconnect_notify")
	w.free(64)
}
