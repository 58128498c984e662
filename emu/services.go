package emu

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/stack/embedded"
	"hilnet/stack/services"
	"hilnet/trace"
	"hilnet/wire"
)

// This file is the services of the network, and what devices use them with.

// servicesNode is the services' name in the trace.
const servicesNode = "services"

var servicesMAC = [6]byte{0x02, 0, 0, 0, 0xff, 0xfe}

// netServices are the services and what the timeline has them answer.
type netServices struct {
	host *services.Host
	dhcp setting[services.DHCPAnswer]
	dns  setting[services.DNSAnswer]
	sntp setting[services.SNTPAnswer]
}

// brokerPort makes the port of a switch that leads to the broker, and one beside
// it for the services. Where access is isolated they are both behind the uplink,
// at a switch of their own, which has the same fate for frames that it drops.
func (w *World) brokerPort(sw *link.Switch, out link.Sink, dropped func(*link.Frame, link.Verdict)) (*link.Port, error) {
	sw.OnDrop(dropped)
	if w.sc.Services == nil || w.sc.Access != scenarios.AccessIsolated {
		port := sw.Port(out)
		w.uplink(sw, port)
		return port, w.newServices(sw)
	}
	core := link.NewSwitch()
	core.OnDrop(dropped)
	var up *link.Port
	down := core.Port(link.SinkFunc(func(f *link.Frame) { up.Put(f) }))
	up = sw.Port(down)
	w.uplink(sw, up)
	up.Own(w.sc.Services.Address.Addr())
	w.onCount(func() { w.counters(servicesNode, "core", switchValues(core.Counters())...) })
	return core.Port(out), w.newServices(core)
}

// newServices puts the services at a switch.
func (w *World) newServices(sw *link.Switch) error {
	cfg := w.sc.Services
	if cfg == nil {
		return nil
	}
	var host *services.Host
	port := sw.Port(link.SinkFunc(func(f *link.Frame) { host.Put(f) }))
	var err error
	host, err = services.New(w.loop, w.trace, services.Config{
		Node: servicesNode, MAC: wire.MAC(servicesMAC), Addr: cfg.Address, Unicast: w.sc.Access == scenarios.AccessIsolated,
		DHCP: w.dhcpConfig(cfg), DNS: dnsConfig(cfg), SNTP: w.sntpConfig(cfg),
	}, link.SinkFunc(func(f *link.Frame) {
		f.ID = w.ids.Next()
		port.Put(f)
	}))
	if err != nil {
		return fmt.Errorf("emu: %w", err)
	}
	s := &netServices{host: host}
	if cfg.DHCP != nil {
		s.dhcp = setting[services.DHCPAnswer]{base: cfg.DHCP.Answer, apply: host.SetDHCP}
	}
	if cfg.DNS != nil {
		s.dns = setting[services.DNSAnswer]{base: cfg.DNS.Answer, apply: host.SetDNS}
	}
	if cfg.SNTP != nil {
		s.sntp = setting[services.SNTPAnswer]{base: cfg.SNTP.Answer, apply: host.SetSNTP}
	}
	w.services = s
	w.onClose(func() error { host.Close(); return nil })
	w.onCount(func() {
		c := host.Counters()
		w.counters(servicesNode, stageStack, value(scenarios.ValueRxFrames, c.RxFrames), value(scenarios.ValueTxFrames, c.TxFrames),
			value("requests", c.Requests), value("answers", c.Answers), value("drop_events", c.Dropped))
	})
	return nil
}

// toServices reports whether a frame is for the services only: no link says what
// becomes of it.
func (w *World) toServices(f *link.Frame) bool {
	return w.services != nil && len(f.Data) >= len(servicesMAC) && [6]byte(f.Data) == servicesMAC
}

// fromServices reports whether the services sent a frame.
func (w *World) fromServices(f *link.Frame) bool {
	const source = len(servicesMAC)
	return w.services != nil && len(f.Data) >= 2*source && [6]byte(f.Data[source:]) == servicesMAC
}

func (w *World) dhcpConfig(cfg *scenarios.Services) *services.DHCPConfig {
	d := cfg.DHCP
	if d == nil {
		return nil
	}
	c := &services.DHCPConfig{
		First: d.First, Last: d.Last, Lease: d.Lease.Std(), Router: d.Router, DNS: d.DNS, Delay: d.Delay.Std(), Answer: d.Answer,
		Taken: w.sc.Broker.Address.Addr(), Excluded: []netip.Addr{w.sc.Broker.Address.Addr()},
	}
	if cfg.SNTP != nil {
		c.NTP = []netip.Addr{cfg.Address.Addr()}
	}
	if t := w.sc.Broker.Tap; t != nil {
		c.Excluded = append(c.Excluded, t.Address.Addr())
	}
	for i := range w.sc.Devices {
		d := &w.sc.Devices[i]
		c.Excluded = append(c.Excluded, d.Address.Addr())
		if cfg.Address.Masked().Contains(d.Address.Addr()) {
			c.Reserved = append(c.Reserved, services.Reservation{MAC: wire.MAC(d.MAC), Addr: d.Address.Addr()})
		}
	}
	return c
}

