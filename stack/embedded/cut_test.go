package embedded

import (
	"slices"
	"strings"
	"testing"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
)

// The recording 6-chained-publish-256B-pool: a chain that fits the MSS goes out
// as it is; a longer one is cut into segments of newly allocated packets.
func TestChainsAreSentWholeOrCut(t *testing.T) {
	d := newDevice(t, deviceConfig{payload: 256, packets: 60})
	s := d.connected(64240)
	d.at(1, func() { d.send(s, 1016) })
	d.at(2, func() { d.wantFree(55) }) // 200 bytes in the first packet, then 256 in each
	d.at(3, func() { d.host(flagACK, 1, 1017, 63183, "") })
	d.at(4, func() { d.wantFree(60); d.send(s, 3016) })
	d.at(5, func() {
		// 6 packets for each full segment, 1 for the rest; the original is gone.
		d.wantFree(60 - 13)
		d.host(flagACK, 1, 1017+3016, 65535, "")
	})
	d.run(6)
	d.want("1 PA 1 1 len=1016 win=8192 id=3", "4 PA 1017 1 len=1460 win=8192 id=4",
		"4 PA 2477 1 len=1460 win=8192 id=5", "4 PA 3937 1 len=96 win=8192 id=6")
	d.wantFree(60)
}

func TestChainThatFitsOnePacketIsCopiedIntoOne(t *testing.T) {
	chain := func(d *device) *nic.Packet { // two packets with 100 bytes
		p := d.message(50)
		q, _ := d.pool.Allocate(nic.Receive, rtos.NoWait)
		q.Append([]byte(strings.Repeat("y", 50)), d.pool, rtos.NoWait)
		p.Link(q)
		return p
	}
	d := newDevice(t, deviceConfig{payload: 256, packets: 4})
	s := d.connected(64240)
	d.at(1, func() {
		s.Send(chain(d), rtos.NoWait)
		d.wantFree(3)
	})
	d.at(2, func() { // without a free packet it goes as it is
		p := chain(d)
		d.pool.Leak(1)
		s.Send(p, rtos.NoWait)
		d.wantFree(0)
	})
	d.run(3)
	d.want("1 PA 1 1 len=100 win=8192 id=3", "2 PA 101 1 len=100 win=8192 id=4")
	if got := string(d.raw[2][54:]) + string(d.raw[3][54:]); got != strings.Repeat(strings.Repeat("x", 50)+strings.Repeat("y", 50), 2) {
		t.Errorf("sent %q", got)
	}
}

func TestUnalignedDataAreCopied(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(1, func() {
		p := d.message(30)
		p.Trim(1)
		d.pool.Leak(d.pool.Free())
		if status := s.Send(p, rtos.NoWait); status != nic.NoPacket {
			t.Errorf("with an empty pool: %v", status)
		}
		d.pool.Restore(40)
		if status := s.Send(p, rtos.NoWait); status != nic.Success {
			t.Errorf("%v", status)
		}
	})
	d.run(2)
	d.want("1 PA 1 1 len=29 win=8192 id=3")
	d.wantFree(31)
}

func TestSendWaitsForPacketsOfThePool(t *testing.T) {
	d := newDevice(t, deviceConfig{payload: 256, packets: 12})
	s := d.connected(64240)
	d.at(1, func() {
		d.thread(func(*rtos.Thread) {
			p := d.message(2000) // 9 packets; a segment needs 6
			d.pool.Leak(3)
			d.say("%v", s.Send(p, 5))
			d.say("%v", s.Send(p, 200))
		})
	})
	d.at(60, func() { d.pool.Restore(3) })
	d.run(3000)
	// What was copied until the packets ran out goes out as a short segment; the
	// rest then fits a segment and goes as it is.
	d.want("50 NX_NO_PACKET", "2060 PA 1 1 len=712 win=8192 id=3", "2060 PA 713 1 len=1288 win=8192 id=4", "2060 NX_SUCCESS",
		"3000 PA 1 1 len=712 win=8192 id=3")
	d.wantFree(0) // so that the ACK cannot be received either
	d.at(3010, func() { d.host(flagACK, 1, 2001, 64240, "") })
	d.run(3020)
	d.wantFree(0)
	if !slices.Contains(d.drops, trace.DropRxPool) {
		t.Errorf("drops %v", d.drops)
	}
}

func TestCopyIsReleasedWhenTheConnectionEndsMeanwhile(t *testing.T) {
	d := newDevice(t, deviceConfig{payload: 256, packets: 6})
	s := d.connected(64240)
	d.at(1, func() {
		d.thread(func(*rtos.Thread) {
			p := d.message(300) // two packets
			p.Trim(1)           // unaligned: it must be copied
			d.pool.Leak(3)      // the copy gets one packet and waits for another
			status := s.Send(p, rtos.WaitForever)
			d.say("%v, %d bytes left", status, p.Len())
			p.Release()
		})
	})
	d.at(5, func() { s.Disconnect(rtos.NoWait) })
	d.at(9, func() { d.pool.Restore(3) })
	d.run(20)
	d.want("9 NX_NOT_CONNECTED, 299 bytes left")
	d.wantFree(6)
}

func TestCopyIsMadeAnewWhenAnotherThreadHasSentMeanwhile(t *testing.T) {
	d := newDevice(t, deviceConfig{payload: 256, packets: 8})
	s := d.connected(64240)
	d.at(1, func() {
		other := d.message(8)
		d.thread(func(*rtos.Thread) {
			p := d.message(300)
			p.Trim(1)
			d.pool.Leak(4) // one is left for a copy that needs two
			d.say("%v", s.Send(p, rtos.WaitForever))
		})
		d.at(5, func() { d.say("other: %v", s.Send(other, rtos.NoWait)) })
	})
	d.at(6, func() { d.pool.Restore(4) })
	d.run(20)
	d.want("5 PA 1 1 len=8 win=8192 id=3", "5 other: NX_SUCCESS", "6 PA 9 1 len=299 win=8192 id=4", "6 NX_SUCCESS")
	d.wantFree(8 - 3)
}
