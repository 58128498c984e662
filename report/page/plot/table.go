package plot

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"hilnet/emu"
)

// Limits of a sweep's table. A figure with more curves or points could not be
// read.
const (
	maxTable  = 16 << 20 // bytes
	MaxRowsIn = 20_000
	MaxCurves = 6
	MaxCharts = 8
)

// A Table is the summary of a sweep, as emu sweep --format csv prints it.
type Table struct {
	name string
	axes []string
	head []string
	rows [][]string
}

// The columns that follow those of the keys.
var fixed = []string{"runs", "passed", "pass_rate", "pass_rate_low", "pass_rate_high"}

// ReadTable reads a table. name is what the figure is called.
func ReadTable(name string, r io.Reader) (*Table, error) {
	limited := &io.LimitedReader{R: r, N: maxTable + 1}
	c := csv.NewReader(limited)
	c.ReuseRecord = false
	head, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("plot: %s has no table: %w", name, ended(err))
	}
	i := slices.Index(head, fixed[0])
	if i < 0 || len(head) < i+len(fixed) || !slices.Equal(head[i:i+len(fixed)], fixed) {
		return nil, fmt.Errorf("plot: %s is not the table of a sweep, which emu sweep --format csv prints (emu sweep --csv has the single runs)", name)
	}
	t := &Table{name: name, axes: head[:i], head: head}
	for {
		row, err := c.Read()
		switch {
		case limited.N == 0:
			return nil, fmt.Errorf("plot: %s is larger than %d bytes", name, maxTable)
		case errors.Is(err, io.EOF):
			if len(t.rows) == 0 {
				return nil, fmt.Errorf("plot: %s has no rows", name)
			}
			return t, nil
		case err != nil:
			return nil, fmt.Errorf("plot: %s: %w", name, err)
		case len(t.rows) == MaxRowsIn:
			return nil, fmt.Errorf("plot: %s has more than %d rows", name, MaxRowsIn)
		}
		t.rows = append(t.rows, row)
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Metrics returns what there is to draw.
func (t *Table) Metrics() []string {
	all := []string{"pass_rate"}
	for _, h := range t.head[len(t.axes)+len(fixed):] {
		if m, ok := strings.CutSuffix(h, "_mean"); ok {
			all = append(all, m)
		}
	}
	return all
}

// A TableConfig says what the figure of a sweep shows.
type TableConfig struct {
	// Metrics has a chart for each; without any the pass rate has one.
	Metrics []string
	// Along is the key along which the curves go; empty: the first.
	Along string
	// Width in pixels; 0: DefaultWidth.
	Width int
}

// An estimate is a point of a curve: a mean with its interval.
type estimate struct {
	x               float64
	mean, low, high float64
}

// A line is the curve of one combination of the other keys.
type line struct {
	label  string
	points []estimate
}

// Plot draws the figure of a sweep: mean and 95 % interval along a key, a curve
// for each combination of the others.
func (t *Table) Plot(w io.Writer, cfg TableConfig) error {
	if len(t.axes) == 0 {
		return fmt.Errorf("plot: %s is of a sweep over seeds only, there is no key to go along", t.name)
	}
	if len(cfg.Metrics) == 0 {
		cfg.Metrics = []string{"pass_rate"}
	}
	if cfg.Width == 0 {
		cfg.Width = DefaultWidth
	}
	along := 0
	if cfg.Along != "" {
		along = slices.Index(t.axes, cfg.Along)
	}
	switch {
	case cfg.Width < MinWidth || cfg.Width > MaxWidth:
		return fmt.Errorf("plot: a width of %d pixels; it is %d to %d", cfg.Width, MinWidth, MaxWidth)
	case along < 0:
		return fmt.Errorf("plot: %s has no key %q; there are %s", t.name, cfg.Along, strings.Join(t.axes, ", "))
	case len(cfg.Metrics) > MaxCharts:
		return fmt.Errorf("plot: %d metrics; a figure has at most %d", len(cfg.Metrics), MaxCharts)
	}
	x := newAxis(t, along)
	s := sheet{t: t, axis: x, width: float64(cfg.Width), y: 26}
	s.text(4, 13, sizeTitle, ink, fit(t.name, s.width-20, sizeTitle), bold...)
	for i, m := range cfg.Metrics {
		if !slices.Contains(t.Metrics(), m) {
			return fmt.Errorf("plot: %s has no metric %q; there are %s", t.name, m, strings.Join(t.Metrics(), ", "))
		}
		lines, err := t.lines(m, along, x)
		if err != nil {
			return err
		}
		s.chart(m, lines, i == len(cfg.Metrics)-1)
	}
	return s.write(w, s.width, s.y+4, t.name, fmt.Sprintf("%s along %s, means with 95 %% intervals.", strings.Join(cfg.Metrics, ", "), t.axes[along]))
}

// isTime reports whether a metric is in nanoseconds.
func isTime(metric string) bool {
	return slices.ContainsFunc(emu.AllMetrics(), func(m emu.Metric) bool { return m.Name == metric && m.Time })
}

// lines makes the curves of a metric. Rows in which no run had it leave a gap.
func (t *Table) lines(metric string, along int, x *axis) ([]line, error) {
	columns := [3]int{}
	for i, suffix := range []string{"_mean", "_low", "_high"} {
		name := metric + suffix
		if name == "pass_rate_mean" {
			name = "pass_rate"
		}
		if columns[i] = slices.Index(t.head, name); columns[i] < 0 {
			return nil, fmt.Errorf("plot: %s lacks the column %s", t.name, name)
		}
	}
	var all []line
	for n, row := range t.rows {
		var others []string
		for i, key := range t.axes {
			if i != along {
				others = append(others, key+" "+row[i])
			}
		}
		label := strings.Join(others, ", ")
		i := slices.IndexFunc(all, func(l line) bool { return l.label == label })
		if i < 0 {
			if len(all) == MaxCurves {
				return nil, fmt.Errorf("plot: %s has more than %d curves along %s; sweep fewer values of the other keys, or go along another key", t.name, MaxCurves, t.axes[along])
			}
			i = len(all)
			all = append(all, line{label: label})
		}
		if row[columns[0]] == "" {
			continue
		}
		var v [3]float64
		for k, c := range columns {
			var err error
			if v[k], err = strconv.ParseFloat(row[c], 64); err != nil || math.IsNaN(v[k]) || math.IsInf(v[k], 0) {
				return nil, fmt.Errorf("plot: %s, row %d: %q is not a number", t.name, n+2, row[c])
			}
		}
		all[i].points = append(all[i].points, estimate{x.of(row[along]), v[0], v[1], v[2]})
	}
	for i := range all {
		slices.SortStableFunc(all[i].points, func(a, b estimate) int {
			switch {
			case a.x < b.x:
				return -1
			case a.x > b.x:
				return 1
			}
			return 0
		})
	}
	return all, nil
}

// An axis is that of a key: by its numbers, or its values side by side.
type axis struct {
	key     string
	values  []string
	numbers []float64 // nil: values side by side
	unit    string
	time    bool
}

func newAxis(t *Table, along int) *axis {
	a := &axis{key: t.axes[along]}
	for _, row := range t.rows {
		if !slices.Contains(a.values, row[along]) {
			a.values = append(a.values, row[along])
		}
	}
	for i, v := range a.values {
		x, u, isTime, ok := quantity(v)
		if ok && x != 0 && a.unit == "" {
			a.unit, a.time = u, isTime
		}
		if !ok || x != 0 && (u != a.unit || isTime != a.time) {
			a.numbers = nil
			break
		}
		if i == 0 {
			a.numbers = []float64{}
		}
		a.numbers = append(a.numbers, x)
	}
	return a
}

// of is the place of a value on the axis.
func (a *axis) of(value string) float64 {
	i := slices.Index(a.values, value)
	if a.numbers != nil {
		return a.numbers[i]
	}
	return float64(i)
}

// quantity reads a value of a key: a time, or a number with or without a unit.
func quantity(s string) (x float64, unit string, isTime, ok bool) {
	if d, err := time.ParseDuration(s); err == nil && s != "0" {
		return float64(d), "", true, true
	}
	end := len(s)
	for end > 0 && !strings.ContainsRune("0123456789.", rune(s[end-1])) {
		end--
	}
	x, err := strconv.ParseFloat(s[:end], 64)
	if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
		return 0, "", false, false
	}
	return x, strings.TrimSpace(s[end:]), false, true
}
