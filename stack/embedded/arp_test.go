package embedded

import (
	"net/netip"
	"slices"
	"testing"

	"hilnet/link"
	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/trace"
	"hilnet/wire"
)

// hostARP delivers an ARP packet to the device.
func (d *device) hostARP(operation uint16, mac wire.MAC, sender, target netip.Addr) {
	b := make([]byte, 42)
	wire.PutEthernet(b, wire.BroadcastMAC, mac, wire.EtherTypeARP)
	targetMAC := wire.MAC{}
	if operation == wire.ARPReply {
		targetMAC = deviceMAC
	}
	wire.PutARP(b[14:], operation, mac, sender, targetMAC, target)
	d.deliver(b)
}

// Recording 3d-arp-late: four SYNs leave back to back when the answer comes; the
// older ones have made room.
func TestLateARPAnswerReleasesABurst(t *testing.T) {
	d := newDevice(t, deviceConfig{noARP: true})
	s := d.socket()
	d.at(0, func() { s.Connect(broker, rtos.NoWait) })
	d.at(6500, func() { d.wantFree(28); d.hostARP(wire.ARPReply, hostMAC, hostAddr, deviceAddr) })
	d.run(7500)
	d.want("0 ARP who has 10.50.0.1",
		"6500 S 0 0 len=0 win=8192 id=4", "6500 S 0 0 len=0 win=8192 id=5", "6500 S 0 0 len=0 win=8192 id=6", "6500 S 0 0 len=0 win=8192 id=7",
		"7000 S 0 0 len=0 win=8192 id=8")
	if want := []trace.DropReason{trace.DropARPQueue, trace.DropARPQueue, trace.DropARPQueue}; !slices.Equal(d.drops, want) {
		t.Errorf("drops %v, want %v", d.drops, want)
	}
	d.wantFree(32)
}

func TestARPRequestWithoutAPacketIsTriedAgainAfterTenSeconds(t *testing.T) {
	d := newDevice(t, deviceConfig{noARP: true, payload: 1536, packets: 1})
	d.at(0, func() { d.socket().Connect(broker, rtos.NoWait) }) // the SYN takes the packet
	d.run(5000)
	d.want()
	d.at(9500, func() {
		// The application's connection attempt is over; the packet is still queued.
		d.ip.sockets[0].Disconnect(rtos.NoWait)
	})
	d.run(200_000)
	d.want() // not one request could be sent
	if !slices.Contains(d.drops, trace.DropARPTimeout) || d.ip.Counters().ControlNotSent < 19 {
		t.Errorf("drops %v, counters %+v", d.drops, d.ip.Counters())
	}
	d.wantFree(1)
}

func TestFirstARPRetryIsOnTheGridOfSeconds(t *testing.T) {
	d := newDevice(t, deviceConfig{noARP: true})
	d.at(2345, func() { d.ip.Ping(hostAddr, nil, rtos.NoWait) })
	d.run(23_000)
	d.want("2345 ARP who has 10.50.0.1", "12000 ARP who has 10.50.0.1", "22000 ARP who has 10.50.0.1")
}

func TestWhoAsksIsRememberedForEver(t *testing.T) {
	d := newDevice(t, deviceConfig{noARP: true})
	other := wire.MAC{2, 9, 9, 9, 9, 9}
	d.at(1, func() { d.hostARP(wire.ARPRequest, hostMAC, hostAddr, deviceAddr) })
	d.at(2, func() { d.hostARP(wire.ARPRequest, hostMAC, hostAddr, netip.MustParseAddr("10.50.0.9")) }) // for another
	d.at(7_200_000, func() { d.socket().Connect(broker, rtos.NoWait) })
	d.at(7_200_010, func() { d.hostARP(wire.ARPReply, other, hostAddr, deviceAddr) }) // the host has a new interface
	d.run(7_201_500)
	d.want("1 ARP to 10.50.0.1", "7.2e+06 S 0 0 len=0 win=8192 id=1", "7.201e+06 S 0 0 len=0 win=8192 id=2")
	if a, b := wire.Ethernet(d.raw[1][:14]).Dst(), wire.Ethernet(d.raw[2][:14]).Dst(); a != hostMAC || b != other {
		t.Errorf("sent to %v, then to %v", a, b)
	}
	d.wantFree(32)
}

