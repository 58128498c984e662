package segment_test

import (
	"net/netip"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/replay/segment"
	"hilnet/sim"
	"hilnet/wire"
)

// lonely is a host whose frames nobody answers.
func lonely(t *testing.T) *segment.Host {
	t.Helper()
	loop := sim.NewLoop(sim.Config{})
	t.Cleanup(func() { loop.Close() })
	host, err := segment.NewHost(segment.HostConfig{Loop: loop, Node: "player", MAC: wire.MAC{2, 0, 0, 0, 0, 2}, Addr: ours,
		Out: link.SinkFunc(func(f *link.Frame) { f.Release() })})
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func put(host *segment.Host, from netip.Addr, tcp wire.TCPFields, payload int) {
	const head = wire.EthernetHeaderLen + wire.IPv4HeaderLen
	f := link.NewFrame(head + wire.TCPHeaderLen + payload)
	clear(f.Data)
	wire.PutEthernet(f.Data, wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 1}, wire.EtherTypeIPv4)
	wire.PutTCP(f.Data[head:], tcp, from, ours.Addr(), payload)
	wire.PutIPv4(f.Data[wire.EthernetHeaderLen:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: from, Dst: ours.Addr()}, wire.TCPHeaderLen+payload)
	host.Put(f)
}

// Every frame that never goes out is counted: those that waited for an address of which
// there were too many, those that wait until the end, and those for which there is no way.
func TestFramesThatNeverGoOutAreCounted(t *testing.T) {
	host := lonely(t)
	for i := range 20 { // each is answered with RST, to a neighbour that does not answer ARP
		put(host, theirs.Addr(), wire.TCPFields{SrcPort: uint16(1000 + i), DstPort: 1, Flags: wire.TCPSyn}, 0)
	}
	for range 3 { // RST to somewhere else, without a gateway
		put(host, netip.MustParseAddr("192.0.2.9"), wire.TCPFields{SrcPort: 1000, DstPort: 1, Flags: wire.TCPSyn}, 0)
	}
	want := segment.Drops{WaitingFull: 4, NoAnswer: 16, NoWay: 3}
	if s := host.Stats(); s.Drops != want || s.Sent != 23 {
		t.Errorf("%+v", s)
	}
	host.Close()
	if s := host.Stats(); s.Drops != want {
		t.Errorf("when it is closed: %+v", s)
	}
}

// Segments behind a hole of which there are too many, and those beyond the window, are
// counted; one that comes again is none of them.
func TestSegmentsThatAreNotKeptAreCounted(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	var answer uint32
	arp := link.NewFrame(60)
	clear(arp.Data)
	wire.PutEthernet(arp.Data, wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 1}, wire.EtherTypeARP)
	wire.PutARP(arp.Data[wire.EthernetHeaderLen:], wire.ARPReply, wire.MAC{2, 0, 0, 0, 0, 1}, theirs.Addr(), wire.MAC{2, 0, 0, 0, 0, 2}, ours.Addr())
	host, err := segment.NewHost(segment.HostConfig{Loop: loop, Node: "player", MAC: wire.MAC{2, 0, 0, 0, 0, 2}, Addr: ours, Out: link.SinkFunc(func(f *link.Frame) {
		var l wire.Layers
		if err := l.Parse(f.Data); err == nil && l.TCP != nil && l.TCP.Has(wire.TCPSyn) {
			answer = l.TCP.Seq() + 1
		}
		f.Release()
	})})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if err := host.Listen(1883, func() segment.Facts { return segment.Facts{} }, func(*segment.Conn) *segment.Events {
		return &segment.Events{Data: func([]byte) {}, Closed: func(error) {}}
	}); err != nil {
		t.Fatal(err)
	}
	host.Put(arp)
	send := func(seq uint32, payload int) {
		put(host, theirs.Addr(), wire.TCPFields{SrcPort: 5000, DstPort: 1883, Seq: seq, Ack: answer, Flags: wire.TCPAck, Window: 1000}, payload)
	}
	put(host, theirs.Addr(), wire.TCPFields{SrcPort: 5000, DstPort: 1883, Seq: 99, Flags: wire.TCPSyn, Window: 1000}, 0)
	send(100, 0)
	for i := range 300 {
		send(uint32(110+10*i), 10)
	}
	send(110, 10)         // known
	send(100+70_000, 10)  // the window is 65,535
	send(100+170_000, 10) // as well
	if err := loop.Run(sim.Time(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if s := host.Stats(); s.Drops != (segment.Drops{PiecesFull: 300 - 256, BeyondRoom: 2}) {
		t.Errorf("%+v", s)
	}
}
