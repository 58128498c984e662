package stack

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// sixOnly gives a device and its server IPv6 addresses only.
func sixOnly(a, b *Config) {
	a.Addr, b.Addr = netip.Prefix{}, netip.Prefix{}
	a.Addr6, b.Addr6 = addr6A, addr6B
}

var serverAddr6 = netip.AddrPortFrom(addr6B.Addr(), 1883)

func TestSocketEchoesOverALossyIPv6LinkWithoutLosingAPacket(t *testing.T) {
	for _, profile := range []Profile{NetX(), Linux()} {
		t.Run(profile.Name, func(t *testing.T) {
			d := newDevice(t, 4, profile, 256, 400, sixOnly)
			r := sim.NewRand(11, "loss")
			d.lose = func(bool, int, []byte) bool { d.check(); return r.IntN(20) == 0 }
			server := d.listen(1883, func(s *stream) {
				s.conn.OnData(func(b []byte) { s.got.Write(b); s.send(b) })
			})
			data := pattern(20_000, 6)
			var got []byte
			d.thread("writer", 4, func() {
				d.want("connect", d.socket.Connect(serverAddr6, 1000), nic.Success)
				for rest := data; len(got) < len(data); {
					if n := min(len(rest), 700); n > 0 {
						d.want("send", d.socket.Send(d.packet(rest[:n]), rtos.WaitForever), nic.Success)
						rest = rest[n:]
					}
					p, status := d.socket.Receive(1)
					for ; status == nic.Success; p, status = d.socket.Receive(1) {
						got = p.AppendTo(got)
						p.Release()
					}
				}
			})
			d.steps(100 * time.Second)
			if !bytes.Equal(server.got.Bytes(), data) || !bytes.Equal(got, data) {
				t.Fatalf("server has %d bytes, device %d, of %d", server.got.Len(), len(got), len(data))
			}
			if local := d.socket.Local(); local.Addr() != addr6A.Addr() || local.Port() != server.conn.Remote().Port() {
				t.Errorf("local address %v, the server says %v", local, server.conn.Remote())
			}
			d.want("disconnect", d.socket.Disconnect(rtos.NoWait), nic.Success)
			if d.pool.Free() != 400 || d.pool.Stats().InvalidReleases != 0 {
				t.Errorf("%d of 400 packets free: %v", d.pool.Free(), d.pool.Holdings())
			}
		})
	}
}

func TestConnectByIPv6NeedsAnAddress(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 20, func(a, b *Config) {
		a.SLAAC, b.Addr6, b.Advertise = true, netip.MustParsePrefix("fd00:1::2/64"), network6
	})
	d.listen(1883, nil)
	server := netip.MustParseAddrPort("[fd00:1::2]:1883")
	d.want("connect at once", d.socket.Connect(server, rtos.NoWait), nic.IPAddressError)
	d.thread("app", 4, func() {
		d.kernel.Current().Sleep(100)
		d.want("connect after the advertisement", d.socket.Connect(server, 1000), nic.Success)
	})
	d.steps(3 * time.Second)
	if d.pool.Free() != 20 {
		t.Errorf("%d of 20 packets free: %v", d.pool.Free(), d.pool.Holdings())
	}
}

func TestAnIPv6PacketThatWaitsForANeighbourStaysCharged(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 4, sixOnly)
	d.lose = func(bool, int, []byte) bool { return true }
	if status := d.socket.Connect(serverAddr6, rtos.NoWait); status != nic.InProgress {
		t.Fatalf("connect: %v", status)
	}
	d.steps(500 * time.Millisecond)
	if d.pool.Free() != 3 { // the SYN; the solicitation was charged while it was sent
		t.Errorf("%d of 4 packets free: %v", d.pool.Free(), d.pool.Holdings())
	}
	// The solicitations end at 3 s, and the SYNs of 0 and 1 s with them.
	d.steps(3100 * time.Millisecond)
	if d.drops[DropNDTimeout] == 0 || d.pool.Stats().MinFree > 2 {
		t.Errorf("drops %v, at least %d free", d.drops, d.pool.Stats().MinFree)
	}
}

func TestAnEmptyPoolSilencesNeighbourDiscovery(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 2, sixOnly)
	for range 2 {
		if _, status := d.pool.Allocate(nic.TCP, rtos.NoWait); status != nic.Success {
			t.Fatal(status)
		}
	}
	if status := d.socket.Connect(serverAddr6, rtos.NoWait); status != nic.InProgress {
		t.Fatalf("connect: %v", status)
	}
	d.steps(100 * time.Millisecond)
	if d.drops[trace.DropControl] != 1 || d.count[1] != 0 {
		t.Errorf("drops %v, %d frames", d.drops, d.count[1])
	}
}

