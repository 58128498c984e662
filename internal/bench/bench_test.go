package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hilnet/internal/linktest"
)

// What the program prints is what docs/performance.md shows: the same rows with
// the same goals, in the same order. The numbers are those of the machine there.
func TestTheManualHasEveryRowOfTheTable(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	if missing := missingRows(string(page)); len(missing) > 0 {
		t.Errorf("docs/performance.md lacks, or has in another order, %q: run make bench", missing)
	}
}

// missingRows returns the rows that a page does not have behind the one before.
func missingRows(page string) []string {
	var missing []string
	for _, g := range groups {
		for _, r := range g.rows {
			_, rest, ok := strings.Cut(page, "\n| "+r.what+" ")
			line, _, _ := strings.Cut(rest, "\n")
			cells := strings.Split(line, "|")
			if !ok || len(cells) != 4 || strings.TrimSpace(cells[1]) == "" || strings.TrimSpace(cells[2]) != goalOf(r) {
				missing = append(missing, r.what)
				continue
			}
			page = "\n" + rest
		}
	}
	return missing
}

// Sabotage: a page without a row, with an empty figure or another goal is seen.
func TestAPageThatLacksARowIsSeen(t *testing.T) {
	full := table{rounds: 1}
	for _, g := range groups {
		for _, r := range g.rows {
			full.lines = append(full.lines, [3]string{r.what, "1", goalOf(r)})
		}
	}
	page := func() string {
		var b strings.Builder
		if err := full.write(&b); err != nil {
			t.Fatal(err)
		}
		return "# Performance\n\n" + b.String()
	}
	if missing := missingRows(page()); len(missing) != 0 {
		t.Errorf("the program's own table lacks %q", missing)
	}
	full.lines[2][1] = ""
	if missing := missingRows(page()); len(missing) != 1 || missing[0] != full.lines[2][0] {
		t.Errorf("an empty figure: missing %q", missing)
	}
	full.lines[2][1], full.lines[3][2] = "1", "another goal"
	if missing := missingRows(page()); len(missing) != 1 || missing[0] != full.lines[3][0] {
		t.Errorf("another goal: missing %q", missing)
	}
	full.lines = full.lines[1:]
	if missing := missingRows(page()); len(missing) != 2 {
		t.Errorf("a row less: missing %q", missing)
	}
}

func TestRowsShowMediansAndRatios(t *testing.T) {
	f := found{map[string][]sample{}, map[string]error{}}
	for _, ms := range []int{300, 100, 200, 9000, 150} {
		f.samples["own"] = append(f.samples["own"], sample{cpu: time.Duration(ms) * time.Millisecond, metrics: map[string]float64{"frames": 1000}})
		f.samples["peer"] = append(f.samples["peer"], sample{cpu: time.Duration(2*ms) * time.Millisecond, metrics: map[string]float64{"frames": 1000}})
	}
	if got, want := transfer("own", "peer")(f), "5,000 frames/s, 250.0 MB/s; 2.0 ×"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	delete(f.samples, "peer")
	f.absent["peer"] = &absent{"ns-3 is not installed", "install it"}
	if got, want := transfer("own", "peer")(f), "5,000 frames/s, 250.0 MB/s; ratio: not measured: ns-3 is not installed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := transfer("peer", "")(f), "not measured: ns-3 is not installed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestABenchmarksMetricsAreRead(t *testing.T) {
	m, err := readBenchmark("goos: linux\nBenchmarkBulk/gvisor-1460-2 \t 1\t2699818664 ns/op\t  18.52 MB/s\t     70134 frames\nPASS\n")
	if err != nil || m["frames"] != 70134 || m["MB/s"] != 18.52 {
		t.Errorf("%v, %v", m, err)
	}
	for _, bad := range []string{"PASS\n", "BenchmarkA 1 x ns/op\n", "BenchmarkA 1 1 ns/op\nBenchmarkB 1 1 ns/op\n"} {
		if m, err := readBenchmark(bad); err == nil || isAbsent(err) {
			t.Errorf("%q gives %v, %v", bad, m, err)
		}
	}
	_, err = readBenchmark("--- SKIP: BenchmarkX\n    doc.go:60: needs mosquitto: not there\nPASS\n")
	if !isAbsent(err) || !strings.Contains(err.Error(), "needs mosquitto") {
		t.Errorf("a skip gives %v", err)
	}
}

// The program of the peer is changed in one place only, and what it prints is
// the whole transfer or an error.
func TestThePeersProgramIsRead(t *testing.T) {
	const source = `b.SetAttribute("SendSize",UintegerValue(100)); x.SetAttribute("MaxBytes",UintegerValue(100));`
	if got, err := withWrites(source, 1460); err != nil || got != strings.Replace(source, "100", "1460", 1) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := withWrites(source+source, 1460); err == nil {
		t.Error("two sizes are not an error")
	}
	if m, err := readNS3("frames=76648 recv=50000000 events=280511\n"); err != nil || m["frames"] != 76648 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := readNS3("frames=76648 recv=49999999 events=280511\n"); err == nil {
		t.Error("half a transfer is not an error")
	}
}

func TestWithoutThePeersProgramTheMessageSaysWhatToDo(t *testing.T) {
	for _, data := range []string{"", t.TempDir()} {
		_, err := ns3Program(data)
		if !isAbsent(err) || !strings.Contains(err.Error(), "libns3-dev") {
			t.Errorf("HILNET_DATA=%q: %v", data, err)
		}
	}
}

// A program that is absent takes only its own rows; one that fails ends all.
func TestAMeasurementGoesOnWithoutAPeer(t *testing.T) {
	works := func(*workshop) (command, error) { return command{path: "true"}, nil }
	g := group{name: "g", programs: []program{
		{"own", works},
		{"peer", func(*workshop) (command, error) { return command{}, &absent{"peer is not here", "get it"} }},
	}}
	var progress bytes.Buffer
	f, err := g.measure(nil, 3, &progress)
	if err != nil || len(f.samples["own"]) != 3 || f.notMeasured("peer") != "not measured: peer is not here" {
		t.Errorf("%+v, %v", f, err)
	}
	if !strings.Contains(progress.String(), "get it") {
		t.Errorf("the message does not help: %q", progress.String())
	}
	g.programs[1].make = func(*workshop) (command, error) { return command{path: "false"}, nil }
	if _, err := g.measure(nil, 3, io.Discard); err == nil {
		t.Error("a program that fails is not an error")
	}
	broken := errors.New("broken")
	g.programs[1].make = func(*workshop) (command, error) { return command{}, broken }
	if _, err := g.measure(nil, 3, io.Discard); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestTheCommandLineIsChecked(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-only", "("}, {"x"}, {"-nonsense"}} {
		if code := run(args, io.Discard, io.Discard); code != 2 {
			t.Errorf("%q: exit %d", args, code)
		}
	}
	var out bytes.Buffer
	if code := run([]string{"-list"}, &out, io.Discard); code != 0 || strings.Count(out.String(), "\n") < 15 {
		t.Errorf("exit %d\n%s", code, &out)
	}
	if code := run([]string{"-only", "no such group"}, &out, io.Discard); code != 0 {
		t.Errorf("exit %d", code)
	}
}
