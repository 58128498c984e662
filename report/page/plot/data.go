package plot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hilnet/pcaps/analyze"
	"hilnet/report/page"
)

// A series is a curve: its value from a moment on.
type series struct{ t, v []int64 }

func (s *series) len() int {
	if s == nil {
		return 0
	}
	return len(s.t)
}

// A moment is a row of the ladder: a frame, or an event.
type moment struct {
	t, d   int64
	seq    int
	up     bool
	lost   bool // on the link
	died   bool // at its receiver
	again  bool
	place  int
	title  string
	remark string
	strong bool // the title is an MQTT message
	event  bool
	level  int
	at     int // of an event, where: 0 device to 100 peer
}

// data is what a figure of one device draws, out of a page's head and chunks.
type data struct {
	head    *page.Head
	lane    int
	strings []string
	series  map[string]*series // looked up only
	names   []string           // of series, in their order
	bands   []page.Band
	frames  []moment
	events  []moment
	rtt     [2]series // of the device, of the peer; at the moment when the ACK arrived
	rto     series
}

// read unpacks what a Builder holds.
func read(b *page.Builder, device string) (*data, error) {
	d := &data{strings: []string{""}, series: map[string]*series{}}
	chunks := b.Take()
	d.head = b.Head()
	var names []string
	for i, l := range d.head.Lanes {
		names = append(names, l.Device)
		if l.Device == device {
			d.lane = i
		}
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("plot: the recording has no device")
	case device != "" && !slices.Contains(names, device):
		return nil, fmt.Errorf("plot: no device is called %q; there are %s", device, strings.Join(names[:min(len(names), 20)], ", "))
	}
	for i := range chunks {
		d.add(&chunks[i])
	}
	sortByTime(&d.rtt[0])
	sortByTime(&d.rtt[1])
	sortByTime(&d.rto)
	slices.SortStableFunc(d.frames, func(a, b moment) int { return cmp.Compare(a.t, b.t) })
	return d, nil
}

// sortByTime sorts points that came in another order.
func sortByTime(s *series) {
	order := make([]int, len(s.t))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.t[a], s.t[b]) })
	var out series
	for _, i := range order {
		out.t, out.v = append(out.t, s.t[i]), append(out.v, s.v[i])
	}
	*s = out
}

func (d *data) add(c *page.Chunk) {
	d.strings = append(d.strings, c.Strings...)
	if c.Frames != nil {
		d.addFrames(c.Frames)
	}
	if c.Events != nil {
		d.addEvents(c.Events)
	}
	for _, s := range c.Series {
		to := d.series[s.Name]
		if to == nil {
			to = &series{}
			d.series[s.Name] = to
			d.names = append(d.names, s.Name)
		}
		t, v := int64(0), int64(0) // each part begins anew
		for i := range s.T {
			t, v = t+s.T[i], v+s.V[i]
			to.t, to.v = append(to.t, t), append(to.v, v)
		}
	}
	if c.Bands != nil {
		d.bands = nil
		for _, b := range c.Bands {
			if b.Lane == d.lane || b.Lane < 0 {
				d.bands = append(d.bands, b)
			}
		}
	}
}

func (d *data) addFrames(f *page.Frames) {
	at := make([]moment, f.N)
	t := int64(0)
	for i := range f.N {
		t += f.T[i]
		flags := f.Flags[i]
		at[i] = moment{
			t: t, d: f.D[i], up: flags&page.FlagUp != 0, lost: flags&page.FlagLost != 0, died: flags&page.FlagDied != 0,
			again: flags&page.FlagSentAgain != 0, place: f.Place[i], strong: f.MQTT[i] > 0,
		}
		if f.Lane[i] == d.lane {
			at[i].title, at[i].remark = d.title(f, i), d.remark(f, i)
			d.frames = append(d.frames, at[i])
		}
	}
	for i := 0; i+1 < len(f.RTT); i += 2 {
		m := &at[f.RTT[i]]
		if f.Lane[f.RTT[i]] != d.lane {
			continue
		}
		of := 0 // an ACK that comes down tells the device
		if m.up {
			of = 1
		}
		d.rtt[of].t, d.rtt[of].v = append(d.rtt[of].t, m.t+max(0, m.d)), append(d.rtt[of].v, f.RTT[i+1])
	}
	for i := 0; i+1 < len(f.RTO); i += 2 {
		if f.Lane[f.RTO[i]] == d.lane {
			d.rto.t, d.rto.v = append(d.rto.t, at[f.RTO[i]].t), append(d.rto.v, f.RTO[i+1])
		}
	}
}

// tcpFlags are the flags of a TCP header in the order of their bits (RFC 9293 3.1).
var tcpFlags = []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}

// title is a frame in a few words.
func (d *data) title(f *page.Frames, i int) string {
	if s := d.strings[f.MQTT[i]]; s != "" {
		return s
	}
	if f.TCP[i] < 0 {
		if s := d.strings[f.Info[i]]; s != "" {
			return s
		}
		return fmt.Sprintf("frame of %d bytes", f.Len[i])
	}
	var words []string
	for bit, name := range tcpFlags {
		if f.TCP[i]&(1<<bit) != 0 {
			words = append(words, name)
		}
	}
	s := "TCP " + strings.Join(words, " ")
	if f.Pay[i] > 0 {
		s += fmt.Sprintf(", %d bytes", f.Pay[i])
	}
	return s
}

// usual are labels that nobody looks for in a figure.
const usual = analyze.WindowUpdate | analyze.KeepAliveACK

// remark is what became of a frame.
func (d *data) remark(f *page.Frames, i int) string {
	var words []string
	if s := d.strings[f.Why[i]]; s != "" {
		short, _, _ := strings.Cut(s, " at ") // where it died is to be seen
		words = append(words, short)
	}
	if f.Flags[i]&page.FlagCopy != 0 {
		words = append(words, "a copy that the link made")
	}
	if f.Flags[i]&page.FlagInFlight != 0 {
		words = append(words, "in flight at the end")
	}
	l := analyze.Labels(f.Labels[i]) &^ usual
	if l.Any(analyze.FastRetransmission|analyze.SpuriousRetransmission) || strings.HasPrefix(d.strings[f.MQTT[i]], "again: ") {
		l &^= analyze.Retransmission
	}
	for _, name := range l.Names() {
		words = append(words, strings.ReplaceAll(name, "_", " "))
	}
	return strings.Join(words, ", ")
}

func (d *data) addEvents(e *page.Events) {
	lane := d.head.Lanes[d.lane]
	t, seq := int64(0), int64(0)
	for i := range e.N {
		t, seq = t+e.T[i], seq+e.Seq[i]
		if e.Level[i] == 0 || e.Lane[i] >= 0 && e.Lane[i] != d.lane || e.Frame[i] != 0 {
			continue // a frame's own row tells what became of it
		}
		kind, node := d.strings[e.Kind[i]], d.strings[e.Node[i]]
		m := moment{t: t, d: -1, seq: int(seq), event: true, level: e.Level[i], title: kind, remark: d.strings[e.Text[i]]}
		switch {
		case strings.HasPrefix(kind, "broker.") || strings.HasPrefix(node, "broker"):
			m.at = 100
		case strings.HasPrefix(node, lane.Link) && !strings.HasPrefix(node, lane.Device):
			m.at = 50
		}
		d.events = append(d.events, m)
	}
}
