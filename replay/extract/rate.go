package extract

import (
	"slices"
	"time"
)

// leastTrain is how many frames in a row, each of which waited for the one before,
// prove a rate.
const leastTrain = 8

// An interval is the time that a frame took to pass the slowest place.
type interval struct {
	bytes int
	took  int64
}

// rate finds the bit rate of a direction: from frames that were already waiting when
// the one before them left, so that the link was busy in between.
func (p *pairing) rate(out *Way, w way) {
	from, to := p.sender(w), p.receiver(w)
	least := int64(out.Delay.Min)
	var trains [][]interval
	var train []interval
	last := -1
	end := func() {
		if len(train) >= leastTrain {
			trains = append(trains, train)
		}
		train = nil
	}
	for k := range p.dir[w] {
		m := &p.dir[w][k]
		if m.got < 0 {
			continue
		}
		if last >= 0 {
			before := p.time(to, p.dir[w][last].got)
			at := p.time(to, m.got)
			if p.time(from, m.sent) <= before-least && at > before {
				train = append(train, interval{from.packets[m.sent].len, at - before})
			} else {
				end()
			}
		}
		last = k
	}
	end()
	out.Rate, out.RateOf = rateOf(trains)
	if out.Rate == 0 {
		out.AtLeast = p.atLeast(w)
	}
}

// rateOf is the median of the rates of all frames in trains, if the frames within a
// train agree: on a link that jitters they do not. It is that of single frames, for
// an acknowledgement that was held back spoils the ends of a train.
func rateOf(trains [][]interval) (rate uint64, frames int) {
	var rates []float64
	for _, t := range trains {
		var single []float64
		for _, i := range t {
			single = append(single, float64(i.bytes)*8e9/float64(i.took))
		}
		slices.Sort(single)
		if lower, upper := single[len(single)/4], single[len(single)*3/4]; upper > 1.4*lower {
			continue
		}
		rates = append(rates, single...)
		frames += len(t)
	}
	if len(rates) == 0 {
		return 0, 0
	}
	return uint64(medianOf(rates) + 0.5), frames
}

// atLeast is the rate that the link had at least: the most that passed in a tenth
// of a second.
func (p *pairing) atLeast(w way) uint64 {
	const span = int64(100 * time.Millisecond)
	from, to := p.sender(w), p.receiver(w)
	var at []int64
	var bytes []int
	for k := range p.dir[w] {
		if m := &p.dir[w][k]; m.got >= 0 {
			at = append(at, p.time(to, m.got))
			bytes = append(bytes, from.packets[m.sent].len)
		}
	}
	return busiest(at, bytes, span)
}

// busiest is the most that came in a span, in bit/s.
func busiest(at []int64, bytes []int, span int64) uint64 {
	most, held, first := 0, 0, 0
	for i := range at {
		held += bytes[i]
		for at[i]-at[first] > span && first < i {
			held -= bytes[first]
			first++
		}
		most = max(most, held)
	}
	return uint64(most) * 8 * uint64(time.Second) / uint64(span)
}

// queue tells the frames that a full queue dropped: they came while what waited
// took nearly as long as it ever did.
func (p *pairing) queue(c *Conditions, out *Way, w way) {
	if out.Rate == 0 || out.Lost.Estimate == 0 {
		return
	}
	from, to := p.sender(w), p.receiver(w)
	least, most := int64(out.Delay.Min), int64(out.Delay.Most)
	const full = 0.7
	edge := least + int64(full*float64(most-least))
	dropped := map[uint64]bool{} // looked up only
	waits := int64(-1)           // of the frame that arrived before
	for k := range p.dir[w] {
		m := &p.dir[w][k]
		switch {
		case m.got >= 0:
			waits = p.time(to, m.got) - p.time(from, m.sent)
		case !m.outside && !m.missed && waits >= edge:
			dropped[from.packets[m.sent].frame] = true
		}
	}
	n := 0
	for i := range c.Drops {
		if d := &c.Drops[i]; d.Dir == w.String() && dropped[d.Frame] {
			d.Cause = "queue"
			n++
		}
	}
	if n > 0 {
		out.Queue = int(float64(out.Rate) / 8e9 * float64(most-least))
	}
}
