package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hilnet/emu"
	"hilnet/scenarios"
)

// writeResult prints a result for a person; again is the command that repeats it.
func writeResult(w io.Writer, p palette, r *emu.Result, again string) {
	o := r.Outcome
	length := time.Duration(r.Length)
	fmt.Fprintf(w, "%s: %s  (%v of device time in %v, seed %d)\n\n", r.Scenario, p.verdict(r.Verdict), length, r.Wall.Round(time.Millisecond), r.Seed)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-13s %s\n", name, fmt.Sprintf(format, args...))
	}
	writeTraffic(row, r)
	for _, d := range o.Devices {
		if len(o.Devices) > maxPoolRows {
			break // the spread names those that matter
		}
		if d.Pool.Total == 0 {
			continue // not a model
		}
		row("pool", "low-water mark %d of %d packets free (%s), %s found none", d.Pool.MinFree, d.Pool.Total, d.Name, count(d.Pool.EmptyRequests, "request", "requests"))
	}
	row("drops", "%s", drops(&o.Drops))
	if len(o.Devices) > maxPoolRows {
		writeSpread(w, o)
	}
	if r.Clock == scenarios.Real {
		row("lateness", "median %v, 99 %% %v, maximum %v", r.Lateness.Quantile(0.5), r.Lateness.Quantile(0.99), r.Lateness.Max)
	}
	for _, e := range o.ConservationErrors {
		row("UNACCOUNTED", "%s", e)
	}
	fmt.Fprintln(w)
	writeFindings(w, p, o.Findings)
	for _, c := range r.Checks {
		writeVerdict(w, p, &c)
	}
	if len(r.Checks) > 0 {
		fmt.Fprintln(w)
	}
	for _, n := range r.Notes {
		row("note", "%s", printable(n))
	}
	for i, f := range fileRows(r.Files) {
		name := ""
		if i == 0 {
			name = "files"
		}
		row(name, "%s", f)
	}
	row("again", "%s", again)
}

// writeTraffic prints what became of messages, as far as anybody knows: of real
// devices only hilnet's broker tells, and of a real broker only hilnet's devices.
func writeTraffic(row func(name, format string, args ...any), r *emu.Result) {
	o := r.Outcome
	if r.Models == 0 {
		if !r.ModelBroker {
			row("messages", "unknown: between real devices and a real broker hilnet sees frames")
			return
		}
		row("delivered", "%d, duplicated %d", o.Delivered, o.Duplicated)
		row("connections", "%d, reconnects %d%s", o.Connects, o.Reconnects, refused(o.ConnectErrors))
		return
	}
	row("published", "%d%s", o.Published, failed(o.PublishErrors))
	row("acknowledged", "%d%s", o.Acknowledged, latency(o))
	if r.ModelBroker {
		row("delivered", "%d, lost %d, duplicated %d", o.Delivered, o.Lost, o.Duplicated)
	} else {
		row("delivered", "unknown: only hilnet's own broker tells")
	}
	row("received", "%d", o.Received)
	row("connections", "%d, reconnects %d%s", o.Connects, o.Reconnects, failed(o.ConnectErrors))
}

// maxPoolRows is how many devices have a row each; of more than that only the
// worst are named.
const maxPoolRows = 8

// writeSpread prints the numbers in which devices differ.
func writeSpread(w io.Writer, o *scenarios.Outcome) {
	rows := table{{"  of " + strconv.Itoa(len(o.Devices)) + " devices", "median", "95 %", "99 %", "worst"}}
	for _, s := range o.Spread {
		if len(s.Worst) == 0 {
			continue
		}
		number := func(n int64) string {
			if s.Time {
				return shortTime(time.Duration(n))
			}
			return strconv.FormatInt(n, 10)
		}
		var names []string
		for _, d := range s.Worst {
			names = append(names, d.Device+" "+number(d.Value))
		}
		rows = append(rows, []string{"  " + s.Name, number(s.P50), number(s.P95), number(s.P99), strings.Join(names, ", ")})
	}
	if len(rows) == 1 {
		return // all alike
	}
	fmt.Fprintln(w)
	rows.write(w, func(_ int, _, padded string) string { return padded })
}

