package tap_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hilnet/internal/linktest"
	"hilnet/link"
	"hilnet/pcaps"
	"hilnet/sim"
	"hilnet/tap"
	"hilnet/trace"
)

// Tests here wait for the kernel, in real time. None takes longer than this
// unless something is wrong.
const patience = 20 * time.Second

var (
	hostAddr  = netip.MustParsePrefix("192.0.2.1/24")
	hostMAC   = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	guestAddr = netip.MustParseAddr("192.0.2.2")
	guestMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// A bench is a TAP in a namespace of its own, with a loop in real time.
type bench struct {
	*testing.T
	ns     *linktest.Net
	loop   *sim.Loop
	clock  func() sim.Time
	log    *trace.Log
	events []trace.Event

	refused uint64 // frames that the kernel dropped and said so to flood
}

func newBench(t *testing.T) *bench {
	t.Helper()
	linktest.Require(t, linktest.NeedTUN)
	b := &bench{T: t, ns: linktest.Namespace(t)}
	linktest.NoLeaks(t)
	b.newLoop()
	return b
}

// newLoop begins a run.
func (b *bench) newLoop() {
	b.Helper()
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		b.Fatal(err)
	}
	b.loop = sim.NewLoop(sim.Config{Pacer: pacer})
	if err := b.loop.StartPacer(); err != nil {
		b.Fatal(err)
	}
	loop := b.loop
	b.Cleanup(func() { _ = loop.Close() })
	b.clock = pacer.Now
	b.log = trace.NewLog(b.loop.Now)
	b.log.Subscribe(func(e *trace.Event) { b.events = append(b.events, *e) })
}

func (b *bench) config() tap.Config {
	return tap.Config{
		Name: "tap0", Namespace: b.ns.Name, Address: hostAddr, MAC: hostMAC,
		Loop: b.loop, Trace: b.log, Clock: b.clock,
	}
}

func (b *bench) open(cfg tap.Config) *tap.TAP {
	b.Helper()
	t, err := tap.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = t.Close() })
	return t
}

// run runs the loop until stop says so.
func (b *bench) run() {
	b.Helper()
	if err := b.loop.Run(b.clock().Add(patience)); err != nil {
		b.Fatal(err)
	}
}

// while runs the loop until fn, on a goroutine of its own, returns.
func (b *bench) while(fn func() error) {
	b.Helper()
	done := make(chan error, 1)
	go func() {
		done <- fn()
		b.loop.Post(b.loop.Stop)
	}()
	b.run()
	select {
	case err := <-done:
		if err != nil {
			b.Fatal(err)
		}
	default:
		b.Fatalf("not done after %v", patience)
	}
}

// lost returns the frames that the trace says were lost for a reason.
func (b *bench) lost(reason trace.DropReason) (frames uint64) {
	for i := range b.events {
		if e := &b.events[i]; e.Kind == trace.KindDrop && e.Reason == reason {
			if n, ok := e.Value("frames"); ok {
				frames += uint64(n)
			} else {
				frames++
			}
		}
	}
	return frames
}

// settled checks that every frame is accounted for.
func (b *bench) settled(t *tap.TAP) tap.Counters {
	b.Helper()
	c := t.Counters()
	if err := accounted(c, b.lost(trace.DropTapBacklog)); err != nil {
		b.Error(err)
	}
	return c
}

// accounted returns an error when a frame is missing from the counters, or from
// what the trace says was lost to the backlog.
func accounted(c tap.Counters, lost uint64) error {
	switch {
	case c.Read != c.Delivered+c.Backlog, c.Put != c.Written+c.WriteFailed+c.NoCarrier:
		return fmt.Errorf("frames are unaccounted for: %+v", c)
	case lost != c.Backlog+c.KernelDropped:
		return fmt.Errorf("the trace has %d frames lost to the backlog, the counters %+v", lost, c)
	}
	return nil
}

func TestAFrameThatIsMissingIsSeen(t *testing.T) {
	whole := tap.Counters{Read: 10, Delivered: 7, Backlog: 3, KernelDropped: 2, Put: 6, Written: 3, WriteFailed: 2, NoCarrier: 1}
	if err := accounted(whole, 5); err != nil {
		t.Errorf("all there: %v", err)
	}
	for name, lose := range map[string]func(*tap.Counters){
		"delivered": func(c *tap.Counters) { c.Delivered-- },
		"backlog":   func(c *tap.Counters) { c.Backlog-- },
		"kernel":    func(c *tap.Counters) { c.KernelDropped-- },
		"written":   func(c *tap.Counters) { c.Written-- },
		"refused":   func(c *tap.Counters) { c.WriteFailed-- },
	} {
		c := whole
		lose(&c)
		if accounted(c, 5) == nil {
			t.Errorf("one frame less %s is not seen", name)
		}
	}
}

// A responder is a host of two protocols: it answers ARP and ping.
type responder struct {
	out   link.Sink
	pings int
}

func (r *responder) Put(f *link.Frame) {
	defer f.Release()
	eth := f.Data
	if len(eth) < 42 {
		return
	}
	switch binary.BigEndian.Uint16(eth[12:]) {
	case 0x0806:
		if arp := eth[14:]; binary.BigEndian.Uint16(arp[6:]) == 1 && [4]byte(arp[24:28]) == guestAddr.As4() {
			a := link.CopyFrame(eth[:42])
			copy(a.Data, eth[6:12])
			copy(a.Data[6:], guestMAC)
			a.Data[21] = 2               // reply
			copy(a.Data[32:], arp[8:18]) // to whoever asked
			copy(a.Data[22:], guestMAC)
			copy(a.Data[28:], arp[24:28])
			r.out.Put(a)
		}
	case 0x0800:
		if [6]byte(eth) != [6]byte(guestMAC) || eth[14] != 0x45 || eth[23] != 1 || eth[34] != 8 {
			return
		}
		r.pings++
		a := link.CopyFrame(eth)
		copy(a.Data, eth[6:12])
		copy(a.Data[6:], eth[:6])
		copy(a.Data[26:], eth[30:34])
		copy(a.Data[30:], eth[26:30])
		a.Data[34] = 0 // echo reply: the type is 8 less, so the checksum 0x0800 more
		sum := uint32(binary.BigEndian.Uint16(eth[36:])) + 0x0800
		binary.BigEndian.PutUint16(a.Data[36:], uint16(sum+sum>>16))
		r.out.Put(a)
	}
}

