package play

import (
	"fmt"
	"slices"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/replay/script"
	"hilnet/sim"
)

// A status is what became of an event.
type status uint8

const (
	pending  status = iota
	sent            // by the player
	skipped         // not sent: the policy
	matched         // came from the peer
	needless        // acknowledges what is in front of the capture's beginning
)

// A state is what became of an event, live.
type state struct {
	status    status
	synthetic bool // was not recorded
	at        sim.Time
	liveID    uint16
	off       time.Duration // by how much the play was late
	timed     bool          // off counts
	unheeded  bool          // its cause did not come
	extraWait sim.Time      // since when its cause is waited for, +1
}

// A session is a conversation being played.
type session struct {
	player     *Player
	of         *script.Conversation
	index      int // in the script
	version    uint8
	recordedID string // client identifier
	// unintroduced: the first message of the recorded client is no CONNECT.
	unintroduced bool
	events       []script.Event
	state        []state
	own          []int // indexes of the events of the played side
	next         int   // of own
	expected     []int // indexes of the peer's events, without those matched in front
	pending      *pendings
	repeated     map[uint16]bool // identifiers of the peer's PUBLISH that came; looked up only
	restSpan     time.Duration   // what restTime found, +1
	highest      int             // of the peer's events that came

	conn    Conn
	behind  bool // somebody waits for it to come further: see line
	begun   bool
	open    bool // the connection is there
	opened  sim.Time
	ended   bool
	endedAt sim.Time
	closed  bool // by the player
	gone    bool // by the peer
	rx      []byte
	timer   *sim.Timer // for what is due, or waited for
	waiting sim.Time   // until then
	report  *Conversation
}

func newSession(p *Player, index int, c *script.Conversation) *session {
	s := &session{player: p, of: c, index: index, version: c.Version, highest: -1, repeated: map[uint16]bool{}}
	if s.version == 0 {
		s.version = 4
	}
	s.events = c.Events
	synthetic := s.complete()
	s.state = make([]state, len(s.events))
	for i := range s.events {
		s.state[i].synthetic = i < synthetic
		if s.beforeCapture(i) {
			s.state[i].status = needless
		} else if s.events[i].From == p.cfg.As {
			s.own = append(s.own, i)
		} else {
			s.expected = append(s.expected, i)
		}
		if e := &s.events[i]; e.Type == codec.CONNECT && s.recordedID == "" {
			if f, err := script.Parse(e.Raw, s.version); err == nil {
				s.recordedID = string(f.Connect.ClientID)
			}
		}
	}
	if i := slices.IndexFunc(s.events, func(e script.Event) bool { return e.From == script.Client && e.Kind == script.Message }); i >= 0 {
		_, connects := connectOf(s.events[i].Raw)
		s.unintroduced = !connects
	}
	s.pending = newPendings(s)
	s.timer = p.cfg.Loop.NewTimer(s.advance)
	s.report = newConversation(s)
	return s
}

// beforeCapture reports whether an event belongs to an exchange that had begun before
// the capture did: the live peer knows nothing of it.
func (s *session) beforeCapture(i int) bool {
	e := &s.events[i]
	if !s.of.Flags.Midstream || s.state[i].synthetic || e.Kind != script.Message || !acknowledges(e.Type) {
		return false
	}
	return e.Rule != script.RuleProtocol || e.Cause >= 0 && s.state[e.Cause].status == needless
}

// complete puts in front what a conversation that was joined midstream lacks,
// and returns how many events that is.
func (s *session) complete() int {
	c := s.of
	if !c.Flags.Midstream || !s.player.cfg.Synthetic {
		return 0
	}
	var front []script.Event
	at := c.Begin
	if len(c.Events) > 0 {
		at = c.Events[0].At
	}
	has := func(t codec.Type) bool {
		return slices.ContainsFunc(c.Events, func(e script.Event) bool { return e.Kind == script.Message && e.Type == t })
	}
	if !has(codec.CONNECT) {
		connect := script.Fields{Type: codec.CONNECT, Connect: script.Connect{
			Protocol: []byte("MQTT"), Level: max(s.version, 4), Flags: cleanSession, KeepAlive: syntheticKeepAlive,
			ClientID: fmt.Appendf(nil, "hilnet-replay-%d", c.ID),
		}}
		front = append(front, script.Event{From: script.Client, Kind: script.Message, Type: codec.CONNECT,
			Raw: connect.Append(nil, s.version), At: at, Ready: at, Cause: script.Start, Rule: script.RuleProtocol})
	}
	if !has(codec.CONNACK) {
		front = append(front, script.Event{From: script.Broker, Kind: script.Message, Type: codec.CONNACK,
			Raw: connack(s.version, 0), At: at, Ready: at, Cause: len(front) - 1, Rule: script.RuleProtocol})
	}
	n := len(front)
	if n == 0 {
		return 0
	}
	s.events = front
	for _, e := range c.Events {
		if e.Cause += n; e.Cause == n+script.Start || e.Cause == 0 && n > 1 {
			e.Cause = n - 1
		}
		s.events = append(s.events, e)
	}
	return n
}

const (
	cleanSession       = 0x02
	syntheticKeepAlive = 60
)

// connack is a CONNACK without anything particular.
func connack(version uint8, code byte) []byte {
	if version >= 5 {
		return []byte{byte(codec.CONNACK) << 4, 3, 0, code, 0}
	}
	return []byte{byte(codec.CONNACK) << 4, 2, 0, code}
}

// begin opens the connection, as the client.
func (s *session) begin() {
	if s.begun || s.ended {
		return
	}
	s.begun = true
	s.opened = s.now()
	s.conn = s.player.cfg.Network.Dial(s.of, s.hooks())
	s.wait(s.player.cfg.Wait)
}

