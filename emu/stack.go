package emu

import (
	"fmt"
	"net/netip"
	"time"

	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/stack"
	"hilnet/stack/embedded"
	"hilnet/trace"
	"hilnet/wire"
)

// A host is a machine's TCP/IP stack. Close is a power cut: nothing more is sent.
type host interface {
	Close()
	counters() []trace.Value // always the same ones
}

// newStack makes the TCP/IP stack that the device's profile names, and the
// client's socket on it.
func (w *World) newStack(m *machine, d *device) (mqtt.Socket, error) {
	switch d.cfg.Profile {
	case scenarios.ProfileNetX:
		return w.newEmbedded(m, d)
	case scenarios.ProfileLinux:
		return w.newGVisor(m, d)
	}
	panic(fmt.Sprintf("emu: profile %q passed validation", d.cfg.Profile))
}

// newEmbedded makes NetX Duo. It draws sequence numbers and ports from the C
// library's rand, which nobody seeds (netxduo nx_api.h, NX_RAND): after each
// boot, and whatever the seed of the run, they are the same again.
func (w *World) newEmbedded(m *machine, d *device) (mqtt.Socket, error) {
	quirks := d.cfg.Quirks.Engine()
	profile := embedded.NetXDuo()
	address := d.cfg.Address.Prefix
	if d.cfg.Address.DHCP {
		address = netip.Prefix{}
	}
	if w.opt.sabotage == sabotageRTO {
		profile.TCP.Data.First = 1100 * time.Millisecond
	}
	ip, err := embedded.New(w.loop, m.kernel, w.trace, embedded.Config{
		Node: d.cfg.Name, Addr: address, Gateway: d.cfg.Gateway,
		Profile: profile, Quirks: &quirks, Pool: m.pool, NIC: m.nic,
	})
	if err != nil {
		return nil, err
	}
	m.host, m.port = embeddedHost{ip}, m.nic
	if err := w.newAddressing(m, d, ip); err != nil {
		return nil, err
	}
	return ip.NewTCPSocket(embedded.SocketConfig{
		Name: d.cfg.Name + " socket", TTL: mqttTTL, DontFragment: true, // nxd_mqtt_client.c, _nxd_mqtt_client_create_internal
	}), nil
}

// mqttTTL is the time to live of the NetX client's socket.
const mqttTTL = 128

// newGVisor makes a Linux-like stack, with other random numbers at each boot.
func (w *World) newGVisor(m *machine, d *device) (mqtt.Socket, error) {
	h, err := stack.New(w.loop, w.trace, stack.Config{
		Node: d.cfg.Name, MAC: wire.MAC(d.cfg.MAC), Addr: d.cfg.Address.Prefix, Gateway: d.cfg.Gateway, MTU: d.cfg.MTU,
		Profile: stack.Linux(), Boot: d.boots,
		Addr6: d.cfg.Address6.Prefix, SLAAC: d.cfg.Address6.SLAAC, DAD: d.cfg.DAD,
	}, nil)
	if err != nil {
		return nil, err
	}
	if err := h.Attach(m.kernel, m.nic); err != nil {
		h.Close()
		return nil, err
	}
	m.host, m.port = gvisorHost{h}, h.Port()
	if d.cfg.Address6.IsSet() {
		m.host6 = h
		h.OnAddr6(func(netip.Prefix) { m.changed.Broadcast() })
	}
	return h.NewSocket(d.cfg.Name + " socket"), nil
}
