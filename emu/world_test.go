package emu

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hilnet/scenarios"
	"hilnet/trace"
)

// open opens a scenario of the library.
func open(t testing.TB, name string) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// load reads a scenario from its text.
func load(t testing.TB, text string) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.Load("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// A recording is a run with the files it wrote.
type recording struct {
	*Result
	dir    string
	events []trace.Event
}

// record runs a scenario to its end with files in a folder of its own.
func record(t testing.TB, sc *scenarios.Scenario, opt Options) *recording {
	t.Helper()
	opt.Out = t.TempDir()
	result, err := Run(t.Context(), sc, opt)
	if err != nil {
		t.Fatal(err)
	}
	return &recording{result, opt.Out, readTrace(t, filepath.Join(opt.Out, sc.Name+".trace.jsonl"))}
}

// capture returns the path of the capture at a point.
func (r *recording) capture(p scenarios.Point) string {
	return filepath.Join(r.dir, r.Scenario+"."+string(p)+".pcapng")
}

// readTrace reads a trace file to a clean end.
func readTrace(t testing.TB, path string) []trace.Event {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := trace.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []trace.Event
	for {
		e, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, e)
	}
}

// events runs a scenario without files and returns its trace.
func events(t testing.TB, sc *scenarios.Scenario, opt Options) []byte {
	t.Helper()
	w, err := New(sc, opt)
	if err != nil {
		t.Fatal(err)
	}
	o := w.Observe(1 << 14)
	if _, err := w.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if o.Dropped() > 0 {
		t.Fatalf("the observation lost %d events", o.Dropped())
	}
	var b []byte
	for e := range o.Events() {
		b = append(trace.AppendJSON(b, &e), '\n')
	}
	return b
}

// sums returns the sha256 of each file in a folder, by name.
func sums(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return all
}

// same reports whether two folders hold the same files, byte for byte.
func same(t testing.TB, a, b string) bool {
	t.Helper()
	return maps.Equal(sums(t, a), sums(t, b))
}

// count counts the events of a kind for which all of where hold.
func (r *recording) count(kind trace.Kind, where ...func(*trace.Event) bool) int {
	n := 0
	for i := range r.events {
		e := &r.events[i]
		if e.Kind == kind && !slices.ContainsFunc(where, func(fn func(*trace.Event) bool) bool { return !fn(e) }) {
			n++
		}
	}
	return n
}

func seedOf(n uint64) *uint64 { return &n }

// firstDifference returns the first line in which two texts differ.
func firstDifference(a, b []byte) string {
	left, right := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(left), len(right)) {
		if !bytes.Equal(left[i], right[i]) {
			return fmt.Sprintf("line %d:\n%s\n%s", i+1, left[i], right[i])
		}
	}
	return fmt.Sprintf("%d and %d lines", len(left), len(right))
}
