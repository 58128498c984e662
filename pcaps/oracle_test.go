package pcaps

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hilnet/sim"
)

// oracle runs a tool of the Wireshark suite and returns its standard output.
func oracle(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("HILNET_REQUIRE"), ","), "tshark") {
			t.Fatalf("tshark is required: %v", err)
		}
		t.Skipf("the tshark suite is not installed: %v", err)
	}
	cmd := exec.Command(path, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, stderr.String())
	}
	return string(out)
}

// tshark returns the fields of every row.
func tshark(t *testing.T, path string, fields ...string) [][]string {
	t.Helper()
	args := []string{"-n", "-r", path, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out := strings.TrimSuffix(oracle(t, "tshark", args...), "\n")
	var rows [][]string
	for line := range strings.SplitSeq(out, "\n") {
		if out != "" {
			rows = append(rows, strings.Split(line, "\t"))
		}
	}
	return rows
}

func save(t *testing.T, data []byte) string {
	path := filepath.Join(t.TempDir(), "capture")
	must(t, os.WriteFile(path, data, 0o600))
	return path
}

func TestTsharkShowsEveryPacketFieldThatWeWrite(t *testing.T) {
	for _, big := range []bool{false, true} {
		path := save(t, writeAll(t, everyRecord(big, Nanoseconds, 0, VirtualEpoch)))
		rows := tshark(t, path, "frame.time_epoch", "frame.cap_len", "frame.len", "frame.interface_name", "frame.packet_flags",
			"frame.packet_id", "frame.drop_count", "frame.interface_queue", "frame.verdict.ebpf_tc", "frame.verdict.hw", "frame.comment")
		want := [][]string{
			{"1767225600.123456789", "5", "1500", "dev", "0x01000002", "9223372036854775813", "1125899906842624", "6", "2" /* TC_ACT_SHOT */, "68 77", "dropped||ünïcode"},
			{"1767225600.223456789", "3", "3", "dev", "0x00000001", "", "3"},
			{"", "100", "101", "dev"},
		}
		// Behind the packets tshark shows a row for the journal and each custom block.
		if len(rows) != 3+1+2 {
			t.Fatalf("big %v: %d rows: %q", big, len(rows), rows)
		}
		for i, w := range want {
			if got := rows[i][:len(w)]; !slices.Equal(got, w) {
				t.Errorf("big %v: row %d:\n got %q\nwant %q", big, i, got, w)
			}
		}
	}
}

// recorded makes the two files of a run with losses.
func recorded(t *testing.T) (device, peer string) {
	dir := t.TempDir()
	r := newRecorder(t, RecorderConfig{Run: RunInfo{Version: "test", Seed: 3, Texts: []RunText{{"scenario.yaml", strings.Repeat("# ü\n", 30_000)}}}})
	device, peer = filepath.Join(dir, "run.device.pcapng"), filepath.Join(dir, "run.peer.pcapng")
	d, err := r.CreatePoint("device", device, PointConfig{})
	must(t, err)
	p, err := r.CreatePoint("peer", peer, PointConfig{})
	must(t, err)
	frame := make([]byte, 60)
	for i := range uint64(40) {
		sent := 10*ms + sim.Time(i)*ms
		must(t, d.Capture(sent, i, Outbound, frame, FatePending))
		if i%5 == 2 {
			must(t, r.Fate(i, Fate{Kind: Dropped, Stage: "loss", Rule: "iid", Reason: "random_loss", Ordinal: i}))
			continue
		}
		must(t, p.Capture(sent+25*ms+ms/2, i, Inbound, frame, FateFinal))
		must(t, r.Fate(i, Fate{Kind: Delivered}))
	}
	must(t, r.Close(200*ms))
	must(t, Verify(device))
	must(t, Verify(peer))
	return device, peer
}

func TestTsharkAgreesWithTheRecorder(t *testing.T) {
	device, peer := recorded(t)
	rows := tshark(t, device, "frame.time_epoch", "frame.packet_id", "frame.packet_flags_direction", "frame.verdict.ebpf_tc", "frame.comment", "frame.interface_name")
	if len(rows) != 40 {
		t.Fatalf("%d rows, want 40", len(rows))
	}
	for i, row := range rows {
		want := []string{fmt.Sprintf("1767225600.%03d000000", 10+i), strconv.Itoa(i), "0x00000002", "", "", "device"}
		if i%5 == 2 {
			want[3], want[4] = "2", fmt.Sprintf("dropped: stage=loss rule=iid reason=random_loss seed=3 ordinal=%d", i)
		}
		if !slices.Equal(row, want) {
			t.Errorf("row %d:\n got %q\nwant %q", i, row, want)
		}
	}
	if n := len(tshark(t, peer, "frame.number")); n != 32 {
		t.Errorf("%d frames arrived, want 32", n)
	}
	info := oracle(t, "capinfos", device)
	for _, want := range []string{"Number of packets:   40", "Strict time order:   True", "Capture application: hilnet test", "hilnet-run: 1", "Time precision = nanoseconds (9)", "Number of packets = 40"} {
		if !strings.Contains(info, want) {
			t.Errorf("capinfos does not say %q:\n%.2000s", want, info)
		}
	}
}

// packets returns copies of the packets of a file.
func packets(t *testing.T, path string) []*Packet {
	t.Helper()
	var all []*Packet
	for p, err := range Packets(path) {
		must(t, err)
		all = append(all, p.Clone())
	}
	return all
}

func samePackets(t *testing.T, got, want []*Packet) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i := range want {
		got[i].Interface = want[i].Interface // tools may renumber
		if diff := difference(Record{Packet: got[i]}, Record{Packet: want[i]}); diff != "" {
			t.Errorf("packet %d: -want +got\n%s", i, diff)
		}
	}
}

