package script

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
	"hilnet/sim"
	"hilnet/wire"
)

// Limits bound what a Script holds of a capture. The zero value means the
// defaults.
type Limits struct {
	Conversations int // of MQTT. 0 = 4,096
	Messages      int // of all conversations. 0 = 262,144
	Bytes         int // of all messages. 0 = 64 MiB
	Message       int // bytes of one. 0 = 16 MiB
	// MQTTPorts are where MQTT is expected in what was joined midstream. nil = 1883
	MQTTPorts []uint16
	// Interfaces, when not empty, are the only ones that count, from 0.
	Interfaces []int
	// Join makes one capture of all interfaces and VLANs, for taps that record each
	// direction apart. Script.Halves says when that helps.
	Join bool
	// Keys are the secrets of TLS sessions, beside those that the capture holds. It is
	// changed. nil = none.
	Keys *tlsdec.Keys
}

func (l *Limits) setDefaults() {
	for _, f := range []struct {
		value  *int
		preset int
	}{{&l.Conversations, 4096}, {&l.Messages, 262_144}, {&l.Bytes, 64 << 20}, {&l.Message, 16 << 20}} {
		if *f.value <= 0 {
			*f.value = f.preset
		}
	}
}

// ErrTooMuch says that a capture has more messages than the limits allow.
var ErrTooMuch = errors.New("script: too much for one play")

// cutBudget bounds the segment sizes that are kept, of all conversations.
const cutBudget = 1 << 20

// A gatherer makes a Script of frames.
type gatherer struct {
	limits   Limits
	script   *Script
	table    *flow.Table
	live     map[uint64]*draft // by the ID of the conversation; looked up only
	drafts   []*draft          // in order
	keys     *tlsdec.Keys
	halves   halves
	messages int
	bytes    int
	cuts     int
	err      error

	base   int // interfaces of earlier sections
	first  pcaps.Stamp
	timed  bool
	chosen map[int]bool
}

// A draft is a conversation of which the roles may not be known yet.
type draft struct {
	of     *flow.Conversation
	events []draftEvent
	side   [2]draftSide
	steps  [3]sim.Time // SYN, SYN,ACK, and the ACK of that
	seen   int         // how many of them
	syn    flow.Side
	ended  bool
	mqtt   bool
	late   bool // events do not stand in their order
	// A conversation beyond the limit is followed but not kept.
	over bool
	// Of TLS: when its first message was found, the last moment at which the other
	// side had sent something, which is the end of the handshake.
	shaken    sim.Time
	hasShaken bool
	websocket bool
}

type draftSide struct {
	facts   Facts
	cuts    []int64 // ends of its segments in the stream
	missing int64
	snapped int64 // of these, cut off by the capture's snapshot length
	tooLong int   // the longest message beyond Limits.Message
	tail    int64 // missing behind the last message
	frames  int
	last    sim.Time // of its stream's newest bytes
	givenUp uint64   // the frame at which a hole was given up last
}

type draftEvent struct {
	Event
	side   flow.Side
	offset int64
	size   int
}

// Read makes a Script of a capture. The error says why there is none; a capture
// that is cut or damaged gives what stands before that, and Script.Problem.
func Read(input io.Reader, limits Limits, stop func() error) (*Script, error) {
	limits.setDefaults()
	reader, err := pcaps.NewReader(input, pcaps.ReaderConfig{MaxMetadata: 4 << 20})
	if err != nil {
		return nil, err
	}
	g := &gatherer{limits: limits, script: &Script{}, live: map[uint64]*draft{}, chosen: map[int]bool{}, keys: limits.Keys}
	if g.keys == nil {
		g.keys = new(tlsdec.Keys)
	}
	for _, i := range limits.Interfaces {
		g.chosen[i] = true
	}
	g.table, err = flow.New(flow.Config{
		MQTTPorts: limits.MQTTPorts, MaxMessage: limits.Message, MaxMemory: 32<<20 + 2*limits.Message,
		Secure: g.keys.Open, IgnoreVLAN: limits.Join,
	}, g)
	if err != nil {
		return nil, err
	}
	if err := g.records(reader, stop); err != nil {
		return nil, err
	}
	g.table.Close()
	g.script.Halves = g.halves.found
	if g.err != nil {
		return nil, g.err
	}
	g.finish()
	return g.script, nil
}

