package main

import (
	"os"
	"testing"
)

// Standard output, which remembers its errors, is as much of a terminal as what
// is behind it: results have their colours there.
func TestATerminalIsKnownBehindTheOutput(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs a pseudo-terminal: %v", err)
	}
	defer terminal.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if !isTerminal(&output{Writer: terminal}) || newPalette(&output{Writer: terminal}).good("x") == "x" {
		t.Error("no colours at a terminal")
	}
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(&output{Writer: file}) || newPalette(&output{Writer: file}).good("x") != "x" {
		t.Error("colours in a file")
	}
}
