package mqtt_test

import (
	"fmt"
	"strings"
	"testing"

	"hilnet/sim/rtos"
)

// What recordings of the real NetX Duo 6.4.2 showed of the client alone.

// TestPool8x256Flood: fifty QoS 0 messages of 100 bytes reach a device with
// eight packets of 256 bytes. The first comes alone, the next twelve and a half
// in one segment of six packets. The real client kept 01, 09, 11 and 13: each
// message that is not the last needs a copy of all that is left of the segment.
func TestPool8x256Flood(t *testing.T) {
	w := newWire(t, options{payload: 256, packets: 8})
	w.connected0(0, true)
	message := func(i int) []byte {
		return publish("golden/flood", fmt.Sprintf("flood-%02d-%s", i, strings.Repeat("x", 91)), 0, 0)
	}
	var stream []byte
	for i := 2; i <= 14; i++ {
		stream = append(stream, message(i)...)
	}
	w.at(630, func() { w.segment(message(1)) })
	w.at(670, func() { w.segment(stream[:1460]) })
	w.at(1000, func() {
		w.free(0)
		if s := w.pool.Stats(); s.EmptyRequests != 9 {
			t.Errorf("%d empty requests, the recording has 9", s.EmptyRequests)
		}
		w.app(func(*rtos.Thread) {
			for range 5 {
				topic, body := make([]byte, 64), make([]byte, 100)
				_, _, status := w.c.MessageGet(topic, body)
				w.say("%s%v", strings.TrimRight(string(body[:8]), "\x00"), status)
			}
		})
	})
	w.want("1000 flood-01NX_SUCCESS", "1000 flood-09NX_SUCCESS", "1000 flood-11NX_SUCCESS", "1000 flood-13NX_SUCCESS",
		"1000 NXD_MQTT_NO_MESSAGE")
	w.free(7) // the rest of message 14 is parked
}

// TestUnreadMessagesAtDisconnect: 16 packets; three unread messages, two of them
// in one segment, are lost at each disconnect: 13, 10, 7, 4 free.
func TestUnreadMessagesAtDisconnect(t *testing.T) {
	w := newWire(t, options{payload: 512, packets: 16})
	w.quiet = true
	for round := range 4 {
		start := float64(round) * 1800
		w.at(start, func() { w.app(func(*rtos.Thread) { w.connect(60, true); w.c.Subscribe("golden/t5", 0) }) })
		w.at(start+415, func() { w.segment(publish("golden/t5", "message 1", 0, 0)) })
		w.at(start+600, func() {
			w.segment(append(publish("golden/t5", "message 2", 0, 0), publish("golden/t5", "message 3", 0, 0)...))
		})
		w.at(start+1500, func() {
			w.free(13 - 3*round)
			w.app(func(*rtos.Thread) { w.c.Disconnect() })
		})
		w.at(start+1502, func() { w.free(13 - 3*round) })
	}
	w.run(10)
	if h := fmt.Sprint(w.pool.Holdings()); h != "[{leaked: unread at disconnect 12}]" {
		t.Errorf("holdings %s", h)
	}
}

// TestPool8x256FloodQoS1: seven unread QoS 1 messages and TCP holding one PUBACK
// leave no packet; the client itself is not stuck, as message_get works.
func TestPool8x256FloodQoS1(t *testing.T) {
	w := newWire(t, options{payload: 256, packets: 8})
	w.connected0(0, true)
	for i := range 8 {
		w.at(645+float64(i), func() {
			w.quiet, w.holdTCP = true, i == 6
			w.segment(publish("golden/flood", strings.Repeat("x", 100), 1, uint16(i+1)))
		})
	}
	w.at(10500, func() {
		w.free(0)
		w.quiet = false
		w.app(func(*rtos.Thread) {
			for range 8 {
				w.read()
			}
			w.say("%d free, holding %v", w.pool.Free(), w.pool.Holdings())
		})
	})
	want := make([]string, 0, 9)
	for range 7 {
		want = append(want, "10500 message_get golden/flood 100 B")
	}
	w.want(append(want, "10500 message_get NXD_MQTT_NO_MESSAGE", "10500 7 free, holding [{tcp 1}]")...)
}
