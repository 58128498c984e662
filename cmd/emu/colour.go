package main

import (
	"io"
	"os"

	"hilnet/emu"
)

// A palette paints words on a terminal; its zero value paints nothing.
type palette struct{ on bool }

// newPalette decides by what w is and by the environment: https://no-color.org.
func newPalette(w io.Writer) palette {
	return palette{isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (p palette) paint(code, text string) string {
	if !p.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p palette) good(text string) string { return p.paint("32", text) }
func (p palette) bad(text string) string  { return p.paint("1;31", text) }
func (p palette) odd(text string) string  { return p.paint("33", text) }

func (p palette) verdict(v emu.Verdict) string {
	switch v {
	case emu.Pass:
		return p.good(string(v))
	case emu.Interrupted, emu.Inconclusive:
		return p.odd(string(v))
	default:
		return p.bad(string(v))
	}
}
