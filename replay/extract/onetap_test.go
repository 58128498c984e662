package extract

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/wire"
)

// With one capture the losses of segments with data (or SYN, FIN) are within one of
// the truth, or the truth lies in bounds; those are narrow where the sender's side
// was captured.
func TestOneCaptureGivesLossesWithinBounds(t *testing.T) {
	var table strings.Builder
	for _, k := range groundtruth(t) {
		for _, file := range []string{k.dev, k.broker} {
			side := "device"
			if file == k.broker {
				side = "broker"
			}
			c, err := Single(readFile(t, file))
			if err != nil {
				t.Errorf("%s at the %s: %v", k.name, side, err)
				continue
			}
			// Which frames had data, the other file's included, is asked of the captures themselves.
			truth := k.withData(t)
			for _, w := range ways {
				got, want := c.of(w).Data, truth[w]
				fmt.Fprintf(&table, "%-26s %-7s %-5s true %2d  found %2d in %d..%d  all %v rtt %v rate %d\n", k.name, side, w, want, got.Estimate, got.Min, got.Max, c.of(w).Lost, c.RTT.Min, c.of(w).Rate)
				near := (w == up) == (side == "device") // the sender's own tap
				within := want >= got.Min && want <= got.Max
				if off := got.Estimate - want; (off < -1 || off > 1) && (!within || near && got.Max-got.Min > 6) {
					t.Errorf("%s at the %s, %s: %d, found %+v", k.name, side, w, want, got)
				}
			}
			if want := map[string]string{"device": atDevice, "broker": atPeer}[side]; c.Place != want {
				t.Errorf("%s: captured %s, said to be %s", k.name, want, c.Place)
			}
			if strings.Contains(k.name, "rate64k") {
				if r := c.Up.Rate; r < 60800 || r > 67200 {
					t.Errorf("%s at the %s: rate %d of 64000", k.name, side, r)
				}
				continue // nobody sees the link empty
			}
			if c.RTT.Min < 50*time.Millisecond || c.RTT.Min > 51*time.Millisecond {
				t.Errorf("%s at the %s: there and back %v of 50 ms", k.name, side, c.RTT.Min)
			}
		}
	}
	t.Logf("\n%s", table.String())
}

// withData counts the true losses with data, SYN or FIN.
func (k *known) withData(t *testing.T) (n [3]int) {
	files := [3]*Capture{up: readFile(t, k.dev), down: readFile(t, k.broker)}
	for _, d := range k.drops {
		w := up
		if d.dir == "down" {
			w = down
		}
		if files[w].packets[d.frame-1].carries() > 0 {
			n[w]++
		}
	}
	return n
}

// A network that reorders and doubles loses nothing by that.
func TestReorderingIsNoLoss(t *testing.T) {
	c := newTrial(1)
	c.text = `version: 1
name: trial
duration: 40s
devices:
  - {profile: linux, pool: {packets: 400}, quirks: none, mqtt: {keepalive: 30s}, steps: [connect, subscribe: {topic: "c/#", qos: 1}, every: {period: 300ms, for: 30s, do: [publish: {topic: t, size: 6000B, qos: 1}]}]}
links:
  - {delay: 25ms, jitter: {spread: 15ms, order: reorder}, duplicate: 3%}
broker: {kind: model}
`
	c.run(t, t.TempDir())
	if len(c.lost[up])+len(c.lost[down]) > 0 {
		t.Fatal("the run lost something")
	}
	both, err := Pair(readFile(t, c.dev), readFile(t, c.broker))
	if err != nil || len(both.Drops) > 0 || len(both.Duplicates) < 10 || len(both.Reorders) < 100 {
		t.Errorf("two captures: %v, %d lost, %d twice, %d late", err, len(both.Drops), len(both.Duplicates), len(both.Reorders))
	}
	for _, file := range []string{c.dev, c.broker} {
		one, err := Single(readFile(t, file))
		if err != nil || one.Up.Data.Estimate > 1 || one.Down.Data.Estimate > 1 {
			t.Errorf("one capture %s: %v, up %+v, down %+v", one.Place, err, one.Up.Data, one.Down.Data)
		}
	}
}

// A stack that sends its SYN again with the same timestamp has lost all but the last
// one, if the answer comes a round trip after that.
func TestLostSYNsAreCounted(t *testing.T) {
	c := newTrial(1)
	c.text = `version: 1
name: trial
duration: 30s
devices: [{profile: linux, mqtt: {wait: 20s}, steps: [connect, publish: {topic: t, qos: 1}]}]
links: [{delay: 25ms, match: [{do: drop, tcp: SYN, copies: 3, direction: up}]}]
broker: {kind: model}
`
	c.run(t, t.TempDir())
	one, err := Single(readFile(t, c.dev))
	if err != nil || len(c.lost[up]) != 3 || one.Up.Data != (Bounds{3, 3, 3}) {
		t.Errorf("%v: %d lost, found %+v", err, len(c.lost[up]), one.Up.Data)
	}
}

