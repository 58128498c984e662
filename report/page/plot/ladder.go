package plot

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// The layout of the ladder.
const (
	rowHeight  = 16.0
	pauseRoom  = 10.0 // where nothing happens for longer than longPause
	longPause  = int64(time.Second)
	slant      = 4.0  // of an arrow, downwards
	ladderLeft = 96.0 // the device's line
	ladderWide = 140.0
	stampRight = 62.0 // of the column of times
	// MaxRows is how many rows a ladder has at most: more are not legible on a
	// page.
	MaxRows = 80
	before  = 5 // rows in front of the first problem
)

// rows are the frames and events in the figure, at most MaxRows of them.
func (f *figure) rows() (shown []moment, first, all int) {
	d := f.d
	from, to := int64(f.cfg.From), int64(f.cfg.To)
	var rows []moment
	for _, m := range slices.Concat(d.events, d.frames) {
		if m.t >= from && m.t <= to {
			rows = append(rows, m)
		}
	}
	slices.SortStableFunc(rows, func(a, b moment) int { return cmp.Compare(a.t, b.t) })
	if len(rows) <= MaxRows {
		return rows, 0, len(rows)
	}
	if f.cfg.From == 0 {
		if i := slices.IndexFunc(rows, func(m moment) bool { return m.lost || m.died || m.again || m.event && m.level > 1 }); i > before {
			first = min(i-before, len(rows)-MaxRows)
		}
	}
	return rows[first:min(first+MaxRows, len(rows))], first, len(rows)
}

// ladder draws what went to and fro, a row each.
func (f *figure) ladder() {
	rows, first, all := f.rows()
	if len(rows) == 0 {
		f.lack(Ladder, "no frame is in this part of the run")
		return
	}
	if len(rows) < all {
		text := fmt.Sprintf("rows %d to %d of %d, %s to %s s", first+1, first+len(rows), all, seconds(rows[0].t), seconds(rows[len(rows)-1].t))
		f.lack(Ladder, "all but "+text+"; --from and --to choose others")
		f.text(f.x.to, f.y+6, sizeSmall, soft, text, anchorEnd...)
	}
	lane := f.d.head.Lanes[f.d.lane]
	device, peer := ladderLeft, ladderLeft+ladderWide
	f.text(stampRight+8, f.y+6, sizeText, ink, fit(lane.Device, (ladderWide-20)/boldWide, sizeText), bold...)
	f.text(peer-8, f.y+6, sizeText, ink, fit(lane.Peer, 100, sizeText), bold...)
	f.text(stampRight, f.y+6, sizeSmall, soft, "time [s]", anchorEnd...)
	f.y += 16
	top := f.y
	y := f.y + rowHeight/2
	heights := make([]float64, len(rows))
	for i, m := range rows {
		if i > 0 && m.t-rows[i-1].t >= longPause {
			f.pause(device, peer, y, m.t-rows[i-1].t)
			y += pauseRoom
		}
		heights[i] = y
		y += rowHeight
	}
	for _, x := range []float64{device, peer} {
		f.line(x, top, x, y, soft, "stroke-width", "1.2")
	}
	stamp := ""
	for i, m := range rows {
		if s := seconds(m.t); s != stamp {
			stamp = s
			f.text(stampRight, heights[i], sizeSmall, soft, s, anchorEnd...)
		}
		if m.event {
			f.event(&m, device, peer, heights[i])
		} else {
			f.arrow(&m, device, peer, heights[i])
		}
		f.label(&m, peer+14, heights[i])
	}
	f.y = y + 4
}

// pause says that nothing happened for a while.
func (f *figure) pause(device, peer, y float64, length int64) {
	y -= rowHeight/2 - pauseRoom/2
	f.line(device, y, peer, y, soft, dotted...)
	text := time.Duration(length).Round(10 * time.Millisecond).String()
	w := textWidth(text, sizeSmall) + 8
	f.rect((device+peer-w)/2, y-6, w, 12, white)
	f.text((device+peer)/2, y, sizeSmall, soft, text, anchorMiddle...)
}

// arrow draws a frame: to its receiver, or to where it died.
func (f *figure) arrow(m *moment, device, peer, y float64) {
	from, to := device, peer
	if !m.up {
		from, to = peer, device
	}
	colour, dash := blue, []string(nil)
	if !m.up {
		colour = green
	}
	if m.again {
		dash = dashed
	}
	end, fall := to, slant
	if m.lost || m.died {
		colour = red
		place := m.place
		if m.died {
			place = 100
		}
		end = from + float64((to-from)*float64(place)/100)
		fall = float64(slant * float64(place) / 100)
	}
	way := math.Copysign(1, to-from)
	y1, y2 := y-slant/2, y-slant/2+fall
	f.line(from, y1, end-way*4, y2, colour, append([]string{"stroke-width", "1.3"}, dash...)...)
	switch {
	case m.lost || m.died:
		if m.died {
			end -= way * 5
		}
		f.path("M"+number(end-3.5)+" "+number(y2-3.5)+"l7 7m0 -7l-7 7", red, 1.8)
	case m.d < 0: // nobody knows whether it arrived
		f.path(ring(end-way*4, y2), colour, 1.2)
	default:
		f.element("path", "d", "M"+number(end)+" "+number(y2)+"l"+number(-way*7)+" -3v6z", "fill", colour)
	}
}

// event draws a mark where something happened.
func (f *figure) event(m *moment, device, peer, y float64) {
	x := device + float64((peer-device)*float64(m.at)/100)
	colour := purple
	if m.level > 1 {
		colour = red
	}
	f.element("path", "d", diamond(x, y), "fill", colour, "stroke", white)
}

// label writes what a row is about.
func (f *figure) label(m *moment, x, y float64) {
	room := f.x.to - x
	title, remark := m.title, m.remark
	weight := []string(nil)
	colour := ink
	switch {
	case m.event:
		weight = []string{"font-style", "italic"}
	case m.strong:
		weight = bold
	default:
		colour = soft
	}
	size := sizeText
	factor := 1.0
	if m.strong {
		factor = boldWide
	}
	share := room
	if remark != "" {
		share = max(room*0.5, room-textWidth(remark, sizeSmall)-8)
	}
	title = fit(title, share/factor, size)
	f.text(x, y, size, colour, title, weight...)
	if remark == "" {
		return
	}
	at := x + textWidth(title, size)*factor + 8
	colour = soft
	if m.lost || m.died || m.level > 1 {
		colour = red
	}
	if at < f.x.to-20 {
		f.text(at, y, sizeSmall, colour, fit(remark, f.x.to-at, sizeSmall))
	}
}

// seconds is a moment to the millisecond.
func seconds(ns int64) string { return strconv.FormatFloat(float64(ns)/1e9, 'f', 3, 64) }
