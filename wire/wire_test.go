package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

var (
	macA  = MAC{2, 0, 0, 0, 0, 1}
	macB  = MAC{2, 0, 0, 0, 0, 2}
	addrA = netip.MustParseAddr("10.0.0.1")
	addrB = netip.MustParseAddr("10.0.0.2")
	addr6 = netip.MustParseAddr("fd00::1")
)

// tcpFrame builds an Ethernet/IPv4/TCP frame, padded to 60 bytes as on a wire.
func tcpFrame(f TCPFields, payload string) []byte {
	n := TCPHeaderLen + len(f.Options) + len(payload)
	b := make([]byte, max(60, EthernetHeaderLen+IPv4HeaderLen+n))
	PutEthernet(b, macB, macA, EtherTypeIPv4)
	ip := b[EthernetHeaderLen:]
	PutIPv4(ip, IPv4Fields{ID: 7, DontFragment: true, TTL: 64, Protocol: ProtocolTCP, Src: addrA, Dst: addrB}, n)
	copy(ip[IPv4HeaderLen+TCPHeaderLen+len(f.Options):], payload)
	PutTCP(ip[IPv4HeaderLen:], f, addrA, addrB, len(payload))
	return b
}

func synOptions() []byte {
	o := AppendMSS(nil, 1460)
	o = AppendSACKPermitted(o)
	o = AppendTimestamps(o, 111, 222)
	return AppendWindowScale(o, 7)
}

func TestChecksumOfRFC1071Example(t *testing.T) {
	data, _ := hex.DecodeString("0001f203f4f5f6f7")
	if got := Sum(0, data); got != 0xddf2 {
		t.Errorf("sum of the example of RFC 1071 section 3 is %#x, want 0xddf2", got)
	}
	if got := Checksum([]byte{0x12}); got != ^uint16(0x1200) {
		t.Errorf("odd byte: %#x", got)
	}
}

func TestChecksumRepairEqualsRecomputation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b := make([]byte, 40)
		for i := range b {
			b[i] = byte(r.Uint32() >> (r.Uint32() % 3 * 8)) // many zero bytes too
		}
		if r.IntN(4) == 0 {
			clear(b)
		}
		h := IPv4(b[:20])
		h[0] = 0x45
		h.UpdateChecksum()
		switch r.IntN(5) {
		case 0:
			h.SetID(uint16(r.Uint32()))
		case 1:
			h.SetTTL(uint8(r.Uint32()))
		case 2:
			h.SetTOS(uint8(r.Uint32()))
		case 3:
			h.SetDontFragment(r.IntN(2) == 0)
		case 4:
			h.SetTotalLen(r.IntN(1500))
		}
		// 0x0000 and 0xffff are the same number; both must verify.
		if !h.ChecksumOK() {
			t.Fatalf("after repair the checksum of % x is wrong", []byte(h))
		}
	}
}

func TestTCPSettersKeepChecksumRight(t *testing.T) {
	var l Layers
	if err := l.Parse(tcpFrame(TCPFields{SrcPort: 1, DstPort: 2, Seq: 0xffffffff, Ack: 5, Flags: TCPAck, Window: 0xffff}, "odd")); err != nil {
		t.Fatal(err)
	}
	l.TCP.SetWindow(8192)
	l.TCP.SetSeq(1)
	l.TCP.SetAck(0xfffffffe)
	if l.TCP.Window() != 8192 || l.TCP.Seq() != 1 || l.TCP.Ack() != 0xfffffffe {
		t.Errorf("fields: %v", Summary(nil))
	}
	if !l.TCP.ChecksumOK(addrA, addrB, l.Payload) {
		t.Error("checksum is wrong after three repairs")
	}
	l.TCP[4] ^= 1
	if l.TCP.ChecksumOK(addrA, addrB, l.Payload) {
		t.Error("a flipped bit was not noticed")
	}
}

