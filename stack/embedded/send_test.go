package embedded

import (
	"slices"
	"strings"
	"testing"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/wire"
)

func TestRetransmissionTakesANewIDOnlyUntilItWasIdenticalOnce(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(100.5, func() { d.send(s, 10) })
	d.at(1050, func() { d.host(pushAck, 1, 1, 64240, "hello") }) // acknowledged by the retransmission
	d.at(3050, func() { d.host(pushAck, 6, 1, 64240, "again") }) // too late for a new header
	d.run(4150)
	d.want(
		"100.5 PA 1 1 len=10 win=8192 id=3",
		"1100 PA 1 6 len=10 win=8187 id=4",
		"2100 PA 1 6 len=10 win=8187 id=4",
		"3100 A 11 11 len=0 win=8182 id=5", // the delayed ACK of data behind unread ones is not put off anew
		"3100 PA 1 11 len=10 win=8182 id=4", "4100 PA 1 11 len=10 win=8182 id=4")
}

func TestRetransmissionSendsWhatFitsOneSegment(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(0.5, func() { d.send(s, 1000); d.send(s, 400); d.send(s, 100) })
	d.run(1050)
	d.want("0.5 PA 1 1 len=1000 win=8192 id=3", "0.5 PA 1001 1 len=400 win=8192 id=4", "0.5 PA 1401 1 len=100 win=8192 id=5",
		"1000 PA 1 1 len=1000 win=8192 id=3", "1000 PA 1001 1 len=400 win=8192 id=4")
	if s.ssthresh != 2*1460 || s.cwnd != s.ssthresh {
		t.Errorf("ssthresh %d, cwnd %d after the timer; want two segments each", s.ssthresh, s.cwnd)
	}
}

func TestPartialAckRestartsTimerAndRetries(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(0.5, func() { d.send(s, 10); d.send(s, 20) })
	d.at(1050, func() { d.host(flagACK, 1, 11, 64240, "") })
	d.run(13_000)
	want := []string{"0.5 PA 1 1 len=10 win=8192 id=3", "0.5 PA 11 1 len=20 win=8192 id=4",
		"1000 PA 1 1 len=10 win=8192 id=3", "1000 PA 11 1 len=20 win=8192 id=4"}
	for _, at := range strings.Fields("2000 3000 4000 5000 6000 7000 8000 9000 10000 11000") {
		want = append(want, at+" PA 11 1 len=20 win=8192 id=4")
	}
	d.want(want...)
	if s.State() != Closed {
		t.Errorf("state %v after the 11th expiry", s.State())
	}
	d.wantFree(32)
}

func TestTransmitQueueHoldsTwentyPackets(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(10, func() {
		for range 20 {
			d.send(s, 10)
		}
		p := d.message(10)
		if status := s.Send(p, rtos.NoWait); status != nic.TxQueueDepth {
			t.Errorf("21st: %v", status)
		}
		p.Release()
	})
	d.at(15, func() {
		d.thread(func(*rtos.Thread) {
			p := d.message(10)
			d.say("waited: %v", s.Send(p, 3))
			d.say("waited: %v", s.Send(p, 500))
		})
	})
	d.at(60, func() { d.host(flagACK, 1, 11, 64240, "") })
	d.run(70)
	got := d.lines[20:]
	if !slices.Equal(got, []string{"40 waited: NX_TX_QUEUE_DEPTH", "60 PA 201 1 len=10 win=8192 id=23", "60 waited: NX_SUCCESS"}) {
		t.Errorf("transcript %q", got)
	}
	d.wantFree(32 - 20)
	if held := d.ip.Holdings(); !slices.Equal(held, []Holding{{transmitHolder, 20}}) {
		t.Errorf("holdings %v", held)
	}
}

