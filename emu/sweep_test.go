package emu_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/mqtt"
	"hilnet/scenarios"
	"hilnet/sim"
)

const short = `version: 1
name: short
duration: 6s
devices:
  - {pool: {packets: 8}, steps: [connect, {every: {period: 500ms, count: 8, do: [{publish: {topic: t, payload: "{n}", qos: 1}}]}}]}
links: [{delay: 20ms, loss: 1%}]
broker: {}
expect: [lost == 0]
`

func sweepConfig(t *testing.T) emu.SweepConfig {
	t.Helper()
	return emu.SweepConfig{
		Scenario: scenario(t, short), Source: "short.yaml",
		Axes:  []emu.Axis{{Key: "pool.packets", Values: []string{"4", "16"}}, {Key: "link.loss", Values: []string{"0%", "30%"}}},
		Seeds: 5,
	}
}

// results returns the file of a sweep's results.
func results(t *testing.T, config emu.SweepConfig) []byte {
	t.Helper()
	sweep, err := emu.NewSweep(config)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w, err := emu.NewSweepWriter(&file, sweep.Header())
	if err != nil {
		t.Fatal(err)
	}
	if err := sweep.Run(t.Context(), w.Write); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func reader(t *testing.T, file []byte) *emu.SweepReader {
	t.Helper()
	r, err := emu.NewSweepReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// merge merges files and returns the file that emu merge would write.
func merge(t *testing.T, files ...[]byte) ([]byte, emu.Merged, error) {
	t.Helper()
	var readers []*emu.SweepReader
	for _, f := range files {
		readers = append(readers, reader(t, f))
	}
	var out bytes.Buffer
	header := readers[0].Header
	header.Shard = ""
	w, err := emu.NewSweepWriter(&out, header)
	if err != nil {
		t.Fatal(err)
	}
	m, err := emu.MergeSweep(readers, w.Write)
	if flush := w.Flush(); flush != nil {
		t.Fatal(flush)
	}
	return out.Bytes(), m, err
}

func TestAnAxisIsAListOfValuesAndRanges(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"pool.packets=4..8", "4 5 6 7 8"},
		{"pool.packets=4..16/4", "4 8 12 16"},
		{"pool.packets=4..15/4", "4 8 12"},
		{"link.loss=0,1%,5%", "0 1% 5%"},
		{"link.loss=0..2%/0.5%", "0% 0.5% 1% 1.5% 2%"},
		{"link.delay=100ms..300ms/100ms, 1s", "100ms 200ms 300ms 1s"},
		{"capture=[peer],[device,peer]", "[peer] [device,peer]"},
		{"profile=netx,linux", "netx linux"},
		{"pool.memory=", ""},
		{"speed=0.1..0.3/0.1", "0.1 0.2 0.3"},
	} {
		a, err := emu.ParseAxis(c.in)
		if got := strings.Join(a.Values, " "); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.in, got, err, c.want)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"x=8..4", "write 4..8"},
		{"x=1ms..2s", "different units"},
		{"x=1..5/0", "step above 0"},
		{"x=a..b", "not a number"},
		{"x=1..", "not a number"},
		{"x=1..2..3", "not a number"},
		{"x=0..1000000000", "more than 100000 values"},
		{"x=1..2/-1", "not a number"},
		{"x=1..0.5e9", "not a number"},
		{"x=4,5,4", "twice"},
		{"x", "KEY=VALUE"},
	} {
		if a, err := emu.ParseAxis(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %q", c.in, a, err, c.want)
		}
	}
}

// The results are the same bytes whoever does the work, in one piece, in two
// with a cut line between them, or in shards that are merged.
func TestResultsDoNotDependOnHowTheWorkIsDone(t *testing.T) {
	config := sweepConfig(t)
	config.Workers = 1
	want := results(t, config)
	if n := bytes.Count(want, []byte("\n")); n != 1+2*2*5 {
		t.Fatalf("%d lines", n)
	}
	config.Workers = 7
	if !bytes.Equal(results(t, config), want) {
		t.Error("seven workers give other results than one")
	}
	for _, cut := range []int{len(want) / 3, len(want) / 2, len(want) - 1, bytes.IndexByte(want, '\n') + 1, len(want)} {
		if got := resume(t, config, want[:cut]); !bytes.Equal(got, want) {
			t.Errorf("cut after %d bytes and resumed, the results differ", cut)
		}
	}
	for _, shards := range []int{2, 3, 20, 23} {
		config.Shards = shards
		var files [][]byte
		for config.Shard = 1; config.Shard <= shards; config.Shard++ {
			files = append(files, results(t, config))
		}
		slices.Reverse(files)
		got, m, err := merge(t, files...)
		if err != nil || !bytes.Equal(got, want) || m.Missing != 0 || m.Runs != 20 {
			t.Errorf("%d shards: %+v, %v, or other bytes", shards, m, err)
		}
	}
}

