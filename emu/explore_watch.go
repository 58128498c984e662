package emu

import (
	"errors"
	"fmt"
	"strings"

	"hilnet/link"
	"hilnet/mqtt/codec"
	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// A FrameInfo is one frame that entered a link.
type FrameInfo struct {
	Link  string   `json:"link"`
	Dir   string   `json:"dir"`   // "up" or "down"
	Frame uint64   `json:"frame"` // its number among those that entered there, from 1
	T     sim.Time `json:"t"`
	Len   int      `json:"len"`
	// What it is: the MQTT messages that end in it, or what its headers say.
	What string `json:"what"`

	way  int  // up and down of the first link, then of the second: a small number for Link and Dir
	lost bool // it was dropped on the link
	drew bool // and a draw decided it
}

// Name names the frame without its time.
func (f *FrameInfo) Name() string { return fmt.Sprintf("%s %s frame %d", f.Link, f.Dir, f.Frame) }

// isBare reports whether the frame brings no message.
func (f *FrameInfo) isBare() bool { return strings.HasPrefix(f.What, "TCP ") }

// maxWatched bounds the frames of a run that is explored.
const maxWatched = 1 << 20

// errTooManyFrames is the end of a run with more.
var errTooManyFrames = fmt.Errorf("the run has more than %d frames: explore a shorter one (--set duration=)", maxWatched)

// A frameWatcher notes the frames that enter the links of a world.
type frameWatcher struct {
	world  *World
	frames []FrameInfo
	tables []*flow.Table // of each link
	ways   map[*link.Direction]int
	first  map[segmentKey]int // the frame that first brought a segment; looked up only
	fates  map[uint64]int     // by the ID of a frame on its way; looked up only
	names  bool               // whether What is wanted
	over   bool
}

// A segmentKey names the payload of a TCP segment.
type segmentKey struct {
	conversation *flow.Conversation
	side         flow.Side
	offset       int64
}

// watchFrames makes the world note its frames; names asks for what they are.
func (w *World) watchFrames(names bool) *frameWatcher {
	x := &frameWatcher{world: w, names: names, ways: map[*link.Direction]int{}, first: map[segmentKey]int{}, fates: map[uint64]int{}}
	w.onStart(func() error {
		for i, c := range w.links {
			for k, d := range []*link.Direction{c.Up.Direction, c.Down.Direction} {
				if d.Counters().In > 0 {
					return errors.New("a frame entered a link before the run began") // it would go unseen
				}
				x.ways[d] = 2*i + k
				d.Observe(x)
			}
			table, err := flow.New(flow.Config{IgnoreChecksums: true}, (*messageNamer)(x))
			if err != nil {
				return err
			}
			x.tables = append(x.tables, table)
		}
		return nil
	})
	return x
}

// Entered notes a frame.
func (x *frameWatcher) Entered(d *link.Direction, f *link.Frame) {
	if len(x.frames) == maxWatched {
		if !x.over {
			x.over = true
			x.world.loop.Cancel(errTooManyFrames)
		}
		return
	}
	way := x.ways[d]
	x.fates[f.ID] = len(x.frames)
	x.frames = append(x.frames, FrameInfo{Link: d.Link, Dir: d.Name, Frame: f.Ordinal, T: f.Entered, Len: len(f.Data), way: way})
	if x.names {
		x.name(x.tables[way/2], f.Data)
	}
}

// name says what the newest frame is.
func (x *frameWatcher) name(table *flow.Table, data []byte) {
	at := len(x.frames) - 1
	info := &x.frames[at]
	r := table.Feed(flow.Frame{Data: data, Link: flow.LinkEthernet, At: info.T, Number: uint64(at) + 1})
	if r.Conversation == nil {
		info.What = wire.Summary(data)
		return
	}
	if info.What != "" && r.Labels&flow.LabelNew != 0 { // messages end in it
		x.first[segmentKey{r.Conversation, r.Side, r.Offset}] = at
		return
	}
	what := "TCP " + strings.ReplaceAll(r.TCP.Flags().String(), ",", " ")
	if r.Len == 0 {
		info.What = what
		return
	}
	key := segmentKey{r.Conversation, r.Side, r.Offset}
	if before, seen := x.first[key]; seen && r.Labels&flow.LabelRepeated != 0 {
		info.What = "again: " + strings.TrimPrefix(x.frames[before].What, "again: ")
		return
	}
	x.first[key] = at
	info.What = fmt.Sprintf("%s, %d bytes", what, r.Len)
}

// Left does nothing.
func (x *frameWatcher) Left(_ *link.Direction, f *link.Frame) { delete(x.fates, f.ID) }

// Dropped notes the fate of a frame.
func (x *frameWatcher) Dropped(d *link.Direction, f *link.Frame, v link.Verdict) {
	at, ok := x.fates[f.ID]
	if !ok || f.Ordinal >= link.GeneratedOrdinals || f.Copy > 0 {
		return
	}
	delete(x.fates, f.ID)
	x.frames[at].lost = true
	x.frames[at].drew = v.Reason == trace.DropLoss || v.Reason == trace.DropListed
}

// A messageNamer gives the frames the names of the messages that end in them.
type messageNamer frameWatcher

// Data does nothing.
func (*messageNamer) Data(*flow.Chunk) {}

// Notice does nothing.
func (*messageNamer) Notice(*flow.Notice) {}

// Message names a frame.
func (x *messageNamer) Message(m *flow.Message) {
	if m.LastFrame == 0 || m.LastFrame > uint64(len(x.frames)) {
		return
	}
	name := m.Type.String()
	if !m.Truncated() {
		name = codec.Summary(m.Raw)
	}
	info := &x.frames[m.LastFrame-1]
	if info.What != "" {
		name = info.What + "; " + name
	}
	info.What = name
}
