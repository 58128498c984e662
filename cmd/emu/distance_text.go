package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"hilnet/replay/distance"
)

// tellDistance prints a distance.
func (c *cli) tellDistance(d *distanceDocument, f *distanceFlags) error {
	if d.Report.Distance > d.Within {
		c.code = exitFail
	}
	if f.asJSON {
		return c.writeJSON(d)
	}
	writeDistance(c.stdout, newPalette(c.stdout), d, f.max)
	return nil
}

func writeDistance(w io.Writer, p palette, d *distanceDocument, most int) {
	r := d.Report
	fmt.Fprintf(w, "A  %s: device %s, %d frames\nB  %s: device %s, %d frames\n\n", d.AFile, r.A.Device, r.A.Frames, d.B, r.B.Device, r.B.Frames)
	t, class := table{{"class", "behaviour", "distance", "weight", "same", "late (p50, max)", "early (p50, max)", "changed", "missing", "extra"}}, ""
	for i := range r.Measures {
		if m := &r.Measures[i]; m.Shown {
			first := m.Class
			if first == class {
				first = ""
			}
			class = m.Class
			t = append(t, []string{
				first, m.Name, fmt.Sprintf("%.3g", m.Distance), fmt.Sprint(m.Weight), fmt.Sprint(m.Matches), lags(m.Late), lags(m.Early),
				fmt.Sprint(m.Changed), fmt.Sprint(m.Missing), fmt.Sprint(m.Extra),
			})
		}
	}
	t.write(w, func(column int, cell, padded string) string {
		switch {
		case column != 2 || cell == "distance":
			return padded
		case cell == "0":
			return p.good(padded)
		}
		return p.bad(padded)
	})
	for i := range r.Measures {
		if m := &r.Measures[i]; len(m.Lines)+m.Unlisted > 0 && most > 0 {
			writeDistances(w, m, most)
		}
	}
	if len(d.Ranked) > 1 {
		fmt.Fprintln(w)
		for _, x := range d.Ranked {
			fmt.Fprintf(w, "distance to %s: %v\n", x.Name, x.Distance)
		}
	}
	if len(d.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range d.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	verdict := p.good("within")
	if r.Distance > d.Within {
		verdict = p.bad("not within")
	}
	fmt.Fprintf(w, "\ndistance %v, %s %v\n", r.Distance, verdict, d.Within)
}

// writeDistances prints what does not match in a behaviour.
func writeDistances(w io.Writer, m *distance.Measure, most int) {
	fmt.Fprintf(w, "\n%s: %s\n", m.Name, m.Text)
	for i := range m.Lines {
		l := &m.Lines[i]
		if i == most {
			break
		}
		what := l.Kind
		if len(l.Fields) > 0 {
			what += " (" + strings.Join(l.Fields, ", ") + ")"
		}
		fmt.Fprintf(w, "  %s\n", what)
		if l.A != "" {
			fmt.Fprintf(w, "    A %s\n", oneDeed(l.A, l.AFrame, l.AAfter))
		}
		if l.B != "" {
			fmt.Fprintf(w, "    B %s\n", oneDeed(l.B, l.BFrame, l.BAfter))
		}
	}
	if n := len(m.Lines) + m.Unlisted - most; n > 0 {
		fmt.Fprintf(w, "  and %d more\n", n)
	}
}

func oneDeed(text string, frame uint64, after *time.Duration) string {
	if after != nil {
		text += ", after " + shortTime(*after)
	}
	if frame > 0 {
		text += fmt.Sprintf(" (frame %d)", frame)
	}
	return printable(text)
}

func lags(l distance.Lags) string {
	if l.N == 0 {
		return "-"
	}
	return fmt.Sprintf("%d (%s, %s)", l.N, shortTime(l.P50), shortTime(l.Max))
}
