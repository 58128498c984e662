package tap_test

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/link"
	"hilnet/sim"
	"hilnet/tap"
	"hilnet/trace"
)

func TestPingIsAnsweredOverTheTAP(t *testing.T) {
	linktest.Require(t, "ping")
	b := newBench(t)
	var received, sent []sim.Time
	cfg := b.config()
	cfg.Received = func(f *link.Frame, at sim.Time) {
		if at > b.loop.Now() {
			t.Errorf("a frame came at %v, after the loop got it at %v", at, b.loop.Now())
		}
		received = append(received, at)
	}
	cfg.Sent = func(f *link.Frame, at sim.Time) {
		if at < b.loop.Now() {
			t.Errorf("a frame left at %v, before it was sent at %v", at, b.loop.Now())
		}
		sent = append(sent, at)
	}
	tp := b.open(cfg)
	host := &responder{out: tp}
	if err := tp.Start(host); err != nil {
		t.Fatal(err)
	}
	b.while(b.ping("-c", "20", "-i", "0.01"))
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	c := b.settled(tp)
	if host.pings != 20 || c.Delivered < 21 || c.Written < 21 || c.KernelDropped != 0 {
		t.Errorf("%d pings answered, want 20 and an ARP before them: %+v", host.pings, c)
	}
	if uint64(len(received)) != c.Delivered || uint64(len(sent)) != c.Written {
		t.Errorf("%d and %d stamps for %+v", len(received), len(sent), c)
	}
	if links := b.ns.Run("ip", "-br", "link"); strings.Contains(links, "tap0") {
		t.Errorf("the interface is left after Close:\n%s", links)
	}
}

func TestThePingSurvivesAFrameToAForeignMAC(t *testing.T) {
	linktest.Require(t, "ping")
	b := newBench(t)
	tp := b.open(b.config())
	host := &responder{out: tp}
	if err := tp.Start(host); err != nil {
		t.Fatal(err)
	}
	const foreign = 2000
	b.while(func() error { return b.flood(foreign, net.HardwareAddr{2, 0, 0, 0, 0, 0x99}, time.Millisecond) })
	b.while(b.ping("-c", "3", "-i", "0.01"))
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	if c := b.settled(tp); c.Read+c.KernelDropped < foreign || host.pings != 3 {
		t.Errorf("%d pings answered after %d foreign frames: %+v", host.pings, foreign, c)
	}
}

