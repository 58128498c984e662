package embedded

import (
	"strings"
	"testing"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/wire"
)

// Recording 9-scripted-peer-quirks: the abort after a bad CONNACK.
func TestDisconnectWithoutWaitIsABareRST(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(1, func() {
		d.send(s, 25)
		d.host(pushAck, 1, 26, 64215, "connack and more")
		if status := s.Disconnect(rtos.NoWait); status != nic.InProgress {
			t.Errorf("%v", status)
		}
		if status := s.Unbind(); status != nic.Success { // unread data go
			t.Errorf("%v", status)
		}
	})
	d.run(5000)
	d.want("1 PA 1 1 len=25 win=8192 id=3", "1 R 26 0 len=0 win=8176 id=4")
	d.wantFree(32)
}

func TestFINIsSentAgainOnceTheDataAreAcknowledged(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(150, func() { d.send(s, 10) })
	d.at(160, func() {
		d.thread(func(*rtos.Thread) { d.say("%v", s.Disconnect(rtos.WaitForever)) })
	})
	d.at(1250, func() { d.host(flagACK, 1, 11, 64240, "") })
	d.run(15_000)
	want := []string{"150 PA 1 1 len=10 win=8192 id=3", "160 FA 11 1 len=0 win=8192 id=4", "1100 PA 1 1 len=10 win=8192 id=3"}
	for i, at := range strings.Fields("2200 3200 4200 5200 6200 7200 8200 9200 10200 11200") {
		want = append(want, at+" FA 11 1 len=0 win=8192 id="+strings.Fields("5 6 7 8 9 10 11 12 13 14")[i])
	}
	d.want(append(want, "12200 NX_DISCONNECT_FAILED")...)
	d.wantFree(32)
}

func finWait2(t *testing.T, quirks Quirks, until float64) (d *device, s *TCPSocket) {
	d = newDevice(t, deviceConfig{quirks: &quirks})
	s = d.connected(64240)
	d.at(1, func() {
		d.thread(func(*rtos.Thread) { d.say("%v", s.Disconnect(rtos.WaitForever)) })
	})
	d.at(2, func() { d.host(flagACK, 1, 2, 64240, "") })
	d.run(until)
	return d, s
}

func TestFINWait2HasNoTimer(t *testing.T) {
	d, s := finWait2(t, DefaultQuirks(), 3_600_000)
	d.want("1 FA 1 1 len=0 win=8192 id=3")
	if s.State() != FinWait2 {
		t.Errorf("state after an hour: %v", s.State())
	}
	fixed := DefaultQuirks()
	fixed.FINWait2Forever = false
	d, s = finWait2(t, fixed, 61_000)
	d.want("1 FA 1 1 len=0 win=8192 id=3", "60000 NX_DISCONNECT_FAILED")
	if s.State() != Closed {
		t.Errorf("without the quirk: %v", s.State())
	}
}

func TestPeerThatClosesFirst(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	s.DisconnectNotify(func() { d.say("notified") })
	d.at(1, func() { d.host(finAck, 1, 1, 64240, "") })
	d.at(5, func() {
		d.thread(func(*rtos.Thread) {
			d.say("send in CLOSE_WAIT: %v", s.Send(d.message(3), 5))
			d.say("%v", s.Disconnect(rtos.WaitForever))
			d.say("%v", s.Unbind())
		})
	})
	d.at(7, func() { d.host(flagACK, 2, 4, 64240, "") }) // the data, not the FIN
	d.at(8, func() { d.host(flagACK, 2, 5, 64240, "") })
	d.run(5000)
	d.want("1 A 1 2 len=0 win=8192 id=3", "1 notified", "5 PA 1 2 len=3 win=8192 id=4", "5 send in CLOSE_WAIT: NX_SUCCESS",
		"5 FA 4 2 len=0 win=8192 id=5", "8 NX_SUCCESS", "8 NX_SUCCESS")
	d.wantFree(32)
}

func TestBothSidesCloseAtOnce(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(1, func() { d.thread(func(*rtos.Thread) { d.say("%v", s.Disconnect(rtos.WaitForever)) }) })
	d.at(2, func() { d.host(finAck, 1, 1, 64240, "") })
	d.at(3, func() { d.host(flagACK, 2, 2, 64240, "") })
	d.run(4)
	d.want("1 FA 1 1 len=0 win=8192 id=3", "2 A 2 2 len=0 win=8192 id=4", "3 NX_SUCCESS")
	if s.State() != TimeWait {
		t.Errorf("state %v", s.State())
	}
}