func (b *bench) ping(args ...string) func() error {
	return func() error {
		args := append([]string{"-n", "-q", "-W", "2"}, append(args, guestAddr.String())...)
		out, err := b.ns.Command("ping", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ping: %w\n%s", err, out)
		}
		return nil
	}
}

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

// flood sends frames from the kernel's side, pausing after each hundred.
func (b *bench) flood(n int, to net.HardwareAddr, pause time.Duration) error {
	return b.ns.Try(func() error {
		ifc, err := net.InterfaceByName("tap0")
		if err != nil {
			return err
		}
		const testProtocol = 0x88b5 // IEEE 802 local experimental
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		frame := make([]byte, 60)
		copy(frame, to)
		copy(frame[6:], hostMAC)
		binary.BigEndian.PutUint16(frame[12:], testProtocol)
		for i := range n {
			binary.BigEndian.PutUint32(frame[14:], uint32(i))
			for {
				err = unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifc.Index})
				if !errors.Is(err, unix.ENOBUFS) {
					break
				}
				b.refused++ // the queue is full; the frame is sent again
			}
			if err != nil {
				return fmt.Errorf("frame %d: %w", i, err)
			}
			if i%100 == 99 {
				time.Sleep(pause)
			}
		}
		return nil
	})
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

func TestADeletedInterfaceEndsTheRun(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	if err := tp.Start(link.SinkFunc((*link.Frame).Release)); err != nil {
		t.Fatal(err)
	}
	b.ns.Run("ip", "link", "del", "tap0")
	err := b.loop.Run(b.clock().Add(patience))
	if err == nil || !strings.Contains(err.Error(), "tap0") {
		t.Fatalf("Run returned %v, want an error that names the interface", err)
	}
	if err := tp.Close(); err != nil {
		t.Error(err)
	}
}

func TestAChildProcessDoesNotKeepTheInterface(t *testing.T) {
	b := newBench(t)
	tp := b.open(b.config())
	child := linktest.Start(t, exec.Command("sleep", "60"))
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	if links := b.ns.Run("ip", "-br", "link"); strings.Contains(links, "tap0") {
		t.Errorf("a child of ours keeps the interface:\n%s", links)
	}
	child.Stop(t)
}

func TestAnInterfaceThatWasThereStays(t *testing.T) {
	b := newBench(t)
	b.ns.Run("ip", "tuntap", "add", "dev", "tap0", "mode", "tap")
	b.ns.Run("ip", "addr", "add", hostAddr.String(), "dev", "tap0")
	for range 2 {
		tp := b.open(b.config())
		if !tp.Attached() || tp.MTU() != 1500 || tp.Name() != "tap0" {
			t.Errorf("attached %t, mtu %d, name %q", tp.Attached(), tp.MTU(), tp.Name())
		}
		if err := tp.Close(); err != nil {
			t.Fatal(err)
		}
		if addrs := b.ns.Run("ip", "-br", "addr", "show", "tap0"); strings.Count(addrs, hostAddr.String()) != 1 {
			t.Errorf("after Close:\n%s", addrs)
		}
	}
}

func TestANewInterfaceIsAsConfigured(t *testing.T) {
	b := newBench(t)
	cfg := b.config()
	cfg.MTU, cfg.Persistent = 1280, true
	tp := b.open(cfg)
	show := b.ns.Run("ip", "addr", "show", "tap0")
	for _, want := range []string{"mtu 1280", "link/ether " + hostMAC.String(), "inet " + hostAddr.String(), ",UP", "qlen 4096"} {
		if !strings.Contains(show, want) {
			t.Errorf("no %q in\n%s", want, show)
		}
	}
	if strings.Contains(show, "inet6") {
		t.Errorf("IPv6 is on:\n%s", show)
	}
	if err := tp.Close(); err != nil {
		t.Fatal(err)
	}
	if links := b.ns.Run("ip", "-br", "link"); !strings.Contains(links, "tap0") {
		t.Errorf("the persistent interface went:\n%s", links)
	}

	cfg = b.config()
	cfg.Name, cfg.Address, cfg.MAC, cfg.IPv6 = "", netip.Prefix{}, nil, true
	tp = b.open(cfg)
	if tp.Name() == "" || tp.Name() == "tap0" {
		t.Fatalf("the kernel named a second interface %q", tp.Name())
	}
	on := b.ns.Run("cat", "/proc/sys/net/ipv6/conf/"+tp.Name()+"/disable_ipv6")
	if strings.TrimSpace(on) != "0" {
		t.Errorf("disable_ipv6 is %q where IPv6 was asked for", on)
	}
}

func TestOpenLeavesTheProcessInItsNamespace(t *testing.T) {
	b := newBench(t)
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := b.open(b.config()).Close(); err != nil {
			t.Fatal(err)
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, th := range threads {
		ns, err := os.Readlink("/proc/self/task/" + th.Name() + "/ns/net")
		if err != nil {
			continue // the thread has ended
		}
		if ns != before {
			t.Errorf("thread %s is in %s, the process began in %s", th.Name(), ns, before)
		}
	}
}