func TestTCPFrameReadsBackAsWritten(t *testing.T) {
	f := TCPFields{SrcPort: 50000, DstPort: 1883, Seq: 1, Ack: 2, Flags: TCPSyn | TCPAck, Window: 8192, Options: synOptions()}
	frame := tcpFrame(f, "")
	var l Layers
	if err := l.Parse(frame); err != nil {
		t.Fatal(err)
	}
	if l.Ethernet.Src() != macA || l.Ethernet.Dst() != macB || l.Src() != addrA || l.Dst() != addrB {
		t.Errorf("addresses: %v", Summary(frame))
	}
	if !l.IPv4.ChecksumOK() || !l.IPv4.DontFragment() || l.IPv4.ID() != 7 || l.IPv4.TTL() != 64 || l.IPv4.TotalLen() != 64 {
		t.Errorf("IPv4 header % x", []byte(l.IPv4))
	}
	if len(l.Payload) != 0 {
		t.Errorf("payload of %d bytes; Ethernet padding must be cut off", len(l.Payload))
	}
	o, err := l.TCP.Options()
	if err != nil || o.MSS != 1460 || !o.SACKPermitted || !o.HasTimestamps || o.TSVal != 111 || o.TSEcr != 222 || !o.HasWindowScale || o.WindowScale != 7 {
		t.Errorf("options %+v, %v", o, err)
	}
	if l.TCP.SegmentLen(nil) != 1 {
		t.Error("a SYN takes one sequence number")
	}
	const want = "TCP 10.0.0.1:50000 > 10.0.0.2:1883 [SYN,ACK] seq=1 ack=2 win=8192 len=0"
	if got := Summary(frame); got != want {
		t.Errorf("summary\n%s\nwant\n%s", got, want)
	}
}

func TestTCPOptionsSACKAndMalformed(t *testing.T) {
	blocks := []SACKBlock{{10, 20}, {30, 40}, {50, 60}}
	h := func(options []byte) TCP {
		b := make([]byte, TCPHeaderLen+len(options))
		PutTCP(b, TCPFields{Options: options}, addrA, addrB, 0)
		return TCP(b)
	}
	o, err := h(AppendSACK(AppendTimestamps(nil, 1, 2), blocks...)).Options()
	if err != nil || len(o.SACK()) != 3 || o.SACK()[2] != blocks[2] {
		t.Errorf("SACK %v, %v", o.SACK(), err)
	}
	// NetX Duo's SYN: MSS, three no-operations, end of list (nx_tcp_packet_send_syn).
	o, err = h([]byte{2, 4, 5, 0xb4, 1, 1, 1, 0}).Options()
	if err != nil || o.MSS != 1460 {
		t.Errorf("NetX options: %+v, %v", o, err)
	}
	for _, bad := range [][]byte{
		{2, 4, 5, 0xb4, 3, 0, 0, 0}, // length 0
		{2, 3, 5, 0},                // MSS of one byte
		{8, 10, 0, 0},               // beyond the end
		{5, 4, 0, 0},                // half a SACK block
		{1, 1, 1, 2},                // kind without length
		{3, 2, 0, 0}, {4, 3, 0, 0}, {8, 3, 0, 0},
	} {
		if _, err := h(bad).Options(); !errors.Is(err, ErrOption) {
			t.Errorf("options % x: %v, want ErrOption", bad, err)
		}
	}
	if o, _ = h([]byte{2, 4, 5, 0xb4, 3, 0, 0, 0}).Options(); o.MSS != 1460 {
		t.Error("options in front of the bad one must be there")
	}
}

func TestVLANTagsAreSkipped(t *testing.T) {
	plain := tcpFrame(TCPFields{Flags: TCPAck}, "x")
	for tags := 1; tags <= 3; tags++ {
		frame := append([]byte(nil), plain[:12]...)
		for i := range tags {
			typ := []byte{0x81, 0x00}
			if i == 0 && tags > 1 {
				typ = []byte{0x88, 0xa8}
			}
			frame = append(append(frame, typ...), 0xe0, byte(5+i))
		}
		frame = append(frame, plain[12:]...)
		var l Layers
		err := l.Parse(frame)
		if tags == 3 {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("three tags: %v", err)
			}
			continue
		}
		id, ok := l.Ethernet.VLAN()
		if err != nil || !ok || id != 5 || l.Ethernet.EtherType() != EtherTypeIPv4 || string(l.Payload) != "x" {
			t.Errorf("%d tags: id %d %v, payload %q, %v", tags, id, ok, l.Payload, err)
		}
	}
	if _, ok := Ethernet(plain[:14]).VLAN(); ok {
		t.Error("an untagged frame has no VLAN")
	}
}