// A sequence number that was damaged opens a hole of millions of segments: no such row of
// losses is made of it, but that they may be lost is said.
func TestADamagedNumberIsNoRowOfLosses(t *testing.T) {
	path := filepath.Join(linktest.Root(t), "pcaps", "golden", "netx", "4b-pool8x256-qos1-flood.pcap")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const header, record, ports, sequence, far = 24, 16, 14 + 20, 14 + 20 + 4, 1 << 24
	damaged := 0
	for at := header; at < len(data) && damaged == 0; {
		n := int(binary.LittleEndian.Uint32(data[at+8:]))
		frame := data[at+record : at+record+n]
		if at > len(data)/2 && n > sequence+4 && frame[23] == 6 && binary.BigEndian.Uint16(frame[ports:]) == 1883 {
			binary.BigEndian.PutUint32(frame[sequence:], binary.BigEndian.Uint32(frame[sequence:])+far)
			damaged++
		}
		at += record + n
	}
	k, err := Read(t.Context(), path, bytes.NewReader(data), Config{})
	if err != nil || damaged == 0 {
		t.Fatal(err, damaged)
	}
	c, err := Single(k)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(c.Drops); got > 2*mostHole {
		t.Errorf("%d losses in a capture of %d frames", got, len(k.packets))
	}
	if c.Down.Data.Max < 2*mostHole || c.Down.Data.Min > len(k.packets) {
		t.Errorf("%+v", c.Down.Data)
	}
}

// A clock that leaps makes centuries of a capture, but no trace that fills the memory.
func TestATraceOfCenturiesIsBounded(t *testing.T) {
	c := &Conditions{Files: []string{"a.pcap"}, Duration: 200 * 365 * 24 * time.Hour}
	if n := len(c.lows(up)); n > 1<<20+1 {
		t.Errorf("%d windows", n)
	}
	if n := len((&Conditions{Duration: time.Hour}).lows(up)); n != 360 {
		t.Errorf("%d windows in an hour", n)
	}
}

// Identifications that leap in every third packet, as nobody's do, make each frame as good
// as many lost ones: those beyond the bound are counted and have no line.
func TestLeapingIdentificationsHaveNoEndlessLines(t *testing.T) {
	const frames, leap = 7000, 256
	var file bytes.Buffer
	out, err := pcaps.NewPcapWriter(&file, pcaps.PcapConfig{LinkType: pcaps.LinkTypeEthernet})
	if err != nil {
		t.Fatal(err)
	}
	device, peer := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")
	at := pcaps.VirtualEpoch
	put := func(up bool, id uint16, seq, ack uint32, flags wire.TCPFlags, payload string) {
		src, dst, sport, dport := peer, device, uint16(1883), uint16(5000)
		if up {
			src, dst, sport, dport = dst, src, dport, sport
		}
		f := make([]byte, 14+20+20+len(payload))
		wire.PutEthernet(f, wire.MAC{2, 1}, wire.MAC{2, 2}, wire.EtherTypeIPv4)
		ip := f[14:]
		ip[0], ip[6], ip[8], ip[9] = 0x45, 0x40, 64, 6
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		binary.BigEndian.PutUint16(ip[4:], id)
		s, d := src.As4(), dst.As4()
		copy(ip[12:], s[:])
		copy(ip[16:], d[:])
		tcp := ip[20:]
		binary.BigEndian.PutUint16(tcp, sport)
		binary.BigEndian.PutUint16(tcp[2:], dport)
		binary.BigEndian.PutUint32(tcp[4:], seq)
		binary.BigEndian.PutUint32(tcp[8:], ack)
		tcp[12], tcp[13] = 0x50, byte(flags)
		binary.BigEndian.PutUint16(tcp[14:], 65535)
		copy(tcp[20:], payload)
		at += pcaps.Stamp(time.Millisecond)
		if err := out.WritePacket(at, f, len(f)); err != nil {
			t.Fatal(err)
		}
	}
	put(true, 1, 99, 0, wire.TCPSyn, "")
	put(false, 1, 999, 100, wire.TCPSyn|wire.TCPAck, "")
	put(true, 2, 100, 1000, wire.TCPAck, "")
	id, seq := uint16(1), uint32(1000)
	for n := range frames {
		id++
		if n%3 == 0 {
			id += leap - 1
		}
		put(false, id, seq, 100, wire.TCPAck|wire.TCPPsh, "ab")
		if seq += 2; n%50 == 0 {
			put(true, uint16(n), 100, seq, wire.TCPAck, "")
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	k, err := Read(t.Context(), "leaps.pcap", &file, Config{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Single(k)
	if err != nil {
		t.Fatal(err)
	}
	const more = frames/3*(leap-1) - mostUnseen
	if i := slices.IndexFunc(c.Artefacts, func(a Artefact) bool { return a.Kind == "unlisted" }); i < 0 || c.Artefacts[i].Count < more/2 || len(c.Drops) > mostUnseen+frames {
		t.Errorf("%d lines, %+v, down %+v", len(c.Drops), c.Artefacts, c.Down.Lost)
	}
	if c.Down.Lost.Max < mostUnseen {
		t.Errorf("down %+v", c.Down.Lost)
	}
}
