package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	progressAuto  = "auto"
	progressPlain = "plain"
	progressJSON  = "json"
	progressNone  = "none"
)

var progressModes = []string{progressAuto, progressPlain, progressJSON, progressNone}

// How often progress is shown, and when it is first.
const (
	everyTerminal = 100 * time.Millisecond
	everyPlain    = 10 * time.Second
	everyJSON     = time.Second
)

// clock is what a meter goes by.
var clock = time.Now

// A meter shows how far the work is. Its methods may be called by any goroutine.
type meter struct {
	mode string
	line bool // on a terminal: one line that is written over
	what string
	now  func() time.Time

	mu      sync.Mutex
	w       io.Writer
	began   time.Time
	last    time.Time
	skipped float64 // done before it began
	shown   bool
}

// meter returns a meter for total pieces of work, such as "runs".
func (c *cli) meter(mode, what string, quiet bool) (*meter, error) {
	if !slices.Contains(progressModes, mode) {
		return nil, usagef("--progress %s is not known%s; there are %s", mode, didYouMean(mode, progressModes), strings.Join(progressModes, ", "))
	}
	m := &meter{mode: mode, what: what, now: clock, w: c.stderr}
	if mode == progressAuto {
		m.line = isTerminal(c.stderr)
		if quiet {
			m.mode = progressNone
		}
	}
	m.began = m.now()
	if mode != progressPlain && mode != progressJSON {
		m.last = m.began // the first comes after a while
	}
	return m, nil
}

func isTerminal(w io.Writer) bool {
	if out, ok := w.(*output); ok {
		w = out.Writer
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// skip says that so much was done before.
func (m *meter) skip(done float64) { m.skipped = done }

// update shows progress, if it is time to.
func (m *meter) update(done, total float64, detail string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	every := everyPlain
	switch {
	case m.mode == progressNone:
		return
	case m.mode == progressJSON:
		every = everyJSON
	case m.line:
		every = everyTerminal
	}
	now := m.now()
	if now.Sub(m.last) < every && !m.last.IsZero() {
		return
	}
	m.last = now
	m.show(now, done, total, detail)
}

// end shows that all is done, where progress is kept.
func (m *meter) end(done, total float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mode == progressPlain || m.mode == progressJSON {
		m.show(m.now(), done, total, "")
	}
	m.wipe()
}

// clear takes the line away, so that something else can be written.
func (m *meter) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wipe()
}

func (m *meter) wipe() {
	if m.line && m.shown {
		fmt.Fprint(m.w, "\r\x1b[K")
		m.shown = false
	}
}

func (m *meter) show(now time.Time, done, total float64, detail string) {
	elapsed := now.Sub(m.began)
	var left time.Duration
	if fresh := done - m.skipped; fresh > 0 && done < total {
		left = time.Duration(float64(elapsed) / fresh * (total - done))
	}
	if m.mode == progressJSON {
		line, err := json.Marshal(map[string]any{
			"done": int64(done), "total": int64(total), "unit": m.what, "percent": int(percent(done, total)),
			"elapsed_seconds": elapsed.Round(time.Millisecond).Seconds(), "left_seconds": left.Round(time.Millisecond).Seconds(),
		})
		if err != nil {
			panic("emu: " + err.Error()) // numbers and a word
		}
		fmt.Fprintf(m.w, "%s\n", line)
		return
	}
	text := fmt.Sprintf("%d of %d %s, %.0f %%", int64(done), int64(total), m.what, percent(done, total))
	if detail != "" {
		text += ", " + detail
	}
	if left > 0 {
		text += ", " + left.Round(time.Second).String() + " left"
	}
	if m.line {
		fmt.Fprint(m.w, "\r\x1b[K"+text)
		m.shown = true
		return
	}
	fmt.Fprintln(m.w, text)
}

func percent(done, total float64) float64 {
	if total <= 0 {
		return 100
	}
	return 100 * done / total
}