func TestARPReadsBackAsWritten(t *testing.T) {
	b := make([]byte, 60)
	PutEthernet(b, BroadcastMAC, macA, EtherTypeARP)
	PutARP(b[14:], ARPRequest, macA, addrA, MAC{}, addrB)
	a, rest, err := ParseARP(b[14:])
	if err != nil || a.Operation() != ARPRequest || a.SenderMAC() != macA || a.Sender() != addrA || a.Target() != addrB || a.TargetMAC() != (MAC{}) || len(rest) != 18 {
		t.Errorf("% x: %v", []byte(a), err)
	}
	if got, want := Summary(b), "ARP who has 10.0.0.2? tell 10.0.0.1 at 02:00:00:00:00:01"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
	PutARP(b[14:], ARPReply, macB, addrB, macA, addrA)
	if got, want := Summary(b), "ARP 10.0.0.2 is at 02:00:00:00:00:02, to 10.0.0.1"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
	b[14] = 9
	if _, _, err := ParseARP(b[14:]); !errors.Is(err, ErrFormat) {
		t.Errorf("hardware type 9: %v", err)
	}
}

func TestICMPEchoAndErrors(t *testing.T) {
	b := make([]byte, 600)
	n := PutICMPv4Echo(b, ICMPEchoRequest, 0x1234, 9, []byte("hello"))
	h, payload, err := ParseICMPv4(b[:n])
	if err != nil || h.Type() != ICMPEchoRequest || h.EchoID() != 0x1234 || h.EchoSeq() != 9 || string(payload) != "hello" || !h.ChecksumOK(payload) {
		t.Errorf("echo % x %q %v", []byte(h), payload, err)
	}
	original := bytes.Repeat([]byte{0xab}, 1500)
	n = PutICMPv4Error(b, ICMPUnreachable, ICMPFragNeeded, 1400, original)
	h, payload, _ = ParseICMPv4(b[:n])
	if n != ICMPv4ErrorLen(original) || n != 556 || h.Code() != ICMPFragNeeded || h.NextHopMTU() != 1400 || !h.ChecksumOK(payload) {
		t.Errorf("error of %d bytes, % x", n, []byte(h))
	}
}

func TestUDPReadsBackAsWritten(t *testing.T) {
	b := append(make([]byte, UDPHeaderLen), "datagram"...)
	PutUDP(b, 53, 5353, addrA, addrB, 8)
	u, payload, err := ParseUDP(append(b, "padding"...))
	if err != nil || u.SrcPort() != 53 || u.DstPort() != 5353 || u.Len() != 16 || string(payload) != "datagram" || !u.ChecksumOK(addrA, addrB, payload) {
		t.Errorf("% x %q %v", []byte(u), payload, err)
	}
	b[6], b[7] = 0, 0
	if !UDP(b[:8]).ChecksumOK(addrA, addrB, b[8:]) || UDP(b[:8]).ChecksumOK(addr6, addr6, b[8:]) {
		t.Error("no checksum is right over IPv4 and wrong over IPv6")
	}
}

