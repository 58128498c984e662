package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// A table is rows of cells, the head first.
type table [][]string

// write prints the table with columns as wide as they need be. paint may colour
// a cell; it gets it without and with its padding.
func (t table) write(w io.Writer, paint func(column int, cell, padded string) string) {
	var width []int
	for _, row := range t {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			padded := cell
			if i < len(row)-1 {
				padded += strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			}
			line.WriteString(paint(i, cell, padded))
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// shortTime writes a time with about three digits.
func shortTime(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.String()
}
