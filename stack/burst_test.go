package stack

import (
	"net/netip"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// A burst leaves at one moment of virtual time. Over links that lose nothing no
// burst is sent twice, however slow they are, and a link without delay does not
// keep the run at one moment for ever: RACK would see to both.
func TestBurstsAreSentOnce(t *testing.T) {
	const probe = 1460 // one segment, when the first burst takes longer than two of its round trips
	for _, c := range []struct {
		name string
		way  link.DirectionConfig
	}{
		{"no delay", link.DirectionConfig{}},
		{"no delay, 1 Mbit/s", link.DirectionConfig{Shaper: link.ShaperConfig{RateBitsPerSecond: 1e6}}},
		{"1 ns", link.DirectionConfig{Delay: time.Nanosecond}},
		{"20 ms", link.DirectionConfig{Delay: 20 * time.Millisecond}},
		{"20 ms, 1 Mbit/s", link.DirectionConfig{Delay: 20 * time.Millisecond, Shaper: link.ShaperConfig{RateBitsPerSecond: 1e6}}},
	} {
		for _, size := range []int{10 << 10, 100 << 10, 400 << 10} {
			payload, retransmitted := transferOver(t, c.way, size)
			if payload != size {
				t.Errorf("%s: %d of %d bytes arrived", c.name, payload, size)
			}
			if retransmitted > probe {
				t.Errorf("%s: of %d bytes %d were sent twice, more than a tail loss probe", c.name, size, retransmitted)
			}
		}
	}
}

// transferOver sends bytes from one host to another and returns how many came
// and how many the link carried beyond those.
func transferOver(t *testing.T, way link.DirectionConfig, size int) (received, again int) {
	t.Helper()
	loop := sim.NewLoop(sim.Config{Seed: 1})
	log := trace.NewLog(loop.Now)
	l, err := link.New(link.World{Loop: loop, Trace: log, IDs: new(link.IDs)}, link.Config{Name: "link", Up: way, Down: way})
	if err != nil {
		t.Fatal(err)
	}
	host := func(node string, mac byte, addr string, out link.Sink) *Host {
		h, err := New(loop, log, Config{Node: node, MAC: wire.MAC{2, 0, 0, 0, 0, mac}, Addr: netip.MustParsePrefix(addr)}, out)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	sender, receiver := host("sender", 1, "10.0.0.1/24", l.Up), host("receiver", 2, "10.0.0.2/24", l.Down)
	defer receiver.Close()
	defer sender.Close()
	carried, frames := 0, 0
	l.Connect(sender, link.SinkFunc(func(f *link.Frame) {
		if frames++; frames > 2000 { // 400 KiB are 280
			loop.Stop()
			return
		}
		var l wire.Layers
		if err := l.Parse(f.Data); err != nil {
			t.Error(err)
		} else if l.TCP != nil {
			carried += len(l.Payload)
		}
		receiver.Put(f)
	}))
	if _, err := receiver.Listen(7, 1, func(c *Conn) { c.OnData(func(d []byte) { received += len(d) }) }); err != nil {
		t.Fatal(err)
	}
	c, err := sender.Dial(netip.MustParseAddrPort("10.0.0.2:7"))
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size)
	push := func() { data = data[c.Write(data):] }
	c.OnConnected(push)
	c.OnWritable(push)
	for received < size && loop.Now() < sim.Time(time.Minute) && frames <= 2000 {
		if err := loop.Run(loop.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	return received, carried - received
}
