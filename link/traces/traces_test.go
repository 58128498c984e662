package traces_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/link/traces"
	"hilnet/sim"
	"hilnet/trace"
)

// Reading list: mahimahi link_queue.cc; the vectors were computed by hand from
// its rules.

type world struct {
	t     testing.TB
	loop  *sim.Loop
	link  *link.Link
	left  []string
	drops []trace.Event
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, loop: sim.NewLoop(sim.Config{Seed: 1})}
	log := trace.NewLog(w.loop.Now)
	log.Subscribe(func(e *trace.Event) {
		if e.Kind == trace.KindDrop {
			w.drops = append(w.drops, *e)
		}
	})
	l, err := link.New(link.World{Loop: w.loop, Trace: log, IDs: new(link.IDs)}, link.Config{Name: "link"})
	if err != nil {
		t.Fatal(err)
	}
	l.Connect(link.SinkFunc((*link.Frame).Release), link.SinkFunc(func(f *link.Frame) {
		w.left = append(w.left, fmt.Sprintf("%d@%d", f.Ordinal, w.loop.Now()/1e6))
		f.Release()
	}))
	w.link = l
	return w
}

// send sends IP packets of these lengths at a moment.
func (w *world) send(at time.Duration, lengths ...int) {
	w.loop.At(sim.Time(at), func() {
		for _, n := range lengths {
			w.link.Up.Put(link.NewFrame(14 + n))
		}
	})
}

func (w *world) run(until time.Duration) {
	w.t.Helper()
	if err := w.loop.Run(sim.Time(until)); err != nil {
		w.t.Fatal(err)
	}
	if err := w.link.Check(); err != nil {
		w.t.Error(err)
	}
}

