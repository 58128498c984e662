package main

import (
	"errors"
	"fmt"
	"testing"

	"hilnet/emu"
	"hilnet/sim"
)

// Steps that take no time, without end, are what the user wrote; a full disk is not.
func TestARunThatCannotEndIsTheScenariosFault(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("emu: %w", sim.ErrStandstill), true},
		{&emu.DecisionsError{}, true},
		{&emu.EnvironmentError{Op: "write", Err: errors.New("no space left on device")}, false},
	} {
		if got := cannotEnd(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
