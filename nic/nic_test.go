package nic_test

import (
	"fmt"
	"testing"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

func newNIC(t *testing.T, d *device, cfg nic.Config) *nic.NIC {
	t.Helper()
	cfg.Node, cfg.RXPool = "device", d.pool
	n, err := nic.New(d.loop, d.kernel, d.log, cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.log.Subscribe(func(e *trace.Event) {
		if e.Kind == trace.KindDrop || e.Kind == trace.KindNIC {
			d.say("%s %s%s frame %d len %d%s", e.Kind, e.Stage, e.Text, e.Frame, e.Len, " "+string(e.Reason))
		}
	})
	return n
}

func frame(id uint64, n int) *link.Frame {
	f := link.CopyFrame(letters(n))
	f.ID = id
	return f
}

func TestArrivingFramesAreCopiedIntoChainsAtTheOffset(t *testing.T) {
	d := newDevice(t, 256, 8)
	n := newNIC(t, d, nic.Config{})
	var got []*nic.Packet
	n.SetUpper(func(p *nic.Packet) {
		if d.kernel.Current() != nil {
			t.Error("the receive interrupt runs in a thread")
		}
		got = append(got, p)
	})
	n.Put(frame(1, 60))
	n.Put(frame(2, 1514))
	if len(got) != 2 || got[0].Packets() != 1 || got[1].Packets() != 6 || d.pool.Free() != 1 {
		t.Fatalf("%d frames, %d free", len(got), d.pool.Free())
	}
	if string(got[1].AppendTo(nil)) != string(letters(1514)) || len(got[1].Headroom()) != nic.DefaultRXOffset {
		t.Error("the frame's bytes or place changed")
	}
	if h := fmt.Sprint(d.pool.Holdings()); h != "[{rx 7}]" {
		t.Errorf("holdings %s", h)
	}
	n.Put(frame(3, 300)) // 254 fit into the last packet, no second one
	if d.pool.Free() != 1 || d.pool.Stats().EmptyRequests != 1 {
		t.Errorf("a frame that did not fit kept packets: %+v", d.pool.Stats())
	}
	d.want(t, "0 drop nic/rx frame 3 len 300 rx_pool_empty")
	want := nic.Counters{RxFrames: 2, RxBytes: 1574, RxNoPacket: 1}
	if n.Counters() != want {
		t.Errorf("counters %+v", n.Counters())
	}
}

func TestEveryStateDropsWithItsReason(t *testing.T) {
	d := newDevice(t, 256, 8)
	n := newNIC(t, d, nic.Config{})
	sent := 0
	n.Transmit(frame(1, 60)) // no wire yet: no carrier
	n.Put(frame(2, 60))      // no stack yet
	n.SetWire(link.SinkFunc(func(f *link.Frame) { sent++; f.Release() }))
	n.SetUpper(func(p *nic.Packet) { p.Release() })
	n.OnState(func(s nic.State) { d.say("told %v", s) })
	n.Transmit(frame(3, 60))
	n.SetState(nic.LinkDown)
	n.SetState(nic.LinkDown) // no change, no event
	n.Transmit(frame(4, 61))
	n.Put(frame(5, 62))
	n.SetState(nic.TxError)
	n.Transmit(frame(6, 63))
	n.Put(frame(7, 64)) // still arrives
	n.SetState(nic.LinkUp)
	n.Transmit(frame(8, 1519))
	n.Put(frame(9, 1519))
	n.Transmit(frame(10, 1518))
	d.want(t,
		"0 drop nic/tx frame 1 len 60 link_down",
		"0 drop nic/rx frame 2 len 60 no_stack",
		"0 nic link_down frame 0 len 0 ", "0 told link_down",
		"0 drop nic/tx frame 4 len 61 link_down",
		"0 drop nic/rx frame 5 len 62 link_down",
		"0 nic tx_error frame 0 len 0 ", "0 told tx_error",
		"0 drop nic/tx frame 6 len 63 tx_error",
		"0 nic link_up frame 0 len 0 ", "0 told link_up",
		"0 drop nic/tx frame 8 len 1519 too_long",
		"0 drop nic/rx frame 9 len 1519 too_long")
	want := nic.Counters{
		RxFrames: 1, RxBytes: 64, TxFrames: 2, TxBytes: 1578,
		RxLinkDown: 1, RxTooLong: 1, RxNoUpper: 1, TxLinkDown: 2, TxErrors: 1, TxTooLong: 1, StateChanges: 3,
	}
	if n.Counters() != want || sent != 2 {
		t.Errorf("counters %+v, %d on the wire", n.Counters(), sent)
	}
}

func TestReceiveRingHoldsItsPacketsForGood(t *testing.T) {
	d := newDevice(t, 256, 8)
	n := newNIC(t, d, nic.Config{RXRing: 6})
	n.SetUpper(func(p *nic.Packet) { p.Release() })
	n.Put(frame(1, 600)) // needs 3 packets, 2 are outside the ring
	n.Put(frame(2, 500))
	d.want(t, "0 drop nic/rx frame 1 len 600 rx_pool_empty")
	if h := fmt.Sprint(d.pool.Holdings()); h != "[{rx ring 6}]" {
		t.Errorf("holdings %s", h)
	}
	if _, err := nic.New(d.loop, d.kernel, d.log, nic.Config{RXPool: d.pool, RXRing: 3}); err == nil {
		t.Error("a ring larger than the pool was filled")
	}
}

func TestNewRefusesImpossibleConfigs(t *testing.T) {
	d := newDevice(t, 16, 1)
	other := sim.NewLoop(sim.Config{})
	defer other.Close()
	for _, cfg := range []nic.Config{
		{}, {RXPool: d.pool, MTU: -1}, {RXPool: d.pool, RXRing: -1}, {RXPool: d.pool, RXOffset: 16},
	} {
		if _, err := nic.New(d.loop, d.kernel, nil, cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	if _, err := nic.New(other, d.kernel, nil, nic.Config{RXPool: d.pool}); err == nil {
		t.Error("a kernel of another loop was accepted")
	}
}

func TestReceiveInterruptPreemptsTheThreadAfterwards(t *testing.T) {
	d := newDevice(t, 256, 8)
	n := newNIC(t, d, nic.Config{})
	flags := rtos.NewEventFlags(d.kernel, "rx")
	n.SetUpper(func(p *nic.Packet) { p.Release(); flags.Set(1); d.say("interrupt") })
	d.kernel.NewThread("reader", 1, func(*rtos.Thread) { flags.Get(1, true, true, rtos.WaitForever); d.say("reader") })
	d.kernel.NewThread("app", 5, func(*rtos.Thread) { n.Put(frame(1, 60)); d.say("app") })
	d.want(t, "0 interrupt", "0 reader", "0 app")
}

func BenchmarkReceive(b *testing.B) {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	k := rtos.NewKernel(loop, rtos.Config{})
	pool, err := nic.NewPool(k, nil, nic.PoolConfig{Payload: 1536, Packets: 4})
	if err != nil {
		b.Fatal(err)
	}
	n, err := nic.New(loop, k, nil, nic.Config{RXPool: pool})
	if err != nil {
		b.Fatal(err)
	}
	n.SetUpper(func(p *nic.Packet) { p.Release() })
	b.ReportAllocs()
	for b.Loop() {
		n.Put(link.NewFrame(1514))
	}
}
