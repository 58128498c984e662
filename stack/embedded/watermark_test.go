package embedded

import (
	"slices"
	"strings"
	"testing"

	"hilnet/trace"
)

func TestUnreadDataBelowTheLowWatermarkCloseTheWindow(t *testing.T) {
	for _, watermark := range []int{0, 31} {
		d := newDevice(t, deviceConfig{packets: 32, payload: 1536, lowWatermark: watermark})
		s := d.connected(64240)
		d.at(1, func() { d.host(pushAck, 1, 1, 64240, "hello") }) // 31 packets are left
		d.at(2, func() { d.host(pushAck, 6, 1, 64240, "world") }) // 30: too few
		d.at(300, func() { d.say("read %s", d.read(s)) })
		d.at(310, func() { d.host(pushAck, 6, 1, 64240, "world") })
		d.run(650)
		if watermark == 0 {
			d.want("200 A 1 11 len=0 win=8182 id=3", "300 read helloworld", "310 A 1 11 len=0 win=8192 id=4")
			d.wantFree(32)
			continue
		}
		d.want("2 A 1 6 len=0 win=0 id=3", "300 A 1 6 len=0 win=8192 id=4", "300 read hello", "500 A 1 11 len=0 win=8187 id=5")
		d.wantFree(31)
		if !slices.Equal(d.drops, []trace.DropReason{DropLowPool}) {
			t.Errorf("drops %v", d.drops)
		}
	}
}

// Packets that others hold close the window too; it opens again with the first
// segment that finds enough of them.
func TestWindowOpensAgainWhenPacketsAreBack(t *testing.T) {
	d := newDevice(t, deviceConfig{packets: 32, payload: 1536, lowWatermark: 20})
	d.connected(64240)
	d.at(1, func() { d.pool.Leak(15) })
	d.at(2, func() { d.host(pushAck, 1, 1, 64240, "hello") })
	d.at(3, func() { d.host(pushAck, 6, 1, 64240, "early") }) // into the closed window
	d.at(10, func() { d.pool.Restore(15) })
	d.at(20, func() { d.host(pushAck, 1, 1, 64240, "hello") })
	d.run(350)
	d.want("2 A 1 1 len=0 win=0 id=3", "3 A 1 1 len=0 win=0 id=4", "20 A 1 6 len=0 win=8187 id=5") // at once: it opened by more than half
}

func TestReceiveQueueIsLimitedWithALowWatermark(t *testing.T) {
	for _, watermark := range []int{0, 1} {
		d := newDevice(t, deviceConfig{packets: 40, payload: 1536, lowWatermark: watermark})
		d.connected(64240)
		for i := range 21 {
			d.at(1+float64(i), func() { d.host(pushAck, 1+uint32(i), 1, 64240, "x") })
		}
		d.run(150)
		if watermark == 0 {
			d.want()
			d.wantFree(19)
		} else {
			d.want("21 A 1 21 len=0 win=0 id=3")
			d.wantFree(20)
		}
	}
}

// Out of order, it is the last packet of the queue that goes, and the window
// ends where the one before it does.
func TestTheLastSegmentOutOfOrderGoesFirst(t *testing.T) {
	d := newDevice(t, deviceConfig{packets: 32, payload: 1536, lowWatermark: 30})
	s := d.connected(64240)
	d.at(1, func() { d.host(pushAck, 6, 1, 64240, "world") })
	d.at(2, func() { d.host(pushAck, 11, 1, 64240, "again") })
	d.at(3, func() { d.host(pushAck, 1, 1, 64240, "hello") }) // 29 packets are left
	d.at(4, func() { d.say("read %s", d.read(s)) })
	d.run(90)
	d.want("1 A 1 1 len=0 win=8192 id=3", "2 A 1 1 len=0 win=8192 id=4", "4 A 1 11 len=0 win=8192 id=5", "4 read helloworld")
	d.wantFree(32)
}

func TestFragmentsAndDatagramsBelowTheLowWatermarkAreNotQueued(t *testing.T) {
	for _, watermark := range []int{0, 32} {
		d := newDevice(t, deviceConfig{packets: 32, payload: 1536, lowWatermark: watermark})
		u := d.ip.NewUDPSocket(UDPConfig{})
		u.Bind(2000)
		f := fragments(5, 64, udpPayload(1000, 2000, strings.Repeat("x", 1700)))
		d.deliver(f[0]) // to wait for the others
		for _, whole := range fragments(6, 64, udpPayload(1000, 2000, "short")) {
			d.deliver(whole)
		}
		free := 30
		if watermark > 0 {
			free = 32
			if !slices.Equal(d.drops, []trace.DropReason{DropLowPool, DropLowPool}) {
				t.Errorf("drops %v", d.drops)
			}
		}
		d.wantFree(free)
	}
}
