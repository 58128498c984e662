package services

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/pcaps"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

var (
	serverMAC  = wire.MAC{2, 0, 0, 0, 0, 0xfe}
	serverAddr = netip.MustParseAddr("10.0.0.254")
	clientMAC  = wire.MAC{2, 0, 0, 0, 0, 2}
	clientAddr = netip.MustParseAddr("10.0.0.2")
	nowhere    = netip.IPv4Unspecified()
)

// A world is a host with a client on its wire.
type world struct {
	t      testing.TB
	loop   *sim.Loop
	host   *Host
	frames [][]byte // that the host sent
	events []trace.Event
}

func newWorld(t testing.TB, cfg Config) *world {
	t.Helper()
	w := &world{t: t, loop: sim.NewLoop(sim.Config{})}
	t.Cleanup(func() { _ = w.loop.Close() })
	log := trace.NewLog(w.loop.Now)
	log.Subscribe(func(e *trace.Event) { w.events = append(w.events, *e) })
	cfg.Node, cfg.MAC, cfg.Addr = "services", serverMAC, netip.PrefixFrom(serverAddr, 24)
	var err error
	w.host, err = New(w.loop, log, cfg, link.SinkFunc(func(f *link.Frame) {
		w.frames = append(w.frames, append([]byte(nil), f.Data...))
		f.Release()
	}))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// put sends the host a frame and returns what it sends at once.
func (w *world) put(frame []byte) [][]byte {
	w.frames = nil
	f := link.CopyFrame(frame)
	f.ID = 7
	w.host.Put(f)
	return w.frames
}

// udp makes a frame with a datagram of the client.
func udp(src netip.AddrPort, dst netip.AddrPort, payload []byte) []byte {
	b := make([]byte, wire.EthernetHeaderLen+wire.IPv4HeaderLen+wire.UDPHeaderLen+len(payload))
	mac := serverMAC
	if dst.Addr() == limitedBroadcast {
		mac = wire.BroadcastMAC
	}
	wire.PutEthernet(b, mac, clientMAC, wire.EtherTypeIPv4)
	ip := b[wire.EthernetHeaderLen:]
	wire.PutIPv4(ip, wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolUDP, Src: src.Addr(), Dst: dst.Addr()}, wire.UDPHeaderLen+len(payload))
	copy(ip[wire.IPv4HeaderLen+wire.UDPHeaderLen:], payload)
	wire.PutUDP(ip[wire.IPv4HeaderLen:], src.Port(), dst.Port(), src.Addr(), dst.Addr(), len(payload))
	return b
}

// answer returns the only datagram of some frames.
func (w *world) answer(frames [][]byte) *wire.Layers {
	w.t.Helper()
	if len(frames) != 1 {
		w.t.Fatalf("%d frames, want an answer; %s", len(frames), w.last())
	}
	l := &wire.Layers{}
	if err := l.Parse(frames[0]); err != nil {
		w.t.Fatal(err)
	}
	if l.IPv4 != nil && !l.IPv4.ChecksumOK() || l.UDP != nil && !l.UDP.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
		w.t.Errorf("wrong checksum in %s", wire.Summary(frames[0]))
	}
	return l
}

// last returns the last event in words.
func (w *world) last() string {
	if len(w.events) == 0 {
		return "no event"
	}
	e := w.events[len(w.events)-1]
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Kind, e.Stage, e.Reason, e.Text))
}

func (w *world) pass(d time.Duration) {
	w.t.Helper()
	if err := w.loop.Run(w.loop.Now().Add(d)); err != nil {
		w.t.Fatal(err)
	}
}

func virtualTime(t sim.Time) time.Time { return pcaps.VirtualEpoch.UTC().Add(time.Duration(t)) }

