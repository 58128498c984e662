package decisions_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"hilnet/link"
	"hilnet/link/decisions"
	"hilnet/sim"
	"hilnet/trace"
)

// An arrival is a frame that comes to a link.
type arrival struct {
	at sim.Time
	n  int
}

// rough is a direction with every stage that draws.
func rough() link.DirectionConfig {
	return link.DirectionConfig{
		Loss: 0.1, LossCorrelation: 0.3,
		Burst:      link.BurstConfig{GilbertElliott: &link.GilbertElliott{P: 0.05, R: 0.4, LossBad: 1}},
		Conditions: &link.ConditionsConfig{States: []link.Condition{{Dwell: 20 * time.Millisecond}, {Loss: 0.3, Delay: 7 * time.Millisecond, Dwell: 5 * time.Millisecond}}},
		Duplicate:  link.Chance{Probability: 0.1},
		Corrupt:    link.CorruptConfig{Chance: link.Chance{Probability: 0.1}},
		Shaper:     link.ShaperConfig{RateBitsPerSecond: 400_000, QueuePackets: 8},
		Delay:      10 * time.Millisecond,
		Jitter:     link.JitterConfig{Spread: 8 * time.Millisecond, Distribution: link.Normal(), Reorder: true},
		Reorder:    link.ReorderConfig{Chance: link.Chance{Probability: 0.1}},
	}
}

// A world is a link, with what left it upwards.
type world struct {
	loop *sim.Loop
	link *link.Link
	out  bytes.Buffer // of each frame: when, which, its bytes
	log  bytes.Buffer
	rec  *decisions.Recorder
	rep  *decisions.Replay
}

func newWorld(t testing.TB, pacer sim.Pacer, up link.DirectionConfig, follow *decisions.Log) *world {
	t.Helper()
	w := &world{loop: sim.NewLoop(sim.Config{Seed: 5, Pacer: pacer})}
	l, err := link.New(link.World{Loop: w.loop, Trace: trace.NewLog(w.loop.Now), IDs: new(link.IDs)}, link.Config{Name: "link", Up: up})
	if err != nil {
		t.Fatal(err)
	}
	w.link = l
	l.Connect(link.SinkFunc((*link.Frame).Release), link.SinkFunc(func(f *link.Frame) {
		fmt.Fprintf(&w.out, "%d %d %x\n", w.loop.Now(), f.Ordinal, f.Data)
		f.Release()
	}))
	if follow != nil {
		w.rep = follow.NewReplay(func(error) { w.loop.Stop() })
		if err := w.rep.Attach(l.Up.Direction); err != nil {
			t.Fatal(err)
		}
	}
	w.rec = decisions.NewRecorder(w.loop, &w.log, decisions.Header{Hilnet: "test", Scenario: "test", Seed: 5, Clock: "virtual", List: follow.HasList()},
		func(err error) { t.Error(err) })
	l.Up.AddDecider(w.rec)
	return w
}

func (w *world) put(n int) {
	f := link.NewFrame(n)
	for i := range f.Data {
		f.Data[i] = byte(n + i)
	}
	w.link.Up.Put(f)
}

