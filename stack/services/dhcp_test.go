package services

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/sim"
	"hilnet/wire"
)

// message makes a client's DHCP message with all parameters asked for.
func message(typ wire.DHCPType, mac wire.MAC, edit func(f *wire.DHCPFields), options ...func([]byte) []byte) []byte {
	f := wire.DHCPFields{Op: wire.BOOTRequest, XID: 99, Broadcast: true, MAC: mac}
	if edit != nil {
		edit(&f)
	}
	b := wire.AppendDHCPOption(wire.AppendDHCP(nil, f), wire.DHCPOptType, byte(typ))
	for _, o := range options {
		b = o(b)
	}
	return wire.AppendDHCPEnd(b, 0)
}

func discover() []byte { return message(wire.DHCPDiscover, clientMAC, nil) }

func addrOption(code uint8, a netip.Addr) func([]byte) []byte {
	return func(b []byte) []byte { return wire.AppendDHCPAddrs(b, code, a) }
}

func requests(mac wire.MAC, a netip.Addr) []byte {
	return message(wire.DHCPRequest, mac, nil, addrOption(wire.DHCPOptRequestedIP, a), addrOption(wire.DHCPOptServer, serverAddr))
}

// ask broadcasts a message and returns the answer, nil without one.
func (w *world) ask(b []byte) wire.DHCP {
	w.t.Helper()
	sent := w.put(udp(netip.AddrPortFrom(nowhere, 68), netip.AddrPortFrom(limitedBroadcast, 67), b))
	if len(sent) == 0 {
		return nil
	}
	m, err := wire.ParseDHCP(w.answer(sent).Payload)
	if err != nil || m.Op() != wire.BOOTReply || m.XID() != 99 || m.AddrOption(wire.DHCPOptServer) != serverAddr {
		w.t.Fatalf("answer %x: %v", []byte(m), err)
	}
	return m
}

var reserved = []Reservation{{clientMAC, clientAddr}}

func other(n byte) wire.MAC { return wire.MAC{2, 0, 0, 0, 1, n} }

func at(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }

func TestAClientGetsItsAddressAndWhatItAsksFor(t *testing.T) {
	w := newWorld(t, Config{DHCP: &DHCPConfig{
		Reserved: reserved, Lease: 100 * time.Second, Router: at(1), DNS: []netip.Addr{at(5), at(6)}, NTP: []netip.Addr{at(7)}, Domain: "example",
	}})
	offer := w.ask(discover())
	if offer.Type() != wire.DHCPOffer || offer.Your() != clientAddr {
		t.Fatalf("%v of %v", offer.Type(), offer.Your())
	}
	ack := w.ask(requests(clientMAC, clientAddr))
	if ack.Type() != wire.DHCPAck || ack.Your() != clientAddr || ack.AddrOption(wire.DHCPOptRouter) != at(1) ||
		ack.AddrOption(wire.DHCPOptDNS) != at(5) || ack.AddrOption(wire.DHCPOptNTP) != at(7) || ack.AddrOption(wire.DHCPOptMask) != netip.MustParseAddr("255.255.255.0") {
		t.Errorf("ack %x", []byte(ack))
	}
	for code, want := range map[uint8]uint32{wire.DHCPOptLease: 100, wire.DHCPOptRenewal: 50, wire.DHCPOptRebinding: 87} {
		if got, _ := ack.Uint32Option(code); got != want {
			t.Errorf("option %d is %d, want %d", code, got, want)
		}
	}
	less := w.ask(message(wire.DHCPDiscover, clientMAC, nil, func(b []byte) []byte {
		return wire.AppendDHCPOption(b, wire.DHCPOptParameters, wire.DHCPOptRouter)
	}))
	if _, mask := less.Option(wire.DHCPOptMask); mask || less.AddrOption(wire.DHCPOptRouter) != at(1) {
		t.Errorf("a client that asks for the router only gets %x", []byte(less))
	}
	if got := w.last(); got != "service dhcp  DHCPDISCOVER from 02:00:00:00:00:02: DHCPOFFER 10.0.0.2 for 1m40s" {
		t.Error(got)
	}
}

func TestAnswersGoWhereTheRFCSaysTheyGo(t *testing.T) {
	inform := message(wire.DHCPInform, clientMAC, func(f *wire.DHCPFields) { f.Client = clientAddr })
	for name, c := range map[string]struct {
		unicast bool
		payload []byte
		want    string
	}{
		"broadcast flag":         {false, discover(), "255.255.255.255 ff:ff:ff:ff:ff:ff"},
		"no flag":                {false, message(wire.DHCPDiscover, clientMAC, func(f *wire.DHCPFields) { f.Broadcast = false }), "10.0.0.2 02:00:00:00:00:02"},
		"renewing":               {false, message(wire.DHCPRequest, clientMAC, func(f *wire.DHCPFields) { f.Client = clientAddr }), "10.0.0.2 02:00:00:00:00:02"},
		"NAK":                    {false, requests(clientMAC, at(77)), "255.255.255.255 ff:ff:ff:ff:ff:ff"},
		"inform":                 {false, inform, "10.0.0.2 02:00:00:00:00:02"},
		"through an access node": {true, discover(), "255.255.255.255 02:00:00:00:00:02"},
	} {
		w := newWorld(t, Config{DHCP: &DHCPConfig{Reserved: reserved}, Unicast: c.unicast})
		l := w.answer(w.put(udp(netip.AddrPortFrom(nowhere, 68), netip.AddrPortFrom(limitedBroadcast, 67), c.payload)))
		if got := l.Dst().String() + " " + l.Ethernet.Dst().String(); got != c.want {
			t.Errorf("%s: to %s, want %s", name, got, c.want)
		}
	}
}

