package main

import (
	"io"
	"strings"
	"testing"

	"hilnet/emu"
)

// A page or figure for which there is no room is an error that names the file once.
func TestAFullDiskNamesTheFileOnce(t *testing.T) {
	const full = "/dev/full"
	for what, err := range map[string]error{
		"figure": (&cli{}).writeFigure(full, []byte("x")),
		"page":   writePage(full, func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err }),
	} {
		if _, ok := err.(*emu.EnvironmentError); !ok || strings.Count(err.Error(), full) != 1 || !strings.HasPrefix(err.Error(), "emu: write /dev/full: no space left on device (") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
