package segment_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/replay/segment"
	"hilnet/sim"
	"hilnet/stack"
	"hilnet/wire"
)

// Of a window in which several segments are lost, with SACK exactly these go out again,
// and long before the time-out; without it the time-out is needed.
func TestSACKRepairsEachHoleOnceAndSoon(t *testing.T) {
	for _, sack := range []bool{true, false} {
		b := newBench(t)
		facts := facts
		facts.SACK, facts.Window = sack, 60000
		lost := map[int]bool{3: true, 5: true, 8: true} // of the first sixteen with data, the first time
		b.lose = func(up bool, _ int) bool {
			if n := len(b.sizes); up && lost[n] {
				delete(lost, n)
				return true
			}
			return false
		}
		sent := pattern(16 * 500)
		var sizes []int
		for range 16 {
			sizes = append(sizes, 500)
		}
		var got []byte
		done := sim.Time(0)
		if _, err := b.peer.Listen(1883, 0, func(c *stack.Conn) {
			c.OnData(func(p []byte) {
				if got = append(got, p...); len(got) == len(sent) {
					done = b.loop.Now()
				}
			})
		}); err != nil {
			t.Fatal(err)
		}
		b.loop.At(0, func() {
			var c *segment.Conn
			c = b.host.Dial(netip.AddrPortFrom(theirs.Addr(), 1883), facts, &segment.Events{
				Connected: func() { c.Write(sent, sizes) }, Data: func([]byte) {}, Closed: func(error) {},
			})
		})
		if err := b.loop.Run(sim.Time(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		again := b.host.Stats().Retransmitted
		if !bytes.Equal(got, sent) || b.bad > 0 || len(lost) > 0 {
			t.Errorf("SACK %v: %d bytes, %d bad, %v not lost", sack, len(got), b.bad, lost)
		}
		if soon := done < sim.Time(150*time.Millisecond); soon != sack || sack && again != 3 {
			t.Errorf("SACK %v: done at %v, %d segments again", sack, done, again)
		}
	}
}

// What lies behind holes is told: the block with the newest segment first, and nothing
// that is acknowledged.
func TestSACKBlocksTellWhatLiesBehindHoles(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	var out []wire.TCPOptions
	var acks []uint32
	var iss, number uint32
	ourMAC, theirMAC := wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 1}
	host, err := segment.NewHost(segment.HostConfig{Loop: loop, MAC: ourMAC, Addr: ours, Out: link.SinkFunc(func(f *link.Frame) {
		var l wire.Layers
		if err := l.Parse(f.Data); err == nil && l.TCP != nil {
			o, err := l.TCP.Options()
			if err != nil {
				t.Error(err)
			}
			if iss == 0 {
				iss = l.TCP.Seq()
			}
			out, acks = append(out, o), append(acks, l.TCP.Ack())
		}
		f.Release()
	})})
	if err != nil {
		t.Fatal(err)
	}
	send := func(flags wire.TCPFlags, seq uint32, options []byte, n int) {
		const head = wire.EthernetHeaderLen + wire.IPv4HeaderLen
		size := wire.TCPHeaderLen + len(options) + n
		f := link.NewFrame(head + size)
		clear(f.Data)
		wire.PutTCP(f.Data[head:], wire.TCPFields{SrcPort: 5000, DstPort: 1883, Seq: seq, Ack: number, Flags: flags, Window: 9000, Options: options}, theirs.Addr(), ours.Addr(), n)
		wire.PutIPv4(f.Data[wire.EthernetHeaderLen:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: theirs.Addr(), Dst: ours.Addr()}, size)
		wire.PutEthernet(f.Data, ourMAC, theirMAC, wire.EtherTypeIPv4)
		host.Put(f)
	}
	arp := link.NewFrame(60)
	clear(arp.Data)
	wire.PutEthernet(arp.Data, ourMAC, theirMAC, wire.EtherTypeARP)
	wire.PutARP(arp.Data[wire.EthernetHeaderLen:], wire.ARPRequest, theirMAC, theirs.Addr(), wire.MAC{}, ours.Addr())
	host.Put(arp)
	var got int
	if err := host.Listen(1883, func() segment.Facts { return segment.Facts{WindowScale: -1, SACK: true} }, func(*segment.Conn) *segment.Events {
		return &segment.Events{Data: func(p []byte) { got += len(p) }, Closed: func(error) {}}
	}); err != nil {
		t.Fatal(err)
	}
	send(wire.TCPSyn, 999, wire.AppendSACKPermitted(nil), 0)
	if len(out) != 1 || !out[0].SACKPermitted {
		t.Fatalf("%+v", out)
	}
	send(wire.TCPAck|wire.TCPPsh, 1000, nil, 10) // acknowledges what was never sent
	if got != 0 || len(out) != 1 {
		t.Fatalf("%d bytes were taken before the connection was there", got)
	}
	number = iss + 1
	for _, step := range []struct {
		seq  uint32
		n    int
		ack  uint32
		want []wire.SACKBlock
	}{
		{1100, 100, 1000, []wire.SACKBlock{{Start: 1100, End: 1200}}},
		{1300, 100, 1000, []wire.SACKBlock{{Start: 1300, End: 1400}, {Start: 1100, End: 1200}}},
		{1200, 100, 1000, []wire.SACKBlock{{Start: 1100, End: 1400}}},
		{1600, 50, 1000, []wire.SACKBlock{{Start: 1600, End: 1650}, {Start: 1100, End: 1400}}},
		{1000, 100, 1400, []wire.SACKBlock{{Start: 1600, End: 1650}}},
		{1400, 200, 1650, nil},
	} {
		send(wire.TCPAck|wire.TCPPsh, step.seq, nil, step.n)
		last, at := out[len(out)-1], acks[len(acks)-1]
		if have := last.SACK(); at != step.ack || len(have) != len(step.want) {
			t.Fatalf("behind %d: acknowledged %d, blocks %v, want %d and %v", step.seq, at, have, step.ack, step.want)
		} else {
			for i := range have {
				if have[i] != step.want[i] {
					t.Errorf("behind %d: blocks %v, want %v", step.seq, have, step.want)
				}
			}
		}
	}
	if got != 650 {
		t.Errorf("%d bytes came out", got)
	}
}