// take gives the session a connection that the live client has opened.
func (s *session) take(c Conn) *Events {
	s.begun, s.conn = true, c
	s.connected()
	return s.hooks()
}

func (s *session) hooks() *Events {
	return &Events{Connected: s.connected, Data: s.data, Closed: s.lost}
}

func (s *session) now() sim.Time { return s.player.cfg.Loop.Now() }

// connected hears that the connection is there.
func (s *session) connected() {
	s.open, s.opened = true, s.now()
	s.report.Began = time.Duration(s.opened)
	s.advance()
}

// wait has advance called after some time, if not before.
func (s *session) wait(d time.Duration) {
	s.waiting = s.now().Add(d)
	s.timer.Reset(s.waiting)
}

// forward sends what is due and sees what comes next.
func (s *session) forward() {
	if s.ended {
		return
	}
	if !s.open {
		if s.begun && s.now() >= s.waiting {
			s.stop("no connection within %v", s.player.cfg.Wait)
		}
		return
	}
	var out batch
	for s.next < len(s.own) && !s.ended {
		i := s.own[s.next]
		due, ok := s.due(i)
		if !ok && s.pong(i) || s.orphan(i) {
			s.state[i].status, s.state[i].at = skipped, s.now() // until the ping comes, if it does
			s.next++
			continue
		}
		if !ok && !s.patient(i) {
			if s.ended || s.state[i].status == skipped {
				s.next++
				continue
			}
			due, ok = s.now(), true
		}
		if !ok {
			out.flush(s)
			return // patient has set the timer
		}
		if due > s.now() {
			out.flush(s)
			s.timer.Reset(due)
			return
		}
		s.next++
		s.emit(i, due, &out)
	}
	out.flush(s)
	if !s.ended {
		s.rest()
	}
}

// advance goes on, and lets others begin that wait for that.
func (s *session) advance() {
	s.forward()
	s.player.progress(s)
}

// A batch is messages that go out at once, as those of one segment did.
type batch struct {
	data  []byte
	sizes []int
	frame uint64
}

func (b *batch) flush(s *session) {
	if len(b.data) > 0 && s.conn != nil {
		s.conn.Write(b.data, b.sizes)
	}
	*b = batch{}
}

// add appends a message. Those that began in one frame shared a segment.
func (b *batch) add(s *session, e *script.Event, raw []byte) {
	sizes := e.Segments
	if len(raw) != len(e.Raw) || len(sizes) == 0 {
		sizes = []int{len(raw)}
	}
	if len(b.data) > 0 && b.frame != e.Frame {
		b.flush(s)
	}
	if n := len(b.sizes); n > 0 && b.frame == e.Frame {
		b.sizes[n-1] += sizes[0]
		sizes = sizes[1:]
	}
	b.data = append(b.data, raw...)
	b.sizes = append(b.sizes, sizes...)
	b.frame = e.Frame
}

// emit does what event i is.
func (s *session) emit(i int, due sim.Time, out *batch) {
	e, st := &s.events[i], &s.state[i]
	st.status, st.at = sent, s.now()
	if s.player.cfg.Timing != Fast && !st.unheeded && !st.synthetic {
		st.off, st.timed = s.player.cfg.Clock().Sub(due), true
	}
	switch e.Kind {
	case script.Message:
		raw := s.rewrite(e.Raw)
		if acknowledges(e.Type) && !st.synthetic {
			if id := s.idOf(i); id != e.ID {
				raw = script.SetID(raw, id)
			}
		}
		out.add(s, e, raw)
		s.player.sentBytes += len(raw)
	case script.Close, script.Abort:
		out.flush(s)
		s.hangUp(e.Kind == script.Abort)
	case script.NoKind:
	}
}

// hangUp closes the connection.
func (s *session) hangUp(abort bool) {
	if s.closed || s.conn == nil {
		return
	}
	s.closed = true
	if abort {
		s.conn.Abort()
	} else {
		s.conn.Close()
	}
}

// rest is for when the played side has nothing more to do.
func (s *session) rest() {
	left := slices.ContainsFunc(s.expected, func(i int) bool { return s.state[i].status == pending && s.events[i].Type != codec.PINGREQ })
	switch {
	case !left || s.closed || s.gone:
		s.finish()
	case s.report.resting == 0:
		s.report.resting = s.now() + 1
		s.wait(s.restTime())
	case s.now() >= (s.report.resting - 1).Add(s.restTime()):
		s.finish()
	default:
		s.timer.Reset((s.report.resting - 1).Add(s.restTime()))
	}
}

// restTime is how long the rest of what the peer sends is waited for: as long as
// it took, and some more.
func (s *session) restTime() time.Duration {
	if s.restSpan > 0 {
		return s.restSpan - 1
	}
	s.restSpan = s.findRestTime() + 1
	return s.restSpan - 1
}

func (s *session) findRestTime() time.Duration {
	last, own := s.of.Open, s.of.Open
	for i := range s.events {
		if s.events[i].From == s.player.cfg.As {
			own = max(own, s.events[i].At)
		}
		last = max(last, s.events[i].Ready)
	}
	if s.player.cfg.Timing == Fast && s.player.cfg.As == script.Client {
		return s.player.cfg.Wait
	}
	return s.player.cfg.Wait + s.player.cfg.scaled(max(0, last-own))
}

// stop ends the session before its time.
func (s *session) stop(format string, args ...any) {
	if s.ended {
		return
	}
	s.report.Reason = fmt.Sprintf(format, args...)
	s.finish()
}

// finish ends the session.
func (s *session) finish() {
	if s.ended {
		return
	}
	s.ended, s.endedAt = true, s.now()
	s.timer.Stop()
	s.hangUp(false)
	s.report.conclude(s)
	s.player.ended(s)
}
