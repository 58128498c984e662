package plot

import (
	"math"
	"strings"
)

// A sheet is the figure of a sweep as it grows downwards.
type sheet struct {
	drawing
	t     *Table
	axis  *axis
	width float64
	y     float64
}

const sheetHeight = 150.0

// looks are how curves are told apart.
var looks = []struct {
	colour string
	dash   []string
	mark   func(x, y float64) string
}{
	{blue, nil, ring},
	{orange, []string{"stroke-dasharray", "6 3"}, square},
	{green, []string{"stroke-dasharray", "2 2"}, triangle},
	{red, []string{"stroke-dasharray", "8 3 2 3"}, cross},
	{purple, []string{"stroke-dasharray", "1 3"}, diamond},
	{sky, []string{"stroke-dasharray", "10 4"}, ring},
}

// chart draws the curves of a metric; the last one has the axis.
func (s *sheet) chart(metric string, lines []line, last bool) {
	x := s.across()
	y, factor, title := s.upward(metric, lines)
	s.legend(title, lines, x.from, x.to)
	y.from, y.to = s.y+sheetHeight, s.y
	scaled := scale{low: y.low / factor, high: y.high / factor}
	for _, v := range scaled.ticks(5) {
		at := y.at(float64(v * factor))
		s.line(x.from, at, x.to, at, grid)
		s.text(x.from-6, at, sizeText, soft, plain(v), anchorEnd...)
	}
	bottom := s.y + sheetHeight
	s.labels(&x, bottom, last)
	drawn := 0
	for _, l := range lines {
		drawn += len(l.points)
	}
	if drawn == 0 {
		s.text((x.from+x.to)/2, (s.y+bottom)/2, sizeText, soft, "no run has a value", anchorMiddle...)
	}
	for i, l := range lines {
		s.curve(i, l.points, &x, &y, len(lines))
	}
	s.line(x.from, s.y, x.from, bottom, soft, "stroke-width", "0.8")
	s.line(x.from, bottom, x.to, bottom, soft, "stroke-width", "0.8")
	s.y = bottom + gap
	if last {
		s.y = bottom + 36
	}
}

// across is the scale of the key, with some room at both ends.
func (s *sheet) across() scale {
	x := scale{low: 0, high: float64(len(s.axis.values) - 1), from: marginLeft, to: s.width - marginRight}
	if n := s.axis.numbers; n != nil {
		x.low, x.high = n[0], n[0]
		for _, v := range n {
			x.low, x.high = min(x.low, v), max(x.high, v)
		}
	}
	room := (x.high - x.low) * 0.04
	if room == 0 {
		room = 0.5
	}
	x.low, x.high = x.low-room, x.high+room
	return x
}

// upward is the scale of a metric.
func (s *sheet) upward(metric string, lines []line) (y scale, factor float64, title string) {
	y = scale{low: 0}
	for _, l := range lines {
		for _, p := range l.points {
			y.low, y.high = min(y.low, p.low), max(y.high, p.high)
		}
	}
	title = strings.ReplaceAll(metric, "_", " ")
	factor = 1
	switch {
	case metric == "pass_rate":
		y.high, factor = 1, 0.01
		title = "runs that passed [%]"
	case isTime(metric):
		u := unitFor(y.high)
		factor = u.ns
		title += " [" + u.name + "]"
	}
	if y.high <= y.low {
		y.high = y.low + factor
	}
	y.high += (y.high - y.low) * 0.06
	return y, factor, title
}

// labels draws the axis of the key; names only where they are asked for.
func (s *sheet) labels(x *scale, bottom float64, names bool) {
	title := s.axis.key
	put := func(at float64, text string, room float64) {
		s.line(at, bottom, at, bottom+4, soft)
		if names {
			s.text(at, bottom+12, sizeText, soft, fit(text, room, sizeText), anchorMiddle...)
		}
	}
	room := (x.to - x.from) / float64(len(s.axis.values))
	switch {
	case s.axis.numbers == nil:
		for i, v := range s.axis.values {
			put(x.at(float64(i)), v, room)
		}
	case s.axis.time:
		u := unitFor(x.high)
		for _, v := range s.marks(x, u.ns) {
			put(x.at(v), plain(v/u.ns), 80)
		}
		title += " [" + u.name + "]"
	default:
		for _, v := range s.marks(x, 1) {
			put(x.at(v), plain(v), 80)
		}
		if s.axis.unit != "" {
			title += " [" + s.axis.unit + "]"
		}
	}
	if names {
		s.text((x.from+x.to)/2, bottom+27, sizeText, soft, title, anchorMiddle...)
	}
}

// marks are the values themselves where they are few and not too near, or else
// round ones.
func (s *sheet) marks(x *scale, factor float64) []float64 {
	last, crowded := math.Inf(-1), len(s.axis.numbers) > 16
	for _, v := range s.axis.numbers {
		at := x.at(v)
		crowded = crowded || math.Abs(at-last) < 34
		last = at
	}
	if !crowded {
		return s.axis.numbers
	}
	var all []float64
	for _, v := range ticks(x.low/factor, x.high/factor, 8) {
		if v*factor >= x.low && (v >= 0 || x.low < -x.high/10) {
			all = append(all, v*factor)
		}
	}
	return all
}

// curve draws means as a line, and their intervals as bars. Curves stand a
// little beside each other, so that their bars can be told apart.
func (s *sheet) curve(i int, points []estimate, x, y *scale, of int) {
	look := looks[i%len(looks)]
	shift := (float64(i) - float64(of-1)/2) * 3
	var line, bars, marks strings.Builder
	for k, p := range points {
		px, py := x.at(p.x)+shift, y.at(p.mean)
		letter := "L"
		if k == 0 {
			letter = "M"
		}
		line.WriteString(letter + number(px) + " " + number(py))
		marks.WriteString(look.mark(px, py))
		if low, high := y.at(p.low), y.at(p.high); number(low) != number(high) {
			bars.WriteString("M" + number(px-3) + " " + number(low) + "h6m-3 0V" + number(high) + "m-3 0h6")
		}
	}
	s.path(bars.String(), look.colour, 1)
	if len(points) > 1 {
		s.path(line.String(), look.colour, 1.5, look.dash...)
	}
	if marks.Len() > 0 {
		s.element("path", "d", marks.String(), "fill", white, "stroke", look.colour, "stroke-width", "1.4")
	}
}

func (s *sheet) legend(title string, lines []line, from, to float64) {
	s.text(from, s.y+4, sizeText, ink, title, bold...)
	x := from + textWidth(title, sizeText)*boldWide + 12
	for i, l := range lines {
		if l.label == "" {
			continue
		}
		look := looks[i%len(looks)]
		label := fit(l.label, to-from-40, sizeSmall)
		w := 30 + textWidth(label, sizeSmall)
		if x+w > to {
			x = from
			s.y += 14
		}
		s.path("M"+number(x)+" "+number(s.y+4)+"h24", look.colour, 1.5, look.dash...)
		s.element("path", "d", look.mark(x+12, s.y+4), "fill", white, "stroke", look.colour, "stroke-width", "1.4")
		s.text(x+28, s.y+4, sizeSmall, soft, label)
		x += w + 10
	}
	s.y += 16
}
