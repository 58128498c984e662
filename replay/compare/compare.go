package compare

import (
	"encoding/binary"
	"fmt"
	"time"

	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
)

// A Report says in what two captures, A and B, differ. Lists are never null.
type Report struct {
	Same          bool     `json:"same"`
	Differences   int      `json:"differences"` // lines that only one has, changed pairs counted once
	A             *Capture `json:"a"`
	B             *Capture `json:"b"`
	Conversations []*Pair  `json:"conversations"`
}

// A Pair is a conversation of A and the one of B that is taken for the same; one of
// them is nil where there is none.
type Pair struct {
	A        *Conversation `json:"a,omitempty"`
	B        *Conversation `json:"b,omitempty"`
	Messages *Alignment    `json:"messages,omitempty"` // nil when they were not compared
	Segments *Alignment    `json:"segments,omitempty"`
}

// A Conversation is what a Pair says of one side.
type Conversation struct {
	ID       uint64 `json:"id"`
	Client   string `json:"client"`
	Server   string `json:"server"`
	ClientID string `json:"client_id"`
	Frame    uint64 `json:"first_frame"`
	TLS      string `json:"tls,omitempty"` // what was read of its TLS
}

// An Alignment is the comparison of the messages, or segments, of a Pair.
type Alignment struct {
	A           int    `json:"a"` // how many there are
	B           int    `json:"b"`
	Same        int    `json:"same"`
	Differences int    `json:"differences"`
	Unlisted    int    `json:"unlisted"` // differences that Lines lacks
	Lines       []Line `json:"lines"`
}

// A Line is a message or a segment.
type Line struct {
	// Kind is same, only_a, only_b or changed: what both have with different Fields.
	Kind   string        `json:"kind"`
	Fields []string      `json:"fields,omitempty"`
	AFrame uint64        `json:"a_frame,omitempty"`
	BFrame uint64        `json:"b_frame,omitempty"`
	AAt    time.Duration `json:"a_at"` // since the first frame of its conversation
	BAt    time.Duration `json:"b_at"`
	A      string        `json:"a,omitempty"`
	B      string        `json:"b,omitempty"`
	// Gap tells that lines between the one before and this one are left out.
	Gap bool `json:"gap,omitempty"`
}

// The kinds of lines.
const (
	KindSame    = "same"
	KindOnlyA   = "only_a"
	KindOnlyB   = "only_b"
	KindChanged = "changed"
)

// Compare compares two captures that were read with the same config.
func Compare(a, b *Capture, config Config) (*Report, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	c := &comparison{config: config, rooms: [2]int{config.MaxLines, config.MaxLines}}
	r := &Report{A: a, B: b, Conversations: []*Pair{}}
	for _, p := range pairs(a.conversations, b.conversations) {
		pair := &Pair{A: p[0].public(), B: p[1].public()}
		if config.By != SegmentsOnly {
			pair.Messages = c.align(p, messages, (*item).messageText)
			r.Differences += pair.Messages.Differences
		}
		if config.By != MessagesOnly {
			pair.Segments = c.align(p, segments, (*item).segmentText)
			r.Differences += pair.Segments.Differences
		}
		if (p[0] == nil || p[1] == nil) && (pair.Messages == nil || pair.Messages.Differences == 0) && (pair.Segments == nil || pair.Segments.Differences == 0) {
			r.Differences++ // a conversation with nothing in it that is compared
		}
		r.Conversations = append(r.Conversations, pair)
	}
	r.Same = r.Differences == 0 && a.Problem == nil && b.Problem == nil
	return r, nil
}

func (c *conversation) public() *Conversation {
	if c == nil {
		return nil
	}
	client := c.client()
	return &Conversation{
		ID: c.of.ID, Client: c.of.Half(client).Addr.String(), Server: c.of.Half(client.Peer()).Addr.String(),
		ClientID: shown([]byte(c.clientID)), Frame: c.of.FirstFrame, TLS: tlsdec.Describe(c.of),
	}
}

// client is the side of the client, or that of the first frame.
func (c *conversation) client() flow.Side {
	if c.of.Client == flow.NoSide {
		return flow.SideA
	}
	return c.of.Client
}

// pairs finds the conversations that belong together: those of one client identifier to
// one server port first, then those to one server port, then the others; each in their order.
func pairs(a, b []*conversation) [][2]*conversation {
	partner := make([]*conversation, len(a))
	taken := make([]bool, len(b))
	port := func(c *conversation) uint16 { return c.of.Half(c.client().Peer()).Addr.Port() }
	for _, key := range []func(*conversation) string{
		func(c *conversation) string {
			if c.clientID == "" {
				return ""
			}
			return fmt.Sprintf("%d %s", port(c), c.clientID)
		},
		func(c *conversation) string { return fmt.Sprint(port(c)) },
		func(*conversation) string { return "any" },
	} {
		free := map[string][]int{} // of b, looked up only
		for i, c := range b {
			if k := key(c); k != "" && !taken[i] {
				free[k] = append(free[k], i)
			}
		}
		for i, c := range a {
			k := key(c)
			if list := free[k]; partner[i] == nil && k != "" && len(list) > 0 {
				partner[i], taken[list[0]], free[k] = b[list[0]], true, list[1:]
			}
		}
	}
	all := make([][2]*conversation, 0, len(a))
	for i, c := range a {
		all = append(all, [2]*conversation{c, partner[i]})
	}
	for i, c := range b {
		if !taken[i] {
			all = append(all, [2]*conversation{nil, c})
		}
	}
	return all
}

