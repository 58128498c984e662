package emu

import (
	"fmt"

	"hilnet/link"
	"hilnet/pcaps"
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
	for _, v := range w.watches {
		w.trace.Subscribe(v.event)
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
	case scenarios.BrokerGateway:
		newNetwork = w.newGatewayNetwork
	case scenarios.BrokerSocket:
		newNetwork = w.newSocketNetwork
	case scenarios.BrokerBoard:
		newNetwork = w.newBoardNetwork
	case scenarios.BrokerCapture:
		newNetwork = w.newRecordedNetwork
	}
	if w.opt.Broker != nil {
		newNetwork = w.newEndpointNetwork
	}
	network, err := newNetwork()
	if err != nil {
		return err
	}
	w.byName, w.duts = map[string]*device{}, map[string]*dut{}
	w.linkOf = map[string]*scenarios.Link{}
	w.cables = map[string]*cable{}
	for i := range w.sc.Links {
		w.linkOf[w.sc.Links[i].Device] = &w.sc.Links[i]
	}
	w.trace.Subscribe(w.observe)
	for _, cfg := range w.deviceOrder() {
		if w.opt.Device != nil {
			if err := w.addEndpoint(cfg, network); err != nil {
				return err
			}
			continue
		}
		if !cfg.Model() {
			if err := w.addDUT(cfg, network); err != nil {
				return err
			}
			continue
		}
		d, err := w.newDevice(cfg)
		if err != nil {
			return fmt.Errorf("emu: device %q: %w", cfg.Name, err)
		}
		w.devices = append(w.devices, d)
		w.byName[cfg.Name] = d
		l, point, err := w.connect(cfg, network, link.SinkFunc(d.arrive))
		if err != nil {
			return err
		}
		if point != nil {
			l.Up.Observe(&senderTap{w.files, point})
			l.Down.Observe(&receiverTap{w.files, point})
		}
		d.wire, d.network = l.Up, network
	}
	w.schedule()
	for _, d := range w.devices {
		d.switchOn()
	}
	w.reportProgress()
	return nil
}

// addDUT makes a device that is not a model, and its link.
func (w *World) addDUT(cfg *scenarios.Device, network network) error {
	d, err := w.newDUT(cfg)
	if err != nil {
		return err
	}
	w.duts[cfg.Name] = d
	var l *cable
	if l, d.point, err = w.connect(cfg, network, link.SinkFunc(d.take)); err != nil {
		return err
	}
	if d.point != nil {
		l.Up.Observe(&fateTap{w.files, d.point})
	}
	d.up, d.network = l.Up, network
	w.onCount(func() { w.counters(cfg.Name, scenarios.StageNIC, d.counted()...) })
	return nil
}

// connect joins a device to the network by the link that the scenario has for it.
// The point, if there is one, is the device's, for the caller to use.
func (w *World) connect(device *scenarios.Device, network network, arrive link.Sink) (*cable, *pcaps.Point, error) {
	cfg := w.linkOf[device.Name]
	l, err := w.newCable(cfg)
	if err != nil {
		return nil, nil, err
	}
	if err := w.decide(l.Link); err != nil {
		return nil, nil, err
	}
	for _, way := range []struct {
		path *link.Path
		cfg  *scenarios.Direction
	}{{l.Up, &cfg.Up}, {l.Down, &cfg.Down}} {
		if err := w.dropFrames(way.path.Direction, way.cfg.DropFrames); err != nil {
			return nil, nil, err
		}
	}
	if err := w.match(l.Link, cfg); err != nil {
		return nil, nil, err
	}
	w.links = append(w.links, l)
	w.cables[l.Name] = l
	w.watchOver(device, l.Link)
	w.watchLink(l.Link)
	reorder := w.secretDelay()
	if !device.Model() {
		reorder = edgeReorder
	}
	point, err := w.point(w.captureName(device.Name, scenarios.PointDevice), scenarios.PointDevice, reorder)
	if err != nil {
		return nil, nil, err
	}
	w.files.belongs(point, device.Name)
	far, err := network.attach(device, l.Link)
	if err != nil {
		return nil, nil, err
	}
	l.Connect(arrive, far)
	return l, point, nil
}
