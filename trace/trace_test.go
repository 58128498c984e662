package trace_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"hilnet/sim"
	"hilnet/trace"
)

func Example() {
	var now sim.Time
	log := trace.NewLog(func() sim.Time { return now })
	w, err := trace.NewWriter(os.Stdout, trace.Header{Hilnet: "1.0", Go: "go1.26", Scenario: "link-drop", Seed: 7, Clock: "virtual"})
	if err != nil {
		fmt.Println(err)
	}
	log.Subscribe(w.Write)
	now = 1500
	log.Emit(trace.Event{Kind: trace.KindDrop, Node: "link", Stage: "up/loss", Frame: 12, Reason: trace.DropLoss, Len: 66})
	if err := w.Flush(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"format":"hilnet-trace","version":1,"hilnet":"1.0","go":"go1.26","scenario":"link-drop","seed":7,"clock":"virtual"}
	// {"t":1500,"seq":1,"kind":"drop","node":"link","stage":"up/loss","frame":12,"reason":"loss","len":66}
}

// full has every field set, so that a field that the format forgets is noticed.
func full() trace.Event {
	return trace.Event{
		T: 1, Seq: 2, Kind: "k", Node: "n", Stage: "s", Frame: 3, Reason: "r", Client: "c", Topic: "a/b\x00\x7f\"\\é",
		QoS: 1, ID: 65535, Dup: true, Retain: true, Len: 4, Status: 0x10005, Hash: 1<<63 | 5, Count: -6, Text: "line\nline",
		Values: []trace.Value{{"z", 1}, {"a", -2}},
	}
}

func TestEveryFieldSurvivesTheFile(t *testing.T) {
	e := full()
	for i, v := 0, reflect.ValueOf(e); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("field %s is not covered by this test", v.Type().Field(i).Name)
		}
	}
	var file bytes.Buffer
	w, err := trace.NewWriter(&file, trace.Header{Seed: 9})
	if err != nil {
		t.Fatal(err)
	}
	w.Write(&e)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(file.String()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("line %d is not JSON: %s", i+1, line)
		}
	}
	r, err := trace.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	if r.Header().Seed != 9 {
		t.Errorf("header %+v", r.Header())
	}
	got, err := r.Read()
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v (%v), want %+v", got, err, e)
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestSubscribersSeeEventsInOrderStampedAndNumbered(t *testing.T) {
	now := sim.Time(5)
	log := trace.NewLog(func() sim.Time { return now })
	var seen []string
	for _, name := range []string{"a", "b"} {
		log.Subscribe(func(e *trace.Event) { seen = append(seen, fmt.Sprintf("%s%d@%d", name, e.Seq, e.T)) })
	}
	log.Emit(trace.Event{})
	now = 6
	log.Emit(trace.Event{})
	if got := strings.Join(seen, " "); got != "a1@5 b1@5 a2@6 b2@6" {
		t.Error(got)
	}
	var none *trace.Log
	none.Emit(trace.Event{}) // a nil log takes and forgets
	if log.Events() != 2 || none.Events() != 0 {
		t.Errorf("counted %d and %d events", log.Events(), none.Events())
	}
}

func TestFilesThatAreNoTracesAreRefusedWithTheLine(t *testing.T) {
	header := `{"format":"hilnet-trace","version":1}` + "\n"
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "empty file"},
		{"other JSON", "{}\n", "line 1: not a hilnet trace"},
		{"text", "hello\n", "line 1: not a hilnet trace"},
		{"newer", `{"format":"hilnet-trace","version":2}`, "version 2, this program reads version 1"},
		{"broken event", header + "{\"t\":", "line 2"},
		{"no kind", header + `{"t":1,"seq":1}`, "line 2: an event without kind"},
		{"bad hash", header + `{"t":1,"seq":1,"kind":"x","hash":"g"}`, "line 2: hash"},
		{"bad values", header + `{"t":1,"seq":1,"kind":"x","values":[1]}`, "line 2: values is not an object"},
		{"long line", header + strings.Repeat("x", trace.MaxLine+1), "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := trace.NewReader(strings.NewReader(c.file))
			if err == nil {
				_, err = r.Read()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestAFullDiskIsReportedOnceAndStays(t *testing.T) {
	w, err := trace.NewWriter(&fullDisk{room: 200}, trace.Header{})
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		e := full()
		w.Write(&e)
	}
	if err := w.Flush(); err == nil || w.Err() == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Flush: %v", err)
	}
}

func TestEveryDropReasonIsExplained(t *testing.T) {
	for _, e := range trace.Explanations() {
		if e.Text == "" || e.Source == "" {
			t.Errorf("%q lacks its text or source", e.Name)
		}
		if got, ok := trace.Explain(e.Name); !ok || got != e {
			t.Errorf("Explain(%q) = %v, %v", e.Name, got, ok)
		}
	}
	if _, ok := trace.Explain("nonsense"); ok {
		t.Error("nonsense is explained")
	}
}

func TestWritingDoesNotAllocate(t *testing.T) {
	w, err := trace.NewWriter(io.Discard, trace.Header{})
	if err != nil {
		t.Fatal(err)
	}
	e := full()
	for range 1000 {
		w.Write(&e)
	}
	if n := testing.AllocsPerRun(1000, func() { w.Write(&e) }); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func FuzzReader(f *testing.F) {
	header := `{"format":"hilnet-trace","version":1}` + "\n"
	e := full()
	f.Add(header + string(trace.AppendJSON(nil, &e)))
	f.Add("")
	f.Add(header + `{"kind":"x","values":{"a":1,"a":2}}`)
	f.Fuzz(func(t *testing.T, file string) {
		r, err := trace.NewReader(strings.NewReader(file))
		if err != nil {
			return
		}
		for {
			e, err := r.Read()
			if err != nil {
				return
			}
			again, err := trace.NewReader(strings.NewReader(header + string(trace.AppendJSON(nil, &e))))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := again.Read(); err != nil || !reflect.DeepEqual(got, e) {
				t.Fatalf("%+v became %+v (%v)", e, got, err)
			}
		}
	})
}
