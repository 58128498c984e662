package emu

import (
	"fmt"
	"net/netip"
	"runtime"
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

// bulkBytes is what one operation of BenchmarkBulk transfers.
const bulkBytes = 50_000_000

// bulk is a link of 1 Gbit/s and 20 ms each way, recorded at both ends.
type bulk struct {
	b        *testing.B
	loop     *sim.Loop
	log      *trace.Log
	link     *link.Link
	files    *files
	received int
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
	w := &bulk{b: b, loop: loop, log: log, link: l, files: &files{loop: loop, recorder: recorder}}
	for _, p := range []struct {
		name    scenarios.Point
		out, in *link.Path
	}{{scenarios.PointDevice, l.Up, l.Down}, {scenarios.PointPeer, l.Down, l.Up}} {
		out, err := createOutput(b.TempDir(), string(p.name)+".pcapng")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { out.Close() })
		point, err := recorder.Point(string(p.name), out, pcaps.PointConfig{})
		if err != nil {
			b.Fatal(err)
		}
		p.out.Observe(&senderTap{w.files, point})
		p.in.Observe(&receiverTap{w.files, point})
	}
	return w
}

// measure runs the transfers and reports what one of them took: the frames that
// entered the link, and the payload.
func (w *bulk) measure() {
	frames := func() uint64 { return w.link.Up.Counters().In + w.link.Down.Counters().In }
	before, want := frames(), w.received
	w.b.ReportAllocs()
	w.b.SetBytes(bulkBytes)
	for w.b.Loop() {
		for want += bulkBytes; w.received < want; {
			was := w.received
			if err := w.loop.Run(w.loop.Now().Add(time.Second)); err != nil {
				w.b.Fatal(err)
			}
			if w.received == was {
				w.b.Fatal("nothing arrives")
			}
		}
	}
	if w.files.failed != nil {
		w.b.Fatal(w.files.failed)
	}
	n := float64(frames() - before)
	w.b.ReportMetric(n/float64(w.b.N), "frames")
	w.b.ReportMetric(n/w.b.Elapsed().Seconds(), "frames/s")
}

// BenchmarkBulk sends 50 MB an operation, in writes of 1,460 and of 100 bytes,
// both ends recorded to files, on one processor as `emu run` gives a run.
func BenchmarkBulk(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, size := range []int{1460, 100} {
		b.Run(fmt.Sprintf("gvisor-%d", size), func(b *testing.B) { bulkGVisor(b, size) })
		b.Run(fmt.Sprintf("embedded-%d", size), func(b *testing.B) { bulkEmbedded(b, size) })
	}
}

func bulkGVisor(b *testing.B, size int) {
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
	if _, err := receiver.Listen(bulkPort.Port(), 1, func(c *stack.Conn) {
		c.OnData(func(d []byte) { w.received += len(d) })
	}); err != nil {
		b.Fatal(err)
	}
	c, err := sender.Dial(bulkPort)
	if err != nil {
		b.Fatal(err)
	}
	piece := make([]byte, size)
	push := func() {
		for c.Write(piece) == len(piece) {
		}
	}
	c.OnConnected(push)
	c.OnWritable(push)
	w.measure()
	sender.Close()
	receiver.Close()
}

func bulkEmbedded(b *testing.B, size int) {
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
			w.received += p.Len()
			p.Release()
		}
	})
	client := sender.NewTCPSocket(embedded.SocketConfig{Window: 8192, TTL: 128})
	piece := make([]byte, size)
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
	w.measure()
	if err := w.loop.Close(); err != nil {
		b.Fatal(err)
	}
}
