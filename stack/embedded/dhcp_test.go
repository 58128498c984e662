package embedded

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hilnet/nic"
	"hilnet/trace"
	"hilnet/wire"
)

// A dhcpDevice is a device without an address, with a DHCP server that the test
// speaks for. What happens becomes lines of text with the time in seconds.
type dhcpDevice struct {
	*device
	client *DHCPClient
	log    []string
	last   wire.DHCP                // that the client sent
	answer func(m wire.DHCP) []byte // nil, or nil from it: none
}

func newDHCPDevice(t testing.TB) *dhcpDevice {
	d := &dhcpDevice{device: newDevice(t, deviceConfig{noAddress: true})}
	d.trace.Subscribe(func(e *trace.Event) {
		switch e.Kind {
		case trace.KindDHCP, trace.KindDHCPBound, trace.KindDHCPLost:
			d.note("%s %s", strings.TrimPrefix(string(e.Kind), "dhcp."), e.Text)
		case trace.KindDrop:
			d.note("drop %s %s", e.Stage, e.Reason)
		}
	})
	d.onSend = d.sentDHCP
	var err error
	if d.client, err = d.ip.NewDHCPClient("sensor"); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *dhcpDevice) note(format string, args ...any) {
	d.log = append(d.log, fmt.Sprintf("%g ", float64(d.loop.Now()/1e7)/100)+fmt.Sprintf(format, args...))
}

func (d *dhcpDevice) sentDHCP(l *wire.Layers) {
	if l.UDP == nil || l.UDP.DstPort() != wire.DHCPServerPort {
		return
	}
	if !l.UDP.ChecksumOK(l.Src(), l.Dst(), l.Payload) || l.IPv4.TTL() != 128 {
		d.t.Errorf("checksum or TTL %d", l.IPv4.TTL())
	}
	m, err := wire.ParseDHCP(l.Payload)
	if err != nil {
		d.t.Fatal(err)
	}
	d.last = append(wire.DHCP(nil), m...)
	d.note("%v %v > %v, secs %d", m.Type(), l.Src(), l.Dst(), m.Secs())
	if d.answer == nil {
		return
	}
	if b := d.answer(d.last); b != nil {
		frame := d.frame(b)
		d.loop.After(0, func() { d.deliver(frame) })
	}
}

// frame makes a frame of a server's answer.
func (d *dhcpDevice) frame(b []byte) []byte {
	return udpFrame(netip.AddrPortFrom(hostAddr, 67), netip.AddrPortFrom(limitedBroadcast, 68), b)
}

func udpFrame(from, to netip.AddrPort, payload []byte) []byte {
	n := wire.UDPHeaderLen + len(payload)
	b := make([]byte, wire.EthernetHeaderLen+wire.IPv4HeaderLen+n)
	wire.PutEthernet(b, deviceMAC, hostMAC, wire.EtherTypeIPv4)
	wire.PutIPv4(b[14:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolUDP, Src: from.Addr(), Dst: to.Addr()}, n)
	copy(b[34+wire.UDPHeaderLen:], payload)
	wire.PutUDP(b[34:], from.Port(), to.Port(), from.Addr(), to.Addr(), len(payload))
	return b
}

// reply makes a server's answer to m.
func reply(m wire.DHCP, typ wire.DHCPType, your netip.Addr, options ...func([]byte) []byte) []byte {
	b := wire.AppendDHCP(nil, wire.DHCPFields{Op: wire.BOOTReply, XID: m.XID(), Your: your, MAC: m.MAC()})
	b = wire.AppendDHCPOption(b, wire.DHCPOptType, byte(typ))
	for _, o := range options {
		b = o(b)
	}
	return wire.AppendDHCPEnd(b, 0)
}

func seconds(code uint8, n uint32) func([]byte) []byte {
	return func(b []byte) []byte { return wire.AppendDHCPUint32(b, code, n) }
}

func addrs(code uint8, all ...string) func([]byte) []byte {
	return func(b []byte) []byte {
		for i, a := range all {
			a4 := netip.MustParseAddr(a).As4()
			if i == 0 {
				b = append(b, code, byte(4*len(all)))
			}
			b = append(b, a4[:]...)
		}
		return b
	}
}

// serves answers as a server does, with a lease of some seconds and options.
func serves(lease uint32, options ...func([]byte) []byte) func(m wire.DHCP) []byte {
	options = append(options, seconds(wire.DHCPOptLease, lease), addrs(wire.DHCPOptServer, hostAddr.String()), addrs(wire.DHCPOptMask, "255.255.255.0"))
	return func(m wire.DHCP) []byte {
		typ := wire.DHCPAck
		if m.Type() == wire.DHCPDiscover {
			typ = wire.DHCPOffer
		}
		return reply(m, typ, deviceAddr, options...)
	}
}

