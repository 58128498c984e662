package compare

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
	"hilnet/sim"
)

// maxMessage bounds the bytes of a message that are compared as one; the segments have
// them all.
const maxMessage = 1 << 20

// A Capture is what is compared of one file.
type Capture struct {
	Frames  uint64  `json:"frames"`
	Ignored []Count `json:"not_compared"` // frames, by reason
	// LongMessages were compared by their first MiB only, those with Missing bytes by
	// what the capture has.
	LongMessages int `json:"long_messages"`
	Incomplete   int `json:"incomplete_messages"`
	// Unread are conversations in TLS of which no message was compared, by the reason.
	Unread []Count `json:"tls_not_read"`
	// Problem is why reading ended before the end of the file.
	Problem error `json:"-"`

	conversations []*conversation
}

// A Count is a number with the reason for it.
type Count struct {
	Reason string `json:"reason"`
	N      uint64 `json:"n"`
}

// ErrTooLong says that a capture has more than Config.MaxItems.
var ErrTooLong = errors.New("compare: the capture is too long to be compared at once")

// A conversation is one TCP connection.
type conversation struct {
	of       *flow.Conversation
	clientID string
	items    [2][]item // messages, segments
	base     [2]uint32 // first sequence number by side
	based    [2]bool
}

// index of conversation.items.
const (
	messages = iota
	segments
)

// An item is a message or a segment.
type item struct {
	frame  uint64
	at     sim.Time // since the first frame of the conversation
	side   flow.Side
	shape  uint16 // what it is: items of different shapes are never the same
	values [fieldCount]uint64
	topic  string // for people
}

// A reading is a Capture while it is read.
type reading struct {
	*Capture
	config Config
	keys   *tlsdec.Keys
	table  *flow.Table
	byID   map[uint64]*conversation
	n      int // items
	err    error
}

// Read reads a capture to its end, or to where it is cut or damaged.
func Read(ctx context.Context, in *pcaps.Reader, config Config) (*Capture, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	r := &reading{Capture: &Capture{Ignored: []Count{}, Unread: []Count{}}, config: config, keys: config.Keys, byID: map[uint64]*conversation{}}
	if r.keys == nil {
		r.keys = new(tlsdec.Keys)
	}
	var err error
	if r.table, err = flow.New(flow.Config{MQTTPorts: config.MQTTPorts, MaxMessage: maxMessage, Secure: r.keys.Open}, r); err != nil {
		return nil, err
	}
	if err := r.frames(ctx, in); err != nil {
		return nil, err
	}
	r.table.Close()
	if r.err != nil {
		return nil, r.err
	}
	s := r.table.Stats()
	for i, n := range s.Ignored {
		if n > 0 {
			r.Ignored = append(r.Ignored, Count{flow.Reason(i).String(), n})
		}
	}
	r.unread()
	return r.Capture, nil
}

// unread counts the conversations in TLS whose messages are not known.
func (r *reading) unread() {
	for _, c := range r.conversations {
		why := tlsdec.Unread(c.of)
		i := slices.IndexFunc(r.Unread, func(x Count) bool { return x.Reason == why })
		switch {
		case why == "":
		case i < 0:
			r.Unread = append(r.Unread, Count{why, 1})
		default:
			r.Unread[i].N++
		}
	}
}

func (r *reading) frames(ctx context.Context, in *pcaps.Reader) error {
	scan := pcaps.Scan{Secrets: func(lines []byte) { r.keys.Add(lines) }}
	var first pcaps.Stamp
	for p, err := range scan.Frames(ctx, in) {
		if err != nil {
			return err
		}
		if r.Frames++; r.Frames == 1 {
			first = p.At
		}
		r.frame(flow.Frame{
			Data: p.Data, Link: flow.LinkType(p.LinkType), At: sim.Time(p.At.Sub(first)), Number: p.Number,
			Direction: flow.Direction(p.Direction()), Lane: uint32(p.Lane),
		})
		if r.err != nil {
			break
		}
	}
	r.Problem = scan.Problem
	return nil
}

// add appends an item, unless there are too many.
func (r *reading) add(c *conversation, level int, i item) {
	if r.n >= r.config.MaxItems {
		r.err = fmt.Errorf("%w: it has more than %d messages, segments and conversations (replay cut writes a part)", ErrTooLong, r.config.MaxItems)
		return
	}
	r.n++
	c.items[level] = append(c.items[level], i)
}

// Data does nothing: segments have the bytes.
func (r *reading) Data(*flow.Chunk) {}

// conversationCost is how many items a conversation takes the memory of.
const conversationCost = 4

// Notice notes each conversation.
func (r *reading) Notice(n *flow.Notice) {
	if n.Kind == flow.NoticeOpened {
		c := &conversation{of: n.Conversation}
		r.byID[n.Conversation.ID] = c
		r.conversations = append(r.conversations, c)
		if r.n += conversationCost; r.n > r.config.MaxItems && r.err == nil {
			r.err = fmt.Errorf("%w: it has more than %d messages, segments and conversations (replay cut writes a part)", ErrTooLong, r.config.MaxItems)
		}
	}
}

// hash is the number that bytes are compared by.
func hash(parts ...[]byte) uint64 {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
