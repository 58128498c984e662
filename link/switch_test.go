package link_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"hilnet/link"
	"hilnet/wire"
)

func TestASwitchLearnsWhereAddressesAre(t *testing.T) {
	var log []string
	sw := link.NewSwitch()
	var drops []string
	sw.OnDrop(func(_ *link.Frame, v link.Verdict) { drops = append(drops, string(v.Reason)) })
	ports := make([]*link.Port, 3)
	for i := range ports {
		ports[i] = sw.Port(link.SinkFunc(func(f *link.Frame) {
			log = append(log, fmt.Sprint(i))
			f.Release()
		}))
	}
	const all = 0xff
	send := func(from int, dst, src byte, want string) {
		t.Helper()
		log = nil
		f := link.NewFrame(60)
		clear(f.Data)
		f.Data[0], f.Data[5] = dst&1, dst
		f.Data[6], f.Data[11] = 0, src
		ports[from].Put(f)
		if got := strings.Join(log, " "); got != want {
			t.Errorf("from %d to %d: left at %q, want %q", from, dst, got, want)
		}
	}
	send(0, 20, 10, "1 2")  // unknown: flooded
	send(1, 10, 20, "0")    // learned
	send(0, 20, 10, "1")    // learned
	send(0, all, 10, "1 2") // broadcast
	send(2, all, 30, "0 1")
	send(2, 30, 40, "")  // its own segment
	send(1, 10, 30, "0") // address 30 moves to port 1
	send(0, 30, 10, "1")
	ports[0].Put(link.NewFrame(5))
	want := link.SwitchCounters{In: 9, Forwarded: 4, Flooded: 3, Filtered: 1, Malformed: 1}
	if got := sw.Counters(); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
	if got := strings.Join(drops, " "); got != "switch_filtered malformed" {
		t.Errorf("OnDrop was told of %q", got)
	}
}

func TestAnAccessNetworkDeliversABroadcastOnce(t *testing.T) {
	var log []string
	sw := link.NewSwitch()
	ports := make([]*link.Port, 1000)
	for i := range ports {
		ports[i] = sw.Port(link.SinkFunc(func(f *link.Frame) {
			log = append(log, fmt.Sprint(i))
			f.Release()
		}))
	}
	sw.Uplink(ports[0])
	v4 := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }
	v6 := func(n int) netip.Addr { return netip.AddrFrom16([16]byte{0xfd, 14: byte(n >> 8), 15: byte(n)}) }
	mac := func(n int) wire.MAC { return wire.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)} }
	for i, p := range ports {
		p.Own(v4(i))
		p.Own(v6(i))
	}
	put := func(from int, frame []byte, want string) {
		t.Helper()
		log = nil
		ports[from].Put(link.CopyFrame(frame))
		if got := strings.Join(log, " "); got != want {
			t.Errorf("from port %d, %s: left at %q, want %q", from, wire.Summary(frame), got, want)
		}
	}
	arp := func(operation uint16, from, whom int) []byte {
		b := make([]byte, 60)
		wire.PutEthernet(b, wire.BroadcastMAC, mac(from), wire.EtherTypeARP)
		wire.PutARP(b[14:], operation, mac(from), v4(from), wire.MAC{}, v4(whom))
		return b
	}
	solicitation := func(from, whom int) []byte {
		b := make([]byte, 14+40+32)
		wire.PutEthernet(b, wire.MAC{0x33, 0x33, 0xff, 0, byte(whom >> 8), byte(whom)}, mac(from), wire.EtherTypeIPv6)
		group := netip.MustParseAddr("ff02::1:ff00:0").As16()
		group[14], group[15] = byte(whom>>8), byte(whom)
		dst := netip.AddrFrom16(group)
		wire.PutIPv6(b[14:], wire.ProtocolICMPv6, 255, v6(from), dst, 32)
		wire.PutNeighbor(b[54:], 135, &wire.Neighbor{Target: v6(whom), Options: wire.NDOptions{SourceMAC: mac(from)}}, v6(from), dst)
		return b
	}
	unicast := func(from, to int) []byte {
		b := make([]byte, 60)
		wire.PutEthernet(b, mac(to), mac(from), wire.EtherTypeIPv4)
		return b
	}
	put(7, arp(1, 7, 0), "0")
	put(0, arp(1, 0, 7), "7")
	put(0, arp(1, 0, 999), "999")
	put(7, arp(1, 7, 999), "999") // a neighbour's address too
	put(7, arp(1, 7, 7), "0")     // it announces its own
	put(7, arp(2, 7, 7), "0")     // likewise, by a reply
	put(7, arp(1, 7, 5000), "0")
	put(7, solicitation(7, 0), "0")
	put(0, solicitation(0, 300), "300")
	put(0, arp(1, 0, 0), "")
	put(0, unicast(0, 7), "7")
	put(8, unicast(8, 444), "0") // nobody has seen 444
	want := link.SwitchCounters{In: 12, Forwarded: 1, Directed: 10, Filtered: 1}
	if got := sw.Counters(); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
	log = nil
	ports[0].Put(link.CopyFrame(arp(2, 0, 0))) // of the uplink's, for all
	if len(log) != 999 || sw.Counters().Flooded != 1 {
		t.Errorf("an announcement of the uplink left at %d ports", len(log))
	}
}
