package anonymize_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/replay/anonymize"
	"hilnet/wire"
)

// A message whose pieces come twice, late and in the wrong order is replaced as one.
func TestAMessageInPiecesIsReplacedAsOne(t *testing.T) {
	message := []byte("\x30\x2a\x00\x0fplant/line7/tmpcelsius twentyone point five")
	message[1] = byte(len(message) - 2)
	segment := func(seq uint32, data []byte) []byte {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: addrA, DstIP: addrB}
		tcp := &layers.TCP{SrcPort: 50000, DstPort: 1883, Seq: seq, ACK: true, PSH: true, Window: 1000}
		_ = tcp.SetNetworkLayerForChecksum(ip)
		return frameOf(t, ethernet(layers.EthernetTypeIPv4), ip, tcp, gopacket.Payload(data))
	}
	connect := []byte("\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04dev7")
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: addrA, DstIP: addrB}
	syn := &layers.TCP{SrcPort: 50000, DstPort: 1883, Seq: 99, SYN: true, Window: 1000}
	_ = syn.SetNetworkLayerForChecksum(ip)
	start := uint32(100 + len(connect))
	at := func(n int) uint32 { return start + uint32(n) }
	data := captureOf(t, frameOf(t, ethernet(layers.EthernetTypeIPv4), ip, syn), segment(100, connect),
		segment(at(0), message[:9]), segment(at(20), message[20:]), segment(at(5), message[5:15]), segment(at(9), message[9:20]), segment(at(20), message[20:30]))
	whole := captureOf(t, frameOf(t, ethernet(layers.EthernetTypeIPv4), ip, syn), segment(100, connect), segment(at(0), message))
	a := newAnonymizer(t)
	pieces, _ := anonymized(t, a, data)
	one, _ := anonymized(t, a, whole)
	payload := func(p *pcaps.Packet) []byte { return p.Data[54:] }
	p, want := packetsOf(t, pieces), payload(packetsOf(t, one)[2])
	got := make([]byte, len(message))
	for i, off := range []int{0, 20, 5, 9, 20} {
		b := payload(p[2+i])
		for n := range b {
			if got[off+n] != 0 && got[off+n] != b[n] {
				t.Errorf("byte %d is %q and %q", off+n, got[off+n], b[n])
			}
			got[off+n] = b[n]
		}
	}
	if !bytes.Equal(got, want) || string(want[4:19]) != a.Text("plant/line7/tmp") || bytes.Contains(want, []byte("celsius")) || !strings.HasPrefix(string(want), string(message[:4])) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A wrong checksum stays wrong, one that is left to hardware stays so.
func TestWrongChecksumsStayWrong(t *testing.T) {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: addrA, DstIP: addrB}
	tcp := &layers.TCP{SrcPort: 50000, DstPort: 1883, Seq: 99, SYN: true, Window: 1000}
	_ = tcp.SetNetworkLayerForChecksum(ip)
	frame := frameOf(t, ethernet(layers.EthernetTypeIPv4), ip, tcp)
	a := newAnonymizer(t)
	parse := func(b []byte) (l wire.Layers) {
		if err := l.Parse(b); err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := parse(once(t, a, frame))
	if !l.TCP.ChecksumOK(l.Src(), l.Dst(), nil) || !l.IPv4.ChecksumOK() {
		t.Error("right ones became wrong")
	}
	frame[14+20+16] ^= 0x10
	frame[14+10] ^= 0x10
	if l = parse(once(t, a, frame)); l.TCP.ChecksumOK(l.Src(), l.Dst(), nil) || l.IPv4.ChecksumOK() {
		t.Error("wrong ones became right")
	}
	partial := ^wire.Fold(wire.PseudoSum(netip.AddrFrom4([4]byte(addrA)), netip.AddrFrom4([4]byte(addrB)), wire.ProtocolTCP, 20))
	binary.BigEndian.PutUint16(frame[14+20+16:], partial)
	l = parse(once(t, a, frame))
	if want := ^wire.Fold(wire.PseudoSum(l.Src(), l.Dst(), wire.ProtocolTCP, 20)); l.TCP.Checksum() != want {
		t.Errorf("%#x, want %#x", l.TCP.Checksum(), want)
	}
}

