package extract

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hilnet/link/traces"
)

// An event is a line of a conditions file that says what was seen. Times are
// seconds since the first frame.
type event struct {
	Event      string   `json:"event"`
	Dir        string   `json:"dir,omitempty"`
	Frame      uint64   `json:"frame,omitempty"`
	T          float64  `json:"t"`
	Confidence *float64 `json:"confidence,omitempty"`

	Until     *float64 `json:"until,omitempty"`
	Earliest  *float64 `json:"earliest,omitempty"`
	Latest    *float64 `json:"latest,omitempty"`
	Kind      string   `json:"kind,omitempty"`
	What      string   `json:"what,omitempty"`
	Cause     string   `json:"cause,omitempty"`
	Len       int      `json:"len,omitempty"`
	Arrived   uint64   `json:"arrived_frame,omitempty"`
	DelayMS   *float64 `json:"delay_ms,omitempty"`
	LateMS    *float64 `json:"late_ms,omitempty"`
	File      string   `json:"file,omitempty"`
	Count     int      `json:"count,omitempty"`
	Text      string   `json:"text,omitempty"`
	Frames    *int     `json:"frames,omitempty"`
	Lost      *bounds3 `json:"lost,omitempty"`
	Data      *bounds3 `json:"data_lost,omitempty"`
	MinMS     *float64 `json:"min_ms,omitempty"`
	MedianMS  *float64 `json:"median_ms,omitempty"`
	P99MS     *float64 `json:"p99_ms,omitempty"`
	MaxMS     *float64 `json:"max_ms,omitempty"`
	Samples   int      `json:"samples,omitempty"`
	Rate      uint64   `json:"rate_bps,omitempty"`
	AtLeast   uint64   `json:"at_least_bps,omitempty"`
	Queue     int      `json:"queue_bytes,omitempty"`
	Model     string   `json:"model,omitempty"`
	Share     *float64 `json:"share,omitempty"`
	ToBad     *float64 `json:"to_bad,omitempty"`
	ToGood    *float64 `json:"to_good,omitempty"`
	Ratio     *float64 `json:"likelihood_ratio,omitempty"`
	OffsetMS  *float64 `json:"offset_ms,omitempty"`
	SkewPPM   *float64 `json:"skew_ppm,omitempty"`
	Assumed   string   `json:"assumed,omitempty"`
	OffsetMin *float64 `json:"offset_min_ms,omitempty"`
	OffsetMax *float64 `json:"offset_max_ms,omitempty"`
}

type bounds3 struct {
	Min      int `json:"min"`
	Estimate int `json:"estimate"`
	Max      int `json:"max"`
}

func seconds(d time.Duration) float64 { return float64(d) / 1e9 }

func ms(d time.Duration) *float64 {
	v := float64(d) / 1e6
	return &v
}

func ptr[T any](v T) *T { return &v }

// Write writes the conditions as JSON lines: a conditions file of package
// link/traces, in which the lines with "event" say what was seen.
func (c *Conditions) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	steps := c.Trace()
	err := steps.WriteHeader(b)
	for _, e := range c.summary() {
		err = errors.Join(err, enc.Encode(e))
	}
	for _, h := range c.happenings() {
		if err == nil {
			err = enc.Encode(c.event(h))
		}
	}
	err = errors.Join(err, steps.WriteSteps(b), b.Flush())
	if err != nil {
		return fmt.Errorf("extract: write conditions: %w", err)
	}
	return nil
}

// A happening is a line that concerns one moment: where it is kept, for there may be
// millions.
type happening struct {
	at   time.Duration
	kind happeningKind
	i    int
}

type happeningKind uint8

const (
	dropped happeningKind = iota
	doubled
	changed
	overtaken
	cutOff
	delayed
)

