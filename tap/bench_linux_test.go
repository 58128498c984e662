package tap_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hilnet/internal/linktest"
	"hilnet/link"
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
