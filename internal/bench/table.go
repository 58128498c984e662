package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// A table is what came of the measurement, in Markdown.
type table struct {
	rounds int
	lines  [][3]string
}

func (t *table) add(r row, f found) {
	t.lines = append(t.lines, [3]string{r.what, r.show(f), goalOf(r)})
}

func goalOf(r row) string {
	if r.goal == "" {
		return "–"
	}
	return r.goal
}

// write writes the table with columns of even width, and below it what it was
// measured on.
func (t *table) write(out io.Writer) error {
	lines := append([][3]string{{"what", "measured", "goal"}, {"---", "---", "---"}}, t.lines...)
	var width [3]int
	for _, l := range lines {
		for i, cell := range l {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for _, l := range lines {
		for i, cell := range l {
			fill := " "
			if l[0] == "---" {
				fill = "-"
			}
			fmt.Fprintf(&b, "| %s%s ", cell, strings.Repeat(fill, width[i]-len([]rune(cell))))
		}
		b.WriteString("|\n")
	}
	fmt.Fprintf(&b, "\n%s. Medians of %d runs.\n", machine(), t.rounds)
	_, err := io.WriteString(out, b.String())
	return err
}

// machine describes what the figures were measured on, and what else it did.
func machine() string {
	text := fmt.Sprintf("%s, %s/%s, %d cores", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				text = strings.TrimSpace(model) + ", " + text
				break
			}
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		if words := strings.Fields(string(load)); len(words) > 2 {
			text += ", load average of the last 5 minutes " + words[1]
		}
	}
	return text
}

// thousands writes a number without fraction, with commas.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
