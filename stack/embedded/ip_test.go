package embedded

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// ipFrame builds a frame with any IP payload; more and offset make it a fragment.
func ipFrame(protocol uint8, ttl uint8, id uint16, offset int, more bool, payload []byte) []byte {
	b := make([]byte, 34+len(payload))
	wire.PutEthernet(b, deviceMAC, hostMAC, wire.EtherTypeIPv4)
	wire.PutIPv4(b[14:], wire.IPv4Fields{ID: id, TTL: ttl, Protocol: protocol, Src: hostAddr, Dst: deviceAddr}, len(payload))
	copy(b[34:], payload)
	b[20], b[21] = byte(offset/8>>8), byte(offset/8)
	if more {
		b[20] |= 0x20
	}
	wire.IPv4(b[14:34]).UpdateChecksum()
	return b
}

func echo(typ uint8, seq uint16, data string) []byte {
	b := make([]byte, wire.ICMPHeaderLen+len(data))
	wire.PutICMPv4Echo(b, typ, 7, seq, []byte(data))
	return b
}

func udpPayload(from, to uint16, data string) []byte {
	b := append(make([]byte, wire.UDPHeaderLen), data...)
	wire.PutUDP(b, from, to, hostAddr, deviceAddr, len(data))
	return b
}

func TestEchoIsAnsweredInItsOwnPacket(t *testing.T) {
	d := newDevice(t, deviceConfig{payload: 256, packets: 5})
	data := strings.Repeat("abcdefg", 140) // 5 packets
	d.at(1, func() { d.deliver(ipFrame(wire.ProtocolICMP, 64, 9, 0, false, echo(wire.ICMPEchoRequest, 3, data))) })
	d.run(2)
	d.want("1 ICMP 10.50.0.2 > 10.50.0.1 type=0 code=0 id=7 seq=3 len=980")
	var l wire.Layers
	if err := l.Parse(d.raw[0]); err != nil || l.IPv4.TTL() != 128 || l.IPv4.DontFragment() || l.IPv4.ID() != 1 ||
		!l.ICMPv4.ChecksumOK(l.Payload) || string(l.Payload) != data {
		t.Errorf("%s, %v", wire.Summary(d.raw[0]), err)
	}
	d.wantFree(5)
}

func TestPingWaitsForItsReply(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	d.onSend = func(l *wire.Layers) { // answers the second only, within the call
		if l.ICMPv4 != nil && l.ICMPv4.EchoSeq() == 1 {
			d.deliver(ipFrame(wire.ProtocolICMP, 64, 9, 0, false, echo(wire.ICMPEchoReply, 1, string(l.Payload))))
		}
	}
	d.thread(func(*rtos.Thread) {
		_, status := d.ip.Ping(hostAddr, []byte("zero"), 50)
		d.say("0x%x", uint32(status))
		p, status := d.ip.Ping(hostAddr, []byte("one"), 50)
		d.say("%q %v", p.AppendTo(nil), status)
		p.Release()
		_, status = d.ip.Ping(netip.MustParseAddr("192.0.2.1"), nil, 50)
		d.say("%v", status)
		_, status = d.ip.Ping(hostAddr, []byte("two"), rtos.NoWait)
		d.say("0x%x", uint32(status))
	})
	d.run(1000)
	d.want("0 ICMP 10.50.0.2 > 10.50.0.1 type=8 code=0 id=2 seq=0 len=4", "500 0x29",
		"500 ICMP 10.50.0.2 > 10.50.0.1 type=8 code=0 id=2 seq=1 len=3", `500 "one" NX_SUCCESS`, "500 NX_IP_ADDRESS_ERROR",
		"500 ICMP 10.50.0.2 > 10.50.0.1 type=8 code=0 id=2 seq=2 len=3", "500 0x29")
	d.wantFree(32)
}

