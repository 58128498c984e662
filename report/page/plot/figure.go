package plot

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"hilnet/report/page"
)

// A Panel is a part of a figure.
type Panel string

// The panels, in the order in which a figure has them.
const (
	States Panel = "state"  // what was down, and when a session was up
	Pool   Panel = "pool"   // packets of the device's pool
	Flight Panel = "flight" // bytes that nobody has acknowledged
	RTT    Panel = "rtt"    // round trips, and after what time something was sent again
	Queue  Panel = "queue"  // frames in the stages of the link
	MQTT   Panel = "mqtt"   // messages that nobody has acknowledged
	Ladder Panel = "ladder" // the frames, one by one
)

// Panels returns all panels in their order.
func Panels() []Panel { return []Panel{States, Pool, Flight, RTT, Queue, MQTT, Ladder} }

// The sizes of a figure.
const (
	DefaultWidth = 600
	MinWidth     = 400
	MaxWidth     = 4000
)

// A Config says what the figure of a run shows. The zero value shows states,
// pool, bytes in flight and round trips of the first device over the whole run.
type Config struct {
	// Panels to draw; those that there is nothing for are left out and named.
	Panels []Panel
	// Device whose figure it is.
	Device string
	// From and To are the part of the run that is drawn; To 0 is its end.
	From, To time.Duration
	// Width in pixels.
	Width int
}

// The layout of charts.
const (
	marginLeft  = 64.0
	marginRight = 14.0
	chartHeight = 92.0
	gap         = 12.0
)

// A figure is a drawing as it grows downwards.
type figure struct {
	drawing
	d       *data
	cfg     Config
	x       scale // of time, in nanoseconds
	y       float64
	missing []string
	shades  [][2]float64 // where something was down
	top     float64      // of the charts
}

// Run draws the figure of a run. It takes what the Builder holds, which is used
// up. left names what was asked for and is not in the figure, and why.
func Run(w io.Writer, b *page.Builder, cfg Config) (left []string, err error) {
	if cfg.Width == 0 {
		cfg.Width = DefaultWidth
	}
	if cfg.Width < MinWidth || cfg.Width > MaxWidth {
		return nil, fmt.Errorf("plot: a width of %d pixels; it is %d to %d", cfg.Width, MinWidth, MaxWidth)
	}
	for _, p := range cfg.Panels {
		if !slices.Contains(Panels(), p) {
			return nil, fmt.Errorf("plot: no panel is called %q; there are %s", p, panelNames())
		}
	}
	d, err := read(b, cfg.Device)
	if err != nil {
		return nil, err
	}
	end := time.Duration(d.head.Length)
	if cfg.To == 0 {
		cfg.To = end
	}
	if cfg.From < 0 || cfg.From >= cfg.To || cfg.From >= end {
		return nil, fmt.Errorf("plot: nothing is between %v and %v of a run of %v", cfg.From, cfg.To, end)
	}
	if len(cfg.Panels) == 0 {
		cfg.Panels = []Panel{States, Pool, Flight, RTT}
	}
	f := &figure{d: d, cfg: cfg, x: scale{
		low: float64(cfg.From), high: float64(cfg.To), from: marginLeft, to: float64(cfg.Width) - marginRight,
	}}
	f.title()
	f.charts()
	if slices.Contains(cfg.Panels, Ladder) {
		f.ladder()
	}
	if f.y == f.top {
		return f.missing, fmt.Errorf("plot: there is nothing to draw: %s", strings.Join(f.missing, "; "))
	}
	name, text := f.describe()
	return f.missing, f.write(w, float64(cfg.Width), f.y+4, name, text)
}

func panelNames() string {
	var all []string
	for _, p := range Panels() {
		all = append(all, string(p))
	}
	return strings.Join(all, ", ")
}

// lack notes a panel that has nothing to show.
func (f *figure) lack(p Panel, why string) {
	f.missing = append(f.missing, fmt.Sprintf("%s: %s", p, why))
}

