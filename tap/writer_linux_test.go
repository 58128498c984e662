package tap_test

import (
	"encoding/binary"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/pcaps"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// A loop that never sleeps leaves the writing to a goroutine: nothing is lost, in
// order, and counted when it is done; the cable is pulled behind the last one.
func TestABurstIsWrittenBesideTheLoop(t *testing.T) {
	b := newBench(t)
	cfg := b.config()
	var stamps []sim.Time
	cfg.Sent = func(f *link.Frame, at sim.Time) {
		if n := binary.BigEndian.Uint32(f.Data[14:]); int(n) != len(stamps) {
			t.Errorf("frame %d was written when %d was due", n, len(stamps))
		}
		stamps = append(stamps, at)
	}
	tp := b.open(cfg)
	if err := tp.Start(link.SinkFunc((*link.Frame).Release)); err != nil {
		t.Fatal(err)
	}
	capture := b.ns.Tcpdump("tap0")
	const captured, total = 400, 5000 // tcpdump has room for some 500 at once
	for i := range total {
		if i == captured {
			if err := tp.SetCarrier(true); err != nil { // when all before is written
				t.Fatal(err)
			}
			const fileHeader, packetHeader, frame = 24, 16, 60
			for deadline := time.Now().Add(patience); fileSize(capture.Path) < fileHeader+captured*(packetHeader+frame) && time.Now().Before(deadline); {
				time.Sleep(5 * time.Millisecond) // until tcpdump has written them
			}
			comparePackets(t, capture.Finish(), captured)
		}
		f := link.NewFrame(60)
		clear(f.Data)
		copy(f.Data, hostMAC)
		copy(f.Data[6:], guestMAC)
		binary.BigEndian.PutUint16(f.Data[12:], 0x88b5)
		binary.BigEndian.PutUint32(f.Data[14:], uint32(i))
		tp.Put(f)
	}
	if err := tp.SetCarrier(false); err != nil {
		t.Fatal(err)
	}
	if c := tp.Counters(); c.Put != total || c.Written != total {
		t.Errorf("behind the last frame: %+v", c)
	}
	for i := 1; i < len(stamps); i++ {
		if stamps[i] < stamps[i-1] {
			t.Fatalf("frame %d was written before the one in front of it", i)
		}
	}
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	b.settled(tp)
}

// The kernel answers within write, and the loop may read the answer before write
// has returned to the writer: still no answer is stamped before its question. The
// writer is held up where it reads the clock, long enough for the loop.
func TestNoAnswerIsStampedBeforeItsQuestion(t *testing.T) {
	b := newBench(t)
	cfg := b.config()
	loop := goroutine()
	cfg.Clock = func() sim.Time {
		if goroutine() != loop {
			time.Sleep(2 * time.Millisecond)
		}
		return b.clock()
	}
	const questions = 40 // the loop writes the first few itself
	asked, answered := map[wire.MAC]sim.Time{}, map[wire.MAC]sim.Time{}
	cfg.Sent = func(f *link.Frame, at sim.Time) { asked[wire.MAC(f.Data[6:12])] = at }
	cfg.Received = func(f *link.Frame, at sim.Time) {
		if arp, _, err := wire.ParseARP(f.Data[14:]); err == nil && arp.Operation() == wire.ARPReply {
			if answered[arp.TargetMAC()] = at; len(answered) == questions {
				b.loop.Stop()
			}
		}
	}
	tp := b.open(cfg)
	if err := tp.Start(link.SinkFunc((*link.Frame).Release)); err != nil {
		t.Fatal(err)
	}
	b.loop.Post(func() {
		for i := range questions {
			who := wire.MAC{2, 0, 0, 1, 0, byte(i)}
			f := link.NewFrame(60)
			clear(f.Data)
			wire.PutEthernet(f.Data, wire.BroadcastMAC, who, wire.EtherTypeARP)
			wire.PutARP(f.Data[14:], wire.ARPRequest, who, guestAddr, wire.MAC{}, hostAddr.Addr())
			tp.Put(f)
		}
	})
	b.run()
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	if b.settled(tp); len(asked) != questions || len(answered) != questions {
		t.Fatalf("%d questions and %d answers, want %d", len(asked), len(answered), questions)
	}
	for who, at := range answered {
		if at < asked[who] {
			t.Errorf("the answer to %v came %v before the question", who, asked[who].Sub(at))
		}
	}
}

// goroutine tells goroutines apart.
func goroutine() string {
	var buf [32]byte
	name, _, _ := strings.Cut(string(buf[:runtime.Stack(buf[:], false)]), " [")
	return name
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// comparePackets wants the first frames of a test in a capture.
func comparePackets(t *testing.T, path string, total uint32) {
	t.Helper()
	var came uint32
	for p, err := range pcaps.Packets(path) {
		if err != nil {
			t.Fatal(err)
		}
		if binary.BigEndian.Uint16(p.Data[12:]) != 0x88b5 {
			continue
		}
		if n := binary.BigEndian.Uint32(p.Data[14:]); n != came {
			t.Fatalf("tcpdump has frame %d where %d was due", n, came)
		}
		came++
	}
	if came != total {
		t.Errorf("tcpdump has %d of %d frames", came, total)
	}
}

// What the writer does not get rid of is counted as what the loop does not.
func TestTheWriterTellsWhyAFrameIsRefused(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	b.ns.Run("ip", "link", "set", "tap0", "down")
	const total = 200
	for range total {
		tp.Put(link.NewFrame(60))
	}
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	if c := b.settled(tp); c.WriteFailed != total || b.lost(trace.DropTapWrite) != total {
		t.Errorf("the interface is down: %+v, %d in the trace", c, b.lost(trace.DropTapWrite))
	}
}
