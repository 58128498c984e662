package match_test

import (
	"fmt"
	"testing"
	"time"

	"hilnet/link/match"
	"hilnet/mqtt/codec"
	"hilnet/trace"
)

// A rule counts from the moment on at which it begins, each time anew, and does
// nothing before and after.
func TestARuleWorksWhileItIsOn(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Drop, Message: codec.PUBACK, Nth: 2, Down: true, Copies: match.AllCopies, Off: true})
	b.open()
	id := uint16(0)
	pubacks := func(n int) {
		for range n {
			id++
			b.send(up, psh, publish("t", 1, id, false), 0)
			b.send(down, psh, puback(id), 0)
		}
	}
	pubacks(2)
	b.matcher.Switch(1, true)
	b.matcher.Switch(1, true) // is on already: goes on counting
	pubacks(3)                // 4 is lost
	b.send(down, psh, puback(4), 8)
	b.matcher.Switch(1, false)
	b.send(down, psh, puback(4), 8) // its copies are not waited for any more
	pubacks(3)
	b.matcher.Switch(1, true)
	pubacks(3) // 10 is lost
	b.want(down, "PUBACK id=1", "PUBACK id=2", "PUBACK id=3", "PUBACK id=5", "PUBACK id=4", "PUBACK id=6", "PUBACK id=7", "PUBACK id=8",
		"PUBACK id=9", "PUBACK id=11")
	b.tells(trace.KindMatch, "copy 2 of PUBACK id=4")
	if notes := b.matcher.Finish(); len(notes) > 0 {
		t.Errorf("notes %q", notes)
	}
}

// What is held without a number waits for its release, or the end of its rule.
func TestHeldFramesAreReleased(t *testing.T) {
	b := newBench(t,
		match.Rule{Do: match.Hold, Message: codec.PUBACK, Down: true, Off: true},
		match.Rule{Do: match.Hold, Message: codec.PINGRESP, Down: true})
	b.open()
	b.matcher.Switch(1, true)
	b.send(down, psh, puback(1), 0)
	b.send(down, psh, []byte{0xd0, 0}, 0)
	b.send(down, psh, puback(2), 0)
	for range 20 { // passing frames do not free them
		b.send(down, psh, publish("t", 0, 0, false), 0)
	}
	if n := len(b.out[down]) - 2; n != 20 {
		t.Fatalf("%d frames came out, want the 20 that no rule holds: %q", n, b.out[down])
	}
	b.out[down] = b.out[down][:2]
	b.matcher.Switch(1, false)
	b.run(time.Millisecond)
	b.want(down, "PUBACK id=1", "PUBACK id=2")
	b.matcher.Release()
	b.run(time.Millisecond)
	b.want(down, "PUBACK id=1", "PUBACK id=2", "PINGRESP")
	b.matcher.Release() // nothing is left
	b.run(time.Millisecond)
	b.tells(trace.KindMatch, "rule 2, hold PINGRESP down until it is released")
}

// A rule that holds everything for ever holds no more than its limit.
func TestAHoldWithoutAnEndHasALimit(t *testing.T) {
	b := newBench(t, match.Rule{Do: match.Hold, TCP: "PSH", Down: true})
	b.open()
	for i := range match.MaxHeld + 5 {
		b.send(down, psh, fmt.Appendf(nil, "%d", i%10), 0)
	}
	full := 0
	for _, e := range b.events {
		if e.Kind == trace.KindDrop && e.Reason == trace.DropDelayFull {
			full++
		}
	}
	if full != 6 { // CONNACK is held too
		t.Errorf("%d frames found no room, want 6", full)
	}
	if c := b.link.Down.Counters(); c.InFlight != match.MaxHeld {
		t.Errorf("%+v", c)
	}
}