func TestDatagramsThatAreNotTakenAreDroppedWithAReason(t *testing.T) {
	good := ipFrame(wire.ProtocolICMP, 64, 1, 0, false, echo(wire.ICMPEchoRequest, 1, "hello"))
	change := func(at int, to byte, repair bool) []byte {
		b := bytes.Clone(good)
		b[at] = to
		if repair {
			wire.IPv4(b[14:34]).UpdateChecksum()
		}
		return b
	}
	for what, tt := range map[string]struct {
		frame  []byte
		reason trace.DropReason
	}{
		"another host's frame":    {change(5, 77, false), trace.DropNotForUs},
		"IPv6":                    {change(12, 0x86, false), trace.DropUnknown},
		"version":                 {change(14, 0x55, false), trace.DropMalformed},
		"IHL":                     {change(14, 0x44, false), trace.DropMalformed},
		"length":                  {change(16, 9, false), trace.DropMalformed},
		"IP checksum":             {change(22, 9, false), trace.DropChecksum},
		"another host's datagram": {change(33, 99, true), trace.DropNotForUs},
		"ICMP checksum":           {change(45, 'x', false), trace.DropChecksum},
		"ICMP type":               {ipFrame(wire.ProtocolICMP, 64, 1, 0, false, echo(13, 1, "")), trace.DropUnknown},
		"reply not asked for":     {ipFrame(wire.ProtocolICMP, 64, 1, 0, false, echo(wire.ICMPEchoReply, 1, "")), trace.DropNoPort},
		"short ICMP":              {ipFrame(wire.ProtocolICMP, 64, 1, 0, false, []byte{8, 0}), trace.DropMalformed},
		"short TCP":               {ipFrame(wire.ProtocolTCP, 64, 1, 0, false, make([]byte, 19)), trace.DropMalformed},
		"TCP checksum":            {ipFrame(wire.ProtocolTCP, 64, 1, 0, false, bytes.Repeat([]byte{0x50}, 20)), trace.DropChecksum},
		"short UDP":               {ipFrame(wire.ProtocolUDP, 64, 1, 0, false, make([]byte, 7)), trace.DropMalformed},
		"UDP checksum":            {ipFrame(wire.ProtocolUDP, 64, 1, 0, false, []byte{0, 1, 0, 2, 0, 8, 1, 1}), trace.DropChecksum},
		"two bytes":               {good[:2], trace.DropMalformed},
	} {
		d := newDevice(t, deviceConfig{})
		d.at(1, func() { d.deliver(tt.frame) })
		d.run(2)
		if !slices.Equal(d.drops, []trace.DropReason{tt.reason}) {
			t.Errorf("%s: drops %v, want %s", what, d.drops, tt.reason)
		}
		if d.frames != 0 {
			t.Errorf("%s: answered with %q", what, d.lines)
		}
		d.wantFree(32)
	}
}

func TestPaddingGivesItsPacketsBack(t *testing.T) {
	d := newDevice(t, deviceConfig{payload: 128, packets: 4})
	s := d.socket()
	d.at(0, func() { s.Connect(broker, rtos.NoWait) })
	d.at(1, func() { d.host(synAck, 0, 1, 5000, "") })
	d.at(2, func() {
		d.deliver(append(d.hostTCP(pushAck, 1, 1, 5000, nil, []byte("abc")), make([]byte, 300)...)) // 3 packets
		d.wantFree(3)
		if got := d.read(s); got != "abc" {
			t.Errorf("read %q", got)
		}
	})
	d.run(3)
	d.wantFree(4)
}

func TestIPOptionsAreSkipped(t *testing.T) {
	frame := ipFrame(wire.ProtocolICMP, 64, 1, 0, false, append([]byte{1, 1, 1, 0}, echo(wire.ICMPEchoRequest, 1, "hello")...))
	frame[14] = 0x46
	wire.IPv4(frame[14:38]).UpdateChecksum()
	d := newDevice(t, deviceConfig{})
	d.deliver(frame)
	d.run(1)
	d.want("0 ICMP 10.50.0.2 > 10.50.0.1 type=0 code=0 id=7 seq=1 len=5")
}

func TestUnreachableProtocolAndPort(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	d.at(1, func() { d.deliver(ipFrame(132, 64, 77, 0, false, []byte("sctp sctp sctp"))) })
	d.at(2, func() { d.deliver(ipFrame(wire.ProtocolUDP, 64, 78, 0, false, udpPayload(1000, 2000, "datagram"))) })
	d.at(3, func() { // not for a broadcast
		b := ipFrame(wire.ProtocolUDP, 64, 79, 0, false, udpPayload(1000, 2000, ""))
		copy(b[30:34], []byte{10, 50, 0, 255})
		b[40], b[41] = 0, 0
		wire.IPv4(b[14:34]).UpdateChecksum()
		d.deliver(b)
	})
	d.run(4)
	d.want("1 ICMP 10.50.0.2 > 10.50.0.1 type=3 code=2 id=0 seq=0 len=28", "2 ICMP 10.50.0.2 > 10.50.0.1 type=3 code=3 id=0 seq=0 len=28")
	var l wire.Layers
	if err := l.Parse(d.raw[1]); err != nil || l.IPv4.TTL() != 255 || !l.ICMPv4.ChecksumOK(l.Payload) {
		t.Errorf("%s %v", wire.Summary(d.raw[1]), err)
	}
	if quoted, _, err := wire.ParseUDP(append(bytes.Clone(l.Payload[20:]), make([]byte, 8)...)); err != nil || quoted.DstPort() != 2000 {
		t.Errorf("quoted % x", l.Payload)
	}
	d.wantFree(32)
}