// happenings are those lines, by time.
func (c *Conditions) happenings() []happening {
	all := make([]happening, 0, len(c.Drops)+len(c.Duplicates)+len(c.Corrupted)+len(c.Reorders)+len(c.Outages)+len(c.Delays))
	note := func(kind happeningKind, n int, at func(int) time.Duration) {
		for i := range n {
			all = append(all, happening{at(i), kind, i})
		}
	}
	note(dropped, len(c.Drops), func(i int) time.Duration { return c.Drops[i].At })
	note(doubled, len(c.Duplicates), func(i int) time.Duration { return c.Duplicates[i].At })
	note(changed, len(c.Corrupted), func(i int) time.Duration { return c.Corrupted[i].At })
	note(overtaken, len(c.Reorders), func(i int) time.Duration { return c.Reorders[i].At })
	note(cutOff, len(c.Outages), func(i int) time.Duration { return c.Outages[i].Start })
	note(delayed, len(c.Delays), func(i int) time.Duration { return c.Delays[i].At })
	slices.SortStableFunc(all, func(x, y happening) int { return cmp.Compare(x.at, y.at) })
	return all
}

// event is the line of a happening.
func (c *Conditions) event(h happening) event {
	switch h.kind {
	case dropped:
		d := &c.Drops[h.i]
		return event{Event: "drop", Dir: d.Dir, Frame: d.Frame, T: seconds(d.At), Confidence: ptr(d.Confidence), What: d.What, Cause: d.Cause, Len: d.Len}
	case doubled:
		d := &c.Duplicates[h.i]
		return event{Event: "duplicate", Dir: d.Dir, Frame: d.Frame, T: seconds(d.At), Arrived: d.Arrived}
	case changed:
		d := &c.Corrupted[h.i]
		return event{Event: "corrupt", Dir: d.Dir, Frame: d.Frame, T: seconds(d.At), Arrived: d.Arrived}
	case overtaken:
		d := &c.Reorders[h.i]
		return event{Event: "reorder", Dir: d.Dir, Frame: d.Frame, T: seconds(d.At), LateMS: ms(d.By)}
	case cutOff:
		o := &c.Outages[h.i]
		return event{
			Event: "outage", Dir: o.Dir, T: seconds(o.Start), Until: ptr(seconds(o.End)), Earliest: ptr(seconds(o.Earliest)),
			Latest: ptr(seconds(o.Latest)), Frames: ptr(o.Frames), Confidence: ptr(o.Confidence),
		}
	}
	d := &c.Delays[h.i]
	return event{Event: "delay", Dir: d.Dir, Frame: d.Frame, T: seconds(d.At), DelayMS: ms(d.Took), Arrived: d.Arrived}
}

// summary are the lines that concern the whole.
func (c *Conditions) summary() []event {
	all := []event{{Event: "taps", Count: len(c.Files), Kind: c.Place, File: strings.Join(c.base(), " "), What: c.Device.String()}}
	for _, a := range c.Artefacts {
		all = append(all, event{Event: "capture", Kind: a.Kind, Frame: a.Frame, T: seconds(a.At), File: filepath.Base(a.File), Count: a.Count, Text: a.Text})
	}
	if k := c.Clock; k != nil {
		assumed := "both ways are equally fast"
		if k.Trusted {
			assumed = "the clocks agree"
		}
		all = append(all, event{Event: "clock", OffsetMS: ms(k.Offset), SkewPPM: &k.SkewPPM, OffsetMin: ms(k.Min), OffsetMax: ms(k.Max), Assumed: assumed})
	}
	if r := c.RTT; r.Samples > 0 {
		all = append(all, event{Event: "rtt", MinMS: ms(r.Min), MedianMS: ms(r.Median), P99MS: ms(r.P99), MaxMS: ms(r.Most), Samples: r.Samples})
	}
	for _, w := range ways {
		v := c.of(w)
		e := event{Event: "link", Dir: w.String(), Frames: ptr(v.Sent), Lost: (*bounds3)(&v.Lost), Data: (*bounds3)(&v.Data)}
		e.Rate, e.AtLeast, e.Queue = v.Rate, v.AtLeast, v.Queue
		if d := v.Delay; d.Samples > 0 {
			e.MinMS, e.MedianMS, e.P99MS, e.MaxMS, e.Samples = ms(d.Min), ms(d.Median), ms(d.P99), ms(d.Most), d.Samples
		}
		all = append(all, e)
		m := v.Model
		e = event{Event: "model", Dir: w.String(), Model: m.Name, Share: &m.Share, Ratio: &m.LikelihoodRatio, Frames: ptr(m.Frames)}
		if m.Name == "gilbert-elliott" {
			e.ToBad, e.ToGood = &m.ToBad, &m.ToGood
		}
		all = append(all, e)
	}
	return all
}