// Whatever happened to the frames, their words do not pass: frames are lost, doubled, moved,
// cut, and have bits turned.
func TestNothingPassesOfDamagedFrames(t *testing.T) {
	rounds := 12
	if os.Getenv(linktest.SoakEnv) != "" {
		rounds = 300
	}
	words, passed := 0, 0
	for _, name := range []string{"captures/mqtt/suricata-mqtt5-pub-mosquittoprops.pcap", "captures/mqtt/suricata-mqtt311-unsub-userpass.pcap", "captures/mqtt/suricata-mqtt-connect-rules.pcap", "captures/tcp/suricata-http-async-cli.pcap", "golden/netx/5a-broker-crash-dup-retransmit.pcap"} {
		data, err := os.ReadFile(linktest.Data(t, name))
		if err != nil {
			t.Fatal(err)
		}
		original := packetsOf(t, data)
		there := map[string]bool{}
		windows(payloads(original), 6, func(w string) { there[w] = true })
		words += len(there)
		for seed := range uint64(rounds) {
			r := rand.New(rand.NewPCG(seed, uint64(len(data))))
			var frames [][]byte
			for _, p := range original {
				f := bytes.Clone(p.Data)
				switch r.IntN(6) {
				case 0:
					f[r.IntN(min(len(f), 80))] ^= 1 << r.IntN(8)
				case 1:
					f = f[:1+r.IntN(len(f))]
				case 2:
					frames = append(frames, f)
				case 3:
					continue
				case 4:
					if n := len(frames); n > 0 {
						frames[n-1], f = f, frames[n-1]
					}
				}
				frames = append(frames, f)
			}
			if len(frames) == 0 {
				continue
			}
			got, _ := anonymized(t, newAnonymizer(t), captureOf(t, frames...))
			for i, p := range packetsOf(t, got) {
				passed++
				windows(p.Data, 6, func(w string) {
					if there[w] {
						t.Errorf("%s, seed %d, frame %d: %q is still there", name, seed, i+1, w)
					}
				})
			}
		}
	}
	if words < 300 || passed < 500 {
		t.Errorf("only %d words, %d frames", words, passed)
	}
}

func TestAPlanThatIsTooLongIsRefused(t *testing.T) {
	data, err := os.ReadFile(linktest.Data(t, "captures/groundtruth/mqtt311-q1-clean.dev.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := anonymize.New(anonymize.Config{Key: key, MaxPlan: 2000})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Capture(t.Context(), io.Discard, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
	if !errors.Is(err, anonymize.ErrTooLong) {
		t.Error(err)
	}
	if _, err := anonymize.New(anonymize.Config{Key: key[:8]}); err == nil {
		t.Error("a short key was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newAnonymizer(t).Capture(ctx, io.Discard, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzCapture: whatever the capture, the copy has its packets with their lengths and
// times, and none of the letters of a marked payload.
func FuzzCapture(f *testing.F) {
	for _, name := range []string{"suricata-mqtt311-pub-qos1.pcap", "zeek-pcapng-multi-interface.pcapng", "hadrielk-difficult-test202.pcapng"} {
		data, err := os.ReadFile(filepath.Join(linktest.Root(f), "pcaps", "testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		a := newAnonymizer(t)
		_, err := a.Capture(t.Context(), &out, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		if err != nil {
			return
		}
		before, after := packetsOf(t, data), packetsOf(t, out.Bytes())
		if len(before) != len(after) {
			t.Fatalf("%d packets of %d", len(after), len(before))
		}
		for i := range before {
			if len(before[i].Data) != len(after[i].Data) || before[i].Time != after[i].Time {
				t.Fatalf("packet %d differs in length or time", i)
			}
		}
	})
}