func TestStrangersShareARange(t *testing.T) {
	w := newWorld(t, Config{DHCP: &DHCPConfig{Reserved: reserved, First: at(10), Last: at(12), Excluded: []netip.Addr{at(11)}, Lease: 60 * time.Second}})
	offered := func(n byte) string {
		m := w.ask(message(wire.DHCPDiscover, other(n), nil))
		if m == nil {
			return "nothing"
		}
		return m.Your().String()
	}
	if got := []string{offered(1), offered(2), offered(1), offered(3)}; strings.Join(got, " ") != "10.0.0.10 10.0.0.12 10.0.0.10 nothing" {
		t.Errorf("offers %v", got)
	}
	if m := w.ask(requests(other(1), at(10))); m.Type() != wire.DHCPAck {
		t.Errorf("%v", m.Type())
	}
	// A minute later the offer that nobody took is over, and the lease as well.
	w.pass(61 * time.Second)
	if got := offered(3); got != "10.0.0.12" && got != "10.0.0.10" {
		t.Errorf("after a minute: %s", got)
	}
	// One that is given back is free at once, one that is declined is not.
	w = newWorld(t, Config{DHCP: &DHCPConfig{First: at(10), Last: at(10), Lease: 60 * time.Second}})
	w.ask(requests(other(1), at(10)))
	w.ask(message(wire.DHCPRelease, other(1), func(f *wire.DHCPFields) { f.Client = at(10) }, addrOption(wire.DHCPOptServer, serverAddr)))
	if got := offered(2); got != "10.0.0.10" {
		t.Errorf("after a release: %s", got)
	}
	w.ask(message(wire.DHCPDecline, other(2), nil, addrOption(wire.DHCPOptRequestedIP, at(10))))
	if got := offered(3); got != "nothing" {
		t.Errorf("after it was declined: %s", got)
	}
	// Who chose another server has no claim on its offer.
	w = newWorld(t, Config{DHCP: &DHCPConfig{First: at(10), Last: at(10)}})
	offered(1)
	if m := w.ask(message(wire.DHCPRequest, other(1), nil, addrOption(wire.DHCPOptRequestedIP, at(9)), addrOption(wire.DHCPOptServer, at(99)))); m != nil {
		t.Errorf("%v for a request to another server", m.Type())
	}
	if got := offered(2); got != "10.0.0.10" {
		t.Errorf("after the choice of another server: %s", got)
	}
}

func TestTheDHCPServerLies(t *testing.T) {
	for _, c := range []struct {
		answer DHCPAnswer
		want   string // of DHCPDISCOVER, then of DHCPREQUEST for what was offered
	}{
		{DHCPRight, "DHCPOFFER 10.0.0.2 1h0m0s DHCPACK"},
		{DHCPOff, "nothing"},
		{DHCPSilent, "nothing"},
		{DHCPNak, "DHCPOFFER 10.0.0.2 1h0m0s DHCPNAK"},
		{DHCPWrong, "DHCPOFFER 198.51.100.4 1h0m0s DHCPACK"},
		{DHCPTaken, "DHCPOFFER 10.0.0.1 1h0m0s DHCPACK"},
		{DHCPShort, "DHCPOFFER 10.0.0.2 10s DHCPACK"},
		{DHCPBare, "DHCPOFFER 10.0.0.2 1h0m0s DHCPACK"},
	} {
		w := newWorld(t, Config{DHCP: &DHCPConfig{Reserved: reserved, Taken: at(1), Router: at(1)}})
		w.host.SetDHCP(c.answer)
		got := "nothing"
		if m := w.ask(discover()); m != nil {
			seconds, _ := m.Uint32Option(wire.DHCPOptLease)
			got = m.Type().String() + " " + m.Your().String() + " " + (time.Duration(seconds) * time.Second).String()
			ack := w.ask(requests(clientMAC, m.Your()))
			got += " " + ack.Type().String()
			if _, mask := ack.Option(wire.DHCPOptMask); mask != (c.answer != DHCPBare && c.answer != DHCPNak) {
				t.Errorf("%s: mask: %v", c.answer, mask)
			}
			if router := ack.AddrOption(wire.DHCPOptRouter); c.answer == DHCPWrong && router != netip.MustParseAddr("198.51.100.1") {
				t.Errorf("%s: router %v", c.answer, router)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.answer, got, c.want)
		}
		// A client that lies has what it had again, when the server is right again.
		w.host.SetDHCP(DHCPRight)
		if m := w.ask(requests(clientMAC, clientAddr)); m.Type() != wire.DHCPAck {
			t.Errorf("after %s: %v", c.answer, m.Type())
		}
	}
}

