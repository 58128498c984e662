package emu

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/stack"
	"hilnet/stack/embedded"
	"hilnet/trace"
	"hilnet/wire"
)

// bulk is a link of 1 Gbit/s and 20 ms each way, recorded at both ends.
type bulk struct {
	b    *testing.B
	loop *sim.Loop
	log  *trace.Log
	link *link.Link
}

var (
	bulkSender   = netip.MustParsePrefix("10.0.0.2/24")
	bulkReceiver = netip.MustParsePrefix("10.0.0.1/24")
	bulkPort     = netip.AddrPortFrom(bulkReceiver.Addr(), 7)
)

func newBulk(b *testing.B) *bulk {
	b.Helper()
	loop := sim.NewLoop(sim.Config{Seed: 1})
	log := trace.NewLog(loop.Now)
	way := link.DirectionConfig{Delay: 20 * time.Millisecond, Shaper: link.ShaperConfig{RateBitsPerSecond: 1e9}}
	l, err := link.New(link.World{Loop: loop, Trace: log, IDs: new(link.IDs)}, link.Config{Name: "link", Up: way, Down: way})
	if err != nil {
		b.Fatal(err)
	}
	recorder, err := pcaps.NewRecorder(pcaps.RecorderConfig{})
	if err != nil {
		b.Fatal(err)
	}
	f := &files{loop: loop, recorder: recorder}
	for _, p := range []struct {
		name    scenarios.Point
		out, in *link.Path
	}{{scenarios.PointDevice, l.Up, l.Down}, {scenarios.PointPeer, l.Down, l.Up}} {
		point, err := recorder.Point(string(p.name), io.Discard, pcaps.PointConfig{})
		if err != nil {
			b.Fatal(err)
		}
		p.out.Observe(&senderTap{f, point})
		p.in.Observe(&receiverTap{f, point})
	}
	return &bulk{b: b, loop: loop, log: log, link: l}
}

// measure runs the transfer in pieces of virtual time and reports frames a
// second of wall time.
func (w *bulk) measure(received *int) {
	frames := func() uint64 { return w.link.Up.Counters().In + w.link.Down.Counters().In }
	step := func() {
		if err := w.loop.Run(w.loop.Now().Add(time.Second)); err != nil {
			w.b.Fatal(err)
		}
	}
	for range 3 { // connect and grow what grows
		step()
	}
	before, bytes := frames(), *received
	w.b.ReportAllocs()
	for w.b.Loop() {
		step()
	}
	n, seconds := float64(frames()-before), w.b.Elapsed().Seconds()
	if *received == bytes {
		w.b.Fatal("nothing arrived")
	}
	w.b.ReportMetric(n/seconds, "frames/s")
	w.b.ReportMetric(float64(*received-bytes)/1e6/seconds, "MB/s")
}

// BenchmarkBulk sends without end in writes of 1,460 bytes, both ends recorded.
// One operation is a second of the link's time.
func BenchmarkBulk(b *testing.B) {
	b.Run("gvisor", func(b *testing.B) {
		w := newBulk(b)
		host := func(node string, mac byte, addr netip.Prefix, out link.Sink) *stack.Host {
			profile := stack.Linux()
			profile.MaxWindow, profile.PlainSYN = 65535, true // no window scaling: what small peers have in flight
			h, err := stack.New(w.loop, w.log, stack.Config{Node: node, MAC: wire.MAC{2, 0, 0, 0, 0, mac}, Addr: addr, Profile: profile}, out)
			if err != nil {
				b.Fatal(err)
			}
			return h
		}
		sender := host("sender", 2, bulkSender, w.link.Up)
		receiver := host("receiver", 1, bulkReceiver, w.link.Down)
		w.link.Connect(sender, receiver)
		received := 0
		if _, err := receiver.Listen(bulkPort.Port(), 1, func(c *stack.Conn) {
			c.OnData(func(d []byte) { received += len(d) })
		}); err != nil {
			b.Fatal(err)
		}
		c, err := sender.Dial(bulkPort)
		if err != nil {
			b.Fatal(err)
		}
		piece := make([]byte, 1460)
		push := func() {
			for c.Write(piece) == len(piece) {
			}
		}
		c.OnConnected(push)
		c.OnWritable(push)
		w.measure(&received)
		sender.Close()
		receiver.Close()
	})
	b.Run("embedded", func(b *testing.B) {
		w := newBulk(b)
		kernel := rtos.NewKernel(w.loop, rtos.Config{})
		engine := func(node string, mac byte, addr netip.Prefix, out link.Sink) (*embedded.IP, *nic.Pool, *nic.NIC) {
			pool, err := nic.NewPool(kernel, w.log, nic.PoolConfig{Node: node, Payload: 1536, Packets: 100})
			if err != nil {
				b.Fatal(err)
			}
			iface, err := nic.New(w.loop, kernel, w.log, nic.Config{Node: node, MAC: [6]byte{2, 0, 0, 0, 0, mac}, RXPool: pool})
			if err != nil {
				b.Fatal(err)
			}
			ip, err := embedded.New(w.loop, kernel, w.log, embedded.Config{Node: node, Addr: addr, Pool: pool, NIC: iface})
			if err != nil {
				b.Fatal(err)
			}
			iface.SetWire(out)
			return ip, pool, iface
		}
		sender, pool, sendNIC := engine("sender", 2, bulkSender, w.link.Up)
		receiver, _, receiveNIC := engine("receiver", 1, bulkReceiver, w.link.Down)
		w.link.Connect(sendNIC, receiveNIC)
		received := 0
		server := receiver.NewTCPSocket(embedded.SocketConfig{Window: 65535, TTL: 128})
		kernel.NewThread("receiver", 5, func(*rtos.Thread) {
			if s := server.Listen(bulkPort.Port(), 1, nil); s != nic.Success {
				panic(s.String())
			}
			if s := server.Accept(rtos.WaitForever); s != nic.Success {
				panic(s.String())
			}
			for {
				p, s := server.Receive(rtos.WaitForever)
				if s != nic.Success {
					return
				}
				received += p.Len()
				p.Release()
			}
		})
		client := sender.NewTCPSocket(embedded.SocketConfig{Window: 8192, TTL: 128})
		piece := make([]byte, 1460)
		kernel.NewThread("sender", 10, func(*rtos.Thread) {
			if s := client.Connect(bulkPort, rtos.WaitForever); s != nic.Success {
				panic(s.String())
			}
			for {
				p, s := pool.Allocate(nic.IPv4TCP, rtos.WaitForever)
				if s == nic.Success {
					s = p.Append(piece, pool, rtos.WaitForever)
				}
				if s == nic.Success {
					s = client.Send(p, rtos.WaitForever)
				}
				if s != nic.Success {
					return
				}
			}
		})
		w.measure(&received)
		if err := w.loop.Close(); err != nil {
			b.Fatal(err)
		}
	})
}
