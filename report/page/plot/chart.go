package plot

import (
	"math"
	"slices"
	"strings"
)

// empty reports whether there is nothing to draw, and forgets curves that are.
func (c *chart) empty() bool {
	c.curves = slices.DeleteFunc(c.curves, func(k curve) bool { return k.s.len() == 0 })
	return len(c.curves) == 0
}

// chart draws a chart at the present height.
func (f *figure) chart(c *chart) {
	low, high := f.span(c)
	y := scale{low: low, high: high}
	title := c.title
	factor := 1.0
	if c.time {
		u := unitFor(high)
		factor = u.ns
		title += " [" + u.name + "]"
		if low > 0 && high/low > 30 {
			y.log = true
			y.low, y.high = low*0.8, high*1.25
		}
	}
	if !y.log {
		y.low, y.high = 0, float64(high*1.08)
	}
	f.legend(title, c.curves)
	y.from, y.to = f.y+chartHeight, f.y
	scaled := scale{low: y.low / factor, high: y.high / factor, log: y.log}
	for _, v := range scaled.ticks(4) {
		if c.count && v != math.Trunc(v) {
			continue
		}
		at := y.at(float64(v * factor))
		f.line(f.x.from, at, f.x.to, at, grid)
		f.text(f.x.from-6, at, sizeText, soft, plain(v), anchorEnd...)
	}
	f.within(f.x.from, f.y-4, f.x.to-f.x.from+3, chartHeight+8, func() {
		for i := range c.curves {
			if k := &c.curves[i]; k.mark != nil {
				f.points(k, &y)
			} else {
				f.steps(k, &y)
			}
		}
	})
	f.line(f.x.from, f.y, f.x.from, f.y+chartHeight, soft, "stroke-width", "0.8")
	f.line(f.x.from, f.y+chartHeight, f.x.to, f.y+chartHeight, soft, "stroke-width", "0.8")
	f.y += chartHeight + gap
}

// span returns the least and the greatest value in the figure.
func (f *figure) span(c *chart) (low, high float64) {
	low, high = math.Inf(1), 0
	for _, k := range c.curves {
		first := f.first(k.s)
		if k.mark == nil {
			first = max(first-1, 0) // the value at the beginning
		}
		for i := first; i < len(k.s.t) && k.s.t[i] <= int64(f.cfg.To); i++ {
			low, high = min(low, float64(k.s.v[i])), max(high, float64(k.s.v[i]))
		}
	}
	high = max(high, c.top)
	if high <= 0 {
		high = 1
	}
	return min(low, high), high
}

// first is the index of the first point in the figure.
func (f *figure) first(s *series) int {
	i, _ := slices.BinarySearch(s.t, int64(f.cfg.From))
	return i
}

// legend writes the title of a chart and what its curves are, in as many lines
// as they need.
func (f *figure) legend(title string, curves []curve) {
	f.text(f.x.from, f.y+4, sizeText, ink, title, bold...)
	x := f.x.from + textWidth(title, sizeText)*boldWide + 12
	for _, k := range curves {
		w := 22 + textWidth(k.label, sizeSmall)
		if x+w > f.x.to {
			x = f.x.from
			f.y += 14
		}
		if k.mark != nil {
			f.mark(k.mark(x+8, f.y+4), &k)
		} else {
			f.path("M"+number(x)+" "+number(f.y+4)+"h16", k.colour, max(k.width, 1.2), k.dash...)
		}
		f.text(x+20, f.y+4, sizeSmall, soft, k.label)
		x += w + 10
	}
	f.y += 16
}

func (f *figure) mark(path string, k *curve) {
	const dotWidth = 4.2
	if k.mark(0, 0) == dot(0, 0) {
		f.path(path, k.colour, dotWidth, "stroke-linecap", "round")
		return
	}
	f.path(path, k.colour, 1.2)
}

// steps draws a value that holds until the next; of those that fall on one half
// of a pixel, first, extremes and last.
func (f *figure) steps(k *curve, y *scale) {
	s := k.s
	i := max(f.first(s)-1, 0)
	if i >= len(s.t) || s.t[i] > int64(f.cfg.To) {
		return
	}
	x0 := f.x.at(max(float64(s.t[i]), f.x.low))
	var p strings.Builder
	last := number(y.at(float64(s.v[i])))
	p.WriteString("M" + number(x0) + " " + last)
	to := func(v int64) {
		if at := number(y.at(float64(v))); at != last {
			p.WriteString("V" + at)
			last = at
		}
	}
	for i++; i < len(s.t) && s.t[i] <= int64(f.cfg.To); {
		x := f.x.at(float64(s.t[i]))
		column := math.Floor(x * 2)
		lo, hi, v := s.v[i], s.v[i], s.v[i]
		first := v
		for i++; i < len(s.t) && s.t[i] <= int64(f.cfg.To) && math.Floor(f.x.at(float64(s.t[i]))*2) == column; i++ {
			v = s.v[i]
			lo, hi = min(lo, v), max(hi, v)
		}
		p.WriteString("H" + number(x))
		to(first)
		if lo != first || hi != first {
			to(lo)
			to(hi)
			to(v)
		}
	}
	p.WriteString("H" + number(f.x.to))
	if k.fill {
		f.element("path", "d", p.String()+"V"+number(y.from)+"H"+number(x0)+"Z", "fill", k.colour, "fill-opacity", "0.13")
	}
	f.path(p.String(), k.colour, k.width, k.dash...)
}

// points draws each point once, to half a pixel.
func (f *figure) points(k *curve, y *scale) {
	var p strings.Builder
	type spot struct{ x, y int }
	seen := map[spot]bool{} // looked up only
	for i := f.first(k.s); i < len(k.s.t) && k.s.t[i] <= int64(f.cfg.To); i++ {
		px, py := f.x.at(float64(k.s.t[i])), y.at(float64(k.s.v[i]))
		at := spot{int(px * 2), int(py * 2)}
		if !seen[at] {
			seen[at] = true
			p.WriteString(k.mark(px, py))
		}
	}
	if p.Len() > 0 {
		f.mark(p.String(), k)
	}
}
