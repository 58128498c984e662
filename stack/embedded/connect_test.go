package embedded

import (
	"bytes"
	"net/netip"
	"testing"

	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/wire"
)

func TestSYNIsByteForByteNetX(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	d.at(0, func() { d.socket().Connect(broker, rtos.NoWait) })
	d.run(1)
	frame := d.raw[0]
	var l wire.Layers
	if err := l.Parse(frame); err != nil {
		t.Fatal(err)
	}
	if got, want := l.TCP.RawOptions(), []byte{2, 4, 5, 0xb4, 1, 1, 1, 0}; !bytes.Equal(got, want) {
		t.Errorf("options % x, want % x", got, want)
	}
	if len(frame) != 62 || l.IPv4.TTL() != 128 || !l.IPv4.DontFragment() || l.IPv4.TOS() != 0 || l.IPv4.ID() != 1 ||
		l.TCP.Window() != 8192 || l.Ethernet.Dst() != hostMAC || l.Ethernet.Src() != deviceMAC {
		t.Errorf("%d bytes: %s\n% x", len(frame), wire.Summary(frame), frame)
	}
}

// The timer that sends again is on the grid of the IP instance, so the first
// retry comes 0.9 to 1 s after the first try, and the others at 1 s.
func TestFirstRetryDependsOnThePhase(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	d.at(37, func() { d.socket().Connect(broker, rtos.NoWait) })
	d.run(2500)
	d.want("37 S 0 0 len=0 win=8192 id=1", "1000 S 0 0 len=0 win=8192 id=2", "2000 S 0 0 len=0 win=8192 id=3")
}

// draws returns first sequence numbers and ports of three connections of one
// socket.
func draws(t *testing.T, rand *sim.Rand) (isn [3]uint32, port [3]uint16) {
	t.Helper()
	d := newDevice(t, deviceConfig{rand: rand, isn: []uint32{}, ports: []uint16{}})
	s := d.socket()
	for i := range 3 {
		s.Connect(broker, rtos.NoWait)
		isn[i], port[i] = s.txSeq-1, s.Port()
		s.Disconnect(rtos.NoWait)
		s.Unbind()
	}
	return isn, port
}

func TestNumbersOfAnUnseededDeviceRepeatAtEachBoot(t *testing.T) {
	isn, port := draws(t, nil)
	again, portAgain := draws(t, nil)
	if isn != again || port != portAgain {
		t.Errorf("two boots: %v %v and %v %v", isn, port, again, portAgain)
	}
	// newlib's rand after its seed of 1.
	const r1, r2, r3 = 1481765933, 1085377743, 1270216262
	if port[0] != 0xC000+r1%0x4000 {
		t.Errorf("first port %d", port[0])
	}
	if want := uint32(r2<<16&0xFFFFFFFF) | r3; isn[0] != want {
		t.Errorf("first number %d, want %d", isn[0], want)
	}
	// Later: the last number, which the SYN had moved by one, 0x10000 and a draw.
	r := newRandom(nil)
	for range 4 { // port, two halves, next port
		r.next()
	}
	if want := isn[0] + 1 + 0x10000 + r.next(); isn[1] != want {
		t.Errorf("second number %d, want %d", isn[1], want)
	}
}

func TestNumbersFromTheSeed(t *testing.T) {
	a, portA := draws(t, sim.NewRand(1, "dev/rand"))
	b, portB := draws(t, sim.NewRand(1, "dev/rand"))
	c, portC := draws(t, sim.NewRand(2, "dev/rand"))
	if a != b || portA != portB {
		t.Error("one seed gave two sequences")
	}
	if a == c || portA == portC {
		t.Error("two seeds gave one sequence")
	}
	for _, p := range append(portA[:], portC[:]...) {
		if p < 0xC000 {
			t.Errorf("client port %d", p)
		}
	}
}

func TestRepeatedSYNStartsWithOneSegment(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	d.at(0, func() { s.Connect(broker, rtos.NoWait) })
	d.at(1000.5, func() { d.host(synAck, 0, 1, 64240, "") })
	d.at(1001, func() {
		if status := s.Send(d.message(1400), rtos.NoWait); status != nic.Success {
			t.Errorf("first: %v", status)
		}
		p := d.message(1000)
		if status := s.Send(p, rtos.NoWait); status != nic.WindowOverflow || p.Len() != 940 {
			t.Errorf("second: %v, %d bytes left; the window of one segment has room for 60", status, p.Len())
		}
		p.Release()
	})
	d.run(1002)
	d.want("0 S 0 0 len=0 win=8192 id=1", "1000 S 0 0 len=0 win=8192 id=2", "1000.5 A 1 1 len=0 win=8192 id=3",
		"1001 PA 1 1 len=1400 win=8192 id=4", "1001 PA 1401 1 len=60 win=8192 id=5")
}