// title names the run above the panels.
func (f *figure) title() {
	h := f.d.head
	f.text(4, 13, sizeTitle, ink, fit(h.Title, f.x.to-200, sizeTitle), bold...)
	facts := []string{}
	if len(h.Lanes) > 1 {
		facts = append(facts, f.d.head.Lanes[f.d.lane].Device)
	}
	if !h.Foreign {
		facts = append(facts, fmt.Sprintf("seed %d", h.Run.Seed))
	}
	if h.Hilnet != "" {
		facts = append(facts, "hilnet "+h.Hilnet)
	}
	f.text(f.x.to, 13, sizeSmall, soft, strings.Join(facts, " · "), anchorEnd...)
	f.y = 30
	f.top = f.y
}

// describe says in words what the figure shows.
func (f *figure) describe() (title, text string) {
	h := f.d.head
	var names []string
	for _, p := range f.cfg.Panels {
		names = append(names, string(p))
	}
	title = h.Title
	if h.Judged {
		title += ": " + string(h.Run.Verdict)
	}
	text = fmt.Sprintf("Device %s, %v to %v: %s.", h.Lanes[f.d.lane].Device, f.cfg.From, f.cfg.To, strings.Join(names, ", "))
	if o := h.Run.Outcome; o != nil {
		text += fmt.Sprintf(" Published %d, acknowledged %d.", o.Published, o.Acknowledged)
	}
	return title, text
}

// charts draws the panels that share the axis of time, and the axis.
func (f *figure) charts() {
	f.shade()
	begun := f.y
	back := f.b.Len() // what lies behind everything is drawn first, when the height is known
	for _, p := range Panels() {
		if !slices.Contains(f.cfg.Panels, p) {
			continue
		}
		switch p {
		case States:
			f.states()
		case Pool:
			f.pool()
		case Flight:
			f.flight()
		case RTT:
			f.roundTrips()
		case Queue:
			f.queues()
		case MQTT:
			f.messages()
		}
	}
	if f.y == begun {
		return
	}
	front := f.b.String()[back:]
	behind := f.b.String()[:back]
	f.b.Reset()
	f.b.WriteString(behind)
	bottom := f.y - gap + 4
	for _, s := range f.shades {
		f.rect(s[0], begun, max(s[1]-s[0], 1), bottom-begun, shade)
	}
	u := unitFor(f.x.high)
	n := int((f.x.to - f.x.from) / 70)
	for _, v := range ticks(f.x.low/u.ns, f.x.high/u.ns, n) {
		x := f.x.at(float64(v * u.ns))
		f.line(x, begun, x, bottom, grid)
		f.text(x, bottom+9, sizeText, soft, plain(v), anchorMiddle...)
	}
	f.b.WriteString(front)
	f.text((f.x.from+f.x.to)/2, bottom+23, sizeText, soft, "time ["+u.name+"]", anchorMiddle...)
	f.y = bottom + 36
}

// shade notes when link, interface or power were down.
func (f *figure) shade() {
	for _, b := range f.d.bands {
		if b.Bad && b.To > int64(f.cfg.From) && b.From < int64(f.cfg.To) {
			from, to := f.x.at(max(float64(b.From), f.x.low)), f.x.at(min(float64(b.To), f.x.high))
			f.shades = append(f.shades, [2]float64{from, to})
		}
	}
	slices.SortFunc(f.shades, func(a, b [2]float64) int {
		if a[0] != b[0] {
			return int(a[0]*100) - int(b[0]*100)
		}
		return int(a[1]*100) - int(b[1]*100)
	})
	var merged [][2]float64
	for _, s := range f.shades {
		if n := len(merged); n > 0 && s[0] <= merged[n-1][1] {
			merged[n-1][1] = max(merged[n-1][1], s[1])
		} else {
			merged = append(merged, s)
		}
	}
	f.shades = merged
}
