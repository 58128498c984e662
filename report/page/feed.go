package page

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"

	"hilnet/emu"
	"hilnet/pcaps"
	"hilnet/pcaps/analyze"
	"hilnet/report"
	"hilnet/scenarios"
	"hilnet/sim"
)

// Limits of what a Feed remembers.
const (
	liveRows    = 4096        // frames of a tap, and those whose fate is not known yet
	liveFlight  = time.Minute // that a frame's fate is waited for
	liveClients = 1 << 16
	liveBands   = 4096 // that last
)

// A Feed makes the chunks of the page of a run that goes on, of what a watch of
// it saw. What it remembers is bounded; a chunk that was taken is forgotten, and
// each has its own strings, so that who misses one can read the next. A frame is
// in a chunk once its fate is known.
//
// A Feed belongs to one goroutine.
type Feed struct {
	b     *Builder
	lanes map[string]int // of a link
	taps  [][2]*tap      // of a lane: at the device, at the peer
	seg   *analyze.Segment
	now   sim.Time

	open   []*row     // their fate is not known, or is of this moment
	recent []frameKey // of rows that were taken and are still in byID
}

// NewFeed returns a Feed for the run of a scenario.
func NewFeed(sc *scenarios.Scenario, source string) (*Feed, error) {
	run := report.Run{Scenario: sc.Name, Source: source, Seed: sc.Seed, Clock: sc.Clock}
	b := NewBuilder(Head{Kind: "run", Title: sc.Name, Hilnet: emu.Version, Live: true, Run: run})
	b.lanes(sc, nil)
	b.traced, b.live = true, true
	text, err := sc.Resolved()
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	b.head.Scenario = string(text)
	b.lists()
	f := &Feed{b: b, lanes: map[string]int{}}
	for i, l := range b.head.Lanes {
		f.lanes[l.Link] = i
		var both [2]*tap
		for k, point := range []Point{PointDevice, PointPeer} {
			t, err := b.newTap(i, point, 0)
			if err != nil {
				return nil, err
			}
			t.first = point == PointDevice
			t.whole.OnSegment = func(s *analyze.Segment) { f.seg = s }
			both[k] = t
		}
		f.taps = append(f.taps, both)
	}
	return f, nil
}

// Add takes what happened next.
func (f *Feed) Add(m *emu.Moment) {
	f.now = max(f.now, m.At)
	switch {
	case m.Event != nil:
		f.b.Event(m.Event)
	case m.Sample != nil:
		f.b.Sample(m.Sample)
	case m.Frame != nil:
		if lane, ok := f.lanes[m.Frame.Link]; ok {
			f.frame(m.At, lane, m.Frame)
		}
	}
}

// frame takes a step of a frame.
func (f *Feed) frame(at sim.Time, lane int, m *emu.FrameMoment) {
	b := f.b
	key := frameKey{lane, m.ID}
	stage := m.Link + "/" + m.Verdict.Stage
	rule := ""
	if m.Verdict.Text != "" {
		rule = " (" + strings.ToValidUTF8(m.Verdict.Text, "\uFFFD") + ")"
	}
	switch m.Step {
	case emu.FrameEntered:
		f.captured(at, lane, m, m.Up)
	case emu.FrameLeft:
		f.captured(at, lane, m, !m.Up)
		for _, r := range b.byID[key] {
			if !r.done && r.d >= 0 {
				r.done, r.doneAt = true, int64(at)
			}
		}
	case emu.FrameDropped:
		r := f.undone(key)
		if r == nil {
			return
		}
		r.flags |= FlagLost
		r.place = place(stage)
		r.why = fmt.Sprintf("lost: %s at %s%s, frame %d of its direction", m.Verdict.Reason, stage, rule, m.Ordinal)
		r.done, r.doneAt = true, int64(at)
	case emu.FrameCorrupted, emu.FrameDuplicated:
		word := "doubled: "
		r := f.undone(key)
		if r == nil {
			return
		}
		if m.Step == emu.FrameCorrupted {
			word = "damaged: "
			r.flags |= FlagCorrupt
		}
		if r.why != "" {
			r.why += "; "
		}
		r.why += fmt.Sprintf("%s%s%s, frame %d of its direction", word, stage, rule, m.Ordinal)
	}
}

// undone returns the row of a frame that is still on its way, or a new one for a
// copy of it, or nil for a frame that was never seen.
func (f *Feed) undone(key frameKey) *row {
	known := f.b.byID[key]
	for _, r := range known {
		if !r.done {
			return r
		}
	}
	if len(known) == 0 {
		return nil
	}
	r := *known[0]
	r.flags = r.flags&^FlagDied | FlagCopy
	r.d, r.done, r.why = -1, false, ""
	f.b.rows = append(f.b.rows, &r)
	f.b.byID[key] = append(known, &r)
	return &r
}

