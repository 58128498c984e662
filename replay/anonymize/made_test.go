package anonymize_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"hilnet/pcaps"
	"hilnet/replay/anonymize"
	"hilnet/wire"
)

type anonymizeCount = anonymize.Count

// frameOf makes a frame with right checksums and lengths.
func frameOf(t testing.TB, all ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

// captureOf makes a capture of frames.
func captureOf(t testing.TB, frames ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pcaps.NewPcapWriter(&out, pcaps.PcapConfig{LinkType: pcaps.LinkTypeEthernet})
	for i, f := range frames {
		if err == nil {
			err = w.WritePacket(pcaps.Stamp(i)*1e6, f, 0)
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var (
	macA  = []byte{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}
	macB  = []byte{0x02, 0x11, 0x22, 0x66, 0x77, 0x88}
	addrA = []byte{192, 168, 7, 21}
	addrB = []byte{192, 168, 7, 99}
)

func ethernet(t layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: macA, DstMAC: macB, EthernetType: t}
}

// once makes the copy of one frame.
func once(t testing.TB, a *anonymize.Anonymizer, frame []byte) []byte {
	t.Helper()
	got, _ := anonymized(t, a, captureOf(t, frame))
	return packetsOf(t, got)[0].Data
}

func mapped4(a *anonymize.Anonymizer, b []byte) string {
	return a.Addr(netip.AddrFrom4([4]byte(b))).String()
}

// What DNS answers is replaced as it is elsewhere: the addresses of an answer are those
// of the frames that follow.
func TestDNSNamesAndAddressesAreReplaced(t *testing.T) {
	a := newAnonymizer(t)
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: addrA, DstIP: addrB}
	udp := &layers.UDP{SrcPort: 53, DstPort: 40000}
	_ = udp.SetNetworkLayerForChecksum(ip)
	dns := &layers.DNS{
		ID: 7, QR: true, Questions: []layers.DNSQuestion{{Name: []byte("broker.factory-seven.example"), Type: layers.DNSTypeA, Class: layers.DNSClassIN}},
		Answers: []layers.DNSResourceRecord{
			{Name: []byte("broker.factory-seven.example"), Type: layers.DNSTypeA, Class: layers.DNSClassIN, TTL: 60, IP: addrB},
			{Name: []byte("broker.factory-seven.example"), Type: layers.DNSTypeTXT, Class: layers.DNSClassIN, TXTs: [][]byte{[]byte("secretword")}},
		},
	}
	frame := frameOf(t, ethernet(layers.EthernetTypeIPv4), ip, udp, dns)
	got := once(t, a, frame)
	p := gopacket.NewPacket(got, layers.LayerTypeEthernet, gopacket.Default)
	d, ok := p.Layer(layers.LayerTypeDNS).(*layers.DNS)
	if !ok || len(d.Answers) != 2 || d.Answers[0].IP.String() != mapped4(a, addrB) || len(d.Answers[0].Name) != len("broker.factory-seven.example") ||
		string(d.Answers[0].Name) != string(d.Questions[0].Name) || d.Answers[0].TTL != 60 {
		t.Fatalf("%v", p)
	}
	for _, word := range []string{"broker", "factory", "example", "secret"} {
		if bytes.Contains(got, []byte(word)) {
			t.Errorf("%q is still there", word)
		}
	}
	checkSums(t, got)
}

// checkSums fails when a checksum of a frame is wrong.
func checkSums(t testing.TB, frame []byte) {
	t.Helper()
	var l wire.Layers
	if err := l.Parse(frame); err != nil {
		t.Fatal(err)
	}
	switch {
	case l.IPv4 != nil && !l.IPv4.ChecksumOK():
		t.Error("the checksum of IPv4 is wrong")
	case l.UDP != nil && !l.UDP.ChecksumOK(l.Src(), l.Dst(), l.Payload):
		t.Error("the checksum of UDP is wrong")
	case l.ICMPv4 != nil && !l.ICMPv4.ChecksumOK(l.Payload):
		t.Error("the checksum of ICMP is wrong")
	case l.ICMPv6 != nil && !l.ICMPv6.ChecksumOK(l.Src(), l.Dst(), l.Payload):
		t.Error("the checksum of ICMPv6 is wrong")
	case l.TCP != nil && !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload):
		t.Error("the checksum of TCP is wrong")
	}
}

func TestDHCPIsReplaced(t *testing.T) {
	a := newAnonymizer(t)
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: []byte{0, 0, 0, 0}, DstIP: []byte{255, 255, 255, 255}}
	udp := &layers.UDP{SrcPort: 68, DstPort: 67}
	_ = udp.SetNetworkLayerForChecksum(ip)
	dhcp := &layers.DHCPv4{
		Operation: layers.DHCPOpReply, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, Xid: 9, ClientHWAddr: macA, YourClientIP: addrA,
		ServerName: []byte("topsecretserver"), File: []byte("firmware.bin"),
		Options: layers.DHCPOptions{
			layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{5}), layers.NewDHCPOption(layers.DHCPOptRouter, addrB),
			layers.NewDHCPOption(layers.DHCPOptHostname, []byte("kitchen-sensor")), layers.NewDHCPOption(layers.DHCPOptClientID, append([]byte{1}, macA...)),
			layers.NewDHCPOption(layers.DHCPOptVendorOption, []byte("anything")), layers.NewDHCPOption(layers.DHCPOptLeaseTime, []byte{0, 0, 14, 16}),
		},
	}
	got := once(t, a, frameOf(t, ethernet(layers.EthernetTypeIPv4), ip, udp, dhcp))
	d, ok := gopacket.NewPacket(got, layers.LayerTypeEthernet, gopacket.Default).Layer(layers.LayerTypeDHCPv4).(*layers.DHCPv4)
	mac := a.MAC(wire.MAC(macA))
	if !ok || d.YourClientIP.String() != mapped4(a, addrA) || !bytes.Equal(d.ClientHWAddr, mac[:]) {
		t.Fatalf("%+v", d)
	}
	for _, o := range d.Options {
		switch o.Type {
		case layers.DHCPOptRouter:
			if addr, _ := netip.AddrFromSlice(o.Data); addr.String() != mapped4(a, addrB) {
				t.Errorf("%v", o)
			}
		case layers.DHCPOptClientID:
			if !bytes.Equal(o.Data[1:], mac[:]) {
				t.Errorf("%v", o)
			}
		case layers.DHCPOptLeaseTime:
			if binary.BigEndian.Uint32(o.Data) != 3600 {
				t.Errorf("%v", o)
			}
		}
	}
	for _, word := range []string{"kitchen", "sensor", "topsecret", "firmware", "anything"} {
		if bytes.Contains(got, []byte(word)) {
			t.Errorf("%q is still there", word)
		}
	}
	checkSums(t, got)
}

