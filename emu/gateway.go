package emu

import (
	"fmt"
	"net/netip"

	"hilnet/scenarios"
	"hilnet/stack/gateway"
	"hilnet/trace"
)

// newGatewayNetwork makes a host behind a switch that leads to this machine's own
// sockets.
func (w *World) newGatewayNetwork() (network, error) {
	n, host, err := w.newHostNetwork()
	if err != nil {
		return nil, err
	}
	b := &w.sc.Broker
	clients := make(map[netip.Addr]string, len(w.sc.Devices)) // looked up only
	for i := range w.sc.Devices {
		d := &w.sc.Devices[i]
		clients[d.Address.Addr()] = d.MQTT.ClientID
		if d.Address6.Prefix.IsValid() {
			clients[d.Address6.Prefix.Addr()] = d.MQTT.ClientID
		}
	}
	g, err := gateway.New(gateway.Config{
		Loop: w.loop, Trace: w.trace, Host: host, Node: brokerNode,
		To: b.Gateway.To, Port: uint16(b.Port), Own6: b.Address6.Addr(), Allow: b.Gateway.Destinations(),
		Connections: b.Gateway.Connections, Idle: b.Gateway.Idle.Std(),
		Client: func(a netip.Addr) string { return clients[a] },
	})
	if err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	w.onClose(g.Close) // again, where the run does not come to its end
	w.onStop(g.Close)
	w.onCount(func() { w.counters(brokerNode, scenarios.StageGateway, gatewayValues(g.Counters())...) })
	return n, w.startBroker(nil, "HILNET_TO="+b.Gateway.To)
}

func gatewayValues(c gateway.Counters) []trace.Value {
	return []trace.Value{
		value(scenarios.ValueRequested, c.Requested), value(scenarios.ValueOpened, c.Opened),
		value(scenarios.ValueRefused, c.Refused), value(scenarios.ValueUnreachable, c.Unreachable),
		value(scenarios.ValueProhibited, c.Prohibited), value(scenarios.ValueLimited, c.Limited),
		value(scenarios.ValueGivenUp, c.GivenUp),
		value(scenarios.ValueOpenAtEnd, uint64(c.OpenAtEnd)), value(scenarios.ValueMaxOpen, uint64(c.MaxOpen)),
		value(scenarios.ValueUpBytes, c.UpBytes), value(scenarios.ValueDownBytes, c.DownBytes),
		value(scenarios.ValueUndelivered, c.Undelivered),
		value(scenarios.ValueFlows, c.Flows), value(scenarios.ValueDatagrams, c.Datagrams),
		value(scenarios.ValueDatagramsBack, c.DatagramsBack),
	}
}
