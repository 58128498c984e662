package stack

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// device is a world whose host a is a device with a pool.
type device struct {
	*world
	kernel *rtos.Kernel
	pool   *nic.Pool
	nic    *nic.NIC
	socket *PacketSocket
}

// newDevice makes such a world; change adjusts the configs of its hosts.
func newDevice(t testing.TB, seed uint64, profile Profile, payload, packets int, change ...func(a, b *Config)) *device {
	a := Config{Node: "a", MAC: macA, Addr: addrA, Profile: profile}
	b := Config{Node: "b", MAC: macB, Addr: addrB}
	for _, fn := range change {
		fn(&a, &b)
	}
	d := &device{world: newWorld(t, seed)}
	d.kernel = rtos.NewKernel(d.loop, rtos.Config{})
	var err error
	if d.pool, err = nic.NewPool(d.kernel, d.trace, nic.PoolConfig{Name: "pool", Node: "a", Payload: payload, Packets: packets}); err != nil {
		t.Fatal(err)
	}
	if d.nic, err = nic.New(d.loop, d.kernel, d.trace, nic.Config{Node: "a", MAC: macA, RXPool: d.pool}); err != nil {
		t.Fatal(err)
	}
	if d.a, err = New(d.loop, d.trace, a, nil); err != nil {
		t.Fatal(err)
	}
	if err := d.a.Attach(d.kernel, d.nic); err != nil {
		t.Fatal(err)
	}
	d.nic.SetWire(d.wire(true, func() link.Sink { return d.b }))
	if d.b, err = New(d.loop, d.trace, b, d.wire(false, func() link.Sink { return d.a.Port() })); err != nil {
		t.Fatal(err)
	}
	d.socket = d.a.NewSocket("app")
	return d
}

// check compares what the pool says is held with what the socket holds.
func (d *device) check() {
	d.t.Helper()
	holdings := map[string]int{}
	total := d.pool.Free()
	for _, h := range d.pool.Holdings() {
		holdings[h.Holder] = h.Packets
		total += h.Packets
	}
	if total != d.pool.Total() {
		d.t.Fatalf("%v: %d of %d packets accounted for: %v", d.loop.Now(), total, d.pool.Total(), holdings)
	}
	rx, tx, unacked := 0, 0, uint64(0)
	for _, e := range d.socket.rx.queue {
		rx += e.packet.Packets()
		if e.packet.Len() != int(e.end-e.seq) {
			d.t.Fatalf("%v: a packet of %d bytes for %d", d.loop.Now(), e.packet.Len(), e.end-e.seq)
		}
	}
	for _, e := range d.socket.tx.queue {
		tx += e.packet.Packets()
		unacked = e.end
	}
	if holdings["tcp rx"] != rx || holdings["tcp tx"] != tx {
		d.t.Fatalf("%v: pool says %v, the socket holds %d received and %d sent", d.loop.Now(), holdings, rx, tx)
	}
	if tx > 0 && unacked != d.socket.tx.written {
		d.t.Fatalf("%v: last of the queue is byte %d of %d", d.loop.Now(), unacked, d.socket.tx.written)
	}
}

// steps runs until a moment and checks the pool each millisecond.
func (d *device) steps(until time.Duration) {
	d.t.Helper()
	for d.loop.Now() < sim.Time(until) {
		if err := d.loop.Run(d.loop.Now().Add(time.Millisecond)); err != nil {
			d.t.Fatal(err)
		}
		d.check()
	}
}

// thread runs fn as a thread of the device.
func (d *device) thread(name string, priority int, fn func()) {
	d.kernel.NewThread(name, priority, func(*rtos.Thread) { fn() })
}

// packet returns a packet with data, waiting for the pool.
func (d *device) packet(data []byte) *nic.Packet {
	p, status := d.pool.Allocate(nic.TCP, rtos.WaitForever)
	if status != nic.Success {
		d.t.Errorf("allocate: %v", status)
		return nil
	}
	if status = p.Append(data, d.pool, rtos.WaitForever); status != nic.Success {
		d.t.Errorf("append: %v", status)
	}
	return p
}

func (d *device) listen(port uint16, onAccept func(*stream)) *stream {
	s := new(stream)
	if _, err := d.b.Listen(port, 0, func(c *Conn) {
		s.attach(c)
		if onAccept != nil {
			onAccept(s)
		}
	}); err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *device) want(what string, got, want nic.Status) {
	d.t.Helper()
	if got != want {
		d.t.Errorf("%v: %s returned %v, want %v", d.loop.Now(), what, got, want)
	}
}

