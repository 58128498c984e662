package link_test

import (
	"errors"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
)

// A year of states of a millisecond passes in one event. Who has enough of it
// need not wait.
func TestConditionsThatCatchUpWithAYearCanBeStopped(t *testing.T) {
	b := newBench(t, 1, link.DirectionConfig{Conditions: &link.ConditionsConfig{States: []link.Condition{
		{Dwell: time.Millisecond}, {Dwell: time.Millisecond, Loss: 1},
	}}})
	year := sim.Time(8760 * time.Hour)
	b.loop.At(year, func() {
		b.loop.Cancel(errors.New("enough"))
		b.link.Up.Put(link.NewFrame(60))
	})
	later := 0
	b.loop.At(year, func() { later++ })
	began := time.Now()
	_ = b.loop.Run(year)
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("it took %v to stop", d)
	}
	if later > 0 {
		t.Error("the run goes on, in a state that does not hold")
	}
}
