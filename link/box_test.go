package link_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

var (
	deviceMAC = wire.MAC{2, 0, 0, 0, 0, 1}
	peerMAC   = wire.MAC{2, 0, 0, 0, 0, 2}
	device4   = netip.MustParseAddr("10.0.0.2")
	peer4     = netip.MustParseAddr("10.0.0.1")
	device6   = netip.MustParseAddr("fd00::2")
	peer6     = netip.MustParseAddr("fd00::1")
)

// boxBench is a link with a box, whose ends note what comes as text.
type boxBench struct {
	t         *testing.T
	loop      *sim.Loop
	link      *link.Link
	box       *link.Box
	log       []string
	generated int
}

func newBoxBench(t *testing.T, cfg link.BoxConfig) *boxBench {
	b := &boxBench{t: t, loop: sim.NewLoop(sim.Config{})}
	events := trace.NewLog(b.loop.Now)
	events.Subscribe(func(e *trace.Event) {
		switch e.Kind {
		case trace.KindDrop:
			b.log = append(b.log, "dropped at "+e.Stage+": "+string(e.Reason))
		case trace.KindGenerated:
			b.generated++
		}
	})
	l, err := link.New(link.World{Loop: b.loop, Trace: events, IDs: new(link.IDs)}, link.Config{Name: "link"})
	if err != nil {
		t.Fatal(err)
	}
	b.link = l
	if b.box, err = l.AddBox(cfg); err != nil {
		t.Fatal(err)
	}
	note := func(end string) link.Sink {
		return link.SinkFunc(func(f *link.Frame) {
			var l wire.Layers
			if err := l.Parse(f.Data); err != nil {
				t.Errorf("%s got %v", end, err)
			}
			if l.IPv4 != nil && !l.IPv4.ChecksumOK() || l.TCP != nil && !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) ||
				l.UDP != nil && !l.UDP.ChecksumOK(l.Src(), l.Dst(), l.Payload) ||
				l.ICMPv4 != nil && !l.ICMPv4.ChecksumOK(l.Payload) || l.ICMPv6 != nil && !l.ICMPv6.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
				t.Errorf("%s got a wrong checksum: %s", end, wire.Summary(f.Data))
			}
			b.log = append(b.log, end+": "+wire.Summary(f.Data))
			f.Release()
		})
	}
	l.Connect(note("device"), note("peer"))
	return b
}

// tcp sends a segment up from port 1000 to 1883, or down the other way.
func (b *boxBench) tcp(up bool, src, dst netip.Addr, flags wire.TCPFlags, payload int) {
	header := wire.IPv4HeaderLen
	if src.Is6() {
		header = wire.IPv6HeaderLen
	}
	f := link.NewFrame(wire.EthernetHeaderLen + header + wire.TCPHeaderLen + payload)
	from, to, way, fields := deviceMAC, peerMAC, b.link.Up, wire.TCPFields{SrcPort: 1000, DstPort: 1883, Seq: 100, Ack: 500, Flags: flags}
	if !up {
		from, to, way = peerMAC, deviceMAC, b.link.Down
		fields.SrcPort, fields.DstPort, fields.Seq, fields.Ack = 1883, 1000, 500, 100
	}
	if src.Is4() {
		wire.PutEthernet(f.Data, to, from, wire.EtherTypeIPv4)
		wire.PutIPv4(f.Data[wire.EthernetHeaderLen:], wire.IPv4Fields{TTL: 64, DontFragment: true, Protocol: wire.ProtocolTCP, Src: src, Dst: dst}, wire.TCPHeaderLen+payload)
	} else {
		wire.PutEthernet(f.Data, to, from, wire.EtherTypeIPv6)
		wire.PutIPv6(f.Data[wire.EthernetHeaderLen:], wire.ProtocolTCP, 64, src, dst, wire.TCPHeaderLen+payload)
	}
	wire.PutTCP(f.Data[wire.EthernetHeaderLen+header:], fields, src, dst, payload)
	way.Put(f)
}

// want runs for d and compares what happened meanwhile.
func (b *boxBench) want(d time.Duration, lines ...string) {
	b.t.Helper()
	if err := b.loop.Run(b.loop.Now().Add(d)); err != nil {
		b.t.Fatal(err)
	}
	if err := b.link.Check(); err != nil {
		b.t.Error(err)
	}
	got := strings.Join(b.log, "\n")
	if want := strings.Join(lines, "\n"); got != want {
		b.t.Errorf("at %v got\n%s\nwant\n%s", b.loop.Now(), got, want)
	}
	b.log = nil
}

