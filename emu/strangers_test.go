package emu

import (
	"testing"

	"hilnet/scenarios"
)

// A connection under an identifier that no device has is nobody's, and is said.
func TestConnectionsOfNoDeviceAreCounted(t *testing.T) {
	o := &scenarios.Outcome{Traffic: scenarios.Traffic{Connects: 5}, Devices: make([]scenarios.DeviceOutcome, 2)}
	o.Devices[0].Connects, o.Devices[1].Connects = 1, 2
	if n := strangers(o); n != 2 {
		t.Errorf("%d, want 2", n)
	}
}