func TestSendFillsTheWindowAndWaitsForTheRest(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(100)
	d.at(1, func() {
		d.thread(func(*rtos.Thread) { d.say("%v", s.Send(d.message(250), rtos.WaitForever)) })
	})
	d.at(5, func() { d.host(flagACK, 1, 101, 120, "") })
	d.at(9, func() { d.host(flagACK, 1, 221, 120, "") })
	d.at(12, func() { d.host(flagACK, 1, 251, 120, "") })
	d.run(20)
	d.want("1 PA 1 1 len=100 win=8192 id=3", "5 PA 101 1 len=120 win=8192 id=4", "9 PA 221 1 len=30 win=8192 id=5", "9 NX_SUCCESS")
	d.wantFree(32)
}

func TestSendFailsWhenTheWindowStaysClosed(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(50)
	d.at(1, func() {
		d.thread(func(*rtos.Thread) {
			p := d.message(80)
			d.say("%v, %d bytes left", s.Send(p, 10), p.Len())
			p.Release()
		})
	})
	d.run(150)
	d.want("1 PA 1 1 len=50 win=8192 id=3", "100 NX_WINDOW_OVERFLOW, 30 bytes left")
	d.wantFree(31)
}

func TestClosedWindowIsProbedWithOneByteEachSecond(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(20)
	d.at(50, func() {
		d.thread(func(*rtos.Thread) {
			d.send(s, 20)
			d.say("%v", s.Send(d.message(5), rtos.WaitForever))
		})
	})
	d.at(60, func() { d.host(flagACK, 1, 21, 0, "") })
	d.onSend = func(l *wire.Layers) { // the peer answers each probe but the last
		if len(l.Payload) == 1 && d.loop.Now() < 3e9 {
			d.loop.After(hostReply, func() { d.host(flagACK, 1, 21, 0, "") })
		} else if len(l.Payload) == 1 {
			d.loop.After(hostReply, func() { d.host(flagACK, 1, 21, 30, "") })
		}
	}
	d.run(5000)
	d.want("50 PA 1 1 len=20 win=8192 id=3",
		"1000 A 21 1 len=1 win=8192 id=4", "2000 A 21 1 len=1 win=8192 id=5", "3000 A 21 1 len=1 win=8192 id=6",
		"3000.02 PA 21 1 len=5 win=8192 id=7", "3000.02 NX_SUCCESS",
		"4000 PA 21 1 len=5 win=8192 id=7", "5000 PA 21 1 len=5 win=8192 id=7")
}

// publishing sends small packets each 100 ms into a dead link for 25 s and
// returns when the connection ended, in ms.
func publishing(t *testing.T, quirks Quirks) (ended float64) {
	d := newDevice(t, deviceConfig{quirks: &quirks, payload: 256, packets: 60})
	s := d.connected(64240)
	s.DisconnectNotify(func() { ended = float64(d.loop.Now()) / 1e6 })
	d.thread(func(th *rtos.Thread) {
		for d.kernel.Now() < 2500 && s.State() == Established {
			p := d.message(10)
			if s.Send(p, 1) != nic.Success {
				p.Release()
			}
			th.Sleep(10)
		}
	})
	d.run(60_000)
	if s.State() != Closed {
		t.Errorf("state %v", s.State())
	}
	d.wantFree(60)
	return ended
}

// eclipse-threadx/netxduo#306: a send that waits for the queue lifts the limit.
func TestRetryLimitIsBypassedWhileTheApplicationSends(t *testing.T) {
	if got := publishing(t, DefaultQuirks()); got < 25_000 {
		t.Errorf("with the quirk the connection ended at %v ms, although the application was sending", got)
	}
	fixed := DefaultQuirks()
	fixed.ProbeBypassesRetryLimit = false
	if got := publishing(t, fixed); got < 10_900 || got > 11_100 {
		t.Errorf("without it the connection ended at %v ms, want 11 s", got)
	}
}

