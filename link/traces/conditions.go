package traces

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Format and Version stand in the first line of a conditions file.
const (
	Format  = "hilnet-conditions"
	Version = 1
)

// Bounds of a conditions file.
const (
	MaxSteps    = 1 << 20
	maxLine     = 64 << 10
	maxDelay    = time.Hour
	maxDuration = 365 * 24 * time.Hour
	maxRate     = 1e12 // bits per second
)

// Conditions say what a link is like over time. Each Step holds until the next
// one, and the last until Duration, when the first comes again.
type Conditions struct {
	Name     string
	Source   string // where they come from, for a person
	Duration time.Duration
	Steps    []Step // in the order of time; the first at 0
	// Events are how many lines say what was seen, as replay extract writes them.
	// They are no conditions, and nothing is done with them.
	Events int
}

// A Step is what both ways of a link are like from a moment on.
type Step struct {
	At       time.Duration
	Up, Down Way
}

// Way returns what one way is like: up, or down.
func (s *Step) Way(up bool) *Way {
	if up {
		return &s.Up
	}
	return &s.Down
}

// A Way is one direction of a link.
type Way struct {
	Delay             time.Duration
	RateBitsPerSecond uint64  // 0: no limit
	Loss              float64 // probability
}

// header is the first line of a file.
type header struct {
	Format   string  `json:"format"`
	Version  int     `json:"version"`
	Name     string  `json:"name,omitempty"`
	Source   string  `json:"source,omitempty"`
	Duration float64 `json:"duration_ms"`
}

// line is one of the others. What it does not have stays as it was.
type line struct {
	Time  *float64 `json:"t_ms"`
	Dir   string   `json:"dir,omitempty"` // "up", "down"; empty: both
	Delay *float64 `json:"delay_ms,omitempty"`
	Rate  *uint64  `json:"rate_bps,omitempty"`
	Loss  *float64 `json:"loss,omitempty"`
}

// ReadConditions reads a conditions file: JSON lines, the first a header. file
// names it in errors.
func ReadConditions(r io.Reader, file string) (*Conditions, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	c := &Conditions{}
	n := 0
	for lines.Scan() {
		n++
		var err error
		if n == 1 {
			err = c.header(lines.Bytes())
		} else {
			err = c.line(lines.Bytes())
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", file, n+1, err)
	}
	if len(c.Steps) == 0 {
		return nil, fmt.Errorf("%s: no conditions: a header and at least one line are needed", file)
	}
	if last := c.Steps[len(c.Steps)-1].At; last >= c.Duration {
		return nil, fmt.Errorf("%s:%d: t_ms is not before the duration of %v", file, n, c.Duration)
	}
	return c, nil
}

// decode reads one JSON object and nothing else.
func decode(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("not a line of conditions: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON object in a line")
	}
	return nil
}

func (c *Conditions) header(text []byte) error {
	var h header
	if err := decode(text, &h); err != nil {
		return err
	}
	if h.Format != Format || h.Version != Version {
		return fmt.Errorf("format %q, version %d: this reads %q, version %d", clip(h.Format), h.Version, Format, Version)
	}
	c.Name, c.Source = h.Name, h.Source
	var err error
	if c.Duration, err = milliseconds("duration_ms", h.Duration, maxDuration); err != nil {
		return err
	}
	if c.Duration == 0 {
		return errors.New("duration_ms is 0")
	}
	return nil
}

func (c *Conditions) line(text []byte) error {
	var seen struct {
		Event *string `json:"event"`
	}
	if json.Unmarshal(text, &seen) == nil && seen.Event != nil {
		if *seen.Event == "" {
			return errors.New("an event without a name")
		}
		c.Events++
		return nil
	}
	var l line
	if err := decode(text, &l); err != nil {
		return err
	}
	if l.Time == nil {
		return errors.New("t_ms is missing")
	}
	at, err := milliseconds("t_ms", *l.Time, maxDuration)
	if err != nil {
		return err
	}
	step := Step{At: at}
	switch n := len(c.Steps); {
	case n == 0 && at != 0:
		return errors.New("t_ms of the first line is not 0")
	case n == MaxSteps:
		return fmt.Errorf("more than %d lines", MaxSteps)
	case n > 0:
		last := c.Steps[n-1]
		if at < last.At {
			return fmt.Errorf("t_ms goes back, from %v to %v", last.At, at)
		}
		step.Up, step.Down = last.Up, last.Down
		if at == last.At {
			c.Steps = c.Steps[:n-1] // two lines of one moment, such as one for each direction
		}
	}
	if l.Dir != "" && l.Dir != "up" && l.Dir != "down" {
		return fmt.Errorf("dir %q is neither up nor down", clip(l.Dir))
	}
	for _, w := range []struct {
		dir string
		way *Way
	}{{"up", &step.Up}, {"down", &step.Down}} {
		if l.Dir != "" && l.Dir != w.dir {
			continue
		}
		if err := l.apply(w.way); err != nil {
			return err
		}
	}
	c.Steps = append(c.Steps, step)
	return nil
}

func (l *line) apply(w *Way) (err error) {
	if l.Delay != nil {
		if w.Delay, err = milliseconds("delay_ms", *l.Delay, maxDelay); err != nil {
			return err
		}
	}
	if l.Rate != nil {
		if *l.Rate > maxRate {
			return fmt.Errorf("rate_bps %d is more than 1 Tbit/s", *l.Rate)
		}
		w.RateBitsPerSecond = *l.Rate
	}
	if l.Loss != nil {
		if !(*l.Loss >= 0 && *l.Loss <= 1) {
			return fmt.Errorf("loss %v is not between 0 and 1", *l.Loss)
		}
		w.Loss = *l.Loss
	}
	return nil
}

// milliseconds rounds to a nanosecond.
func milliseconds(name string, v float64, most time.Duration) (time.Duration, error) {
	if !(v >= 0 && v <= float64(most)/1e6) {
		return 0, fmt.Errorf("%s %v is not between 0 and %v", name, v, most)
	}
	return time.Duration(math.Round(v * 1e6)), nil
}

// Write writes the conditions as ReadConditions reads them.
func (c *Conditions) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	if err := errors.Join(c.WriteHeader(b), c.WriteSteps(b), b.Flush()); err != nil {
		return fmt.Errorf("traces: write conditions: %w", err)
	}
	return nil
}

func inMilliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

// WriteHeader writes the first line.
func (c *Conditions) WriteHeader(w io.Writer) error {
	return json.NewEncoder(w).Encode(header{Format, Version, c.Name, c.Source, inMilliseconds(c.Duration)})
}

// WriteSteps writes the other lines.
func (c *Conditions) WriteSteps(w io.Writer) error {
	enc := json.NewEncoder(w)
	var err error
	ms := inMilliseconds
	write := func(at time.Duration, dir string, way *Way) {
		t, d := ms(at), ms(way.Delay)
		err = errors.Join(err, enc.Encode(line{&t, dir, &d, &way.RateBitsPerSecond, &way.Loss}))
	}
	for i := range c.Steps {
		s := &c.Steps[i]
		if s.Up == s.Down {
			write(s.At, "", &s.Up)
			continue
		}
		write(s.At, "up", &s.Up)
		write(s.At, "down", &s.Down)
	}
	return err
}
