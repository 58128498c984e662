package emu_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/stack"
	"hilnet/stack/embedded"
	"hilnet/trace"
	"hilnet/wire"
)

// A badLink loses, duplicates and reorders frames, as its seed says.
type badLink struct {
	loop   *sim.Loop
	stream sim.Stream
	n      uint64
	to     link.Sink
}

func (l *badLink) Put(f *link.Frame) {
	l.n++
	draw := func(lane uint64) float64 { return l.stream.Float64At(l.n, lane) }
	if draw(0) < 0.03 {
		f.Release()
		return
	}
	send := func(f *link.Frame, lane uint64) {
		delay := 5 * time.Millisecond
		if draw(lane) < 0.1 {
			delay += time.Duration(draw(lane+1) * float64(20*time.Millisecond))
		}
		l.loop.After(delay, func() { l.to.Put(f) })
	}
	if draw(1) < 0.03 {
		send(link.CopyFrame(f.Data), 2)
	}
	send(f, 4)
}

// differential sends n bytes each way between the embedded engine and gVisor's
// TCP, over bad links, and requires what arrives to be what was sent.
func differential(t *testing.T, seed uint64, n int) {
	t.Helper()
	loop := sim.NewLoop(sim.Config{Seed: seed})
	log := trace.NewLog(loop.Now)
	up := &badLink{loop: loop, stream: sim.NewStream(seed, "up")}
	down := &badLink{loop: loop, stream: sim.NewStream(seed, "down")}
	peer, err := stack.New(loop, log, stack.Config{
		Node: "peer", MAC: wire.MAC{2, 0, 0, 0, 0, 1}, Addr: netip.MustParsePrefix("10.0.0.1/24"), Profile: stack.Linux(),
	}, down)
	if err != nil {
		t.Fatal(err)
	}
	kernel := rtos.NewKernel(loop, rtos.Config{})
	pool, err := nic.NewPool(kernel, log, nic.PoolConfig{Node: "device", Payload: 600, Packets: 60})
	if err != nil {
		t.Fatal(err)
	}
	iface, err := nic.New(loop, kernel, log, nic.Config{Node: "device", MAC: [6]byte{2, 0, 0, 0, 0, 2}, RXPool: pool})
	if err != nil {
		t.Fatal(err)
	}
	ip, err := embedded.New(loop, kernel, log, embedded.Config{
		Node: "device", Addr: netip.MustParsePrefix("10.0.0.2/24"), Pool: pool, NIC: iface, Rand: sim.NewRand(seed, "device"),
	})
	if err != nil {
		t.Fatal(err)
	}
	up.to, down.to = peer, iface
	iface.SetWire(up)

	sent, answer := make([]byte, n), make([]byte, n)
	_, _ = sim.NewRand(seed, "sent").Read(sent)     // never fails
	_, _ = sim.NewRand(seed, "answer").Read(answer) // never fails
	var atPeer, atDevice []byte
	var established, lost bool
	_, err = peer.Listen(7, 1, func(c *stack.Conn) {
		left := answer
		push := func() { left = left[c.Write(left):] }
		c.OnWritable(push)
		c.OnClosed(func(error) { lost = established && len(atPeer) < n })
		c.OnData(func(data []byte) { atPeer = append(atPeer, data...) })
		push()
	})
	if err != nil {
		t.Fatal(err)
	}
	socket := ip.NewTCPSocket(embedded.SocketConfig{Window: 8192, TTL: 128, DontFragment: true})
	arrived := rtos.NewEventFlags(kernel, "arrived")
	socket.ReceiveNotify(func() { arrived.Set(1) })
	socket.DisconnectNotify(func() { lost = established; arrived.Set(1) })
	kernel.NewThread("reader", 5, func(*rtos.Thread) {
		for len(atDevice) < n && !lost {
			arrived.Get(1, true, true, rtos.WaitForever)
			for {
				p, status := socket.Receive(rtos.NoWait)
				if status != nic.Success {
					break
				}
				atDevice = p.AppendTo(atDevice)
				p.Release()
			}
		}
	})
	kernel.NewThread("writer", 10, func(th *rtos.Thread) {
		// NetX asks for an address every 10 s and gives a connect up after 11 s.
		for socket.Connect(netip.MustParseAddrPort("10.0.0.1:7"), rtos.WaitForever) != nic.Success {
			socket.Unbind()
		}
		established = true
		for rest := sent; len(rest) > 0 && !lost; {
			piece := rest[:min(len(rest), 1+int(th.Task().Now()>>10)%900)]
			p, status := pool.Allocate(nic.IPv4TCP, rtos.WaitForever)
			if status == nic.Success {
				status = p.Append(piece, pool, rtos.WaitForever)
			}
			if status == nic.Success {
				status = socket.Send(p, rtos.WaitForever)
			}
			if status != nic.Success {
				lost = true
				return
			}
			rest = rest[len(piece):]
		}
	})
	for range 120 {
		if err := loop.Run(loop.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if lost || len(atPeer) >= n && len(atDevice) >= n {
			break
		}
	}
	if err := pool.Check(); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	if !bytes.Equal(atPeer, sent[:len(atPeer)]) || !bytes.Equal(atDevice, answer[:len(atDevice)]) {
		t.Errorf("seed %d: the bytes that arrived are not those that were sent", seed)
	}
	if len(atPeer) < n || len(atDevice) < n {
		t.Errorf("seed %d: %d and %d of %d bytes arrived by %v (lost: %v)", seed, len(atPeer), len(atDevice), n, loop.Now(), lost)
	}
	peer.Close()
	if err := loop.Close(); err != nil {
		t.Error(err)
	}
}

// The embedded engine and gVisor's TCP understand each other on a link that
// loses, repeats and reorders.
func TestTheEmbeddedEngineTalksToGVisor(t *testing.T) {
	seeds := 500
	if testing.Short() {
		seeds = 20
	}
	for seed := range uint64(seeds) {
		differential(t, seed, 20_000)
	}
}

func TestTheEmbeddedEngineTalksToGVisorSoak(t *testing.T) {
	linktest.Soak(t)
	for seed := range uint64(10_000) {
		differential(t, seed, 20_000)
	}
}
