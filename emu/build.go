package emu

import (
	"fmt"

	"hilnet/link"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// build makes the world: loop, files, links, broker, devices, timeline.
func (w *World) build() error {
	var err error
	if w.sc.Clock == scenarios.Real {
		if w.pacer, err = sim.NewRealPacer(w.sc.Speed); err != nil {
			return &EnvironmentError{Op: "start the clock", Err: err}
		}
	}
	w.loop = sim.NewLoop(sim.Config{Seed: w.sc.Seed, Pacer: w.pacer})
	w.onClose(func() error {
		if w.loop.Current() != nil {
			return nil // a Task's panic is on its way to the caller, who must not see another instead
		}
		return w.loop.Close()
	})
	w.trace = trace.NewLog(w.loop.Now)
	w.tally = scenarios.NewTally(w.sc)
	w.trace.Subscribe(w.tally.Add)
	w.finds = newFinder(w.sc)
	w.trace.Subscribe(w.finds.add)
	for _, o := range w.watchers {
		w.trace.Subscribe(o.add)
	}
	if w.files, err = w.newFiles(); err != nil {
		return err
	}
	if err := w.prepareDecisions(); err != nil {
		return err
	}
	if err := w.prepareTLS(); err != nil {
		return err
	}
	newNetwork := w.newModelNetwork
	switch w.sc.Broker.Kind {
	case scenarios.BrokerTap:
		newNetwork = w.newTapNetwork
	case scenarios.BrokerCapture:
		newNetwork = w.newRecordedNetwork
	}
	network, err := newNetwork()
	if err != nil {
		return err
	}
	w.byName = map[string]*device{}
	w.linkOf = map[string]*scenarios.Link{}
	for i := range w.sc.Links {
		w.linkOf[w.sc.Links[i].Device] = &w.sc.Links[i]
	}
	w.trace.Subscribe(w.observe)
	for _, cfg := range w.deviceOrder() {
		d, err := w.newDevice(cfg)
		if err != nil {
			return fmt.Errorf("emu: device %q: %w", cfg.Name, err)
		}
		w.devices = append(w.devices, d)
		w.byName[cfg.Name] = d
		if err := w.connect(d, network); err != nil {
			return err
		}
	}
	w.schedule()
	for _, d := range w.devices {
		d.switchOn()
	}
	w.reportProgress()
	return nil
}

// connect joins a device to the network by the link that the scenario has for it.
func (w *World) connect(d *device, network network) error {
	cfg := w.linkOf[d.cfg.Name]
	l, err := w.newCable(cfg)
	if err != nil {
		return err
	}
	if err := w.decide(l.Link); err != nil {
		return err
	}
	for _, way := range []struct {
		path *link.Path
		cfg  *scenarios.Direction
	}{{l.Up, &cfg.Up}, {l.Down, &cfg.Down}} {
		if err := w.dropFrames(way.path.Direction, way.cfg.DropFrames); err != nil {
			return err
		}
	}
	if err := w.match(l.Link, cfg); err != nil {
		return err
	}
	w.links = append(w.links, l)
	point, err := w.point(w.captureName(d.cfg.Name, scenarios.PointDevice), scenarios.PointDevice, 0)
	if err != nil {
		return err
	}
	w.files.belongs(point, d.cfg.Name)
	if point != nil {
		l.Up.Observe(&senderTap{w.files, point})
		l.Down.Observe(&receiverTap{w.files, point})
	}
	far, err := network.attach(d.cfg, l.Link)
	if err != nil {
		return err
	}
	d.wire, d.network = l.Up, network
	l.Connect(link.SinkFunc(d.arrive), far)
	return nil
}
