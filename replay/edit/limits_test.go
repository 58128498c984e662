package edit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/replay/edit"
)

// What pcap cannot hold at all is refused with the frame, and what it drops is counted.
func TestPcapRefusesASecondLinkType(t *testing.T) {
	var b bytes.Buffer
	w, err := pcaps.NewWriter(&b, pcaps.Section{Comments: []string{"x"}}, pcaps.WriterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i, link := range []pcaps.LinkType{pcaps.LinkTypeEthernet, pcaps.LinkTypeRaw} {
		if _, err := w.AddInterface(pcaps.Interface{LinkType: link, Resolution: pcaps.Nanoseconds}); err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			p := pcaps.Packet{Interface: i, Time: pcaps.Stamp(n) * (1 << 62), Data: []byte("xyz")}
			if err := w.WritePacket(&p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	_, _, err = copied(t, b.Bytes(), edit.Target{Format: pcaps.FormatPcap}, edit.Selection{})
	var unfit *edit.UnfitError
	if !errors.As(err, &unfit) || unfit.Frame != 3 {
		t.Errorf("%v", err)
	}
	got, report, err := copied(t, b.Bytes(), edit.Target{Format: pcaps.FormatPcap}, edit.Selection{Match: func(p *pcaps.Packet, _ uint64, i int) bool { return i == 0 }})
	if err != nil || report.Written != 1 || report.NotChosen != 2 || len(packetsOf(t, got)) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	for i, want := range []edit.Kind{edit.SectionTexts, edit.PacketTime} {
		if report.Losses[i].Kind != want || report.Losses[i].N != 1 {
			t.Errorf("%+v", report.Losses)
		}
	}
}

// Hostile files give the offset, and what stands before it.
func TestDamagedCapturesAreCopiedUpToTheDamage(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(linktest.Root(t), "pcaps", "testdata", "zeek-pcapng-multi-interface.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	all := packetsOf(t, data)
	for n := 40; n < len(data); n += 13 {
		got, report, err := copied(t, data[:n], edit.Target{}, edit.Selection{})
		if err != nil {
			var cut *pcaps.TruncatedError
			if !errors.As(err, &cut) || n > 200 {
				t.Fatalf("%d bytes: %v", n, err)
			}
			continue
		}
		if report.Problem != nil && !strings.Contains(report.Problem.Error(), "byte ") {
			t.Errorf("%v", report.Problem)
		}
		part := packetsOf(t, got)
		same(t, "cut", part, all[:len(part)])
		if _, _, err := copied(t, got, edit.Target{}, edit.Selection{}); err != nil {
			t.Errorf("the copy is not whole: %v", err)
		}
	}
}

func TestACancelledCopyEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, err := pcaps.NewReader(bytes.NewReader([]byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x01\x00\x00\x00")), pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := edit.Copy(ctx, io.Discard, in, edit.Target{}, edit.Selection{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A file far larger than what is allowed to stay in memory: the length does not matter.
// A sparse file of 4 GiB of NULs is 268 million empty packets; here are fewer.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	size := int64(64 << 20)
	if os.Getenv(linktest.SoakEnv) != "" {
		size = 4 << 30
	}
	path := filepath.Join(t.TempDir(), "sparse.pcap")
	header := []byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x01\x00\x00\x00")
	if err := os.WriteFile(path, header, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 24+size); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := pcaps.NewReader(f, pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report, err := edit.Copy(t.Context(), io.Discard, in, edit.Target{Format: pcaps.FormatPcapng}, edit.Selection{})
	if err != nil || report.Written != uint64(size/16) {
		t.Fatalf("%+v, %v", report, err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
		t.Errorf("%d bytes allocated in all for a file of %d", n, size)
	}
}

// FuzzCopy: whatever the input, its copy in pcapng is read back with the same packets,
// in both byte orders.
func FuzzCopy(f *testing.F) {
	for _, name := range []string{"suricata-mqtt311-pub-qos1.pcap", "zeek-pcapng-multi-interface.pcapng", "hadrielk-difficult-test202.pcapng"} {
		data, err := os.ReadFile(filepath.Join(linktest.Root(f), "pcaps", "testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint8(0))
		f.Add(data, uint8(7))
	}
	f.Fuzz(func(t *testing.T, data []byte, how uint8) {
		target := edit.Target{Format: pcaps.FormatPcapng, Order: edit.Order(how & 1), Application: "fuzz"}
		if how&2 != 0 {
			target.Format = pcaps.FormatPcap
		}
		if how&4 != 0 {
			target.Precision = pcaps.Microseconds
		}
		got, report, err := copied(t, data, target, edit.Selection{})
		if err != nil {
			return
		}
		again := plainOf(t, got, 1000)
		if uint64(len(again)) != report.Written {
			t.Fatalf("%d packets, report says %+v", len(again), report)
		}
		if target.Format == pcaps.FormatPcapng && target.Precision == 0 {
			same(t, "copy", packetsOf(t, got), packetsOf(t, data))
		}
	})
}
