package pcaps

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/sim"
)

func newRecorder(t testing.TB, config RecorderConfig) *Recorder {
	t.Helper()
	r, err := NewRecorder(config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newPoint(t testing.TB, r *Recorder, name string, w io.Writer, config PointConfig) *Point {
	t.Helper()
	p, err := r.Point(name, w, config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const ms = sim.Time(time.Millisecond)

// lines renders the packets of a file: time since the epoch, id, direction,
// data, verdict, comments.
func lines(t testing.TB, data []byte) string {
	t.Helper()
	records, err := readAll(data, ReaderConfig{})
	if err != io.EOF {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range records {
		p := r.Packet
		if p == nil {
			continue
		}
		way := map[uint32]string{0: "-", FlagInbound: "in", FlagOutbound: "out"}[p.Flags&FlagDirection]
		fmt.Fprintf(&b, "%dms #%d %s %s", int64(p.Time-VirtualEpoch)/1e6, p.PacketID, way, p.Data)
		for _, v := range p.Verdicts {
			fmt.Fprintf(&b, " verdict=%d/%d", v.Kind, v.Result)
		}
		for _, c := range p.Comments {
			fmt.Fprintf(&b, " [%s]", c)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func wantLines(t *testing.T, data []byte, want string) {
	t.Helper()
	if got := lines(t, data); strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("got\n%s\nwant\n%s", got, strings.TrimSpace(want))
	}
}

func TestLostFrameSaysWhereAndWhyInTheSendersFile(t *testing.T) {
	var dev, peer bytes.Buffer
	r := newRecorder(t, RecorderConfig{Run: RunInfo{Seed: 7}})
	d, p := newPoint(t, r, "device", &dev, PointConfig{}), newPoint(t, r, "peer", &peer, PointConfig{})
	// At 1 ms frame 1 leaves and arrives at 26 ms; frame 2 is lost at once;
	// frame 3 arrives corrupted; frame 4 twice; of frame 5 one copy of two is lost;
	// frame 6 is still on the way at the end.
	must(t, d.Capture(1*ms, 1, Outbound, []byte("one"), FatePending))
	must(t, d.Capture(2*ms, 2, Outbound, []byte("two"), FatePending))
	must(t, r.Fate(2, Fate{Kind: Dropped, Stage: "loss", Rule: "5 %", Reason: "random_loss", Ordinal: 2}))
	must(t, d.Capture(3*ms, 3, Outbound, []byte("three"), FatePending))
	must(t, r.Fate(3, Fate{Kind: Corrupted, Stage: "corrupt", Ordinal: 3}))
	must(t, p.Capture(26*ms, 1, Inbound, []byte("one"), FateFinal))
	must(t, r.Fate(1, Fate{Kind: Delivered}))
	must(t, p.Capture(28*ms, 3, Inbound, []byte("thrEe"), FateFinal, "corrupted: stage=corrupt bit=29"))
	must(t, r.Fate(3, Fate{Kind: Delivered}))
	for id := uint64(4); id <= 5; id++ {
		must(t, d.Capture(30*ms, id, Outbound, []byte("dup"), FatePending))
		must(t, r.Fate(id, Fate{Kind: Duplicated, Stage: "duplicate", Ordinal: id}))
	}
	must(t, p.Capture(55*ms, 4, Inbound, []byte("dup"), FateFinal))
	must(t, r.Fate(4, Fate{Kind: Delivered}))
	must(t, p.Capture(55*ms, 4, Inbound, []byte("dup"), FateFinal))
	must(t, r.Fate(4, Fate{Kind: Delivered}))
	must(t, r.Fate(5, Fate{Kind: Dropped, Stage: "queue", Reason: "queue_full", Ordinal: 5}))
	must(t, r.Fate(5, Fate{Kind: Delivered}))
	must(t, d.Capture(60*ms, 6, Outbound, []byte("six"), FatePending))
	must(t, d.Capture(61*ms, 7, Inbound, []byte("seven"), FateFinal))
	must(t, r.Close(70*ms))
	wantLines(t, dev.Bytes(), `
1ms #1 out one
2ms #2 out two verdict=1/2 [dropped: stage=loss rule="5 %" reason=random_loss seed=7 ordinal=2]
3ms #3 out three [corrupted: stage=corrupt seed=7 ordinal=3]
30ms #4 out dup [duplicated: stage=duplicate seed=7 ordinal=4]
30ms #5 out dup [duplicated: stage=duplicate seed=7 ordinal=5] [dropped: stage=queue reason=queue_full seed=7 ordinal=5]
60ms #6 out six [in flight at the end of the run]
61ms #7 in seven`)
	wantLines(t, peer.Bytes(), `
26ms #1 in one
28ms #3 in thrEe [corrupted: stage=corrupt bit=29]
55ms #4 in dup
55ms #4 in dup`)
	if s := d.Stats(); s != (PointStats{Captured: 7, Written: 7, Lost: 1, InFlight: 1}) {
		t.Errorf("%+v", s)
	}
	if r.Waiting() != 0 || r.LateFates() != 0 {
		t.Errorf("%d waiting, %d late fates", r.Waiting(), r.LateFates())
	}
}

func TestOldestRecordIsWrittenUndecidedBeyondTheLimit(t *testing.T) {
	for _, limit := range []RecorderConfig{{MaxWaiting: 3}, {MaxWaitingBytes: 3 * 64}} {
		var a, b bytes.Buffer
		r := newRecorder(t, limit)
		p, q := newPoint(t, r, "a", &a, PointConfig{}), newPoint(t, r, "b", &b, PointConfig{})
		must(t, p.Capture(1*ms, 1, Outbound, []byte("a"), FatePending))
		must(t, q.Capture(1*ms, 2, Outbound, []byte("b"), FatePending))
		must(t, p.Capture(2*ms, 3, Inbound, []byte("behind"), FateFinal))
		must(t, q.Capture(2*ms, 4, Outbound, []byte("c"), FatePending)) // one too many: #1 goes, and #3 behind it
		must(t, r.Fate(1, Fate{Kind: Dropped}))                         // too late
		must(t, r.Fate(2, Fate{Kind: Delivered}))
		must(t, r.Fate(4, Fate{Kind: Delivered}))
		must(t, r.Close(3*ms))
		wantLines(t, a.Bytes(), "1ms #1 out a ["+commentUndecided+"]\n2ms #3 in behind")
		wantLines(t, b.Bytes(), "1ms #2 out b\n2ms #4 out c")
		if r.LateFates() != 1 || p.Stats().Undecided != 1 || q.Stats().Undecided != 0 {
			t.Errorf("%d late, %+v, %+v", r.LateFates(), p.Stats(), q.Stats())
		}
	}
}

func TestFrameOverTwoLinksHasAFateAtEach(t *testing.T) {
	var a, b bytes.Buffer
	r := newRecorder(t, RecorderConfig{})
	p, q := newPoint(t, r, "a", &a, PointConfig{}), newPoint(t, r, "b", &b, PointConfig{})
	must(t, p.Capture(1*ms, 9, Outbound, []byte("x"), FatePending))
	must(t, q.Capture(2*ms, 9, Outbound, []byte("x"), FatePending))
	must(t, q.Capture(3*ms, 9, Outbound, []byte("x"), FatePending)) // a duplicate made on the first link
	must(t, q.Fate(9, Fate{Kind: Dropped, Stage: "second", Ordinal: 1}))
	must(t, p.Fate(9, Fate{Kind: Delivered}))
	must(t, q.Fate(9, Fate{Kind: Delivered}))
	must(t, q.Fate(9, Fate{Kind: Delivered})) // nobody waits for it
	must(t, r.Close(4*ms))
	wantLines(t, a.Bytes(), "1ms #9 out x")
	wantLines(t, b.Bytes(), "2ms #9 out x verdict=1/2 [dropped: stage=second seed=0 ordinal=1]\n3ms #9 out x")
	if r.LateFates() != 1 {
		t.Errorf("%d late fates, want 1", r.LateFates())
	}
}

func TestRecordsOfARealTimeEdgeArePutInOrder(t *testing.T) {
	var held, direct bytes.Buffer
	r := newRecorder(t, RecorderConfig{})
	h := newPoint(t, r, "held", &held, PointConfig{Reorder: 10 * time.Millisecond})
	d := newPoint(t, r, "direct", &direct, PointConfig{})
	for _, at := range []sim.Time{1, 5, 3, 2, 5, 16, 12, 4} { // the last is more than 10 ms late
		must(t, h.Capture(at*ms, uint64(at), Inbound, nil, at == 2))
		must(t, d.Capture(at*ms, uint64(at), Inbound, nil, FateFinal))
	}
	must(t, r.Close(20*ms))
	wantLines(t, held.Bytes(), "1ms #1 in \n2ms #2 in  [in flight at the end of the run]\n3ms #3 in \n4ms #4 in \n5ms #5 in \n5ms #5 in \n12ms #12 in \n16ms #16 in")
	late := " [" + commentLate + "]"
	wantLines(t, direct.Bytes(), "1ms #1 in \n5ms #5 in \n3ms #3 in "+late+"\n2ms #2 in "+late+"\n5ms #5 in \n16ms #16 in \n12ms #12 in "+late+"\n4ms #4 in "+late)
	if n := d.Stats().OutOfOrder; n != 4 {
		t.Errorf("%d out of order, want 4", n)
	}
}

func TestSectionHeaderRepeatsTheRun(t *testing.T) {
	want := RunInfo{
		Version: "0.1.0", Seed: 1<<64 - 1, Versions: []RunVersion{{"go", "go1.26.8"}, {"gvisor", "v0"}},
		Texts: []RunText{{"scenario.yaml", strings.Repeat("version: 1 # ü\n", 20_000)}, {"include.yaml", "x"}, {"empty", ""}},
	}
	var out bytes.Buffer
	r := newRecorder(t, RecorderConfig{Run: want})
	names := &Names{Records: []NameRecord{{NameIPv4, []byte{10, 0, 0, 2}, []string{"device"}}}}
	newPoint(t, r, "device", &out, PointConfig{Interface: Interface{MAC: []byte{2, 0, 0, 0, 0, 1}}, Names: names})
	must(t, r.Close(0))
	records, err := readAll(out.Bytes(), ReaderConfig{})
	if err != io.EOF {
		t.Fatal(err)
	}
	s := records[0].Section
	if s.Hardware != "" || s.OS != "" || s.UserAppl != "hilnet 0.1.0" {
		t.Errorf("hardware %q, os %q, userappl %q", s.Hardware, s.OS, s.UserAppl)
	}
	got, ok := ParseRunInfo(s)
	if !ok || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v: %.300v", ok, got)
	}
	for _, bad := range []RunInfo{
		{Texts: []RunText{{"", "x"}}}, {Texts: []RunText{{"a\nb", "x"}}}, {Texts: []RunText{{"a", "\xff"}}},
		{Versions: []RunVersion{{"go", "1\n2"}}}, {Versions: []RunVersion{{"seed", "1"}}}, {Version: strings.Repeat("v", 70_000)},
	} {
		if _, err := NewRecorder(RecorderConfig{Run: bad}); err == nil {
			t.Errorf("%.80v was accepted", bad)
		}
	}
	for _, foreign := range []*Section{nil, {}, {Comments: []string{"hello"}}, {Comments: []string{runHeader + "seed: x\n"}}} {
		if _, ok := ParseRunInfo(foreign); ok {
			t.Errorf("%+v was taken for a run", foreign)
		}
	}
}

func TestFullDiskStopsOnePointAndTheOthersGoOn(t *testing.T) {
	full, fine := &disk{room: 1000}, &bytes.Buffer{}
	r := newRecorder(t, RecorderConfig{BufferSize: 100})
	p, q := newPoint(t, r, "full", full, PointConfig{}), newPoint(t, r, "fine", fine, PointConfig{})
	var failed error
	for i := range uint64(50) {
		if err := p.Capture(sim.Time(i), i, Outbound, []byte("data"), FatePending); err != nil {
			failed = err
		}
		must(t, q.Capture(sim.Time(i), i, Inbound, []byte("data"), FateFinal))
		if err := r.Fate(i, Fate{Kind: Delivered}); err != nil {
			failed = err
		}
	}
	if !errors.Is(failed, errFull) || !strings.Contains(failed.Error(), `point "full": pcaps: write run.device.pcapng: no space left on device after`) {
		t.Error(failed)
	}
	if err := r.Close(1); !errors.Is(err, errFull) {
		t.Errorf("Close says %v", err)
	}
	if got, err := readAll(full.data, ReaderConfig{}); err != io.EOF || len(got) < 3 {
		t.Errorf("%d records in the full file, %v", len(got), err)
	}
	if n := strings.Count(lines(t, fine.Bytes()), "\n"); n != 50 {
		t.Errorf("%d records at the other point, want 50", n)
	}
	if r.Waiting() != 0 {
		t.Errorf("%d records wait for a failed file", r.Waiting())
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	r := newRecorder(t, RecorderConfig{})
	d, p := newPoint(t, r, "device", io.Discard, PointConfig{}), newPoint(t, r, "peer", io.Discard, PointConfig{})
	data := make([]byte, 1514)
	id := uint64(0)
	step := func() { // 64 frames in flight, every eighth lost, sizes vary
		id++
		_ = d.Capture(sim.Time(id), id, Outbound, data[:60+id%1400], FatePending)
		if id <= 64 {
			return
		}
		old := id - 64
		if old%8 == 0 {
			_ = r.Fate(old, Fate{Kind: Dropped, Stage: "loss", Rule: "iid", Reason: "random_loss", Ordinal: old})
			return
		}
		_ = p.Capture(sim.Time(id), old, Inbound, data[:60+old%1400], FateFinal)
		_ = r.Fate(old, Fate{Kind: Delivered})
	}
	for range 5000 {
		step()
	}
	if n := testing.AllocsPerRun(5000, step); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
	if s := d.Stats(); s.Written+uint64(r.Waiting()) != s.Captured || s.Undecided != 0 {
		t.Errorf("%+v, %d waiting", s, r.Waiting())
	}
}

func TestIndexFindsEveryWaitingRecord(t *testing.T) {
	rnd := sim.NewRand(1, "index")
	var x index
	var live []*waiting
	for range 20_000 {
		if len(live) > 0 && (rnd.IntN(2) == 0 || len(live) > 300) {
			n := rnd.IntN(len(live))
			x.remove(live[n])
			live = append(live[:n], live[n+1:]...)
		} else {
			w := &waiting{id: uint64(rnd.IntN(200))}
			x.add(w)
			live = append(live, w)
		}
		if rnd.IntN(50) != 0 {
			continue
		}
		oldest := map[uint64]*waiting{}
		for _, w := range live {
			if oldest[w.id] == nil {
				oldest[w.id] = w
			}
		}
		for id := range uint64(200) {
			if _, got := x.find(id); got != oldest[id] {
				t.Fatalf("id %d: found %p, want %p", id, got, oldest[id])
			}
		}
		if x.used != len(oldest) {
			t.Fatalf("%d used, want %d", x.used, len(oldest))
		}
	}
}

// record makes a closed file with ten frames and returns its path.
func record(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "run.device.pcapng")
	r := newRecorder(t, RecorderConfig{Run: RunInfo{Version: "test", Seed: 3}})
	p, err := r.CreatePoint("device", path, PointConfig{})
	must(t, err)
	for i := range uint64(10) {
		must(t, p.Capture(sim.Time(i)*ms, i, Outbound, make([]byte, 60), FatePending))
		f := Fate{Kind: Delivered}
		if i == 4 {
			f = Fate{Kind: Dropped, Stage: "loss", Reason: "random_loss", Ordinal: i}
		}
		must(t, r.Fate(i, f))
	}
	must(t, r.Close(20*ms))
	return path
}

// TestVerifyTurnsRedWhenARecordIsLost sabotages a recording in the ways a
// broken recorder would and sees the gate fail.
func TestVerifyTurnsRedWhenARecordIsLost(t *testing.T) {
	path := record(t)
	must(t, Verify(path))
	data, err := os.ReadFile(path)
	must(t, err)
	records, err := readAll(data, ReaderConfig{})
	if err != io.EOF {
		t.Fatal(err)
	}
	without := func(n int) []Record { return append(append([]Record(nil), records[:n]...), records[n+1:]...) }
	swapped := append([]Record(nil), records...)
	swapped[5], swapped[6] = swapped[6], swapped[5]
	for want, sabotaged := range map[string][]Record{
		"9 records, but 10 frames were captured": without(7),
		"stands after one at":                    swapped,
		"does not end with the statistics":       records[:len(records)-1],
	} {
		must(t, os.WriteFile(path, writeAll(t, sabotaged), 0o600))
		if err := Verify(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	must(t, os.WriteFile(path, data[:len(data)-5], 0o600))
	if err := Verify(path); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut file: %v", err)
	}
}