// captured gives a frame to the tap at the device or at the peer.
func (f *Feed) captured(at sim.Time, lane int, m *emu.FrameMoment, device bool) {
	t := f.taps[lane][1]
	if device {
		t = f.taps[lane][0]
	}
	flag := uint32(pcaps.FlagInbound)
	if m.Step == emu.FrameEntered {
		flag = pcaps.FlagOutbound
	}
	f.seg = nil
	t.packet(&pcaps.Packet{
		LinkType: pcaps.LinkTypeEthernet, Time: pcaps.Stamp(at), Data: m.Data, OriginalLen: len(m.Data),
		Fields: pcaps.FieldFlags | pcaps.FieldPacketID, Flags: flag, PacketID: m.ID,
	}, &f.seg)
}

// Take returns what is new, and nil if nothing is. The last one has the frames
// that are on their way at the end, too.
func (f *Feed) Take(last bool) *Chunk {
	b := f.b
	ready := f.ready(last)
	length := max(b.head.Length, int64(f.now))
	c := Chunk{}
	if len(ready) > 0 {
		c = b.chunk(ready)
	}
	c.Own, c.Length, c.Events = true, length, b.eventColumns()
	fresh := len(ready) > 0 || c.Events.N > 0
	b.events, b.seen = b.events[:0], 0
	for _, s := range b.series {
		if t, v := s.t[s.taken:], s.v[s.taken:]; len(t) > 0 {
			c.Series = append(c.Series, Series{s.name, deltas(t), deltas(v)})
			n := len(s.t) - 1
			s.t, s.v, s.taken = append(s.t[:0], s.t[n]), append(s.v[:0], s.v[n]), 1
			fresh = true
		}
	}
	c.Bands, b.bands = b.bands, nil
	c.Lasting = slices.Clone(b.open)
	for i := range c.Lasting {
		c.Lasting[i].To = length
	}
	c.Strings = append(c.Strings, b.take()...)
	b.strings, b.known = map[string]int{"": 0}, 1
	if !fresh && len(c.Bands) == 0 && length == b.head.Length {
		return nil
	}
	b.head.Length = length
	return &c
}

// ready takes the rows out whose fate is known: not those of this very moment, as
// a receiver may still drop what has just arrived.
func (f *Feed) ready(last bool) []*row {
	b := f.b
	f.open = append(f.open, b.rows...)
	b.rows = b.rows[:0]
	late := max(0, len(f.open)-liveRows)
	var ready []*row
	f.open = slices.DeleteFunc(f.open, func(r *row) bool {
		switch {
		case r.done && (last || r.doneAt < int64(f.now)):
		case last:
			r.flags |= FlagInFlight
		case late > 0, r.t < int64(f.now.Add(-liveFlight)):
			r.flags |= FlagUndecided
			r.why = strings.TrimPrefix(r.why+"; its fate was not known when it was shown", "; ")
		default:
			return false
		}
		late--
		ready = append(ready, r)
		if r.flags&FlagCopy == 0 {
			f.recent = append(f.recent, frameKey{r.lane, r.id})
		}
		return true
	})
	if n := len(f.recent) - liveRows; n > 0 {
		for _, key := range f.recent[:n] {
			delete(b.byID, key)
		}
		f.recent = append(f.recent[:0:0], f.recent[n:]...)
	}
	slices.SortStableFunc(ready, func(x, y *row) int {
		return cmp.Or(cmp.Compare(x.t, y.t), cmp.Compare(x.id, y.id), cmp.Compare(x.d, y.d))
	})
	return ready
}

// forget bounds what the tap of a live page remembers.
func (t *tap) forget() {
	if !t.b.live {
		return
	}
	if n := len(t.rows) - liveRows; n >= liveRows {
		t.rows = append(t.rows[:0:0], t.rows[n:]...)
		t.cut += n
	}
	if len(t.again) >= liveRows {
		clear(t.again)
	}
}

// Page returns the page that takes the chunks, and the policy that it is to be
// served with: it may ask nobody for anything but where it comes from.
func (f *Feed) Page() (text []byte, policy string, err error) {
	style, err := assets.ReadFile("assets/page.css")
	if err != nil {
		return nil, "", fmt.Errorf("page: %w", err)
	}
	script, err := scriptOf(liveScripts)
	if err != nil {
		return nil, "", err
	}
	policy = policyOf(script, style) + "; connect-src 'self'"
	var out bytes.Buffer
	fmt.Fprintf(&out, shell, policy, html.EscapeString(f.b.head.Title), style)
	if err := writeData(&out, "head", &f.b.head); err != nil {
		return nil, "", err
	}
	fmt.Fprintf(&out, "<script>%s</script>\n</body>\n</html>\n", script)
	return out.Bytes(), policy, nil
}
