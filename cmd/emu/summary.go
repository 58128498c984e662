package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"hilnet/emu"
)

// A summaryPrinter prints the rows of a summary and what they come to.
type summaryPrinter interface {
	row(*emu.SweepRow) error
	end(*emu.SweepSummary) error
}

func newSummaryPrinter(w io.Writer, h *emu.SweepHeader, f *sweepFlags, finder *emu.SweepFinder) summaryPrinter {
	switch f.format {
	case formatCSV:
		return &csvSummary{w: csv.NewWriter(w), header: h}
	case formatJSON:
		return &jsonSummary{w: w, header: h, finder: finder}
	}
	return &tableSummary{w: w, palette: newPalette(w), header: h, flags: f, finder: finder}
}

// maxRows bounds what is kept for the table, which nobody reads beyond that.
const maxRows = 1000

// tableSummary prints a table for a person.
type tableSummary struct {
	w       io.Writer
	palette palette
	header  *emu.SweepHeader
	flags   *sweepFlags
	finder  *emu.SweepFinder
	rows    []*emu.SweepRow
	omitted int
	failing []emu.Failing
	more    int64 // failing runs that are not named
}

func (t *tableSummary) row(r *emu.SweepRow) error {
	if len(t.rows) == maxRows {
		t.omitted++
	} else {
		t.rows = append(t.rows, r)
	}
	named := min(len(r.Failing), max(0, maxRows-len(t.failing)))
	t.failing = append(t.failing, r.Failing[:named]...)
	t.more += r.Runs - r.Passed - int64(named)
	return nil
}

func (t *tableSummary) end(s *emu.SweepSummary) error {
	var head []string
	for _, a := range t.header.Axes {
		head = append(head, a.Key)
	}
	head = append(head, "runs", "passed", "95 % interval")
	metrics := map[string]emu.Metric{}
	for _, m := range emu.AllMetrics() {
		metrics[m.Name] = m
	}
	head = append(head, t.flags.metrics...)
	rows := table{head}
	passed := len(t.header.Axes) + 1
	for _, r := range t.rows {
		row := append([]string(nil), r.Values...)
		row = append(row, strconv.FormatInt(r.Runs, 10), share(r.PassRate.Mean), share(r.PassRate.Low)+" to "+share(r.PassRate.High))
		for _, name := range t.flags.metrics {
			stat, _ := r.Stat(name)
			row = append(row, statText(stat, metrics[name].Time))
		}
		rows = append(rows, row)
	}
	rows.write(t.w, func(column int, cell, padded string) string {
		switch {
		case column != passed || cell == "passed":
			return padded
		case cell == "100 %":
			return t.palette.good(padded)
		}
		return t.palette.bad(padded)
	})
	if t.omitted > 0 {
		fmt.Fprintf(t.w, "… and %d combinations more: --format csv prints all\n", t.omitted)
	}
	fmt.Fprintf(t.w, "\n%s: %d of %d runs passed\n", t.header.Scenario, s.Passed, s.Runs)
	if t.finder != nil {
		fmt.Fprintln(t.w)
		printFound(t.w, t.palette, t.header, t.finder)
		return nil
	}
	if len(t.failing) > 0 {
		fmt.Fprint(t.w, "\nfailing runs:\n")
	}
	for _, f := range t.failing {
		why := string(f.Verdict)
		for i, text := range f.Failed {
			if why += ", "; i == 0 {
				why = ""
			}
			why += text
		}
		fmt.Fprintf(t.w, "  %s    # %s\n", f.Command, why)
	}
	if t.more > 0 {
		fmt.Fprintf(t.w, "… and %d more: --failures N names more, --out-file and --csv have all\n", t.more)
	}
	return nil
}

func share(x float64) string { return strconv.FormatFloat(100*x, 'f', shareDigits(x), 64) + " %" }

// shareDigits keeps 100 % for what is exactly that.
func shareDigits(x float64) int {
	if x == 0 || x == 1 {
		return 0
	}
	return 1
}

// statText writes a mean with its interval.
func statText(s emu.SweepStat, isTime bool) string {
	if s.N == 0 {
		return "-"
	}
	number := func(x float64) string {
		if isTime {
			return shortTime(time.Duration(x))
		}
		return strconv.FormatFloat(x, 'g', 4, 64)
	}
	if s.Low == s.High {
		return number(s.Mean)
	}
	return fmt.Sprintf("%s ± %s", number(s.Mean), number((s.High-s.Low)/2))
}

// csvSummary prints every metric of every combination.
type csvSummary struct {
	w      *csv.Writer
	header *emu.SweepHeader
	begun  bool
}

func (c *csvSummary) row(r *emu.SweepRow) error {
	if !c.begun {
		c.begun = true
		if err := c.w.Write(c.head()); err != nil {
			return err
		}
	}
	number := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	row := append([]string(nil), r.Values...)
	row = append(row, strconv.FormatInt(r.Runs, 10), strconv.FormatInt(r.Passed, 10),
		number(r.PassRate.Mean), number(r.PassRate.Low), number(r.PassRate.High))
	for _, s := range r.Stats {
		if s.N == 0 {
			row = append(row, "", "", "", "", "", "0")
			continue
		}
		row = append(row, number(s.Mean), number(s.Low), number(s.High), number(s.Min), number(s.Max), strconv.FormatInt(s.N, 10))
	}
	return c.w.Write(row)
}

func (c *csvSummary) head() []string {
	var head []string
	for _, a := range c.header.Axes {
		head = append(head, a.Key)
	}
	head = append(head, "runs", "passed", "pass_rate", "pass_rate_low", "pass_rate_high")
	for _, name := range metricNames() {
		head = append(head, name+"_mean", name+"_low", name+"_high", name+"_min", name+"_max", name+"_n")
	}
	return head
}

func (c *csvSummary) end(*emu.SweepSummary) error {
	c.w.Flush()
	return c.w.Error()
}

// summaryFormat is the version of the JSON summary.
const summaryFormat = "hilnet-sweep-summary/1"

// jsonSummary prints one JSON object, a row a line.
type jsonSummary struct {
	w      io.Writer
	header *emu.SweepHeader
	finder *emu.SweepFinder
	begun  bool
}

func (j *jsonSummary) begin() error {
	if j.begun {
		return nil
	}
	j.begun = true
	head, err := json.Marshal(j.header)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.w, "{\"format\": %q,\n\"sweep\": %s,\n\"rows\": [", summaryFormat, head)
	return err
}

func (j *jsonSummary) row(r *emu.SweepRow) error {
	separator := ",\n"
	if !j.begun {
		separator = "\n"
	}
	if err := j.begin(); err != nil {
		return err
	}
	type whole struct {
		*emu.SweepRow
		Metrics map[string]emu.SweepStat `json:"metrics"`
	}
	out := whole{r, map[string]emu.SweepStat{}}
	for i, name := range metricNames() {
		out.Metrics[name] = r.Stats[i]
	}
	line, err := json.Marshal(out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.w, "%s%s", separator, line)
	return err
}

func (j *jsonSummary) end(s *emu.SweepSummary) error {
	if err := j.begin(); err != nil {
		return err
	}
	find, err := findJSON(j.finder)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.w, "\n],\n\"runs\": %d,\n\"passed\": %d,\n\"internal\": %d%s}\n", s.Runs, s.Passed, s.Internal, find)
	return err
}