var serverAddr = netip.MustParseAddrPort("10.0.0.2:1883")

func TestSocketEchoesOverALossyLinkWithoutLosingAPacket(t *testing.T) {
	for _, profile := range []Profile{NetX(), Linux()} {
		t.Run(profile.Name, func(t *testing.T) {
			d := newDevice(t, 4, profile, 256, 400)
			r := sim.NewRand(11, "loss")
			d.lose = func(bool, int, []byte) bool { d.check(); return r.IntN(20) == 0 }
			server := d.listen(1883, func(s *stream) {
				s.conn.OnData(func(b []byte) { s.got.Write(b); s.send(b) })
			})
			data := pattern(40_000, 6)
			var got []byte
			d.thread("reader", 3, func() {
				for d.socket.phase != established {
					d.kernel.Current().Sleep(10)
				}
				for len(got) < len(data) {
					p, status := d.socket.Receive(rtos.WaitForever)
					if status != nic.Success {
						t.Errorf("receive: %v", status)
						return
					}
					got = p.AppendTo(got)
					p.Release()
				}
			})
			d.thread("writer", 4, func() {
				d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
				for rest := data; len(rest) > 0; {
					n := min(len(rest), 700)
					p := d.packet(rest[:n])
					d.want("send", d.socket.Send(p, rtos.WaitForever), nic.Success)
					rest = rest[n:]
				}
			})
			d.steps(200 * time.Second)
			if !bytes.Equal(server.got.Bytes(), data) || !bytes.Equal(got, data) {
				t.Fatalf("server has %d bytes, device %d, of %d", server.got.Len(), len(got), len(data))
			}
			d.want("disconnect", d.socket.Disconnect(rtos.NoWait), nic.Success)
			if d.pool.Free() != 400 {
				t.Errorf("%d of 400 packets free: %v", d.pool.Free(), d.pool.Holdings())
			}
			if d.pool.Stats().InvalidReleases != 0 {
				t.Errorf("%d invalid releases", d.pool.Stats().InvalidReleases)
			}
		})
	}
}

func TestSentPacketsStayChargedUntilAcknowledged(t *testing.T) {
	d := newDevice(t, 1, NetX(), 1536, 8)
	d.delay = 50 * time.Millisecond
	d.listen(1883, nil)
	d.thread("app", 4, func() {
		d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
		for range 3 {
			d.want("send", d.socket.Send(d.packet([]byte("hello")), rtos.NoWait), nic.Success)
		}
	})
	// ARP takes 100 ms, the handshake 100 ms, data and ACK 100 ms.
	d.steps(299 * time.Millisecond)
	if d.pool.Free() != 5 {
		t.Errorf("before the ACK %d packets are free, want 5: %v", d.pool.Free(), d.pool.Holdings())
	}
	d.steps(301 * time.Millisecond)
	if d.pool.Free() != 8 {
		t.Errorf("after the ACK %d packets are free, want 8: %v", d.pool.Free(), d.pool.Holdings())
	}
}

func TestAFullTransmitQueueMakesSendWait(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 40)
	d.listen(1883, nil)
	var statuses []nic.Status
	var waited time.Duration
	cut := false
	d.lose = func(fromA bool, _ int, _ []byte) bool { return cut }
	d.thread("app", 4, func() {
		d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
		cut = true
		for range 21 {
			p := d.packet([]byte("x"))
			status := d.socket.Send(p, rtos.NoWait)
			statuses = append(statuses, status)
			if status != nic.Success {
				p.Release()
			}
		}
		p := d.packet([]byte("y"))
		start := d.loop.Now()
		d.want("send with a wait of 0.5 s", d.socket.Send(p, 50), nic.TxQueueDepth)
		waited = d.loop.Now().Sub(start)
		cut = false
		d.want("send until there is room", d.socket.Send(p, rtos.WaitForever), nic.Success)
	})
	d.steps(10 * time.Second)
	if len(statuses) != 21 || statuses[19] != nic.Success || statuses[20] != nic.TxQueueDepth {
		t.Errorf("statuses %v: NX_TCP_MAXIMUM_TX_QUEUE is 20", statuses)
	}
	if waited < 490*time.Millisecond || waited > 500*time.Millisecond {
		t.Errorf("waited %v for 50 ticks", waited)
	}
	if d.pool.Free() != 40 {
		t.Errorf("%d of 40 packets free", d.pool.Free())
	}
}

