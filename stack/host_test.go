package stack

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

func TestPingTakesOneRoundTripBehindARP(t *testing.T) {
	w := newWorld(t, 1).hosts(Linux(), NetX())
	w.record = true
	var rtts []time.Duration
	ping := func() {
		err := w.a.Ping(addrB.Addr(), 56, time.Second, func(rtt time.Duration, err error) {
			if err != nil {
				t.Error(err)
			}
			rtts = append(rtts, rtt)
		})
		if err != nil {
			t.Error(err)
		}
	}
	ping()
	w.loop.At(sim.Time(time.Second), ping)
	w.run(3 * time.Second)
	// The first waits for ARP, 20 ms; the second does not, for b learned a's
	// address from its request.
	if want := []time.Duration{40 * time.Millisecond, 20 * time.Millisecond}; !slices.Equal(rtts, want) {
		t.Errorf("round trips %v, want %v", rtts, want)
	}
	want := []string{
		"0.000000000s a>b ARP who has 10.0.0.2? tell 10.0.0.1 at 02:00:00:00:00:01",
		"0.010000000s b>a ARP 10.0.0.2 is at 02:00:00:00:00:02, to 10.0.0.1",
		"0.020000000s a>b ICMP 10.0.0.1 > 10.0.0.2 type=8 code=0 id=1 seq=1 len=56",
		"0.030000000s b>a ICMP 10.0.0.2 > 10.0.0.1 type=0 code=0 id=1 seq=1 len=56",
	}
	if !slices.Equal(w.frames[:4], want) || len(w.frames) != 6 {
		t.Errorf("frames:\n%s", strings.Join(w.frames, "\n"))
	}
}

func TestUnansweredPingEndsWithTimeout(t *testing.T) {
	w := newWorld(t, 1).hosts(Linux(), Linux())
	w.lose = func(fromA bool, n int, data []byte) bool { return !fromA && n > 1 }
	var got error
	if err := w.a.Ping(addrB.Addr(), 0, time.Second, func(_ time.Duration, err error) { got = err }); err != nil {
		t.Fatal(err)
	}
	w.run(2 * time.Second)
	if !errors.Is(got, ErrTimeout) {
		t.Errorf("ping ended with %v, want ErrTimeout", got)
	}
	if err := w.a.Ping(netip.MustParseAddr("192.0.2.1"), 0, time.Second, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("ping without a route: %v", err)
	}
}

func TestBulkDataBothWaysSurvivesLoss(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b Profile
		loss int // one frame of so many
		n    int
	}{
		{"linux, no loss", Linux(), Linux(), 0, 3 << 20},
		{"linux, 2 % loss", Linux(), Linux(), 50, 1 << 20},
		{"netx to linux, no loss", NetX(), Linux(), 0, 300 << 10},
		{"netx to linux, 2 % loss", NetX(), Linux(), 50, 100 << 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 3).hosts(tt.a, tt.b)
			r := sim.NewRand(7, "loss")
			if tt.loss > 0 {
				w.lose = func(bool, int, []byte) bool { return r.IntN(tt.loss) == 0 }
			}
			client, server := w.dial(1883)
			up, down := pattern(tt.n, 1), pattern(tt.n, 2)
			client.send(up)
			client.conn.OnData(func(d []byte) {
				if client.got.Write(d); client.got.Len() == tt.n {
					client.closeNow = true
					client.push()
				}
			})
			w.loop.After(200*time.Millisecond, func() {
				if server.conn == nil {
					t.Error("not accepted after 200 ms")
					return
				}
				server.send(down)
			})
			w.run(200 * time.Second)
			if !bytes.Equal(server.got.Bytes(), up) {
				t.Errorf("server has %d bytes of %d", server.got.Len(), len(up))
			}
			if !bytes.Equal(client.got.Bytes(), down) {
				t.Errorf("client has %d bytes of %d", client.got.Len(), len(down))
			}
			if server.err != io.EOF || server.closed != 1 {
				t.Errorf("server's end: %v, %d times", server.err, server.closed)
			}
			if tt.loss == 0 && len(w.drops) > 0 {
				t.Errorf("drops %v", w.drops)
			}
		})
	}
}

