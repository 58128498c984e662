package mqtt_test

import (
	"testing"

	"hilnet/mqtt"
	"hilnet/mqtt/codec"
	"hilnet/sim/rtos"
)

// What a client without quirks does when the pool is empty.

func TestWithoutQuirksAnEmptyPoolDelaysAnswersOnly(t *testing.T) {
	quirks := mqtt.NoQuirks()
	w := newWire(t, options{payload: 256, packets: 6, quirks: &quirks})
	w.connected0(3, true)
	w.at(10, func() { w.deliver(publish("t", "a", 2, 1)); w.pool.Leak(5) })
	w.at(700, func() { w.pool.Restore(1) }) // a PUBREC needs two
	w.at(800, func() { w.pool.Restore(1) })
	w.at(900, func() { w.deliver(codec.AppendAck(nil, codec.PUBREL, 1)) })
	w.at(2500, func() { w.pool.Leak(9) }) // nothing for the PINGREQ of 3 s
	w.at(3503, func() { w.pool.Restore(9) })
	w.at(3600, func() { w.quiet = true })
	w.want("10 B PUBLISH q2 id=1 t 1 B", "800 D PUBREC id=1", "900 B PUBREL id=1", "900 cb ack 6 id=1", "910 D PUBCOMP id=1",
		"3510 D PINGREQ", "3511 B PINGRESP")
}

func TestWithoutQuirksConnackMayComeInPieces(t *testing.T) {
	quirks := mqtt.NoQuirks()
	w := newWire(t, options{quirks: &quirks})
	w.connack = nil
	w.app(func(*rtos.Thread) { w.connect(0, true) })
	w.at(10, func() { w.segment([]byte{0x20, 2}) })
	w.at(20, func() { w.segment([]byte{0, 0}) })
	w.want("0 tcp connect 10.0.0.1:1883 wait 500", "1 D CONNECT dev clean keepalive=0s", "20 cb connect_notify NX_SUCCESS", "20 connect NX_SUCCESS")
	w.free(16)
}

func TestWithoutQuirksSubscribeWaitsWithTheMutexFree(t *testing.T) {
	quirks := mqtt.NoQuirks()
	w := newWire(t, options{payload: 256, packets: 4, quirks: &quirks})
	w.connected0(0, true)
	w.at(10, func() { w.mutely(func() { w.deliver(publish("t", "a", 0, 0)) }); w.pool.Leak(4) })
	w.at(20, func() { w.app(func(*rtos.Thread) { w.say("subscribe %v", w.c.Subscribe("s", 0)) }) })
	w.at(30, func() { w.app(func(*rtos.Thread) { w.read() }) })
	w.at(40, func() { w.pool.Restore(4) })
	w.want("30 message_get t a", "40 D SUBSCRIBE id=1 s:q0", "40 subscribe NX_SUCCESS", "41 B SUBACK id=1 q0", "41 cb ack 9 id=1")
	w.free(4)
}