const (
	upSyn  = "peer: TCP 10.0.0.2:1000 > 10.0.0.1:1883 [SYN] seq=100 ack=500 win=0 len=0"
	upAck  = "peer: TCP 10.0.0.2:1000 > 10.0.0.1:1883 [ACK] seq=100 ack=500 win=0 len=4"
	dnAck  = "device: TCP 10.0.0.1:1883 > 10.0.0.2:1000 [ACK] seq=500 ack=100 win=0 len=4"
	rstUp  = "device: TCP 10.0.0.1:1883 > 10.0.0.2:1000 [RST] seq=500 ack=0 win=0 len=0"
	rstDn  = "peer: TCP 10.0.0.2:1000 > 10.0.0.1:1883 [RST] seq=100 ack=0 win=0 len=0"
	minute = time.Minute
)

func TestAnIdleConnectionIsForgottenSilently(t *testing.T) {
	b := newBoxBench(t, link.BoxConfig{State: &link.StateConfig{IdleTCP: 5 * minute}})
	b.tcp(false, peer4, device4, wire.TCPSyn, 0)
	b.want(minute, "dropped at down/box: box_no_state")
	b.tcp(true, device4, peer4, wire.TCPSyn, 0)
	b.want(5*minute, upSyn)
	b.tcp(false, peer4, device4, wire.TCPAck, 4) // after exactly five minutes: still known
	b.want(4*minute, dnAck)
	b.tcp(true, device4, peer4, wire.TCPAck, 4)
	b.want(5*minute+1, upAck)
	b.tcp(true, device4, peer4, wire.TCPAck, 4)
	b.tcp(false, peer4, device4, wire.TCPAck, 4)
	b.want(minute, "dropped at down/box: box_no_state", "dropped at up/box: box_no_state")
	b.tcp(true, device4, peer4, wire.TCPSyn, 0)
	b.want(minute, upSyn)
	if b.generated != 0 {
		t.Errorf("a silent box sent %d frames", b.generated)
	}
}

func TestAnIdleConnectionIsReset(t *testing.T) {
	b := newBoxBench(t, link.BoxConfig{State: &link.StateConfig{IdleTCP: 5 * minute, Reset: true}})
	b.tcp(true, device4, peer4, wire.TCPSyn, 0)
	b.want(6*minute, upSyn)
	b.tcp(true, device4, peer4, wire.TCPAck, 4)
	b.want(minute, "dropped at up/box: box_no_state", rstUp)
	b.tcp(false, peer4, device4, wire.TCPAck, 4)
	b.want(minute, "dropped at down/box: box_no_state", rstDn)
	b.tcp(true, device4, peer4, wire.TCPSyn, 0)
	b.tcp(true, device4, peer4, wire.TCPRst, 0) // the connection ends
	b.tcp(true, device4, peer4, wire.TCPRst, 0) // and a reset is not answered
	b.want(minute, upSyn, "peer: TCP 10.0.0.2:1000 > 10.0.0.1:1883 [RST] seq=100 ack=500 win=0 len=0", "dropped at up/box: box_no_state")
}

func TestAFullTableTakesNoConnection(t *testing.T) {
	b := newBoxBench(t, link.BoxConfig{State: &link.StateConfig{IdleTCP: minute, MaxConnections: 1}})
	b.tcp(true, device4, peer4, wire.TCPSyn, 0)
	b.tcp(true, device6, peer6, wire.TCPSyn, 0)
	b.want(2*minute, upSyn, "dropped at up/box: box_full")
	b.tcp(true, device6, peer6, wire.TCPSyn, 0) // the first is idle by now
	b.want(minute, "peer: TCP [fd00::2]:1000 > [fd00::1]:1883 [SYN] seq=100 ack=500 win=0 len=0")
}

func TestACaptivePortalResetsTheDevice(t *testing.T) {
	b := newBoxBench(t, link.BoxConfig{})
	b.box.SetCaptive(true)
	b.tcp(true, device4, peer4, wire.TCPSyn, 0)
	b.tcp(false, peer4, device4, wire.TCPAck, 4)
	b.want(minute, "dropped at down/box: box_captive", "dropped at up/box: box_captive",
		"device: TCP 10.0.0.1:1883 > 10.0.0.2:1000 [RST,ACK] seq=0 ack=101 win=0 len=0")
	b.box.SetCaptive(false)
	b.tcp(true, device4, peer4, wire.TCPSyn, 0)
	b.want(minute, upSyn)
}

