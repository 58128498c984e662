package compare

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/pcaps"
)

// lcs is the length of the longest common subsequence, by the textbook.
func lcs(a, b []int) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		before := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = before + 1
			} else {
				row[j+1] = max(row[j+1], row[j])
			}
			before = above
		}
	}
	return row[len(b)]
}

// checkOps fails when ops do not lead through all of a and b, in order, matching
// only what is equal. It returns the number of matches.
func checkOps(t *testing.T, a, b []int, ops []Step) (matches int) {
	t.Helper()
	x, y := 0, 0
	for _, o := range ops {
		switch {
		case o.A == x && o.B == y && x < len(a) && y < len(b) && a[x] == b[y]:
			x, y, matches = x+1, y+1, matches+1
		case o.A == x && o.B == -1:
			x++
		case o.A == -1 && o.B == y:
			y++
		default:
			t.Fatalf("step %+v at %d, %d of %v and %v", o, x, y, a, b)
		}
	}
	if x != len(a) || y != len(b) {
		t.Fatalf("%d of %d, %d of %d are reached", x, len(a), y, len(b))
	}
	return matches
}

func TestTheAlignmentHasTheFewestDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		list := func() []int {
			l := make([]int, r.IntN(24))
			for i := range l {
				l[i] = r.IntN(1 + r.IntN(5))
			}
			return l
		}
		a, b := list(), list()
		if got, want := checkOps(t, a, b, align(a, b)), lcs(a, b); got != want {
			t.Fatalf("%v and %v: %d matches, want %d", a, b, got, want)
		}
	}
}

// Beyond the limit of a search the alignment goes on: it stays whole.
func TestAnAlignmentOfWhatHasNothingInCommonEnds(t *testing.T) {
	a, b := make([]int, 5000), make([]int, 7000)
	for i := range a {
		a[i] = i
	}
	for i := range b {
		b[i] = 1_000_000 + i
	}
	checkOps(t, a, b, align(a, b))
	b[4000] = a[3999]
	checkOps(t, a, b, align(a, b))
}

