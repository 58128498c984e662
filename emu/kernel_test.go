//go:build linux

package emu_test

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/stack/embedded"
	"hilnet/tap"
	"hilnet/trace"
)

// echo answers one connection in the namespace with what it gets.
func echo(t *testing.T, ns *linktest.Net) {
	t.Helper()
	var l net.Listener
	ns.Do(func() (err error) {
		l, err = net.Listen("tcp4", "0.0.0.0:7")
		return err
	})
	t.Cleanup(func() { _ = l.Close() }) // closed already when the test passed
	go func() {
		c, err := l.Accept()
		if err != nil {
			return // the test has ended
		}
		_, _ = io.Copy(c, c) // the device sees what is missing
		_ = c.Close()
		_ = l.Close()
	}()
}

// kernelEcho sends n bytes from the embedded engine through a TAP to the kernel
// of this machine, with a loss probability each way, and wants them back.
func kernelEcho(t *testing.T, n int, loss float64, limit time.Duration) {
	linktest.Require(t, "tun", "netns")
	runtime.LockOSThread() // before the loop and its Tasks are built
	defer runtime.UnlockOSThread()
	ns := linktest.Namespace(t)
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		t.Fatal(err)
	}
	loop := sim.NewLoop(sim.Config{Seed: 1, Pacer: pacer})
	defer func() {
		if err := loop.Close(); err != nil {
			t.Error(err)
		}
	}()
	log := trace.NewLog(loop.Now)
	wire, err := tap.Open(tap.Config{
		Name: "hil0", Address: netip.MustParsePrefix("10.0.0.1/24"), Namespace: ns.Name, Loop: loop, Trace: log, Clock: pacer.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := wire.Close(); err != nil {
			t.Error(err)
		}
	}()
	echo(t, ns)
	kernel := rtos.NewKernel(loop, rtos.Config{})
	pool, err := nic.NewPool(kernel, log, nic.PoolConfig{Node: "device", Payload: 1536, Packets: 64})
	if err != nil {
		t.Fatal(err)
	}
	iface, err := nic.New(loop, kernel, log, nic.Config{Node: "device", MAC: [6]byte{2, 0, 0, 0, 0, 2}, RXPool: pool})
	if err != nil {
		t.Fatal(err)
	}
	ip, err := embedded.New(loop, kernel, log, embedded.Config{Node: "device", Addr: netip.MustParsePrefix("10.0.0.2/24"), Pool: pool, NIC: iface})
	if err != nil {
		t.Fatal(err)
	}
	way := link.DirectionConfig{Loss: loss}
	l, err := link.New(link.World{Loop: loop, Trace: log, IDs: new(link.IDs)}, link.Config{Name: "link", Up: way, Down: way})
	if err != nil {
		t.Fatal(err)
	}
	l.Connect(iface, wire)
	iface.SetWire(l.Up)

	sent := make([]byte, n)
	_, _ = sim.NewRand(1, "sent").Read(sent) // never fails
	var back []byte
	socket := ip.NewTCPSocket(embedded.SocketConfig{Window: 8192, TTL: 128, DontFragment: true})
	arrived := rtos.NewEventFlags(kernel, "arrived")
	socket.ReceiveNotify(func() { arrived.Set(1) })
	socket.DisconnectNotify(func() { arrived.Set(1) })
	kernel.NewThread("reader", 5, func(*rtos.Thread) {
		for len(back) < n {
			arrived.Get(1, true, true, rtos.WaitForever)
			for p, status := socket.Receive(rtos.NoWait); status == nic.Success; p, status = socket.Receive(rtos.NoWait) {
				back = p.AppendTo(back)
				p.Release()
			}
		}
		loop.Stop()
	})
	kernel.NewThread("writer", 10, func(*rtos.Thread) {
		if status := socket.Connect(netip.MustParseAddrPort("10.0.0.1:7"), rtos.WaitForever); status != nic.Success {
			t.Errorf("connect: %v", status)
			loop.Stop()
			return
		}
		for rest := sent; len(rest) > 0; {
			piece := rest[:min(len(rest), 1460)]
			p, status := pool.Allocate(nic.IPv4TCP, rtos.WaitForever)
			if status == nic.Success {
				status = p.Append(piece, pool, rtos.WaitForever)
			}
			if status == nic.Success {
				status = socket.Send(p, rtos.WaitForever)
			}
			if status != nic.Success {
				t.Errorf("send: %v", status)
				loop.Stop()
				return
			}
			rest = rest[len(piece):]
		}
	})
	if err := loop.StartPacer(); err != nil {
		t.Fatal(err)
	}
	if err := wire.Start(l.Down); err != nil {
		t.Fatal(err)
	}
	if err := loop.Run(sim.Time(limit)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back, sent) {
		t.Errorf("%d of %d bytes came back in %v, equal as far as they go: %v", len(back), n, loop.Now(), bytes.Equal(back, sent[:len(back)]))
	}
	t.Logf("%d bytes there and back in %v of real time", n, loop.Now())
}

func TestTheEmbeddedEngineTalksToTheKernel(t *testing.T) {
	kernelEcho(t, 1<<20, 0, time.Minute)
}

func TestTheEmbeddedEngineTalksToTheKernelSoak(t *testing.T) {
	linktest.Soak(t)
	kernelEcho(t, 100<<20, 0.01, 2*time.Hour)
}
