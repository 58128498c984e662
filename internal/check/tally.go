package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A tally counts what go test -json says. Tests are counted by their function;
// a skip counts wherever it happens, a subtest's too.
type tally struct {
	passed, failed, skipped int
	skips                   []string // "package Test: reason"
	failedIn                map[string]bool
}

// event is a line of go test -json, see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
}

// maxOutput is how much of a test's output is kept for the case that it fails.
const maxOutput = 1 << 20

// maxLine is the longest line of JSON: go test cuts output into lines, so only a
// test that prints megabytes without a newline exceeds it.
const maxLine = 16 << 20

// read counts until the end of in, and writes to out one line for each package
// and everything that a failed test printed.
func (t *tally) read(in io.Reader, out io.Writer) error {
	t.failedIn = map[string]bool{}
	printed := map[string]*strings.Builder{} // by package and test
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintf(out, "%s\n", lines.Bytes()) // not from a test
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output":
			b := printed[key]
			if b == nil {
				b = &strings.Builder{}
				printed[key] = b
			}
			if b.Len() < maxOutput {
				b.WriteString(e.Output)
			}
			continue
		case "build-output":
			fmt.Fprint(out, e.Output)
			continue
		case "pass", "fail", "skip":
			text := ""
			if b := printed[key]; b != nil {
				text = b.String()
			}
			delete(printed, key)
			if e.Test == "" && e.Action == "fail" {
				text = unfinished(printed, e.Package) + text
			}
			t.end(&e, text, out)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("check: read the tests' output: %w", err)
	}
	return nil
}

// unfinished returns what the tests printed that were running when their
// package's process ended: by a timeout, a fatal error, os.Exit.
func unfinished(printed map[string]*strings.Builder, pkg string) string {
	var all strings.Builder
	for _, key := range slices.Sorted(maps.Keys(printed)) {
		if strings.HasPrefix(key, pkg+" ") {
			all.WriteString(printed[key].String())
			delete(printed, key)
		}
	}
	return all.String()
}

// end counts the end of a test or package.
func (t *tally) end(e *event, text string, out io.Writer) {
	if e.Test == "" {
		if e.Action == "fail" {
			if !t.failedIn[e.Package] {
				t.failed++ // no test of it failed: it did not build, or its process died
			}
			fmt.Fprint(out, text)
			fmt.Fprintf(out, "FAIL  %s  %.1fs\n", e.Package, e.Elapsed)
		} else if e.Action == "pass" {
			fmt.Fprintf(out, "ok    %s  %.1fs\n", e.Package, e.Elapsed)
		}
		return
	}
	sub := strings.Contains(e.Test, "/")
	switch e.Action {
	case "fail":
		fmt.Fprint(out, text)
		if !sub {
			t.failed++
			t.failedIn[e.Package] = true
		}
	case "skip":
		t.skipped++
		t.skips = append(t.skips, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(text)))
	case "pass":
		if !sub {
			t.passed++
		}
	}
}

// reason finds in the output of a skipped test what it said last.
func reason(text string) string {
	why := "no reason given"
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			why = line
		}
	}
	return why
}

func (t *tally) add(o *tally) {
	t.passed += o.passed
	t.failed += o.failed
	t.skipped += o.skipped
	t.skips = append(t.skips, o.skips...)
}

// writeSkips names each skipped test once.
func (t *tally) writeSkips(out io.Writer) {
	skips := slices.Clone(t.skips)
	slices.Sort(skips)
	for _, s := range slices.Compact(skips) {
		fmt.Fprintf(out, "skipped: %s\n", s)
	}
}

func (t *tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}