func open(t testing.TB, path string, config Config) *Capture {
	t.Helper()
	r, done, err := pcaps.Open(path, pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	c, err := Read(t.Context(), r, config)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

func compareFiles(t testing.TB, a, b string, config Config) *Report {
	t.Helper()
	r, err := Compare(open(t, a, config), open(t, b, config), config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Every capture is the same as itself, in every field; all its segments and messages count.
func TestACaptureIsTheSameAsItself(t *testing.T) {
	n, items := 0, 0
	for _, folder := range []string{"captures/mqtt", "captures/tcp", "captures/groundtruth", "golden"} {
		err := filepath.WalkDir(linktest.Data(t, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasPrefix(filepath.Ext(path), ".pcap") {
				return err
			}
			r := compareFiles(t, path, path, Config{Fields: AllFields, Time: 0})
			if !r.Same || r.Differences != 0 {
				t.Errorf("%s: %d differences", path, r.Differences)
			}
			n++
			for _, p := range r.Conversations {
				items += p.Messages.Same + p.Segments.Same
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 80 || items < 5000 {
		t.Errorf("only %d captures with %d items", n, items)
	}
}

// What one capture has is changed in another; exactly that is found.
func TestExactlyWhatWasChangedIsFound(t *testing.T) {
	path := linktest.Data(t, "captures/groundtruth/mqtt311-q1-clean.dev.pcapng")
	var all []*pcaps.Packet
	for p, err := range pcaps.Packets(path) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Clone())
	}
	whole := open(t, path, Config{Time: -1})
	carrier := slices.IndexFunc(all, func(p *pcaps.Packet) bool { return bytes.Contains(p.Data, []byte("\x32")) && len(p.Data) > 150 })
	for _, c := range []struct {
		name   string
		change func([]*pcaps.Packet) []*pcaps.Packet
		config Config
		check  func(*Report) bool
	}{
		{"a frame less", func(p []*pcaps.Packet) []*pcaps.Packet { return slices.Delete(p, carrier, carrier+1) }, Config{Time: -1, By: SegmentsOnly}, func(r *Report) bool {
			return r.Differences == 1 && r.Conversations[0].Segments.Lines[0].Kind == KindOnlyA && r.Conversations[0].Segments.Lines[0].AFrame == uint64(carrier+1)
		}},
		{"a frame twice", func(p []*pcaps.Packet) []*pcaps.Packet { return slices.Insert(p, carrier+1, p[carrier].Clone()) }, Config{Time: -1, By: SegmentsOnly}, func(r *Report) bool {
			return r.Differences == 1 && r.Conversations[0].Segments.Lines[0].Kind == KindOnlyB
		}},
		{"a byte of payload", func(p []*pcaps.Packet) []*pcaps.Packet {
			p[carrier].Data[len(p[carrier].Data)-1] ^= 1
			p[carrier].Data[len(p[carrier].Data)-3] ^= 1
			return p
		}, Config{Time: -1, By: SegmentsOnly, Fields: DefaultFields}, func(r *Report) bool {
			l := r.Conversations[0].Segments.Lines
			return r.Differences == 1 && l[0].Kind == KindChanged && slices.Equal(l[0].Fields, []string{"payload"}) && l[0].AFrame == l[0].BFrame
		}},
		{"10 ms later", func(p []*pcaps.Packet) []*pcaps.Packet {
			for i := carrier; i < len(p); i++ {
				p[i].Time += pcaps.Stamp(10 * time.Millisecond)
			}
			return p
		}, Config{Time: 9 * time.Millisecond, By: SegmentsOnly}, func(r *Report) bool {
			l := r.Conversations[0].Segments.Lines
			return r.Differences == len(all)-carrier && slices.Equal(l[0].Fields, []string{"time"})
		}},
		{"10 ms later, 11 allowed", func(p []*pcaps.Packet) []*pcaps.Packet {
			for i := carrier; i < len(p); i++ {
				p[i].Time += pcaps.Stamp(10 * time.Millisecond)
			}
			return p
		}, Config{Time: 11 * time.Millisecond}, func(r *Report) bool { return r.Same }},
	} {
		var packets []*pcaps.Packet
		for _, p := range all {
			packets = append(packets, p.Clone())
		}
		changed := filepath.Join(t.TempDir(), "changed.pcapng")
		write(t, changed, c.change(packets))
		config := c.config
		r, err := Compare(open(t, path, config), open(t, changed, config), config)
		if err != nil || !c.check(r) {
			t.Errorf("%s: %v %+v", c.name, err, r)
			for _, p := range r.Conversations {
				for _, l := range p.Segments.Lines {
					t.Logf("%+v", l)
				}
			}
		}
	}
	if len(whole.conversations) != 1 {
		t.Errorf("%d conversations", len(whole.conversations))
	}
}

func write(t testing.TB, path string, packets []*pcaps.Packet) {
	t.Helper()
	f, err := pcaps.Create(path, pcaps.Section{}, pcaps.WriterConfig{})
	if err == nil {
		_, err = f.AddInterface(pcaps.Interface{LinkType: packets[0].LinkType, Resolution: pcaps.Nanoseconds})
	}
	for _, p := range packets {
		p.Interface = 0
		if err == nil {
			err = f.WritePacket(p)
		}
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Two recordings of one session at two ends of a link that lost frames have the same
// messages, though not the same segments.
func TestBothEndsOfALossyLinkHaveTheSameMessages(t *testing.T) {
	a := linktest.Data(t, "captures/groundtruth/mqtt311-q1-iid5.dev.pcapng")
	b := linktest.Data(t, "captures/groundtruth/mqtt311-q1-iid5.broker.pcapng")
	if r := compareFiles(t, a, b, Config{By: MessagesOnly, Time: -1}); r.Conversations[0].Messages.Same < 100 {
		t.Errorf("%+v", r.Conversations[0].Messages)
	}
	r := compareFiles(t, a, b, Config{By: SegmentsOnly, Time: -1})
	only := map[string]int{}
	for _, l := range r.Conversations[0].Segments.Lines {
		only[l.Kind]++
	}
	if r.Same || only[KindOnlyA] < 10 || only[KindOnlyB] < 1 {
		t.Errorf("%v", only)
	}
}

func TestACaptureThatIsTooLongIsRefused(t *testing.T) {
	r, done, err := pcaps.Open(linktest.Data(t, "captures/groundtruth/mqtt311-q1-clean.dev.pcapng"), pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, err := Read(context.Background(), r, Config{MaxItems: 50}); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
}

// FuzzCompare: whatever the captures, comparing ends, nothing is counted twice, and a
// capture is the same as itself.
func FuzzCompare(f *testing.F) {
	for _, name := range []string{"suricata-mqtt311-pub-qos1.pcap", "zeek-pcapng-multi-interface.pcapng"} {
		data, err := os.ReadFile(filepath.Join(linktest.Root(f), "pcaps", "testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, data)
		f.Add(data, data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, x, y []byte) {
		config := Config{Fields: AllFields, MaxItems: 1000}
		read := func(data []byte) *Capture {
			r, err := pcaps.NewReader(bytes.NewReader(data), pcaps.ReaderConfig{})
			if err != nil {
				return nil
			}
			c, err := Read(t.Context(), r, config)
			if err != nil {
				return nil
			}
			return c
		}
		a, b := read(x), read(y)
		if a == nil || b == nil {
			return
		}
		r, err := Compare(a, b, config)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Conversations {
			for _, l := range []*Alignment{p.Messages, p.Segments} {
				if l.Same > min(l.A, l.B) || l.A+l.B-2*l.Same > 2*l.Differences || l.A != l.B && l.Differences == 0 {
					t.Errorf("%+v", l)
				}
			}
		}
		if r, err := Compare(a, read(x), config); err != nil || r.Differences != 0 {
			t.Errorf("with itself: %+v, %v", r, err)
		}
	})
}

// What has the same shape in the same place is one that has changed; what has not is one
// less and one more.
func TestAlignPairsWhatHasChanged(t *testing.T) {
	a := []Key{{1, 1}, {2, 2}, {3, 3}}
	for _, c := range []struct {
		b     []Key
		pairs int
	}{{a, 3}, {[]Key{{1, 1}, {9, 2}, {3, 3}}, 3}, {[]Key{{1, 1}, {9, 8}, {3, 3}}, 2}, {nil, 0}} {
		pairs, onlyA, onlyB := 0, 0, 0
		for _, s := range Align(a, c.b) {
			switch {
			case s.A >= 0 && s.B >= 0:
				pairs++
			case s.B < 0:
				onlyA++
			default:
				onlyB++
			}
		}
		if pairs != c.pairs || pairs+onlyA != len(a) || pairs+onlyB != len(c.b) {
			t.Errorf("%v: %d pairs, %d only in a, %d only in b", c.b, pairs, onlyA, onlyB)
		}
	}
}
