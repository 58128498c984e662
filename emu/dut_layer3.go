package emu

import (
	"errors"

	"hilnet/link"
	"hilnet/tap"
	taphost "hilnet/tap/host"
	"hilnet/tap/layer3"
	"hilnet/trace"
	"hilnet/wire"
)

// A layer3Edge is a TUN with the Ethernet that it lacks.
type layer3Edge struct {
	*layer3.Adapter
	tun *tap.TAP
	up  *lateSink
}

// newTUN opens a TUN as the device's edge.
func (d *dut) newTUN(ns *taphost.Namespace, cfg tap.Config) (*tap.TAP, error) {
	w := d.world
	t, err := d.open(ns, cfg)
	if err != nil {
		return nil, err
	}
	e := &layer3Edge{tun: t, up: &lateSink{}}
	e.Adapter, err = layer3.New(layer3.Config{
		Node: d.cfg.Name, MAC: wire.MAC(d.cfg.MAC), Address: d.cfg.Address.Prefix, Gateway: d.cfg.Gateway,
		Loop: w.loop, Trace: w.trace, Up: e.up, Interface: t,
		Sent:  func(f *link.Frame) { d.received(f, w.pacer.Now()) },
		Heard: func(f *link.Frame) { d.sent(f, w.pacer.Now()) },
	})
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	d.keep(e)
	d.counted = func() []trace.Value {
		k, l := t.Counters(), e.Counters()
		return d.nicValues(l.Sent, l.Dropped+k.Backlog+k.KernelDropped, k.Written+l.Answered, l.Refused+k.WriteFailed+k.NoCarrier)
	}
	return t, nil
}

// Start begins to read.
func (e *layer3Edge) Start(next link.Sink) error {
	e.up.Sink = next
	return e.tun.Start(link.SinkFunc(e.FromInterface))
}

// Close closes the interface. It may be called again.
func (e *layer3Edge) Close() error {
	e.Adapter.Close()
	return e.tun.Close()
}
