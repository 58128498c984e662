package distance

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"hilnet/scenarios"
)

// ErrReal is that of a device which is no model: its scenario has no program that one
// could run.
var ErrReal = errors.New("it is a real device, and nothing in its scenario says what a model of it is to do")

// Twin returns a scenario in which a model with a profile stands in the place of a
// device, in virtual time, and hilnet's broker in that of a real one. All else is as it
// was.
func Twin(sc *scenarios.Scenario, device string, profile scenarios.Profile) (*scenarios.Scenario, error) {
	twin := sc.Clone()
	for i := range twin.Devices {
		d := &twin.Devices[i]
		if d.Name != device && device != "" {
			continue
		}
		if d.Kind != scenarios.KindModel {
			return nil, fmt.Errorf("distance: device %q of %s: %w", d.Name, sc.Name, ErrReal)
		}
		d.Profile = profile
		twin.Expect = nil // what a real device was to do, such as how its program ends
		twin.Capture = []scenarios.Point{scenarios.PointDevice}
		twin.Clock, twin.Speed = scenarios.Virtual, 1
		if b := &twin.Broker; b.Kind.Real() {
			b.Kind = scenarios.BrokerModel
			b.Tap, b.Gateway, b.Socket, b.Board, b.Exec = nil, nil, nil, nil, nil
		}
		return twin, twin.Validate()
	}
	return nil, fmt.Errorf("distance: %s has no device %q", sc.Name, device)
}

// Program returns a scenario in which a device, a real one it may be, is a model that
// does what the first device of another scenario does, from a moment of the run on.
// Links, timeline, broker and services stay.
func Program(sc *scenarios.Scenario, device string, program *scenarios.Scenario, start time.Duration) (*scenarios.Scenario, error) {
	out, source := sc.Clone(), program.Clone().Devices[0]
	i := slices.IndexFunc(out.Devices, func(d scenarios.Device) bool { return d.Name == device })
	switch {
	case i < 0:
		return nil, fmt.Errorf("distance: %s has no device %q", sc.Name, device)
	case !source.Model():
		return nil, fmt.Errorf("distance: device %q of %s: %w", source.Name, program.Name, ErrReal)
	}
	d := &out.Devices[i]
	was := *d
	*d = source
	d.Name, d.Address, d.Address6, d.Gateway, d.DNS, d.DAD, d.MTU = was.Name, was.Address, was.Address6, was.Gateway, was.DNS, was.DAD, was.MTU
	d.Start, d.StartSpread = scenarios.Duration(start), 0
	return out, nil
}
