package embedded

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

func TestDelayedAckIsOnTheGridOneToTwoHundredMillisecondsAfterTheData(t *testing.T) {
	for _, tt := range []struct {
		data float64
		ack  string
	}{{1, "200"}, {99, "200"}, {100.5, "300"}, {150, "300"}, {199.9, "300"}, {200.1, "400"}} {
		d := newDevice(t, deviceConfig{})
		s := d.connected(64240)
		d.reader(s)
		d.at(tt.data, func() { d.host(pushAck, 1, 1, 64240, "hello") })
		d.run(1000)
		d.want(tt.ack + " A 1 6 len=0 win=8192 id=3")
	}
}

func TestNoAckForTheSecondSegmentUnlessFixed(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		quirks := DefaultQuirks()
		quirks.NoAckEverySecondSegment = !fixed
		d := newDevice(t, deviceConfig{quirks: &quirks})
		s := d.connected(64240)
		d.reader(s)
		for i := range 3 {
			d.at(10+float64(i), func() { d.host(pushAck, 1+uint32(i)*5, 1, 64240, "hello") })
		}
		d.run(500)
		if fixed { // eclipse-threadx/netxduo#324
			d.want("11 A 1 11 len=0 win=8187 id=3", "200 A 1 16 len=0 win=8192 id=4")
		} else {
			d.want("200 A 1 16 len=0 win=8192 id=3")
		}
	}
}

// Recording 6-chained-publish-256B-pool: four segments arrive before they are
// read; the window is told when it has opened by half, and not before.
func TestWindowUpdateAtHalfTheWindow(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.reader(s)
	d.at(1, func() {
		seq := uint32(1)
		for _, n := range []int{1460, 1460, 1460, 636} {
			d.host(pushAck, seq, 1, 65535, strings.Repeat("z", n))
			seq += uint32(n)
		}
	})
	d.at(2, func() { d.send(s, 4) })
	d.run(900)
	d.want("1 A 1 5017 len=0 win=7556 id=3", "2 PA 1 5017 len=4 win=8192 id=4")
	d.wantFree(31)
}

func TestUnreadDataCloseTheWindow(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	segment := strings.Repeat("z", 1460)
	for i := range 6 { // the sixth is more than there is room for: 892 of 1460 bytes
		d.at(1+float64(i), func() { d.host(pushAck, 1+uint32(i)*1460, 1, 65535, segment) })
	}
	d.at(300, func() { d.host(pushAck, 8193, 1, 65535, "more") }) // into the closed window
	d.at(400, func() {                                            // half of it at least must be read before the peer is told
		n := 0
		for n < 4096 {
			p, _ := s.Receive(rtos.NoWait)
			n += p.Len()
			d.say("read %d", n)
			p.Release()
		}
	})
	d.at(450, func() { d.read(s) })
	d.run(650)
	d.want("200 A 1 8193 len=0 win=0 id=3", "300 A 1 8193 len=0 win=0 id=4",
		"400 read 1460", "400 read 2920", "400 A 1 8193 len=0 win=4380 id=5", "400 read 4380",
		"600 A 1 8193 len=0 win=8192 id=6") // less than half: with the delayed ACK's timer
	if !slices.Contains(d.drops, DropOutOfWindow) {
		t.Errorf("drops %v", d.drops)
	}
	d.wantFree(32)
}

func TestSegmentOutOfOrderIsKeptAndAcknowledgedAtOnce(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	notified := 0
	s.ReceiveNotify(func() { notified++ })
	d.at(1, func() { d.host(pushAck, 6, 1, 64240, "world") })
	d.at(2, func() {
		if got := d.read(s); got != "" || notified != 0 {
			t.Errorf("read %q before the gap was filled, notified %d times", got, notified)
		}
		if held := d.ip.Holdings(); !slices.Equal(held, []Holding{{outOfOrderHolder, 1}}) {
			t.Errorf("holdings %v", held)
		}
	})
	d.at(3, func() { d.host(pushAck, 11, 1, 64240, "!") })
	d.at(4, func() { d.host(pushAck, 1, 1, 64240, "hello") })
	d.at(5, func() {
		if got := d.read(s); got != "helloworld!" || notified != 1 {
			t.Errorf("read %q, notified %d times", got, notified)
		}
	})
	d.run(1000)
	d.want("1 A 1 1 len=0 win=8192 id=3", "3 A 1 1 len=0 win=8192 id=4", "200 A 1 12 len=0 win=8192 id=5")
	d.wantFree(32)
}