func opportunities(t testing.TB, text string) *traces.Opportunities {
	t.Helper()
	o, err := traces.ReadOpportunities(strings.NewReader(strings.ReplaceAll(text, " ", "\n")), "t")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func ExampleDeliver() {
	loop := sim.NewLoop(sim.Config{Seed: 1})
	l, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{Name: "link"})
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := traces.Load("nyc-4g-subway")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := traces.Deliver(l.Down.Direction, t.Opportunities, traces.DeliverConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	l.Connect(link.SinkFunc(func(f *link.Frame) {
		fmt.Println(loop.Now())
		f.Release()
	}), nil)
	l.Down.Put(link.NewFrame(1514))
	if err := loop.Run(1e9); err != nil {
		fmt.Println(err)
	}
	// Output: 0.003000000s
}

func TestOpportunitiesDeliverAsMahimahi(t *testing.T) {
	for _, v := range []struct {
		name, trace string
		arrivals    map[time.Duration][]int
		want        []string
	}{
		{"shared and split", "0 4 4 10", map[time.Duration][]int{1: {1504, 700, 900}, 10: {100}}, []string{"1@4", "2@4", "3@10", "4@14"}},
		{"a packet a millisecond", "1", map[time.Duration][]int{0: {1504, 1504, 40}}, []string{"1@1", "2@2", "3@3"}},
		{"one packet over three", "5 6 7", map[time.Duration][]int{0: {1000, 1504, 1504}}, []string{"1@5", "2@6", "3@7"}},
		{"one that is gone", "3 9", map[time.Duration][]int{3: {40}}, []string{"1@9"}},
		{"after a long rest", "2 7", map[time.Duration][]int{7_000_001: {40, 1500}, 7_000_002: {40}}, []string{"1@7000002", "2@7000007", "3@7000007"}}, // rounds of 7 ms: 7,000,000 ms begins one
		{"the end is the beginning", "0 10", map[time.Duration][]int{5: {1504, 1504, 1504}}, []string{"1@10", "2@10", "3@20"}},
	} {
		w := newWorld(t)
		if _, err := traces.Deliver(w.link.Up.Direction, opportunities(t, v.trace), traces.DeliverConfig{}); err != nil {
			t.Fatal(err)
		}
		for at, lengths := range v.arrivals {
			w.send(at*time.Millisecond, lengths...)
		}
		w.run(3 * time.Hour)
		if !slices.Equal(w.left, v.want) {
			t.Errorf("%s: %v, want %v", v.name, w.left, v.want)
		}
	}
}

func TestATraceThatIsPlayedOnceEnds(t *testing.T) {
	w := newWorld(t)
	if _, err := traces.Deliver(w.link.Up.Direction, opportunities(t, "1 2"), traces.DeliverConfig{Once: true}); err != nil {
		t.Fatal(err)
	}
	w.send(0, 1504, 1504, 1504, 40)
	w.send(5*time.Millisecond, 40)
	w.run(time.Second)
	if !slices.Equal(w.left, []string{"1@1", "2@2"}) || len(w.drops) != 3 {
		t.Errorf("%v, %d drops", w.left, len(w.drops))
	}
	for _, e := range w.drops {
		if e.Reason != traces.DropTraceEnded {
			t.Errorf("%+v", e)
		}
	}
	if _, ok := trace.Explain(string(traces.DropTraceEnded)); !ok {
		t.Error("nobody can explain the reason")
	}
}

func TestQueuesOfATraceHaveLimits(t *testing.T) {
	for _, v := range []struct {
		name string
		cfg  traces.DeliverConfig
		want []string
	}{
		{"tail", traces.DeliverConfig{QueuePackets: 2}, []string{"1@5", "2@5"}},
		{"head", traces.DeliverConfig{QueuePackets: 2, DropHead: true}, []string{"3@5", "4@5"}},
		{"bytes", traces.DeliverConfig{QueueBytes: 1000}, []string{"1@5", "2@5"}},
		{"bytes, head", traces.DeliverConfig{QueueBytes: 1000, DropHead: true}, []string{"3@5", "4@5"}},
	} {
		w := newWorld(t)
		if _, err := traces.Deliver(w.link.Up.Direction, opportunities(t, "5"), v.cfg); err != nil {
			t.Fatal(err)
		}
		w.send(0, 500, 500, 500, 500, 1505)
		w.run(time.Second)
		if !slices.Equal(w.left, v.want) || len(w.drops) != 3 || w.drops[2].Reason != trace.DropTooLong || w.drops[0].Reason != trace.DropQueueFull {
			t.Errorf("%s: %v, %+v", v.name, w.left, w.drops)
		}
	}
	w := newWorld(t)
	if _, err := traces.Deliver(w.link.Up.Direction, opportunities(t, "5"), traces.DeliverConfig{QueueBytes: -1}); err == nil {
		t.Error("a negative queue passes")
	}
}

func TestBrokenTracesAreRefusedWithTheirPlace(t *testing.T) {
	for _, v := range []struct{ text, want string }{
		{"", "f: the trace is empty"}, {"0", "f: the last line must be above 0"}, {"1\n\n2", "f:2: an empty line"},
		{"5\n3", "f:2: 3 ms comes after 5 ms"}, {"1\nx", `f:2: "x" is not a number`}, {"-1", `f:1: "-1"`}, {"1.5", `f:1: "1.5"`},
		{"4294967296", "f:1: 4294967296 ms is beyond 49 days"}, {"99999999999999999999", "is not a number"}, {strings.Repeat("1", 10000), "f:1: "},
	} {
		_, err := traces.ReadOpportunities(strings.NewReader(v.text), "f")
		if err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%.20q: %v, want %q", v.text, err, v.want)
		}
	}
	head := `{"format":"hilnet-conditions","version":1,"duration_ms":100}` + "\n"
	for _, v := range []struct{ text, want string }{
		{"", "f: no conditions"}, {head, "f: no conditions"}, {"{}", `f:1: format ""`}, {`{"format":"hilnet-conditions","version":2}`, "version 2"},
		{`{"format":"hilnet-conditions","version":1}`, "duration_ms is 0"}, {"nonsense", "f:1: not a line"},
		{head + `{"t_ms":1}`, "f:2: t_ms of the first line is not 0"}, {head + `{}`, "f:2: t_ms is missing"},
		{head + "{\"t_ms\":0}\n{\"t_ms\":5}\n{\"t_ms\":4}", "f:4: t_ms goes back"}, {head + "{\"t_ms\":0}\n{\"t_ms\":100}", "f:3: t_ms is not before the duration"},
		{head + `{"t_ms":-1}`, "f:2: t_ms -1 is not between"}, {head + `{"t_ms":1e30}`, "f:2: t_ms 1e+30"}, {head + `{"t_ms":0,"loss":1.5}`, "f:2: loss 1.5"},
		{head + `{"t_ms":0,"rate_bps":9999999999999999}`, "more than 1 Tbit/s"}, {head + `{"t_ms":0,"delay_ms":9999999}`, "delay_ms"},
		{head + `{"t_ms":0,"dir":"left"}`, `dir "left"`}, {head + `{"t_ms":0,"frob":1}`, "frob"}, {head + `{"t_ms":0}{"t_ms":1}`, "more than one"},
		{head + `{"t_ms":0,"dir":"` + strings.Repeat("x", 100000) + `"}`, "f:2: "},
	} {
		_, err := traces.ReadConditions(strings.NewReader(v.text), "f")
		if err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%.90q: %v, want %q", v.text, err, v.want)
		}
	}
	for _, v := range []struct{ text, want string }{
		{"", "f: no rows"}, {"a,b", "f:1: "}, {"i,lat,thru,gap,loss\n1,2", "f:2: 2 cells"}, {"# c\ni,lat,thru,gap,loss\n0,x,1,1,1", `f:3: "x"`},
		{"i,lat,thru,gap,loss\n0,1,1,1,101", "between 0 and 100"}, {"i,lat,thru,gap,loss\n0,-1,1,1,1", `"-1"`}, {"i,lat,thru,gap,loss\n0,NaN,1,1,1", `"NaN"`},
	} {
		_, err := traces.ReadAkamai(strings.NewReader(v.text), "f")
		if err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%.90q: %v, want %q", v.text, err, v.want)
		}
	}
}

