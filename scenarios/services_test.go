package scenarios

import (
	"net/netip"
	"strings"
	"testing"
)

// What services and their clients cannot be is refused, at the place where it
// stands, with a way out.
func TestBrokenServicesAreRefusedWithPositionAndHint(t *testing.T) {
	for _, c := range []struct{ device, root, place, message, hint string }{
		{"address: dhcp, profile: linux", "services: {dhcp: {}}", "3:21", "a device of profile linux has no DHCP client", "profile: netx"},
		{"address: dhcp", "", "3:21", "nobody would answer the DHCP client", "services: {dhcp: {}}"},
		{"address: dhpc", "services: {dhcp: {}}", "3:21", `"dhpc" is not an IPv4 address`, `did you mean "dhcp"?`},
		{"address: dhcp, gateway: 10.0.0.1", "services: {dhcp: {}}", "3:36", "is told of its gateway", "router:"},
		{"mqtt: {host: broker.example}", "", "3:25", "nobody would resolve the name", "services: {dns:"},
		{"mqtt: {host: broker.example}, profile: linux", "services: {dns: {}}", "3:25", "has no DNS client", "profile: netx"},
		{"mqtt: {host: a..b}", "services: {dns: {}}", "3:25", `"a..b" is not a domain name`, "broker.example"},
		{"address: dhcp, mqtt: {host: a.b}", "services: {dhcp: {}}", "3:40", "nobody would resolve", "dns: with a server"},
		{"dns: [10.0.0.1]", "", "3:17", "asks for no name", "host: broker.example"},
		{"mtu: 1500", "services: {}", "5:1", "no service is there", "dhcp: {}"},
		{"mtu: 1500", "services: {sntp: {}}", "5:18", "no model has an SNTP client", "no model"},
		{"mtu: 1500", "services: {address: 10.0.0.1/24, dhcp: {}}", "5:21", "is taken by the broker", "own address"},
		{"mtu: 1500", "services: {address: 10.1.0.1/24, dhcp: {}}", "5:21", "is not in the network of 10.0.0.1/24", "10.0.0.0/24"},
		{"address: 10.0.0.254/24", "services: {dhcp: {}}", "3:21", "is taken by the services", "own address"},
		{"mtu: 1500", "services: {dhcp: {lease: 4500ms}}", "5:26", "cannot be told to clients", "whole seconds"},
		{"mtu: 1500", "services: {dhcp: {lease: 3s}}", "5:26", "too small", "between 4s"},
		{"mtu: 1500", "services: {dhcp: {first: 10.0.0.9}}", "5:18", "a first and a last address", "last:"},
		{"mtu: 1500", "services: {dhcp: {first: 10.0.0.9, last: 10.0.0.8}}", "5:42", "is no range", "later"},
		{"mtu: 1500", "services: {dhcp: {first: 10.0.1.9, last: 10.0.0.8}}", "5:26", "10.0.1.9 is not in the network", "10.0.0.0/24"},
		{"mtu: 1500", "services: {dhcp: {router: 10.1.0.9}}", "5:27", "cannot reach the gateway", "10.0.0.0/24"},
		{"mtu: 1500", "services: {dhcp: {answer: rihgt}}", "5:27", `"rihgt"`, `did you mean "right"?`},
		{"mtu: 1500", "services: {dns: {names: [{name: .x}]}}", "5:33", "is not a domain name", "broker.example"},
		{"mtu: 1500", "services: {dns: {names: [{name: x.y}, {name: X.y}]}}", "5:46", "stands here twice", "remove one"},
		{"mtu: 1500", "services: {dns: {names: [{name: x.y, ttl: 1500ms}]}}", "5:43", "cannot be told to clients", "whole seconds"},
		{"mtu: 1500", "services: {dns: {names: [{name: x.y, addresses: [\"fd00::1\"]}]}}", "5:50", "not an IPv4 address", "four numbers"},
		{"mtu: 1500", "services: {dns: {}}\ntimeline: [{at: 1s, do: service, service: dhcp, answer: off}]", "6:43", "the network has no service dhcp", "services: {dhcp: {}}"},
		{"mtu: 1500", "timeline: [{at: 1s, do: service, service: dns, answer: off}]", "5:43", "the network has no service dns", "services: {dns: {}}"},
		{"mtu: 1500", "services: {dns: {}}\ntimeline: [{at: 1s, do: service, service: dns, answer: nak}]", "6:56", `"nak" is no answer of dns`, "nxdomain"},
		{"mtu: 1500", "services: {dns: {}}\ntimeline: [{at: 1s, do: service, answer: off}]", "6:12", `service lacks the key "service"`, "service:"},
		{"mtu: 1500", "services: {dns: {}}\ntimeline: [{at: 1s, do: service, service: dns, answer: off, device: device}]", "6:61", `service does nothing with "device"`, "answer"},
	} {
		text := "version: 1\nname: broken\ndevices: [{" + c.device + ", steps: [connect]}]\nbroker: {}\n" + c.root + "\n"
		_, err := Load("b.yaml", []byte(text))
		if err == nil {
			t.Errorf("%s, %s: accepted", c.device, c.root)
			continue
		}
		for _, want := range []string{"b.yaml:" + c.place, c.message, c.hint} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: want %q in\n%v", c.device, c.root, want, err)
			}
		}
	}
	if _, err := Load("b.yaml", []byte("version: 1\nname: x\ndevices: [{steps: [connect]}]\nbroker: {kind: capture, capture: {file: x.pcap}}\nservices: {dns: {}}\n")); err == nil || !strings.Contains(err.Error(), "no network to have services in") {
		t.Errorf("with a recorded broker: %v", err)
	}
}

