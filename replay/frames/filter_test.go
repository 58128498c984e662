package frames

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"hilnet/wire"
)

var (
	deviceMAC  = wire.MAC{2, 0, 0, 0, 0, 2}
	brokerMAC  = wire.MAC{2, 0, 0, 0, 0, 1}
	deviceAddr = netip.MustParseAddr("10.0.0.2")
	brokerAddr = netip.MustParseAddr("10.0.0.1")
)

// segment is a TCP segment from the device to the broker.
func segment(payload string) []byte {
	f := make([]byte, 14+20+20+len(payload))
	wire.PutEthernet(f, brokerMAC, deviceMAC, wire.EtherTypeIPv4)
	copy(f[54:], payload)
	wire.PutTCP(f[34:], wire.TCPFields{SrcPort: 40000, DstPort: 1883, Seq: 1, Flags: wire.TCPAck}, deviceAddr, brokerAddr, len(payload))
	wire.PutIPv4(f[14:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: deviceAddr, Dst: brokerAddr}, 20+len(payload))
	return f
}

func TestFilters(t *testing.T) {
	s := &subject{number: 7, iface: 1, length: 60}
	if err := s.Parse(segment("hello!")); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"": true, "tcp": true, "udp": false, "ip and tcp": true, "ip6 or udp": false, "not udp": true, "!tcp": false,
		"host 10.0.0.2": true, "src host 10.0.0.2": true, "dst host 10.0.0.2": false, "net 10.0.0.0/8": true, "src net 10.9.0.0/16": false,
		"port 1883": true, "src port 1883": false, "dst port 0x75b": true, "portrange 1880-1890": true, "portrange 1-5": false,
		"ether src 02:00:00:00:00:02": true, "ether dst 02:00:00:00:00:02": false, "ether host 02:00:00:00:00:01": true, "ether proto 0x800": true,
		"less 60": true, "less 59": false, "greater 60": true, "frame 7": true, "frame 1-6": false, "interface 1": true, "interface 0": false,
		"vlan": false, "vlan 5": false, "arp": false, "icmp": false, "icmp6": false, "broadcast": false, "multicast": false,
		"tcp and (port 1 or port 1883)": true, "udp and port 1 or tcp": true, "tcp or udp and udp": false, // from left to right, as libpcap
		"not (udp or arp) && frame 7": true, "tcp||udp": true,
		"tcp port 1883": true, "tcp port 1884": false, "udp port 1883": false, "tcp dst port 1883": true, "tcp src port 1883": false,
		"not tcp port 1883": false, "udp port 1883 or tcp portrange 1880-1890": true, "ip host 10.0.0.2": true, "ip src host 10.0.0.1": false,
		"ip6 host 10.0.0.2": false, "arp host 10.0.0.2": false, "ip dst net 10.0.0.0/8 and tcp": true,
	} {
		f, err := ParseFilter(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := f.match(s); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestAFilterErrorSaysWhere(t *testing.T) {
	for text, want := range map[string]struct {
		column int
		part   string
	}{
		"tcp and":              {8, "missing"},
		"host":                 {5, "missing"},
		"host example":         {6, "no IP address"},
		"net 10.0.0.0":         {5, "192.0.2.0/24"},
		"port 70000":           {6, "65535"},
		"tcp udp":              {5, "left over"},
		"(tcp":                 {5, "parenthesis"},
		"src tcp":              {5, "after src"},
		"tcp host 10.0.0.1":    {5, "left over"},
		"tcp port x":           {10, "65535"},
		"udp src tcp":          {5, "left over"},
		"frame 9-2":            {7, "N-M"},
		"tcpp":                 {1, "no condition"},
		"ether 10.0.0.1":       {7, "Ethernet address"},
		"tcp & udp":            {5, "left over"},
		"vlan 9 and vlan 9999": {17, "4095"},
	} {
		_, err := ParseFilter(text)
		var e *FilterError
		if !errors.As(err, &e) {
			t.Errorf("%q: %v, want an error", text, err)
			continue
		}
		if e.Column != want.column || !strings.Contains(e.Text, want.part) {
			t.Errorf("%q: %v, want column %d and %q", text, e, want.column, want.part)
		}
	}
	if _, err := ParseFilter(strings.Repeat("(", 200) + "tcp"); err == nil {
		t.Error("200 levels are taken")
	}
	if _, err := ParseFilter(strings.Repeat("not ", 1000) + "tcp"); err == nil {
		t.Error("1,000 levels are taken")
	}
}

func FuzzFilter(f *testing.F) {
	f.Add("tcp and (port 1883 or not host 10.0.0.1)", []byte("x"))
	f.Add("vlan 5 && ether src 02:00:00:00:00:02", segment("y"))
	f.Fuzz(func(t *testing.T, text string, frame []byte) {
		filter, err := ParseFilter(text)
		if err != nil {
			return
		}
		s := &subject{number: 1, length: len(frame)}
		_ = s.Parse(frame)
		filter.match(s)
	})
}