// An address is the same in neighbour discovery, in its group, in Ethernet and in an ICMP error.
func TestNeighbourDiscoveryFitsItsAddresses(t *testing.T) {
	a := newAnonymizer(t)
	src, target := netip.MustParseAddr("2001:db8:7::11:22ff:fe33:4455"), netip.MustParseAddr("2001:db8:7::11:22ff:fe66:7788")
	group := wire.SolicitedNode(target)
	frame := make([]byte, 14+40+wire.MaxNeighborLen)
	wire.PutEthernet(frame, wire.MulticastMAC(group), wire.MAC(macA), wire.EtherTypeIPv6)
	n := wire.PutNeighbor(frame[54:], wire.ICMPv6NeighborSolicit, &wire.Neighbor{Target: target, Options: wire.NDOptions{SourceMAC: wire.MAC(macA)}}, src, group)
	frame = frame[:54+n]
	wire.PutIPv6(frame[14:], wire.ProtocolICMPv6, 255, src, group, n)
	got := once(t, a, frame)
	checkSums(t, got)
	var l wire.Layers
	if err := l.Parse(got); err != nil {
		t.Fatal(err)
	}
	nd, err := l.ICMPv6.Neighbor(l.Payload)
	if err != nil || nd.Target != a.Addr(target) || nd.Options.SourceMAC != a.MAC(wire.MAC(macA)) || l.Ethernet.Src() != nd.Options.SourceMAC {
		t.Errorf("%+v, %v", nd, err)
	}
	if want := wire.SolicitedNode(nd.Target); l.IPv6.Dst() != want || l.Ethernet.Dst() != wire.MulticastMAC(want) {
		t.Errorf("the group is %v at %v, want %v", l.IPv6.Dst(), l.Ethernet.Dst(), want)
	}
	// The interface identifiers were made of the Ethernet addresses, and still are.
	prefix, _ := l.IPv6.Src().Prefix(64)
	if want := wire.EUI64(prefix, l.Ethernet.Src()); l.IPv6.Src() != want {
		t.Errorf("%v, want %v", l.IPv6.Src(), want)
	}
	if p, _ := nd.Target.Prefix(64); p != prefix {
		t.Errorf("%v and %v are of one network no more", nd.Target, l.IPv6.Src())
	}
}