func TestNetXProfileOnTheWireOfIPv6(t *testing.T) {
	w := newWorld(t, 1).dual(profiles(NetX(), Linux()))
	segments, syns, cut := 0, 0, false
	w.lose = func(fromA bool, n int, frame []byte) bool {
		var l wire.Layers
		if l.Parse(frame) != nil || l.TCP == nil {
			return cut
		}
		if !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
			t.Errorf("wrong checksum: %s", wire.Summary(frame))
		}
		o, err := l.TCP.Options()
		if err != nil || o.HasTimestamps || o.HasWindowScale || o.SACKPermitted {
			t.Errorf("options % x of %s", l.TCP.RawOptions(), wire.Summary(frame))
		}
		if fromA {
			if l.TCP.Has(wire.TCPSyn) {
				syns++
				if want := []byte{2, 4, 5, 0xa0, 1, 1, 1, 0}; !bytes.Equal(l.TCP.RawOptions(), want) { // 1,440
					t.Errorf("options of the SYN % x, want % x", l.TCP.RawOptions(), want)
				}
			}
			if l.IPv6.HopLimit() != 255 || l.TCP.Window() > 8192 {
				t.Errorf("hop limit %d, %s", l.IPv6.HopLimit(), wire.Summary(frame))
			}
			if len(l.Payload) > 0 {
				if segments++; !l.TCP.Has(wire.TCPPsh) || len(l.TCP) != 20 || len(l.Payload) > 1440 {
					t.Errorf("segment %s", wire.Summary(frame))
				}
			}
		}
		return cut
	}
	client, server := w.dial6(1883)
	client.send(pattern(4000, 1))
	w.run(2 * time.Second)
	if server.got.Len() != 4000 || segments < 3 || syns != 1 {
		t.Errorf("server has %d bytes of %d segments, %d SYNs", server.got.Len(), segments, syns)
	}
	cut = true
	segments = 0
	client.send([]byte("x"))
	w.run(30 * time.Second)
	if segments != 11 || client.err == nil {
		t.Errorf("%d segments after the cut, want one and 10 retries; %v", segments, client.err)
	}
}

func TestASegmentSentAgainKeepsItsIdentification(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 20)
	d.listen(1883, nil)
	type sent struct {
		payload string
		seq     uint32
		id      uint16
	}
	var all []sent
	cut := false
	d.lose = func(fromA bool, _ int, frame []byte) bool {
		var l wire.Layers
		if fromA && l.Parse(frame) == nil && l.TCP != nil && len(l.Payload) > 0 {
			all = append(all, sent{string(l.Payload), l.TCP.Seq(), l.IPv4.ID()})
		}
		return cut
	}
	d.thread("app", 4, func() {
		d.want("connect", d.socket.Connect(serverAddr, 1000), nic.Success)
		d.want("send", d.socket.Send(d.packet([]byte("one")), rtos.NoWait), nic.Success)
		d.kernel.Current().Sleep(50)
		cut = true
		d.want("send", d.socket.Send(d.packet([]byte("two")), rtos.NoWait), nic.Success)
		d.kernel.Current().Sleep(350)
		cut = false
		d.kernel.Current().Sleep(200)
		d.want("send", d.socket.Send(d.packet([]byte("three")), rtos.NoWait), nic.Success)
	})
	d.steps(10 * time.Second)
	if len(all) != 7 || all[0].payload != "one" || all[6].payload != "three" {
		t.Fatalf("sent %+v, want one, two five times, three", all)
	}
	for _, s := range all[2:6] {
		if s != all[1] {
			t.Errorf("sent again as %+v, first as %+v", s, all[1])
		}
	}
	if all[1].id == all[0].id || all[6].id <= all[1].id {
		t.Errorf("identifications %+v", all)
	}
	if n := len(d.socket.tx.ids); n != 0 {
		t.Errorf("%d identifications of what was acknowledged are kept", n)
	}
}

func TestDropsOfADeviceNameTheirFrame(t *testing.T) {
	d := newDevice(t, 1, NetX(), 256, 20)
	var frames []uint64
	d.trace.Subscribe(func(e *trace.Event) {
		if e.Kind == trace.KindDrop && e.Node == "a" {
			frames = append(frames, e.Frame)
		}
	})
	// b's first frame asks for a's address, its second is a SYN to a closed port.
	if _, err := d.b.Dial(netip.AddrPortFrom(addrA.Addr(), 9)); err != nil {
		t.Fatal(err)
	}
	var id uint64
	d.tap = func(fromA bool, data []byte) {
		if !fromA && strings.Contains(wire.Summary(data), "[SYN]") {
			id = d.ids
		}
	}
	d.steps(time.Second)
	if len(frames) != 1 || frames[0] != id || id == 0 {
		t.Errorf("drops of the frames %v, want %d", frames, id)
	}
}
