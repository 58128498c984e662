package edit_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
	"hilnet/replay/edit"
)

// corpus returns every capture that the project has, by path.
func corpus(t testing.TB, folders ...string) []string {
	t.Helper()
	var found []string
	for _, folder := range folders {
		err := filepath.WalkDir(linktest.Data(t, folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasPrefix(filepath.Ext(path), ".pcap") {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// oracle runs a program of Wireshark.
func oracle(t *testing.T, name string, args ...string) string {
	t.Helper()
	linktest.Require(t, "tshark", name)
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func save(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// copied copies data; an error that says the capture does not fit is returned.
func copied(t testing.TB, data []byte, target edit.Target, sel edit.Selection) ([]byte, *edit.Report, error) {
	t.Helper()
	in, err := pcaps.NewReader(bytes.NewReader(data), pcaps.ReaderConfig{})
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	report, err := edit.Copy(t.Context(), &out, in, target, sel)
	return out.Bytes(), report, err
}

// packetsOf returns a line for each packet: time, bytes, lengths and all options.
func packetsOf(t testing.TB, data []byte) (lines []string) {
	t.Helper()
	in, err := pcaps.NewReader(bytes.NewReader(data), pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		r, err := in.Next()
		if err != nil {
			return lines
		}
		if p := r.Packet; p != nil {
			lines = append(lines, fmt.Sprintf("%d %v %x %d %v %x %d %d %x %v %v %q %v", p.LinkType, p.Time, p.Data, p.OriginalLen, p.Fields, p.Flags, p.PacketID, p.DropCount, p.Queue, p.Hashes, p.Verdicts, p.Comments, p.Options))
		}
	}
}

// plainOf is what every format holds of a packet.
func plainOf(t testing.TB, data []byte, unit int64) (lines []string) {
	t.Helper()
	in, err := pcaps.NewReader(bytes.NewReader(data), pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		r, err := in.Next()
		if err != nil {
			return lines
		}
		if p := r.Packet; p != nil {
			lines = append(lines, fmt.Sprintf("%d %d %x %d", p.LinkType, int64(p.Time)/unit, p.Data, max(p.OriginalLen, len(p.Data))))
		}
	}
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d packets, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: packet %d:\n got %.300s\nwant %.300s", what, i+1, got[i], want[i])
			return
		}
	}
}

// Every capture becomes pcapng in either byte order, and comes back, with every packet
// and every option of it; what pcapng cannot copy is said.
func TestACaptureComesBackWhole(t *testing.T) {
	files := corpus(t, "captures", "golden")
	if len(files) < 100 {
		t.Fatalf("only %d captures", len(files))
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, order := range []edit.Order{edit.LittleEndian, edit.BigEndian} {
			got, report, err := copied(t, data, edit.Target{Format: pcaps.FormatPcapng, Order: order}, edit.Selection{})
			if err != nil {
				if strings.HasPrefix(filepath.Base(path), "libpcap-") {
					continue // no capture at all
				}
				t.Errorf("%s: %v", path, err)
				continue
			}
			same(t, path, packetsOf(t, got), packetsOf(t, data))
			for _, l := range report.Losses {
				if l.Kind != edit.NoCopyBlocks {
					t.Errorf("%s: %+v", path, l)
				}
			}
			if report.Read != report.Written || report.Problem != nil {
				t.Errorf("%s: %+v", path, report)
			}
			if in, _ := pcaps.NewReader(bytes.NewReader(data), pcaps.ReaderConfig{}); in.Format() != pcaps.FormatPcap {
				continue
			}
			// Back to the same bytes, but for fields of the file header that say nothing.
			back, report, err := copied(t, got, edit.Target{Format: pcaps.FormatPcap}, edit.Selection{})
			if err != nil {
				t.Errorf("%s: back: %v", path, err)
				continue
			}
			for _, l := range report.Losses {
				if l.Kind != edit.SectionTexts {
					t.Errorf("%s: back: %+v", path, l)
				}
			}
			same(t, path, packetsOf(t, back), packetsOf(t, data))
		}
	}
}

// Classic pcap holds the packets as editcap writes them, and the rest is counted.
func TestPcapIsWhatEditcapWrites(t *testing.T) {
	data, err := os.ReadFile(linktest.Data(t, "captures/groundtruth/mqtt5-q2-iid10-annotated.dev.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		format    string
		precision pcaps.Resolution
		unit      int64
	}{{"nsecpcap", pcaps.Nanoseconds, 1}, {"pcap", pcaps.Microseconds, 1000}} {
		got, report, err := copied(t, data, edit.Target{Format: pcaps.FormatPcap, Precision: c.precision, Order: edit.LittleEndian}, edit.Selection{})
		if err != nil {
			t.Fatal(err)
		}
		theirs := filepath.Join(t.TempDir(), "theirs")
		oracle(t, "editcap", "-F", c.format, save(t, data), theirs)
		want, err := os.ReadFile(theirs)
		if err != nil {
			t.Fatal(err)
		}
		same(t, c.format, plainOf(t, got, 1), plainOf(t, want, 1))
		same(t, c.format, plainOf(t, got, c.unit), plainOf(t, data, c.unit))
		lost := map[edit.Kind]uint64{}
		for _, l := range report.Losses {
			lost[l.Kind] = l.N
		}
		comments, ids := uint64(0), uint64(0)
		for p, err := range pcaps.Packets(save(t, data)) {
			if err != nil {
				t.Fatal(err)
			}
			comments += uint64(len(p.Comments))
			if p.Fields&pcaps.FieldPacketID != 0 {
				ids++
			}
		}
		if comments == 0 || lost[edit.Comments] != comments || lost[edit.PacketIDs] != ids || (lost[edit.TimeDigits] > 0) != (c.unit > 1) {
			t.Errorf("%s: %+v, want %d comments and %d ids", c.format, report.Losses, comments, ids)
		}
		info := oracle(t, "capinfos", save(t, got))
		if !strings.Contains(info, fmt.Sprintf("Number of packets:   %d\n", report.Written)) {
			t.Errorf("capinfos says\n%s", info)
		}
	}
}

// A part of a capture has the packets that editcap takes, and all other blocks.
func TestACutHasTheFramesThatEditcapTakes(t *testing.T) {
	path := linktest.Data(t, "captures/groundtruth/mqtt311-q1-iid5.dev.pcapng")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(t.TempDir(), "theirs")
	oracle(t, "editcap", "-r", path, theirs, "17-93")
	want, err := os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	got, report, err := copied(t, data, edit.Target{}, edit.Selection{First: 17, Last: 93})
	if err != nil || report.Written != 77 || report.NotChosen != report.Read-77 {
		t.Fatalf("%+v, %v", report, err)
	}
	same(t, "frames 17-93", packetsOf(t, got), packetsOf(t, want))

	all := packetsOf(t, data)
	first := int64(0)
	n := 0
	for p, err := range pcaps.Packets(path) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			first = int64(p.Time)
		}
		if p.Time >= pcaps.Stamp(first+1e9) {
			break
		}
	}
	got, _, err = copied(t, data, edit.Target{}, edit.Selection{From: edit.Moment{Set: true, Relative: true, Since: 1e9}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "from 1s", packetsOf(t, got), all[n-1:])
	got, _, err = copied(t, data, edit.Target{}, edit.Selection{To: edit.Moment{Set: true, At: pcaps.Stamp(first + 1e9)}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "to 1s", packetsOf(t, got), all[:n-1])
	got, _, err = copied(t, data, edit.Target{}, edit.Selection{Match: func(_ *pcaps.Packet, number uint64, _ int) bool { return number%2 == 0 }})
	if err != nil {
		t.Fatal(err)
	}
	if rest := packetsOf(t, got); len(rest) != len(all)/2 || rest[0] != all[1] {
		t.Errorf("%d packets", len(rest))
	}
}
