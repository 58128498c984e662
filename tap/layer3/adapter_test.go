package layer3_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/tap/layer3"
	"hilnet/trace"
	"hilnet/wire"
)

var (
	ourMAC  = wire.MAC{2, 0, 0, 0, 0, 2}
	peerMAC = wire.MAC{2, 0, 0, 0, 0, 1}
	ourAddr = netip.MustParsePrefix("10.0.0.2/24")
	peer    = netip.MustParseAddr("10.0.0.1")
)

// A bench is an adapter and what leaves it on both sides, in virtual time.
type bench struct {
	*testing.T
	*layer3.Adapter
	loop *sim.Loop
	log  []string
}

func newBench(t *testing.T, change func(*layer3.Config)) *bench {
	t.Helper()
	b := &bench{T: t, loop: sim.NewLoop(sim.Config{})}
	b.Cleanup(func() { _ = b.loop.Close() })
	events := trace.NewLog(b.loop.Now)
	events.Subscribe(func(e *trace.Event) { b.say("%s %s %s", e.Kind, e.Reason, e.Text) })
	cfg := layer3.Config{
		Node: "dut", MAC: ourMAC, Address: ourAddr, Loop: b.loop, Trace: events,
		Up:        link.SinkFunc(func(f *link.Frame) { b.say("link %s", describe(f)) }),
		Interface: link.SinkFunc(func(f *link.Frame) { b.say("interface %s", describe(f)) }),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if b.Adapter, err = layer3.New(cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) say(format string, args ...any) {
	b.log = append(b.log, fmt.Sprintf("%v ", time.Duration(b.loop.Now()))+strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
}

// said compares what happened since the last time.
func (b *bench) said(want ...string) {
	b.Helper()
	if got, want := strings.Join(b.log, "\n"), strings.Join(want, "\n"); got != want {
		b.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.log = nil
}

func describe(f *link.Frame) string {
	defer f.Release()
	var l wire.Layers
	if err := l.Parse(f.Data); err != nil {
		return err.Error()
	}
	who := l.Ethernet.Src().String() + " > " + l.Ethernet.Dst().String()
	if l.ARP != nil {
		return fmt.Sprintf("%s ARP %d %v asks for %v", who, l.ARP.Operation(), l.ARP.Sender(), l.ARP.Target())
	}
	return fmt.Sprintf("%s %v", who, l.IPv4.Dst())
}

// packet is a packet of the interface, behind an empty header.
func packet(to string) *link.Frame {
	f := link.NewFrame(34)
	clear(f.Data)
	f.Data[12], f.Data[14], f.Data[17] = 8, 0x45, 20
	a := netip.MustParseAddr(to).As4()
	copy(f.Data[30:], a[:])
	return f
}

// arp is an ARP packet of a neighbour.
func arp(operation uint16, from netip.Addr, target string) *link.Frame {
	f := link.NewFrame(42)
	to := ourMAC
	if operation == wire.ARPRequest {
		to = wire.BroadcastMAC
	}
	wire.PutEthernet(f.Data, to, peerMAC, wire.EtherTypeARP)
	wire.PutARP(f.Data[14:], operation, peerMAC, from, ourMAC, netip.MustParseAddr(target))
	return f
}

func TestPacketsWaitForTheAnswerOfANeighbour(t *testing.T) {
	b := newBench(t, nil)
	b.FromInterface(packet("10.0.0.1"))
	b.FromInterface(packet("10.0.0.1"))
	b.said("0s link 02:00:00:00:00:02 > ff:ff:ff:ff:ff:ff ARP 1 10.0.0.2 asks for 10.0.0.1")
	b.Put(arp(wire.ARPReply, peer, "10.0.0.2"))
	b.said("0s link 02:00:00:00:00:02 > 02:00:00:00:00:01 10.0.0.1", "0s link 02:00:00:00:00:02 > 02:00:00:00:00:01 10.0.0.1")
	if err := b.loop.Run(sim.Time(layer3.Lifetime)); err != nil {
		t.Fatal(err)
	}
	b.FromInterface(packet("10.0.0.1"))
	b.said("30s link 02:00:00:00:00:02 > ff:ff:ff:ff:ff:ff ARP 1 10.0.0.2 asks for 10.0.0.1")
}

func TestANeighbourThatDoesNotAnswerIsGivenUp(t *testing.T) {
	b := newBench(t, nil)
	for range layer3.MaxWaiting + 1 {
		b.FromInterface(packet("10.0.0.7"))
	}
	const ask = " link 02:00:00:00:00:02 > ff:ff:ff:ff:ff:ff ARP 1 10.0.0.2 asks for 10.0.0.7"
	b.said("0s"+ask, "0s drop arp_queue_full for 10.0.0.7")
	if err := b.loop.Run(sim.Time(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n := len(b.log); n != 2+1+layer3.MaxWaiting {
		t.Fatalf("%d lines: %v", n, b.log)
	}
	b.log = b.log[:4]
	b.said("1s"+ask, "2s"+ask, "3s arp no answer from 10.0.0.7", "3s drop arp_timeout for 10.0.0.7")
	c := b.Counters()
	if c.FromInterface+c.ARP != c.Sent+c.Dropped || c.Dropped != layer3.MaxWaiting+1 {
		t.Errorf("%+v", c)
	}
}

func TestGroupsAndOtherNetworksHaveTheirOwnWay(t *testing.T) {
	b := newBench(t, nil)
	for _, to := range []string{"255.255.255.255", "10.0.0.255", "239.255.1.2", "192.0.2.1"} {
		b.FromInterface(packet(to))
	}
	const ours = "0s link 02:00:00:00:00:02 > "
	b.said(ours+"ff:ff:ff:ff:ff:ff 255.255.255.255", ours+"ff:ff:ff:ff:ff:ff 10.0.0.255", ours+"01:00:5e:7f:01:02 239.255.1.2",
		"0s drop no_route there is no gateway")
	b = newBench(t, func(c *layer3.Config) { c.Gateway = peer })
	b.FromInterface(packet("192.0.2.1"))
	b.Put(arp(wire.ARPReply, peer, "10.0.0.2"))
	b.said(ours+"ff:ff:ff:ff:ff:ff ARP 1 10.0.0.2 asks for 10.0.0.1", ours+"02:00:00:00:00:01 192.0.2.1")
}

func TestItAnswersForTheAddressBehindIt(t *testing.T) {
	b := newBench(t, nil)
	b.Put(arp(wire.ARPRequest, peer, "10.0.0.2"))
	b.Put(arp(wire.ARPRequest, peer, "10.0.0.3"))
	b.said("0s link 02:00:00:00:00:02 > 02:00:00:00:00:01 ARP 2 10.0.0.2 asks for 10.0.0.1", "0s drop not_for_us for 10.0.0.3")
	in := packet("10.0.0.2")
	wire.PutEthernet(in.Data, ourMAC, peerMAC, wire.EtherTypeIPv4)
	b.Put(in)
	b.said("0s interface 02:00:00:00:00:01 > 02:00:00:00:00:02 10.0.0.2")
	foreign := packet("10.0.0.2")
	wire.PutEthernet(foreign.Data, wire.MAC{2, 9}, peerMAC, wire.EtherTypeIPv4)
	b.Put(foreign)
	v6 := packet("10.0.0.2")
	wire.PutEthernet(v6.Data, ourMAC, peerMAC, wire.EtherTypeIPv6)
	b.Put(v6)
	b.said("0s drop not_for_us for 02:09:00:00:00:00", "0s drop unknown_protocol the interface has no Ethernet, and its packets are IPv4")
	if c := b.Counters(); c.FromLink != c.Delivered+c.Answered+c.Refused || c.FromLink != 5 {
		t.Errorf("%+v", c)
	}
}

// Two thousand addresses, as a scan has them, take no more memory than the limit.
func TestANeighbourTableIsBounded(t *testing.T) {
	b := newBench(t, func(c *layer3.Config) { c.Address = netip.MustParsePrefix("10.0.0.2/16") })
	for i := range 2 * layer3.MaxNeighbours {
		b.FromInterface(packet(fmt.Sprintf("10.0.%d.%d", 8+i/256, i%256)))
	}
	c := b.Counters()
	if c.Dropped != layer3.MaxNeighbours {
		t.Errorf("%+v: the oldest %d go", c, layer3.MaxNeighbours)
	}
	b.Close()
	if c := b.Counters(); c.Dropped != 2*layer3.MaxNeighbours || c.FromInterface+c.ARP != c.Sent+c.Dropped {
		t.Errorf("at the end %+v", c)
	}
}

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	for what, change := range map[string]func(*layer3.Config){
		"Loop":     func(c *layer3.Config) { c.Loop = nil },
		"IPv4":     func(c *layer3.Config) { c.Address = netip.MustParsePrefix("fd00::2/64") },
		"gateway":  func(c *layer3.Config) { c.Gateway = netip.MustParseAddr("fd00::1") },
		"Ethernet": func(c *layer3.Config) { c.MAC = wire.BroadcastMAC },
	} {
		cfg := layer3.Config{MAC: ourMAC, Address: ourAddr, Loop: sim.NewLoop(sim.Config{}), Up: link.SinkFunc(nil), Interface: link.SinkFunc(nil)}
		change(&cfg)
		if _, err := layer3.New(cfg); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever comes from either side, nothing panics and every frame is counted.
func FuzzAdapter(f *testing.F) {
	f.Add(false, packet("10.0.0.1").Data)
	f.Add(true, arp(wire.ARPRequest, peer, "10.0.0.2").Data)
	f.Add(true, arp(wire.ARPReply, peer, "10.0.0.2").Data)
	short, _ := hex.DecodeString("0200000000020200000000010800")
	f.Add(true, short)
	f.Fuzz(func(t *testing.T, fromLink bool, data []byte) {
		b := newBench(t, nil)
		b.FromInterface(packet("10.0.0.1"))
		if fromLink {
			b.Put(link.CopyFrame(data))
		} else {
			b.FromInterface(link.CopyFrame(data))
		}
		if err := b.loop.Run(sim.Time(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b.Close()
		c := b.Counters()
		if c.FromInterface+c.ARP != c.Sent+c.Dropped || c.FromLink != c.Delivered+c.Answered+c.Refused {
			t.Errorf("frames are unaccounted for: %+v", c)
		}
	})
}