// dupAcks makes the peer acknowledge nothing new with data segments and returns
// what was sent within 50 ms.
func dupAcks(t *testing.T, quirks Quirks) []string {
	d := newDevice(t, deviceConfig{quirks: &quirks})
	s := d.connected(64240)
	d.at(1, func() { d.send(s, 1000); d.send(s, 1000) })
	for i := range 3 {
		d.at(10+float64(i), func() { d.host(pushAck, uint32(1+i), 1, 64240, "z") })
	}
	d.run(50)
	return d.lines
}

// eclipse-threadx/netxduo#4, #178: data segments count as duplicate ACKs.
func TestSegmentsWithDataCountAsDuplicateAcks(t *testing.T) {
	both := []string{"1 PA 1 1 len=1000 win=8192 id=3", "1 PA 1001 1 len=1000 win=8192 id=4"}
	if got := dupAcks(t, DefaultQuirks()); !slices.Equal(got, append(both, "12 PA 1 3 len=1000 win=8190 id=5")) {
		t.Errorf("with the quirk: %q", got)
	}
	fixed := DefaultQuirks()
	fixed.AnySegmentIsDuplicateAck = false
	if got := dupAcks(t, fixed); !slices.Equal(got, both) {
		t.Errorf("without it: %q", got)
	}
}

func TestFastRetransmitAtTheThirdDuplicate(t *testing.T) {
	for _, quirks := range []Quirks{DefaultQuirks(), NoQuirks()} {
		d := newDevice(t, deviceConfig{quirks: &quirks})
		s := d.connected(64240)
		d.at(1, func() { d.send(s, 1460); d.send(s, 1460); d.send(s, 1460) })
		for i := range 3 {
			d.at(10+float64(i), func() { d.host(flagACK, 1, 1, 64240, "") })
		}
		d.at(12.5, func() {
			// RFC 5681: half the flight, but two segments at least, and three more.
			if s.ssthresh != 2*1460 || s.cwnd != 5*1460 {
				t.Errorf("ssthresh %d, cwnd %d", s.ssthresh, s.cwnd)
			}
		})
		d.at(20, func() { d.host(flagACK, 1, 1461, 64240, "") }) // partial: the next one is missing too
		d.at(30, func() { d.host(flagACK, 1, 4381, 64240, "") })
		d.run(50)
		d.want("1 PA 1 1 len=1460 win=8192 id=3", "1 PA 1461 1 len=1460 win=8192 id=4", "1 PA 2921 1 len=1460 win=8192 id=5",
			"12 PA 1 1 len=1460 win=8192 id=3", "20 PA 1461 1 len=1460 win=8192 id=4")
		if s.recovery || s.cwnd < 2*1460 || s.cwnd > 3*1460 {
			t.Errorf("after recovery: %v, cwnd %d", s.recovery, s.cwnd)
		}
	}
}

func TestCongestionWindowGrowth(t *testing.T) {
	d := newDevice(t, deviceConfig{payload: 1536, packets: 64})
	s := d.connected(8760) // ssthresh is the first window
	if s.cwnd != 4380 || s.ssthresh != 8760 {
		t.Fatalf("initial cwnd %d, ssthresh %d", s.cwnd, s.ssthresh)
	}
	acked := uint32(1)
	send := func(n int) {
		d.send(s, n)
		acked += uint32(n)
		d.host(flagACK, 1, acked, 8760, "")
	}
	d.at(1, func() {
		send(100)
		if s.cwnd != 4480 {
			t.Errorf("slow start by the bytes of a small segment: %d", s.cwnd)
		}
		send(1460)
		send(1460)
		send(1460)
		if s.cwnd != 4480+3*1460 {
			t.Errorf("slow start by a segment: %d", s.cwnd)
		}
		before := s.cwnd
		send(1460)
		if want := before + 1460*1460/before; s.cwnd != want {
			t.Errorf("congestion avoidance: %d, want %d", s.cwnd, want)
		}
	})
	d.run(2)
}

