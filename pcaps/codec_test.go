package pcaps

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// everyInterface sets every interface option.
func everyInterface(r Resolution, offset int64) Interface {
	return Interface{
		LinkType: LinkTypeEthernet, SnapLen: 100, Name: "dev", Description: "device side", Hardware: "hw", OS: "rtos",
		IPv4: []IPv4Net{{[4]byte{10, 0, 0, 1}, [4]byte{255, 0, 255, 0}}, {[4]byte{10, 0, 0, 2}, [4]byte{255, 255, 0, 0}}},
		IPv6: []IPv6Net{{[16]byte{0xfe, 0x80, 15: 1}, 64}},
		MAC:  []byte{2, 0, 0, 0, 0, 1}, EUI: []byte{2, 0, 0, 255, 254, 0, 0, 1},
		Speed: 100e6, TxSpeed: 1, RxSpeed: 2, Resolution: r, Offset: offset, TimeZone: 7, TimeZoneTZ: "Europe/Berlin",
		FilterKind: 1, Filter: "tcp\x00port", HasFCSLen: true, FCSLen: 32,
		Comments: []string{"one", "", "three"},
		Options:  []Option{{Code: 999, Value: []byte{1, 2, 3}}, {Code: OptionCustomText, PEN: 32473, Value: []byte("text")}},
	}
}

// everyRecord holds every block type with every option, as a Reader returns it.
func everyRecord(big bool, r Resolution, offset int64, base Stamp) []Record {
	i := everyInterface(r, offset)
	c := newClock(i.Resolution, i.Offset)
	packet := func(p Packet, at Stamp) *Packet {
		if p.Block != BlockSimplePacket {
			p.Ticks, _ = c.ticks(at)
			p.Time = c.stamp(p.Ticks)
		}
		p.LinkType, p.OriginalLen = LinkTypeEthernet, max(p.OriginalLen, len(p.Data))
		return &p
	}
	stats := &Statistics{
		Fields: FieldStartTime | FieldEndTime | FieldIfRecv | FieldIfDrop | FieldFilterAccept | FieldOSDrop | FieldUsrDeliv,
		IfRecv: 1 << 40, IfDrop: 2, FilterAccept: 3, OSDrop: 4, UsrDeliv: 5, Comments: []string{"stat"},
		Options: []Option{{Code: 77, Value: []byte("x")}},
	}
	stats.Ticks, _ = c.ticks(base)
	stats.StartTicks, stats.EndTicks = stats.Ticks, stats.Ticks+5
	stats.Time, stats.StartTime, stats.EndTime = c.stamp(stats.Ticks), c.stamp(stats.StartTicks), c.stamp(stats.EndTicks)
	return []Record{
		{Type: BlockSectionHeader, Section: &Section{
			BigEndian: big, Major: 1, Length: -1, Hardware: "board", OS: "none", UserAppl: "hilnet 0", Comments: []string{"a", "b"},
			Options: []Option{{Code: optSHBOS, Value: []byte("second")}},
		}},
		{Type: BlockInterface, Interface: &i},
		{Type: BlockSecrets, Secrets: &Secrets{Kind: SecretsTLS, Data: []byte("CLIENT_RANDOM 0"), Comments: []string{"keys"}, Options: []Option{{Code: 5, Value: []byte{}}}}},
		{Type: BlockNames, Names: &Names{
			Records: []NameRecord{
				{NameIPv4, []byte{10, 0, 0, 1}, []string{"device", "device.test"}},
				{NameIPv6, make([]byte, 16), []string{""}},
				{NameEUI48, make([]byte, 6), []string{"mac"}},
				{NameEUI64, make([]byte, 8), []string{"eui"}},
				{99, []byte{1, 2, 3}, nil},
			},
			DNSName: "dns", DNSIPv4: []byte{8, 8, 8, 8}, DNSIPv6: make([]byte, 16), Comments: []string{"names"}, Options: []Option{{Code: 9, Value: []byte("?")}},
		}},
		{Type: BlockEnhancedPacket, Packet: packet(Packet{
			Block: BlockEnhancedPacket, Data: []byte("frame"), OriginalLen: 1500,
			Fields: FieldFlags | FieldDropCount | FieldPacketID | FieldQueue | FieldThread,
			Flags:  FlagOutbound | FlagCRCError, DropCount: 1 << 50, PacketID: 1<<63 | 5, Queue: 6, Thread: 7<<32 | 8,
			Hashes:   []Hash{{2, []byte{1, 2, 3, 4}}, {4, make([]byte, 20)}},
			Verdicts: []Verdict{{Kind: VerdictTC, Result: TCActShot}, {Kind: VerdictXDP, Result: math.MaxUint64}, {Kind: VerdictHardware, Data: []byte("hw")}},
			Comments: [][]byte{[]byte("dropped"), []byte(""), []byte("ünïcode")},
			Options:  []Option{{Code: OptionCustomBinaryNoCopy, PEN: 1, Value: []byte{9}}, {Code: 4000, Value: []byte("u")}},
		}, base+123456789)},
		{Type: BlockObsoletePacket, Packet: packet(Packet{
			Block: BlockObsoletePacket, Data: []byte("old"), Fields: FieldDropCount | FieldFlags, DropCount: 3, Flags: FlagInbound,
			Hashes: []Hash{{1, []byte{1}}}, Comments: [][]byte{[]byte("c")}, Options: []Option{{Code: optEPBQueue, Value: []byte("1234")}},
		}, base+223456789)},
		{Type: BlockSimplePacket, Packet: packet(Packet{Block: BlockSimplePacket, Data: bytes.Repeat([]byte{5}, 100), OriginalLen: 101}, 0)},
		{Type: BlockStatistics, Statistics: stats},
		{Type: BlockJournal, Body: []byte("__REALTIME_TIMESTAMP=1767225600000000\nMESSAGE=started\n")},
		{Type: BlockCustom, Custom: &Custom{PEN: 32473, Data: []byte("datapad.")}},
		{Type: BlockCustomNoCopy, Custom: &Custom{NoCopy: true, PEN: 32473, Data: []byte("secr")}},
		{Type: 0x7FFF0001, Body: []byte{1, 2, 3, 4}},
	}
}

