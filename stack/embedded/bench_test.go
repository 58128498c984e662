package embedded

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
)

// A pipe is one direction of a wire without faults that does not allocate.
type pipe struct {
	loop  *sim.Loop
	timer *sim.Timer
	queue []*link.Frame
	due   []sim.Time
	first int
	delay time.Duration
	to    link.Sink
	count *int
}

func newPipe(loop *sim.Loop, delay time.Duration, to link.Sink, count *int) *pipe {
	p := &pipe{loop: loop, delay: delay, to: to, count: count}
	p.timer = loop.NewTimer(p.deliver)
	return p
}

func (p *pipe) Put(f *link.Frame) {
	*p.count++
	if p.first == len(p.queue) {
		p.queue, p.due, p.first = p.queue[:0], p.due[:0], 0
	}
	p.queue = append(p.queue, f)
	p.due = append(p.due, p.loop.Now().Add(p.delay))
	if !p.timer.Armed() {
		p.timer.Reset(p.due[p.first])
	}
}

func (p *pipe) deliver() {
	f := p.queue[p.first]
	p.first++
	if p.first < len(p.queue) {
		p.timer.Reset(p.due[p.first])
	}
	p.to.Put(f)
}

// bulk is two engines of which one sends all it can in writes of 1,460 bytes.
type bulk struct {
	loop   *sim.Loop
	frames int
	bytes  int
}

func newBulk(t testing.TB) *bulk {
	b := &bulk{loop: sim.NewLoop(sim.Config{})}
	t.Cleanup(func() { _ = b.loop.Close() })
	var ips [2]*IP
	var nics [2]*nic.NIC
	var pools [2]*nic.Pool
	var kernels [2]*rtos.Kernel
	for i := range 2 {
		var err error
		kernels[i] = rtos.NewKernel(b.loop, rtos.Config{})
		if pools[i], err = nic.NewPool(kernels[i], nil, nic.PoolConfig{Payload: 1536, Packets: 64}); err != nil {
			t.Fatal(err)
		}
		if nics[i], err = nic.New(b.loop, kernels[i], nil, nic.Config{MAC: [6]byte{2, 0, 0, 0, 0, byte(1 + i)}, RXPool: pools[i]}); err != nil {
			t.Fatal(err)
		}
		ips[i], err = New(b.loop, kernels[i], nil, Config{
			Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)}), 24), Pool: pools[i], NIC: nics[i],
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		nics[i].SetWire(newPipe(b.loop, 100*time.Microsecond, nics[1-i], &b.frames))
	}
	server := ips[1].NewTCPSocket(SocketConfig{DontFragment: true})
	server.Listen(7, 1, nil)
	kernels[1].NewThread("reader", 5, func(*rtos.Thread) {
		if status := server.Accept(rtos.WaitForever); status != nic.Success {
			t.Errorf("accept: %v", status)
		}
		for {
			p, status := server.Receive(rtos.WaitForever)
			if status != nic.Success {
				t.Errorf("receive: %v", status)
				return
			}
			b.bytes += p.Len()
			p.Release()
		}
	})
	client := ips[0].NewTCPSocket(SocketConfig{DontFragment: true})
	data := make([]byte, 1460)
	kernels[0].NewThread("sender", 10, func(*rtos.Thread) {
		if status := client.Connect(netip.AddrPortFrom(ips[1].Addr(), 7), rtos.WaitForever); status != nic.Success {
			t.Errorf("connect: %v", status)
		}
		for {
			p, _ := pools[0].Allocate(nic.IPv4TCP, rtos.WaitForever)
			p.Append(data, pools[0], rtos.WaitForever)
			if status := client.Send(p, rtos.WaitForever); status != nic.Success {
				t.Errorf("send: %v", status)
				return
			}
		}
	})
	b.run(time.Second) // into the steady state
	return b
}

func (b *bulk) run(d time.Duration) { _ = b.loop.Run(b.loop.Now().Add(d)) }

func TestBulkTransferDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := newBulk(t)
	before := b.frames
	allocs := testing.AllocsPerRun(10, func() { b.run(time.Second) })
	frames := float64(b.frames-before) / 11
	if frames < 100 || b.bytes == 0 {
		t.Fatalf("%v frames in 1 s, %d bytes", frames, b.bytes)
	}
	if allocs > frames/1000 {
		t.Errorf("%v allocations for %v frames", allocs, frames)
	}
	t.Logf("%.0f frames in 1 s of virtual time, %v allocations", frames, allocs)
}

func BenchmarkBulk(b *testing.B) {
	w := newBulk(b)
	before := w.frames
	b.ReportAllocs()
	for b.Loop() {
		w.run(time.Second)
	}
	frames := float64(w.frames - before)
	b.ReportMetric(frames/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(b.Elapsed().Seconds()*1e9/frames, "ns/frame")
}

// An idle device with its connection costs less than 16 KB of the host's memory.
func TestIdleDeviceIsSmall(t *testing.T) {
	const n = 500
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	count := 0
	sink := link.SinkFunc(func(f *link.Frame) { count++; f.Release() })
	devices := make([]*IP, n)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := heap()
	for i := range devices {
		kernel := rtos.NewKernel(loop, rtos.Config{})
		pool, err := nic.NewPool(kernel, nil, nic.PoolConfig{Payload: 1536, Packets: 32})
		if err != nil {
			t.Fatal(err)
		}
		n, err := nic.New(loop, kernel, nil, nic.Config{MAC: deviceMAC, RXPool: pool})
		if err != nil {
			t.Fatal(err)
		}
		n.SetWire(sink)
		ip, err := New(loop, kernel, nil, Config{
			Addr: netip.PrefixFrom(deviceAddr, 24), Pool: pool, NIC: n, ISN: []uint32{testISN}, Ports: []uint16{testPort},
		})
		if err != nil {
			t.Fatal(err)
		}
		ip.AddStaticARP(hostAddr, hostMAC)
		ip.NewTCPSocket(SocketConfig{DontFragment: true}).Connect(broker, rtos.NoWait)
		d := device{t: t, nic: n}
		d.host(synAck, 0, 1, 64240, "")
		d.host(pushAck, 1, 1, 64240, "connack")
		p, status := ip.Sockets()[0].Receive(rtos.NoWait)
		if status != nic.Success {
			t.Fatal(status)
		}
		p.Release()
		devices[i] = ip
	}
	_ = loop.Run(sim.Time(time.Second))
	each := (heap() - before) / n
	if each > 16<<10 || devices[n-1].Sockets()[0].State() != Established {
		t.Errorf("%d bytes a device, want at most 16 KB; state %v", each, devices[n-1].Sockets()[0].State())
	}
	t.Logf("%d bytes a device", each)
	events := loop.Events()
	_ = loop.Run(sim.Time(time.Hour))
	if loop.Events() != events {
		t.Errorf("%d events in an idle hour", loop.Events()-events)
	}
}
