package flow

import (
	"hilnet/sim"
	"hilnet/wire"
)

// Direction is a frame's direction as a capture or link states it.
type Direction uint8

// Directions.
const (
	NoDirection Direction = iota
	Inbound
	Outbound
)

func (d Direction) String() string { return pick(int(d), "none", "in", "out") }

// Frame is what a Table is fed with.
type Frame struct {
	Data   []byte   // as captured; not kept and not changed
	Link   LinkType // mind that the zero value is LinkNull
	At     sim.Time
	Number uint64
	// Direction is a hint: it is counted, and it tells the sides apart when a
	// host talks to itself on one port.
	Direction Direction
	// Lane keeps apart conversations that would be one by their addresses: give
	// capture points that see the same frames a lane each.
	Lane uint32
}

// Labels say what a segment is. Several may hold.
type Labels uint16

// Labels of a segment.
const (
	LabelNew             Labels = 1 << iota // brings bytes not seen before
	LabelRepeated                           // has bytes seen before
	LabelDiffers                            // and they are not the same
	LabelOutOfOrder                         // arrives in front of a hole
	LabelFills                              // fills a hole, at least in part
	LabelKeepAlive                          // zero or one byte in front of the next one
	LabelZeroWindowProbe                    // one byte into a closed window
	LabelOutOfWindow
	LabelBadChecksum
	LabelIncarnation // begins a conversation
)

// Result says what became of a frame.
type Result struct {
	// Ignored is the reason why the frame has no influence on any stream. It may
	// have a Conversation still: ReasonStaleACK and such.
	Ignored      Reason
	Conversation *Conversation // nil: no TCP segment
	Side         Side          // the sender
	Labels       Labels
	Dropped      Reason // why payload of the segment was not taken, or not all of it
	Offset       int64  // of the payload in the stream
	Len          int    // of the payload on the wire
	Payload      []byte // as captured; part of Frame.Data
	TCP          wire.TCP
	IP           []byte // the frame from its IP header on; part of Frame.Data
}

// Stats are the totals of a Table.
type Stats struct {
	Frames        uint64
	Ignored       [reasonCount]uint64 // frames, by Reason
	Dropped       [reasonCount]uint64 // payload bytes, by Reason
	Gaps          [reasonCount]uint64 // bytes, by Reason
	Conversations uint64
	Evicted       uint64
	Held, MaxHeld int // bytes, against Config.MaxMemory
	Live          int // conversations remembered
}

// Table follows conversations.
type Table struct {
	config Config
	out    Handler
	mem    memory
	stats  Stats

	conns        map[key]*conn
	recent       *conn // the one used last
	newest       *conn // ends of the list by activity
	oldest       *conn
	first, last  *conn // ends of the list by ID
	seg          segment
	chunk        Chunk
	notice       Notice
	message      Message
	conversation uint64
}

// conn is a Conversation at work.
type conn struct {
	Conversation
	key          key
	lowIsA       bool
	half         [2]half
	newer, older *conn // by activity
	next, prev   *conn // by ID
}

// New returns an empty Table. handler may be nil: the Results tell of segments
// then, and the Conversations of the rest.
func New(config Config, handler Handler) (*Table, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	if handler == nil {
		handler = nobody{}
	}
	return &Table{config: config, out: handler, mem: memory{limit: config.MaxMemory}, conns: map[key]*conn{}}, nil
}

type nobody struct{}

func (nobody) Data(*Chunk)      {}
func (nobody) Message(*Message) {}
func (nobody) Notice(*Notice)   {}

// Feed gives the Table the next frame. Frames come in the order of capture;
// their times may go back.
func (t *Table) Feed(f Frame) Result {
	s := &t.seg
	s.Frame = f
	t.stats.Frames++
	if reason := s.decode(&t.config); reason != NoReason {
		t.stats.Ignored[reason]++
		return Result{Ignored: reason}
	}
	c := t.recent
	if c == nil || c.key != s.key {
		c = t.conns[s.key]
	}
	r := Result{Len: s.len(), Payload: s.payload, TCP: s.tcp, IP: s.ip}
	switch {
	case c == nil:
		c = t.open(s, 1)
		r.Labels |= LabelIncarnation
	case c.begins(s, &t.config):
		incarnation := c.Incarnation + 1
		t.end(c, EndReplaced)
		c = t.open(s, incarnation)
		r.Labels |= LabelIncarnation
	}
	t.touch(c)
	t.segment(c, s, &r)
	if t.mem.used > t.stats.MaxHeld {
		t.stats.MaxHeld = t.mem.used
	}
	if r.Ignored != NoReason {
		t.stats.Ignored[r.Ignored]++
	}
	return r
}