func TestServerSpeaksFirstAndClosesFirst(t *testing.T) {
	w := newWorld(t, 1).hosts(Linux(), Linux())
	greeting := pattern(200_000, 9)
	server := new(stream)
	if _, err := w.b.Listen(80, 0, func(c *Conn) {
		server.attach(c)
		server.closeNow = true
		server.send(greeting)
	}); err != nil {
		t.Fatal(err)
	}
	c, err := w.a.Dial(netip.MustParseAddrPort("10.0.0.2:80"))
	if err != nil {
		t.Fatal(err)
	}
	client := new(stream).attach(c)
	w.run(5 * time.Second)
	if client.connected != 1 || !bytes.Equal(client.got.Bytes(), greeting) || client.err != io.EOF {
		t.Errorf("connected %d times, %d bytes, %v", client.connected, client.got.Len(), client.err)
	}
	if server.closed != 0 {
		t.Error("OnClosed was called after Close")
	}
	if c.Local().Port() < 32768 || c.Remote().Port() != 80 {
		t.Errorf("%v > %v", c.Local(), c.Remote())
	}
	client.conn.Close()
	w.run(100 * time.Second)
	if got := w.b.stats.TCP.CurrentEstablished.Value(); got != 0 {
		t.Errorf("%d connections stand", got)
	}
}

func TestAbortResetsThePeer(t *testing.T) {
	w := newWorld(t, 1).hosts(Linux(), Linux())
	w.record = true
	client, server := w.dial(80)
	w.run(time.Second)
	client.conn.Abort()
	w.run(2 * time.Second)
	if !errors.Is(server.err, ErrReset) || server.closed != 1 {
		t.Errorf("server's end: %v, %d times", server.err, server.closed)
	}
	if len(w.find("a>b", "RST")) != 1 {
		t.Errorf("frames:\n%s", strings.Join(w.frames, "\n"))
	}
	var e *Error
	if !errors.As(server.err, &e) || !strings.Contains(e.Op, "10.0.0.1") {
		t.Errorf("%#v", server.err)
	}
}

func TestDialToAClosedPortIsRefused(t *testing.T) {
	w := newWorld(t, 1).hosts(Linux(), Linux())
	c, err := w.a.Dial(netip.MustParseAddrPort("10.0.0.2:81"))
	if err != nil {
		t.Fatal(err)
	}
	s := new(stream).attach(c)
	w.run(time.Second)
	if !errors.Is(s.err, ErrRefused) || s.connected != 0 {
		t.Errorf("%v, connected %d times", s.err, s.connected)
	}
	if w.drops[trace.DropNoPort] != 1 {
		t.Errorf("drops %v, want the SYN as no_listener", w.drops)
	}
}

func TestDialIntoSilenceTimesOut(t *testing.T) {
	w := newWorld(t, 1).hosts(Linux(), Linux())
	w.record = true
	w.lose = func(fromA bool, n int, data []byte) bool { return fromA && n > 1 }
	c, _ := w.a.Dial(netip.MustParseAddrPort("10.0.0.2:81"))
	s := new(stream).attach(c)
	w.run(200 * time.Second)
	if !errors.Is(s.err, ErrTimeout) {
		t.Errorf("%v, want ErrTimeout", s.err)
	}
	if n := len(w.find("SYN")); n != 7 {
		t.Errorf("%d SYNs, want 7 at 0, 1, 3, 7, 15, 31, 63 s:\n%s", n, strings.Join(w.find("SYN"), "\n"))
	}
}