func TestFirstDuplicatesAllowTwoMoreSegments(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(1, func() { d.send(s, 1460); d.send(s, 1460); d.send(s, 1460) })
	d.at(2, func() {
		if s.room() != 0 {
			t.Errorf("room for %d bytes with a full window", s.room())
		}
		d.host(flagACK, 1, 1, 64240, "")
		d.send(s, 1460)
		d.send(s, 1460)
		if s.room() != 0 {
			t.Errorf("room for %d bytes after two more", s.room())
		}
	})
	d.run(3)
	if s.cwnd != 4380 || s.outstanding != 5*1460 {
		t.Errorf("cwnd %d, outstanding %d", s.cwnd, s.outstanding)
	}
}

func TestPacketIsHeldUntilItsLastByteIsAcknowledged(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(1, func() { d.send(s, 100); d.send(s, 100) })
	d.at(2, func() { d.host(flagACK, 1, 100, 64240, "") })
	d.at(3, func() { d.wantFree(30); d.host(flagACK, 1, 150, 64240, "") })
	d.at(4, func() { d.wantFree(31); d.host(flagACK, 1, 201, 64240, "") })
	d.run(5)
	d.wantFree(32)
}

func TestOldAckAheadOfMissingDataSetsTheWindowUnlessFixed(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		quirks := DefaultQuirks()
		quirks.WindowFromOldAck = !fixed
		d := newDevice(t, deviceConfig{quirks: &quirks})
		s := d.connected(500)
		d.at(1, func() { d.send(s, 100) })
		d.at(2, func() { d.host(flagACK, 1, 101, 200, "") }) // allowed up to 301
		d.at(3, func() { d.host(flagACK, 51, 1, 500, "") })  // sent before, behind data that are lost
		d.at(4, func() {
			if room := s.room(); room != map[bool]uint32{false: 500, true: 200}[fixed] {
				t.Errorf("fixed %v: room for %d bytes", fixed, room)
			}
		})
		d.run(5)
	}
}

func TestAckOfSomethingNeverSentIsAnswered(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(1, func() { d.host(flagACK, 1, 500, 64240, "") })
	d.at(2, func() { d.host(pushAck, 1, 500, 64240, "data") })
	d.run(3)
	d.want("1 A 1 1 len=0 win=8192 id=3", "2 A 1 1 len=0 win=8192 id=4")
	if got := d.read(s); got != "" {
		t.Errorf("data of a refused segment: %q", got)
	}
}

func TestPreemptionByAWokenThreadWaitsUntilTheEngineIsLeft(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	// The peer answers within the send call: the answer is handled before the
	// call returns, and wakes a more urgent thread, which runs first.
	d.onSend = func(l *wire.Layers) {
		if len(l.Payload) == 7 {
			d.host(pushAck, 1, 8, 64240, "answer")
		}
	}
	d.reader(s)
	d.at(1, func() {
		d.thread(func(*rtos.Thread) {
			d.say("%v", s.Send(d.message(7), rtos.NoWait))
			tx, rx := s.Queued()
			d.say("%d and %d queued", tx, rx)
		})
	})
	d.run(2)
	d.want("1 PA 1 1 len=7 win=8192 id=3", "1 NX_SUCCESS", "1 0 and 0 queued")
	d.wantFree(32)
}

func TestSuccessfulSendEndsTheProbing(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(20)
	d.at(1, func() {
		d.send(s, 20)
		p := d.message(5)
		if status := s.Send(p, rtos.NoWait); status != nic.WindowOverflow || !s.probe.armed {
			t.Errorf("%v, probe armed: %v", status, s.probe.armed)
		}
		d.host(flagACK, 1, 21, 100, "")
		if status := s.Send(p, rtos.NoWait); status != nic.Success || s.probe.armed {
			t.Errorf("%v, probe armed: %v", status, s.probe.armed)
		}
	})
	d.run(2)
}