func TestAnAddressChangeIsSeenByThePeerOnly(t *testing.T) {
	b := newBoxBench(t, link.BoxConfig{State: &link.StateConfig{}})
	b.tcp(true, device4, peer4, wire.TCPSyn, 0)
	b.want(minute, upSyn)
	outside := netip.MustParseAddr("10.0.0.77")
	if err := b.box.ChangeAddress(outside); err != nil {
		t.Fatal(err)
	}
	b.tcp(true, device4, peer4, wire.TCPAck, 4)
	b.tcp(false, peer4, device4, wire.TCPAck, 4)
	b.want(minute, "dropped at down/box: box_address", "dropped at up/box: box_no_state")
	b.tcp(true, device4, peer4, wire.TCPSyn, 0)
	b.want(minute, strings.Replace(upSyn, "10.0.0.2:", "10.0.0.77:", 1))
	f := link.NewFrame(wire.EthernetHeaderLen + wire.ARPLen)
	wire.PutEthernet(f.Data, wire.BroadcastMAC, peerMAC, wire.EtherTypeARP)
	wire.PutARP(f.Data[wire.EthernetHeaderLen:], wire.ARPRequest, peerMAC, peer4, wire.MAC{}, outside)
	b.link.Down.Put(f)
	b.tcp(false, peer4, outside, wire.TCPAck, 4)
	b.want(minute, "peer: ARP 10.0.0.77 is at 02:00:00:00:00:01, to 10.0.0.1",
		"device: ARP who has 10.0.0.77? tell 10.0.0.1 at 02:00:00:00:00:02", dnAck)
	if b.box.ChangeAddress(peer6) == nil || b.box.ChangeAddress(netip.Addr{}) == nil {
		t.Error("took an address that is not IPv4")
	}
}

func TestASmallMTUIsToldByICMPOrNot(t *testing.T) {
	b := newBoxBench(t, link.BoxConfig{MTU: 1280})
	b.tcp(true, device4, peer4, wire.TCPAck, 1240) // 1280 in all
	b.want(minute, "peer: TCP 10.0.0.2:1000 > 10.0.0.1:1883 [ACK] seq=100 ack=500 win=0 len=1240")
	b.tcp(true, device4, peer4, wire.TCPAck, 1241)
	b.want(minute, "dropped at up/box: mtu", "device: ICMP 10.0.0.1 > 10.0.0.2 type=3 code=4 id=0 seq=1280 len=548")
	b.tcp(false, peer6, device6, wire.TCPAck, 1221)
	if b.log[len(b.log)-1] != "dropped at down/box: mtu" {
		t.Error("the answer came inside the peer's call")
	}
	b.log = nil
	if err := b.loop.Run(b.loop.Now()); err != nil {
		t.Fatal(err)
	}
	if len(b.log) != 1 || !strings.HasPrefix(b.log[0], "peer: ICMPv6 fd00::2 > fd00::1 type=2 code=0") {
		t.Errorf("got %v", b.log)
	}
	b.log = nil
	if err := b.box.Set(link.BoxConfig{MTU: 1280, SilentMTU: true}); err != nil {
		t.Fatal(err)
	}
	b.tcp(true, device4, peer4, wire.TCPAck, 1241)
	b.want(minute, "dropped at up/box: mtu")
}

func TestABadBoxIsAnError(t *testing.T) {
	b := newBoxBench(t, link.BoxConfig{})
	for name, cfg := range map[string]link.BoxConfig{
		"mtu":         {MTU: 67},
		"idle":        {State: &link.StateConfig{IdleTCP: -1}},
		"connections": {State: &link.StateConfig{MaxConnections: -1}},
	} {
		if b.box.Set(cfg) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := b.link.AddBox(link.BoxConfig{}); err == nil {
		t.Error("a second box was taken")
	}
}

func TestABoxBoundsWhatItSends(t *testing.T) {
	b := newBoxBench(t, link.BoxConfig{MTU: 100})
	for range link.MaxBoxBacklog + 2 {
		b.tcp(false, peer4, device4, wire.TCPAck, 100)
	}
	if err := b.loop.Run(b.loop.Now()); err != nil {
		t.Fatal(err)
	}
	if err := b.link.Check(); err != nil {
		t.Error(err)
	}
	lost := 0
	for _, line := range b.log {
		if line == "dropped at up/box: box_backlog" {
			lost++
		}
	}
	if lost != 2 {
		t.Errorf("%d answers lost, want 2", lost)
	}
}