// fragments cuts a UDP datagram into pieces of 600 bytes.
func fragments(id uint16, ttl uint8, datagram []byte) [][]byte {
	var all [][]byte
	for at := 0; at < len(datagram); at += 600 {
		end := min(at+600, len(datagram))
		all = append(all, ipFrame(wire.ProtocolUDP, ttl, id, at, end < len(datagram), datagram[at:end]))
	}
	return all
}

func TestFragmentsAreAssembledInAnyOrder(t *testing.T) {
	text := strings.Repeat("0123456789", 170)
	f := fragments(5, 64, udpPayload(1000, 2000, text))
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 1, 2, 0}, {2, 2, 0, 0, 1}} {
		d := newDevice(t, deviceConfig{payload: 256, packets: 20})
		u := d.ip.NewUDPSocket(UDPConfig{})
		u.Bind(2000)
		for _, i := range order {
			d.deliver(f[i])
		}
		p, from, status := u.Receive(rtos.NoWait)
		if status != nic.Success || from.Port() != 1000 || string(p.AppendTo(nil)) != text {
			t.Fatalf("order %v: %v", order, status)
		}
		d.wantFree(20 - p.Packets())
		p.Release()
		d.run(1)
		d.wantFree(20)
	}
}

func TestFragmentsWaitForTheirTTLAndAreThenReported(t *testing.T) {
	for _, tt := range []struct {
		ttl   uint8
		ends  float64 // slow ticks: the time, and one that sees it at 0
		first int     // fragment that came
	}{{5, 16_000, 0}, {64, 65_000, 0}, {5, 16_000, 1}} {
		d := newDevice(t, deviceConfig{})
		f := fragments(5, tt.ttl, udpPayload(1, 2, strings.Repeat("x", 1500)))
		d.at(0.5, func() { d.deliver(f[tt.first]) })
		d.run(tt.ends - 1)
		d.wantFree(31)
		if held := d.ip.Holdings(); !slices.Equal(held, []Holding{{reassemblyHolder, 1}}) {
			t.Errorf("holdings %v", held)
		}
		d.run(tt.ends)
		d.wantFree(32)
		if want := map[int]int{0: 1, 1: 0}[tt.first]; d.frames != want {
			t.Errorf("TTL %d, fragment %d: %d ICMP errors, want %d: %q", tt.ttl, tt.first, d.frames, want, d.lines)
		}
		if !slices.Equal(d.drops, []trace.DropReason{DropReassembly}) {
			t.Errorf("drops %v", d.drops)
		}
	}
}

func TestLongestTTLOfTheFragmentsCounts(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	datagram := udpPayload(1, 2, strings.Repeat("x", 1700))
	d.at(0.5, func() {
		d.deliver(fragments(5, 20, datagram)[0])
		d.deliver(fragments(5, 40, datagram)[1])
	})
	d.run(40_000)
	d.wantFree(30)
	d.run(41_000)
	d.wantFree(32)
}

func TestHostileFragments(t *testing.T) {
	p := NetXDuo()
	p.IP.ReassemblyLimit = 4
	d := newDevice(t, deviceConfig{profile: p})
	piece := make([]byte, 16)
	d.deliver(ipFrame(wire.ProtocolUDP, 1, 1, 0, true, piece[:12]))        // not a multiple of 8
	d.deliver(ipFrame(wire.ProtocolUDP, 1, 1, 65528, false, piece))        // beyond 65,535 bytes
	d.deliver(ipFrame(wire.ProtocolUDP, 1, 2, 0, true, piece))             // overlapping ones
	d.deliver(ipFrame(wire.ProtocolUDP, 1, 2, 8, false, piece))            // are never complete
	d.deliver(ipFrame(wire.ProtocolUDP, 1, 3, 0, true, piece))             // two more are held
	d.deliver(ipFrame(wire.ProtocolUDP, 1, 4, 0, true, piece))             //
	d.deliver(ipFrame(wire.ProtocolUDP, 1, 5, 0, true, piece))             // and this one is too much
	d.deliver(ipFrame(wire.ProtocolUDP, 1, 6, 24, false, piece[:8]))       // so is this
	d.deliver(ipFrame(wire.ProtocolICMP, 1, 2, 16, false, []byte("xxxx"))) // another protocol, another datagram
	d.run(1)
	want := []trace.DropReason{trace.DropMalformed, trace.DropMalformed, trace.DropQueueFull, trace.DropQueueFull, trace.DropQueueFull}
	if !slices.Equal(d.drops, want) {
		t.Errorf("drops %v, want %v", d.drops, want)
	}
	d.wantFree(28)
	d.run(20_000)
	d.wantFree(32)
}