func TestIPv6ExtensionHeadersAreSkipped(t *testing.T) {
	upper := make([]byte, UDPHeaderLen)
	PutUDP(upper, 1, 2, addr6, addr6, 0)
	body := append([]byte{ProtocolDestOpts, 0, 1, 4, 0, 0, 0, 0, ProtocolUDP, 0, 1, 4, 0, 0, 0, 0}, upper...)
	b := make([]byte, EthernetHeaderLen+IPv6HeaderLen, 200)
	PutEthernet(b, macA, macB, EtherTypeIPv6)
	PutIPv6(b[14:], ProtocolHopByHop, 64, addr6, addr6, len(body))
	b = append(b, body...)
	var l Layers
	if err := l.Parse(b); err != nil || l.Protocol != ProtocolUDP || l.UDP.DstPort() != 2 || l.Src() != addr6 || l.IPv6.HopLimit() != 64 {
		t.Errorf("%s, %v", Summary(b), err)
	}
	if err := l.Parse(b[:14+40+12]); !errors.Is(err, ErrShort) {
		t.Errorf("cut packet: %v", err)
	}
	binary.BigEndian.PutUint16(b[18:], 12) // the second extension header is cut in the middle
	if err := l.Parse(b); !errors.Is(err, ErrShort) {
		t.Errorf("cut extension header: %v", err)
	}
}

func TestImpossibleLengthsAreRefused(t *testing.T) {
	frame := tcpFrame(TCPFields{Flags: TCPAck}, "payload")
	for _, tt := range []struct {
		name string
		at   int
		to   byte
		want error
	}{
		{"IP version 5", 14, 0x55, ErrVersion},
		{"IHL 4", 14, 0x44, ErrLength},
		{"IHL 15 beyond the total length", 14, 0x4f, ErrLength},
		{"total length beyond the frame", 16, 9, ErrShort},
		{"total length below the header", 17, 19, ErrLength},
		{"data offset 4", 14 + 20 + 12, 0x40, ErrLength},
		{"data offset beyond the segment", 14 + 20 + 12, 0xf0, ErrShort},
	} {
		b := bytes.Clone(frame)
		b[tt.at] = tt.to
		var l Layers
		if err := l.Parse(b); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if !strings.Contains(Summary(b), strings.TrimPrefix(tt.want.Error(), "wire: ")) {
			t.Errorf("%s: summary %q hides the error", tt.name, Summary(b))
		}
	}
	b := bytes.Clone(frame)
	b[14+20+4], b[14+7] = 0xff, 1 // fragment offset 8
	var l Layers
	if err := l.Parse(b); err != nil || l.TCP != nil || len(l.Payload) != 27 {
		t.Errorf("a later fragment has no TCP header: %v %v", l.TCP, err)
	}
}

func TestMACNotation(t *testing.T) {
	m, err := ParseMAC("02:00:00:ab:CD:ef")
	if err != nil || m.String() != "02:00:00:ab:cd:ef" || m.IsMulticast() || !BroadcastMAC.IsMulticast() {
		t.Errorf("%v %v", m, err)
	}
	for _, bad := range []string{"", "02:00", "02:00:00:00:00:00:00:01"} {
		if _, err := ParseMAC(bad); err == nil {
			t.Errorf("ParseMAC(%q) succeeded", bad)
		}
	}
}

