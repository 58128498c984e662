package analyze

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/wire"
)

func reportOf(tb testing.TB, file string, config Config) *Report {
	tb.Helper()
	a, err := New(config)
	if err != nil {
		tb.Fatal(err)
	}
	var first pcaps.Stamp
	number := uint64(0)
	for p, err := range pcaps.Packets(file) {
		if err != nil {
			tb.Fatal(err)
		}
		if number++; number == 1 {
			first = p.Time
		}
		a.Feed(flow.Frame{Data: p.Data, Link: flow.LinkType(p.LinkType), At: sim.Time(p.Time - first), Number: number})
	}
	return a.Report()
}

func golden(tb testing.TB, name string) string {
	return filepath.Join(linktest.Root(tb), "pcaps", "golden", "netx", name)
}

// What is known of the recordings, because somebody made it happen.
func TestFindingsNameWhatWasDoneToTheRecording(t *testing.T) {
	for _, c := range []struct {
		file     string
		findings []string // frame, kind and text, in part
		stalls   []string
	}{
		{file: "1-basic.pcap"},
		{"2a-dead-link-8s.pcap", []string{"14 outage: the client sent again 14 times, in frames 14 to 28"}, []string{"retransmission_timeout: the client waited for the acknowledgement of frame 13 and sent again 8 times, the first time after 1.00009s"}},
		{"2c-dead-link-keepalive4.pcap", []string{"23 ping_unanswered: the client sent PINGREQ and got no PINGRESP", "43 session_lost: the session ended without DISCONNECT: the client reset", "14 outage: the client sent again 23 times"}, nil},
		{"3a-syn-blackhole.pcap", []string{"1 no_answer: the client sent 11 SYN"}, []string{"connect: the client waited for an answer to its SYN of frame 1 and sent again 10 times, the first time after 999.895ms"}},
		{"3c-refused-and-nonblocking.pcap", []string{"4 refused: the server refused the connection"}, nil},
		{"5a-broker-crash-dup-retransmit.pcap", []string{"17 unanswered: the client sent PUBLISH 3 and got no PUBACK", "27 dup_publish: the client published again, with DUP, packet 3", "20 session_lost: the session ended without DISCONNECT: the server reset"}, nil},
	} {
		r := reportOf(t, golden(t, c.file), Config{})
		var findings, stalls []string
		for _, v := range r.Conversations {
			for _, f := range v.Findings {
				findings = append(findings, string(itoa(f.Frame))+" "+f.Kind+": "+f.Text)
			}
			for _, s := range v.Stalls {
				stalls = append(stalls, s.Kind+": "+s.Text)
			}
		}
		for _, want := range c.findings {
			if !slices.ContainsFunc(findings, func(s string) bool { return strings.HasPrefix(s, want) }) {
				t.Errorf("%s: %q is not found, but\n\t%s", c.file, want, strings.Join(findings, "\n\t"))
			}
		}
		if len(c.findings) == 0 && len(findings) > 0 {
			t.Errorf("%s: all was well, but\n\t%s", c.file, strings.Join(findings, "\n\t"))
		}
		for _, want := range c.stalls {
			if !slices.ContainsFunc(stalls, func(s string) bool { return strings.HasPrefix(s, want) }) {
				t.Errorf("%s: no stall %q, but\n\t%s", c.file, want, strings.Join(stalls, "\n\t"))
			}
		}
		if len(r.Artefacts) > 0 {
			t.Errorf("%s: %+v", c.file, r.Artefacts)
		}
	}
}

func itoa(n uint64) []byte { b, _ := json.Marshal(n); return b }

// Each QoS 1 publish of the recording has its PUBACK, with the time it took.
func TestMessagesHaveTheirLatency(t *testing.T) {
	r := reportOf(t, filepath.Join(linktest.Root(t), "pcaps", "testdata", "suricata-mqtt311-pub-qos1.pcap"), Config{})
	if len(r.Conversations) != 1 {
		t.Fatalf("%d conversations", len(r.Conversations))
	}
	answered := map[string]uint64{}
	for _, m := range r.Conversations[0].Messages {
		if m.Answer != 0 && m.Latency > 0 {
			answered[m.Type] = m.Answer
		}
	}
	if len(answered) != 2 || answered["CONNECT"] == 0 || answered["PUBLISH"] <= answered["CONNECT"] {
		t.Errorf("%v", answered)
	}
}

