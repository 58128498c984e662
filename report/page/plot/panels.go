package plot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hilnet/report/page"
	"hilnet/scenarios"
)

// A curve is a series as it is drawn.
type curve struct {
	label  string
	s      *series
	colour string
	width  float64
	dash   []string
	fill   bool
	mark   func(x, y float64) string // points instead of a line
}

// A chart is a panel with a value over time.
type chart struct {
	title  string
	curves []curve
	top    float64 // value that the axis reaches at least
	count  bool    // whole numbers
	time   bool
}

// states draws a row of bars for each kind of state.
func (f *figure) states() {
	rows := f.stateRows()
	if len(rows) == 0 {
		f.lack(States, "nothing was down, and no session is known")
		return
	}
	const height = 17.0
	for _, row := range rows {
		f.text(f.x.from-6, f.y+height/2-1, sizeText, soft, row.name, anchorEnd...)
		free := f.x.from
		for i, b := range row.bands {
			x1, x2 := f.x.at(max(float64(b.From), f.x.low)), f.x.at(min(float64(b.To), f.x.high))
			colour, edge := "#d5e8e0", green
			if b.Bad {
				colour, edge = "#f6dcd0", red
			}
			f.rect(x1, f.y+1, max(x2-x1, 1.5), height-4, colour, "stroke", edge, "stroke-width", "0.8")
			room, at := f.x.to-x2-6, x2+4 // beside the bar, where it is too short
			if i+1 < len(row.bands) {
				room = f.x.at(float64(row.bands[i+1].From)) - x2 - 6
			}
			if w := textWidth(b.State, sizeSmall); w+6 <= x2-x1 {
				room, at = x2-x1-6, x1+4
			}
			if room > 24 && at >= free {
				f.text(at, f.y+height/2-1, sizeSmall, ink, fit(b.State, room, sizeSmall))
				free = at + min(textWidth(b.State, sizeSmall), room)
			}
		}
		f.y += height
	}
	f.y += gap
}

// A stateRow is bars that do not overlap.
type stateRow struct {
	name  string
	bands []page.Band
}

// maxStateRows bounds the rows; what is beyond them is named.
const maxStateRows = 12

// stateRows puts the bands that are in the figure into rows.
func (f *figure) stateRows() []stateRow {
	tracks := []struct{ track, name string }{
		{"link", "link"}, {"nic", "interface"}, {"power", "power"}, {"device", "device"}, {"timeline", "timeline"}, {"session", "session"},
	}
	var rows []stateRow
	left := 0
	for _, t := range tracks {
		first := len(rows)
		bands := slices.DeleteFunc(slices.Clone(f.d.bands), func(b page.Band) bool {
			return b.Track != t.track || b.To < int64(f.cfg.From) || b.From > int64(f.cfg.To)
		})
		slices.SortStableFunc(bands, func(a, b page.Band) int {
			if a.From != b.From {
				return cmp.Compare(a.From, b.From)
			}
			return cmp.Compare(b.To-b.From, a.To-a.From)
		})
	next:
		for _, b := range bands {
			for i := first; i < len(rows); i++ {
				last := rows[i].bands[len(rows[i].bands)-1]
				if last.From == b.From && last.To == b.To { // the action and what it did
					if len(b.State) > len(last.State) {
						rows[i].bands[len(rows[i].bands)-1].State = b.State
					}
					continue next
				}
				if last.To <= b.From {
					rows[i].bands = append(rows[i].bands, b)
					continue next
				}
			}
			if len(rows) == maxStateRows {
				left++
				continue
			}
			row := stateRow{bands: []page.Band{b}}
			if len(rows) == first {
				row.name = t.name
			}
			rows = append(rows, row)
		}
	}
	if left > 0 {
		f.lack(States, fmt.Sprintf("%d states beyond %d rows", left, maxStateRows))
	}
	return rows
}

func (f *figure) pool() {
	lane := f.d.head.Lanes[f.d.lane]
	of := func(name string) *series { return f.d.series[lane.Device+"/"+scenarios.StagePool+"/"+name] }
	c := chart{title: "packet pool [packets]", top: float64(lane.Total), count: true}
	if free := of("free"); free.len() > 0 {
		c.curves = append(c.curves, curve{label: "free", s: free, colour: blue, width: 1.4, fill: true},
			curve{label: "lowest in between", s: of("lowest"), colour: sky, width: 0.9})
		if w := of("waiting"); w.len() > 0 && slices.Max(w.v) > 0 {
			c.curves = append(c.curves, curve{label: "threads waiting", s: w, colour: red, width: 1.4, dash: dotted})
		}
	}
	c.curves = append(c.curves, curve{label: "low-water mark", s: of("minimum"), colour: orange, width: 1.4, dash: dashed})
	if c.empty() {
		f.lack(Pool, "the recording has no levels of the device's pool: emu run --report FILE records them")
		return
	}
	f.chart(&c)
}

func (f *figure) flight() {
	name := f.d.head.Lanes[f.d.lane].Device + "/flight/"
	c := chart{title: "in flight [bytes]", count: true, curves: []curve{
		{label: "from the device", s: f.d.series[name+"up"], colour: blue, width: 1.4, fill: true},
		{label: "from its peer", s: f.d.series[name+"down"], colour: orange, width: 1.4, dash: dashed},
	}}
	if c.empty() {
		f.lack(Flight, "no capture has a TCP connection")
		return
	}
	f.chart(&c)
}

func (f *figure) roundTrips() {
	c := chart{title: "RTT, RTO", time: true, curves: []curve{
		{label: "RTT of the device", s: &f.d.rtt[0], colour: blue, mark: dot},
		{label: "RTT of its peer", s: &f.d.rtt[1], colour: orange, mark: ring},
		{label: "sent again after", s: &f.d.rto, colour: red, mark: cross},
	}}
	if c.empty() {
		f.lack(RTT, "no capture has a segment that was acknowledged or sent again")
		return
	}
	f.chart(&c)
}

func (f *figure) queues() {
	link := f.d.head.Lanes[f.d.lane].Link
	c := chart{title: "queues [frames]", count: true}
	colours := []string{blue, orange, green, purple, red, sky}
	names := slices.Sorted(slices.Values(f.d.names))
	beyond := 0
	for _, name := range names {
		stage, ok := strings.CutPrefix(name, link+"/")
		stage, held := strings.CutSuffix(stage, "/held")
		if !ok || !held || slices.Max(f.d.series[name].v) == 0 {
			continue
		}
		if len(c.curves) == len(colours) {
			beyond++
			continue
		}
		k := curve{label: stage, s: f.d.series[name], colour: colours[len(c.curves)], width: 1.4}
		if strings.HasPrefix(stage, "down") {
			k.dash = dashed
		}
		c.curves = append(c.curves, k)
	}
	if beyond > 0 {
		f.lack(Queue, fmt.Sprintf("%d stages beyond %d", beyond, len(colours)))
	}
	if c.empty() {
		f.lack(Queue, "the recording has no levels of the link's queues: emu run --report FILE records them")
		return
	}
	f.chart(&c)
}

func (f *figure) messages() {
	c := chart{title: "MQTT in flight [messages]", count: true, curves: []curve{
		{label: "not acknowledged yet", s: f.d.series[f.d.head.Lanes[f.d.lane].Device+"/mqtt"], colour: green, width: 1.4, fill: true},
	}}
	if c.empty() {
		f.lack(MQTT, "the recording has no message above QoS 0")
		return
	}
	f.chart(&c)
}