func (d *dhcpDevice) start() {
	d.t.Helper()
	d.at(0, func() {
		if status := d.client.Start(); !status.OK() {
			d.t.Errorf("start: %v", status)
		}
	})
}

// until lets time pass up to a second and compares what happened.
func (d *dhcpDevice) until(second float64, want ...string) {
	d.t.Helper()
	d.run(second * 1000)
	if !slices.Equal(d.log, want) {
		d.t.Errorf("until %g s:\n%s\nwant:\n%s", second, strings.Join(d.log, "\n"), strings.Join(want, "\n"))
	}
	d.log = nil
}

// Without a server the client asks after 1 s and then after 4, 8, 16, 32, 64, 64
// seconds, each a second more or less, in whole seconds.
func TestDHCPAsksAgainAtNetXsTimes(t *testing.T) {
	d := newDHCPDevice(t)
	d.start()
	d.run(400_000)
	var asked []int
	for _, line := range d.log {
		var at, secs int
		if n, _ := fmt.Sscanf(line, "%d DHCPDISCOVER 0.0.0.0 > 255.255.255.255, secs %d", &at, &secs); n == 2 {
			asked = append(asked, at)
			if secs != at-1 {
				t.Errorf("%s: want %d", line, at-1)
			}
		}
	}
	want := []int{4, 8, 16, 32, 64, 64, 64, 64}
	if len(asked) < len(want) || asked[0] != 1 {
		t.Fatalf("asked at %v", asked)
	}
	draws := map[int]bool{}
	for i := range min(len(want), len(asked)-1) {
		off := asked[i+1] - asked[i] - want[i]
		if draws[off] = true; off < -1 || off > 1 {
			t.Errorf("asked at %v: the pause %d is %d s, want %d, 1 more or less", asked, i+1, asked[i+1]-asked[i], want[i])
		}
	}
	if len(draws) < 2 {
		t.Errorf("asked at %v: nothing is drawn", asked)
	}
	if d.client.Pool().Free() != 4 || d.client.Pool().Total() != 4 {
		t.Errorf("%d of %d packets free", d.client.Pool().Free(), d.client.Pool().Total())
	}
}

// A lease of 4 minutes that nobody renews: T1 after 2 minutes, again after a
// minute, T2 after 3.5 minutes, and after 4 the address is gone.
func TestDHCPRenewsRebindsAndExpires(t *testing.T) {
	d := newDHCPDevice(t)
	d.answer = serves(240, addrs(wire.DHCPOptRouter, hostAddr.String(), "10.50.0.9"), addrs(wire.DHCPOptDNS, "10.50.0.3", "10.50.0.4"))
	d.start()
	d.until(2, "0 state INIT", "1 DHCPDISCOVER 0.0.0.0 > 255.255.255.255, secs 0", "1 state SELECTING",
		"1 DHCPREQUEST 0.0.0.0 > 255.255.255.255, secs 0", "1 state REQUESTING",
		"1 bound 10.50.0.2/24, gateway 10.50.0.1, for 4m0s, from 10.50.0.1")
	if d.ip.Addr() != deviceAddr || d.ip.Gateway() != hostAddr || d.client.State() != DHCPBound || d.client.Server() != hostAddr {
		t.Errorf("%v, gateway %v, %v", d.ip.Addr(), d.ip.Gateway(), d.client.State())
	}
	if got := d.client.Addrs(wire.DHCPOptDNS); len(got) != 2 || got[1] != netip.MustParseAddr("10.50.0.4") {
		t.Errorf("name servers %v", got)
	}
	d.until(125, "121 DHCPREQUEST 10.50.0.2 > 10.50.0.1, secs 0", "121 state RENEWING", "121 bound 10.50.0.2/24, gateway 10.50.0.1, for 4m0s, from 10.50.0.1")
	d.answer = nil
	d.until(370, "241 DHCPREQUEST 10.50.0.2 > 10.50.0.1, secs 0", "241 state RENEWING",
		"301 DHCPREQUEST 10.50.0.2 > 10.50.0.1, secs 60",
		"331 DHCPREQUEST 10.50.0.2 > 255.255.255.255, secs 90", "331 state REBINDING",
		"361 lost 10.50.0.2: the lease has ended", "361 state INIT",
		"362 DHCPDISCOVER 0.0.0.0 > 255.255.255.255, secs 0", "362 state SELECTING", "366 DHCPDISCOVER 0.0.0.0 > 255.255.255.255, secs 4")
	if !d.ip.Addr().IsUnspecified() || d.ip.Gateway().IsValid() || d.ip.Prefix() != noPrefix {
		t.Errorf("%v, gateway %v", d.ip.Prefix(), d.ip.Gateway())
	}
	if _, asks := d.last.Option(wire.DHCPOptRequestedIP); asks {
		t.Error("it asks for an address that it gave up")
	}
}