// run sends the frames at their times in virtual time and returns the log.
func (w *world) run(t testing.TB, all []arrival) []byte {
	t.Helper()
	for _, a := range all {
		w.loop.At(a.at, func() { w.put(a.n) })
	}
	if err := w.loop.Run(sim.Time(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := w.rec.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.link.Check(); err != nil {
		t.Error(err)
	}
	return w.log.Bytes()
}

func steady(n int) []arrival {
	all := make([]arrival, n)
	for i := range all {
		all[i] = arrival{sim.Time(i) * sim.Time(1500*time.Microsecond), 60 + i%40}
	}
	return all
}

func read(t testing.TB, text []byte) *decisions.Log {
	t.Helper()
	l, err := decisions.Read("run.jsonl", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAReplayIsTheRunByteForByte(t *testing.T) {
	first := newWorld(t, nil, rough(), nil)
	log := first.run(t, steady(2000))
	for _, want := range []string{`"drop","verdict":"drop"`, `"reason":"queue_full"`, `"duplicate","verdict":"duplicate"`,
		`"corrupt","verdict":"corrupt"`, `"verdict":"delay"`, `"verdict":"reorder"`, `up/burst`, `up/conditions`, `"copy":1`} {
		if !bytes.Contains(log, []byte(want)) {
			t.Errorf("the run has no %s", want)
		}
	}
	second := newWorld(t, nil, rough(), read(t, log))
	if again := second.run(t, steady(2000)); !bytes.Equal(again, log) {
		t.Error("the replay has another log")
	}
	if err := second.rep.Finish(); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(first.out.Bytes(), second.out.Bytes()) {
		t.Error("other frames left the link")
	}
}

// The models of the second run would draw otherwise: it is the log that decides.
func TestTheLogDecidesAndNotTheModel(t *testing.T) {
	first := newWorld(t, nil, rough(), nil)
	log := first.run(t, steady(500))
	other := rough()
	other.Loss, other.LossCorrelation = 0.6, 0
	other.Burst.GilbertElliott = &link.GilbertElliott{P: 0.5, R: 0.1, LossBad: 0.9}
	other.Jitter.Spread = time.Millisecond
	second := newWorld(t, nil, other, read(t, log))
	second.run(t, steady(500))
	if err := second.rep.Finish(); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(first.out.Bytes(), second.out.Bytes()) {
		t.Error("other frames left the link")
	}
}

// A run in real time, with frames from another goroutine, has arrivals of its
// own. In virtual time the same arrivals have the same verdicts.
func TestArrivalsOfARealRunHaveItsVerdictsInVirtualTime(t *testing.T) {
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		t.Skip("no real clock here: ", err)
	}
	real := newWorld(t, pacer, rough(), nil)
	go func() {
		for i := range 120 {
			for !real.loop.Post(func() {
				real.put(60 + i%40)
				if i == 119 {
					real.loop.After(300*time.Millisecond, real.loop.Stop)
				}
			}) {
			}
			for began := time.Now(); time.Since(began) < time.Duration(i%5)*500*time.Microsecond; {
				_ = i
			}
		}
	}()
	if err := real.loop.StartPacer(); err != nil {
		t.Fatal(err)
	}
	if err := real.loop.Run(sim.Time(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := real.rec.Flush(); err != nil {
		t.Fatal(err)
	}
	log := bytes.Clone(real.log.Bytes())
	if err := real.loop.Close(); err != nil {
		t.Error(err)
	}

	all := read(t, log).Arrivals("link", "up")
	if len(all) != 120 {
		t.Fatalf("%d frames entered, want 120", len(all))
	}
	var same []arrival
	for _, a := range all {
		same = append(same, arrival{a.At, a.Len})
	}
	virtual := newWorld(t, nil, rough(), nil)
	if got := virtual.run(t, same); !bytes.Equal(got, log) {
		t.Errorf("other verdicts: %s", firstDifference(log, got))
	}
	if !bytes.Equal(real.out.Bytes(), virtual.out.Bytes()) {
		t.Error("other frames left the link, or at other times")
	}
}

func firstDifference(a, b []byte) string {
	x, y := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d: %s, then %s", i+1, x[i], y[i])
		}
	}
	return fmt.Sprintf("%d lines, then %d", len(x), len(y))
}

func TestAnEditedVerdictIsObeyed(t *testing.T) {
	first := newWorld(t, nil, link.DirectionConfig{Loss: 0.001}, nil)
	log := first.run(t, steady(10))
	edited := bytes.Replace(log, []byte(`"frame":7,"stage":"up/loss","draws":"drop","verdict":"pass"`),
		[]byte(`"frame":7,"stage":"up/loss","draws":"drop","verdict":"drop"`), 1)
	if bytes.Equal(edited, log) {
		t.Fatalf("no such line in %s", log)
	}
	second := newWorld(t, nil, link.DirectionConfig{Loss: 0.001}, read(t, edited))
	second.run(t, steady(10))
	if err := second.rep.Finish(); err != nil {
		t.Error(err)
	}
	if n := bytes.Count(second.out.Bytes(), []byte("\n")); n != 9 || bytes.Contains(second.out.Bytes(), []byte(" 7 ")) {
		t.Errorf("%d frames left, want all of 10 but the 7th:\n%s", n, &second.out)
	}
}

func TestARunThatGoesAnotherWayStops(t *testing.T) {
	cfg := link.DirectionConfig{Loss: 0.2, Shaper: link.ShaperConfig{RateBitsPerSecond: 200_000, QueuePackets: 4}}
	log := newWorld(t, nil, cfg, nil).run(t, steady(50))
	longer := steady(50)
	longer[20].n++
	noQueue, lossless, tiny := cfg, cfg, cfg
	noQueue.Shaper = link.ShaperConfig{}
	lossless = link.DirectionConfig{}
	tiny.Shaper.QueuePackets = 1
	for _, tt := range []struct {
		name string
		cfg  link.DirectionConfig
		all  []arrival
		want string
	}{
		{"a frame too many", cfg, steady(51), "the log ends with frame 50 of link up, and the run has sent another one"},
		{"a frame too few", cfg, steady(48), "the run has ended, but the log has 2 frames more of link up"},
		{"another length", cfg, longer, "frame 21 of link up has 80 bytes in the log and 81 in the run"},
		{"no loss", lossless, steady(50), "the log has a decision of stage up/loss that the run did not come to"},
		{"no queue", noQueue, steady(50), "the log has a decision of stage up/rate that the run did not come to"},
		{"a smaller queue", tiny, steady(50), "up/rate drops frame"},
		{"a new stage", func() link.DirectionConfig { c := cfg; c.Duplicate.Probability = 0.1; return c }(), steady(50), "up/duplicate draws for frame 1, of which the log has nothing"},
	} {
		w := newWorld(t, nil, tt.cfg, read(t, log))
		w.run(t, tt.all)
		err := w.rep.Finish()
		var m *decisions.Mismatch
		if !errors.As(err, &m) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want: %s", tt.name, err, tt.want)
		}
	}
}

func TestAListDropsWhatItNamesAndNothingElse(t *testing.T) {
	list := read(t, []byte("# the third and the fifth\n\n"+`{"link":"link","dir":"up","frame":5}`+"\n"+
		`{"link":"link","dir":"up","frame":3,"verdict":"drop"}`+"\n"+`{"link":"link","dir":"up","frame":99}`+"\n"+`{"link":"link","dir":"down","frame":1}`+"\n"))
	w := newWorld(t, nil, link.DirectionConfig{Loss: 0.01}, list)
	log := bytes.Clone(w.run(t, steady(6)))
	var left []string
	for line := range strings.Lines(w.out.String()) {
		left = append(left, strings.Fields(line)[1])
	}
	if got := strings.Join(left, " "); got != "1 2 4 6" {
		t.Errorf("frames %s left, want 1 2 4 6", got)
	}
	if got, want := w.rep.Unused(), []decisions.Drop{{Link: "link", Dir: "up", Frame: 99}, {Link: "link", Dir: "down", Frame: 1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("unused: %v, want %v", got, want)
	}
	if err := w.rep.Finish(); err != nil {
		t.Errorf("a list is not a log that a run must fit: %v", err)
	}
	// The log of that run drops them too.
	again := newWorld(t, nil, link.DirectionConfig{Loss: 0.01}, read(t, log))
	if got := again.run(t, steady(6)); !bytes.Equal(got, log) {
		t.Errorf("the log of a run with a list, followed: %s", firstDifference(log, got))
	}
	if err := again.rep.Finish(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsWrongInAFileHasAPlace(t *testing.T) {
	const header = `{"format":"hilnet-decisions","version":1,"hilnet":"x","scenario":"x","seed":1,"clock":"virtual"}` + "\n"
	const enter = `{"t":0,"link":"l","dir":"up","frame":1,"len":60,"verdict":"enter"}` + "\n"
	for _, tt := range []struct{ text, want string }{
		{"", "x:1:1: an empty file"},
		{`{"link":"l","dir":"up"}`, "x:1:1: a frame needs link, dir and frame"},
		{`{"link":"l","dir":"sideways","frame":1}`, `x:1:20: dir is "sideways", not up or down`},
		{`{"link":"l","dir":"up","frame":0}`, "x:1:1: there is no frame 0"},
		{"\n# words\n" + `{"link":"l","dir":"up","frame":"1"}`, "x:3:"},
		{`{"link":"l","dir":"up","frame":1,"colour":2}`, `unknown field "colour"`},
		{`{"link":"l","dir":"up","frame":1} {}`, "more than one JSON value on a line"},
		{enter, "a line of a decision log in a list of drops"},
		{`{"format":"other","version":1}`, `the format is "other"`},
		{`{"format":"hilnet-decisions","version":2}`, "version 2, this program reads version 1"},
		{header + strings.Replace(enter, `"frame":1`, `"frame":2`, 1), "x:2:1: frame 2 enters l up where frame 1 should"},
		{header + `{"t":0,"link":"l","dir":"up","frame":1,"stage":"up/loss","draws":"drop","verdict":"pass"}`, "a decision on frame 1 of l up, which has not entered"},
		{header + enter + `{"t":0,"link":"l","dir":"up","frame":1,"stage":"up/loss","draws":"drop","verdict":"duplicate"}`, "is not \"duplicate\""},
		{header + enter + `{"t":0,"link":"l","dir":"up","frame":1,"stage":"up/delay","draws":"delay","verdict":"delay","ns":-1}`, "a delay needs ns, from 0"},
		{header + enter + `{"t":0,"link":"l","dir":"up","frame":1,"stage":"up/loss","draws":"drop","verdict":"pass","draw":"g"}`, "not a hexadecimal number"},
		{strings.Repeat(" ", decisions.MaxLine+1), "a line of more than 4096 bytes"},
	} {
		_, err := decisions.Read("x", strings.NewReader(tt.text))
		var bad *decisions.ReadError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
}

func TestRecordingDoesNotAllocateForEachFrame(t *testing.T) {
	loop := sim.NewLoop(sim.Config{})
	l, err := link.New(link.World{Loop: loop, Trace: nil, IDs: new(link.IDs)}, link.Config{Name: "link", Up: link.DirectionConfig{Loss: 0.01}})
	if err != nil {
		t.Fatal(err)
	}
	l.Connect(link.SinkFunc((*link.Frame).Release), link.SinkFunc((*link.Frame).Release))
	one := func() {
		l.Up.Put(link.NewFrame(60))
		if err := loop.Run(loop.Now() + 1); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(200, one); n > 0 {
		t.Errorf("without a log: %v allocations a frame", n)
	}
	l.Up.AddDecider(decisions.NewRecorder(loop, io.Discard, decisions.Header{}, func(err error) { t.Error(err) }))
	if n := testing.AllocsPerRun(200, one); n > 8 {
		t.Errorf("with a log: %v allocations a frame", n)
	}
}

func FuzzRead(f *testing.F) {
	w := newWorld(f, nil, rough(), nil)
	log := w.run(f, steady(20))
	f.Add(log)
	f.Add([]byte(`{"link":"link","dir":"up","frame":5}` + "\n# x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := decisions.Read("x", bytes.NewReader(text))
		if err != nil {
			return
		}
		// Whatever it says, a run that follows it ends.
		w := newWorld(t, nil, rough(), l)
		for _, a := range steady(20) {
			w.loop.At(a.at, func() { w.put(a.n) })
		}
		_ = w.loop.Run(sim.Time(time.Hour))
		_ = w.rep.Finish()
		if err := w.link.Check(); err != nil {
			t.Error(err)
		}
	})
}