func TestWhatICMPQuotesIsReplacedToo(t *testing.T) {
	a := newAnonymizer(t)
	inner := frameOf(t, &layers.IPv4{Version: 4, TTL: 9, Protocol: layers.IPProtocolTCP, SrcIP: addrB, DstIP: addrA}, gopacket.Payload("\x07\x5b\xc0\x00\x00\x00\x00\x01\x00\x00\x00\x02\x50\x10\x00\x09\x00\x00\x00\x00hidden words in it"))
	frame := frameOf(t, ethernet(layers.EthernetTypeIPv4), &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: addrA, DstIP: addrB},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 1)}, gopacket.Payload(inner))
	got := once(t, a, frame)
	checkSums(t, got)
	quoted := wire.IPv4(got[14+20+8:])
	if quoted.Src().String() != mapped4(a, addrB) || quoted.Dst().String() != mapped4(a, addrA) || !quoted[:20].ChecksumOK() || bytes.Contains(got, []byte("hidden")) {
		t.Errorf("%x", got)
	}
}

// What nobody here understands does not pass: not as a protocol, not behind a packet.
func TestWhatIsNotUnderstoodIsZero(t *testing.T) {
	secret := []byte("nobody may read this")
	udp := &layers.UDP{SrcPort: 5000, DstPort: 6000}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: addrA, DstIP: addrB}
	_ = udp.SetNetworkLayerForChecksum(ip)
	tcp := &layers.TCP{SrcPort: 5000, DstPort: 6000, ACK: true, PSH: true, Options: []layers.TCPOption{{OptionType: 253, OptionLength: 12, OptionData: secret[:10]}}}
	tcpIP := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: addrA, DstIP: addrB, Options: []layers.IPv4Option{{OptionType: 130, OptionLength: 11, OptionData: secret[:9]}}}
	_ = tcp.SetNetworkLayerForChecksum(tcpIP)
	frames := map[string][]byte{
		"LLDP":        frameOf(t, ethernet(0x88cc), gopacket.Payload(secret)),
		"802.3":       frameOf(t, ethernet(layers.EthernetType(20)), gopacket.Payload(secret)),
		"UDP":         frameOf(t, ethernet(layers.EthernetTypeIPv4), ip, udp, gopacket.Payload(secret)),
		"TCP":         frameOf(t, ethernet(layers.EthernetTypeIPv4), tcpIP, tcp, gopacket.Payload(secret)),
		"GRE":         frameOf(t, ethernet(layers.EthernetTypeIPv4), &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolGRE, SrcIP: addrA, DstIP: addrB}, gopacket.Payload(secret)),
		"echo":        frameOf(t, ethernet(layers.EthernetTypeIPv4), &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: addrA, DstIP: addrB}, &layers.ICMPv4{TypeCode: 0x800}, gopacket.Payload(secret)),
		"a trailer":   append(frameOf(t, ethernet(layers.EthernetTypeIPv4), ip, udp), secret...),
		"a tunnel":    frameOf(t, ethernet(layers.EthernetTypeIPv4), &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolIPv4, SrcIP: addrA, DstIP: addrB}, ip, udp, gopacket.Payload(secret)),
		"an old IP":   frameOf(t, ethernet(layers.EthernetTypeIPv4), gopacket.Payload(append([]byte{0x15}, secret...))),
		"odd ARP":     frameOf(t, ethernet(layers.EthernetTypeARP), gopacket.Payload(append([]byte{0, 6, 8, 0, 6, 4, 0, 1}, secret...))),
		"PPPoE":       frameOf(t, ethernet(layers.EthernetTypePPPoESession), gopacket.Payload(secret)),
		"a fragment":  frameOf(t, ethernet(layers.EthernetTypeIPv4), &layers.IPv4{Version: 4, TTL: 64, FragOffset: 8, Protocol: layers.IPProtocolUDP, SrcIP: addrA, DstIP: addrB}, gopacket.Payload(secret)),
		"short bytes": secret[:13],
	}
	for name, frame := range frames {
		got := once(t, newAnonymizer(t), frame)
		if len(got) != len(frame) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(frame))
		}
		for i := 0; i+4 <= len(secret); i++ {
			if bytes.Contains(got, secret[i:i+4]) {
				t.Errorf("%s: %q is still there", name, secret[i:i+4])
				break
			}
		}
		if bytes.Contains(got, addrA) || bytes.Contains(got, addrB) || bytes.Contains(got, macA) || bytes.Contains(got, macB[3:]) {
			t.Errorf("%s: an address is still there", name)
		}
	}
}