func TestTheHostAnswersAsAHostDoes(t *testing.T) {
	w := newWorld(t, Config{DNS: &DNSConfig{}})
	arp := make([]byte, wire.EthernetHeaderLen+wire.ARPLen)
	wire.PutEthernet(arp, wire.BroadcastMAC, clientMAC, wire.EtherTypeARP)
	wire.PutARP(arp[wire.EthernetHeaderLen:], wire.ARPRequest, clientMAC, clientAddr, wire.MAC{}, serverAddr)
	l := w.answer(w.put(arp))
	if l.ARP == nil || l.ARP.Sender() != serverAddr || l.ARP.SenderMAC() != serverMAC || l.Ethernet.Dst() != clientMAC {
		t.Errorf("ARP: %s", wire.Summary(w.frames[0]))
	}
	wire.PutARP(arp[wire.EthernetHeaderLen:], wire.ARPRequest, clientMAC, clientAddr, wire.MAC{}, clientAddr)
	if got := w.put(arp); len(got) != 0 {
		t.Errorf("an ARP request for somebody else is answered: %s", wire.Summary(got[0]))
	}

	ping := make([]byte, wire.EthernetHeaderLen+wire.IPv4HeaderLen+wire.ICMPHeaderLen+3)
	wire.PutEthernet(ping, serverMAC, clientMAC, wire.EtherTypeIPv4)
	wire.PutIPv4(ping[14:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolICMP, Src: clientAddr, Dst: serverAddr}, 11)
	wire.PutICMPv4Echo(ping[34:], wire.ICMPEchoRequest, 1, 2, []byte("abc"))
	if l = w.answer(w.put(ping)); l.ICMPv4 == nil || l.ICMPv4.Type() != wire.ICMPEchoReply || string(l.Payload) != "abc" || !l.ICMPv4.ChecksumOK(l.Payload) {
		t.Errorf("ping: %s", wire.Summary(w.frames[0]))
	}

	from := netip.AddrPortFrom(clientAddr, 4000)
	closed := w.answer(w.put(udp(from, netip.AddrPortFrom(serverAddr, 9), []byte("hello"))))
	if closed.ICMPv4 == nil || closed.ICMPv4.Type() != wire.ICMPUnreachable || closed.ICMPv4.Code() != wire.ICMPPortUnreachable || !closed.ICMPv4.ChecksumOK(closed.Payload) {
		t.Errorf("closed port: %s", wire.Summary(w.frames[0]))
	}
	if got := w.last(); !strings.HasPrefix(got, "drop services/udp no_listener") {
		t.Errorf("closed port: %s", got)
	}
	if got := w.put(udp(from, netip.AddrPortFrom(limitedBroadcast, 67), make([]byte, 300))); len(got) != 0 {
		t.Errorf("a broadcast to a closed port is answered: %s", wire.Summary(got[0]))
	}

	syn := make([]byte, wire.EthernetHeaderLen+wire.IPv4HeaderLen+wire.TCPHeaderLen)
	wire.PutEthernet(syn, serverMAC, clientMAC, wire.EtherTypeIPv4)
	wire.PutIPv4(syn[14:], wire.IPv4Fields{TTL: 64, Protocol: wire.ProtocolTCP, Src: clientAddr, Dst: serverAddr}, wire.TCPHeaderLen)
	wire.PutTCP(syn[34:], wire.TCPFields{SrcPort: 5, DstPort: 53, Seq: 41, Flags: wire.TCPSyn}, clientAddr, serverAddr, 0)
	l = w.answer(w.put(syn))
	if l.TCP == nil || l.TCP.Flags() != wire.TCPRst|wire.TCPAck || l.TCP.Ack() != 42 || !l.TCP.ChecksumOK(serverAddr, clientAddr, nil) {
		t.Errorf("SYN: %s", wire.Summary(w.frames[0]))
	}
}

func TestWhatTheHostCannotUseIsADropWithAReason(t *testing.T) {
	from, to := netip.AddrPortFrom(clientAddr, 4000), netip.AddrPortFrom(serverAddr, 53)
	good := udp(from, to, make([]byte, 20))
	edit := func(fn func(b []byte)) []byte {
		b := append([]byte(nil), good...)
		fn(b)
		return b
	}
	refresh := func(b []byte) { wire.IPv4(b[14:34]).UpdateChecksum() }
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"short":        {good[:20], "drop services/parse malformed"},
		"other MAC":    {edit(func(b []byte) { b[5] = 9 }), "drop services/ethernet not_for_us"},
		"IP checksum":  {edit(func(b []byte) { b[24]++ }), "drop services/ip checksum"},
		"UDP checksum": {edit(func(b []byte) { b[len(b)-1]++ }), "drop services/udp checksum"},
		"fragment":     {edit(func(b []byte) { b[20] = 0x20; refresh(b) }), "drop services/ip unknown_protocol"},
		"other host":   {edit(func(b []byte) { b[33] = 7; refresh(b) }), "drop services/ip not_for_us"},
		"protocol":     {edit(func(b []byte) { b[23] = 99; refresh(b) }), "drop services/ip unknown_protocol"},
		"no DNS":       {udp(from, to, []byte("x")), "drop services/udp malformed"},
		"a response":   {udp(from, to, wire.AppendDNS(nil, 1, wire.DNSResponse, 0, 0, 0, 0)), "drop services/udp unknown_protocol"},
	} {
		w := newWorld(t, Config{DNS: &DNSConfig{}})
		if sent := w.put(c.frame); len(sent) != 0 || !strings.HasPrefix(w.last(), c.want) || w.host.Counters().Dropped != 1 {
			t.Errorf("%s: %d answers, %s, want %s", name, len(sent), w.last(), c.want)
		}
	}
	w := newWorld(t, Config{DNS: &DNSConfig{}})
	w.host.Close()
	if sent := w.put(good); len(sent) != 0 || !strings.HasPrefix(w.last(), "drop services/ethernet no_stack") {
		t.Errorf("closed: %d answers, %s", len(sent), w.last())
	}
}