// resume continues a cut file.
func resume(t *testing.T, config emu.SweepConfig, file []byte) []byte {
	t.Helper()
	sweep, err := emu.NewSweep(config)
	if err != nil {
		t.Fatal(err)
	}
	r := reader(t, file)
	done, err := r.CheckResume(sweep.Header(), func(*emu.SweepRun) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	config.Skip = done
	if sweep, err = emu.NewSweep(config); err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(slices.Clone(file[:r.Good()]))
	w := emu.ContinueSweep(out)
	if err := sweep.Run(t.Context(), w.Write); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A run of a sweep is what emu run makes of the same values and seed.
func TestARunOfASweepIsTheRunThatItsCommandNames(t *testing.T) {
	config := sweepConfig(t)
	r := reader(t, results(t, config))
	for range 12 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	run, err := r.Next() // job 12: 16 packets, 0 % loss, seed 3
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Header.Command(run), "emu run short.yaml --set pool.packets=16 --set link.loss=0% --seed 3"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	sc, err := config.Scenario.With(scenarios.Set{Key: "pool.packets", Value: "16"}, scenarios.Set{Key: "link.loss", Value: "0%"})
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(3)
	result, err := emu.Run(t.Context(), sc, emu.Options{Seed: &seed})
	if err != nil {
		t.Fatal(err)
	}
	if run.Metrics.Published != 8 || run.Metrics.LatencyMax != result.Outcome.LatencyMax || run.Verdict != result.Verdict {
		t.Errorf("the sweep has %+v, the run %+v", run.Metrics, result.Outcome.Traffic)
	}
}

// Cancelled, a sweep has handed out a beginning without holes, and says so.
func TestACancelledSweepKeepsABeginningWithoutHoles(t *testing.T) {
	config := sweepConfig(t)
	config.Seeds, config.Workers = 200, 4
	sweep, err := emu.NewSweep(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var got []int64
	err = sweep.Run(ctx, func(r *emu.SweepRun) error {
		if got = append(got, r.Job); len(got) == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(got) < 10 || len(got) == 800 {
		t.Errorf("%v after %d runs", err, len(got))
	}
	for i, job := range got {
		if job != int64(i) {
			t.Fatalf("run %d came in place %d", job, i)
		}
	}
	stop := errors.New("disk full")
	if err := sweep.Run(t.Context(), func(*emu.SweepRun) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, want the error of each", err)
	}
}

// Two files with the same run must agree about it: if they do not, that is a
// bug, and the error says how to see it.
func TestARunWithTwoHashesIsADeterminismBug(t *testing.T) {
	file := results(t, sweepConfig(t))
	got, m, err := merge(t, file, file)
	if err != nil || m.Duplicates != 20 || !bytes.Equal(got, file) {
		t.Errorf("the same file twice: %+v, %v", m, err)
	}
	run, _ := reader(t, file).Next()
	other := bytes.Replace(file, []byte(run.Hash), []byte(strings.Repeat("0", len(run.Hash))), 1)
	_, _, err = merge(t, file, other)
	var bug *emu.DeterminismError
	if !errors.As(err, &bug) || bug.Command != "emu run short.yaml --set pool.packets=4 --set link.loss=0% --seed 1" {
		t.Errorf("%v", err)
	}

	// An application that does not do the same every time is found by Verify.
	config := sweepConfig(t)
	config.Scenario = scenario(t, "version: 1\nname: x\nduration: 2s\ndevices: [{app: moody}]\nbroker: {}\n")
	config.Axes, config.Verify, config.Workers = nil, 2, 1
	calls := 0
	config.Apps = map[string]emu.App{"moody": func(task *sim.Task, c *mqtt.Client) {
		calls++
		c.Publish("t", bytes.Repeat([]byte("x"), calls), false, 0, 0)
	}}
	sweep, err := emu.NewSweep(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := sweep.Run(t.Context(), func(*emu.SweepRun) error { return nil }); !errors.As(err, &bug) {
		t.Errorf("Verify: %v", err)
	}
}

// A run that panics is one result with its own verdict; the others go on.
func TestAPanicEndsOneRun(t *testing.T) {
	config := sweepConfig(t)
	config.Scenario = scenario(t, "version: 1\nname: x\nduration: 2s\ndevices: [{app: bad}]\nbroker: {}\n")
	config.Axes, config.Workers = nil, 1
	calls := 0
	config.Apps = map[string]emu.App{"bad": func(*sim.Task, *mqtt.Client) {
		if calls++; calls == 2 {
			panic("out of luck")
		}
	}}
	r := reader(t, results(t, config))
	var verdicts []emu.Verdict
	for {
		run, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		verdicts = append(verdicts, run.Verdict)
		if (run.Verdict == emu.VerdictInternal) != (run.Error != "") {
			t.Errorf("error %q", run.Error)
		}
	}
	if want := []emu.Verdict{emu.Pass, emu.VerdictInternal, emu.Pass, emu.Pass, emu.Pass}; !slices.Equal(verdicts, want) {
		t.Errorf("%v, want %v", verdicts, want)
	}
}

func TestASweepThatCannotBeIsRefusedAtOnce(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*emu.SweepConfig)
	}{
		{"between 1 and 65535", func(c *emu.SweepConfig) { c.Axes[0].Values = []string{"4", "5", "0"} }},
		{"did you mean", func(c *emu.SweepConfig) { c.Axes[1].Key = "link.lost" }},
		{"has no values", func(c *emu.SweepConfig) { c.Axes[1].Values = nil }},
		{"set twice", func(c *emu.SweepConfig) { c.Axes[1] = c.Axes[0] }},
		{"no part 4 of 3", func(c *emu.SweepConfig) { c.Shard, c.Shards = 4, 3 }},
		{"no part 0 of 3", func(c *emu.SweepConfig) { c.Shards = 3 }},
		{"negative", func(c *emu.SweepConfig) { c.Seeds = -1 }},
		{"more than there are", func(c *emu.SweepConfig) { last := uint64(math.MaxUint64); c.FirstSeed = &last }},
		{"virtual time", func(c *emu.SweepConfig) { c.Scenario.Clock = scenarios.Real }},
	} {
		config := sweepConfig(t)
		c.change(&config)
		if _, err := emu.NewSweep(config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// Files that do not belong together are told apart, and say why.
func TestResultsOfAnotherSweepAreRefused(t *testing.T) {
	config := sweepConfig(t)
	file := results(t, config)
	for _, c := range []struct {
		want   string
		change func(*emu.SweepConfig)
	}{
		{"other seeds", func(c *emu.SweepConfig) { c.Seeds = 6 }},
		{"other keys or values", func(c *emu.SweepConfig) { c.Axes[0].Values = []string{"5", "16"} }},
		{"two versions of the scenario", func(c *emu.SweepConfig) { c.Scenario.Duration++ }},
		{"shard", func(c *emu.SweepConfig) { c.Shard, c.Shards = 1, 2 }},
	} {
		config := sweepConfig(t)
		c.change(&config)
		sweep, err := emu.NewSweep(config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reader(t, file).CheckResume(sweep.Header(), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("resume: %v, want %q", err, c.want)
		}
	}
	config.Seeds = 6
	if _, _, err := merge(t, file, results(t, config)); err == nil || !strings.Contains(err.Error(), "file 2 is of another sweep than the first: other seeds") {
		t.Errorf("merge: %v", err)
	}
	lines := bytes.SplitAfter(file, []byte("\n"))
	twice := bytes.Join([][]byte{lines[0], bytes.TrimSpace(lines[1]), lines[2]}, nil)
	if _, _, err := merge(t, twice); err == nil || !strings.Contains(err.Error(), "line 2 is damaged") {
		t.Errorf("two results in a line: %v", err)
	}
	for beginning, cut := range map[string]bool{"": true, `{"form`: true, string(lines[0][:40]): true, "a note": false, `{"format":"other"`: false} {
		if _, err := emu.NewSweepReader(strings.NewReader(beginning)); errors.Is(err, emu.ErrCut) != cut || err == nil {
			t.Errorf("%q: %v; a header that was cut: %v", beginning, err, cut)
		}
	}
	hole := bytes.Join(slices.Delete(slices.Clone(lines), 3, 5), nil)
	if _, m, err := merge(t, hole); err != nil || m.Missing != 2 || m.FirstGap != 2 {
		t.Errorf("a hole: %+v, %v", m, err)
	}
	if _, m, err := merge(t, file[:len(file)-5]); err != nil || m.Missing != 1 || !slices.Equal(m.Cut, []int{0}) {
		t.Errorf("a cut line: %+v, %v", m, err)
	}
	lines[4], lines[5] = lines[5], lines[4]
	if _, _, err := merge(t, bytes.Join(lines, nil)); err == nil || !strings.Contains(err.Error(), "in their order") {
		t.Errorf("order: %v", err)
	}
}

// The numbers of a summary, by hand.
func TestASummaryHasTheTextbookIntervals(t *testing.T) {
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-4*math.Max(1, math.Abs(want)) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	w := emu.Wilson(8, 10) // Wilson's own: 0.4902 to 0.9433
	near("low", w.Low, 0.4902)
	near("high", w.High, 0.9433)
	w = emu.Wilson(20, 20) // the rule of three is near: 0.8389 to 1
	near("low", w.Low, 0.8389)
	near("high", w.High, 1)

	var rows []*emu.SweepRow
	h := emu.SweepHeader{Scenario: "x", Source: "x", Axes: []emu.Axis{{Key: "k", Values: []string{"1", "2"}}}, Seeds: 5, FirstSeed: 1, Jobs: 10}
	s := emu.NewSweepSummary(h, 1, func(r *emu.SweepRow) error { rows = append(rows, r); return nil })
	for i, lost := range []int{1, 2, 3, 4, 5, 7, 7, 7, 7, 7} {
		run := &emu.SweepRun{Job: int64(i), Seed: uint64(i%5 + 1), Values: []string{fmt.Sprint(1 + i/5)}, Verdict: emu.Pass}
		if run.Metrics.Lost = lost; lost > 3 {
			run.Verdict = emu.Fail
		}
		if lost == 2 {
			run.Metrics.Acknowledged, run.Metrics.LatencyP50 = 1, 100
		}
		if err := s.Add(run); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil || len(rows) != 2 {
		t.Fatalf("%v, %d rows", err, len(rows))
	}
	lost, _ := rows[0].Stat("lost")
	near("mean", lost.Mean, 3)
	near("low", lost.Low, 3-2.776445*math.Sqrt(2.5/5)) // t(0.975; 4) = 2.776445
	near("high", lost.High, 3+2.776445*math.Sqrt(2.5/5))
	if lost.Min != 1 || lost.Max != 5 || lost.N != 5 {
		t.Errorf("%+v", lost)
	}
	if p50, _ := rows[0].Stat("latency_p50"); p50.N != 1 || p50.Mean != 100 || p50.Low != 100 {
		t.Errorf("a latency of one run: %+v", p50)
	}
	if same, _ := rows[1].Stat("lost"); same.Low != 7 || same.High != 7 {
		t.Errorf("no spread: %+v", same)
	}
	if r := rows[0]; r.Passed != 3 || len(r.Failing) != 1 || r.Failing[0].Command != "emu run x --set k=1 --seed 4" {
		t.Errorf("%+v", r)
	}
	if s.Runs != 10 || s.Passed != 3 {
		t.Errorf("%+v", s)
	}
}

// A sweep keeps every number of MQTT traffic that expectations know, under the
// same name.
func TestMetricsHaveTheNumbersOfAnOutcome(t *testing.T) {
	names := map[string]bool{}
	for _, m := range emu.AllMetrics() {
		names[m.Name] = true
	}
	traffic, metrics := reflect.TypeFor[scenarios.Traffic](), reflect.TypeFor[emu.Metrics]()
	for i := range traffic.NumField() {
		if name := traffic.Field(i).Tag.Get("expr"); !names[name] {
			t.Errorf("a sweep does not keep %s", name)
		}
	}
	for i := range metrics.NumField() {
		if name := metrics.Field(i).Tag.Get("json"); !names[name] {
			t.Errorf("%s has no place in the summary", name)
		}
	}
	if len(names) != metrics.NumField() {
		t.Errorf("%d metrics, %d fields", len(names), metrics.NumField())
	}
}

// FuzzSweepReader reads any bytes without panic, and writes back what it read.
func FuzzSweepReader(f *testing.F) {
	f.Add([]byte(`{"format":"hilnet-sweep/1","axes":[{"key":"a","values":["1"]}],"seeds":2,"jobs":2}` + "\n" + `{"job":0,"values":["1"],"verdict":"pass"}` + "\n"))
	f.Add([]byte("{}\n{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := emu.NewSweepReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		for {
			run, err := r.Next()
			if err != nil {
				return
			}
			if run.Job < 0 || run.Job >= r.Header.Jobs || len(run.Values) != len(r.Header.Axes) {
				t.Fatalf("%+v", run)
			}
			r.Header.Command(run)
		}
	})
}

// Example of a sweep over the size of a packet pool.
func ExampleNewSweep() {
	sc, err := scenarios.Open("link-drop")
	if err != nil {
		fmt.Println(err)
		return
	}
	packets, err := emu.ParseAxis("pool.packets=16,32")
	if err != nil {
		fmt.Println(err)
		return
	}
	sweep, err := emu.NewSweep(emu.SweepConfig{Scenario: sc, Axes: []emu.Axis{packets}, Seeds: 5})
	if err != nil {
		fmt.Println(err)
		return
	}
	summary := emu.NewSweepSummary(sweep.Header(), 0, func(r *emu.SweepRow) error {
		fmt.Printf("%s packets: %d of %d pass\n", r.Values[0], r.Passed, r.Runs)
		return nil
	})
	if err := errors.Join(sweep.Run(context.Background(), summary.Add), summary.Close()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 16 packets: 0 of 5 pass
	// 32 packets: 5 of 5 pass
}
