package emu

import (
	"slices"
	"testing"
	"time"

	"hilnet/scenarios"
)

// An action that nothing undoes may happen every millisecond for a year. What the
// run holds for it must not grow.
func TestActionsThatAreNeverUndoneDoNotPileUp(t *testing.T) {
	w, err := New(load(t, `
version: 1
name: again
duration: 3s
devices:
  - steps: [connect]
links:
  - {delay: 1ms, loss: 1%}
broker: {}
timeline:
  - {at: 2500ms, do: delay, value: 9ms}
  - {at: 1s, every: 10ms, until: 2s, do: delay, value: 4ms}
  - {at: 1s, every: 10ms, until: 2s, do: loss, value: 3%, over: 9ms}
  - {at: 1s, every: 10ms, until: 2s, do: impair, change: {jitter: 2ms}, direction: up}
  - {at: 1s, every: 10ms, until: 2s, do: blackhole, direction: down}
  - {at: 1s, every: 10ms, until: 2s, do: tx_error}
  - {at: 1s, every: 10ms, until: 2s, do: broker_delay_acks, value: 1s}
  - {at: 1s, every: 10ms, until: 2s, do: delay, value: 7ms, for: 5ms}
`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	result, err := w.Run(t.Context())
	if err != nil || result.Verdict != Pass {
		t.Fatal(result, err)
	}
	up, down := w.links[0].up, w.links[0].down
	if len(up.changes) != 4 || len(down.changes) != 3 {
		t.Errorf("%d changes up and %d down hold at the end, want 4 and 3", len(up.changes), len(down.changes))
	}
	if n := len(down.blackhole.active); n != 1 {
		t.Errorf("%d blackholes, want 1", n)
	}
	if n := len(w.devices[0].nicState.active); n != 1 {
		t.Errorf("%d transmit errors, want 1", n)
	}
	if n := len(w.server.faults); n != 1 {
		t.Errorf("%d faults of the broker, want 1", n)
	}
}

// The time that counts is the last one, and a ramp that comes again goes on from
// where its last time ended.
func TestAnActionThatComesAgainCountsBeforeThoseSince(t *testing.T) {
	ms := func(n int) scenarios.Duration { return scenarios.Duration(n) * 1_000_000 }
	w, err := New(load(t, `
version: 1
name: again
duration: 2s
devices:
  - steps: [connect]
links:
  - {delay: 10ms}
broker: {}
timeline:
  - {at: 100ms, every: 1s, do: delay, value: 20ms}
  - {at: 600ms, do: delay, value: 30ms}
  - {at: 1400ms, every: 200ms, do: delay, value: 110ms, over: 100ms}
`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []scenarios.Duration
	w.onStart(func() error {
		for _, at := range []int{50, 200, 700, 1200, 1450, 1500, 1650} {
			w.loop.At(0, func() {
				w.loop.At(w.loop.Now().Add(ms(at).Std()+500*time.Microsecond), func() {
					way := w.links[0].up
					d := way.own
					for _, c := range way.changes {
						d = c.action.Alter(way.own, d, way.way, c.part)
					}
					got = append(got, d.Delay)
				})
			})
		}
		return nil
	})
	if _, err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []scenarios.Duration{ms(10), ms(20), ms(30), ms(20), ms(65), ms(110), ms(110)}
	if !slices.Equal(got, want) {
		t.Errorf("delays %v, want %v", got, want)
	}
}