func TestUnansweredARP(t *testing.T) {
	t.Run("linux gives up after three requests and tells TCP", func(t *testing.T) {
		w := newWorld(t, 1).hosts(Linux(), Linux())
		w.record = true
		c, _ := w.a.Dial(netip.MustParseAddrPort("10.0.0.77:1"))
		s := new(stream).attach(c)
		w.run(100 * time.Second)
		if !errors.Is(s.err, ErrUnreachable) || len(w.find("ARP who has 10.0.0.77")) != 3 {
			t.Errorf("%v\n%s", s.err, strings.Join(w.frames, "\n"))
		}
		// The SYNs of 0, 1 and 3 s waited.
		if w.drops[trace.DropARPTimeout] != 3 {
			t.Errorf("drops %v", w.drops)
		}
	})
	t.Run("netx asks every ten seconds and keeps four packets", func(t *testing.T) {
		w := newWorld(t, 1).hosts(NetX(), Linux())
		w.record = true
		for range 6 {
			if err := w.a.Ping(netip.MustParseAddr("10.0.0.77"), 1, time.Second, func(time.Duration, error) {}); err != nil {
				t.Fatal(err)
			}
		}
		w.run(400 * time.Second)
		asked := w.find("ARP who has 10.0.0.77")
		if len(asked) != 19 || !strings.HasPrefix(asked[18], "180.") {
			t.Errorf("%d requests, the last %q", len(asked), asked[len(asked)-1])
		}
		if w.drops[trace.DropARPQueue] != 2 || w.drops[trace.DropARPTimeout] != 4 {
			t.Errorf("drops %v, want 2 arp_queue_full and 4 arp_timeout", w.drops)
		}
	})
	t.Run("an answer after the first request is lost sends what waited", func(t *testing.T) {
		w := newWorld(t, 1).hosts(NetX(), Linux())
		w.lose = func(fromA bool, n int, data []byte) bool { return fromA && n == 1 }
		var rtt time.Duration
		if err := w.a.Ping(addrB.Addr(), 1, time.Minute, func(d time.Duration, err error) { rtt = d }); err != nil {
			t.Fatal(err)
		}
		w.run(time.Minute)
		if rtt != 10*time.Second+40*time.Millisecond {
			t.Errorf("round trip %v: one lost ARP request costs NetX 10 s", rtt)
		}
	})
	t.Run("an entry with a lifetime is asked for again", func(t *testing.T) {
		p := Linux()
		p.ARP.Lifetime = 5 * time.Second
		w := newWorld(t, 1).hosts(p, Linux())
		w.record = true
		for i := range 4 {
			w.loop.At(sim.Time(i)*sim.Time(3*time.Second), func() {
				w.a.Ping(addrB.Addr(), 1, time.Second, func(_ time.Duration, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			})
		}
		w.run(20 * time.Second)
		if n := len(w.find("a>b ARP who has")); n != 2 {
			t.Errorf("%d requests, want those at 0 s and 6 s", n)
		}
	})
}

// frame builds a frame to b; change damages it.
func frameToB(protocol uint8, n int, change func(b []byte)) []byte {
	b := make([]byte, 14+20+n)
	wire.PutEthernet(b, macB, macA, wire.EtherTypeIPv4)
	wire.PutIPv4(b[14:], wire.IPv4Fields{TTL: 64, Protocol: protocol, Src: addrA.Addr(), Dst: addrB.Addr()}, n)
	switch protocol {
	case wire.ProtocolTCP:
		wire.PutTCP(b[34:], wire.TCPFields{SrcPort: 1, DstPort: 2, Flags: wire.TCPSyn}, addrA.Addr(), addrB.Addr(), 0)
	case wire.ProtocolICMP:
		wire.PutICMPv4Echo(b[34:], wire.ICMPEchoRequest, 1, 1, b[42:])
	}
	if change != nil {
		change(b)
	}
	return b
}

func TestEveryRefusedFrameHasAReason(t *testing.T) {
	ip := func(b []byte) wire.IPv4 { return wire.IPv4(b[14:34]) }
	for _, tt := range []struct {
		name string
		data []byte
		want trace.DropReason
	}{
		{"cut", []byte{1, 2, 3}, trace.DropMalformed},
		{"another MAC", frameToB(wire.ProtocolTCP, 20, func(b []byte) { b[5] = 9 }), trace.DropNotForUs},
		{"a multicast MAC", frameToB(wire.ProtocolTCP, 20, func(b []byte) { b[0] = 1 }), trace.DropNotForUs},
		{"another IP", frameToB(wire.ProtocolTCP, 20, func(b []byte) { b[33] = 9; ip(b).UpdateChecksum() }), trace.DropNotForUs},
		{"our own source", frameToB(wire.ProtocolTCP, 20, func(b []byte) { b[29] = 2; ip(b).UpdateChecksum() }), trace.DropMalformed},
		{"IP checksum", frameToB(wire.ProtocolTCP, 20, func(b []byte) { b[24]++ }), trace.DropChecksum},
		{"TCP checksum", frameToB(wire.ProtocolTCP, 20, func(b []byte) { b[50]++ }), trace.DropChecksum},
		{"ICMP checksum", frameToB(wire.ProtocolICMP, 20, func(b []byte) { b[50]++ }), trace.DropChecksum},
		{"no socket", frameToB(wire.ProtocolTCP, 20, nil), trace.DropNoPort},
		{"UDP", frameToB(wire.ProtocolUDP, 20, func(b []byte) { wire.PutUDP(b[34:], 1, 2, addrA.Addr(), addrB.Addr(), 12) }), trace.DropUnknown},
		{"IGMP", frameToB(2, 20, nil), trace.DropUnknown},
		{"IPv6", frameToB(0, 20, func(b []byte) {
			b[12], b[13] = 0x86, 0xdd
			wire.PutIPv6(b[14:], 59, 1, netip.IPv6Loopback(), netip.IPv6Loopback(), 0)
		}), trace.DropUnknown},
		{"LLDP", frameToB(0, 20, func(b []byte) { b[12], b[13] = 0x88, 0xcc }), trace.DropUnknown},
		{"VLAN", frameToB(0, 40, func(b []byte) { b[12], b[13], b[16], b[17] = 0x81, 0, 0x88, 0xcc }), trace.DropUnknown},
		{"ARP for another", func() []byte {
			b := make([]byte, 42)
			wire.PutEthernet(b, wire.BroadcastMAC, macA, wire.EtherTypeARP)
			wire.PutARP(b[14:], wire.ARPRequest, macA, addrA.Addr(), wire.MAC{}, netip.MustParseAddr("10.0.0.9"))
			return b
		}(), trace.DropNotForUs},
		{"TCP to the broadcast address", frameToB(wire.ProtocolTCP, 20, func(b []byte) {
			b[33] = 255
			ip(b).UpdateChecksum()
		}), trace.DropNotForUs},
		{"echo reply to nobody", frameToB(wire.ProtocolICMP, 20, func(b []byte) {
			wire.PutICMPv4Echo(b[34:], wire.ICMPEchoReply, 1, 1, b[42:])
		}), trace.DropNoPort},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 1).hosts(Linux(), Linux())
			w.b.Put(link.CopyFrame(tt.data))
			w.run(time.Second)
			if w.drops[tt.want] == 0 || len(w.drops) != 1 {
				t.Errorf("drops %v, want one %s\n%s", w.drops, tt.want, strings.Join(w.texts, "\n"))
			}
			if w.b.Counters().Dropped != 1 {
				t.Errorf("counters %+v", w.b.Counters())
			}
			w.b.Close()
			w.b.Put(link.CopyFrame(tt.data))
			if w.drops[trace.DropNoUpper] != 1 {
				t.Errorf("a closed host: drops %v", w.drops)
			}
		})
	}
}

