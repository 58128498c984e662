package gateway_test

import (
	"net"
	"net/netip"
	"testing"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/stack"
	"hilnet/stack/gateway"
	"hilnet/trace"
	"hilnet/wire"
)

// A udpBench is a gateway whose neighbour is written by hand, for stack.Host has
// no UDP.
type udpBench struct {
	*bench
	server *stack.Host
	got    []wire.Layers // datagrams and ICMP messages
}

func newUDPBench(t *testing.T, target string, change func(*gateway.Config)) *udpBench {
	t.Helper()
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		t.Fatal(err)
	}
	b := &udpBench{bench: &bench{T: t, loop: sim.NewLoop(sim.Config{Pacer: pacer})}}
	log := trace.NewLog(b.loop.Now)
	log.Subscribe(func(e *trace.Event) { b.events = append(b.events, *e) })
	device := wire.MAC{2, 0, 0, 0, 0, 2}
	b.server, err = stack.New(b.loop, log, stack.Config{
		Node: "broker", MAC: wire.MAC{2, 0, 0, 0, 0, 1}, Addr: netip.PrefixFrom(gatewayAt.Addr(), 24),
	}, link.SinkFunc(func(f *link.Frame) {
		var l wire.Layers
		data := append([]byte(nil), f.Data...)
		f.Release()
		if err := l.Parse(data); err != nil {
			t.Error(err)
		}
		if l.ARP != nil && l.ARP.Operation() == wire.ARPRequest {
			answer := link.NewFrame(wire.EthernetHeaderLen + wire.ARPLen)
			wire.PutEthernet(answer.Data, l.Ethernet.Src(), device, wire.EtherTypeARP)
			wire.PutARP(answer.Data[wire.EthernetHeaderLen:], wire.ARPReply, device, deviceNet.Addr(), l.Ethernet.Src(), gatewayAt.Addr())
			b.loop.After(0, func() { b.server.Put(answer) })
			return
		}
		b.got = append(b.got, l)
	}))
	if err != nil {
		t.Fatal(err)
	}
	cfg := gateway.Config{Loop: b.loop, Trace: log, Host: b.server, Node: "broker", To: target, Port: gatewayAt.Port()}
	if change != nil {
		change(&cfg)
	}
	if b.gw, err = gateway.New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := b.loop.StartPacer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.gw.Close(); err != nil {
			t.Error(err)
		}
		b.server.Close()
		if err := b.loop.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// send sends a datagram of the device.
func (b *udpBench) send(from uint16, to netip.AddrPort, payload string) {
	n := wire.UDPHeaderLen + len(payload)
	f := link.NewFrame(wire.EthernetHeaderLen + wire.IPv4HeaderLen + n)
	ip := f.Data[wire.EthernetHeaderLen:]
	copy(ip[wire.IPv4HeaderLen+wire.UDPHeaderLen:], payload)
	wire.PutUDP(ip[wire.IPv4HeaderLen:], from, to.Port(), deviceNet.Addr(), to.Addr(), len(payload))
	wire.PutIPv4(ip, wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolUDP, Src: deviceNet.Addr(), Dst: to.Addr()}, n)
	wire.PutEthernet(f.Data, wire.MAC{2, 0, 0, 0, 0, 1}, wire.MAC{2, 0, 0, 0, 0, 2}, wire.EtherTypeIPv4)
	b.loop.After(0, func() { b.server.Put(f) })
}

// A datagram reaches the machine's socket, and its answer comes back to the port
// that asked, from the address that was asked.
func TestDatagramsPassAndAreAnswered(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		buf := make([]byte, 100)
		for {
			n, from, err := c.ReadFromUDP(buf)
			if err != nil {
				return
			}
			if _, err := c.WriteToUDP(append([]byte("re: "), buf[:n]...), from); err != nil {
				t.Error(err)
			}
		}
	}()
	defer func() { _ = c.Close(); <-answered }()
	b := newUDPBench(t, c.LocalAddr().String(), nil)
	b.send(4000, gatewayAt, "one")
	b.send(4001, gatewayAt, "two")
	b.run("two answers", func() bool { return len(b.got) == 2 })
	seen := map[uint16]string{}
	for _, l := range b.got {
		if l.UDP == nil || l.UDP.SrcPort() != gatewayAt.Port() || !l.UDP.ChecksumOK(l.Src(), l.Dst(), l.Payload) || l.Src() != gatewayAt.Addr() {
			t.Errorf("%+v", l)
			continue
		}
		seen[l.UDP.DstPort()] = string(l.Payload)
	}
	if seen[4000] != "re: one" || seen[4001] != "re: two" {
		t.Errorf("%v", seen)
	}
	if n := b.gw.Counters(); n.Flows != 2 || n.Datagrams != 2 || n.DatagramsBack != 2 {
		t.Errorf("%+v", n)
	}
}

// A datagram that nobody takes is answered by ICMP: port unreachable where the
// machine says so, prohibited where the gateway does.
func TestDatagramsThatGoNowhereAreAnsweredByICMP(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	nobody := c.LocalAddr().String()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	b := newUDPBench(t, nobody, nil)
	b.send(4000, gatewayAt, "one")
	b.run("the refusal", func() bool { return len(b.got) == 1 })
	b.send(4000, netip.MustParseAddrPort("192.0.2.1:53"), "two")
	b.run("the prohibition", func() bool { return len(b.got) == 2 })
	for i, want := range []uint8{wire.ICMPPortUnreachable, wire.ICMPAdminProhibited} {
		l := b.got[i]
		if l.ICMPv4 == nil || l.ICMPv4.Type() != wire.ICMPUnreachable || l.ICMPv4.Code() != want || !l.ICMPv4.ChecksumOK(l.Payload) {
			t.Errorf("answer %d: %+v", i, l)
		}
	}
	if b.dropped(trace.DropGatewayRefused) != 1 || b.dropped(trace.DropGatewayProhibited) != 1 {
		t.Error(b.story())
	}
}

// There are so many flows, and no more.
func TestFlowsAreLimited(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := newUDPBench(t, c.LocalAddr().String(), nil)
	for i := range gateway.MaxFlows + 5 {
		b.send(uint16(2000+i), gatewayAt, "x")
	}
	b.run("the limit", func() bool {
		return b.gw.Counters().Flows+uint64(b.dropped(trace.DropGatewayLimit)) == gateway.MaxFlows+5
	})
	if n := b.gw.Counters(); n.Flows != gateway.MaxFlows || b.dropped(trace.DropGatewayLimit) != 5 {
		t.Errorf("%+v, %d refused", n, b.dropped(trace.DropGatewayLimit))
	}
}