func TestEditcapAndMergecapOutputReadsBackEqual(t *testing.T) {
	device, peer := recorded(t)
	want := packets(t, device)
	copied := filepath.Join(t.TempDir(), "copy")
	oracle(t, "editcap", device, copied)
	samePackets(t, packets(t, copied), want)

	merged := filepath.Join(t.TempDir(), "merged")
	oracle(t, "mergecap", "-w", merged, device, peer)
	both := append(want, packets(t, peer)...)
	slices.SortStableFunc(both, func(a, b *Packet) int { return int(a.Time - b.Time) })
	samePackets(t, packets(t, merged), both)

	for _, format := range []string{"pcap", "nsecpcap"} {
		classic := filepath.Join(t.TempDir(), format)
		oracle(t, "editcap", "-F", format, device, classic)
		got := packets(t, classic)
		if len(got) != len(want) {
			t.Fatalf("%s: %d packets, want %d", format, len(got), len(want))
		}
		for i := range got {
			if got[i].Time != want[i].Time || !bytes.Equal(got[i].Data, want[i].Data) {
				t.Errorf("%s: packet %d: %+v, want %+v", format, i, got[i], want[i])
			}
		}
	}
}

func TestTsharkReadsOurClassicPcap(t *testing.T) {
	for _, config := range []PcapConfig{{LinkType: 1}, {LinkType: 1, BigEndian: true}, {LinkType: 1, Microseconds: true}} {
		rows := tshark(t, save(t, classicFile(t, config)), "frame.time_epoch", "frame.cap_len", "frame.len")
		for i := range 3 {
			want := []string{fmt.Sprintf("%d.123456000", 1767225600+i), strconv.Itoa(10 + i), "100"}
			if len(rows) != 3 || !slices.Equal(rows[i], want) {
				t.Errorf("%+v: %q, want row %d to be %q", config, rows, i, want)
			}
		}
	}
}

// TestCollectionHasTsharksCountsAndTimes compares every capture that capinfos
// can read: the conformance set, malformed packets, real traffic.
func TestCollectionHasTsharksCountsAndTimes(t *testing.T) {
	checked := 0
	for _, path := range corpus(t, "") {
		if strings.HasPrefix(filepath.Base(path), "libpcap-") {
			continue // refused by both; see TestMalformedFilesGiveTypedErrors
		}
		// Count, first and last time as seconds, in one tab-separated row.
		out := oracle(t, "capinfos", "-T", "-r", "-M", "-c", "-a", "-e", "-S", path)
		row := strings.Split(strings.TrimSpace(out), "\t")
		var n int
		var first, last Stamp
		timed := true
		for p, err := range Packets(path) {
			if err != nil {
				t.Errorf("%s: %v", path, err)
				break
			}
			if p.Block == BlockSimplePacket {
				timed = false
			}
			if n == 0 {
				first, last = p.Time, p.Time
			}
			first, last = min(first, p.Time), max(last, p.Time)
			n++
		}
		if strconv.Itoa(n) != row[1] {
			t.Errorf("%s: %d packets, capinfos says %q", path, n, row)
		}
		if n > 0 && timed {
			for i, s := range []Stamp{first, last} {
				text := fmt.Sprintf("%d.%09d", s.UTC().Unix(), s.UTC().Nanosecond())
				if !strings.HasPrefix(text, strings.TrimRight(row[2+i], "0")) {
					t.Errorf("%s: time %s, capinfos says %q", path, text, row)
				}
			}
		}
		checked++
	}
	t.Logf("%d captures compared", checked)
	if checked < 40 {
		t.Errorf("only %d captures compared", checked)
	}
}

func TestConformanceSetHasTsharksRows(t *testing.T) {
	for _, path := range corpus(t, "malformed/pcapng-zoo-le") {
		data, err := os.ReadFile(path)
		must(t, err)
		records, err := readAll(data, ReaderConfig{})
		if err != io.EOF {
			t.Fatalf("%s: %v", path, err)
		}
		rows, custom := 0, false
		for _, r := range records {
			custom = custom || r.Custom != nil
			if r.Packet != nil || r.Custom != nil { // tshark shows a row for custom blocks too
				rows++
			}
		}
		several := strings.HasPrefix(filepath.Base(path), "test20")
		if !custom && !several {
			continue // TestCollectionHasTsharksCountsAndTimes has it, much faster
		}
		fields := []string{"frame.time_epoch", "frame.len", "frame.comment", "frame.packet_flags", "frame.drop_count", "frame.interface_name"}
		shown := tshark(t, path, fields...)
		if len(shown) != rows {
			t.Errorf("%s: tshark shows %d rows, we read %d", path, len(shown), rows)
		}
		// Written again by us, in the other byte order as well, tshark sees the same.
		for i := range records {
			if s := records[i].Section; s != nil {
				s.BigEndian = !s.BigEndian
			}
		}
		again := tshark(t, save(t, writeAll(t, records)), fields...)
		if fmt.Sprint(again) != fmt.Sprint(shown) {
			t.Errorf("%s: rewritten by us tshark shows\n%q\ninstead of\n%q", path, again, shown)
		}
	}
}