// "Silent" is so for every message, and what is for another server changes nothing.
func TestOtherServersAndSilenceAreRespected(t *testing.T) {
	w := newWorld(t, Config{DHCP: &DHCPConfig{First: at(10), Last: at(10)}})
	w.ask(requests(other(1), at(10)))
	release := func(server netip.Addr) {
		w.ask(message(wire.DHCPRelease, other(1), func(f *wire.DHCPFields) { f.Client = at(10) }, addrOption(wire.DHCPOptServer, server)))
	}
	release(at(99))
	if m := w.ask(message(wire.DHCPDiscover, other(2), nil)); m != nil {
		t.Errorf("%v was released to another server, and is offered", m.Your())
	}
	release(serverAddr)
	if m := w.ask(message(wire.DHCPDiscover, other(2), nil)); m == nil {
		t.Error("nothing is offered though the address was released")
	}
	w.host.SetDHCP(DHCPSilent)
	for _, typ := range []wire.DHCPType{wire.DHCPDiscover, wire.DHCPRequest, wire.DHCPInform} {
		if m := w.ask(message(typ, other(3), func(f *wire.DHCPFields) { f.Client = at(77) })); m != nil {
			t.Errorf("%v is answered by %v", typ, m.Type())
		}
	}
}

// A flood of clients that do not exist fills the largest range. It costs no more
// for each than one client does, when the range is full and offers end one by one
// too; who has an address keeps it.
func TestAFloodOfClientsIsNoMoreThanItsMessages(t *testing.T) {
	network := netip.MustParsePrefix("10.0.0.0/8")
	h := &Host{loop: sim.NewLoop(sim.Config{}), cfg: Config{Addr: network}}
	defer h.loop.Close()
	first := address(number(network.Addr()) + 256)
	s, err := newDHCP(h, DHCPConfig{First: first, Last: address(number(first) + MaxRange - 1)})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	stranger := func(n int) wire.MAC { return wire.MAC{2, 1, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }
	now := sim.Time(0)
	kept := s.find(stranger(0), netip.Addr{}, now)
	kept.bound, kept.until = true, sim.Never
	got := 0
	const flood = 3 * MaxRange
	for n := 1; n < flood; n++ {
		now = now.Add(2 * time.Millisecond) // they end after half of the range, one by one
		if l := s.find(stranger(n), netip.Addr{}, now); l != nil {
			l.until = now.Add(offerTime)
			got++
		}
		if n%16 == 0 {
			if l := s.byMAC[stranger(n-8)]; l != nil {
				s.free(l)
			}
		}
		if n%1024 == 0 && time.Since(began) > 20*time.Second {
			t.Fatalf("%d clients take %v", n, time.Since(began))
		}
	}
	if len(s.byMAC) > MaxRange || len(s.byAddr) > MaxRange || len(s.freed) > MaxRange || s.byMAC[stranger(0)] != kept {
		t.Errorf("%d clients, %d addresses, %d free ones; the first: %v", len(s.byMAC), len(s.byAddr), len(s.freed), s.byMAC[stranger(0)])
	}
	if got < flood*9/10 {
		t.Errorf("%d of %d got an offer", got, flood)
	}
	t.Logf("%d offers in %v", got, time.Since(began))
	// When nothing is free, and nothing will be for a while, nobody gets anything.
	for l := s.find(stranger(flood), netip.Addr{}, now); l != nil; l = s.find(stranger(flood+got), netip.Addr{}, now) {
		l.until = now.Add(offerTime)
		got++
	}
	if l := s.find(stranger(1<<30), netip.Addr{}, now); l != nil {
		t.Errorf("%v of a range that is full", l.addr)
	}
}

func TestMessagesThatAreNoGoodAreDropped(t *testing.T) {
	w := newWorld(t, Config{DHCP: &DHCPConfig{Reserved: reserved}})
	relayed := discover()
	relayed[24] = 10
	for want, b := range map[string][]byte{
		"drop services/udp malformed wire: packet is too short":                                   discover()[:200],
		"drop services/udp malformed wire: unknown format":                                        make([]byte, 300),
		"drop services/udp unknown_protocol DHCP through a relay agent":                           relayed,
		"drop services/udp unknown_protocol BOOTP":                                                wire.AppendDHCPEnd(wire.AppendDHCP(nil, wire.DHCPFields{Op: wire.BOOTRequest}), 0),
		"drop services/udp unknown_protocol an answer of another DHCP server":                     message(wire.DHCPOffer, clientMAC, func(f *wire.DHCPFields) { f.Op = wire.BOOTReply }),
		"drop services/udp unknown_protocol DHCP message of type 13":                              message(13, clientMAC, nil),
		"service dhcp  DHCPDISCOVER from 02:00:00:00:01:01: no address is left for it, no answer": message(wire.DHCPDiscover, other(1), nil),
	} {
		if m := w.ask(b); m != nil || w.last() != want {
			t.Errorf("%v, %q, want %q", m != nil, w.last(), want)
		}
	}
}
