package emu

import (
	"time"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// This file is a device's power switch and reset line. What runs on a device
// ends at once: nothing is sent, nobody is told, and what it held in memory is
// gone. Its peer keeps half of a connection that the device knows nothing of.

// switchOn starts the device for the first time, at the time that the scenario
// says.
func (d *device) switchOn() {
	at := time.Duration(startTime(d.world.sc.Seed, d.cfg))
	if at == 0 {
		d.run()
		return
	}
	d.startAt = sim.Time(at)
	d.network.carrier(false)
	d.plan(at, d.boot)
}

// startTime returns when a device starts for the first time.
func startTime(seed uint64, cfg *scenarios.Device) sim.Time {
	at := cfg.Start.Std()
	if spread := cfg.StartSpread; spread > 0 {
		// The remainder favours early nanoseconds by less than spread/2^64.
		at += time.Duration(sim.NewStream(seed, "start/"+cfg.Name).At(0) % uint64(spread))
	}
	return sim.Time(at)
}

// plan has fn called after a time unless the power changes before.
func (d *device) plan(after time.Duration, fn func()) {
	d.epoch++
	epoch := d.epoch
	d.world.loop.After(after, func() {
		if d.epoch == epoch {
			fn()
		}
	})
}

// powerCut takes the power away.
func (d *device) powerCut() {
	d.cuts++
	d.epoch++
	d.stop("power cut")
}

// powerBack ends a power cut: the device boots when no other one lasts.
func (d *device) powerBack() {
	if d.cuts--; d.cuts == 0 {
		d.plan(max(d.cfg.Boot.Std(), d.startAt.Sub(d.world.loop.Now())), d.boot)
	}
}

// reset restarts the device. One that is off stays off; one that boots begins
// anew.
func (d *device) reset(why string) {
	if d.cuts > 0 || d.boots == 0 {
		return
	}
	d.stop(why)
	d.plan(d.cfg.Boot.Std(), d.boot)
}

// stop ends what runs on the device.
func (d *device) stop(why string) {
	if !d.on {
		return
	}
	d.on = false
	d.countLeaks()
	d.world.trace.Emit(trace.Event{Kind: scenarios.KindOff, Node: d.cfg.Name, Text: why})
	d.halt()
	d.network.carrier(false)
}

// boot starts the device with a new machine.
func (d *device) boot() {
	d.halt() // at the first start, the machine that stood ready: the kernel's clock begins now
	m, err := d.world.newMachine(d)
	must(err) // the first one was made the same way
	d.machine = m
	d.run()
}

// run starts the application on the machine.
func (d *device) run() {
	d.boots++
	d.on = true
	d.world.trace.Emit(trace.Event{Kind: scenarios.KindBoot, Node: d.cfg.Name, Count: int64(d.boots)})
	d.nic.SetWire(d.wire)
	d.nic.OnState(func(s nic.State) { d.network.carrier(s != nic.LinkDown) })
	if n := len(d.nicState.active); n > 0 { // the cable is still as the timeline has it
		d.nic.SetState(d.nicState.active[n-1].value)
	}
	if d.boots > 1 || d.world.loop.Now() > 0 {
		d.network.carrier(d.nic.State() != nic.LinkDown)
	}
	d.start()
}

// arrive takes a frame from the link.
func (d *device) arrive(f *link.Frame) {
	if d.on {
		d.port.Put(f)
		return
	}
	d.world.trace.Emit(trace.Event{
		Kind: trace.KindDrop, Node: d.cfg.Name, Stage: "nic/rx", Reason: trace.DropNoUpper,
		Frame: f.ID, Len: len(f.Data), Text: "the device is off",
	})
	f.Release()
}

// halt ends the device's machine, whose counters live on.
func (d *device) halt() {
	if d.machine.halted {
		return
	}
	d.machine.halt()
	for _, p := range append(d.pools(), d.pool) {
		must(p.Check())
	}
	d.pastNIC = addUp(d.pastNIC, nicValues(d.nic.Counters()))
	d.pastStack = addUp(d.pastStack, d.host.counters())
}

// halt ends the machine: no thread of it runs again, and its stack is gone
// without a word.
func (m *machine) halt() {
	if m.halted {
		return
	}
	m.halted = true
	m.kernel.Halt()
	m.host.Close()
}