func TestStackWithoutReassembly(t *testing.T) {
	p := NetXDuo()
	p.IP.Reassembly = 0
	d := newDevice(t, deviceConfig{profile: p})
	d.deliver(ipFrame(wire.ProtocolUDP, 64, 1, 0, true, make([]byte, 16)))
	d.run(1)
	d.wantFree(32)
}

func TestUDPBothWays(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	u := d.ip.NewUDPSocket(UDPConfig{})
	if status := u.Bind(0); status != nic.Success || u.Port() < 0xC000 {
		t.Fatalf("bind: %v, port %d", status, u.Port())
	}
	notified := 0
	u.ReceiveNotify(func() { notified++ })
	peer := netip.AddrPortFrom(hostAddr, 123)
	d.thread(func(*rtos.Thread) {
		_, _, status := u.Receive(5)
		d.say("%v", status)
		p, from, status := u.Receive(100)
		d.say("%q from %v %v", p.AppendTo(nil), from, status)
		p.Release()
		out, _ := d.pool.Allocate(nic.UDP, rtos.NoWait)
		out.Append([]byte("question"), d.pool, rtos.NoWait)
		d.say("%v", u.Send(out, peer))
		_, _, status = u.Receive(rtos.WaitForever)
		d.say("%v", status)
	})
	d.at(70, func() { d.deliver(ipFrame(wire.ProtocolUDP, 64, 1, 0, false, udpPayload(123, u.Port(), "answer"))) })
	d.at(90, func() { u.Unbind() })
	d.run(100)
	d.want("50 NX_NO_PACKET", `70 "answer" from 10.50.0.1:123 NX_SUCCESS`,
		"70 UDP 10.50.0.2:50000 > 10.50.0.1:123 len=8", "70 NX_SUCCESS", "90 NX_NO_PACKET")
	var l wire.Layers
	if err := l.Parse(d.raw[0]); err != nil || !l.UDP.ChecksumOK(l.Src(), l.Dst(), l.Payload[:8]) || l.IPv4.TTL() != 128 || l.IPv4.DontFragment() {
		t.Errorf("%s %v", wire.Summary(d.raw[0]), err)
	}
	if notified != 1 {
		t.Errorf("notified %d times", notified)
	}
	d.wantFree(32)
}

func TestUDPQueueDropsItsOldest(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	u := d.ip.NewUDPSocket(UDPConfig{Queue: 2})
	u.Bind(2000)
	if status := d.ip.NewUDPSocket(UDPConfig{}).Bind(2000); status != nic.PortUnavailable {
		t.Errorf("second socket on the port: %v", status)
	}
	for _, text := range []string{"a", "b", "c"} {
		d.deliver(ipFrame(wire.ProtocolUDP, 64, 1, 0, false, udpPayload(1, 2000, text)))
	}
	d.run(1)
	p, _, _ := u.Receive(rtos.NoWait)
	if string(p.Bytes()) != "b" || !slices.Equal(d.drops, []trace.DropReason{DropUDPQueue}) {
		t.Errorf("first %q, drops %v", p.Bytes(), d.drops)
	}
	p.Release()
	u.Unbind()
	d.wantFree(32)
}

func TestUDPStatusAndBroadcast(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	u := d.ip.NewUDPSocket(UDPConfig{})
	p, _ := d.pool.Allocate(nic.UDP, rtos.NoWait)
	p.Append([]byte("x"), d.pool, rtos.NoWait)
	to := netip.AddrPortFrom(netip.MustParseAddr("255.255.255.255"), 67)
	for _, tt := range []struct {
		got, want nic.Status
	}{
		{u.Send(p, to), nic.NotBound}, {u.Unbind(), nic.NotBound}, {u.Bind(68), nic.Success}, {u.Bind(69), nic.AlreadyBound},
		{u.Send(p, netip.MustParseAddrPort("192.0.2.1:5")), nic.IPAddressError},
		{u.Send(p, netip.AddrPortFrom(hostAddr, 0)), nic.InvalidPort}, {u.Send(p, to), nic.Success},
	} {
		if tt.got != tt.want {
			t.Errorf("%v, want %v", tt.got, tt.want)
		}
	}
	d.run(1)
	if dst := wire.Ethernet(d.raw[0][:14]).Dst(); dst != wire.BroadcastMAC {
		t.Errorf("broadcast sent to %v", dst)
	}
	q, _ := d.pool.Allocate(nic.UDP, rtos.NoWait)
	q.Append(make([]byte, 1473), d.pool, rtos.NoWait)
	u.Send(q, netip.AddrPortFrom(netip.MustParseAddr("224.0.0.251"), 5353))
	if !slices.Equal(d.drops, []trace.DropReason{trace.DropTooLong}) {
		t.Errorf("drops %v", d.drops)
	}
	d.wantFree(32)
}
