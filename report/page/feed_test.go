package page_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/report/page"
	"hilnet/scenarios"
	"hilnet/sim"
)

// watched runs a scenario with files and with a watch.
func watched(t *testing.T, what string) (*recorded, *scenarios.Scenario, []emu.Moment) {
	t.Helper()
	sc, err := scenarios.Open(what)
	if strings.Contains(what, "\n") {
		sc, err = scenarios.Load("mine.yaml", []byte(what))
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &recorded{dir: t.TempDir()}
	w, err := emu.New(sc, emu.Options{Out: r.dir, Samples: true})
	if err != nil {
		t.Fatal(err)
	}
	watch := w.Watch()
	if r.result, err = w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	moments, missed, more := watch.Take()
	if missed > 0 || more {
		t.Fatalf("%d moments were missed", missed)
	}
	return r, sc, moments
}

// lines are the frames and events of chunks, one a line.
func lines(chunks []page.Chunk) (frames, events []string) {
	var shared []string
	for _, c := range chunks {
		text := func(i int) string {
			if i == 0 {
				return ""
			}
			if c.Own {
				return c.Strings[i-1]
			}
			return shared[i-1]
		}
		shared = append(shared, c.Strings...)
		if f := c.Frames; f != nil {
			t, id := int64(0), int64(0)
			for i := range f.N {
				t += f.T[i]
				id += f.ID[i]
				frames = append(frames, fmt.Sprintf("%d +%d id %d lane %d flags %b len %d tcp %x pay %d labels %x %s|%s|%s at %d",
					t, f.D[i], id, f.Lane[i], f.Flags[i], f.Len[i], f.TCP[i], f.Pay[i], f.Labels[i], text(f.Info[i]), text(f.MQTT[i]), text(f.Why[i]), f.Place[i]))
			}
		}
		if e := c.Events; e != nil {
			t := int64(0)
			for i := range e.N {
				t += e.T[i]
				events = append(events, fmt.Sprintf("%d %s %s %s", t, text(e.Kind[i]), text(e.Node[i]), text(e.Text[i])))
			}
		}
	}
	slices.Sort(frames)
	return frames, events
}

// What a live page is told is what the page of the recording says: every frame
// with its fate, labels and messages, every event, every band.
func TestALivePageSaysWhatTheRecordingSays(t *testing.T) {
	for _, what := range []string{failing, "two-devices", "puback-lost", "power-cut", "bufferbloat"} {
		r, sc, moments := watched(t, what)
		feed, err := page.NewFeed(sc, "mine.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var chunks []page.Chunk
		take := func(last bool) {
			if c := feed.Take(last); c != nil {
				chunks = append(chunks, *c)
			}
		}
		for i := range moments {
			feed.Add(&moments[i])
			if i%97 == 0 {
				take(false)
			}
		}
		take(true)
		source := r.source()
		b, err := source.Read()
		if err != nil {
			t.Fatal(err)
		}
		whole := b.Take()
		gotFrames, gotEvents := lines(chunks)
		wantFrames, wantEvents := lines(whole)
		if len(wantFrames) < 40 || len(wantEvents) < 20 {
			t.Fatalf("%s: %d frames, %d events", sc.Name, len(wantFrames), len(wantEvents))
		}
		compareLines(t, sc.Name, gotFrames, wantFrames)
		compareLines(t, sc.Name, gotEvents, wantEvents)
		var bands []page.Band
		for _, c := range chunks {
			bands = append(bands, c.Bands...)
		}
		bands = append(bands, chunks[len(chunks)-1].Lasting...)
		want := whole[len(whole)-1].Bands
		byStart := func(a, b page.Band) int {
			return strings.Compare(fmt.Sprintf("%20d %s %s", a.From, a.Track, a.State), fmt.Sprintf("%20d %s %s", b.From, b.Track, b.State))
		}
		slices.SortFunc(bands, byStart)
		slices.SortFunc(want, byStart)
		if !slices.Equal(bands, want) {
			t.Errorf("%s: bands\n%+v\nthe recording has\n%+v", sc.Name, bands, want)
		}
	}
}

func compareLines(t *testing.T, name string, got, want []string) {
	t.Helper()
	bad := 0
	for i := range max(len(got), len(want)) {
		a, b := "-", "-"
		if i < len(got) {
			a = got[i]
		}
		if i < len(want) {
			b = want[i]
		}
		if a != b {
			t.Errorf("%s: live\n%s\nrecorded\n%s", name, a, b)
			if bad++; bad > 3 {
				return
			}
		}
	}
}

// However long a run goes on, what a feed remembers is bounded.
func TestAFeedForgetsWhatItHasTold(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	_, sc, moments := watched(t, failing)
	feed, err := page.NewFeed(sc, "mine.yaml")
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	length := moments[len(moments)-1].At
	var before uint64
	frames := 0
	const rounds = 75
	for k := range rounds { // the same again and again, later and with other numbers
		if k == rounds/3 {
			before = heap()
		}
		for i := range moments {
			m := moments[i]
			m.At += length * sim.Time(k)
			if m.Frame != nil {
				f := *m.Frame
				f.ID += uint64(k) << 32
				m.Frame = &f
			}
			if m.Event != nil {
				e := *m.Event
				e.T = m.At
				m.Event = &e
			}
			feed.Add(&m)
			if i%500 == 0 {
				if c := feed.Take(false); c != nil {
					if _, err := json.Marshal(c); err != nil {
						t.Fatal(err)
					}
					if c.Frames != nil {
						frames += c.Frames.N
					}
				}
			}
		}
	}
	if grown := int64(heap()) - int64(before); grown > 8<<20 || frames < 30_000 {
		t.Errorf("%d frames, and %d bytes more after two thirds of them", frames, grown)
	}
}