// The configured 50 ms round trip is read back within 1 ms, by Karn's samples
// and by timestamps, on links that lose up to a tenth of the packets.
func TestRTTOfLossyLinksIsTheConfiguredOne(t *testing.T) {
	root, files := recordings(t)
	seen := 0
	for _, name := range files {
		if !strings.Contains(name, "groundtruth/mqtt") || !strings.HasSuffix(name, ".dev.pcapng") || strings.Contains(name, "rate") { // which queues
			continue
		}
		seen++
		d := reportOf(t, filepath.Join(root, name), Config{}).Conversations[0].ToServer
		for _, r := range []RTT{d.RTT, d.TimestampRTT} {
			if ms := r.Min.Seconds() * 1000; r.Samples == 0 || ms < 49 || ms > 51 {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	if seen < 4 {
		t.Fatalf("%d recordings", seen)
	}
}

// segmentOf builds a frame.
func segmentOf(src, dst netip.AddrPort, flags wire.TCPFlags, seq, ack uint32, id uint16, payload string) []byte {
	frame := make([]byte, 54+len(payload))
	wire.PutEthernet(frame, wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 1}, wire.EtherTypeIPv4)
	wire.PutIPv4(frame[14:], wire.IPv4Fields{TTL: 64, ID: id, Protocol: wire.ProtocolTCP, Src: src.Addr(), Dst: dst.Addr()}, 20+len(payload))
	copy(frame[54:], payload)
	wire.PutTCP(frame[34:], wire.TCPFields{SrcPort: src.Port(), DstPort: dst.Port(), Seq: seq, Ack: ack, Flags: flags, Window: 1000}, src.Addr(), dst.Addr(), len(payload))
	return frame
}

var (
	clientAddr = netip.MustParseAddrPort("10.0.0.1:4000")
	serverAddr = netip.MustParseAddrPort("10.0.0.2:1883")
)

// Wireshark calls both a retransmission; the identification tells which was
// doubled on its way and which its sender sent again.
func TestIdentificationTellsACopyFromARetransmission(t *testing.T) {
	for _, c := range []struct {
		id   uint16
		wait sim.Time
		want Origin
	}{{7, 5e6, OriginCopy}, {8, 5e6, OriginSentAgain}, {8, 1e9, OriginSentAgain}, {7, 1e9, NoOrigin}} {
		a, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		var last *Segment
		a.OnSegment = func(s *Segment) { last = s }
		for i, id := range []uint16{7, c.id} {
			a.Feed(flow.Frame{Data: segmentOf(clientAddr, serverAddr, wire.TCPAck, 100, 1, id, "data"), Link: flow.LinkEthernet, At: sim.Time(i) * c.wait, Number: uint64(i + 1)})
		}
		if !last.Labels.Has(Retransmission) || last.Origin != c.want {
			t.Errorf("identification %d after %v: %v, %q, want %q", c.id, c.wait, last.Labels, last.Origin, c.want)
		}
	}
}

func TestArtefactsOfTheCapturingAreNamed(t *testing.T) {
	a, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	feed := func(at sim.Time, data []byte) {
		n++
		a.Feed(flow.Frame{Data: data, Link: flow.LinkEthernet, At: at, Number: n})
	}
	one := segmentOf(clientAddr, serverAddr, wire.TCPAck, 100, 1, 7, "data")
	feed(0, one)
	feed(1e5, one)                                                                                  // doubled
	feed(2e6, segmentOf(serverAddr, clientAddr, wire.TCPAck, 1, 500, 8, ""))                        // acknowledges what is not there
	feed(1e6, segmentOf(clientAddr, serverAddr, wire.TCPAck, 500, 1, 9, strings.Repeat("x", 3000))) // back in time, and a giant
	var got []string
	for _, f := range a.Report().Artefacts {
		got = append(got, f.Kind)
	}
	if want := []string{"duplicates", "missing", "offload", "time"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A capture of very many connections does not cost more than one of a few
// thousand, and what is left out is said.
func TestTinyConnectionsAreBounded(t *testing.T) {
	connections := 20_000
	if os.Getenv(linktest.SoakEnv) != "" {
		connections = 1_000_000
	}
	a, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range connections {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 16), byte(i >> 8)}), uint16(1024+i&255))
		a.Feed(flow.Frame{Data: segmentOf(src, serverAddr, wire.TCPSyn, 7, 0, 1, ""), Link: flow.LinkEthernet, At: sim.Time(i), Number: uint64(2*i + 1)})
		a.Feed(flow.Frame{Data: segmentOf(src, serverAddr, wire.TCPAck, 9, 1, 1, "abc"), Link: flow.LinkEthernet, At: sim.Time(i), Number: uint64(2*i + 2)})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 40<<20 {
		t.Errorf("%d MiB are held", used>>20)
	} else {
		t.Logf("%d KiB are held for %d connections", used>>10, connections)
	}
	r := a.Report()
	if len(r.Conversations) != 4096 || int(r.Unlisted) != connections-4096 || !slices.ContainsFunc(r.Artefacts, func(f Finding) bool { return f.Kind == "limit" }) {
		t.Errorf("%d listed, %d not, %+v", len(r.Conversations), r.Unlisted, r.Artefacts)
	}
}

// FuzzAnalyzer: whatever the frames, no panic, and the report is JSON.
func FuzzAnalyzer(f *testing.F) {
	f.Add(segmentOf(clientAddr, serverAddr, wire.TCPSyn, 1, 0, 1, ""), segmentOf(serverAddr, clientAddr, wire.TCPSyn|wire.TCPAck, 1, 2, 1, ""), uint64(1000))
	f.Add(segmentOf(clientAddr, serverAddr, wire.TCPAck, 1, 0, 1, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d"), segmentOf(serverAddr, clientAddr, wire.TCPAck, 1, 16, 1, "\x20\x02\x00\x05"), uint64(1e9))
	f.Fuzz(func(t *testing.T, x, y []byte, step uint64) {
		a, err := New(Config{MaxEvents: 50})
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(6) {
			for k, data := range [][]byte{x, y} {
				a.Feed(flow.Frame{Data: data, Link: flow.LinkEthernet, At: sim.Time(i * step), Number: 2*i + uint64(k) + 1})
			}
		}
		if _, err := json.Marshal(a.Report()); err != nil {
			t.Error(err)
		}
	})
}