func TestAClosedPeerWindowMakesSendWait(t *testing.T) {
	d := newDevice(t, 1, NetX(), 1536, 60)
	var server *Conn
	if _, err := d.b.Listen(1883, 0, func(c *Conn) { server = c }); err != nil {
		t.Fatal(err)
	}
	profile := &d.a.profile
	profile.TxQueuePackets = 1000
	sent, last := 0, nic.Success
	d.thread("app", 4, func() {
		d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
		for last == nic.Success {
			p := d.packet(pattern(1400, 0))
			if last = d.socket.Send(p, 300); last == nic.Success {
				sent++
			} else {
				p.Release()
			}
		}
	})
	d.steps(60 * time.Second)
	if last != nic.WindowOverflow || sent < 10 {
		t.Fatalf("%d packets, then %v; want WindowOverflow", sent, last)
	}
	got := 0
	server.OnData(func(b []byte) { got += len(b) })
	d.steps(120 * time.Second)
	if got != sent*1400 || d.pool.Free() != 60 {
		t.Errorf("server has %d bytes of %d, %d packets free", got, sent*1400, d.pool.Free())
	}
}

func TestASlowReaderClosesTheWindowAndOpensItAgain(t *testing.T) {
	d := newDevice(t, 1, NetX(), 1536, 40)
	d.record = true
	data := pattern(60_000, 1)
	d.listen(1883, func(s *stream) { s.send(data) })
	var got []byte
	d.thread("app", 4, func() {
		d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
		d.kernel.Current().Sleep(500)
		for len(got) < len(data) {
			p, status := d.socket.Receive(500)
			if status != nic.Success {
				t.Errorf("%v: receive after %d bytes: %v", d.loop.Now(), len(got), status)
				return
			}
			got = p.AppendTo(got)
			p.Release()
			d.kernel.Current().Sleep(1)
		}
	})
	d.steps(4 * time.Second)
	unread := 0
	for _, e := range d.socket.rx.queue {
		unread += e.packet.Len()
	}
	// The window is 8192 and the peer fills what it can with whole segments.
	if unread > 8192 || unread < 8192-1460 {
		t.Errorf("%d bytes unread", unread)
	}
	d.steps(60 * time.Second)
	if !bytes.Equal(got, data) {
		t.Errorf("device has %d bytes of %d", len(got), len(data))
	}
	for _, f := range d.find("a>b", "TCP") {
		if strings.Contains(f, "win=") && !strings.Contains(f, "SYN") {
			var win int
			for _, part := range strings.Fields(f) {
				if n, ok := strings.CutPrefix(part, "win="); ok {
					for _, c := range n {
						win = win*10 + int(c-'0')
					}
				}
			}
			if win > 8192 {
				t.Errorf("window of %d: %s", win, f)
			}
		}
	}
}

func TestDataBeyondTheWindowIsRefusedAndAnswered(t *testing.T) {
	d := newDevice(t, 1, NetX(), 1536, 40)
	d.listen(1883, func(s *stream) { s.send(pattern(20_000, 1)) })
	d.thread("app", 4, func() { d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success) })
	d.steps(5 * time.Second)
	before := d.count[1]
	// A segment that ignores the window.
	s := d.socket
	b := make([]byte, 14+40+100)
	wire.PutEthernet(b, macA, macB, wire.EtherTypeIPv4)
	wire.PutIPv4(b[14:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: addrB.Addr(), Dst: addrA.Addr()}, 120)
	wire.PutTCP(b[34:], wire.TCPFields{
		SrcPort: 1883, DstPort: s.flow.local.Port(), Seq: s.rx.edge, Ack: s.tx.sent, Flags: wire.TCPAck, Window: 1000,
	}, addrB.Addr(), addrA.Addr(), 100)
	d.nic.Put(link.CopyFrame(b))
	if d.drops[DropWindow] == 0 || d.count[1] != before+1 {
		t.Errorf("drops %v, %d frames in answer", d.drops, d.count[1]-before)
	}
	d.check()
}

