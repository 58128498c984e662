package distance_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/pcaps"
	"hilnet/replay/distance"
	"hilnet/scenarios"
	"hilnet/wire"
)

// addressed are scenarios in which a device asks for its address, and for the broker's.
var addressed = []struct {
	text string
	want []distance.Behaviour
}{
	{`
version: 1
name: four
duration: 100s
devices:
  - {address: dhcp, mqtt: {host: broker.example, keepalive: 0s}, steps: [connect, disconnect, connect]}
broker: {kind: model}
services: {dhcp: {lease: 1m}, dns: {names: [{name: broker.example}]}}
timeline:
  - {at: 0s, do: service, service: dhcp, answer: silent, for: 3s}
  - {at: 20s, do: service, service: dhcp, answer: silent, for: 60s}
`, []distance.Behaviour{distance.DHCPMessages, distance.DNSQueries}},
	{`
version: 1
name: six
duration: 60s
network6: fd00::/64
devices:
  - {profile: linux, address6: slaac, mqtt: {keepalive: 0s, family: ipv6}, steps: [connect]}
broker: {kind: model}
`, []distance.Behaviour{distance.NDRequests, distance.NDAnswers}},
}

// Whichever message is missing that a device said to find an address, or in answer to
// who looks for its own, shows where it is one of.
func TestEveryMissingMessageAboutAddressesShows(t *testing.T) {
	for _, c := range addressed {
		sc, err := scenarios.Load("addressed.yaml", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		out := t.TempDir()
		if _, err := emu.Run(context.Background(), sc, emu.Options{Out: out}); err != nil {
			t.Fatal(err)
		}
		path, config := filepath.Join(out, sc.Name+".device.pcapng"), distance.Config{Device: sc.Devices[0].MAC.String(), Tolerance: -1}
		a := read(t, path, config)
		for _, b := range c.want {
			if a.Of(b) == 0 {
				t.Errorf("%s: no %v", sc.Name, b)
			}
		}
		var all []*pcaps.Packet
		for p, err := range pcaps.Packets(path) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p.Clone())
		}
		for n, p := range all {
			var l wire.Layers
			if err := l.Parse(p.Data); err != nil || l.Ethernet.Src() != wire.MAC(sc.Devices[0].MAC) || l.UDP == nil && l.ICMPv6 == nil {
				continue
			}
			r := between(t, a, read(t, without(t, all, n), config), config)
			found := false
			for _, m := range r.Measures {
				found = found || m.Distance > 0 && slices.ContainsFunc(c.want, func(b distance.Behaviour) bool { return b.String() == m.Name })
			}
			if !found {
				t.Errorf("%s: frame %d is missing, and that does not show: %s", sc.Name, n+1, behaviours(r))
			}
		}
	}
}

// without writes the frames but for one.
func without(t *testing.T, all []*pcaps.Packet, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "without.pcapng")
	f, err := pcaps.Create(path, pcaps.Section{}, pcaps.WriterConfig{})
	if err == nil {
		_, err = f.AddInterface(pcaps.Interface{LinkType: pcaps.LinkTypeEthernet, Resolution: pcaps.Nanoseconds})
	}
	for i, p := range all {
		if p.Interface = 0; i != n && err == nil {
			err = f.WritePacket(p)
		}
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A device that never gets an address is known by its MAC.
func TestADeviceWithoutAnAddressIsKnownByItsMAC(t *testing.T) {
	text, _, _ := strings.Cut(addressed[0].text, "timeline:")
	sc, err := scenarios.Load("addressed.yaml", []byte(text+"timeline: [{at: 0s, do: service, service: dhcp, answer: silent}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if _, err := emu.Run(context.Background(), sc, emu.Options{Out: out}); err != nil {
		t.Fatal(err)
	}
	a := read(t, filepath.Join(out, sc.Name+".device.pcapng"), distance.Config{})
	if mac := sc.Devices[0].MAC.String(); a.Device != mac || a.Of(distance.DHCPMessages) == 0 || a.Samples != a.Of(distance.DHCPMessages) {
		t.Errorf("device %s, want %s; %d samples, %d of DHCP", a.Device, mac, a.Samples, a.Of(distance.DHCPMessages))
	}
}
