package stack

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/wire"
)

// maxIdleBytes is what an idle device with IPv4 may take of the heap, pool and
// kernel included.
const maxIdleBytes = 32 << 10

// idleDevice makes a device with a pool of 16 packets that has nothing to do.
func idleDevice(t testing.TB, loop *sim.Loop, i int, change func(*Config)) *Host {
	cfg := Config{
		Node: fmt.Sprint("device", i), MAC: wire.MAC{2, 1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)},
		Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 8), Profile: NetX(),
	}
	change(&cfg)
	kernel := rtos.NewKernel(loop, rtos.Config{})
	pool, err := nic.NewPool(kernel, nil, nic.PoolConfig{Node: cfg.Node, Payload: 1536, Packets: 16})
	if err != nil {
		t.Fatal(err)
	}
	n, err := nic.New(loop, kernel, nil, nic.Config{Node: cfg.Node, MAC: cfg.MAC, RXPool: pool})
	if err != nil {
		t.Fatal(err)
	}
	n.SetWire(link.SinkFunc(func(f *link.Frame) { f.Release() }))
	h, err := New(loop, nil, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Attach(kernel, n); err != nil {
		t.Fatal(err)
	}
	h.NewSocket("socket")
	return h
}

// idleBytes measures what each of n idle devices takes of the heap and of the
// stacks of goroutines.
func idleBytes(t testing.TB, n int, change func(*Config)) (heap, stacks int) {
	loop := sim.NewLoop(sim.Config{Seed: 1})
	defer loop.Close()
	hosts := make([]*Host, n)
	var before, after runtime.MemStats
	collect()
	runtime.ReadMemStats(&before)
	for i := range hosts {
		hosts[i] = idleDevice(t, loop, i+1, change)
	}
	if err := loop.Run(sim.Time(time.Second)); err != nil {
		t.Fatal(err)
	}
	collect()
	runtime.ReadMemStats(&after)
	for _, h := range hosts {
		h.Close()
	}
	return (int(after.HeapAlloc) - int(before.HeapAlloc)) / n, (int(after.StackInuse) - int(before.StackInuse)) / n
}

// collect frees what can be freed: a sync.Pool keeps its content over one
// collection.
func collect() {
	for range 3 {
		runtime.GC()
	}
}

var idleKinds = []struct {
	name   string
	change func(*Config)
}{
	{"IPv4", func(*Config) {}},
	{"IPv6", func(c *Config) { c.Addr, c.Addr6 = netip.Prefix{}, addr6A }},
	{"dual stack", func(c *Config) { c.Addr6 = addr6A }},
}

func TestAnIdleDeviceIsSmall(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector's memory is not the device's")
	}
	for _, kind := range idleKinds {
		heap, stacks := idleBytes(t, 200, kind.change)
		t.Logf("%s: %d bytes of heap, %d of stacks", kind.name, heap, stacks)
		if heap > maxIdleBytes {
			t.Errorf("%s: an idle device takes %d bytes, want at most %d", kind.name, heap, maxIdleBytes)
		}
	}
}

// BenchmarkIdleDevice is the creation and the end of a device; its metrics are
// what it takes while it is idle.
func BenchmarkIdleDevice(b *testing.B) {
	for _, kind := range idleKinds {
		b.Run(kind.name, func(b *testing.B) {
			heap, stacks := idleBytes(b, 1000, kind.change)
			loop := sim.NewLoop(sim.Config{Seed: 1})
			defer loop.Close()
			b.ReportAllocs()
			for b.Loop() {
				idleDevice(b, loop, 1, kind.change).Close()
			}
			b.ReportMetric(float64(heap), "heap-B/device")
			b.ReportMetric(float64(stacks), "stack-B/device")
		})
	}
}