func TestConfigurationsThatCannotBeAreRefused(t *testing.T) {
	addr := netip.MustParseAddr
	for want, cfg := range map[string]Config{
		"lease of 1.5s":          {DHCP: &DHCPConfig{Lease: 1500 * time.Millisecond}},
		"a range has a first":    {DHCP: &DHCPConfig{First: addr("10.0.0.5")}},
		"is no range":            {DHCP: &DHCPConfig{First: addr("10.0.0.5"), Last: addr("10.0.0.4")}},
		"is reserved and not in": {DHCP: &DHCPConfig{Reserved: []Reservation{{clientMAC, addr("10.1.0.5")}}}},
		"is reserved twice":      {DHCP: &DHCPConfig{Reserved: []Reservation{{clientMAC, clientAddr}, {serverMAC, clientAddr}}}},
		`dhcp: unknown answer`:   {DHCP: &DHCPConfig{Answer: "maybe"}},
		"to give away":           {DHCP: &DHCPConfig{Answer: DHCPTaken}},
		"dhcp: delay":            {DHCP: &DHCPConfig{Delay: -1}},
		"is no domain name":      {DNS: &DNSConfig{Names: []Name{{Name: "a..b"}}}},
		"is there twice":         {DNS: &DNSConfig{Names: []Name{{Name: "a.b"}, {Name: "A.b"}}}},
		"addresses, more than":   {DNS: &DNSConfig{Names: []Name{{Name: "a", Addrs: make([]netip.Addr, 99)}}}},
		"time to live":           {DNS: &DNSConfig{Names: []Name{{Name: "a", TTL: -1}}}},
		`dns: unknown answer`:    {DNS: &DNSConfig{Answer: "maybe"}},
		"dns: delay":             {DNS: &DNSConfig{Delay: 2 * MaxDelay}},
		"sntp: no clock":         {SNTP: &SNTPConfig{}},
		`sntp: unknown answer`:   {SNTP: &SNTPConfig{Wall: virtualTime, Answer: "maybe"}},
	} {
		loop := sim.NewLoop(sim.Config{})
		cfg.Node, cfg.MAC, cfg.Addr = "services", serverMAC, netip.PrefixFrom(serverAddr, 24)
		if _, err := New(loop, nil, cfg, link.SinkFunc(func(*link.Frame) {})); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
		_ = loop.Close()
	}
}

func TestADelayHoldsAnswersUpToALimit(t *testing.T) {
	w := newWorld(t, Config{DNS: &DNSConfig{Delay: time.Second}})
	q := query(t, "a.example", wire.DNSTypeA)
	for range MaxWaiting + 1 {
		if sent := w.put(q); len(sent) != 0 {
			t.Fatal("answered at once")
		}
	}
	if got := w.last(); !strings.HasPrefix(got, "drop dns queue_full") {
		t.Errorf("beyond the limit: %s", got)
	}
	if w.pass(time.Second); len(w.frames) != MaxWaiting {
		t.Errorf("%d answers after the delay, want %d", len(w.frames), MaxWaiting)
	}
}

func FuzzHost(f *testing.F) {
	f.Add(query(f, "a.example", wire.DNSTypeA))
	f.Add(udp(netip.AddrPortFrom(nowhere, 68), netip.AddrPortFrom(limitedBroadcast, 67), discover()))
	f.Add(udp(netip.AddrPortFrom(clientAddr, 4000), netip.AddrPortFrom(serverAddr, 123), ntpRequest()))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) > link.MaxFrame {
			return
		}
		w := newWorld(t, Config{
			DHCP: &DHCPConfig{First: netip.MustParseAddr("10.0.0.10"), Last: netip.MustParseAddr("10.0.0.12")},
			DNS:  &DNSConfig{Names: []Name{{Name: "a.example", Addrs: []netip.Addr{clientAddr}}}}, SNTP: &SNTPConfig{Wall: virtualTime},
		})
		for _, sent := range w.put(frame) {
			var l wire.Layers
			if err := l.Parse(sent); err != nil || len(w.frames) > 1 {
				t.Fatalf("%d answers, %s: %v", len(w.frames), wire.Summary(sent), err)
			}
		}
	})
}

// What comes from nobody's address is not answered: the answer would go to everybody.
func TestWhatComesFromNoHostIsDropped(t *testing.T) {
	w := newWorld(t, Config{DNS: &DNSConfig{Names: []Name{{Name: "broker.example"}}}, SNTP: &SNTPConfig{Wall: virtualTime}})
	ntp := make([]byte, wire.NTPLen)
	wire.PutNTP(ntp, wire.NTPFields{Version: 4, Mode: wire.NTPClient})
	for _, src := range []string{"224.0.0.1", "255.255.255.255", "10.0.0.255", "127.0.0.1", "0.0.0.0", "10.0.0.254"} {
		from := netip.AddrPortFrom(netip.MustParseAddr(src), 123)
		for _, to := range []uint16{wire.DNSPort, wire.NTPPort, 9} {
			if got := w.put(udp(from, netip.AddrPortFrom(serverAddr, to), ntp)); len(got) > 0 {
				t.Errorf("from %s to port %d: it sends %s", src, to, wire.Summary(got[0]))
			}
			if got := w.last(); !strings.HasPrefix(got, "drop services/ip malformed from "+src) {
				t.Errorf("from %s to port %d: %s", src, to, got)
			}
		}
	}
	if c := w.host.Counters(); c.Dropped != c.RxFrames || c.TxFrames != 0 {
		t.Errorf("%+v", c)
	}
}
