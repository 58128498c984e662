package extract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/link/traces"
	"hilnet/pcaps"
)

func readFile(t testing.TB, name string) *Capture {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := Read(t.Context(), name, f, Config{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

// A known is a recording of which it is known what was lost.
type known struct {
	name        string
	dev, broker string
	drops       []drop
}

// A drop is a frame of the sending side's file.
type drop struct {
	dir   string
	frame uint64
	len   int
	at    int64 // absolute
}

// groundtruth are recordings by a relay that wrote down what it dropped.
func groundtruth(t testing.TB) []known {
	t.Helper()
	folder := linktest.Data(t, "captures/groundtruth")
	files, err := filepath.Glob(filepath.Join(folder, "*.truth.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no ground truth in %s (%v)", folder, err)
	}
	var all []known
	for _, file := range files {
		base := strings.TrimSuffix(file, ".truth.jsonl")
		k := known{name: filepath.Base(base), dev: base + ".dev.pcapng", broker: base + ".broker.pcapng"}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var l struct {
				Ev, Dir string
				Frame   uint64
				Len     int
				T       int64 `json:"t_ns"`
			}
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatal(err)
			}
			if l.Ev == "drop" {
				k.drops = append(k.drops, drop{map[string]string{"ab": "up", "ba": "down"}[l.Dir], l.Frame, l.Len, l.T})
			}
		}
		all = append(all, k)
	}
	return all
}

func names(drops []Drop) []string {
	var all []string
	for _, d := range drops {
		all = append(all, fmt.Sprintf("%s %d", d.Dir, d.Frame))
	}
	slices.Sort(all)
	return all
}

func (k *known) names() []string {
	var all []string
	for _, d := range k.drops {
		all = append(all, fmt.Sprintf("%s %d", d.dir, d.frame))
	}
	slices.Sort(all)
	return all
}

// With captures of both ends every loss is found, and none that was none.
func TestTwoCapturesGiveExactlyWhatWasLost(t *testing.T) {
	for _, k := range groundtruth(t) {
		t.Run(k.name, func(t *testing.T) {
			c, err := Pair(readFile(t, k.dev), readFile(t, k.broker))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := names(c.Drops), k.names(); !slices.Equal(got, want) {
				t.Errorf("lost\n got  %v\n want %v", got, want)
			}
			if n := len(c.Duplicates) + len(c.Reorders) + len(c.Corrupted) + len(c.Outages); n != 0 {
				t.Errorf("%d things that did not happen: %v %v %v %v", n, c.Duplicates, c.Reorders, c.Corrupted, c.Outages)
			}
			if c.Up.Lost.Min != c.Up.Lost.Max || c.Down.Lost.Min != c.Down.Lost.Max {
				t.Errorf("up %v down %v: not exact", c.Up.Lost, c.Down.Lost)
			}
			if !c.Clock.Trusted {
				t.Errorf("the clocks are one: %+v", c.Clock)
			}
			rtt := c.Up.Propagation + c.Down.Propagation
			if c.Down.Rate == 0 && c.Up.Rate != 0 { // the other way was never busy, so that it has a rate is not known
				rtt -= 8250 * time.Microsecond
			}
			if rtt < 50*time.Millisecond || rtt > 51*time.Millisecond {
				t.Errorf("there and back %v of 50 ms", rtt)
			}
			if strings.Contains(k.name, "rate64k") && math.Abs(float64(c.Up.Rate)-64000) > 0.05*64000 {
				t.Errorf("rate %d of 64000", c.Up.Rate)
			}
		})
	}
}

// The order of the files does not matter, and neither do clocks that differ by an
// offset and run at different speeds.
func TestClocksThatDisagreeAreRead(t *testing.T) {
	for _, k := range groundtruth(t) {
		t.Run(k.name, func(t *testing.T) {
			want, err := Pair(readFile(t, k.dev), readFile(t, k.broker))
			if err != nil {
				t.Fatal(err)
			}
			a, b := readFile(t, k.dev), readFile(t, k.broker)
			b.start += pcaps.Stamp(90 * time.Minute)
			const ppm = 80e-6
			for i := range b.packets {
				b.packets[i].at += int64(float64(b.packets[i].at) * ppm)
			}
			c, err := Pair(b, a)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(names(c.Drops), names(want.Drops)) || c.Files[0] != k.dev {
				t.Errorf("lost\n got  %v\n want %v\n of %v", names(c.Drops), names(want.Drops), c.Files)
			}
			if off := c.Clock.Offset - 90*time.Minute; off < -10*time.Millisecond || off > 10*time.Millisecond {
				t.Errorf("offset %v", c.Clock.Offset)
			}
		})
	}
}

// Skew is found where both directions show it, and not in a queue that fills.
func TestSkewIsToldFromAQueue(t *testing.T) {
	var ups, downs []sight
	for i := range 200 {
		at := float64(i) * 3e8
		noise := float64(i*7919%13) * 1e5
		ups = append(ups, sight{at, 25e6 + noise + at*40e-6 + 7e9})
		downs = append(downs, sight{at + 1e8, -(25e6 + noise) + at*40e-6 + 7e9})
	}
	k := readClock(ups, downs)
	if math.Abs(k.skew-40e-6) > 1e-6 || math.Abs(k.offset-7e9) > 1e6 {
		t.Errorf("skew %v, offset %v", k.skew, k.offset)
	}
	for i := range downs {
		downs[i].late = -25e6 + 7e9
	}
	if k := readClock(ups, downs); k.skew != 0 {
		t.Errorf("a queue is taken for skew: %v", k.skew)
	}
}

// What the network doubles, delays and changes is seen, and so is what a tap did
// not record.
func TestTwoCapturesShowCopiesOrderAndWhatTheTapLost(t *testing.T) {
	k := groundtruth(t)[1]
	a, b := readFile(t, k.dev), readFile(t, k.broker)
	find := func(frame uint64) int {
		return slices.IndexFunc(b.packets, func(p packet) bool { return p.key == a.packets[frame-1].key })
	}
	var data []uint64 // frames of the device
	for _, p := range a.packets {
		if p.payload > 100 && p.src == a.packets[0].src {
			data = append(data, p.frame)
		}
	}
	// One arrives twice, one changed, one is not recorded.
	copied := find(data[3])
	b.packets = slices.Insert(b.packets, copied+1, b.packets[copied])
	b.packets[copied+1].at += 1e6
	b.packets[find(data[5])].body ^= 8
	missed := find(data[7])
	b.packets = slices.Delete(b.packets, missed, missed+1)
	// One comes after the next one up.
	late := find(data[1])
	next := late + 1
	for b.packets[next].src != b.packets[late].src {
		next++
	}
	b.packets[late].at = b.packets[next].at + 2e6
	c, err := Pair(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Drops) != 0 {
		t.Errorf("nothing was lost: %v", c.Drops)
	}
	if len(c.Duplicates) != 1 || c.Duplicates[0].Frame != data[3] || len(c.Corrupted) != 1 || c.Corrupted[0].Frame != data[5] {
		t.Errorf("twice %v, changed %v", c.Duplicates, c.Corrupted)
	}
	if len(c.Reorders) != 1 || c.Reorders[0].Frame != data[1] || c.Reorders[0].By != 2*time.Millisecond {
		t.Errorf("behind %v", c.Reorders)
	}
	if !slices.ContainsFunc(c.Artefacts, func(a Artefact) bool { return a.Kind == "missing" && a.Count == 1 }) {
		t.Errorf("the tap's loss is not said: %v", c.Artefacts)
	}
}

// A capture that began late or ended early is not held against the link.
func TestWhatTheFarCaptureCannotHaveIsNoLoss(t *testing.T) {
	for _, k := range groundtruth(t) {
		a, b := readFile(t, k.dev), readFile(t, k.broker)
		n := len(b.packets)
		b.packets = b.packets[n/4 : n*3/4]
		from, to := b.packets[0].at, b.packets[len(b.packets)-1].at
		b.end = b.start + pcaps.Stamp(to)
		c, err := Pair(a, b)
		if err != nil {
			t.Fatal(err)
		}
		base := int64(b.start - a.start)
		for _, d := range c.Drops {
			if at := int64(d.At) - base; at < from-2e9 || at > to+2e9 {
				t.Errorf("%s: %v lies outside the far capture, %v to %v", k.name, d, from, to)
			}
		}
	}
}

// A NAT changes addresses and ports: the frames are known all the same.
func TestFramesAreKnownBehindANAT(t *testing.T) {
	k := groundtruth(t)[3]
	a, b := readFile(t, k.dev), readFile(t, k.broker)
	for i := range b.packets {
		b.packets[i].key ^= 0x5555
	}
	c, err := Pair(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(names(c.Drops), k.names()) {
		t.Errorf("lost\n got  %v\n want %v", names(c.Drops), k.names())
	}
}

// Two captures of different things are an error.
func TestCapturesWithNothingInCommonAreAnError(t *testing.T) {
	all := groundtruth(t)
	_, err := Pair(readFile(t, all[1].dev), readFile(t, all[3].broker))
	if err == nil || !strings.Contains(err.Error(), "no frame in common") {
		t.Errorf("%v", err)
	}
}

// Frames without any difference between them go to the one that was sent when it
// arrived.
func TestEqualFramesAreToldApartByTime(t *testing.T) {
	second := int64(time.Second)
	for what, c := range map[string]struct {
		sent, got []int64
		want      []int
	}{
		"the first is lost":            {[]int64{0, second, 2 * second}, []int64{second + 5e7, 2*second + 5e7}, []int{-1, 0, 1}},
		"the middle one is lost":       {[]int64{0, second, 2 * second}, []int64{5e7, 2*second + 5e7}, []int{0, -1, 1}},
		"all but the last":             {[]int64{0, second, 2 * second}, []int64{2*second + 5e7}, []int{-1, -1, 0}},
		"none":                         {[]int64{0, second}, []int64{5e7, second + 5e7}, []int{0, 1}},
		"an answer to nothing we know": {[]int64{second}, []int64{5e7, second + 5e7}, []int{1}},
	} {
		for _, solve := range []func(*bounds, []int64, []int64, []int, []bool){(*bounds).solve, (*bounds).greedy} {
			partner, taken := make([]int, len(c.sent)), make([]bool, len(c.got))
			for i := range partner {
				partner[i] = -1
			}
			solve(&bounds{low: 2e7, high: 2e8, known: []sight{{0, 5e7}}}, c.sent, c.got, partner, taken)
			if !slices.Equal(partner, c.want) {
				t.Errorf("%s: %v, want %v", what, partner, c.want)
			}
		}
	}
}

// The file that is written can be played, and has a line for each loss.
func TestWrittenConditionsAreATrace(t *testing.T) {
	for _, k := range groundtruth(t) {
		c, err := Pair(readFile(t, k.dev), readFile(t, k.broker))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := c.Write(&b); err != nil {
			t.Fatal(err)
		}
		trace, err := traces.ReadConditions(bytes.NewReader(b.Bytes()), "conditions.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		if trace.Events != bytes.Count(b.Bytes(), []byte(`{"event":`)) || trace.Events < len(c.Drops)+len(c.Delays) {
			t.Errorf("%d events", trace.Events)
		}
		if d := trace.Steps[0].Up.Delay + trace.Steps[0].Down.Delay; d < 50*time.Millisecond || d > 60*time.Millisecond {
			t.Errorf("%s: delay %v", k.name, d)
		}
		var drops int
		for line := range bytes.Lines(b.Bytes()) {
			var e struct {
				Event, Dir string
				Frame      uint64
				T          *float64
				Confidence *float64
			}
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatal(err)
			}
			if e.Event == "drop" {
				drops++
				if e.Dir == "" || e.Frame == 0 || e.T == nil || e.Confidence == nil {
					t.Errorf("%s", line)
				}
			}
		}
		if drops != len(k.drops) {
			t.Errorf("%d lines of losses, want %d", drops, len(k.drops))
		}
	}
}