func TestDHCPSendsNetXsOptionsInNetXsOrder(t *testing.T) {
	d := newDHCPDevice(t)
	seen := map[string]string{}
	right := serves(20)
	d.answer = func(m wire.DHCP) []byte {
		name := fmt.Sprintf("%v in %v", m.Type(), d.client.State())
		if _, known := seen[name]; !known {
			seen[name] = fmt.Sprintf("ciaddr %v flag %v: % x", m.Client(), m.Broadcast(), strings.TrimRight(string(m[wire.DHCPHeaderLen:]), "\x00"))
		}
		if d.client.State() == DHCPRenewing {
			return nil
		}
		return right(m)
	}
	d.start()
	d.run(25_000)
	const (
		name, parameters = "0c 06 73 65 6e 73 6f 72", "37 03 01 03 06 ff"
		forever          = "33 04 ff ff ff ff"
	)
	for message, want := range map[string]string{
		"DHCPDISCOVER in INIT":     "ciaddr 0.0.0.0 flag true: 35 01 01 " + forever + " " + name + " " + parameters,
		"DHCPREQUEST in SELECTING": "ciaddr 0.0.0.0 flag true: 35 01 03 " + name + " 32 04 0a 32 00 02 36 04 0a 32 00 01 " + parameters,
		"DHCPREQUEST in RENEWING":  "ciaddr 10.50.0.2 flag true: 35 01 03 " + name + " " + parameters,
		"DHCPREQUEST in REBINDING": "ciaddr 10.50.0.2 flag true: 35 01 03 " + name + " " + parameters,
	} {
		if seen[message] != want {
			t.Errorf("%s:\n%s, want\n%s", message, seen[message], want)
		}
	}
	if len(d.last) != wire.DHCPMinimumLen {
		t.Errorf("a message of %d bytes", len(d.last))
	}
}

// A server that refuses is asked anew after a second.
func TestDHCPNakTakesTheAddressAway(t *testing.T) {
	d := newDHCPDevice(t)
	d.answer = serves(20)
	d.start()
	d.run(5000)
	d.log, d.answer = nil, func(m wire.DHCP) []byte { return reply(m, wire.DHCPNak, netip.Addr{}) }
	d.until(12.5, "11 DHCPREQUEST 10.50.0.2 > 10.50.0.1, secs 0", "11 state RENEWING",
		"11 lost 10.50.0.2: DHCPNAK from the server", "11 state INIT",
		"12 DHCPDISCOVER 0.0.0.0 > 255.255.255.255, secs 0", "12 state SELECTING", "12 drop dhcp wrong_state")
	d.answer = serves(20)
	d.run(30_000)
	if d.client.State() != DHCPBound {
		t.Errorf("%v", d.client.State())
	}
}

// NetX never asks again when T1 and T2 are the same and the server is silent.
func TestDHCPWithEqualTimesIsStuck(t *testing.T) {
	d := newDHCPDevice(t)
	d.answer = serves(20, seconds(wire.DHCPOptRenewal, 10), seconds(wire.DHCPOptRebinding, 10))
	right := d.answer
	// The lease stands behind T1 and T2, which then count: NetX reads them after it.
	d.start()
	d.run(5000)
	d.log, d.answer = nil, nil
	d.until(500, "11 DHCPREQUEST 10.50.0.2 > 10.50.0.1, secs 0", "11 state RENEWING")
	if d.ip.Addr() != deviceAddr {
		t.Errorf("the address is %v", d.ip.Addr())
	}
	d.at(501_000, func() { d.deliver(d.frame(right(d.last))) })
	d.until(502, "501 bound 10.50.0.2/24, for 20s, from 10.50.0.1")
}