func TestTenThousandFramesAreCountedExactly(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	const total = 10_000
	var inOrder uint32
	if err := tp.Start(link.SinkFunc(func(f *link.Frame) {
		if binary.BigEndian.Uint16(f.Data[12:]) == 0x88b5 {
			if got := binary.BigEndian.Uint32(f.Data[14:]); got != inOrder {
				t.Fatalf("frame %d came when %d was due", got, inOrder)
			}
			inOrder++
		}
		f.Release()
	})); err != nil {
		t.Fatal(err)
	}
	b.while(func() error { return b.flood(total, guestMAC, 2*time.Millisecond) })
	for end := b.clock().Add(patience); inOrder < total && b.clock() < end; {
		if err := b.loop.Run(b.clock().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	if c := b.settled(tp); c.Delivered != total || c.Backlog != 0 || c.KernelDropped > b.refused {
		t.Errorf("%d frames sent, slowly, %d of them again: %+v", total, b.refused, c)
	}
}

func TestFramesBeyondTheBacklogAreCountedAndReported(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	var came []uint32
	if err := tp.Start(link.SinkFunc(func(f *link.Frame) {
		came = append(came, binary.BigEndian.Uint32(f.Data[14:]))
		f.Release()
	})); err != nil {
		t.Fatal(err)
	}
	// The loop does not run while three times the backlog arrives; the kernel tells
	// the sender of none that it drops, but counts them.
	const total = 3 * tap.MaxBacklog
	if err := b.flood(total, guestMAC, 2*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for end := b.clock().Add(patience); len(came) < tap.MaxBacklog && b.clock() < end; {
		if err := b.loop.Run(b.clock().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	c := b.settled(tp)
	if sent := uint64(total) + b.refused; c.Delivered < tap.MaxBacklog || c.Delivered+c.KernelDropped != sent {
		t.Errorf("%d frames while the loop stood, %d may wait: %+v", sent, tap.MaxBacklog, c)
	}
	for i, n := range came[:tap.MaxBacklog] {
		if int(n) != i {
			t.Fatalf("frame %d came when %d was due", n, i)
		}
	}
	if len(b.events) != 1 {
		t.Errorf("%d events for one burst, want 1", len(b.events))
	}
}

// What is read when the run ends, and was not given on, is lost too.
func TestWhatTheLoopHasNotTakenAtTheEndIsCounted(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	if err := tp.Start(link.SinkFunc((*link.Frame).Release)); err != nil {
		t.Fatal(err)
	}
	b.loop.Watch(tap.Descriptor(tp), b.loop.Stop) // behind the TAP's own: it has read, and given on nothing
	if err := b.flood(30, guestMAC, 0); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.loop.Unwatch(tap.Descriptor(tp))
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	if c := b.settled(tp); c.Read != 30 || c.Backlog != 30 {
		t.Errorf("30 frames were read and not given on: %+v", c)
	}
	b.while(func() error { return nil }) // what would have given them on finds nothing
	b.settled(tp)
}

func TestTheKernelSeesTheCableUnplugged(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	if err := tp.Start(link.SinkFunc((*link.Frame).Release)); err != nil {
		t.Fatal(err)
	}
	b.waitState(",LOWER_UP>")
	if err := tp.SetCarrier(false); err != nil {
		t.Fatal(err)
	}
	b.waitState(" DOWN ")
	if addrs := b.ns.Run("ip", "-br", "addr", "show", "tap0"); !strings.Contains(addrs, hostAddr.String()) {
		t.Errorf("the address went with the carrier:\n%s", addrs)
	}
	tp.Put(link.NewFrame(60))
	if err := tp.SetCarrier(true); err != nil {
		t.Fatal(err)
	}
	b.waitState(" UP ")
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	if c := b.settled(tp); c.NoCarrier != 1 || b.lost(trace.DropLinkDown) != 1 {
		t.Errorf("one frame was sent without a carrier: %+v, %d in the trace", c, b.lost(trace.DropLinkDown))
	}
	if err := tp.SetCarrier(true); err == nil {
		t.Error("the carrier of a closed interface can be set")
	}
}

// waitState waits until the kernel's line about the interface has want in it: an
// operational state, or a flag.
func (b *bench) waitState(want string) {
	b.Helper()
	var got string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		got = b.ns.Run("ip", "-br", "link", "show", "tap0")
		if strings.Contains(got, want) {
			return
		}
	}
	b.Fatalf("the state is not %s after %v:\n%s", want, patience, got)
}

func TestAFrameToAnInterfaceThatIsDownIsDroppedWithItsReason(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	frame := func() *link.Frame {
		f := link.NewFrame(60)
		clear(f.Data)
		copy(f.Data, hostMAC)
		return f
	}
	tp.Put(frame())
	b.ns.Run("ip", "link", "set", "tap0", "down")
	tp.Put(frame())
	b.ns.Run("ip", "link", "set", "tap0", "up")
	tp.Put(frame())
	tp.Put(link.NewFrame(13))
	c := b.settled(tp)
	if c.Written != 2 || c.WriteFailed != 2 || b.lost(trace.DropTapWrite) != 2 {
		t.Errorf("up, down, up, and a frame too short: %+v, %d in the trace", c, b.lost(trace.DropTapWrite))
	}
	if len(b.events) != 2 || !strings.Contains(b.events[0].Text, "down") {
		t.Errorf("events %+v, want the first to say that the interface is down", b.events)
	}
}

func TestCloseEndsAReaderThatWaits(t *testing.T) {
	b := newBench(t)
	for range 20 {
		tp := b.open(b.config())
		if err := tp.Start(link.SinkFunc((*link.Frame).Release)); err != nil {
			t.Fatal(err)
		}
		if err := tp.Close(); err != nil {
			t.Fatal(err)
		}
		if err := tp.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	}
}

func TestCloseFromWithinABatchLosesNothingUncounted(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	seen := 0
	if err := tp.Start(link.SinkFunc(func(f *link.Frame) {
		f.Release()
		if seen++; seen == 5 {
			if err := tp.Close(); err != nil {
				t.Error(err)
			}
		}
	})); err != nil {
		t.Fatal(err)
	}
	if err := b.flood(50, guestMAC, 0); err != nil {
		t.Fatal(err)
	}
	for end := b.clock().Add(patience); seen < 5 && b.clock() < end; {
		if err := b.loop.Run(b.clock().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if c := b.settled(tp); c.Delivered != 5 || c.Backlog != 45 {
		t.Errorf("closed after 5 of 50: %+v", c)
	}
}

func TestAFloodCannotHoldUpClose(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	if err := tp.Start(link.SinkFunc((*link.Frame).Release)); err != nil {
		t.Fatal(err)
	}
	flood := make(chan error, 1)
	go func() { flood <- b.flood(1<<30, guestMAC, 0) }() // ends with the interface
	for tp.Counters().Delivered < 1000 {
		if err := b.loop.Run(b.clock().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-flood; err == nil {
		t.Error("the flood outlived its interface")
	}
	b.settled(tp)
}