func TestARPReplyUsesTheRequestsPacket(t *testing.T) {
	d := newDevice(t, deviceConfig{noARP: true, payload: 1536, packets: 1})
	d.at(1, func() { d.hostARP(wire.ARPRequest, hostMAC, hostAddr, deviceAddr) })
	d.run(2)
	d.want("1 ARP to 10.50.0.1")
	a, _, err := wire.ParseARP(d.raw[0][14:])
	if err != nil || a.Operation() != wire.ARPReply || a.SenderMAC() != deviceMAC || a.Sender() != deviceAddr || a.TargetMAC() != hostMAC ||
		len(d.raw[0]) != 60 || wire.Ethernet(d.raw[0][:14]).Dst() != hostMAC {
		t.Errorf("% x: %v", d.raw[0], err)
	}
	d.wantFree(1)
}

func TestStaticEntryDoesNotChange(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	d.at(1, func() { d.hostARP(wire.ARPReply, wire.MAC{2, 9}, hostAddr, deviceAddr) })
	d.at(2, func() { d.socket().Connect(broker, rtos.NoWait) })
	d.run(3)
	if got := wire.Ethernet(d.raw[0][:14]).Dst(); got != hostMAC {
		t.Errorf("sent to %v", got)
	}
}

func TestAddressConflictIsDefendedEachTenSeconds(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	for _, ms := range []float64{1, 2, 12_000.5} {
		d.at(ms, func() { d.hostARP(wire.ARPReply, wire.MAC{2, 9}, deviceAddr, hostAddr) })
	}
	d.run(13_000)
	d.want("1 ARP who has 10.50.0.2", "12000.5 ARP who has 10.50.0.2")
	d.wantFree(32)
}

func TestFullARPTableForgetsTheOldest(t *testing.T) {
	p := NetXDuo()
	p.ARP.Entries = 2
	d := newDevice(t, deviceConfig{profile: p}) // one static entry
	a, b := netip.MustParseAddr("10.50.0.11"), netip.MustParseAddr("10.50.0.12")
	d.at(1, func() { d.ip.Ping(a, nil, rtos.NoWait) })
	d.at(2, func() { d.wantFree(31); d.ip.Ping(b, nil, rtos.NoWait) })
	d.run(3)
	d.want("1 ARP who has 10.50.0.11", "2 ARP who has 10.50.0.12")
	if len(d.ip.arp) != 2 || !d.ip.arp[0].static || d.ip.arp[1].addr != b || !slices.Equal(d.drops, []trace.DropReason{DropARPTable}) {
		t.Errorf("%d entries, drops %v", len(d.ip.arp), d.drops)
	}
	d.wantFree(31)
}

func TestGatewayIsAskedForOtherNetworks(t *testing.T) {
	gateway := netip.MustParseAddr("10.50.0.254")
	d := newDevice(t, deviceConfig{gateway: gateway})
	d.at(0, func() { d.socket().Connect(netip.MustParseAddrPort("192.0.2.7:1883"), rtos.NoWait) })
	d.at(1, func() { d.hostARP(wire.ARPReply, hostMAC, gateway, deviceAddr) })
	d.run(2)
	d.want("0 ARP who has 10.50.0.254", "1 S 0 0 len=0 win=8192 id=1")
	if dst := wire.IPv4(d.raw[1][14:34]).Dst(); dst.String() != "192.0.2.7" {
		t.Errorf("sent to %v", dst)
	}
}

func TestDownLinkDropsInTheDriverAndTCPGoesOn(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	s := d.connected(64240)
	d.at(1, func() { d.nic.SetState(nic.LinkDown) })
	d.at(10, func() { d.send(s, 10) })
	d.at(2500, func() { d.nic.SetState(nic.TxError) })
	d.at(4500, func() { d.nic.SetState(nic.LinkUp) })
	d.run(5500)
	d.want("5000 PA 1 1 len=10 win=8192 id=3")
	want := []trace.DropReason{trace.DropLinkDown, trace.DropLinkDown, trace.DropLinkDown, trace.DropTxError, trace.DropTxError}
	if !slices.Equal(d.drops, want) {
		t.Errorf("drops %v, want %v", d.drops, want)
	}
}

func TestMalformedARPIsDropped(t *testing.T) {
	d := newDevice(t, deviceConfig{})
	b := make([]byte, 42)
	wire.PutEthernet(b, deviceMAC, hostMAC, wire.EtherTypeARP)
	wire.PutARP(b[14:], 7, hostMAC, hostAddr, wire.MAC{}, deviceAddr)
	d.deliver(b)
	d.nic.Put(link.CopyFrame(b[:30]))
	d.run(1)
	if !slices.Equal(d.drops, []trace.DropReason{trace.DropMalformed, trace.DropMalformed}) {
		t.Errorf("drops %v", d.drops)
	}
	d.wantFree(32)
}