func (g *gatherer) records(reader *pcaps.Reader, stop func() error) error {
	interfaces := 0
	if reader.Format() == pcaps.FormatPcap {
		interfaces = 1
	}
	for n := 0; g.err == nil; n++ {
		if n%4096 == 0 && stop != nil {
			if err := stop(); err != nil {
				return err
			}
		}
		r, err := reader.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			var cut *pcaps.TruncatedError
			var damaged *pcaps.FormatError
			if n == 0 || !errors.As(err, &cut) && !errors.As(err, &damaged) {
				return err
			}
			g.script.Problem = err
			return nil
		}
		switch {
		case r.Section != nil:
			g.base = interfaces
		case r.Interface != nil:
			interfaces++
		case r.Packet != nil:
			g.packet(r.Packet)
		case r.Secrets != nil && r.Secrets.Kind == pcaps.SecretsTLS:
			g.keys.Add(r.Secrets.Data)
		}
	}
	return nil
}

func (g *gatherer) packet(p *pcaps.Packet) {
	g.script.Frames++
	at := sim.Time(0)
	if p.Block != pcaps.BlockSimplePacket {
		if !g.timed {
			g.first, g.timed = p.Time, true
		}
		at = sim.Time(p.Time.Sub(g.first))
	}
	lane := g.base + p.Interface
	if len(g.chosen) > 0 && !g.chosen[lane] {
		return
	}
	if g.limits.Join {
		lane = 0
	}
	r := g.table.Feed(flow.Frame{
		Data: p.Data, Link: flow.LinkType(p.LinkType), At: at, Number: g.script.Frames, Direction: flow.Direction(p.Direction()), Lane: uint32(lane),
	})
	if r.Conversation == nil || r.Ignored != flow.NoReason {
		return
	}
	if d := g.live[r.Conversation.ID]; d != nil {
		d.segment(g, &r, at)
	}
}

// segment notes what flow does not: the steps of the handshake and the end.
func (d *draft) segment(g *gatherer, r *flow.Result, at sim.Time) {
	s := &d.side[r.Side-1]
	s.frames++
	flags := r.TCP.Flags()
	if s.frames == 1 {
		s.facts.TTL = ttl(r.IP)
	}
	switch syn := flags&wire.TCPSyn != 0; {
	case syn && flags&wire.TCPAck == 0 && d.seen == 0:
		d.steps[0], d.seen, d.syn = at, 1, r.Side
		s.facts.Window = r.TCP.Window()
	case syn && flags&wire.TCPAck != 0 && d.seen == 1 && r.Side != d.syn:
		d.steps[1], d.seen = at, 2
		s.facts.Window = r.TCP.Window()
	case !syn && d.seen == 2 && r.Side == d.syn && flags&wire.TCPAck != 0:
		d.steps[2], d.seen = at, 3
	}
	if d.ended || d.over {
		return
	}
	kind := NoKind
	switch {
	case flags&wire.TCPRst != 0:
		kind = Abort
	case flags&wire.TCPFin != 0:
		kind = Close
	}
	if kind != NoKind {
		d.ended = true
		d.events = append(d.events, draftEvent{
			Event: Event{Kind: kind, At: time.Duration(at), Ready: time.Duration(at), Frame: g.script.Frames}, side: r.Side,
		})
	}
}

// ttl is the time to live of an IP packet.
func ttl(ip []byte) uint8 {
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4:
		return ip[8]
	case len(ip) >= 40 && ip[0]>>4 == 6:
		return ip[7]
	}
	return 0
}