func TestReadingAndWritingDoNotAllocate(t *testing.T) {
	frame := tcpFrame(TCPFields{SrcPort: 1, DstPort: 2, Flags: TCPAck, Options: synOptions()}, "payload")
	arp := make([]byte, 60)
	PutEthernet(arp, BroadcastMAC, macA, EtherTypeARP)
	PutARP(arp[14:], ARPRequest, macA, addrA, MAC{}, addrB)
	out := make([]byte, 1500)
	options := synOptions()
	solicit := ndFrames()[0]
	var sink int
	got := testing.AllocsPerRun(100, func() {
		var l Layers
		_ = l.Parse(frame)
		o, _ := l.TCP.Options()
		sink += int(o.MSS) + len(o.SACK())
		if !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) || !l.IPv4.ChecksumOK() {
			t.Fatal("checksum")
		}
		l.TCP.SetWindow(uint16(sink))
		l.IPv4.SetID(uint16(sink))
		_ = l.Parse(arp)
		_ = l.ARP.Target()
		_ = l.Parse(solicit)
		n, _ := l.ICMPv6.Neighbor(l.Payload)
		PutNeighbor(out, ICMPv6NeighborAdvert, &n, link6B, link6A)
		_ = l.Parse(frame[:20])
		PutIPv4(out, IPv4Fields{Src: addrA, Dst: addrB, Protocol: ProtocolTCP}, 40)
		PutTCP(out[20:], TCPFields{Options: options}, addrA, addrB, 20)
		PutICMPv4Error(out, ICMPUnreachable, ICMPHostUnreachable, 0, frame[14:])
	})
	if got != 0 {
		t.Errorf("%v allocations a run, want 0", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(tcpFrame(TCPFields{SrcPort: 1, DstPort: 1883, Flags: TCPSyn, Options: synOptions()}, ""))
	f.Add(tcpFrame(TCPFields{Flags: TCPAck | TCPPsh}, "payload"))
	arp := make([]byte, 42)
	PutEthernet(arp, BroadcastMAC, macA, EtherTypeARP)
	PutARP(arp[14:], ARPRequest, macA, addrA, MAC{}, addrB)
	f.Add(arp)
	six := make([]byte, 14+40+8)
	PutEthernet(six, macA, macB, EtherTypeIPv6)
	PutIPv6(six[14:], ProtocolUDP, 64, addr6, addr6, 8)
	PutUDP(six[54:], 1, 2, addr6, addr6, 0)
	f.Add(six)
	for _, frame := range ndFrames() {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := bytes.Clone(frame)
		var l Layers
		err := l.Parse(frame)
		_ = Summary(frame)
		if !bytes.Equal(before, frame) {
			t.Fatal("parsing changed the frame")
		}
		n := len(l.Ethernet) + len(l.ARP) + len(l.IPv4) + len(l.IPv6) + len(l.ICMPv4) + len(l.ICMPv6) + len(l.UDP) + len(l.TCP) + len(l.Payload)
		if n > len(frame) {
			t.Fatalf("layers have %d bytes, the frame %d", n, len(frame))
		}
		if err == nil && l.ICMPv6 != nil {
			checkICMPv6(t, &l)
		}
		if err != nil || l.TCP == nil {
			return
		}
		// What was read can be written again, bit for bit but for the fields that
		// the builder fixes (reserved bits, urgent pointer, checksum).
		o, optErr := l.TCP.Options()
		if optErr == nil && len(o.SACK()) > maxSACKBlocks {
			t.Fatal("too many SACK blocks")
		}
		again := make([]byte, len(l.TCP)+len(l.Payload))
		copy(again[len(l.TCP):], l.Payload)
		PutTCP(again, TCPFields{
			SrcPort: l.TCP.SrcPort(), DstPort: l.TCP.DstPort(), Seq: l.TCP.Seq(), Ack: l.TCP.Ack(),
			Flags: l.TCP.Flags(), Window: l.TCP.Window(), Options: l.TCP.RawOptions(),
		}, l.Src(), l.Dst(), len(l.Payload))
		got, payload, err := ParseTCP(again)
		if err != nil || !got.ChecksumOK(l.Src(), l.Dst(), payload) || !bytes.Equal(payload, l.Payload) {
			t.Fatalf("written again: %v", err)
		}
		want := bytes.Clone(l.TCP)
		want[12] &= 0xf0
		for _, i := range []int{16, 17, 18, 19} {
			want[i] = got[i]
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("% x\nwant\n% x", []byte(got), want)
		}
		l.TCP.SetWindow(^l.TCP.Window())
		l.TCP.UpdateChecksum(l.Src(), l.Dst(), l.Payload)
		l.TCP.SetAck(l.TCP.Ack() + 1)
		if !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
			t.Fatal("repair broke the checksum")
		}
	})
}

func BenchmarkParseTCPFrame(b *testing.B) {
	frame := tcpFrame(TCPFields{Flags: TCPAck}, strings.Repeat("x", 1460))
	b.ReportAllocs()
	var l Layers
	for b.Loop() {
		if l.Parse(frame) != nil {
			b.Fatal("parse")
		}
	}
}

func BenchmarkChecksum1460(b *testing.B) {
	data := make([]byte, 1460)
	b.SetBytes(1460)
	for b.Loop() {
		Checksum(data)
	}
}
