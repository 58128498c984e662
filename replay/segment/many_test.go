package segment_test

import (
	"runtime"
	"testing"

	"hilnet/link"
	"hilnet/replay/segment"
	"hilnet/sim"
	"hilnet/wire"
)

// Connections that were reset take no room from those that come later, and no memory
// without end, be they from one port or from many.
func TestConnectionsThatWereResetMakeRoom(t *testing.T) {
	for _, ports := range []int{1, 30_000} {
		loop := sim.NewLoop(sim.Config{})
		defer loop.Close()
		answers := 0
		host, err := segment.NewHost(segment.HostConfig{Loop: loop, Node: "player", MAC: wire.MAC{2, 0, 0, 0, 0, 2}, Addr: ours, Out: link.SinkFunc(func(f *link.Frame) {
			var l wire.Layers
			if err := l.Parse(f.Data); err == nil && l.TCP != nil && l.TCP.Has(wire.TCPSyn) {
				answers++
			}
			f.Release()
		})})
		if err != nil {
			t.Fatal(err)
		}
		defer host.Close()
		if err := host.Listen(1883, func() segment.Facts { return segment.Facts{} }, func(*segment.Conn) *segment.Events { return nil }); err != nil {
			t.Fatal(err)
		}
		put := func(tcp wire.TCPFields) {
			const head = wire.EthernetHeaderLen + wire.IPv4HeaderLen
			f := link.NewFrame(head + wire.TCPHeaderLen)
			wire.PutEthernet(f.Data, wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 1}, wire.EtherTypeIPv4)
			wire.PutTCP(f.Data[head:], tcp, theirs.Addr(), ours.Addr(), 0)
			wire.PutIPv4(f.Data[wire.EthernetHeaderLen:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: theirs.Addr(), Dst: ours.Addr()}, wire.TCPHeaderLen)
			host.Put(f)
		}
		arp := link.NewFrame(60)
		clear(arp.Data)
		wire.PutEthernet(arp.Data, wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 1}, wire.EtherTypeARP)
		wire.PutARP(arp.Data[wire.EthernetHeaderLen:], wire.ARPReply, wire.MAC{2, 0, 0, 0, 0, 1}, theirs.Addr(), wire.MAC{2, 0, 0, 0, 0, 2}, ours.Addr())
		host.Put(arp)
		const attempts = 100_000
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range attempts {
			from := uint16(1024 + i%ports)
			put(wire.TCPFields{SrcPort: from, DstPort: 1883, Seq: uint32(i), Flags: wire.TCPSyn, Window: 1000})
			put(wire.TCPFields{SrcPort: from, DstPort: 1883, Seq: uint32(i) + 1, Flags: wire.TCPRst})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 24<<20 {
			t.Errorf("%d ports: %d bytes are held", ports, grown)
		}
		answers = 0
		put(wire.TCPFields{SrcPort: 60_000, DstPort: 1883, Flags: wire.TCPSyn, Window: 1000})
		if answers != 1 {
			t.Errorf("%d ports: %d answers to another client", ports, answers)
		}
	}
}