// What the sources say of the traces, and every trace has its licence beside it.
func TestTheLibraryIsWhatItsSourcesSay(t *testing.T) {
	for _, v := range []struct {
		name string
		n    int
		mbit float64 // at 1500 bytes a line
		gap  time.Duration
	}{
		{"nyc-4g-timessquare", 89940, 8.99, 113 * time.Millisecond},
		{"nyc-4g-subway", 66504, 6.65, 310 * time.Millisecond},
	} {
		tr, err := traces.Load(v.name)
		if err != nil {
			t.Fatal(err)
		}
		o := tr.Opportunities
		mbit := o.BitsPerSecond() * 1500 / traces.OpportunityBytes / 1e6
		if o.Len() != v.n || math.Abs(mbit-v.mbit) > 0.006 || o.LongestGap() != v.gap {
			t.Errorf("%s: %d lines, %.3f Mbit/s, gap %v", v.name, o.Len(), mbit, o.LongestGap())
		}
	}
	entries := traces.Library()
	if len(entries) != 11 {
		t.Errorf("%d traces", len(entries))
	}
	for _, e := range entries {
		tr, err := traces.Load(e.Name)
		if err != nil || (tr.Opportunities == nil) == (tr.Conditions == nil) {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		if c := tr.Conditions; c != nil && (len(c.Steps) != 200 || c.Duration != 14*time.Second) {
			t.Errorf("%s: %d steps, %v", e.Name, len(c.Steps), c.Duration)
		}
		if e.Licence == "" || e.Source == "" || e.Summary == "" {
			t.Errorf("%+v", e)
		}
	}
	folders, err := os.ReadDir("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		if _, err := os.Stat(filepath.Join("data", f.Name(), "LICENSE")); err != nil {
			t.Error(err)
		}
	}
	if _, err := traces.Load("nothing"); err == nil || !strings.Contains(err.Error(), "nyc-4g-subway") {
		t.Error(err)
	}
}

// The first rows of the class "good" by experience: half the round trip each
// way, and a loss when the gap of 0.14 s, two steps, is over.
func TestAkamaisClassesAreWhatItsScriptDoes(t *testing.T) {
	c, err := traces.ReadAkamai(strings.NewReader("# x\ni,lat,thru,gap,loss\n0,20,100,0.14,5\n1,30,200,0.07,10\n2,40,300,0.14,20\n3,50,400,9,30\n4,60,0.1,9,40\n"), "f")
	if err != nil {
		t.Fatal(err)
	}
	// Step 2: two steps since the beginning, so the first loss, and the gap of row
	// 2; step 4: two steps since step 2, the second loss.
	want := []traces.Way{
		{10 * time.Millisecond, 100000, 0}, {15 * time.Millisecond, 200000, 0}, {20 * time.Millisecond, 300000, 0.05},
		{25 * time.Millisecond, 400000, 0}, {30 * time.Millisecond, 100, 0.1},
	}
	for i, s := range c.Steps {
		if s.Up != want[i] || s.Down != want[i] || s.At != time.Duration(i)*70*time.Millisecond {
			t.Errorf("step %d: %+v, want %+v", i, s, want[i])
		}
	}
	noloss, err := traces.Load("akamai-experience-noloss")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range noloss.Conditions.Steps {
		if s.Up.Loss != 0 {
			t.Errorf("noloss, step %d: loss %v", i, s.Up.Loss)
		}
	}
}

const twoSteps = `{"format":"hilnet-conditions","version":1,"name":"n","source":"s","duration_ms":100}
{"t_ms":0,"delay_ms":10,"rate_bps":1000000,"loss":0}
{"t_ms":40,"dir":"up","delay_ms":30}
{"t_ms":40,"dir":"down","loss":1}
`

