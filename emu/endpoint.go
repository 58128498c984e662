package emu

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"

	"hilnet/link"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// An Endpoint is an end of a scenario's only link at which something of the
// caller's stands in place of the device or of the broker: see Options.Device
// and Options.Broker. What it is made with belongs to the run.
type Endpoint struct {
	Loop    *sim.Loop
	Trace   *trace.Log
	Node    string // its name in the trace
	MAC     wire.MAC
	Addr    netip.Prefix // its address
	Gateway netip.Addr
	MTU     int
	Broker  netip.AddrPort // where devices connect to
	Out     link.Sink      // takes its frames
	// TLS is the configuration of its n-th connection, from 1. nil: the scenario speaks
	// none.
	TLS func(n int) *tls.Config
	// OnClose has fn called when the run has ended.
	OnClose func(fn func() error)
}

// checkEndpoints sees that a scenario can do without what the caller replaces.
func (opt *Options) checkEndpoints(sc *scenarios.Scenario) error {
	if opt.Device == nil && opt.Broker == nil {
		return nil
	}
	if len(sc.Devices) != 1 {
		return fmt.Errorf("emu: scenario %q has %d devices, and only one device or its broker can be replaced", sc.Name, len(sc.Devices))
	}
	if opt.Broker != nil && sc.Broker.Kind != scenarios.BrokerModel {
		return fmt.Errorf("emu: scenario %q has a broker of kind %s: only one of kind model can be replaced", sc.Name, sc.Broker.Kind)
	}
	if sc.Services != nil || sc.Devices[0].Address.DHCP || sc.Devices[0].MQTT.Host != "" {
		return errors.New("emu: what replaces a device or a broker knows no services: remove services, address: dhcp and mqtt.host")
	}
	if sc.Devices[0].Address6.IsSet() && opt.Device != nil {
		return errors.New("emu: a replaced device speaks IPv4 only: remove address6")
	}
	for i := range sc.Timeline {
		a := &sc.Timeline[i]
		switch {
		case opt.Device != nil && (a.Do == scenarios.LinkDown || a.Do == scenarios.TxError || a.Do == scenarios.Leak || a.Do == scenarios.ReleaseLeak ||
			a.Do == scenarios.ResetDevice || a.Do == scenarios.PowerCut):
			return fmt.Errorf("emu: timeline[%d]: %s is for a device, which is replaced: cut the link with blackhole", i, a.Do)
		case opt.Broker != nil && (a.Do.IsBrokerFault() || a.Do == scenarios.BrokerPublish):
			return fmt.Errorf("emu: timeline[%d]: %s is for the broker, which is replaced", i, a.Do)
		}
	}
	return nil
}

// addEndpoint puts the caller's device at the near end of the link.
func (w *World) addEndpoint(cfg *scenarios.Device, network network) error {
	near := &lateSink{}
	l, point, err := w.connect(cfg, network, near)
	if err != nil {
		return err
	}
	if point != nil {
		l.Up.Observe(&senderTap{w.files, point})
		l.Down.Observe(&receiverTap{w.files, point})
	}
	near.Sink, err = w.opt.Device(Endpoint{
		Loop: w.loop, Trace: w.trace, Node: cfg.Name, MAC: wire.MAC(cfg.MAC), Addr: cfg.Address.Prefix, Gateway: cfg.Gateway,
		MTU: cfg.MTU, Broker: w.brokerAddr(), Out: l.Up, OnClose: w.onClose, TLS: w.tls.endpoint(cfg, true),
	})
	return err
}

// A lateSink is known only when the link is.
type lateSink struct{ link.Sink }

// An endpointNetwork is the caller's broker at the far end of the only link.
type endpointNetwork struct{ world *World }

func (w *World) newEndpointNetwork() (network, error) { return endpointNetwork{w}, nil }

func (n endpointNetwork) attach(device *scenarios.Device, l *link.Link) (link.Sink, error) {
	w := n.world
	if err := w.recordPeer(device.Name, l, scenarios.PointPeer, scenarios.PointBroker); err != nil {
		return nil, err
	}
	return w.opt.Broker(Endpoint{
		Loop: w.loop, Trace: w.trace, Node: brokerNode, MAC: wire.MAC(brokerMAC), Addr: w.sc.Broker.Address,
		MTU: brokerMTU, Broker: w.brokerAddr(), Out: l.Down, OnClose: w.onClose, TLS: w.tls.endpoint(device, false),
	})
}

// The caller's broker does not notice a device's cable.
func (endpointNetwork) carrier(bool) {}
