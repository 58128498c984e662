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
			w.at(float64(15+10*i), func() {
				w.app(func(*rtos.Thread) {
					if i%3 == 2 { // with buffers that few messages fit
						w.c.MessageGet(make([]byte, 1), make([]byte, 2))
					}
					w.read()
				})
			})
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

// FuzzFixed feeds the fixed client any bytes in any cut, with cuts of the
// connection between them. It must not panic, must not lose a packet, and must
// not pass on what is no message.
func FuzzFixed(f *testing.F) {
	for _, seed := range [][]byte{
		publish("t", "x", 2, 7), append(publish("t", "x", 2, 7), publishDup("t", "x", 2, 7)...),
		append(codec.AppendAck(nil, codec.PUBREL, 7), codec.AppendAck(nil, codec.PUBREC, 2)...),
		codec.AppendAck(nil, codec.PUBCOMP, 2), codec.AppendSuback(nil, 1, []byte{2}), codec.AppendSuback(nil, 1, []byte{0x80}),
		{0x30, 0x80, 0x80, 0x80, 1}, {0x20, 2, 1, 0}, {0xD0, 0}, {0xE0, 0}, {0x36, 3, 0, 0, 0},
	} {
		f.Add(seed, uint8(3), uint8(0))
		f.Add(seed, uint8(200), uint8(2))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut, every uint8) {
		if len(data) > 2048 {
			return
		}
		w := newWire(t, options{payload: 96, packets: 16, mode: mqtt.ModeFixed, offline: 4})
		w.quiet = true
		w.connack = codec.AppendConnack(nil, codec.Connack{SessionPresent: cut%2 == 1})
		w.mute[3] = true
		w.app(func(th *rtos.Thread) {
			w.c.Subscribe("t", 2)
			for qos := range uint8(3) {
				w.c.Publish("t", []byte("x"), false, qos, 10)
			}
			for range 100 { // as an application that connects again
				if w.c.State() == mqtt.StateIdle {
					w.connect(5, false)
				}
				w.c.MessageGet(make([]byte, 1), make([]byte, 8))
				w.read()
				th.Sleep(7)
			}
		})
		step := int(cut) + 1
		for i := 0; len(data) > 0; i++ {
			piece := data[:min(step, len(data))]
			data = data[len(piece):]
			w.at(float64(50+5*i), func() {
				switch {
				case !w.connected:
				case every > 0 && i%int(every) == int(every)-1:
					w.reset()
				default:
					w.segment(piece)
				}
			})
		}
		w.run(40.5) // not at the moment of a PINGREQ, whose answer would come after the end
		if n := w.c.TransmitDepth(); n > 6 {
			t.Errorf("%d exchanges out of three calls", n)
		}
		w.app(func(*rtos.Thread) { w.c.Delete() })
		w.run(20)
		w.free(16)
	})
}