func (c *Conditions) base() []string {
	var names []string
	for _, f := range c.Files {
		names = append(names, filepath.Base(f))
	}
	return names
}

// window is how long a delay holds in the trace of a long capture; longer where clocks
// that leap make centuries of it.
func (c *Conditions) window() time.Duration {
	const usual, most = 10 * time.Second, 1 << 20 // four months
	return max(usual, c.Duration/most)
}

// Trace returns what a link can play: the shortest delay of each ten seconds, the
// rate, the share of losses that neither an outage nor a queue explains, and the
// outages.
func (c *Conditions) Trace() *traces.Conditions {
	t := &traces.Conditions{Name: strings.TrimSuffix(c.base()[0], filepath.Ext(c.base()[0])), Source: "replay extract " + strings.Join(c.base(), " ")}
	t.Duration = max(c.Duration, time.Millisecond) + time.Millisecond
	times, window := []time.Duration{0}, c.window()
	for at := window; at < c.Duration-window/2; at += window {
		times = append(times, at)
	}
	for _, o := range c.Outages {
		times = append(times, o.Start, o.End)
	}
	slices.Sort(times)
	times = slices.DeleteFunc(slices.Compact(times), func(at time.Duration) bool { return at < 0 || at >= t.Duration })
	lows := [3][]time.Duration{up: c.lows(up), down: c.lows(down)}
	var last traces.Step
	for i, at := range times {
		s := traces.Step{At: at}
		for _, w := range ways {
			way := &s.Up
			if w == down {
				way = &s.Down
			}
			low := lows[w]
			*way = traces.Way{Delay: low[min(int(at/window), len(low)-1)], RateBitsPerSecond: c.of(w).Rate, Loss: c.of(w).Model.Share}
			for _, o := range c.Outages {
				if at >= o.Start && at < o.End && (o.Dir == "both" || o.Dir == w.String()) {
					way.Loss = 1
				}
			}
		}
		if i > 0 && s.Up == last.Up && s.Down == last.Down {
			continue
		}
		t.Steps = append(t.Steps, s)
		last = s
	}
	return t
}

// lows are the shortest delays of each window; where there is none, those of the
// one before.
func (c *Conditions) lows(w way) []time.Duration {
	least := c.of(w).Propagation
	if c.of(w).Delay.Samples == 0 {
		least = c.RTT.Min / 2
	}
	window := c.window()
	all := make([]time.Duration, max(1, int((c.Duration-window/2)/window)+1))
	for i := range all {
		all[i] = -1
	}
	for _, d := range c.Delays {
		if d.Dir == w.String() {
			i := min(int(d.At/window), len(all)-1)
			if took := max(0, d.Took-c.of(w).own(d.Len)); i >= 0 && (all[i] < 0 || took < all[i]) {
				all[i] = took
			}
		}
	}
	// Differences that are within what clocks and machines do are none.
	const noise = 2 * time.Millisecond
	before := max(least, 0)
	for i := range all {
		if all[i] < 0 || all[i]-before < max(noise, before/10) && before-all[i] < max(noise, before/10) {
			all[i] = before
		}
		before = all[i]
	}
	return all
}