func TestPeerWithoutMSSOptionGetsSmallSegments(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	d.at(0, func() { s.Connect(broker, rtos.NoWait) })
	d.at(1, func() { d.deliver(d.hostTCP(synAck, 0, 1, 5000, nil, nil)) })
	d.at(2, func() { d.send(s, 1000) })
	d.run(3)
	d.want("0 S 0 0 len=0 win=8192 id=1", "1 A 1 1 len=0 win=8192 id=2",
		"2 PA 1 1 len=536 win=8192 id=3", "2 PA 537 1 len=464 win=8192 id=4")
}

func TestMalformedOptionsResetTheConnection(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	lost := false
	s.DisconnectNotify(func() { lost = true })
	d.at(1, func() { d.deliver(d.hostTCP(flagACK, 1, 1, 64240, []byte{2, 3, 5, 0xb4}, nil)) })
	d.run(2)
	d.want("1 R 1 0 len=0 win=8192 id=3")
	if !lost || s.State() != Closed {
		t.Errorf("notified %v, state %v", lost, s.State())
	}
	for _, tt := range []struct {
		options []byte
		mss     uint32
		ok      bool
	}{
		{nil, 0, true},
		{[]byte{1, 1, 2, 4, 2, 24}, 536, true},
		{[]byte{3, 3, 7, 2, 4, 5, 0xb4, 1}, 1460, true},
		{[]byte{0, 2, 4, 5, 0xb4}, 0, true},
		{[]byte{3, 0, 0, 0}, 0, false},
		{[]byte{8, 10, 0, 0}, 0, false},
		{[]byte{2, 4, 5}, 0, true}, // too short to be looked at
	} {
		if mss, ok := mssOption(tt.options); mss != tt.mss || ok != tt.ok {
			t.Errorf("options % x: %d %v", tt.options, mss, ok)
		}
	}
}

func TestRefusedConnectionReturnsAtOnce(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	s.DisconnectNotify(func() { d.say("notified") })
	d.thread(func(*rtos.Thread) {
		d.say("%v", s.Connect(broker, 1000))
		d.say("%v %v", s.Unbind(), s.Delete())
	})
	d.at(0.3, func() { d.host(wire.TCPRst|wire.TCPAck, 0, 2, 0, "") }) // acknowledges something else: ignored
	d.at(0.5, func() { d.host(wire.TCPRst|wire.TCPAck, 0, 1, 0, "") })
	d.run(5000)
	d.want("0 S 0 0 len=0 win=8192 id=1", "0.5 notified", "0.5 NX_NOT_CONNECTED", "0.5 NX_SUCCESS NX_SUCCESS")
	if n := len(d.ip.Sockets()); n != 0 {
		t.Errorf("%d sockets exist", n)
	}
}

func TestWrongAnswerToSYNIsReset(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	d.at(0, func() { s.Connect(broker, rtos.NoWait) })
	d.at(1, func() { d.host(flagACK, 77, 50, 100, "") })
	d.run(2)
	d.want("0 S 0 0 len=0 win=8192 id=1", "1 R 50 0 len=0 win=8192 id=2")
	if s.State() != SynSent {
		t.Errorf("state %v", s.State())
	}
}

func TestBothSidesOpenAtOnce(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	established := 0
	s.EstablishNotify(func() { established++ })
	d.thread(func(*rtos.Thread) { d.say("%v", s.Connect(broker, 1000)) })
	d.at(1, func() { d.host(wire.TCPSyn, 0, 0, 4000, "") })
	d.at(2, func() { d.host(flagACK, 1, 1, 4000, "") })
	d.run(50)
	d.want("0 S 0 0 len=0 win=8192 id=1", "1 SA 0 1 len=0 win=8192 id=2", "2 NX_SUCCESS")
	if established != 1 {
		t.Errorf("notified %d times", established)
	}
}

func TestConnectWithoutWaitNotifiesWhenEstablished(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	s.EstablishNotify(func() { d.say("established, current thread %v", d.kernel.Current()) })
	d.thread(func(*rtos.Thread) { d.say("%v", s.Connect(broker, rtos.NoWait)) })
	d.at(1, func() { d.host(synAck, 0, 1, 4000, "") })
	d.run(50)
	d.want("0 S 0 0 len=0 win=8192 id=1", "0 NX_IN_PROGRESS", "1 A 1 1 len=0 win=8192 id=2", "1 established, current thread <nil>")
}