func TestOverlapsAreCut(t *testing.T) {
	const text = "abcdefghijklmnopqrstuvwxyz"
	piece := func(d *device, from, to int) { d.host(pushAck, uint32(1+from), 1, 64240, text[from:to]) }
	for name, order := range map[string][][2]int{
		"front received before":   {{0, 10}, {5, 26}},
		"all received before":     {{0, 10}, {2, 8}, {10, 26}},
		"within one out of order": {{10, 20}, {12, 18}, {0, 10}, {20, 26}},
		"around one out of order": {{12, 18}, {10, 20}, {0, 10}, {20, 26}},
		"end here already":        {{10, 20}, {5, 15}, {0, 5}, {20, 26}},
		"front here already":      {{5, 15}, {10, 20}, {0, 5}, {20, 26}},
		"between two":             {{5, 8}, {20, 26}, {6, 22}, {0, 5}},
		"over several":            {{5, 8}, {10, 12}, {14, 18}, {4, 26}, {0, 4}},
		"all at the end":          {{5, 8}, {10, 12}, {0, 26}},
	} {
		d := newDevice(t, deviceConfig{})
		s := d.connected(64240)
		for i, p := range order {
			d.at(1+float64(i), func() {
				piece(d, p[0], p[1])
				if err := d.ip.Check(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		d.run(50)
		if got := d.read(s); got != text {
			t.Errorf("%s: read %q", name, got)
		}
		d.wantFree(32)
	}
}

// starve is recording 4b at its end: a pool of 8 x 256 bytes, a segment out of
// order in it, and the missing one that needs more packets than are left.
func starve(t *testing.T, quirks Quirks) (d *device, s *TCPSocket) {
	d = newDevice(t, deviceConfig{quirks: &quirks, payload: 256, packets: 8})
	s = d.connected(64240)
	late, missing := strings.Repeat("b", 782), strings.Repeat("a", 1460)
	d.at(1, func() { d.host(pushAck, 1461, 1, 64164, late) })
	for i := range 3 {
		d.at(2+float64(i), func() { d.host(pushAck, 1, 1, 64164, missing) })
	}
	d.run(50)
	return d, s
}

func TestOutOfOrderDataAndASmallPoolStallForEver(t *testing.T) {
	d, s := starve(t, DefaultQuirks())
	if s.rxSeq != hostISN+1 || !slices.Contains(d.drops, trace.DropRxPool) {
		t.Errorf("received up to %d, drops %v", s.rxSeq-hostISN, d.drops)
	}
	d.wantFree(4)
	fixed := DefaultQuirks()
	fixed.OutOfOrderStarvesPool = false
	d, s = starve(t, fixed)
	if s.rxSeq != hostISN+1461 || d.drops[0] != DropOutOfOrder {
		t.Errorf("without the quirk: received up to %d, drops %v", s.rxSeq-hostISN, d.drops)
	}
}

func TestProfileMayLimitPacketsOutOfOrder(t *testing.T) {
	p := NetXDuo()
	p.TCP.MaxOutOfOrder = 2
	d := newDevice(t, deviceConfig{profile: p})
	s := d.connected(64240)
	for i, at := range []uint32{11, 21, 31} {
		d.at(1+float64(i), func() { d.host(pushAck, at, 1, 64240, "0123456789") })
	}
	d.run(10)
	if _, rx := s.Queued(); rx != 2 || !slices.Equal(d.drops, []trace.DropReason{DropOutOfOrder}) {
		t.Errorf("%d packets queued, drops %v", rx, d.drops)
	}
}

func TestReceiveWaitsForData(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.thread(func(th *rtos.Thread) {
		p, status := s.Receive(5)
		d.say("%v %v", p != nil, status)
		p, status = s.Receive(100)
		d.say("%q %v, held by %s", p.Bytes(), status, p.Holder())
		p.Release()
		_, status = s.Receive(rtos.WaitForever)
		d.say("%v", status)
	})
	d.at(80, func() { d.host(pushAck, 1, 1, 64240, "data") })
	d.at(120, func() { d.host(finAck, 5, 1, 64240, "") })
	d.run(150)
	d.want("50 false NX_NO_PACKET", `80 "data" NX_SUCCESS, held by application`, "120 A 1 6 len=0 win=8192 id=3", "120 NX_NOT_CONNECTED")
	d.wantFree(32)
}

func TestDataBeforeAFINCanBeReadAfterIt(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	lost := 0
	s.DisconnectNotify(func() { lost++ })
	d.at(1, func() { d.host(finAck|wire.TCPPsh, 6, 1, 64240, "world") }) // the FIN before its time
	d.at(2, func() {
		if lost != 0 || s.State() != Established {
			t.Errorf("closed by a FIN out of order: %v", s.State())
		}
		d.host(pushAck, 1, 1, 64240, "hello")
	})
	d.at(3, func() {
		if lost != 1 || s.State() != CloseWait {
			t.Errorf("state %v, notified %d times", s.State(), lost)
		}
		if got := d.read(s); got != "helloworld" {
			t.Errorf("read %q", got)
		}
		if _, status := s.Receive(rtos.NoWait); status != nic.NotConnected {
			t.Errorf("then %v", status)
		}
		d.host(pushAck, 12, 1, 64240, "late")
	})
	d.run(4)
	d.want("1 A 1 1 len=0 win=8192 id=3", "2 A 1 12 len=0 win=8182 id=4")
	if !slices.Equal(d.drops, []trace.DropReason{DropState}) {
		t.Errorf("drops %v", d.drops)
	}
	d.wantFree(32)
}

func TestOldDataAreAcknowledgedAgain(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.reader(s)
	d.at(1, func() { d.host(pushAck, 1, 1, 64240, "hello") })
	d.at(50, func() { d.host(pushAck, 1, 1, 64240, "hello") })
	d.at(60, func() { d.host(flagACK, 0, 1, 64240, "") }) // a keepalive
	d.run(70)
	d.want("50 A 1 6 len=0 win=8192 id=3", "60 A 1 6 len=0 win=8192 id=4")
}

func TestAckIsNotSentWithoutAPacketAndTriedEach200Milliseconds(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.reader(s)
	d.at(1, func() { d.host(pushAck, 1, 1, 64240, "hello") })
	d.at(2, func() { d.pool.Leak(32) })
	d.at(700, func() { d.pool.Restore(32) })
	d.run(690)
	d.want()
	if n := d.pool.Stats().EmptyRequests; n != 3 {
		t.Errorf("%d empty requests, want those at 200, 400 and 600 ms", n)
	}
	if !slices.Equal(d.drops, []trace.DropReason{trace.DropControl, trace.DropControl, trace.DropControl}) {
		t.Errorf("drops %v", d.drops)
	}
	d.run(1000)
	d.want("800 A 1 6 len=0 win=8192 id=3")
}

// A control packet is allocated with 56 bytes of headroom and wants 29 more.
func TestPoolOfTinyPacketsCannotSendControl(t *testing.T) {
	for payload, want := range map[int]int{84: 0, 85: 1} {
		d := newDevice(t, deviceConfig{payload: payload, packets: 20})
		d.at(0, func() { d.socket().Connect(broker, rtos.NoWait) })
		d.run(1)
		if d.frames != want {
			t.Errorf("payload of %d bytes: %d SYNs sent, want %d", payload, d.frames, want)
		}
		if sent := len(d.drops) == 0; sent != (want == 1) {
			t.Errorf("payload of %d bytes: drops %v", payload, d.drops)
		}
		d.wantFree(20)
	}
}

func TestAuxiliaryPoolSendsControlWhenTheOtherIsEmpty(t *testing.T) {
	d := newDevice(t, deviceConfig{auxiliary: 1})
	s := d.connected(64240)
	d.reader(s)
	d.at(1, func() { d.host(pushAck, 1, 1, 64240, "hello") })
	d.at(2, func() { d.pool.Leak(32) })
	d.run(250)
	d.want("200 A 1 6 len=0 win=8192 id=3")
	d.at(260, func() {
		d.pool.Restore(32)
		d.ip.cfg.AuxiliaryPool.Leak(1)
		d.host(flagACK, 6, 99, 64240, "") // answered from the other pool
	})
	d.run(300)
	d.want("260 A 1 6 len=0 win=8192 id=4")
	if len(d.drops) != 1 || d.drops[0] != DropBadAck {
		t.Errorf("drops %v", d.drops)
	}
}

func TestFramesOfABurstAreHandledTogetherAfterTheLatency(t *testing.T) {
	d := newDevice(t, deviceConfig{latency: 50 * time.Microsecond})
	s := d.socket()
	d.thread(func(*rtos.Thread) {
		d.threadConnect(s, 500)
		for range 3 {
			p, _ := s.Receive(rtos.WaitForever)
			_, rx := s.Queued()
			d.say("read %q, %d more", p.Bytes(), rx)
			p.Release()
		}
	})
	d.at(1, func() { d.host(synAck, 0, 1, 64240, "") })
	for i, at := range []float64{2, 2.02, 2.06} { // the third comes after the first two were handled
		d.at(at, func() { d.host(pushAck, uint32(1+i), 1, 64240, "abc"[i:i+1]) })
	}
	d.at(2.03, func() {
		if held := d.ip.Holdings(); !slices.Equal(held, []Holding{{inboxHolder, 2}}) {
			t.Errorf("holdings %v", held)
		}
	})
	d.run(5)
	d.want("0 S 0 0 len=0 win=8192 id=1", "1.05 A 1 1 len=0 win=8192 id=2",
		`2.05 read "a", 1 more`, `2.05 read "b", 0 more`, `2.11 read "c", 0 more`)
	d.wantFree(32)
}
