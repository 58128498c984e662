package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
)

// A meter that shows its time left, at the pace of what it did itself.
func TestAMeterTellsTheTimeLeft(t *testing.T) {
	now := time.Unix(0, 0)
	show := func(mode string, line bool) (*meter, *bytes.Buffer) {
		var b bytes.Buffer
		return &meter{mode: mode, line: line, what: "runs", w: &b, now: func() time.Time { return now }, began: time.Unix(0, 0)}, &b
	}
	now = time.Unix(10, 0)
	m, b := show(progressPlain, false)
	m.skip(50)
	m.update(60, 100, "")
	m.update(61, 100, "") // too soon
	if got, want := b.String(), "60 of 100 runs, 60 %, 40s left\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m, b = show(progressJSON, false)
	m.update(25, 100, "")
	if got, want := b.String(), `{"done":25,"elapsed_seconds":10,"left_seconds":30,"percent":25,"total":100,"unit":"runs"}`+"\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m, b = show(progressAuto, true)
	m.update(0.5, 1, "30s of 1m0s")
	m.clear()
	m.clear()
	if got, want := b.String(), "\r\x1b[K0 of 1 runs, 50 %, 30s of 1m0s, 10s left\r\x1b[K"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m, b = show(progressNone, false)
	m.update(1, 2, "")
	m.end(2, 2)
	if b.Len() > 0 {
		t.Errorf("none shows %q", b.String())
	}
	if got := percent(0, 0); got != 100 {
		t.Errorf("nothing to do is %v %% done", got)
	}
}

// Colour is for terminals only, and NO_COLOR switches it off there too.
func TestColourIsForTerminals(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if newPalette(file).on || newPalette(&bytes.Buffer{}).on {
		t.Error("colour in a file")
	}
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal: %v", err)
	}
	defer tty.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if p := newPalette(tty); !p.on || p.verdict(emu.Fail) != "\x1b[1;31mfail\x1b[0m" || !strings.HasPrefix(p.verdict(emu.Pass), "\x1b[32m") {
		t.Errorf("on a terminal: %+v", p)
	}
	t.Setenv("NO_COLOR", "1")
	if newPalette(tty).on {
		t.Error("NO_COLOR is not respected")
	}
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	if newPalette(tty).on {
		t.Error("colour on a dumb terminal")
	}
}
