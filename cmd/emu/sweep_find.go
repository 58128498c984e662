package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"hilnet/emu"
)

// addFinder makes what --find asks for.
func (s *sink) addFinder() error {
	if s.flags.find == "" {
		return nil
	}
	if s.flags.format == formatCSV {
		return usagef("--find prints no CSV; choose --format table or json")
	}
	if s.header.Shard != "" {
		return usagef("--find needs the whole sweep: emu merge --find KEY brings the shards together")
	}
	var err error
	if s.finder, err = emu.NewSweepFinder(&s.header, s.flags.find); err != nil {
		return usagef("--find: %s", bare(err))
	}
	return nil
}

// foundAll reports whether there is a value in every case.
func foundAll(f *emu.SweepFinder) bool {
	all := f.Found()
	for i := range all {
		if all[i].Value == "" {
			return false
		}
	}
	return len(all) > 0
}

// printFound prints what was found as a table, and below it what a person should
// know before believing it.
func printFound(w io.Writer, p palette, h *emu.SweepHeader, f *emu.SweepFinder) {
	all := f.Found()
	fmt.Fprintf(w, "%s: the smallest %s from which on every run passed\n\n", h.Scenario, f.Key())
	var head []string
	for _, a := range h.Axes {
		head = append(head, a.Key)
	}
	rows := table{append(head, "pool memory", "fewest free", "found none", "passed", "fails at most")}
	for i := range all {
		rows = append(rows, foundRow(h, f, &all[i]))
	}
	rows.write(w, func(_ int, cell, padded string) string {
		if cell == "none" || cell == "unknown" {
			return p.bad(padded)
		}
		return padded
	})
	for i := range all {
		for _, note := range foundNotes(h, f, &all[i]) {
			fmt.Fprintf(w, "  %s\n", note)
		}
	}
}

func foundRow(h *emu.SweepHeader, f *emu.SweepFinder, found *emu.SweepFound) []string {
	var row []string
	for i, v := range found.Values {
		if h.Axes[i].Key == f.Key() {
			v = found.Value
		}
		switch {
		case v != "":
		case found.Complete:
			v = "none"
		default:
			v = "unknown"
		}
		row = append(row, v)
	}
	if found.Row == nil {
		return append(row, "-", "-", "-", "-", "-")
	}
	number := func(name string, of func(emu.SweepStat) float64) string {
		stat, _ := found.Row.Stat(name)
		return strconv.FormatFloat(of(stat), 'f', -1, 64)
	}
	least := func(s emu.SweepStat) float64 { return s.Min }
	most := func(s emu.SweepStat) float64 { return s.Max }
	return append(row, number("pool_memory", most)+" B", number("pool_min_free", least), number("pool_empty_requests", most),
		fmt.Sprintf("%d of %d", found.Row.Passed, found.Row.Runs), share(1-found.Row.PassRate.Low))
}

// foundNotes says what failed below the value, and how to see it.
func foundNotes(h *emu.SweepHeader, f *emu.SweepFinder, found *emu.SweepFound) []string {
	var notes []string
	if !found.Complete {
		notes = append(notes, fmt.Sprintf("not every value of %s was tried with every seed", f.Key()))
	}
	value := func(r *emu.SweepRow) string {
		for i, a := range h.Axes {
			if a.Key == f.Key() {
				return r.Values[i]
			}
		}
		return ""
	}
	if b := found.Below; b != nil {
		note := fmt.Sprintf("with %s, %d of %d passed", value(b), b.Passed, b.Runs)
		if len(b.Failing) > 0 {
			note += "; one that failed: " + b.Failing[0].Command
			for _, text := range b.Failing[0].Failed[:min(1, len(b.Failing[0].Failed))] {
				note += "    # " + text
			}
		}
		notes = append(notes, note)
	}
	if found.Smallest != "" {
		notes = append(notes, fmt.Sprintf("with %s all passed too, but some larger value failed: too few seeds, or luck", found.Smallest))
	}
	return notes
}

// findJSON is what was found as a field of the JSON summary.
func findJSON(f *emu.SweepFinder) (string, error) {
	if f == nil {
		return "", nil
	}
	text, err := json.Marshal(struct {
		Key   string           `json:"key"`
		Found []emu.SweepFound `json:"found"`
	}{f.Key(), f.Found()})
	return ",\n\"find\": " + string(text), err
}