func TestStatusOfCallsInTheWrongState(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	p := d.message(10)
	check := func(what string, got, want nic.Status) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("send, not bound", s.Send(p, rtos.NoWait), nic.NotBound)
	_, status := s.Receive(rtos.NoWait)
	check("receive, not bound", status, nic.NotBound)
	check("disconnect, closed", s.Disconnect(rtos.NoWait), nic.NotConnected)
	check("unbind, not bound", s.Unbind(), nic.NotBound)
	check("connect, no route", s.Connect(netip.MustParseAddrPort("192.0.2.1:1883"), rtos.NoWait), nic.IPAddressError)
	check("connect, port 0", s.Connect(netip.AddrPortFrom(hostAddr, 0), rtos.NoWait), nic.InvalidPort)
	check("connect, IPv6", s.Connect(netip.MustParseAddrPort("[fd00::1]:1883"), rtos.NoWait), nic.IPAddressError)
	mapped := netip.AddrPortFrom(netip.AddrFrom16(hostAddr.As16()), 1883)
	check("connect, IPv4 in IPv6", s.Connect(mapped, rtos.NoWait), nic.InProgress)
	check("connect again", s.Connect(broker, rtos.NoWait), nic.NotClosed)
	check("send, connecting", s.Send(p, rtos.NoWait), nic.NotConnected)
	check("unbind, connecting", s.Unbind(), nic.NotClosed)
	check("delete, connecting", s.Delete(), nic.StillBound) // NetX's MQTT delete() polls this for ever
	check("bind again", s.Bind(5), nic.AlreadyBound)
	other := d.socket()
	check("bind to a taken port", other.Bind(s.Port()), nic.PortUnavailable)
	check("disconnect, connecting", s.Disconnect(rtos.NoWait), nic.Success)
	check("unbind", s.Unbind(), nic.Success)
	check("delete", s.Delete(), nic.Success)
	check("delete again", s.Delete(), nic.NotCreated)
	check("connect, deleted", s.Connect(broker, rtos.NoWait), nic.NotCreated)
	d.run(1)
	c := newDevice(t, deviceConfig{})
	s = c.connected(100)
	bare, _ := c.pool.Allocate(nic.Receive, rtos.NoWait)
	check("empty packet", s.Send(bare, rtos.NoWait), nic.InvalidPacket)
	bare.Append([]byte("x"), c.pool, rtos.NoWait)
	check("no headroom", s.Send(bare, rtos.NoWait), nic.Underflow)
}

func TestConfigurationErrorsNameWhatIsWrong(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	good := Config{Addr: netip.PrefixFrom(deviceAddr, 24), Pool: d.pool, NIC: d.nic}
	for what, change := range map[string]func(*Config){
		"no NIC":          func(c *Config) { c.NIC = nil },
		"no pool":         func(c *Config) { c.Pool = nil },
		"no address":      func(c *Config) { c.Addr = netip.MustParsePrefix("0.0.0.0/24") },
		"IPv6":            func(c *Config) { c.Addr = netip.MustParsePrefix("fd00::1/64") },
		"distant gateway": func(c *Config) { c.Gateway = netip.MustParseAddr("192.0.2.1") },
		"no fast period":  func(c *Config) { c.Profile = NetXDuo(); c.Profile.IP.FastPeriod = 0 },
		"odd options":     func(c *Config) { c.Profile = NetXDuo(); c.Profile.TCP.SYNOptions = []byte{1} },
		"large window":    func(c *Config) { c.Profile = NetXDuo(); c.Profile.TCP.Window = 70000 },
		"no queue":        func(c *Config) { c.Profile = NetXDuo(); c.Profile.TCP.TxQueue = 0 },
		"no ARP table":    func(c *Config) { c.Profile = NetXDuo(); c.Profile.ARP.Entries = 0 },
		"no TTL":          func(c *Config) { c.Profile = NetXDuo(); c.Profile.IP.TTL = 0 },
	} {
		cfg := good
		change(&cfg)
		if ip, err := New(d.loop, d.kernel, nil, cfg); err == nil || ip != nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if _, err := New(d.loop, nil, nil, good); err == nil {
		t.Error("no kernel: accepted")
	}
}

// A profile is data: here one that retries in the manner of lwIP, with a table
// of multiples, a slow fast timer and no options behind the MSS.
func TestAnotherStackIsAnotherTable(t *testing.T) {
	p := NetXDuo()
	p.Name = "table"
	p.IP.FastPeriod = 500e6
	p.TCP.SYNOptions = nil
	p.TCP.SYN = Retry{First: 3e9, Max: 2}
	p.TCP.Data = Retry{First: 1e9, Multiples: []int{1, 2, 4}, Max: 5}
	p.TCP.TxQueue = 1 // one segment at a time
	p.TCP.TTL = 255
	d := newDevice(t, deviceConfig{profile: p})
	s := d.socket()
	d.at(0, func() { s.Connect(broker, rtos.NoWait) })
	d.at(3100, func() { d.host(synAck, 0, 1, 64240, "") })
	d.at(3200, func() {
		d.send(s, 10)
		p := d.message(10)
		if status := s.Send(p, rtos.NoWait); status != nic.TxQueueDepth {
			t.Errorf("second segment: %v", status)
		}
		p.Release()
		s.probe.armed = false // this is about the table
	})
	d.run(40000)
	d.want("0 S 0 0 len=0 win=8192 id=1", "3000 S 0 0 len=0 win=8192 id=2", "3100 A 1 1 len=0 win=8192 id=3",
		"3200 PA 1 1 len=10 win=8192 id=4", "4000 PA 1 1 len=10 win=8192 id=4", "6000 PA 1 1 len=10 win=8192 id=4",
		"10000 PA 1 1 len=10 win=8192 id=4", "14000 PA 1 1 len=10 win=8192 id=4", "18000 PA 1 1 len=10 win=8192 id=4")
	if len(d.raw[0]) != 60 || s.State() != Closed {
		t.Errorf("SYN frame of %d bytes, state %v", len(d.raw[0]), s.State())
	}
}