func TestTimeWaitEndsAfterTwoLifetimesOrByUnbind(t *testing.T) {
	for _, unbind := range []bool{false, true} {
		d := newDevice(t, deviceConfig{})
		s := d.connected(64240)
		d.at(1, func() { d.thread(func(*rtos.Thread) { s.Disconnect(rtos.WaitForever) }) })
		d.at(2, func() { d.host(finAck, 1, 2, 64240, "") })
		d.at(500, func() { d.host(finAck, 1, 2, 64240, "") }) // again: acknowledged again
		d.run(239_000)
		d.want("1 FA 1 1 len=0 win=8192 id=3", "2 A 2 2 len=0 win=8192 id=4", "500 A 2 2 len=0 win=8192 id=5")
		if s.State() != TimeWait {
			t.Errorf("state %v", s.State())
		}
		if unbind {
			if status := s.Unbind(); status != nic.Success || s.State() != Closed {
				t.Errorf("unbind: %v, %v", status, s.State())
			}
			continue
		}
		d.run(240_100)
		if s.State() != Closed {
			t.Errorf("after 240 s: %v", s.State())
		}
	}
}

func TestDisconnectWhoseWaitEndsForgetsTheConnection(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(1, func() {
		d.thread(func(*rtos.Thread) {
			d.send(s, 10)
			d.say("%v", s.Disconnect(20))
			d.say("%v", s.Unbind())
		})
	})
	d.run(5000)
	d.want("1 PA 1 1 len=10 win=8192 id=3", "1 FA 11 1 len=0 win=8192 id=4", "200 NX_DISCONNECT_FAILED", "200 NX_SUCCESS")
	d.wantFree(32)
}

func TestRetryLimitIsSilentUnlessFixed(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		quirks := DefaultQuirks()
		quirks.SilentReset = !fixed
		d := newDevice(t, deviceConfig{quirks: &quirks})
		s := d.connected(64240)
		s.DisconnectNotify(func() { d.say("notified") })
		d.at(0.5, func() { d.send(s, 10) })
		d.run(10_500)
		d.lines = nil
		d.run(20_000)
		if fixed {
			d.want("11000 R 11 0 len=0 win=8192 id=4", "11000 notified")
		} else {
			d.want("11000 notified")
		}
	}
}

func TestRSTInsideTheWindowEndsTheConnection(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	s.DisconnectNotify(func() { d.say("notified") })
	d.at(1, func() { d.host(wire.TCPRst, 9000, 0, 0, "") }) // outside: ignored
	d.at(2, func() { d.send(s, 10) })
	d.thread(func(*rtos.Thread) {
		d.sleepUntil(d.kernel.Current(), 10)
		_, status := s.Receive(rtos.WaitForever)
		d.say("receive: %v", status)
		d.say("send: %v", s.Send(d.message(1), 5))
	})
	d.at(30, func() { d.host(wire.TCPRst, 1, 0, 0, "") })
	d.run(40)
	d.want("2 PA 1 1 len=10 win=8192 id=3", "30 notified", "30 receive: NX_NOT_CONNECTED", "30 send: NX_NOT_CONNECTED")
	d.wantFree(31) // the message that was not sent
}

func TestSYNInsideTheWindowIsReset(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(1, func() { d.host(wire.TCPSyn, 5, 0, 100, "") })
	d.run(2)
	d.want("1 RA 4294966296 6 len=0 win=8192 id=3") // number 0
	if s.State() != Closed {
		t.Errorf("state %v", s.State())
	}
}

func TestSegmentForNobody(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	d.at(1, func() { d.host(wire.TCPSyn, 0, 0, 100, "") })
	d.at(2, func() { d.host(pushAck, 5, 77, 100, "abc") })
	d.at(3, func() { d.host(wire.TCPRst, 5, 0, 100, "") })
	d.at(4, func() { d.host(wire.TCPFin, 5, 0, 100, "ab") })
	d.run(5)
	d.want("1 RA 4294966296 1 len=0 win=0 id=1", "2 R 77 0 len=0 win=0 id=2", "4 RA 4294966296 8 len=0 win=0 id=3")
	d.wantFree(32)
}

func TestResetReleasesPacketsThatStillWaitForARP(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(1, func() {
		d.ip.arp = nil // the neighbour is forgotten
		d.send(s, 10)
		d.send(s, 10)
		s.Disconnect(rtos.NoWait)
	})
	d.run(5)
	// Two data packets and the RST wait; TCP has let go of them.
	d.wantFree(29)
	d.run(200_000)
	d.wantFree(32)
}
