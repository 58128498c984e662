package nic_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// device is a kernel, a pool and a record of what happened, times in ms.
type device struct {
	loop   *sim.Loop
	kernel *rtos.Kernel
	log    *trace.Log
	pool   *nic.Pool
	lines  []string
}

func newDevice(t *testing.T, payload, packets int) *device {
	t.Helper()
	loop := sim.NewLoop(sim.Config{})
	t.Cleanup(func() { _ = loop.Close() })
	d := &device{loop: loop, kernel: rtos.NewKernel(loop, rtos.Config{}), log: trace.NewLog(loop.Now)}
	var err error
	if d.pool, err = nic.NewPool(d.kernel, d.log, nic.PoolConfig{Payload: payload, Packets: packets}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *device) say(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf("%g %s", float64(d.loop.Now())/1e6, fmt.Sprintf(format, args...)))
}

func (d *device) want(t *testing.T, lines ...string) {
	t.Helper()
	if err := d.loop.Run(sim.Time(60e9)); err != nil {
		t.Fatal(err)
	}
	if err := d.pool.Check(); err != nil {
		t.Error(err)
	}
	if got, want := strings.Join(d.lines, "\n"), strings.Join(lines, "\n"); got != want {
		t.Errorf("transcript:\n%s\nwant:\n%s", got, want)
	}
}

func (d *device) alloc(t *testing.T, typ nic.PacketType) *nic.Packet {
	t.Helper()
	p, status := d.pool.Allocate(typ, rtos.NoWait)
	if !status.OK() {
		t.Fatalf("allocate: %v", status)
	}
	return p
}

func TestPoolHoldsWhatNxPacketPoolCreatePutsIntoItsMemory(t *testing.T) {
	for _, tc := range []struct {
		payload, memory, header int
		total                   int
	}{
		{payload: 256, memory: 2528, total: 8}, // stride 316, of the user's own example
		{payload: 256, memory: 2527, total: 7},
		{payload: 1536, memory: 1596, total: 1},
		{payload: 1536, memory: 32 * 1596, total: 32},
		{payload: 1536, memory: 1592, header: nic.HeaderBytesNoIPv6, total: 1},
		{payload: 101, memory: 164, total: 1}, // 60+101 rounded up to 4
		{payload: 101, memory: 163, total: 0},
	} {
		p, err := nic.NewPool(nil, nil, nic.PoolConfig{Payload: tc.payload, Memory: tc.memory, HeaderBytes: tc.header})
		if tc.total == 0 {
			if !errors.Is(err, nic.ErrPoolMemory) {
				t.Errorf("%+v: error %v", tc, err)
			}
			continue
		}
		if err != nil || p.Total() != tc.total || p.Free() != tc.total {
			t.Errorf("%+v: %v, %v", tc, p, err)
		}
	}
}