func TestConditionsPlayOnALink(t *testing.T) {
	c, err := traces.ReadConditions(strings.NewReader(twoSteps), "f")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	down := 0
	w.link.Connect(link.SinkFunc(func(f *link.Frame) { down++; f.Release() }), link.SinkFunc(func(f *link.Frame) {
		w.left = append(w.left, fmt.Sprintf("%d@%.1f", f.Ordinal, float64(w.loop.Now())/1e6))
		f.Release()
	}))
	p, err := traces.Play(w.loop, w.link, c, traces.PlayConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Duration{5, 45, 105, 145, 205} {
		w.send(at*time.Millisecond, 111) // 125 B: 1 ms
		w.loop.At(sim.Time(at)*1e6, func() { w.link.Down.Put(link.NewFrame(60)) })
	}
	w.run(300 * time.Millisecond)
	if want := []string{"1@16.0", "2@76.0", "3@116.0", "4@176.0", "5@216.0"}; !slices.Equal(w.left, want) || down != 3 {
		t.Errorf("%v, want %v; %d down", w.left, want, down)
	}
	p.Stop()

	w = newWorld(t)
	if _, err := traces.Play(w.loop, w.link, c, traces.PlayConfig{Start: 50 * time.Millisecond, Once: true}); err != nil {
		t.Fatal(err)
	}
	w.send(200*time.Millisecond, 111)
	w.run(time.Second)
	if want := []string{"1@231"}; !slices.Equal(w.left, want) {
		t.Errorf("once: %v, want %v", w.left, want)
	}
	for _, bad := range []traces.PlayConfig{{Start: -1}, {Start: 100 * time.Millisecond}} {
		if _, err := traces.Play(w.loop, w.link, c, bad); err == nil {
			t.Errorf("%+v passes", bad)
		}
	}
	for _, bad := range []*traces.Conditions{{}, {Duration: 1, Steps: []traces.Step{{At: 0}, {At: 5}}}, {Duration: 9, Steps: []traces.Step{{}, {At: 5}, {At: 2}}},
		{Duration: 9, Steps: []traces.Step{{Up: traces.Way{Loss: 2}}}}} {
		if _, err := traces.Play(w.loop, w.link, bad, traces.PlayConfig{}); err == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}

func TestADeliveryAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	w.link.Connect(nil, link.SinkFunc((*link.Frame).Release))
	if _, err := traces.Deliver(w.link.Up.Direction, opportunities(t, "1"), traces.DeliverConfig{}); err != nil {
		t.Fatal(err)
	}
	step := func() {
		for range 100 {
			w.link.Up.Put(link.NewFrame(200))
		}
		if err := w.loop.Run(w.loop.Now() + 100e6); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if n := testing.AllocsPerRun(20, step); n > 3 {
		t.Errorf("%.1f allocations for 100 packets", n)
	}
}

func FuzzReadOpportunities(f *testing.F) {
	f.Add([]byte("0\n4\n4\n10\n"))
	f.Add([]byte("5\n3"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := traces.ReadOpportunities(bytes.NewReader(text), "f")
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := o.Write(&b); err != nil {
			t.Fatal(err)
		}
		if again, err := traces.ReadOpportunities(&b, "f"); err != nil || !reflect.DeepEqual(o, again) {
			t.Errorf("%v, %v: %v", o, again, err)
		}
		w := newWorld(t)
		if _, err := traces.Deliver(w.link.Up.Direction, o, traces.DeliverConfig{}); err != nil {
			t.Fatal(err)
		}
		w.send(0, 40, 1504, 1000)
		w.send(time.Second, 1504)
		w.run(2 * time.Second)
	})
}

func FuzzReadConditions(f *testing.F) {
	f.Add([]byte(twoSteps))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := traces.ReadConditions(bytes.NewReader(text), "f")
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := c.Write(&b); err != nil {
			t.Fatal(err)
		}
		if again, err := traces.ReadConditions(&b, "f"); err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%+v, %+v: %v", c, again, err)
		}
		w := newWorld(t)
		if _, err := traces.Play(w.loop, w.link, c, traces.PlayConfig{}); err != nil {
			t.Error(err)
		}
	})
}

func FuzzReadAkamai(f *testing.F) {
	f.Add([]byte("i,lat,thru,gap,loss\n0,20,100,0.14,5\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := traces.ReadAkamai(bytes.NewReader(text), "f")
		if err != nil {
			return
		}
		w := newWorld(t)
		if _, err := traces.Play(w.loop, w.link, c, traces.PlayConfig{}); err != nil {
			t.Error(err)
		}
	})
}

// The example of the page is a file that can be read.
func TestTheExampleOfThePageIsRead(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "traces.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```\n{")
	example, _, _ := strings.Cut(rest, "```")
	c, err := traces.ReadConditions(strings.NewReader("{"+example), "traces.md")
	if err != nil || len(c.Steps) != 4 || c.Steps[1].Up.RateBitsPerSecond != 64000 || c.Steps[1].Down.RateBitsPerSecond != 1000000 {
		t.Errorf("%+v, %v", c, err)
	}
}