func TestNetXProfileOnTheWire(t *testing.T) {
	w := newWorld(t, 1).hosts(NetX(), Linux())
	var syn, synAck, data [][]byte
	var ids []uint16
	cut := false
	w.lose = func(fromA bool, n int, frame []byte) bool {
		var l wire.Layers
		if l.Parse(frame) != nil || l.TCP == nil {
			return false
		}
		if !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) || !l.IPv4.ChecksumOK() {
			t.Errorf("wrong checksum: %s", wire.Summary(frame))
		}
		switch {
		case fromA:
			ids = append(ids, l.IPv4.ID())
			if l.IPv4.TTL() != 128 || !l.IPv4.DontFragment() || l.TCP.Window() > 8192 {
				t.Errorf("TTL %d, DF %v, %s", l.IPv4.TTL(), l.IPv4.DontFragment(), wire.Summary(frame))
			}
			if l.TCP.Has(wire.TCPSyn) {
				syn = append(syn, bytes.Clone(l.TCP))
			}
			if len(l.Payload) > 0 {
				data = append(data, bytes.Clone(l.TCP))
			}
		case l.TCP.Has(wire.TCPSyn):
			synAck = append(synAck, bytes.Clone(l.TCP))
		}
		return cut
	}
	client, server := w.dial(1883)
	w.run(time.Second)
	want := []byte{2, 4, 5, 0xb4, 1, 1, 1, 0} // nx_tcp_packet_send_syn.c
	if len(syn) != 1 || !bytes.Equal(wire.TCP(syn[0]).RawOptions(), want) {
		t.Errorf("SYNs % x, want the options % x", syn, want)
	}
	if o, err := wire.TCP(synAck[0]).Options(); err != nil || o.HasTimestamps || o.HasWindowScale || o.SACKPermitted {
		t.Errorf("the peer was not offered these: %+v, %v", o, err)
	}
	client.send(pattern(4000, 1))
	w.run(2 * time.Second)
	if server.got.Len() != 4000 {
		t.Errorf("server has %d bytes", server.got.Len())
	}
	for _, d := range data {
		if !wire.TCP(d).Has(wire.TCPPsh) || len(d) != 20 {
			t.Errorf("segment with data: flags %v, header of %d bytes", wire.TCP(d).Flags(), len(d))
		}
	}
	for i, id := range ids {
		if int(id) != i+1 {
			t.Errorf("IP identifications %v, want a count from 1", ids)
			break
		}
	}
	// A constant retransmission time-out of 1 s; given up at 11 s, without RST.
	cut, w.record, w.frames = true, true, nil
	start := w.loop.Now()
	client.send([]byte("x"))
	var gone sim.Time
	client.conn.OnClosed(func(err error) {
		gone = w.loop.Now()
		if !errors.Is(err, ErrTimeout) {
			t.Errorf("%v, want ErrTimeout", err)
		}
	})
	w.run(30 * time.Second)
	if n := len(w.find("a>b")); n != 11 {
		t.Errorf("%d frames after the cut, want the segment and 10 retries:\n%s", n, strings.Join(w.frames, "\n"))
	}
	if gone.Sub(start) != 11*time.Second || len(w.find("RST")) != 0 {
		t.Errorf("given up after %v", gone.Sub(start))
	}
}

