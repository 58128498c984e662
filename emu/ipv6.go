package emu

import (
	"net/netip"
	"slices"

	"hilnet/link"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/wire"
)

// advertised is the network that the broker's host tells devices of which make
// an address of it; none where there is no such device.
func (w *World) advertised() netip.Prefix {
	for i := range w.sc.Devices {
		if w.sc.Devices[i].Address6.SLAAC {
			return w.sc.Broker.Address6.Masked()
		}
	}
	return netip.Prefix{}
}

// peer returns where the client connects to. By IPv6 it first waits, at most for
// the client's wait, until the device has an address to connect from: one that is
// looked for a duplicate, or made of an advertised network, takes its time.
func (d *device) peer(t *sim.Task) netip.AddrPort {
	b, m := &d.world.sc.Broker, &d.cfg.MQTT
	peer4, peer6 := d.world.brokerAddr(), netip.AddrPortFrom(b.Address6.Addr(), uint16(b.Port))
	if d.host6 == nil || m.Family == scenarios.FamilyIPv4 {
		return peer4
	}
	deadline := t.Now().Add(m.Wait.Std())
	for !d.near6(peer6.Addr()) {
		left := deadline.Sub(t.Now())
		if left > 0 {
			t.Wait(&d.changed, left)
			continue
		}
		if m.Family == scenarios.FamilyAuto {
			return peer4
		}
		break // the client says that it has no address
	}
	return peer6
}

// near6 reports whether the device may use an address in the network of another.
func (m *machine) near6(other netip.Addr) bool {
	return slices.ContainsFunc(m.host6.Addrs6(), func(p netip.Prefix) bool { return p.Contains(other) })
}

// own6 tells a switch of the IPv6 addresses of a host at a port: its own, the
// one it makes of the broker's network, and the link-local one.
func (w *World) own6(p *link.Port, a scenarios.Address6, mac wire.MAC) {
	if !a.IsSet() {
		return
	}
	p.Own(wire.EUI64(wire.LinkLocalNetwork, mac))
	if a.SLAAC {
		p.Own(wire.EUI64(w.sc.Broker.Address6.Masked(), mac))
	} else {
		p.Own(a.Prefix.Addr())
	}
}
