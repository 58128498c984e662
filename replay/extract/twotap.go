package extract

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Pair extracts the conditions of the link between two captures. Which of them is
// the device's comes out of the times.
func Pair(a, b *Capture) (*Conditions, error) {
	if a.cfg.Device != b.cfg.Device {
		return nil, fmt.Errorf("extract: two captures of two devices, %v and %v", a.cfg.Device, b.cfg.Device)
	}
	device, err := a.ends()
	if err != nil {
		return nil, err
	}
	if b.cfg.Device = device; true {
		// Behind a NAT the device has another address there.
		if _, err := b.ends(); err != nil {
			b.cfg.Device = a.cfg.Device
			if _, err = b.ends(); err != nil {
				return nil, err
			}
		}
	}
	p, err := pair(a, b)
	if err != nil {
		return nil, err
	}
	c := &Conditions{Files: []string{p.a.File, p.b.File}, Device: device, Duration: p.duration(), device: p.a, far: p.b}
	k := &p.clock
	c.Clock = &Clock{Offset: nanos(k.offset), SkewPPM: k.skew * 1e6, Min: nanos(k.low), Max: nanos(k.high), Trusted: k.trusted}
	c.artefacts(p.a)
	c.artefacts(p.b)
	p.clashes(c)
	for _, w := range ways {
		p.way(c, w)
	}
	p.outages(c)
	for _, w := range ways {
		p.models(c, w)
	}
	p.roundTrip(c)
	c.sort()
	return c, nil
}

func nanos(f float64) time.Duration {
	if math.IsInf(f, 0) {
		return 0
	}
	return time.Duration(math.Round(f))
}

// duration is until when both captures show something.
func (p *pairing) duration() time.Duration {
	last := int64(0)
	for i := range p.a.packets {
		last = max(last, p.a.packets[i].at)
	}
	return time.Duration(last)
}

// sort puts all lists in the order of time.
func (c *Conditions) sort() {
	slices.SortStableFunc(c.Drops, func(x, y Drop) int { return int(x.At - y.At) })
	slices.SortStableFunc(c.Delays, func(x, y Delay) int { return int(x.At - y.At) })
	slices.SortStableFunc(c.Outages, func(x, y Outage) int { return int(x.Start - y.Start) })
}

// way writes down what became of the frames of one direction.
func (p *pairing) way(c *Conditions, w way) {
	from, to, out := p.sender(w), p.receiver(w), c.of(w)
	var delays []int64
	newest := int64(math.MinInt64) // arrival of the first of those sent later, from the end
	overtaken := map[int]int64{}   // by index of the match, when the first that overtook it came
	for k := len(p.dir[w]) - 1; k >= 0; k-- {
		m := &p.dir[w][k]
		if m.got < 0 {
			continue
		}
		at := p.time(to, m.got)
		if newest != math.MinInt64 && at > newest {
			overtaken[k] = newest
		}
		if newest == math.MinInt64 || at < newest {
			newest = at
		}
	}
	for k := range p.dir[w] {
		m := &p.dir[w][k]
		f := &from.packets[m.sent]
		at := p.time(from, m.sent)
		if m.outside || m.missed {
			continue
		}
		out.Sent++
		if m.got < 0 {
			d := Drop{Dir: w.String(), Frame: f.frame, At: time.Duration(at), What: f.what(), Len: f.len, Confidence: 1, Cause: "loss"}
			if m.open {
				d.Confidence = 0.5 // nothing shows that the far capture went on for long enough
			}
			out.Lost.add(d.Confidence == 1)
			if f.carries() > 0 {
				out.Data.add(d.Confidence == 1)
			}
			c.Drops = append(c.Drops, d)
			continue
		}
		out.Arrived++
		took := p.time(to, m.got) - at
		delays = append(delays, took)
		c.Delays = append(c.Delays, Delay{w.String(), f.frame, time.Duration(at), time.Duration(took), to.packets[m.got].frame, f.len})
		if first, ok := overtaken[k]; ok {
			c.Reorders = append(c.Reorders, Late{w.String(), f.frame, time.Duration(at), time.Duration(at + took - first)})
		}
		g := &to.packets[m.got]
		if f.body != 0 && g.body != 0 && f.body != g.body {
			c.Corrupted = append(c.Corrupted, Twice{w.String(), f.frame, time.Duration(at), g.frame})
		}
		for _, j := range m.copies {
			c.Duplicates = append(c.Duplicates, Twice{w.String(), f.frame, time.Duration(at), to.packets[j].frame})
		}
	}
	out.Delay = spread(delays)
	p.rate(out, w)
	p.queue(c, out, w)
	first := true
	for _, d := range c.Delays {
		if own := d.Took - out.own(d.Len); d.Dir == w.String() && (first || own < out.Propagation) {
			out.Propagation, first = own, false
		}
	}
}

// own is how long a frame of that length takes at the rate of the link.
func (v *Way) own(n int) time.Duration {
	if v.Rate == 0 {
		return 0
	}
	return time.Duration(float64(n) * 8e9 / float64(v.Rate))
}

// add counts one more: for sure, or perhaps.
func (b *Bounds) add(sure bool) {
	b.Estimate++
	b.Max++
	if sure {
		b.Min++
	}
}

// roundTrip adds up what both directions took at least: that is what a round trip
// takes without queues.
func (p *pairing) roundTrip(c *Conditions) {
	u, d := &c.Up.Delay, &c.Down.Delay
	if u.Samples == 0 || d.Samples == 0 {
		return
	}
	c.RTT = Spread{min(u.Samples, d.Samples), u.Min + d.Min, u.Median + d.Median, u.P99 + d.P99, u.Most + d.Most}
}

// models fits the losses that no outage and no queue explains.
func (p *pairing) models(c *Conditions, w way) {
	explained := map[uint64]bool{} // looked up only
	for _, d := range c.Drops {
		if d.Dir == w.String() && d.Cause != "loss" {
			explained[d.Frame] = true
		}
	}
	var lost []bool
	for _, m := range p.dir[w] {
		if !m.outside && !m.missed && !explained[p.sender(w).packets[m.sent].frame] {
			lost = append(lost, m.got < 0)
		}
	}
	c.of(w).Model = fit(lost)
}

// clashes are frames that one capture has and cannot have got from the other side
// of the link, and those that the far tap missed.
func (p *pairing) clashes(c *Conditions) {
	for _, w := range ways {
		to := p.receiver(w)
		n, first := 0, -1
		for _, m := range p.dir[w] {
			if m.missed {
				if n++; first < 0 {
					first = m.sent
				}
			}
		}
		if n > 0 {
			from := p.sender(w)
			c.Artefacts = append(c.Artefacts, Artefact{
				At: time.Duration(p.time(from, first)), File: to.File, Kind: "missing", Count: n,
				Text: fmt.Sprintf("%d frames %s are not in %s, but its host acknowledged them: the tap lost them; the first is frame %d of %s",
					n, w, to.File, from.packets[first].frame, from.File),
			})
		}
		if k := len(p.extra[w]); k > 0 {
			first := p.extra[w][0]
			c.Artefacts = append(c.Artefacts, Artefact{
				At: time.Duration(p.time(to, first)), File: to.File, Frame: to.packets[first].frame, Kind: "unsent", Count: k,
				Text: fmt.Sprintf("%d frames %s in %s are not in %s: its tap lost them, was not there yet, or something between them made or changed them",
					k, w, to.File, p.sender(w).File),
			})
		}
	}
}