func dnsConfig(cfg *scenarios.Services) *services.DNSConfig {
	d := cfg.DNS
	if d == nil {
		return nil
	}
	c := &services.DNSConfig{Delay: d.Delay.Std(), Answer: d.Answer}
	for _, n := range d.Names {
		c.Names = append(c.Names, services.Name{Name: n.Name, Addrs: n.Addresses, TTL: n.TTL.Std()})
	}
	return c
}

func (w *World) sntpConfig(cfg *scenarios.Services) *services.SNTPConfig {
	if cfg.SNTP == nil {
		return nil
	}
	wall := func(t sim.Time) time.Time { return pcaps.VirtualEpoch.UTC().Add(time.Duration(t)) }
	if w.pacer != nil {
		wall = func(sim.Time) time.Time { return sim.WallClock() }
	}
	return &services.SNTPConfig{Wall: wall, Delay: cfg.SNTP.Delay.Std(), Answer: cfg.SNTP.Answer}
}

// serviceAnswer has a service answer otherwise, and returns what undoes it.
func (w *World) serviceAnswer(a *scenarios.Action, id int) func() {
	s := w.services
	switch a.Service {
	case scenarios.ServiceDHCP:
		s.dhcp.set(id, services.DHCPAnswer(a.Answer))
		return func() { s.dhcp.unset(id) }
	case scenarios.ServiceDNS:
		s.dns.set(id, services.DNSAnswer(a.Answer))
		return func() { s.dns.unset(id) }
	case scenarios.ServiceSNTP:
		s.sntp.set(id, services.SNTPAnswer(a.Answer))
		return func() { s.sntp.unset(id) }
	}
	panic(fmt.Sprintf("emu: service %q passed validation", a.Service))
}

// addressing are a machine's DHCP and DNS clients, nil where it has none.
type addressing struct {
	ip   *embedded.IP
	dhcp *embedded.DHCPClient
	dns  *embedded.DNSClient
}

// newAddressing makes the clients that the scenario wants of a device.
func (w *World) newAddressing(m *machine, d *device, ip *embedded.IP) (err error) {
	m.ip = ip
	if d.cfg.Address.DHCP {
		if m.dhcp, err = ip.NewDHCPClient(d.cfg.Name); err != nil {
			return err
		}
		ip.AddressNotify(m.changed.Broadcast)
	}
	if d.cfg.MQTT.Host != "" {
		if m.dns, err = ip.NewDNSClient(); err != nil {
			return err
		}
		for _, server := range w.sc.NameServers(d.cfg) {
			m.dns.AddServer(server)
		}
	}
	return nil
}

// find waits for an address, and looks the broker's up, as firmware does before
// it connects: nx_ip_status_check and nx_dns_host_by_name_get. status is that of
// the call that failed.
func (d *device) find(t *sim.Task, peer netip.AddrPort) (_ netip.AddrPort, status nic.Status) {
	m := d.machine
	if m.dhcp != nil {
		deadline := t.Now().Add(d.cfg.MQTT.Wait.Std())
		for m.ip.Addr().IsUnspecified() {
			left := deadline.Sub(t.Now())
			if left <= 0 || !t.Wait(&m.changed, left) {
				break
			}
		}
		if m.ip.Addr().IsUnspecified() {
			return peer, nic.NotSuccessful
		}
	}
	if m.dns == nil {
		return peer, nic.Success
	}
	if m.dhcp != nil && len(d.cfg.DNS) == 0 {
		m.dns.RemoveServers()
		for _, server := range m.dhcp.Addrs(wire.DHCPOptDNS) {
			m.dns.AddServer(server) // of more than it has room for, the first ones
		}
	}
	addr, status := m.dns.HostByName(d.cfg.MQTT.Host, max(d.ticks(d.cfg.MQTT.Wait.Std()), minLookup))
	return netip.AddrPortFrom(addr, peer.Port()), status
}

// minLookup is how long a name is asked for by an application that does not wait
// for connections: a second, as in NetX's samples.
const minLookup rtos.Ticks = 100

// unconnected records an attempt to connect that failed before the client heard
// of it.
func (d *device) unconnected(status nic.Status) {
	text := "no address by DHCP"
	if d.machine.dhcp == nil || !d.machine.ip.Addr().IsUnspecified() {
		text = "no address of " + d.cfg.MQTT.Host
	}
	d.world.trace.Emit(trace.Event{
		Kind: trace.KindConnected, Node: d.cfg.Name, Client: d.cfg.MQTT.ClientID, Status: uint32(status), Text: text,
	})
}

// pools are those of the clients.
func (a *addressing) pools() []*nic.Pool {
	var all []*nic.Pool
	if a.dhcp != nil {
		all = append(all, a.dhcp.Pool())
	}
	if a.dns != nil {
		all = append(all, a.dns.Pool())
	}
	return slices.Clip(all)
}