func TestDHCPDropsWhatIsNotForIt(t *testing.T) {
	offer := func(m wire.DHCP, edit func(b []byte)) []byte {
		b := serves(20)(m)
		edit(b)
		return b
	}
	for name, c := range map[string]struct {
		answer func(m wire.DHCP) []byte
		want   string
	}{
		"another client":    {func(m wire.DHCP) []byte { return offer(m, func(b []byte) { b[33]++ }) }, "drop dhcp not_for_us"},
		"another exchange":  {func(m wire.DHCP) []byte { return offer(m, func(b []byte) { b[7]++ }) }, "drop dhcp not_for_us"},
		"an ACK":            {func(m wire.DHCP) []byte { return reply(m, wire.DHCPAck, deviceAddr) }, "drop dhcp wrong_state"},
		"no type":           {func(m wire.DHCP) []byte { return reply(m, 0, deviceAddr)[:wire.DHCPHeaderLen+1] }, "drop dhcp wrong_state"},
		"no options":        {func(m wire.DHCP) []byte { return serves(20)(m)[:wire.DHCPHeaderLen] }, "drop dhcp malformed"},
		"a group's address": {func(m wire.DHCP) []byte { return reply(m, wire.DHCPOffer, netip.MustParseAddr("224.0.0.1")) }, "drop dhcp malformed"},
		"no address":        {func(m wire.DHCP) []byte { return reply(m, wire.DHCPOffer, netip.Addr{}) }, "drop dhcp malformed"},
		"a server of no class": {func(m wire.DHCP) []byte {
			return reply(m, wire.DHCPOffer, deviceAddr, addrs(wire.DHCPOptServer, "240.0.0.1"))
		}, "drop dhcp malformed"},
		"too long": {func(m wire.DHCP) []byte { return append(serves(20)(m), make([]byte, 300)...) }, "drop dhcp too_long"},
	} {
		d := newDHCPDevice(t)
		d.answer = c.answer
		d.start()
		d.run(2000)
		if got := d.log[len(d.log)-1]; got != "1 "+c.want || d.client.State() != DHCPSelecting {
			t.Errorf("%s: %s, %v, want %s", name, got, d.client.State(), c.want)
		}
		if d.client.Pool().Free() != 4 {
			t.Errorf("%s: %d packets free", name, d.client.Pool().Free())
		}
		d.wantFree(32)
	}
}

// An interface without an address takes unicast datagrams for port 68, and no
// others.
func TestAnInterfaceWithoutAddressTakesUnicastDHCPOnly(t *testing.T) {
	d := newDHCPDevice(t)
	d.start()
	d.at(1500, func() {
		b := serves(20)(d.last)
		d.deliver(udpFrame(netip.AddrPortFrom(hostAddr, 67), netip.AddrPortFrom(deviceAddr, 69), b))
		d.deliver(udpFrame(netip.AddrPortFrom(hostAddr, 67), netip.AddrPortFrom(deviceAddr, 68), b))
	})
	d.until(1.6, "0 state INIT", "1 DHCPDISCOVER 0.0.0.0 > 255.255.255.255, secs 0", "1 state SELECTING",
		"1.5 drop ipv4 not_for_us", "1.5 DHCPREQUEST 0.0.0.0 > 255.255.255.255, secs 0", "1.5 state REQUESTING")
}

// Who finds no packet sends nothing, and is told nothing.
func TestDHCPWithoutPacketsIsSilent(t *testing.T) {
	d := newDHCPDevice(t)
	d.answer = serves(20)
	d.client.Pool().Leak(4)
	d.start()
	d.until(2, "0 state INIT", "1 drop dhcp control_pool_empty", "1 state SELECTING")
	d.client.Pool().Restore(3)
	d.run(40_000)
	if d.client.State() != DHCPBound && d.client.State() != DHCPRenewing {
		t.Errorf("%v\n%s", d.client.State(), strings.Join(d.log, "\n"))
	}
	if err := d.client.Pool().Check(); err != nil {
		t.Error(err)
	}
}

func TestDHCPIsStartedOnceAndWithoutAnAddress(t *testing.T) {
	d := newDHCPDevice(t)
	d.start()
	d.at(10, func() {
		if status := d.client.Start(); status != nic.DHCPAlreadyStarted {
			t.Errorf("the second start: %v", status)
		}
	})
	d.run(20)
	if _, err := newDevice(t, deviceConfig{}).ip.NewDHCPClient("x"); err == nil || !strings.Contains(err.Error(), "10.50.0.2") {
		t.Errorf("with an address: %v", err)
	}
	if _, err := d.ip.NewDHCPClient(strings.Repeat("x", 256)); err == nil {
		t.Error("a long name is taken")
	}
}

func FuzzDHCPClient(f *testing.F) {
	m := wire.DHCP(wire.AppendDHCPEnd(wire.AppendDHCP(nil, wire.DHCPFields{Op: wire.BOOTRequest}), 0))
	f.Add(serves(20)(m)[wire.DHCPHeaderLen:], uint32(0x0a320002))
	f.Add([]byte{53, 1, 2, 3, 200, 1}, uint32(1))
	f.Fuzz(func(t *testing.T, options []byte, your uint32) {
		if len(options) > 1400 {
			return
		}
		d := newDHCPDevice(t)
		d.answer = func(m wire.DHCP) []byte {
			return append(reply(m, 0, fromUint32(your))[:wire.DHCPHeaderLen], options...)
		}
		d.start()
		d.run(1_000_000)
		if d.client.Pool().Free() != 4 || d.pool.Free() != d.pool.Total() {
			t.Fatalf("packets are lost: %d and %d free", d.client.Pool().Free(), d.pool.Free())
		}
		if len(d.log) > 8000 {
			t.Fatalf("%d events in 1000 s", len(d.log))
		}
	})
}