func TestReceiveWaitsTimesOutAndSaysNoPacket(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 20)
	server := d.listen(1883, nil)
	var notified []sim.Time
	d.socket.ReceiveNotify(func() { notified = append(notified, d.loop.Now()) })
	d.thread("app", 4, func() {
		_, status := d.socket.Receive(10)
		d.want("receive before connect", status, nic.NotConnected)
		d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
		_, status = d.socket.Receive(rtos.NoWait)
		d.want("receive without wait", status, nic.NoPacket)
		start := d.loop.Now()
		_, status = d.socket.Receive(20)
		d.want("receive for 20 ticks", status, nic.NoPacket)
		if waited := d.loop.Now().Sub(start); waited < 190*time.Millisecond || waited > 200*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
		d.loop.After(100*time.Millisecond, func() { server.send([]byte("late")) })
		p, status := d.socket.Receive(100)
		d.want("receive", status, nic.Success)
		if status == nic.Success {
			if string(p.AppendTo(nil)) != "late" || !slices.Equal(notified, []sim.Time{d.loop.Now()}) {
				t.Errorf("%q, notified at %v", p.AppendTo(nil), notified)
			}
			p.Release()
		}
	})
	d.steps(5 * time.Second)
}

func TestOutOfOrderPacketsStayChargedAndDuplicatesDoNot(t *testing.T) {
	d := newDevice(t, 1, NetX(), 1536, 20)
	var segments [][]byte
	d.lose = func(fromA bool, _ int, data []byte) bool {
		var l wire.Layers
		if l.Parse(data); !fromA && len(l.Payload) > 0 {
			segments = append(segments, bytes.Clone(data))
			return true
		}
		return false
	}
	d.listen(1883, func(s *stream) { s.send(pattern(3*1460, 1)) })
	d.thread("app", 4, func() { d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success) })
	d.steps(150 * time.Millisecond)
	if len(segments) < 3 {
		t.Fatalf("%d segments", len(segments))
	}
	put := func(i, free int, readable bool) {
		t.Helper()
		d.nic.Put(link.CopyFrame(segments[i]))
		d.check()
		if d.pool.Free() != free || d.socket.rx.readable() != readable {
			t.Errorf("after segment %d: %d packets free, want %d; readable %v", i, d.pool.Free(), free, d.socket.rx.readable())
		}
	}
	put(2, 19, false)
	put(2, 19, false)
	put(1, 18, false)
	put(1, 18, false)
	put(0, 17, true)
	put(1, 17, true)
	put(0, 17, true)
	var got []byte
	for range 3 {
		p, status := d.socket.Receive(rtos.NoWait)
		d.want("receive", status, nic.Success)
		if status == nic.Success {
			got = p.AppendTo(got)
			p.Release()
		}
	}
	if !bytes.Equal(got, pattern(3*1460, 1)) {
		t.Errorf("%d bytes, not those sent", len(got))
	}
	put(1, 20, false)
	if d.drops[DropDuplicate] != 5 {
		t.Errorf("drops %v, want 5 duplicates", d.drops)
	}
}

func TestDisconnectWithoutWaitSendsReset(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 20)
	d.record = true
	server := d.listen(1883, nil)
	calls := 0
	d.socket.DisconnectNotify(func() { calls++ })
	d.thread("app", 4, func() {
		d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
		d.want("connect again", d.socket.Connect(serverAddr, 1000), nic.NotClosed)
		d.want("unbind", d.socket.Unbind(), nic.NotClosed)
		d.want("send", d.socket.Send(d.packet([]byte("x")), rtos.NoWait), nic.Success)
		d.want("disconnect", d.socket.Disconnect(rtos.NoWait), nic.Success)
		d.want("disconnect again", d.socket.Disconnect(rtos.NoWait), nic.NotConnected)
		d.want("delete", d.socket.Delete(), nic.StillBound)
		d.want("unbind", d.socket.Unbind(), nic.Success)
		d.want("unbind again", d.socket.Unbind(), nic.NotBound)
		d.want("delete", d.socket.Delete(), nic.Success)
		d.want("delete again", d.socket.Delete(), nic.NotCreated)
	})
	d.steps(2 * time.Second)
	// nx_tcp_packet_send_rst.c: without ACK, at the next sequence number, with the
	// window.
	bare := d.find("a>b", fmt.Sprintf("[RST] seq=%d ack=0 win=8192 len=0", d.socket.tx.sent))
	if len(bare) != 1 || server.closed != 1 || calls != 0 {
		t.Errorf("server closed %d times, %d calls\n%s", server.closed, calls, strings.Join(d.frames, "\n"))
	}
	if d.pool.Free() != 20 {
		t.Errorf("%d of 20 packets free: %v", d.pool.Free(), d.pool.Holdings())
	}
}