// maxFindings bounds the findings that are printed: a fleet may have thousands.
const maxFindings = 20

// writeFindings prints what went wrong, the worst first.
func writeFindings(w io.Writer, p palette, all []scenarios.Finding) {
	if len(all) == 0 {
		return
	}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b scenarios.Finding) int {
		return strings.Compare(string(a.Severity), string(b.Severity))
	})
	for i, f := range sorted {
		if i == maxFindings {
			fmt.Fprintf(w, "  … and %d findings more: --json has all\n", len(sorted)-i)
			break
		}
		word := fmt.Sprintf("%-7s", f.Severity)
		if f.Severity == scenarios.SeverityError {
			word = p.bad(word)
		}
		fmt.Fprintf(w, "  %s  %s at %v: %s\n           emu explain %s\n", word, f.Device, time.Duration(f.T).Round(time.Millisecond), f.Text, f.Name)
	}
	fmt.Fprintln(w)
}

// writeVerdict prints an expectation and, when it failed, why.
func writeVerdict(w io.Writer, p palette, v *scenarios.Verdict) {
	word := p.good("ok  ")
	if !v.Passed {
		word = p.bad("FAIL")
	}
	if v.Text == v.That {
		fmt.Fprintf(w, "  %s  %s\n", word, printable(v.That))
	} else {
		fmt.Fprintf(w, "  %s  %s: %s\n", word, printable(v.Text), printable(v.That))
	}
	for line := range strings.Lines(v.Why) {
		fmt.Fprintf(w, "        %s\n", printable(strings.TrimRight(line, "\n")))
	}
}

// printable shows what a file says without doing it to the terminal: control
// characters are escaped as in Go.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// maxFileRows is how many files are named one by one.
const maxFileRows = 12

// fileRows names the files of a run; of a fleet's captures only the folder.
func fileRows(files []string) []string {
	captures := slices.DeleteFunc(slices.Clone(files), func(f string) bool { return !strings.HasSuffix(f, ".pcapng") })
	if len(files) <= maxFileRows || len(captures) < 2 {
		return files
	}
	rest := slices.DeleteFunc(slices.Clone(files), func(f string) bool { return strings.HasSuffix(f, ".pcapng") })
	return append(rest, fmt.Sprintf("%d captures in %s, %s to %s", len(captures), filepath.Dir(captures[0]), filepath.Base(captures[0]), filepath.Base(captures[len(captures)-1])))
}

func failed(n int) string {
	if n == 0 {
		return ""
	}
	return ", " + count(n, "call", "calls") + " failed"
}

func refused(n int) string {
	if n == 0 {
		return ""
	}
	return ", " + strconv.Itoa(n) + " refused"
}

// count writes a number of things.
func count(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

func latency(o *scenarios.Outcome) string {
	if o.Acknowledged == 0 {
		return ""
	}
	ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	if len(o.Devices) > maxPoolRows {
		return fmt.Sprintf(", after %v (median), %v (95 %%), %v (99 %%) to %v", ms(o.LatencyP50), ms(o.LatencyP95), ms(o.LatencyP99), ms(o.LatencyMax))
	}
	return fmt.Sprintf(", after %v (median) to %v", ms(o.LatencyP50), ms(o.LatencyMax))
}

// drops lists reasons, the most frequent first.
func drops(d *scenarios.Drops) string {
	if d.Total == 0 {
		return "none"
	}
	reasons := make([]string, 0, len(d.Reason))
	for r := range d.Reason {
		reasons = append(reasons, r)
	}
	slices.SortFunc(reasons, func(a, b string) int {
		if n := d.Reason[b] - d.Reason[a]; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	for i, r := range reasons {
		reasons[i] = fmt.Sprintf("%s %d", r, d.Reason[r])
	}
	return strings.Join(reasons, ", ")
}
