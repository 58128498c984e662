package extract

import (
	"time"
)

// What makes an outage of losses: so many in a row without a frame that passes,
// over such a time.
const (
	leastOutageFrames = 3
	leastOutage       = time.Second
	maxOutages        = 1000 // of a direction; more than that are losses
)

// A passage is a frame in the order of sending, and whether it passed.
type passage struct {
	at     int64
	passed bool
	frame  uint64
}

// outages finds the times in which nothing passed.
func (p *pairing) outages(c *Conditions) {
	var rows [3][]passage
	for _, w := range ways {
		from := p.sender(w)
		for _, m := range p.dir[w] {
			if !m.outside && !m.missed {
				rows[w] = append(rows[w], passage{p.time(from, m.sent), m.got >= 0, from.packets[m.sent].frame})
			}
		}
	}
	c.findOutages(rows)
}

// findOutages looks for runs of losses in both directions, and joins them.
func (c *Conditions) findOutages(rows [3][]passage) {
	var runs [3][]Outage
	for _, w := range ways {
		runs[w] = runsOf(rows[w], int64(c.Duration))
	}
	var all []Outage
	for _, o := range runs[up] {
		o.Dir = "up"
		all = append(all, o)
	}
	for _, o := range runs[down] {
		o.Dir = "down"
		joined := false
		for i := range all {
			if a := &all[i]; a.Dir != "down" && a.Start <= o.End && o.Start <= a.End {
				a.Dir, joined = "both", true
				a.Start, a.End = min(a.Start, o.Start), max(a.End, o.End)
				a.Earliest, a.Latest = min(a.Earliest, o.Earliest), max(a.Latest, o.Latest)
				a.Frames += o.Frames
				a.Confidence = max(a.Confidence, o.Confidence)
			}
		}
		if !joined {
			all = append(all, o)
		}
	}
	for i := range all {
		o := &all[i]
		other := map[string]way{"up": down, "down": up}[o.Dir]
		if other != noWay && !passes(rows[other], o) {
			o.Dir = "both" // nothing that came the other way speaks against it
			o.Confidence *= 0.9
		}
		c.explain(o)
	}
	c.Outages = all
}

// passes reports whether a frame passed within an outage.
func passes(row []passage, o *Outage) bool {
	for _, f := range row {
		if f.passed && f.at > int64(o.Start) && f.at < int64(o.End) {
			return true
		}
	}
	return false
}

// explain says of the losses in an outage that they are its.
func (c *Conditions) explain(o *Outage) {
	for i := range c.Drops {
		d := &c.Drops[i]
		if d.At >= o.Start && d.At <= o.End && (o.Dir == "both" || o.Dir == d.Dir) {
			d.Cause = "outage"
		}
	}
}

// runsOf finds runs of losses in a row. Their edges lie between the frames around
// them: the end in the middle, the start shortly before the first that was lost.
func runsOf(row []passage, duration int64) []Outage {
	const lead = int64(50 * time.Millisecond)
	var all []Outage
	for i := 0; i < len(row) && len(all) < maxOutages; {
		if row[i].passed {
			i++
			continue
		}
		j := i
		for j < len(row) && !row[j].passed {
			j++
		}
		first, last := row[i].at, row[j-1].at
		if j-i >= leastOutageFrames && last-first >= int64(leastOutage) {
			o := Outage{Frames: j - i, Confidence: 1, Earliest: 0, Latest: time.Duration(duration)}
			start, end := first, last
			if i > 0 {
				o.Earliest = time.Duration(row[i-1].at)
				start = first - min((first-row[i-1].at)/2, lead)
			}
			if j < len(row) {
				o.Latest = time.Duration(row[j].at)
				end = last + (row[j].at-last)/2
			} else {
				o.NeverPassed = true
				end = max(last, duration)
			}
			o.Start, o.End = time.Duration(max(0, start)), time.Duration(end)
			all = append(all, o)
		}
		i = j
	}
	return all
}
