package embedded

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

var seeds = flag.Int("seeds", 500, "runs of the differential test")

// A host is one of two stacks on a bad link.
type host struct {
	t      *testing.T
	name   string
	kernel *rtos.Kernel
	pool   *nic.Pool
	nic    *nic.NIC
	ip     *IP
	socket *TCPSocket
	sent   []byte // what its application sends
	got    []byte // and what it received
	peer   *host
	// allowed is behind the last number that the peer's delivered segments allow.
	allowed uint32
	opened  bool
}

// A badLink loses, doubles and delays frames; delays reorder them.
type badLink struct {
	t         *testing.T
	loop      *sim.Loop
	rand      *rand.Rand
	loss, dup float64
	delay     time.Duration
	jitter    time.Duration
	frames    int
	hosts     [2]*host
}

func (b *badLink) from(h *host) link.Sink {
	return link.SinkFunc(func(f *link.Frame) {
		data := append([]byte(nil), f.Data...)
		f.Release()
		b.frames++
		h.checkSent(data)
		for copies := 1; copies > 0; copies-- {
			if b.rand.Float64() < b.dup {
				copies++
			}
			if b.rand.Float64() < b.loss {
				continue
			}
			d := b.delay + time.Duration(b.rand.Int64N(int64(b.jitter)+1))
			b.loop.After(d, func() {
				h.peer.checkArrived(data)
				h.peer.nic.Put(link.CopyFrame(data))
				b.conserved()
			})
		}
	})
}

// conserved checks that every packet of both pools is where its stack says.
func (b *badLink) conserved() {
	for _, h := range b.hosts {
		h.conserved()
	}
}

// fail ends the run: a Task may not end the test itself.
func (h *host) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Errorf(format, args...)
	h.ip.loop.Stop()
}

func (h *host) conserved() {
	h.t.Helper()
	if err := h.ip.Check(); err != nil {
		h.fail("%s: %v", h.name, err)
	}
	mine := map[string]int{}
	for _, held := range h.ip.Holdings() {
		mine[held.Holder] += held.Packets
	}
	held := 0
	for _, p := range h.pool.Holdings() {
		held += p.Packets
		switch p.Holder {
		case "application", "sender", "reader", "hand-over", "interrupt": // the application's
		default:
			if mine[p.Holder] != p.Packets {
				h.fail("%s: the pool says %d packets are held by %q, the stack says %d", h.name, p.Packets, p.Holder, mine[p.Holder])
			}
		}
		delete(mine, p.Holder)
	}
	if len(mine) > 0 || held+h.pool.Free() != h.pool.Total() {
		h.fail("%s: %d held, %d free of %d; the stack also claims %v", h.name, held, h.pool.Free(), h.pool.Total(), mine)
	}
}

// checkArrived learns what the peer allows by a segment that gets to h.
func (h *host) checkArrived(frame []byte) {
	var l wire.Layers
	if l.Parse(frame) != nil || l.TCP == nil || !l.TCP.Has(flagACK) {
		return
	}
	if edge := l.TCP.Ack() + uint32(l.TCP.Window()); !h.opened || before(h.allowed, edge) {
		h.allowed, h.opened = edge, true
	}
}

// checkSent checks that h may send a segment: nothing beyond the window but the
// one byte of a probe.
func (h *host) checkSent(frame []byte) {
	h.t.Helper()
	var l wire.Layers
	if err := l.Parse(frame); err != nil {
		h.fail("%s sent %s: %v", h.name, wire.Summary(frame), err)
	}
	if l.TCP == nil || len(l.Payload) == 0 {
		return
	}
	if end := l.TCP.Seq() + uint32(len(l.Payload)); before(h.allowed, end) && len(l.Payload) != 1 {
		h.fail("%s sent %s, allowed up to %d", h.name, wire.Summary(frame), h.allowed)
	}
}

