package distance

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"hilnet/pcaps"
	"hilnet/sim"
	"hilnet/trace"
)

// An Outage is a time in which the link was down.
type Outage struct {
	Kind     string // link_down, tx_error or blackhole
	From, To pcaps.Stamp
}

// maxOutages bounds what is read of a trace.
const maxOutages = 10_000

// Kinds of outages that a trace tells: the states of a NIC, and the action.
const (
	linkUp    = "link_up"
	blackhole = "blackhole"
)

// Began returns when the run of a capture began, as the statistics at the capture's end
// tell; false where there are none, as in a capture that is cut.
func Began(in *pcaps.Reader) (pcaps.Stamp, bool) {
	for {
		record, err := in.Next()
		if err != nil {
			return 0, false
		}
		if s := record.Statistics; s != nil && s.Fields&pcaps.FieldStartTime != 0 {
			return s.StartTime, true
		}
	}
}

// ReadOutages finds in a run's trace when a link of a device was down. Start is when
// the run began: [pcaps.VirtualEpoch] for runs in virtual time, and what [Began] says
// for others. An outage that the trace does not see the end of ends with it.
func ReadOutages(in *trace.Reader, device, link string, start pcaps.Stamp) ([]Outage, error) {
	w := &watch{device: device, link: link, state: linkUp, all: []Outage{}}
	end := sim.Time(0)
	for {
		e, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		w.event(&e)
		if end = e.T; len(w.all) > maxOutages || len(w.holes) > maxOutages {
			return nil, fmt.Errorf("distance: the trace has more than %d outages", maxOutages)
		}
	}
	if w.state != linkUp {
		w.add(w.state, w.since, end)
	}
	for _, h := range w.holes {
		w.add(blackhole, h.since, end)
	}
	slices.SortStableFunc(w.all, func(x, y Outage) int { return cmp.Compare(x.From, y.From) })
	for i := range w.all {
		w.all[i].From += start
		w.all[i].To += start
	}
	return w.all, nil
}

// A watch finds outages in events.
type watch struct {
	device, link string
	state        string // of the NIC
	since        sim.Time
	holes        []hole
	all          []Outage // times since the start of the run
}

// A hole is a blackhole that is not over.
type hole struct {
	text  string // of the action
	since sim.Time
}

func (w *watch) add(kind string, from, to sim.Time) {
	w.all = append(w.all, Outage{kind, pcaps.Stamp(from), pcaps.Stamp(to)})
}

func (w *watch) event(e *trace.Event) {
	switch {
	case e.Kind == trace.KindNIC && e.Node == w.device && e.Text != w.state:
		if w.state != linkUp {
			w.add(w.state, w.since, e.T)
		}
		w.state, w.since = e.Text, e.T
	case e.Kind == trace.KindAction && e.Node == w.link:
		text, ends := strings.CutPrefix(e.Text, "end of ")
		if !isBlackhole(text) {
			return
		}
		if !ends {
			w.holes = append(w.holes, hole{text, e.T})
			return
		}
		if i := slices.IndexFunc(w.holes, func(h hole) bool { return h.text == text }); i >= 0 {
			w.add(blackhole, w.holes[i].since, e.T)
			w.holes = slices.Delete(w.holes, i, i+1)
		}
	}
}

// isBlackhole reports whether the text of an action is that of a blackhole. A label
// may stand in front, and what more is to be said behind.
func isBlackhole(text string) bool {
	if _, rest, ok := strings.Cut(text, ": "); ok {
		text = rest
	}
	name, _, _ := strings.Cut(text, " ")
	return name == blackhole
}

// outages measures what the device did in the outages and behind them.
func (r *reading) outages() {
	r.sent = slices.DeleteFunc(r.sent, func(d deed) bool { return !r.owns(d.from) })
	slices.SortStableFunc(r.sent, func(x, y deed) int { return cmp.Compare(x.at, y.at) })
	slices.Sort(r.progress)
	for i := range r.config.Outages {
		o := &r.config.Outages[i]
		from, to := sim.Time(o.From.Sub(r.start)), sim.Time(o.To.Sub(r.start))
		back, backFrame := sim.Time(-1), uint64(0)
		first, _ := slices.BinarySearchFunc(r.sent, from, func(d deed, at sim.Time) int { return cmp.Compare(d.at, at) })
		for k := first; k < len(r.sent) && r.err == nil; k++ {
			d := &r.sent[k]
			if d.at >= to {
				back, backFrame = d.at, d.frame
				break
			}
			r.add(OutageSends, sample{frame: d.frame, at: d.at, what: d.kind, values: []value{{"in", o.Kind}}})
		}
		next := sim.Time(-1)
		if k, _ := slices.BinarySearch(r.progress, to); k < len(r.progress) {
			next = r.progress[k]
		}
		r.add(OutageReturns, since(o.Kind, to, back, backFrame))
		r.add(OutageRecoveries, since(o.Kind, to, next, 0))
	}
}

// since is the sample of what happened at a time behind an outage; none: never.
func since(kind string, from, at sim.Time, frame uint64) sample {
	s := sample{frame: frame, at: from, what: "behind " + kind}
	if at < 0 {
		s.values = []value{{"came", "never"}}
		return s
	}
	s.values = []value{{"came", "back"}}
	s.after, s.timed = time.Duration(at-from), true
	return s
}
