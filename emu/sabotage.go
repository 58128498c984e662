package emu

import (
	"hilnet/scenarios"
)

// What Options.sabotage can break: for each a test sees the gate go red that
// guards against it. The barrier's is in package stack.
const (
	sabotageMapRange   = "build devices in the order of a map"
	sabotageLostRecord = "leave one frame out of the device's capture"
	sabotageRTO        = "retransmit after 1.1 s"
	sabotageTLSChance  = "take the randomness of TLS from the machine"
)

// sabotagedFrame is the frame that sabotageLostRecord leaves out: the device's first.
const sabotagedFrame = 1

// deviceOrder returns the devices in the order in which they are built.
func (w *World) deviceOrder() []*scenarios.Device {
	var all []*scenarios.Device
	if w.opt.sabotage == sabotageMapRange {
		byName := map[string]*scenarios.Device{}
		for i := range w.sc.Devices {
			byName[w.sc.Devices[i].Name] = &w.sc.Devices[i]
		}
		for _, d := range byName {
			all = append(all, d)
		}
		return all
	}
	for i := range w.sc.Devices {
		all = append(all, &w.sc.Devices[i])
	}
	return all
}