// Two services can answer wrongly at the same time, one and the same cannot twice.
func TestServicesAnswerWrongBesideEachOther(t *testing.T) {
	const text = "version: 1\nname: x\ndevices: [{address: dhcp, steps: [connect]}]\nbroker: {}\nservices: {dhcp: {}, dns: {}}\n" +
		"timeline: [{at: 1s, do: service, service: dhcp, answer: off, for: 9s}, {at: 2s, do: service, service: SECOND, answer: silent, for: 9s}]\n"
	s := load(t, strings.Replace(text, "SECOND", "dns", 1))
	if dhcp, dns := &s.Timeline[0], &s.Timeline[1]; s.SameThing(dhcp, dns) || s.Overlap(dhcp, dns) || !s.SameThing(dhcp, dhcp) {
		t.Error("what is done to one service takes the place of what is done to another")
	}
	if _, err := Load("b.yaml", []byte(strings.Replace(text, "SECOND", "dhcp", 1))); err == nil || !strings.Contains(err.Error(), "is still on") {
		t.Errorf("one service twice: %v", err)
	}
}

func TestServicesHaveWhatTheyLeaveOut(t *testing.T) {
	s := load(t, "version: 1\nname: x\nnetwork: 10.7.0.0/20\ndevices: [{count: 2, address: dhcp, mqtt: {host: a.b}, steps: [connect]}, {mqtt: {host: a.b}, steps: [connect]}]\nbroker: {}\n"+
		"services: {dhcp: {}, dns: {names: [{name: a.b}]}}\n")
	v := s.Services
	services := netip.MustParseAddr("10.7.15.254")
	if v.Address.Addr() != services || v.Address.Bits() != 20 || v.DHCP.Router.IsValid() || len(v.DHCP.DNS) != 1 || v.DHCP.DNS[0] != services ||
		v.DNS.Names[0].Addresses[0] != netip.MustParseAddr("10.7.0.1") {
		t.Errorf("%+v, %+v, %+v", v.Address, v.DHCP, v.DNS)
	}
	d := s.Devices
	if !d[1].Address.DHCP || d[1].Address.Prefix != netip.MustParsePrefix("10.7.0.3/20") || s.NameServers(&d[1]) != nil ||
		d[2].Address.DHCP || s.NameServers(&d[2])[0] != services {
		t.Errorf("%+v %+v", d[1].Address, d[2].Address)
	}
	// Written and read again it is the same, addresses included.
	text := resolved(t, s)
	if again := load(t, text); !Equal(s, again) || !strings.Contains(text, "address: dhcp") || again.Devices[1].Address != d[1].Address {
		t.Errorf("read again it is another:\n%s", text)
	}
	routed := load(t, "version: 1\nname: x\nclock: real\ndevices: [{address: dhcp, steps: [connect]}]\nbroker: {kind: tap, address: 192.0.2.1/24}\nservices: {dhcp: {}}\n")
	if got := routed.Services.DHCP.Router; got != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("the gateway to a broker elsewhere is %v", got)
	}
}
