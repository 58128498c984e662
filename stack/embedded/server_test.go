package embedded

import (
	"net/netip"
	"slices"
	"testing"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// client delivers a segment from a port of the peer to the device's port 1883.
func (d *device) client(port uint16, flags wire.TCPFlags, seq, ack uint32, payload string) {
	var options []byte
	if flags&wire.TCPSyn != 0 {
		options = wire.AppendMSS(nil, 1460)
	}
	f := wire.TCPFields{Seq: hostISN + seq, Flags: flags, Window: 5000, Options: options}
	if flags&wire.TCPAck != 0 {
		f.Ack = testISN + ack
	}
	d.deliver(tcpFrame(netip.AddrPortFrom(hostAddr, port), netip.AddrPortFrom(deviceAddr, 1883), 1, f, []byte(payload)))
}

func TestServerAcceptsBeforeOrAfterTheSYN(t *testing.T) {
	for _, before := range []bool{true, false} {
		d := newDevice(t, deviceConfig{})
		s := d.socket()
		if status := s.Listen(1883, 5, func(*TCPSocket) { d.say("asked") }); status != nic.Success {
			t.Fatal(status)
		}
		d.thread(func(th *rtos.Thread) {
			if !before {
				th.Sleep(2)
			}
			d.say("%v", s.Accept(500))
			p, status := s.Receive(500)
			d.say("%q %v", p.Bytes(), status)
			p.Release()
		})
		d.at(1, func() { d.client(4000, wire.TCPSyn, 0, 0, "") })
		d.at(30, func() { d.client(4000, pushAck, 1, 1, "hello") })
		d.run(100)
		if before {
			d.want("1 SA 0 1 len=0 win=8192 id=1", "1 asked", "30 NX_SUCCESS", `30 "hello" NX_SUCCESS`)
		} else {
			d.want("1 asked", "20 SA 0 1 len=0 win=8192 id=1", "30 NX_SUCCESS", `30 "hello" NX_SUCCESS`)
		}
		if s.State() != Established || s.Peer().Port() != 4000 || s.cwnd != 3*1460 {
			t.Errorf("%v with %v, cwnd %d", s.State(), s.Peer(), s.cwnd)
		}
		d.wantFree(32)
	}
}

func TestServerRepeatsSYNACKAndGivesUp(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	s.Listen(1883, 5, nil)
	d.thread(func(*rtos.Thread) { d.say("%v", s.Accept(rtos.WaitForever)) })
	d.at(0.5, func() { d.client(4000, wire.TCPSyn, 0, 0, "") })
	d.run(2500)
	d.want("0.5 SA 0 1 len=0 win=8192 id=1", "1000 SA 0 1 len=0 win=8192 id=2", "2000 SA 0 1 len=0 win=8192 id=3")
	d.run(12_000)
	if got := d.lines[len(d.lines)-1]; got != "11000 NX_NOT_CONNECTED" || s.State() != Listening {
		t.Errorf("%q, state %v", got, s.State())
	}
}

func TestConnectionsBeyondTheFirstWaitForASocket(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	a, b := d.socket(), d.socket()
	a.Listen(1883, 1, nil)
	if status := b.Listen(1883, 1, nil); status != DuplicateListen {
		t.Errorf("second listen: %v", status)
	}
	if status := b.Relisten(1883); status != InvalidRelisten {
		t.Errorf("relisten while the first waits: %v", status)
	}
	a.Accept(rtos.NoWait)
	d.at(1, func() { d.client(4000, wire.TCPSyn, 0, 0, "") })
	d.at(2, func() { d.client(4000, flagACK, 1, 1, "") })
	d.at(3, func() { d.client(4001, wire.TCPSyn, 0, 0, "") })
	d.at(4, func() { d.client(4001, wire.TCPSyn, 0, 0, "") }) // again
	d.at(5, func() { d.wantFree(31); d.client(4002, wire.TCPSyn, 0, 0, "") })
	d.at(6, func() { // 4001 has made room for 4002
		if status := b.Relisten(1883); status != ConnectionPending {
			t.Errorf("relisten: %v", status)
		}
		if status := b.Accept(rtos.NoWait); status != nic.InProgress {
			t.Errorf("accept: %v", status)
		}
	})
	d.at(7, func() { d.client(4002, flagACK, 1, 1, "") })
	d.run(8)
	d.want("1 SA 0 1 len=0 win=8192 id=1", "6 SA 0 1 len=0 win=8192 id=2")
	if a.Peer().Port() != 4000 || b.Peer().Port() != 4002 || b.State() != Established {
		t.Errorf("%v and %v", a.Peer(), b.Peer())
	}
	if want := []trace.DropReason{DropDuplicate, DropBacklog}; !slices.Equal(d.drops, want) {
		t.Errorf("drops %v, want %v", d.drops, want)
	}
	d.wantFree(32)
}

func TestServerSocketIsUsedAgain(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	s.Listen(1883, 5, nil)
	d.thread(func(*rtos.Thread) {
		for range 2 {
			d.say("accept %v", s.Accept(500))
			d.say("disconnect %v", s.Disconnect(500))
			d.say("unaccept %v", s.Unaccept())
			d.say("relisten %v", s.Relisten(1883))
		}
	})
	for i, port := range []uint16{4000, 4001} {
		at := float64(10 * i)
		// The second connection's first number is the first one's with an increment.
		isn := func() uint32 { return s.txSeq - testISN }
		d.at(at+1, func() { d.client(port, wire.TCPSyn, 0, 0, "") })
		d.at(at+2, func() { d.client(port, flagACK, 1, isn(), "") })
		d.at(at+3, func() { d.client(port, finAck, 1, isn(), "") })
	}
	d.run(50)
	d.want("1 SA 0 1 len=0 win=8192 id=1", "2 accept NX_SUCCESS", "2 FA 1 1 len=0 win=8192 id=2", "3 A 2 2 len=0 win=8192 id=3",
		"3 disconnect NX_SUCCESS", "3 unaccept NX_SUCCESS", "3 relisten NX_SUCCESS",
		"11 SA 0 1 len=0 win=8192 id=4", "12 accept NX_SUCCESS", "12 FA 1 1 len=0 win=8192 id=5", "13 A 2 2 len=0 win=8192 id=6",
		"13 disconnect NX_SUCCESS", "13 unaccept NX_SUCCESS", "13 relisten NX_SUCCESS")
	d.wantFree(32)
}

func TestUnlistenRefusesLaterConnections(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	a := d.socket()
	a.Listen(1883, 5, nil)
	d.at(1, func() {
		d.client(4000, wire.TCPSyn, 0, 0, "")
		d.client(4001, wire.TCPSyn, 0, 0, "")
		if status := d.ip.Unlisten(1883); status != nic.Success {
			t.Error(status)
		}
		if status := d.ip.Unlisten(1883); status != nic.NotBound {
			t.Error(status)
		}
		d.client(4002, wire.TCPSyn, 0, 0, "")
	})
	d.run(2)
	d.want("1 RA 4294966296 1 len=0 win=0 id=1")
	d.wantFree(32)
}

func TestRSTTakesASYNOutOfTheQueue(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.socket()
	s.Listen(1883, 5, nil)
	d.at(1, func() {
		d.client(4000, wire.TCPSyn, 0, 0, "")
		d.client(4001, wire.TCPSyn, 0, 0, "")
		d.wantFree(31)
		d.client(4001, wire.TCPRst, 1, 0, "")
		d.client(4003, wire.TCPFin, 1, 0, "")
	})
	d.run(2)
	d.want("1 RA 4294966296 2 len=0 win=0 id=1")
	d.wantFree(32)
}

func TestSmallMSSIsResetWhenTheProfileSaysSo(t *testing.T) {
	p := NetXDuo()
	p.TCP.MinimumMSS = 128 // NX_ENABLE_TCP_MSS_CHECK
	d := newDevice(t, deviceConfig{profile: p})
	d.socket().Listen(1883, 5, nil)
	d.at(1, func() {
		d.deliver(tcpFrame(netip.AddrPortFrom(hostAddr, 4000), netip.AddrPortFrom(deviceAddr, 1883), 1,
			wire.TCPFields{Seq: hostISN, Flags: wire.TCPSyn, Options: wire.AppendMSS(nil, 100)}, nil))
	})
	d.run(2)
	d.want("1 RA 4294966296 1 len=0 win=0 id=1")
}
