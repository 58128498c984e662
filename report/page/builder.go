package page

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"

	"hilnet/sim"
)

// A row is a frame, or a copy of one that the link made.
type row struct {
	t, d     int64
	id, num  uint64
	lane     int
	flags    int
	length   int
	tcp      int
	pay      int
	labels   int
	conv     uint64
	base     uint32
	peer     uint32
	info     string
	mqtt     []string
	why      string
	place    int
	rtt, rto int64 // 0: none
	head     []byte
	done     bool // of a live page: its fate is known, since
	doneAt   int64
}

// A Builder makes the chunks of a page.
type Builder struct {
	head    Head
	rows    []*row
	taken   int                 // of rows
	byID    map[frameKey][]*row // looked up only
	cut     int                 // frames beyond MaxFrames
	cutEv   int
	events  []event
	seen    int // events that were taken
	series  []*curve
	byName  map[string]*curve
	bands   []Band
	open    []Band // those that last
	fatal   []Fatal
	traced  bool
	live    bool // it belongs to a Feed
	sampled bool
	acked   []int64
	moments []namedMoment      // that failed expectations without one are shown
	pending map[messageID]bool // published and not acknowledged; looked up only
	count   map[int]int        // of pending, by lane
	clients map[string]int     // lane of a client identifier; looked up only

	strings map[string]int // looked up only
	fresh   []string       // of the next chunk
	known   int            // strings of the chunks before
}

type frameKey struct {
	lane int
	id   uint64
}

type messageID struct {
	lane int
	id   uint16
}

// A curve is a series while it grows. Equal values in a row are one.
type curve struct {
	name  string
	t, v  []int64
	taken int // points
}

// NewBuilder returns a Builder of a page with this head; Lanes decide which
// devices are shown.
func NewBuilder(head Head) *Builder {
	head.Format, head.Version = Format, Version
	return &Builder{
		head: head, byID: map[frameKey][]*row{}, byName: map[string]*curve{},
		pending: map[messageID]bool{}, count: map[int]int{}, strings: map[string]int{"": 0},
		clients: map[string]int{}, known: 1,
	}
}

func (b *Builder) lane(device string) int {
	return slices.IndexFunc(b.head.Lanes, func(l Lane) bool { return l.Device == device })
}

func (b *Builder) laneOfLink(link string) int {
	return slices.IndexFunc(b.head.Lanes, func(l Lane) bool { return l.Link == link })
}

// text returns the index of a string.
func (b *Builder) text(s string) int {
	if i, ok := b.strings[s]; ok {
		return i
	}
	s = strings.Clone(s)
	b.fresh = append(b.fresh, strings.ToValidUTF8(s, "\uFFFD"))
	i := b.known + len(b.fresh) - 1
	b.strings[s] = i
	return i
}

// point adds to a curve.
func (b *Builder) point(name string, t sim.Time, v int64) {
	c := b.byName[name]
	if c == nil && len(b.series) >= maxCurves {
		return
	}
	if c == nil {
		c = &curve{name: name}
		b.byName[name] = c
		b.series = append(b.series, c)
	}
	n := len(c.t)
	if n > 0 && c.v[n-1] == v || n >= maxPoints {
		return
	}
	if n > c.taken && c.t[n-1] == int64(t) { // of several values at a moment the last one counts
		c.v[n-1] = v
		return
	}
	c.t, c.v = append(c.t, int64(t)), append(c.v, v)
}

// Limits of what is drawn over time.
const (
	maxPoints  = 500_000 // of a curve
	maxCurves  = 1024
	maxBands   = 100_000
	maxMoments = 256
	maxAcked   = 2_000_000 // latencies
)

// Take returns what was added since the last call, as chunks of some size. In
// each of them frames stand in the order of their times; states that last end at
// the newest moment for now, and come again with the next call.
func (b *Builder) Take() []Chunk {
	rows := b.rows[b.taken:]
	slices.SortStableFunc(rows, func(x, y *row) int {
		return cmp.Or(cmp.Compare(x.t, y.t), cmp.Compare(x.id, y.id), cmp.Compare(x.d, y.d))
	})
	b.taken = len(b.rows)
	var all []Chunk
	for from := 0; from < len(rows); from += chunkFrames {
		all = append(all, b.chunk(rows[from:min(from+chunkFrames, len(rows))]))
	}
	last := Chunk{Length: b.head.Length, Fatal: b.fatal, Events: b.eventColumns()}
	b.fatal = nil
	last.Bands = slices.Clone(b.bands)
	for _, x := range b.open {
		x.To = b.head.Length
		last.Bands = append(last.Bands, x)
	}
	for _, c := range b.series {
		if t, v := c.t[c.taken:], c.v[c.taken:]; len(t) > 0 {
			last.Series = append(last.Series, Series{c.name, deltas(t), deltas(v)})
			c.taken = len(c.t)
		}
	}
	last.Strings = b.take()
	return append(all, last)
}

// take hands out the strings that are new.
func (b *Builder) take() []string {
	s := b.fresh
	b.known += len(s)
	b.fresh = nil
	return s
}

func deltas(v []int64) []int64 {
	out := make([]int64, len(v))
	last := int64(0)
	for i, x := range v {
		out[i], last = x-last, x
	}
	return out
}

// chunk makes columns of rows.
func (b *Builder) chunk(rows []*row) Chunk {
	f := &Frames{N: len(rows)}
	var heads []byte
	for i, r := range rows {
		f.T, f.D = append(f.T, r.t), append(f.D, r.d)
		f.ID, f.Num = append(f.ID, int64(r.id)), append(f.Num, int64(r.num))
		f.Lane, f.Flags, f.Len = append(f.Lane, r.lane), append(f.Flags, r.flags), append(f.Len, r.length)
		f.Pay = append(f.Pay, r.pay)
		f.TCP, f.Labels, f.Conv = append(f.TCP, r.tcp), append(f.Labels, r.labels), append(f.Conv, int(r.conv))
		f.Base, f.Peer = append(f.Base, int64(r.base)), append(f.Peer, int64(r.peer))
		f.Info, f.MQTT = append(f.Info, b.text(r.info)), append(f.MQTT, b.text(strings.Join(r.mqtt, "; ")))
		f.Why, f.Place = append(f.Why, b.text(r.why)), append(f.Place, r.place)
		if r.rtt > 0 {
			f.RTT = append(f.RTT, int64(i), r.rtt)
		}
		if r.rto > 0 {
			f.RTO = append(f.RTO, int64(i), r.rto)
		}
		f.HeadLen = append(f.HeadLen, len(r.head))
		heads = append(heads, r.head...)
		for len(heads)%3 != 0 {
			heads = append(heads, 0)
		}
	}
	f.T, f.ID, f.Num = deltas(f.T), deltas(f.ID), deltas(f.Num)
	f.Head = base64.StdEncoding.EncodeToString(heads)
	return Chunk{Strings: b.take(), Frames: f}
}

// slice returns the part of a frame that travels in the page.
func slice(data []byte) []byte { return slices.Clone(data[:min(len(data), HeaderBytes)]) }
