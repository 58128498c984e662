package mqtt_test

import (
	"testing"

	"hilnet/mqtt"
	"hilnet/mqtt/codec"
	"hilnet/sim/rtos"
)

// FuzzReceive feeds a client any bytes in any cut. It must not panic, and
// without quirks it must not lose a packet.
func FuzzReceive(f *testing.F) {
	seeds := [][]byte{
		publish("t", "x", 0, 0),
		append(publish("t", "one", 1, 7), publish("topic", "two", 2, 0x102)...),
		append(codec.AppendAck(nil, codec.PUBREL, 0x102), codec.AppendAck(nil, codec.PUBACK, 1)...),
		{0x30, 1, 0}, {0x30, 4, 0, 9, 'a', 'b'}, {0x32, 5, 0, 3, 'a', 'b', 'c'},
		{0x30, 0x80, 0x80, 0x80, 0x80, 1}, {0x90, 3, 0, 1, 0x80}, {0x20, 2, 0, 0}, {0xE0, 0}, {0x36, 3, 0, 0, 0},
	}
	for _, seed := range seeds {
		f.Add(seed, uint8(3), true)
		f.Add(seed, uint8(200), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint8, quirky bool) {
		if len(data) > 4096 {
			return
		}
		quirks := mqtt.NoQuirks()
		if quirky {
			quirks = mqtt.NetX642()
		}
		w := newWire(t, options{payload: 96, packets: 12, quirks: &quirks})
		w.quiet = true
		w.app(func(*rtos.Thread) {
			w.connect(0, false)
			w.c.Subscribe("t", 1)
			w.c.Publish("t", []byte("x"), false, 1, 10)
		})
		w.run(0.005)
		step := int(cut) + 1
		for i := 0; len(data) > 0; i++ {
			piece := data[:min(step, len(data))]
			data = data[len(piece):]
			w.at(float64(10+10*i), func() {
				if w.connected {
					w.segment(piece)
				}
			})
			w.at(float64(15+10*i), func() { w.app(func(*rtos.Thread) { w.read() }) })
		}
		w.run(60)
		if quirky {
			return
		}
		w.app(func(*rtos.Thread) { w.c.Delete() })
		w.run(10)
		w.free(12)
	})
}
