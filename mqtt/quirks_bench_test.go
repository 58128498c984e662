package mqtt_test

import "hilnet/sim/rtos"

// connected0 connects at once, without a word.
func (w *wire) connected0(keepalive uint32, clean bool) {
	w.app(func(*rtos.Thread) { w.quiet = true; w.connect(keepalive, clean); w.quiet = false })
	w.run(0.005)
}

// unackedPublish leaves one QoS 1 message without its PUBACK behind a reset.
func (w *wire) unackedPublish() {
	w.connected0(0, false)
	w.mute[3] = true
	w.app(func(*rtos.Thread) { w.quiet = true; w.c.Publish("t", []byte("old"), false, 1, 10) })
	w.run(0.005)
	w.reset()
	w.run(0.005)
	w.quiet = false
}

// mutely does something of which the transcript says nothing.
func (w *wire) mutely(fn func()) {
	before := w.quiet
	w.quiet = true
	fn()
	w.quiet = before
}
