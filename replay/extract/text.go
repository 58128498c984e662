package extract

import (
	"fmt"
	"strings"
	"time"
)

// Extract extracts the conditions of one capture, or of those of both ends. A
// capture with two interfaces is taken for those of both ends if they show the same
// frames.
func Extract(captures ...*Capture) (*Conditions, error) {
	if len(captures) == 2 {
		return Pair(captures[0], captures[1])
	}
	one := captures[0]
	if a, b := one.split(); b != nil {
		if c, err := Pair(a, b); err == nil {
			return c, nil
		}
	}
	return Single(one)
}

// Text is what a person wants to know first.
func (c *Conditions) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s: device %v, %v", strings.Join(c.base(), " and "), c.Device, c.Duration.Round(time.Millisecond))
	for _, a := range c.Artefacts {
		line("  CAPTURE %s: %s", a.Kind, a.Text)
	}
	if k := c.Clock; k != nil && k.Trusted {
		line("  the clocks agree, or differ by %v to %v", k.Min.Round(time.Microsecond), k.Max.Round(time.Microsecond))
	} else if k != nil {
		line("  the second clock is %v ahead (%v to %v), %+.1f ppm: taken so that both ways are equally fast", k.Offset.Round(time.Microsecond), k.Min.Round(time.Microsecond), k.Max.Round(time.Microsecond), k.SkewPPM)
	}
	if c.Place != "" {
		line("  captured %s", c.Place)
	}
	if c.RTT.Samples > 0 {
		line("  there and back %v at least, %v in the middle, %v at most", micro(c.RTT.Min), micro(c.RTT.Median), micro(c.RTT.Most))
	}
	for _, w := range ways {
		c.of(w).text(line, w)
	}
	for _, o := range c.Outages {
		line("  outage, %s: %v to %v, %d frames lost in it", o.Dir, milli(o.Start), milli(o.End), o.Frames)
	}
	n := len(c.Duplicates) + len(c.Reorders) + len(c.Corrupted)
	if n > 0 {
		line("  %d frames arrived twice, %d behind later ones, %d changed", len(c.Duplicates), len(c.Reorders), len(c.Corrupted))
	}
	return b.String()
}

func micro(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
func milli(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func (v *Way) text(line func(string, ...any), w way) {
	text := fmt.Sprintf("  %-4s %d frames, %s lost (%s of them with data)", w, v.Sent, v.Lost, v.Data)
	if d := v.Delay; d.Samples > 0 {
		text += fmt.Sprintf("; %v at least, %v in the middle, %v at most", micro(d.Min), micro(d.Median), micro(d.Most))
	}
	switch {
	case v.Rate > 0:
		text += fmt.Sprintf("; %d bit/s, by %d frames", v.Rate, v.RateOf)
	case v.AtLeast > 0:
		text += fmt.Sprintf("; never busy, at least %d bit/s", v.AtLeast)
	}
	line("%s", text)
	switch m := v.Model; m.Name {
	case "independent":
		line("       losses fit: independent, %.2f %%", 100*m.Share)
	case "gilbert-elliott":
		line("       losses fit: Gilbert-Elliott, %.2f %%, to bad %.2f %%, to good %.2f %% (likelihood ratio %.1f)", 100*m.Share, 100*m.ToBad, 100*m.ToGood, m.LikelihoodRatio)
	}
}

// String shows a number that is known, or what it lies between.
func (b Bounds) String() string {
	if b.Min == b.Max {
		return fmt.Sprint(b.Estimate)
	}
	return fmt.Sprintf("about %d (%d to %d)", b.Estimate, b.Min, b.Max)
}