func newHost(t *testing.T, b *badLink, name string, n int, payload, packets int, window uint32, quirks Quirks) *host {
	t.Helper()
	h := &host{t: t, name: name, kernel: rtos.NewKernel(b.loop, rtos.Config{})}
	var tr *trace.Log
	var err error
	if h.pool, err = nic.NewPool(h.kernel, tr, nic.PoolConfig{Payload: payload, Packets: packets}); err != nil {
		t.Fatal(err)
	}
	mac := [6]byte{2, 0, 0, 0, 0, byte(n)}
	if h.nic, err = nic.New(b.loop, h.kernel, tr, nic.Config{MAC: mac, RXPool: h.pool}); err != nil {
		t.Fatal(err)
	}
	h.nic.SetWire(b.from(h))
	addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
	h.ip, err = New(b.loop, h.kernel, tr, Config{
		Node: name, Addr: netip.PrefixFrom(addr, 24), Quirks: &quirks, Pool: h.pool, NIC: h.nic,
		Rand: sim.NewRand(b.rand.Uint64(), name),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.socket = h.ip.NewTCPSocket(SocketConfig{DontFragment: true, Window: window})
	b.hosts[n-1] = h
	return h
}

// run starts the application: one thread that opens and sends, one that reads.
func (h *host) run(rand *rand.Rand, open func() nic.Status, sizes int, slow rtos.Ticks) {
	flags := rtos.NewEventFlags(h.kernel, h.name)
	h.kernel.NewThread("sender", 10, func(th *rtos.Thread) {
		for open() != nic.Success {
		}
		flags.Set(1)
		for rest := h.sent; len(rest) > 0; {
			n := min(1+rand.IntN(sizes), len(rest))
			p, status := h.pool.Allocate(nic.IPv4TCP, rtos.WaitForever)
			if status == nic.Success {
				status = p.Append(rest[:n], h.pool, rtos.WaitForever)
			}
			if status == nic.Success {
				status = h.socket.Send(p, rtos.WaitForever)
			}
			if status != nic.Success {
				h.t.Errorf("%s: send: %v", h.name, status)
				return
			}
			rest = rest[n:]
			if rand.IntN(8) == 0 {
				th.Sleep(rtos.Ticks(rand.IntN(30)))
			}
		}
	})
	h.kernel.NewThread("reader", 5, func(th *rtos.Thread) {
		flags.Get(1, true, false, rtos.WaitForever)
		for len(h.got) < len(h.peer.sent) {
			p, status := h.socket.Receive(rtos.WaitForever)
			if status != nic.Success {
				h.t.Errorf("%s: receive: %v", h.name, status)
				return
			}
			h.got = p.AppendTo(h.got)
			p.Release()
			if slow > 0 && rand.IntN(4) == 0 {
				th.Sleep(slow)
			}
		}
	})
}

// newExchange makes the link and the two hosts of a seed, with what they send.
func newExchange(t *testing.T, loop *sim.Loop, seed uint64, r *rand.Rand) *badLink {
	b := &badLink{
		t: t, loop: loop, rand: r, loss: r.Float64() * 0.12, dup: r.Float64() * 0.1,
		delay: time.Duration(r.Int64N(int64(80 * time.Millisecond))), jitter: time.Duration(r.Int64N(int64(40 * time.Millisecond))),
	}
	quirks := DefaultQuirks()
	if seed%2 == 1 {
		quirks = NoQuirks()
	}
	quirks.WindowFromOldAck = false // it breaks what checkSent demands
	window := uint32(1000 + r.IntN(30000))
	payload, packets := 1536, 80
	if seed%3 == 0 {
		payload, packets = 256, 400
	}
	a := newHost(t, b, "a", 1, payload, packets, window, quirks)
	z := newHost(t, b, "z", 2, payload, packets, window, quirks)
	a.peer, z.peer = z, a
	for _, h := range b.hosts {
		h.sent = make([]byte, 1000+r.IntN(20000))
		for i := range h.sent {
			h.sent[i] = byte(r.Uint32())
		}
	}
	return b
}

// accept and connect open the two ends, and make the socket ready for another
// try if the handshake failed.
func accept(s *TCPSocket) nic.Status {
	status := s.Accept(rtos.WaitForever)
	if status != nic.Success {
		s.Unaccept()
		s.Relisten(7)
	}
	return status
}

func connect(s *TCPSocket, to netip.Addr) nic.Status {
	status := s.Connect(netip.AddrPortFrom(to, 7), rtos.WaitForever)
	if status != nic.Success {
		s.Unbind()
	}
	return status
}

// exchange runs both byte streams over a link of the seed's making and checks
// all that must hold.
func exchange(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	loop := sim.NewLoop(sim.Config{Seed: seed})
	defer loop.Close()
	b := newExchange(t, loop, seed, r)
	a, z := b.hosts[0], b.hosts[1]
	sizes, slow := 1+r.IntN(3000), rtos.Ticks(r.IntN(20))
	z.socket.Listen(7, 2, nil)
	z.run(r, func() nic.Status { return accept(z.socket) }, sizes, slow)
	a.run(r, func() nic.Status { return connect(a.socket, z.ip.Addr()) }, sizes, 0)
	done := func() bool {
		return len(a.got) == len(z.sent) && len(z.got) == len(a.sent) && len(a.socket.tx) == 0 && len(z.socket.tx) == 0
	}
	for at := time.Second; at < time.Hour && !done() && !t.Failed(); at += time.Second {
		if err := loop.Run(sim.Time(at)); err != nil {
			t.Fatal(err)
		}
		b.conserved()
	}
	if !bytes.Equal(a.got, z.sent) || !bytes.Equal(z.got, a.sent) {
		t.Fatalf("after %v: %d of %d and %d of %d bytes arrived, equal so far: %v, %v; loss %.3f, states %v %v", loop.Now(),
			len(a.got), len(z.sent), len(z.got), len(a.sent), bytes.HasPrefix(z.sent, a.got), bytes.HasPrefix(a.sent, z.got),
			b.loss, a.socket.State(), z.socket.State())
	}
	for _, h := range b.hosts {
		if h.pool.Free() != h.pool.Total() {
			t.Errorf("%s: %d of %d packets free at the end; %v", h.name, h.pool.Free(), h.pool.Total(), h.pool.Holdings())
		}
	}
}

// Two engines exchange bytes both ways over links with loss, reordering and
// duplication: what arrives is what was sent, every packet is accounted for at
// each event, and no segment goes beyond what the peer allowed.
func TestStreamsAreEqualOverBadLinks(t *testing.T) {
	n := *seeds
	if testing.Short() {
		n = min(n, 50)
	}
	for seed := range uint64(n) {
		exchange(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d failed; repeat with: go test ./stack/embedded -run TestOneSeed -seed %d", seed, seed)
		}
	}
}

var oneSeed = flag.Int64("seed", -1, "the one run of TestOneSeed")

func TestOneSeed(t *testing.T) {
	if *oneSeed < 0 {
		t.Skip("no -seed")
	}
	exchange(t, uint64(*oneSeed))
}

// One run is the same whenever it is repeated.
func TestRunsRepeat(t *testing.T) {
	var first string
	for range 2 {
		d := newDevice(t, deviceConfig{})
		s := d.socket()
		deadLink(d, s)
		d.run(15_000)
		got := fmt.Sprint(d.lines, d.drops, d.ip.Counters(), d.loop.Events())
		if first == "" {
			first = got
		} else if got != first {
			t.Errorf("%s\nwas\n%s", got, first)
		}
	}
}