// A comparison is Compare at work.
type comparison struct {
	config Config
	rooms  [2]int // differences that may still be listed, by level
}

// align compares one level of a pair.
func (c *comparison) align(p [2]*conversation, level int, describe func(*item) string) *Alignment {
	lists := [2][]item{}
	for i := range p {
		if p[i] != nil {
			lists[i] = p[i].items[level]
		}
	}
	a, b := lists[0], lists[1]
	out := &Alignment{A: len(a), B: len(b), Lines: []Line{}}
	wholes, shapes := interner{}, interner{}
	steps := Align(c.keys(p[0], a, wholes, shapes), c.keys(p[1], b, wholes, shapes))
	lines := &lister{comparison: c, out: out, room: &c.rooms[level], arrow: func(i *item, side int) string {
		if i.side == p[side].client() {
			return "-> " + describe(i)
		}
		return "<- " + describe(i)
	}}
	for _, o := range steps {
		switch {
		case o.B < 0:
			lines.add(Line{Kind: KindOnlyA}, &a[o.A], nil)
		case o.A < 0:
			lines.add(Line{Kind: KindOnlyB}, nil, &b[o.B])
		default:
			x, y := &a[o.A], &b[o.B]
			if fields := c.differing(x, y); fields != 0 {
				lines.add(Line{Kind: KindChanged, Fields: fields.Names()}, x, y)
			} else {
				out.Same++
				lines.add(Line{Kind: KindSame}, x, y)
			}
		}
	}
	return out
}

// differing returns the fields in which two items of one shape differ.
func (c *comparison) differing(x, y *item) Fields {
	var f Fields
	for i := range x.values {
		if field := Fields(1) << i; c.config.Fields&field != 0 && x.values[i] != y.values[i] {
			f |= field
		}
	}
	if d := x.at.Sub(y.at); c.config.Time >= 0 && (d > c.config.Time || d < -c.config.Time) {
		f |= fieldTime
	}
	return f
}

// An interner gives equal keys equal numbers.
type interner map[string]int

// keys returns what each item is: with all fields that count, and by its shape alone.
func (c *comparison) keys(of *conversation, items []item, wholes, shapes interner) []Key {
	if len(items) == 0 {
		return nil // of may be nil
	}
	keys := make([]Key, len(items))
	var b []byte
	for n := range items {
		i := &items[n]
		b = binary.BigEndian.AppendUint16(b[:0], i.shape)
		if i.side == of.client() {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		start := len(b)
		if i.get(FieldLength) > 0 {
			b = append(b, 'x') // data and pure acknowledgements are not one changed
		}
		keys[n].Shape = shapes.number(b)
		b = b[:start]
		for f, v := range i.values {
			if c.config.Fields&(1<<f) != 0 {
				b = binary.BigEndian.AppendUint64(b, v)
			}
		}
		keys[n].Whole = wholes.number(b)
	}
	return keys
}

func (in interner) number(key []byte) int {
	n, known := in[string(key)]
	if !known {
		n = len(in)
		in[string(key)] = n
	}
	return n
}

// A lister keeps the lines around differences.
type lister struct {
	*comparison
	out    *Alignment
	room   *int
	arrow  func(i *item, side int) string
	before []Line // of the same kind, in front of the next difference
	after  int    // lines of the same kind still to be listed
	gap    bool
}

func (l *lister) add(line Line, x, y *item) {
	same := line.Kind == KindSame
	if !same {
		l.out.Differences++
		if *l.room == 0 {
			l.out.Unlisted++
			return
		}
	}
	if same && l.config.Context == 0 || *l.room == 0 {
		l.gap = true
		return
	}
	if x != nil {
		line.AFrame, line.AAt, line.A = x.frame, time.Duration(x.at), l.arrow(x, 0)
	}
	if y != nil {
		line.BFrame, line.BAt, line.B = y.frame, time.Duration(y.at), l.arrow(y, 1)
	}
	switch {
	case !same:
		for _, b := range l.before {
			l.list(b)
		}
		l.before = l.before[:0]
		l.list(line)
		*l.room--
		l.after = l.config.Context
	case l.after > 0:
		l.after--
		l.list(line)
	default:
		if l.before = append(l.before, line); len(l.before) > l.config.Context {
			l.before = append(l.before[:0], l.before[1:]...)
			l.gap = true
		}
	}
}

func (l *lister) list(line Line) {
	line.Gap, l.gap = l.gap && len(l.out.Lines) > 0, false
	l.out.Lines = append(l.out.Lines, line)
}