func TestANetXListenerHidesTheOptionsOfTheSYN(t *testing.T) {
	w := newWorld(t, 1).hosts(Linux(), NetX())
	w.record = true
	client, server := w.dial(80)
	client.send(pattern(50_000, 3))
	client.closeNow = true
	w.run(20 * time.Second)
	if server.got.Len() != 50_000 || server.err != io.EOF {
		t.Errorf("server has %d bytes, %v", server.got.Len(), server.err)
	}
}

func TestListenerClosesInOrderAndFreesThePort(t *testing.T) {
	run := func() string {
		w := newWorld(t, 5).hosts(Linux(), Linux())
		l, err := w.b.Listen(80, 0, func(*Conn) {})
		if err != nil {
			t.Fatal(err)
		}
		// SYN-ACKs are lost, so twenty connections stay half open.
		w.lose = func(fromA bool, n int, data []byte) bool { return !fromA && n > 1 }
		for range 20 {
			if _, err := w.a.Dial(netip.MustParseAddrPort("10.0.0.2:80")); err != nil {
				t.Fatal(err)
			}
		}
		w.run(500 * time.Millisecond)
		l.Close()
		l.Close()
		if _, err := w.b.Listen(80, 0, func(*Conn) {}); err != nil {
			t.Errorf("listen again: %v", err)
		}
		if _, err := w.b.Listen(80, 0, func(*Conn) {}); !errors.Is(err, ErrInUse) {
			t.Errorf("second listener on a port: %v", err)
		}
		w.run(5 * time.Second)
		w.close()
		return w.sum()
	}
	first := run()
	for range 5 {
		if got := run(); got != first {
			t.Fatalf("two runs differ: %s, %s", first, got)
		}
	}
}