func TestNewPoolRefusesImpossibleConfigs(t *testing.T) {
	for _, cfg := range []nic.PoolConfig{
		{}, {Payload: 1}, {Payload: -1, Packets: 1}, {Payload: 1, Packets: 1, Memory: 1},
		{Payload: 1, Packets: -1}, {Payload: nic.MaxPayload + 1, Packets: 1}, {Payload: 1, Packets: nic.MaxPackets + 1},
		{Payload: 1, Packets: 1, HeaderBytes: -4},
	} {
		if _, err := nic.NewPool(nil, nil, cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestHeadroomFollowsTheType(t *testing.T) {
	d := newDevice(t, 100, 4)
	for _, tc := range []struct {
		typ  nic.PacketType
		want int
	}{
		{nic.Receive, 0},
		{nic.PhysicalHeader, 16},
		{nic.IPv4, 36},
		{nic.IPv4UDP, 44},
		{nic.IPv4TCP, 56},
		{nic.IP, 56},
		{nic.UDP, 64},
		{nic.TCP, 76},
		{nic.IPv6TCP, 76},
	} {
		p := d.alloc(t, tc.typ)
		if got := len(p.Headroom()); got != tc.want || p.Len() != 0 {
			t.Errorf("type %d has headroom %d, want %d", tc.typ, got, tc.want)
		}
		p.Release()
	}
	small, err := nic.NewPool(nil, nil, nic.PoolConfig{Payload: 55, Packets: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, status := small.Allocate(nic.IPv4TCP, rtos.NoWait); status != nic.InvalidParameters {
		t.Errorf("headroom 56 in 55 bytes: %v", status)
	}
}

func TestReleasedPacketIsTheNextAllocatedWithItsOldContents(t *testing.T) {
	d := newDevice(t, 64, 4)
	a, b := d.alloc(t, nic.Receive), d.alloc(t, nic.Receive)
	a.Append([]byte("first"), d.pool, 0)
	a.Release()
	b.Release()
	if d.alloc(t, nic.Receive) != b {
		t.Error("the packet released last was not the first out")
	}
	again := d.alloc(t, nic.Receive)
	if got := string(again.Extend(5)); again != a || got != "first" {
		t.Errorf("stale contents %q", got)
	}
}

func TestEmptyPoolCountsAndMinimum(t *testing.T) {
	d := newDevice(t, 64, 3)
	var low []int64
	d.log.Subscribe(func(e *trace.Event) {
		if e.Kind == trace.KindPoolLow {
			low = append(low, e.Count)
		}
	})
	a, b, c := d.alloc(t, 0), d.alloc(t, 0), d.alloc(t, 0)
	if _, status := d.pool.Allocate(0, rtos.WaitForever); status != nic.NoPacket {
		t.Errorf("interrupt context waited: %v", status)
	}
	b.Release()
	d.alloc(t, 0).Release()
	want := nic.PoolStats{Total: 3, Free: 1, MinFree: 0, EmptyRequests: 1}
	if got := d.pool.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	if fmt.Sprint(low) != "[2 1 0]" {
		t.Errorf("low-water events %v: one for each new minimum", low)
	}
	a.Release()
	c.Release()
	d.want(t)
}

func TestWaitingThreadsGetReleasedPacketsInOrder(t *testing.T) {
	d := newDevice(t, 100, 1)
	p := d.alloc(t, 0)
	for i, name := range []string{"low", "high"} {
		d.kernel.NewThread(name, 9-i, func(th *rtos.Thread) {
			th.Sleep(rtos.Ticks(i + 1)) // low asks first
			q, status := d.pool.Allocate(nic.IPv4TCP, rtos.WaitForever)
			d.say("%s %v headroom %d free %d", name, status, len(q.Headroom()), d.pool.Free())
			th.Sleep(1)
			q.Release()
		})
	}
	d.kernel.NewThread("late", 20, func(th *rtos.Thread) {
		th.Sleep(3)
		_, status := d.pool.Allocate(0, 2)
		d.say("late %v, stats %+v", status, d.pool.Stats())
	})
	d.loop.At(100e6, func() { p.Release() })
	d.want(t,
		"50 late NX_NO_PACKET, stats {Total:1 Free:0 MinFree:0 Leaked:0 Waiting:2 EmptyRequests:3 EmptySuspensions:3 InvalidReleases:0}",
		// The packet goes from hand to hand: the pool is never seen with a free one.
		"100 low NX_SUCCESS headroom 56 free 0",
		"110 high NX_SUCCESS headroom 56 free 0")
	if d.pool.Free() != 1 {
		t.Errorf("%d free at the end", d.pool.Free())
	}
}

func TestWaitIsInTheTrace(t *testing.T) {
	d := newDevice(t, 100, 1)
	p := d.alloc(t, 0)
	d.log.Subscribe(func(e *trace.Event) { d.say("%s %s %s %s %d", e.Kind, e.Stage, e.Node, e.Text, e.Count) })
	d.kernel.NewThread("mqtt", 5, func(*rtos.Thread) {
		q, _ := d.pool.Allocate(0, rtos.WaitForever)
		q.Release()
	})
	d.loop.At(7e6, func() { p.Release() })
	d.want(t, "0 pool.empty pool  mqtt -1", "7 thread.wait mqtt  a packet of pool 7000000")
}

func TestInvalidReleaseIsCountedAndRefused(t *testing.T) {
	d := newDevice(t, 8, 4)
	p := d.alloc(t, 0)
	p.Append(make([]byte, 20), d.pool, 0) // 3 packets
	second := p.Next()
	second.SetQueued(true)
	if status := p.Release(); status != nic.PtrError || d.pool.Free() != 2 {
		t.Errorf("release of a chain with a queued packet: %v, %d free: the walk stops there", status, d.pool.Free())
	}
	second.SetQueued(false)
	if status := second.Release(); status != nic.Success || d.pool.Free() != 4 {
		t.Errorf("release: %v, %d free", status, d.pool.Free())
	}
	if status := second.Release(); status != nic.PtrError || d.pool.Stats().InvalidReleases != 2 {
		t.Errorf("double release: %v, %+v", status, d.pool.Stats())
	}
	d.want(t)
}

func TestTransmitReleaseOnlyMarksAQueuedPacket(t *testing.T) {
	d := newDevice(t, 100, 2)
	p := d.alloc(t, nic.IPv4TCP)
	p.Append([]byte("data"), d.pool, 0)
	copy(p.Prepend(40), strings.Repeat("h", 40))
	p.SetHeaders(20)
	p.SetQueued(true)
	if p.TxDone() {
		t.Error("done before it was sent")
	}
	p.TransmitRelease()
	if !p.TxDone() || p.Len() != 24 || d.pool.Free() != 1 {
		t.Errorf("done %v, %d bytes, %d free", p.TxDone(), p.Len(), d.pool.Free())
	}
	p.SetQueued(false)
	p.TransmitRelease()
	d.want(t)
	if d.pool.Free() != 2 {
		t.Error("a packet outside a queue was not released")
	}
}

func TestLeakAndRestore(t *testing.T) {
	d := newDevice(t, 10, 5)
	held := d.alloc(t, 0)
	held.SetHolder("rx queue")
	if got := d.pool.Leak(99); got != 4 || d.pool.Free() != 0 {
		t.Errorf("leaked %d, free %d", got, d.pool.Free())
	}
	if got := fmt.Sprint(d.pool.Holdings()); got != "[{leak 4} {rx queue 1}]" {
		t.Errorf("holdings %s", got)
	}
	if err := d.pool.Check(); err != nil {
		t.Error(err)
	}
	d.kernel.NewThread("t", 1, func(*rtos.Thread) {
		p, status := d.pool.Allocate(0, rtos.WaitForever)
		d.say("%v, holder %s, free %d", status, p.Holder(), d.pool.Free())
	})
	d.loop.At(5e6, func() {
		d.say("restored %d, then %d, then %d", d.pool.Restore(1), d.pool.Restore(9), d.pool.Restore(1))
	})
	d.want(t, "5 restored 1, then 3, then 0", "5 NX_SUCCESS, holder t, free 3")
}

func TestCheckSeesALostPacket(t *testing.T) {
	d := newDevice(t, 8, 3)
	p := d.alloc(t, 0)
	p.Append(make([]byte, 16), d.pool, 0)
	tail := p.Next()
	tail.Release() // out of the middle of a chain that p still holds
	if err := d.pool.Check(); err == nil {
		t.Error("a chain with a released packet passed")
	}
}

// TestPoolNeverLosesPackets does random things and checks the books each time.
func TestPoolNeverLosesPackets(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	d := newDevice(t, 40, 24)
	type message struct {
		p    *nic.Packet
		data []byte
	}
	var all []message
	for step := range 20000 {
		switch op := rng.IntN(8); {
		case op <= 1 || len(all) == 0:
			if p, status := d.pool.Allocate([]nic.PacketType{0, 16, 36}[rng.IntN(3)], 0); status.OK() {
				all = append(all, message{p: p})
			}
		case op == 2:
			i := rng.IntN(len(all))
			if !all[i].p.Release().OK() {
				t.Fatalf("step %d: release refused", step)
			}
			all = append(all[:i], all[i+1:]...)
		case op == 3:
			m := &all[rng.IntN(len(all))]
			more := make([]byte, rng.IntN(120))
			for i := range more {
				more[i] = byte(rng.Uint32())
			}
			if m.p.Append(more, d.pool, 0).OK() {
				m.data = append(m.data, more...)
			}
		case op == 4:
			m := all[rng.IntN(len(all))]
			if c, status := m.p.Copy(d.pool, 0); status.OK() {
				all = append(all, message{c, bytes.Clone(m.data)})
			}
		case op == 5:
			i := rng.IntN(len(all))
			n := rng.IntN(50)
			head := all[i].p.Advance(n, false)
			if head == nil {
				all = append(all[:i], all[i+1:]...)
				break
			}
			all[i] = message{head, all[i].data[n:]}
		case op == 6:
			m := &all[rng.IntN(len(all))]
			n := rng.IntN(50)
			if rng.IntN(2) == 0 {
				m.p.Trim(n)
				m.data = m.data[min(n, len(m.data)):]
			} else {
				m.p.TrimTail(n)
				m.data = m.data[:len(m.data)-min(n, len(m.data))]
			}
		case op == 7 && len(all) > 1:
			a, b := len(all)-2, len(all)-1
			all[a].p.Link(all[b].p)
			all[a].data = append(all[a].data, all[b].data...)
			all = all[:b]
		}
		if err := d.pool.Check(); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		held := 0
		for i, m := range all {
			held += m.p.Packets()
			if got := m.p.AppendTo(nil); m.p.Len() != len(m.data) || !bytes.Equal(got, m.data) {
				t.Fatalf("step %d: message %d holds %x (length %d), want %x", step, i, got, m.p.Len(), m.data)
			}
			if off := rng.IntN(len(m.data) + 1); len(m.data) > 0 {
				buf := make([]byte, rng.IntN(60))
				n, status := m.p.ExtractOffset(off, buf)
				if off == len(m.data) {
					if status != nic.PacketOffsetError {
						t.Fatalf("step %d: extract at the end: %v", step, status)
					}
				} else if !status.OK() || !bytes.Equal(buf[:n], m.data[off:off+n]) || n != min(len(buf), len(m.data)-off) {
					t.Fatalf("step %d: extract %d bytes at %d: %d %v", step, len(buf), off, n, status)
				}
			}
		}
		if held+d.pool.Free() != d.pool.Total() {
			t.Fatalf("step %d: %d held and %d free of %d", step, held, d.pool.Free(), d.pool.Total())
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	pool, err := nic.NewPool(nil, nil, nic.PoolConfig{Payload: 64, Packets: 4})
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		p, _ := pool.Allocate(nic.PhysicalHeader, 0)
		p.Append(data, pool, 0)
		c, _ := p.Copy(pool, 0)
		c.Release()
		p.Release()
	}); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

func TestCheckCountsPacketsInATCPQueue(t *testing.T) {
	p, err := nic.NewPool(nil, nil, nic.PoolConfig{Payload: 100, Packets: 4})
	if err != nil {
		t.Fatal(err)
	}
	pkt, status := p.Allocate(nic.Receive, 0)
	if status != nic.Success {
		t.Fatal(status)
	}
	pkt.SetQueued(true)
	if err := p.Check(); err != nil {
		t.Errorf("a queued packet is missing in the books: %v", err)
	}
	pkt.SetQueued(false)
	if pkt.Release() != nic.Success || p.Check() != nil {
		t.Errorf("after the release: %v", p.Check())
	}
}

func TestLowWatermark(t *testing.T) {
	for _, watermark := range []int{-1, 5} {
		if _, err := nic.NewPool(nil, nil, nic.PoolConfig{Payload: 64, Packets: 4, LowWatermark: watermark}); err == nil {
			t.Errorf("a watermark of %d in a pool of 4 is taken", watermark)
		}
	}
	pool, err := nic.NewPool(nil, nil, nic.PoolConfig{Payload: 64, Packets: 4, LowWatermark: 3})
	if err != nil {
		t.Fatal(err)
	}
	for free, want := range map[int]bool{4: false, 3: false, 2: true, 0: true} {
		pool.Leak(pool.Total() - free)
		if pool.Low() != want {
			t.Errorf("%d packets free: low %v", free, pool.Low())
		}
		pool.Restore(pool.Total())
	}
}
