package frames

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/sim"
	"hilnet/wire"
)

// captures of many kinds: VLANs, IPv6, fragments, ICMP errors, ARP.
func captures(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, folder := range []string{"captures/tcp", "captures/mqtt"} {
		names, err := filepath.Glob(filepath.Join(linktest.Data(t, folder), "*.pcap*"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, names...)
	}
	if len(all) < 20 {
		t.Fatalf("only %d captures", len(all))
	}
	return all
}

// play sends captures to a file in virtual time and returns the stats of the last.
func play(t *testing.T, out string, cfg SourceConfig, names ...string) (s Stats) {
	t.Helper()
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	file, err := CreateFile(out, pcaps.VirtualEpoch, loop.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		s = playTo(t, file, cfg, name)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

func playTo(t *testing.T, file *File, cfg SourceConfig, name string) Stats {
	t.Helper()
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	if cfg.Open == nil {
		cfg.Open = func() (io.ReadCloser, error) { return os.Open(name) }
	}
	file.clock = loop.Now
	p, err := NewPlayer(PlayerConfig{Source: cfg, Loop: loop, Outputs: [2]Output{file}})
	if err != nil {
		t.Fatal(err)
	}
	p.Start(context.Background())
	if err := loop.Run(maxOffset); err != nil {
		t.Fatal(err)
	}
	s := p.Stats()
	src := s.Source
	if src.Read != src.Filtered+src.NotEthernet+src.CutShort+src.TooShort+src.Beyond+src.Due {
		t.Errorf("%s: %+v does not add up", filepath.Base(name), src)
	}
	if src.Due != s.Sides[0].Sent+s.Sides[0].refusedFrames()+s.Sides[1].refusedFrames()+s.Unsent {
		t.Errorf("%s: %d due, %+v", filepath.Base(name), src.Due, s.Sides)
	}
	return s
}

// badChecksums asks tshark which frames of a file have a wrong checksum.
func badChecksums(t *testing.T, name string) []string {
	t.Helper()
	out := linktest.Tshark(t, "-r", name, "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
		"-Y", "ip.checksum.status==0 or tcp.checksum.status==0 or udp.checksum.status==0 or icmp.checksum.status==0 or icmpv6.checksum.status==0", "-T", "fields", "-e", "frame.number")
	return strings.Fields(out)
}

func TestRewrittenFramesHaveTheChecksumsThatTsharkComputes(t *testing.T) {
	dir := t.TempDir()
	src, dst, tos := wire.MAC{2, 9, 9, 9, 9, 1}, wire.MAC{2, 9, 9, 9, 9, 2}, uint8(0x28)
	rewrite := RewriteConfig{
		Src: &src, Dst: &dst,
		Networks: []NetworkMap{
			{netip.MustParsePrefix("0.0.0.0/1"), netip.MustParsePrefix("128.0.0.0/1")},
			{netip.MustParsePrefix("128.0.0.0/1"), netip.MustParsePrefix("0.0.0.0/1")},
			{netip.MustParsePrefix("::/0"), netip.MustParsePrefix("::/0")},
			{netip.MustParsePrefix("2000::/4"), netip.MustParsePrefix("3000::/4")},
		},
		Ports: []PortMap{{1883, 2883}, {80, 8080}},
		TTL:   TTLChange{Add: 3}, TOS: &tos,
	}
	rewrite.Cut = SendCut
	names := captures(t)
	plain, changed, fixed := filepath.Join(dir, "a.pcapng"), filepath.Join(dir, "b.pcapng"), filepath.Join(dir, "c.pcapng")
	play(t, plain, SourceConfig{Rewrite: RewriteConfig{Src: &src, Dst: &dst, Cut: SendCut}}, names...)
	play(t, changed, SourceConfig{Rewrite: rewrite}, names...)
	before, after := badChecksums(t, plain), badChecksums(t, changed)
	if !slices.Equal(before, after) {
		t.Errorf("wrong checksums before: %v\nafter: %v", before, after)
	}
	rewrite.FixChecksums = true
	play(t, fixed, SourceConfig{Rewrite: rewrite}, names...)
	left := badChecksums(t, fixed)
	t.Logf("wrong checksums: %d before, %d with all of them fixed", len(before), len(left))
	if len(before) < 10 || len(left) > len(before)/10 {
		t.Errorf("wrong checksums: %d before, %d with all of them fixed: %v", len(before), len(left), left)
	}
}

// rewritten returns what a frame becomes.
func rewritten(t *testing.T, cfg RewriteConfig, frame []byte) []byte {
	t.Helper()
	r, err := newRewriter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.frame([]byte("before"), linkEthernet, frame, len(frame))
	if err != nil {
		t.Fatal(err)
	}
	return b[len("before"):]
}

func TestAddressesPortsAndTagsChange(t *testing.T) {
	got := rewritten(t, RewriteConfig{
		MACs:     []MACMap{{deviceMAC, wire.MAC{2, 7, 7, 7, 7, 7}}},
		Networks: []NetworkMap{{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24")}},
		Ports:    []PortMap{{1883, 8883}},
		VLAN:     VLANChange{Set: true, ID: 42},
		TTL:      TTLChange{Set: true, Value: 9},
	}, segment("hello"))
	var l wire.Layers
	if err := l.Parse(got); err != nil {
		t.Fatal(err)
	}
	id, _ := l.Ethernet.VLAN()
	is := fmt.Sprint(l.Ethernet.Src(), l.Ethernet.Dst(), id, l.Src(), l.Dst(), l.TCP.SrcPort(), l.TCP.DstPort(), l.IPv4.TTL(), string(l.Payload))
	if want := "02:07:07:07:07:07 02:00:00:00:00:01 42 192.0.2.2 192.0.2.1 40000 8883 9hello"; is != want {
		t.Errorf("%s, want %s", is, want)
	}
	if !l.IPv4.ChecksumOK() || !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
		t.Error("a checksum is wrong")
	}
	back := rewritten(t, RewriteConfig{VLAN: VLANChange{Strip: true}}, got)
	if len(back) != len(got)-4 || !bytes.Equal(back[12:], got[16:]) {
		t.Errorf("% x with its tag stripped is % x", got, back)
	}
}

func TestAnMTUCutsAPacketAndMendsItsLengths(t *testing.T) {
	got := rewritten(t, RewriteConfig{MTU: 100}, segment(strings.Repeat("x", 500)))
	var l wire.Layers
	if err := l.Parse(got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 114 || l.IPv4.TotalLen() != 100 || !l.IPv4.ChecksumOK() || !l.TCP.ChecksumOK(l.Src(), l.Dst(), l.Payload) {
		t.Errorf("%d bytes, total length %d", len(got), l.IPv4.TotalLen())
	}
}

func TestCutFramesArePaddedSentOrSkipped(t *testing.T) {
	whole := segment("hello, hello")
	for cut, want := range map[CutFrames]int{PadCut: len(whole), SendCut: 50} {
		r, err := newRewriter(RewriteConfig{Cut: cut})
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.frame(nil, linkEthernet, whole[:50], len(whole))
		if err != nil || len(b) != want {
			t.Errorf("%d: %d bytes, %v, want %d", cut, len(b), err, want)
		}
	}
	r, _ := newRewriter(RewriteConfig{Cut: SkipCut})
	if _, err := r.frame(nil, linkEthernet, whole[:50], len(whole)); !errors.Is(err, errCut) {
		t.Errorf("%v, want %v", err, errCut)
	}
}

func TestAFrameWithoutEthernetHeaderGetsOne(t *testing.T) {
	packet := segment("x")[14:]
	if _, err := (&rewriter{}).frame(nil, linkRaw, packet, len(packet)); !errors.Is(err, errLinkType) {
		t.Errorf("%v, want %v", err, errLinkType)
	}
	src, dst := deviceMAC, brokerMAC
	r, _ := newRewriter(RewriteConfig{Src: &src, Dst: &dst})
	got, err := r.frame(nil, linkRaw, packet, len(packet))
	if err != nil || !bytes.Equal(got, segment("x")) {
		t.Errorf("% x, %v", got, err)
	}
}

func TestARewriteThatCannotBeDoneIsRefused(t *testing.T) {
	four, six := netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")
	for _, c := range []RewriteConfig{
		{Networks: []NetworkMap{{four, six}}}, {Networks: []NetworkMap{{four, netip.MustParsePrefix("10.0.0.0/9")}}}, {Networks: []NetworkMap{{}}},
		{MTU: 40}, {TTL: TTLChange{Set: true}}, {VLAN: VLANChange{Set: true, Strip: true}}, {VLAN: VLANChange{ID: 5000}},
	} {
		if _, err := newRewriter(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

func TestLoopsLimitsAndSides(t *testing.T) {
	var file bytes.Buffer
	w, err := pcaps.NewPcapWriter(&file, pcaps.PcapConfig{LinkType: pcaps.LinkTypeEthernet})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		f := segment("x")
		if i%2 == 1 {
			copy(f[26:], f[30:34]) // from the broker
		}
		if err := w.WritePacket(pcaps.Stamp(i)*1e6, f, len(f)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	filter := func(s string) *Filter {
		f, err := ParseFilter(s)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, c := range map[string]struct {
		cfg          SourceConfig
		sent, second uint64
		elapsed      time.Duration
	}{
		"all":      {SourceConfig{}, 10, 0, 9e6},
		"loops":    {SourceConfig{Loops: 3, LoopPause: time.Millisecond}, 30, 0, 29e6},
		"count":    {SourceConfig{Loops: -1, Count: 25}, 25, 0, 22e6},
		"duration": {SourceConfig{Loops: -1, Duration: 12 * time.Millisecond}, 14, 0, 12e6},
		"filters":  {SourceConfig{Include: filter("frame 3-8"), Exclude: filter("frame 5")}, 5, 0, 5e6},
		"sides":    {SourceConfig{Split: filter("src host 10.0.0.2")}, 5, 5, 8e6},
	} {
		c.cfg.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file.Bytes())), nil }
		s := play(t, filepath.Join(t.TempDir(), "out.pcapng"), c.cfg, name)
		if got := s.Sides[0].Sent; got != c.sent || s.Sides[1].refusedFrames() != c.second || s.Elapsed != c.elapsed {
			t.Errorf("%s: %d sent and %d for the second side in %v, want %d, %d, %v", name, got, s.Sides[1].refusedFrames(), s.Elapsed, c.sent, c.second, c.elapsed)
		}
	}
}

func TestADamagedCaptureIsSentToWhereItIsGood(t *testing.T) {
	name := linktest.Data(t, "captures/mqtt/suricata-mqtt311-pub-qos1.pcap")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cut := data[:len(data)-10]
	s := play(t, filepath.Join(t.TempDir(), "out.pcapng"), SourceConfig{Loops: 5, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(cut)), nil
	}}, name)
	if s.Source.Problem == nil || s.Source.Passes != 1 || s.Sides[0].Sent == 0 || s.Sides[0].Sent != s.Source.Read {
		t.Errorf("%+v", s.Source)
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add(uint16(1), segment("hello"), uint16(3))
	f.Add(uint16(113), segment("hello"), uint16(0xffff))
	f.Fuzz(func(t *testing.T, linkType uint16, data []byte, bits uint16) {
		src, tos := deviceMAC, uint8(bits)
		cfg := RewriteConfig{
			Networks: []NetworkMap{{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.0.0.0/0")}, {netip.MustParsePrefix("::/3"), netip.MustParsePrefix("2000::/3")}},
			Ports:    []PortMap{{1883, 1}}, TOS: &tos, TTL: TTLChange{Add: int(bits)}, Src: &src, Dst: &src,
			FixChecksums: bits&1 != 0, Cut: CutFrames(bits % 3),
		}
		if bits&2 != 0 {
			cfg.MTU = 68 + int(bits>>4)
		}
		cfg.VLAN = VLANChange{Strip: bits&12 == 4, Set: bits&12 == 8, ID: bits & 0xfff}
		r, err := newRewriter(cfg)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.frame(nil, linkType, data, len(data)+int(bits&31))
		if err == nil && (len(got) < 14 || len(got) > len(data)+64) {
			t.Errorf("%d bytes became %d", len(data), len(got))
		}
	})
}