func TestReadingOnlyWhenAskedClosesTheWindow(t *testing.T) {
	w := newWorld(t, 1).hosts(Linux(), Linux())
	w.record = true
	server := new(stream)
	if _, err := w.b.Listen(80, 0, func(c *Conn) { server.conn = c }); err != nil {
		t.Fatal(err)
	}
	c, _ := w.a.Dial(netip.MustParseAddrPort("10.0.0.2:80"))
	client := new(stream).attach(c)
	client.send(pattern(8<<20, 4))
	w.run(20 * time.Second)
	if len(client.pending) == 0 || len(w.find("b>a", "win=0 ")) == 0 {
		t.Fatalf("%d bytes wait at the sender; want some, and a closed window", len(client.pending))
	}
	server.attach(server.conn)
	w.run(60 * time.Second)
	if !bytes.Equal(server.got.Bytes(), pattern(8<<20, 4)) {
		t.Errorf("server has %d bytes of %d", server.got.Len(), 8<<20)
	}
}

func TestBadConfigsAreErrors(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	good := Config{Node: "a", MAC: macA, Addr: addrA}
	for name, change := range map[string]func(*Config){
		"no node":           func(c *Config) { c.Node = "" },
		"no MAC":            func(c *Config) { c.MAC = wire.MAC{} },
		"multicast MAC":     func(c *Config) { c.MAC = wire.BroadcastMAC },
		"no address":        func(c *Config) { c.Addr = netip.Prefix{} },
		"IPv6":              func(c *Config) { c.Addr = netip.MustParsePrefix("fd00::1/64") },
		"far gateway":       func(c *Config) { c.Gateway = netip.MustParseAddr("10.1.0.1") },
		"MTU":               func(c *Config) { c.MTU = 60 },
		"TTL":               func(c *Config) { c.Profile = Linux(); c.Profile.TTL = 0 },
		"window":            func(c *Config) { c.Profile = NetX(); c.Profile.MaxWindow = 70000 },
		"window with scale": func(c *Config) { c.Profile = NetX(); c.Profile.PlainSYN = false },
		"ARP":               func(c *Config) { c.Profile = NetX(); c.Profile.ARP.Requests = 0 },
		"ports":             func(c *Config) { c.Profile = NetX(); c.Profile.FirstPort = 0 },
		"queue":             func(c *Config) { c.Profile = NetX(); c.Profile.TxQueueBytes = 0 },
		"RTO":               func(c *Config) { c.Profile = NetX(); c.Profile.RTO = -1 },
	} {
		cfg := good
		change(&cfg)
		if h, err := New(loop, nil, cfg, nil); err == nil {
			h.Close()
			t.Errorf("%s: no error", name)
		}
	}
	h, err := New(loop, nil, good, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Dial(netip.MustParseAddrPort("192.0.2.1:80")); !errors.Is(err, ErrUnreachable) {
		t.Errorf("dial without a route: %v", err)
	}
	h.Close()
	h.Close()
	if _, err := h.Dial(netip.MustParseAddrPort("10.0.0.2:80")); !errors.Is(err, ErrClosed) {
		t.Errorf("dial from a closed host: %v", err)
	}
	if got := runtime.GOMAXPROCS(0); got != procsAtStart {
		t.Errorf("GOMAXPROCS is %d, was %d", got, procsAtStart)
	}
}

var procsAtStart = runtime.GOMAXPROCS(0)