func writeAll(t testing.TB, records []Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, *records[0].Section, WriterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range records[1:] {
		if err := w.Write(&records[1+i]); err != nil {
			t.Fatalf("record %d: %v", 1+i, err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// readAll returns deep copies of all records and the error that ended them.
func readAll(data []byte, config ReaderConfig) ([]Record, error) {
	r, err := NewReader(bytes.NewReader(data), config)
	if err != nil {
		return nil, err
	}
	var all []Record
	for {
		record, err := r.Next()
		if err != nil {
			return all, err
		}
		c := *record
		c.Body = bytes.Clone(c.Body)
		if c.Packet != nil {
			c.Packet = c.Packet.Clone()
		}
		if c.Custom != nil {
			c.Custom = &Custom{c.Custom.NoCopy, c.Custom.PEN, bytes.Clone(c.Custom.Data)}
		}
		all = append(all, c)
	}
}

// difference compares records but for their positions; empty and nil slices are alike.
func difference(got, want Record) string {
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Record{}, "Offset"))
}

func TestEveryBlockAndOptionSurvivesARoundTrip(t *testing.T) {
	for _, big := range []bool{false, true} {
		for _, c := range []struct {
			resolution Resolution
			offset     int64
			base       Stamp
		}{
			{Nanoseconds, 0, VirtualEpoch}, {0, 0, VirtualEpoch}, {Microseconds, 1767225600, VirtualEpoch + 1e9},
			{Seconds, -5, 0}, {Milliseconds, -1767225600, -1767225600e9 + 5e9}, {12, 1767225600, VirtualEpoch}, {0x80 | 33, 0, VirtualEpoch},
		} {
			t.Run(fmt.Sprintf("big=%v/resolution=%#x", big, uint8(c.resolution)), func(t *testing.T) {
				want := everyRecord(big, c.resolution, c.offset, c.base)
				data := writeAll(t, want)
				got, err := readAll(data, ReaderConfig{})
				if err != io.EOF {
					t.Fatal(err)
				}
				if len(got) != len(want) {
					t.Fatalf("%d records, want %d", len(got), len(want))
				}
				for i := range want {
					if diff := difference(got[i], want[i]); diff != "" {
						t.Errorf("%v: -want +got\n%s", want[i].Type, diff)
					}
				}
				if again := writeAll(t, got); !bytes.Equal(again, data) {
					t.Error("written, read and written again the bytes differ")
				}
			})
		}
	}
}

func TestSectionsMayDifferInByteOrderAndStartNewInterfaces(t *testing.T) {
	records := append(everyRecord(false, Nanoseconds, 0, 1), everyRecord(true, Microseconds, 0, 1)...)
	got, err := readAll(writeAll(t, records), ReaderConfig{})
	if err != io.EOF || len(got) != len(records) {
		t.Fatalf("%d records of %d, %v", len(got), len(records), err)
	}
	r, _ := NewReader(bytes.NewReader(writeAll(t, records)), ReaderConfig{})
	for range records {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.Interfaces()); n != 1 {
		t.Errorf("%d interfaces in the second section, want 1", n)
	}
	if !r.Section().BigEndian || len(r.Secrets()) != 2 || len(r.Names()) != 2 || r.Uncollected() != 0 {
		t.Errorf("section %+v, %d secrets, %d names, %d uncollected", r.Section(), len(r.Secrets()), len(r.Names()), r.Uncollected())
	}
}

func TestClockConvertsBothWaysAtEveryResolution(t *testing.T) {
	stamps := []Stamp{0, 1, 999_999_999, 1e9, VirtualEpoch, VirtualEpoch + 123456789, math.MaxInt64 - 2e9}
	for raw := range 256 {
		c := newClock(Resolution(raw), 0)
		for _, s := range stamps {
			ticks, ok := c.ticks(s)
			if !ok {
				continue // too fine for 64 bits
			}
			back := c.stamp(ticks)
			if exact := c.units >= nanosPerSecond; back > s || (exact && back != s) {
				t.Errorf("resolution %#x: %d becomes %d ticks and %d again", raw, s, ticks, back)
			}
			if again, ok := c.ticks(back); !ok || again != ticks {
				t.Errorf("resolution %#x: %d ticks become %d", raw, ticks, again)
			}
		}
		c.stamp(math.MaxUint64) // must not panic
	}
	for _, c := range []struct {
		resolution Resolution
		offset     int64
		ticks      uint64
		want       Stamp
	}{
		{Microseconds, 10, 5, 10e9 + 5000}, {Nanoseconds, -10, 10e9 + 7, 7}, {Nanoseconds, -10, 7, -10e9 + 7},
		{0x80 | 10, 0, 1, 976562}, {18, 0, 5e17, 5e8}, {30, 0, math.MaxUint64, 0}, {0x80 | 64, 0, 1 << 63, 5e8},
		{Seconds, 0, math.MaxUint64, math.MaxInt64}, {Seconds, math.MinInt64, 0, math.MinInt64}, {Seconds, math.MaxInt64, math.MaxUint64, math.MaxInt64},
		{Seconds, math.MinInt64, 1<<63 + 3, 3e9}, {Microseconds, 0, math.MaxUint64, math.MaxInt64},
	} {
		k := newClock(c.resolution, c.offset)
		if got := k.stamp(c.ticks); got != c.want {
			t.Errorf("resolution %#x offset %d: %d ticks are %d, want %d", uint8(c.resolution), c.offset, c.ticks, got, c.want)
		}
	}
	late := newClock(Nanoseconds, 100)
	if _, ok := late.ticks(99e9); ok {
		t.Error("a time before the interface's offset was accepted")
	}
}

func TestWriterRefusesWhatTheFormatCannotExpress(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, Section{}, WriterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddInterface(Interface{Resolution: Nanoseconds, SnapLen: 10}); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 65_536)
	for name, write := range map[string]func() error{
		"more than 65535":       func() error { return w.WritePacket(&Packet{Comments: [][]byte{[]byte(long)}}) },
		"names interface 1":     func() error { return w.WritePacket(&Packet{Interface: 1}) },
		"names interface -1":    func() error { return w.WriteStatistics(&Statistics{Interface: -1}) },
		"cannot express":        func() error { return w.WritePacket(&Packet{Time: -1, Ticks: 0}) },
		"readers would expect":  func() error { return w.WritePacket(&Packet{Block: BlockSimplePacket, Data: make([]byte, 11)}) },
		"cannot hold a time":    func() error { return w.WritePacket(&Packet{Block: BlockSimplePacket, Time: 1}) },
		"cannot hold a packet":  func() error { return w.WritePacket(&Packet{Block: BlockObsoletePacket, Fields: FieldPacketID}) },
		"is not a packet block": func() error { return w.WritePacket(&Packet{Block: BlockNames}) },
		"at most 1048576":       func() error { return w.WritePacket(&Packet{Data: make([]byte, 1<<20+1)}) },
		"code 0":                func() error { return w.WritePacket(&Packet{Options: []Option{{}}}) },
		"holds a NUL": func() error {
			return w.WriteNames(&Names{Records: []NameRecord{{NameIPv4, make([]byte, 4), []string{"a\x00"}}}})
		},
		"address of 3 bytes": func() error {
			return w.WriteNames(&Names{Records: []NameRecord{{NameIPv4, make([]byte, 3), []string{"a"}}}})
		},
		"has 5 bytes, want 6":  func() error { _, err := w.AddInterface(Interface{MAC: make([]byte, 5)}); return err },
		"more than 16777216":   func() error { return w.WriteSecrets(&Secrets{Data: make([]byte, 17<<20)}) },
		"has a method":         func() error { return w.WriteBody(BlockNames, nil) },
		"options, more than 8": func() error { return w.WritePacket(&Packet{Comments: make([][]byte, 9000)}) },
	} {
		before := w.Packets()
		if err := write(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one with %q", err, name)
		}
		if w.Packets() != before {
			t.Errorf("%q: the packet was counted", name)
		}
	}
	if err := w.WritePacket(&Packet{Data: []byte("good")}); err != nil {
		t.Fatal("a refused block broke the writer:", err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	got, err := readAll(out.Bytes(), ReaderConfig{})
	if err != io.EOF || len(got) != 3 || string(got[2].Packet.Data) != "good" {
		t.Errorf("%d records, %v: a refused block left bytes behind", len(got), err)
	}
}

// disk holds at most room bytes, like a file on a full device.
type disk struct {
	data    []byte
	room    int
	cannot  bool // Truncate fails
	nowhere bool
}

var errFull = errors.New("no space left on device")

func (d *disk) Name() string { return "run.device.pcapng" }

func (d *disk) Write(p []byte) (int, error) {
	n := min(len(p), d.room-len(d.data))
	d.data = append(d.data, p[:n]...)
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func (d *disk) Truncate(size int64) error {
	if d.cannot {
		return errors.New("cannot")
	}
	d.data = d.data[:size]
	return nil
}

func TestFullDiskLeavesAReadableFile(t *testing.T) {
	for room := 0; room < 3000; room += 7 {
		d := &disk{room: room, cannot: room%2 == 1}
		w, err := NewWriter(d, Section{UserAppl: "x"}, WriterConfig{BufferSize: 200})
		if err == nil {
			_, err = w.AddInterface(Interface{Resolution: Nanoseconds})
		}
		for i := 0; err == nil; i++ {
			err = w.WritePacket(&Packet{Time: Stamp(i), Data: make([]byte, i%50), Fields: FieldPacketID, PacketID: uint64(i)})
		}
		var failed *WriteError
		if !errors.As(err, &failed) || !errors.Is(err, errFull) || failed.Name != "run.device.pcapng" {
			t.Fatalf("room %d: %v", room, err)
		}
		if again := w.Flush(); again != err {
			t.Fatalf("room %d: the error is not sticky: %v", room, again)
		}
		if len(d.data) == 0 {
			continue
		}
		got, readErr := readAll(d.data, ReaderConfig{})
		packets := uint64(0)
		for _, r := range got {
			if r.Packet != nil {
				packets++
			}
		}
		if packets != failed.Packets {
			t.Fatalf("room %d: %d packets in the file, the error says %d", room, packets, failed.Packets)
		}
		if failed.Readable != (readErr == io.EOF) {
			t.Fatalf("room %d: readable %v, but reading ended with %v", room, failed.Readable, readErr)
		}
		if !failed.Readable && !d.cannot {
			t.Fatalf("room %d: the file could be repaired and was not", room)
		}
		want := fmt.Sprintf("pcaps: write run.device.pcapng: no space left on device after %d packets; the file", packets)
		if !strings.HasPrefix(err.Error(), want) {
			t.Fatalf("error %q, want %q…", err, want)
		}
	}
}

func TestSplitTextKeepsRunesWhole(t *testing.T) {
	text := strings.Repeat("aé漢🙂", 1000)
	for limit := 4; limit < 40; limit++ {
		pieces := SplitText(text, limit)
		if strings.Join(pieces, "") != text {
			t.Fatal("the pieces are not the text")
		}
		for _, p := range pieces {
			if len(p) > limit || strings.ToValidUTF8(p, "?") != p {
				t.Fatalf("limit %d: piece %q", limit, p)
			}
		}
	}
}