func TestDisconnectWithWaitShakesHands(t *testing.T) {
	for _, unread := range []bool{false, true} {
		d := newDevice(t, 1, NetX(), 256, 20)
		d.record = true
		server := d.listen(1883, func(s *stream) {
			s.conn.OnClosed(func(err error) { s.closed++; s.err = err; s.conn.Close() })
			if unread {
				s.send([]byte("never received"))
			}
		})
		var took time.Duration
		d.thread("app", 4, func() {
			d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
			d.kernel.Current().Sleep(50)
			start := d.loop.Now()
			d.want("disconnect", d.socket.Disconnect(500), nic.Success)
			took = d.loop.Now().Sub(start)
		})
		d.steps(2 * time.Second)
		if took != 20*time.Millisecond || len(d.find("RST")) != 0 || len(d.find("FIN")) != 2 || server.closed != 1 {
			t.Errorf("unread data %v: took %v, closed %d\n%s", unread, took, server.closed, strings.Join(d.frames, "\n"))
		}
		if d.pool.Free() != 20 {
			t.Errorf("%d of 20 packets free: %v", d.pool.Free(), d.pool.Holdings())
		}
	}
}

func TestDisconnectThatThePeerIgnoresFails(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 20)
	d.listen(1883, nil) // never closes
	d.thread("app", 4, func() {
		d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
		d.want("disconnect", d.socket.Disconnect(100), nic.DisconnectFailed)
		d.want("unbind", d.socket.Unbind(), nic.Success)
		d.want("connect again", d.socket.Connect(serverAddr, 1000), nic.Success)
	})
	d.steps(5 * time.Second)
}

func TestThePeersEndIsNotifiedOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*Conn)
	}{{"FIN", (*Conn).Close}, {"RST", (*Conn).Abort}} {
		d := newDevice(t, 1, NetX(), 256, 20)
		server := d.listen(1883, func(s *stream) { s.send([]byte("last words")) })
		calls := 0
		d.socket.DisconnectNotify(func() { calls++ })
		var after nic.Status
		d.thread("app", 4, func() {
			d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
			d.kernel.Current().Sleep(10)
			tt.end(server.conn)
			d.kernel.Current().Sleep(100)
			p, status := d.socket.Receive(100)
			d.want("receive what came before", status, nic.Success)
			if status == nic.Success {
				p.Release()
			}
			_, after = d.socket.Receive(rtos.WaitForever)
			d.want("receive after the end", after, nic.NotConnected)
			d.socket.Disconnect(100)
			d.want("unbind", d.socket.Unbind(), nic.Success)
		})
		d.steps(5 * time.Second)
		if calls != 1 || after != nic.NotConnected || d.pool.Free() != 20 {
			t.Errorf("%s: %d calls, %v, %d packets free", tt.name, calls, after, d.pool.Free())
		}
	}
}

func TestConnectThatFails(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 20)
	established, disconnected := 0, 0
	d.socket.EstablishNotify(func() { established++ })
	d.socket.DisconnectNotify(func() { disconnected++ })
	d.thread("app", 4, func() {
		start := d.loop.Now()
		d.want("connect to a closed port", d.socket.Connect(serverAddr, rtos.WaitForever), nic.NotConnected)
		if took := d.loop.Now().Sub(start); took != 40*time.Millisecond {
			t.Errorf("refused after %v", took)
		}
		d.want("port 0", d.socket.Connect(netip.MustParseAddrPort("10.0.0.2:0"), 10), nic.InvalidPort)
		d.want("no route", d.socket.Connect(netip.MustParseAddrPort("192.0.2.1:80"), 10), nic.IPAddressError)
		d.want("to nobody", d.socket.Connect(netip.MustParseAddrPort("10.0.0.9:80"), 150), nic.NotConnected)
		d.want("send", d.socket.Send(d.packet([]byte("x")), 0), nic.NotConnected)
		d.want("without wait", d.socket.Connect(netip.MustParseAddrPort("10.0.0.9:80"), 0), nic.InProgress)
		d.want("disconnect while connecting", d.socket.Disconnect(0), nic.Success)
	})
	d.steps(10 * time.Second)
	// Waiting for ARP: one SYN of the connect that waited (0 s, 1 s: 2) and one more.
	if held := 20 - d.pool.Free(); held != 3+1 {
		t.Errorf("%d packets held: %v; want three SYNs in the ARP queue and the unsent one", held, d.pool.Holdings())
	}
	if established != 0 || disconnected != 1 {
		t.Errorf("established %d times, disconnected %d times; want only the refusal to be told", established, disconnected)
	}
}