// Close ends all conversations, in order of their IDs, giving out what is held
// for them. The Table is empty then and may be used on.
func (t *Table) Close() {
	for t.first != nil {
		t.end(t.first, EndOpen)
	}
}

// Stats returns the totals.
func (t *Table) Stats() Stats {
	s := t.stats
	s.Held, s.Live = t.mem.used, len(t.conns)
	return s
}

// Each calls yield for the conversations remembered, in order of their IDs.
func (t *Table) Each(yield func(*Conversation) bool) {
	for c := t.first; c != nil; c = c.next {
		if !yield(&c.Conversation) {
			return
		}
	}
}

// index is 0 for SideA and 1 for SideB.
func (c *conn) index(s *segment) int {
	if s.key.lo == s.key.hi {
		if s.Direction == Inbound {
			return 1
		}
		return 0
	}
	if s.fromLow == c.lowIsA {
		return 0
	}
	return 1
}

func (t *Table) open(s *segment, incarnation int) *conn {
	for len(t.conns) >= t.config.MaxConversations {
		t.oldest.Evicted = true
		t.stats.Evicted++
		t.end(t.oldest, EndOpen)
	}
	t.conversation++
	t.stats.Conversations++
	c := &conn{key: s.key, lowIsA: s.fromLow}
	if s.key.lo == s.key.hi {
		c.lowIsA = true
	}
	c.Conversation = Conversation{
		ID: t.conversation, Incarnation: incarnation, Lane: s.Lane,
		First: s.At, FirstFrame: s.Number,
	}
	for _, id := range s.key.vlan {
		if id != 0 {
			c.VLANs = append(c.VLANs, id)
		}
	}
	a, b := s.key.lo, s.key.hi
	if !c.lowIsA {
		a, b = b, a
	}
	c.A.Addr, c.B.Addr = s.key.addrPort(a), s.key.addrPort(b)
	c.half[0].init(t, c, SideA)
	c.half[1].init(t, c, SideB)
	t.claimByPort(c)
	t.conns[c.key] = c
	c.prev = t.last
	if t.last != nil {
		t.last.next = c
	} else {
		t.first = c
	}
	t.last = c
	t.tell(c, Notice{Kind: NoticeOpened})
	return c
}

func (t *Table) claimByPort(c *conn) {
	known := func(port uint16) bool {
		return listed(t.config.MQTTPorts, port) || listed(t.config.TLSPorts, port)
	}
	a, b := known(c.A.Addr.Port()), known(c.B.Addr.Port())
	switch {
	case a && !b:
		c.claim(SideB, RoleByPort)
	case b && !a:
		c.claim(SideA, RoleByPort)
	}
}

func listed(ports []uint16, port uint16) bool {
	for _, p := range ports {
		if p == port {
			return true
		}
	}
	return false
}

// touch makes c the most recently active conversation.
func (t *Table) touch(c *conn) {
	t.recent = c
	if t.newest == c {
		return
	}
	t.unlinkActivity(c)
	c.older = t.newest
	if t.newest != nil {
		t.newest.newer = c
	} else {
		t.oldest = c
	}
	t.newest = c
}

func (t *Table) unlinkActivity(c *conn) {
	if c.newer != nil {
		c.newer.older = c.older
	} else if t.newest == c {
		t.newest = c.older
	}
	if c.older != nil {
		c.older.newer = c.newer
	} else if t.oldest == c {
		t.oldest = c.newer
	}
	c.newer, c.older = nil, nil
}

// end gives out what c still holds, and forgets c.
func (t *Table) end(c *conn, end End) {
	c.half[0].finish(ReasonEnded)
	c.half[1].finish(ReasonEnded)
	if c.End == EndOpen || c.End == EndHalf {
		if end != EndOpen {
			c.End = end
		}
	}
	if c.Secure != nil {
		c.Secure.End()
	}
	t.tell(c, Notice{Kind: NoticeEnded})
	c.half[0].release()
	c.half[1].release()
	t.unlinkActivity(c)
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		t.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		t.last = c.prev
	}
	c.next, c.prev = nil, nil
	delete(t.conns, c.key)
	if t.recent == c {
		t.recent = nil
	}
}

// tell stamps and hands out a notice.
func (t *Table) tell(c *conn, n Notice) {
	n.Conversation, n.Frame, n.At = &c.Conversation, t.seg.Number, t.seg.At
	t.notice = n
	t.out.Notice(&t.notice)
}
