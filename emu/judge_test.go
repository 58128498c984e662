package emu_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/scenarios"
	"hilnet/trace"
)

// A run with samples has the trace and the captures of one without, and the
// lowest level in the samples is the pool's low-water mark.
func TestSamplesTouchNothing(t *testing.T) {
	sc, err := scenarios.Open("pool-starved")
	if err != nil {
		t.Fatal(err)
	}
	with, without := t.TempDir(), t.TempDir()
	result, err := emu.Run(t.Context(), sc, emu.Options{Out: with, Samples: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := emu.Run(t.Context(), sc, emu.Options{Out: without}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pool-starved.trace.jsonl", "pool-starved.device.pcapng", "pool-starved.peer.pcapng"} {
		a, err1 := os.ReadFile(filepath.Join(with, name))
		b, err2 := os.ReadFile(filepath.Join(without, name))
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs (%v, %v)", name, err1, err2)
		}
	}
	file, err := os.Open(filepath.Join(with, "pool-starved.samples.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := trace.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lowest, held, n := int64(1<<40), int64(0), 0
	for {
		e, err := r.Read()
		if err != nil {
			break
		}
		n++
		if v, ok := e.Value(emu.ValueLowest); ok {
			lowest = min(lowest, v)
		}
		if v, ok := e.Value(emu.ValueHeld); ok && strings.HasPrefix(e.Stage, "up/") {
			held = max(held, v)
		}
	}
	if want := int64(result.Outcome.Devices[0].Pool.MinFree); lowest != want || held < 5 || n < 100 {
		t.Errorf("%d samples, lowest level %d, want %d; at most %d frames in a stage", n, lowest, want, held)
	}
	if _, err := os.Stat(filepath.Join(without, "pool-starved.samples.jsonl")); err == nil {
		t.Error("samples that nobody asked for")
	}
	if _, err := emu.New(sc, emu.Options{Samples: true}); err == nil {
		t.Error("samples without a folder to put them in")
	}
}

// What a run came to is what its trace says, judged again.
func TestATraceIsJudgedAsItsRunWas(t *testing.T) {
	for _, name := range []string{"link-drop", "pool-starved", "two-devices"} {
		sc, err := scenarios.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		result, err := emu.Run(t.Context(), sc, emu.Options{Out: dir})
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, name+".trace.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := trace.NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		again, err := emu.Judge(sc, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := json.Marshal([]any{result.Verdict, result.Checks, result.Outcome, result.Events, result.Length})
		got, _ := json.Marshal([]any{again.Verdict, again.Checks, again.Outcome, again.Events, again.Length})
		if !bytes.Equal(got, want) {
			t.Errorf("%s: judged again:\n%s\nat once:\n%s", name, got, want)
		}
		half, err := trace.NewReader(bytes.NewReader(text[:len(text)/2]))
		if err != nil {
			t.Fatal(err)
		}
		if cut, err := emu.Judge(sc, half, nil); err == nil || cut == nil || cut.Verdict != emu.Interrupted || len(cut.Checks) > 0 {
			t.Errorf("%s: half a trace is %+v (%v)", name, cut, err)
		}
		other, _ := scenarios.Open("idle-sensor")
		whole, _ := trace.NewReader(bytes.NewReader(text))
		if _, err := emu.Judge(other, whole, nil); err == nil {
			t.Errorf("%s is judged by another scenario", name)
		}
	}
}