// Data keeps how a stream was cut into segments.
func (g *gatherer) Data(c *flow.Chunk) {
	d := g.live[c.Conversation.ID]
	if d == nil || d.over {
		return
	}
	s := &d.side[c.Side-1]
	s.tail += c.Missing
	s.last = c.ReadyAt
	if c.Missing > 0 {
		s.givenUp = c.ReadyFrame
	}
	if c.Reason == flow.ReasonSnapped {
		s.snapped += c.Missing
	}
	if c.Offset == 0 && isWebSocket(c.Data) {
		d.websocket = true
	}
	if g.cuts < cutBudget {
		g.cuts++
		s.cuts = append(s.cuts, c.End())
	}
}

// Message keeps a message.
func (g *gatherer) Message(m *flow.Message) {
	d := g.live[m.Conversation.ID]
	if d == nil {
		return
	}
	if !d.mqtt && !d.over {
		d.mqtt = true
		if len(g.drafts) >= g.limits.Conversations {
			d.over = true
			g.script.Unlisted++
			g.cuts -= len(d.side[0].cuts) + len(d.side[1].cuts)
			d.events, d.side[0].cuts, d.side[1].cuts = nil, nil, nil
			return
		}
		g.drafts = append(g.drafts, d)
	}
	if d.over || g.err != nil {
		return
	}
	at := &d.side[m.Side-1]
	at.missing, at.tail = at.missing+at.tail, 0
	if !d.hasShaken {
		d.shaken, d.hasShaken = d.side[m.Side.Peer()-1].last, true
	}
	if m.Truncated() { // what is missing in gaps was counted there
		at.missing += int64(m.Len - len(m.Raw) - m.Missing)
		if m.Missing == 0 {
			at.missing, at.tooLong = max(at.missing, 1), max(at.tooLong, m.Len)
		}
		return
	}
	g.messages++
	g.bytes += m.Len
	if g.messages > g.limits.Messages || g.bytes > g.limits.Bytes {
		g.err = fmt.Errorf("%w: more than %d MQTT messages or %d MiB of them, at frame %d: cut the capture or choose an interface",
			ErrTooMuch, g.limits.Messages, g.limits.Bytes>>20, m.FirstFrame)
		return
	}
	ready := m.ReadyAt
	if m.ReadyFrame == at.givenUp && m.ReadyFrame > m.LastFrame {
		// It waited behind bytes that the capture lacks; its receiver had them.
		ready, d.late = m.LastAt, true
	}
	d.events = append(d.events, draftEvent{
		Event: Event{
			Kind: Message, Type: m.Type, ID: IDOf(m.Raw), Raw: bytes.Clone(m.Raw), At: time.Duration(m.FirstAt),
			Ready: time.Duration(ready), Frame: m.FirstFrame,
		},
		side: m.Side, offset: m.Offset, size: m.Len,
	})
}

// Notice opens and ends conversations.
func (g *gatherer) Notice(n *flow.Notice) {
	switch n.Kind {
	case flow.NoticeOpened:
		g.live[n.Conversation.ID] = &draft{of: n.Conversation}
	case flow.NoticeEnded:
		d := g.live[n.Conversation.ID]
		delete(g.live, n.Conversation.ID)
		g.halves.add(n.Conversation)
		if d == nil || d.mqtt || d.over {
			return
		}
		g.cuts -= len(d.side[0].cuts) + len(d.side[1].cuts) // nobody needs them
		switch {
		case n.Conversation.Protocol == flow.ProtocolTLS, d.websocket:
			if !d.websocket {
				g.script.TLS++
			}
			g.script.Skipped++
			if len(g.drafts) < g.limits.Conversations {
				g.drafts = append(g.drafts, &draft{of: n.Conversation, side: d.side, steps: d.steps, seen: d.seen, websocket: d.websocket})
			}
		default:
			g.script.Skipped++
		}
	case flow.NoticeUnfinished:
		if d := g.live[n.Conversation.ID]; d != nil {
			d.side[n.Side-1].tail += max(n.Len, 1) // unless messages follow it
		}
	case flow.NoNotice, flow.NoticeProtocol, flow.NoticeOverlap, flow.NoticeBoundaryLost, flow.NoticeBoundaryFound:
	}
}