func TestConnectWithoutWaitIsNotified(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 20)
	d.listen(1883, nil)
	var at sim.Time
	d.socket.EstablishNotify(func() { at = d.loop.Now() })
	d.want("connect from interrupt context", d.socket.Connect(serverAddr, rtos.NoWait), nic.InProgress)
	d.steps(time.Second)
	if at != sim.Time(40*time.Millisecond) {
		t.Errorf("established at %v, want behind ARP and SYN, 40 ms", at)
	}
}

func TestControlFramesNeedAPacket(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 4)
	server := d.listen(1883, nil)
	d.thread("app", 4, func() { d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success) })
	d.steps(time.Second)
	// One packet is left for the segment, none for its ACK.
	d.pool.Leak(3)
	server.send([]byte("x"))
	d.steps(1100 * time.Millisecond)
	if d.drops[trace.DropControl] == 0 {
		t.Errorf("drops %v, want control_pool_empty", d.drops)
	}
	d.pool.Restore(3)
	d.steps(5 * time.Second)
	if len(d.socket.rx.queue) != 1 || d.pool.Free() != 3 {
		t.Errorf("%d packets queued, %d free", len(d.socket.rx.queue), d.pool.Free())
	}
	if d.b.stats.TCP.Retransmits.Value() == 0 {
		t.Error("the peer has not sent again")
	}
}

func TestALinkWithoutDelayMayAnswerBeforeSendReturns(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 40)
	d.delay = 0
	d.listen(1883, func(s *stream) { s.conn.OnData(func(b []byte) { s.send(b) }) })
	var got []byte
	d.thread("reader", 2, func() { // of higher priority: it runs whenever it can
		for d.socket.phase != established {
			d.kernel.Current().Sleep(1)
		}
		for {
			p, status := d.socket.Receive(rtos.WaitForever)
			if status != nic.Success {
				return
			}
			got = p.AppendTo(got)
			p.Release()
		}
	})
	data := pattern(20_000, 3)
	d.thread("writer", 5, func() {
		d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
		for i := 0; i < len(data); i += 100 {
			d.want("send", d.socket.Send(d.packet(data[i:i+100]), rtos.WaitForever), nic.Success)
		}
	})
	d.steps(3 * time.Second)
	d.want("disconnect", d.socket.Disconnect(0), nic.Success)
	d.run(4 * time.Second)
	if !bytes.Equal(got, data) || d.pool.Free() != 40 {
		t.Errorf("echo of %d bytes out of %d, %d packets free", len(got), len(data), d.pool.Free())
	}
}

func TestClosingTheHostReleasesItsPackets(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 20)
	d.listen(1883, func(s *stream) { s.send(pattern(1000, 1)) })
	var status nic.Status
	d.thread("app", 4, func() {
		d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
		d.kernel.Current().Sleep(10)
		d.lose = func(bool, int, []byte) bool { return true }
		d.want("send", d.socket.Send(d.packet([]byte("x")), 0), nic.Success)
		for status == nic.Success {
			p, s := d.socket.Receive(rtos.WaitForever)
			if status = s; s == nic.Success {
				p.Release()
			}
		}
	})
	d.steps(time.Second)
	if err := d.a.Ping(netip.MustParseAddr("10.0.0.9"), 1, time.Second, nil); err != nil {
		t.Fatal(err)
	}
	d.a.Close()
	d.run(2 * time.Second)
	if status != nic.NotConnected || d.pool.Free() != 20 {
		t.Errorf("receive ended with %v, %d packets free: %v", status, d.pool.Free(), d.pool.Holdings())
	}
	d.want("send", d.socket.Send(d.packet([]byte("x")), 0), nic.NotConnected)
}
