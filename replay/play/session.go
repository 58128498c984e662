package play

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/replay/script"
	"hilnet/sim"
)

// maxLive bounds a packet of the live peer, and what waits for the end of it.
const maxLive = 16 << 20

// A status is what became of an event.
type status uint8

const (
	pending status = iota
	sent           // by the player
	skipped        // not sent: the policy
	matched        // came from the peer
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
	events     []script.Event
	state      []state
	own        []int // indexes of the events of the played side
	next       int   // of own
	expected   []int // indexes of the peer's events, without those matched in front
	highest    int   // of the peer's events that came

	conn    Conn
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
	s := &session{player: p, of: c, index: index, version: c.Version, highest: -1}
	if s.version == 0 {
		s.version = 4
	}
	s.events = c.Events
	synthetic := s.complete()
	s.state = make([]state, len(s.events))
	for i := range s.events {
		s.state[i].synthetic = i < synthetic
		if s.events[i].From == p.cfg.As {
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
	s.timer = p.cfg.Loop.NewTimer(s.advance)
	s.report = newConversation(s)
	return s
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

// advance sends what is due and sees what comes next.
func (s *session) advance() {
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
		if !ok && s.pong(i) {
			s.state[i].status = skipped // until the ping comes, if it does
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

// pong reports whether an event only answers a ping: a live client pings by its
// own clock.
func (s *session) pong(i int) bool {
	e := &s.events[i]
	return s.player.cfg.Policy != Strict && e.Kind == script.Message && e.Type == codec.PINGRESP && e.Rule == script.RuleProtocol
}

// pinged answers a ping whose answer's turn has passed.
func (s *session) pinged(ping int) {
	for i := ping + 1; i < len(s.events); i++ {
		if st := &s.state[i]; s.events[i].Cause == ping && s.pong(i) {
			if st.status == skipped {
				st.status, st.at = sent, s.now()
				s.conn.Write(s.events[i].Raw, nil)
			}
			return
		}
	}
}

// due is when an event of the played side is to happen; false while what it
// answers has not come.
func (s *session) due(i int) (sim.Time, bool) {
	cfg, e := &s.player.cfg, &s.events[i]
	schedule := s.opened
	if e.At > s.of.Open {
		schedule = schedule.Add(cfg.scaled(e.At - s.of.Open))
	}
	if cfg.Timing == Absolute && !s.state[i].synthetic {
		schedule = s.player.schedule(e.At)
		return max(schedule, s.opened), true
	}
	cause, arrived := s.opened, true
	if e.Cause >= 0 {
		c := &s.state[e.Cause]
		cause, arrived = c.at, c.status == sent || c.status == matched
		if c.status == skipped || c.unheeded && c.status == pending {
			cause, arrived = s.now(), true
		}
	}
	if e.Kind != script.Message || e.Type == codec.DISCONNECT {
		arrived = arrived && s.heard(i)
	}
	switch {
	case cfg.Timing == Fast:
		return s.now(), arrived && (e.Rule != script.RuleSpontaneous || s.heard(i))
	case e.Rule == script.RuleSpontaneous && cfg.Timing == Mixed && e.Kind == script.Message && e.Type != codec.DISCONNECT:
		return schedule, true
	case e.Rule == script.RuleSpontaneous && cfg.Timing == Mixed:
		return max(schedule, s.heardAt(i)), arrived
	case e.Kind != script.Message && s.heardAt(i) > cause:
		return max(cause.Add(cfg.scaled(e.Gap)), s.heardAt(i)), arrived
	}
	return cause.Add(cfg.scaled(e.Gap)), arrived
}

// heard reports whether everything that the peer had sent before an event has
// come: a connection is not closed on what is still under way.
func (s *session) heard(i int) bool {
	for _, p := range s.expected {
		if p > i {
			break
		}
		if st := &s.state[p]; st.status == pending && !st.unheeded && s.events[p].Kind == script.Message && s.events[p].Type != codec.PINGREQ {
			return false
		}
	}
	return true
}

// heardAt is when the last of it came.
func (s *session) heardAt(i int) sim.Time {
	at := sim.Time(0)
	for p := i - 1; p >= 0 && p >= i-maxChain; p-- {
		if s.state[p].status == matched {
			at = max(at, s.state[p].at)
		}
	}
	return at
}

// patient waits for what event i answers. When that takes too long it does as
// the policy says and returns false: the event is sent, skipped, or the session
// has ended.
func (s *session) patient(i int) bool {
	st := &s.state[i]
	if st.extraWait == 0 {
		st.extraWait = s.now() + 1
	}
	if until := (st.extraWait - 1).Add(s.patience(i)); s.now() < until {
		s.timer.Reset(until)
		return true
	}
	what := s.awaited(i)
	e := &s.events[i]
	for _, p := range s.expected { // it is not waited for a second time
		if p < i {
			s.state[p].unheeded = true
		}
	}
	final := e.Kind != script.Message || e.Type == codec.DISCONNECT || e.Rule == script.RuleSpontaneous
	switch policy := s.player.cfg.Policy; {
	case policy == Strict:
		s.stop("%s did not come within %v", what, s.player.cfg.Wait)
	case policy == Follow || final:
		st.unheeded = true
	case policy == Skip:
		st.status = skipped
	default:
		s.stop("%s did not come within %v", what, s.player.cfg.Wait)
	}
	return false
}

// patience is how long what event i answers is waited for: as long as it took,
// and some more.
func (s *session) patience(i int) time.Duration {
	cfg := &s.player.cfg
	if cfg.Timing == Fast {
		return cfg.Wait
	}
	before := s.of.Open
	if s.next > 0 {
		before = s.events[s.own[s.next-1]].At
	}
	return cfg.Wait + cfg.scaled(max(0, s.events[i].At-before))
}

// awaited names what event i waits for.
func (s *session) awaited(i int) string {
	if c := s.events[i].Cause; c >= 0 && s.state[c].status == pending {
		return fmt.Sprintf("%s (frame %d)", s.events[c].Label(), s.events[c].Frame)
	}
	for _, p := range s.expected {
		if p < i && s.state[p].status == pending {
			return fmt.Sprintf("%s (frame %d)", s.events[p].Label(), s.events[p].Frame)
		}
	}
	return "what it answers"
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
	left := 0
	for _, i := range s.expected {
		if s.state[i].status == pending && s.events[i].Type != codec.PINGREQ && !(s.events[i].Kind != script.Message && (s.closed || s.gone)) {
			left++
		}
	}
	switch {
	case left == 0 || s.closed || s.gone:
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

// data takes bytes of the live peer.
func (s *session) data(b []byte) {
	if s.ended {
		return
	}
	s.rx = append(s.rx, b...)
	for len(s.rx) > 0 && !s.ended {
		h, ok, err := codec.ParseHeader(s.rx)
		if err != nil || ok && h.Len() > maxLive {
			s.stop("the peer does not speak MQTT: %s", text(s.rx))
			return
		}
		if !ok || len(s.rx) < h.Len() {
			break
		}
		packet := bytes.Clone(s.rx[:h.Len()])
		s.rx = s.rx[:copy(s.rx, s.rx[h.Len():])]
		s.message(packet)
	}
	s.advance()
}

// message takes a packet of the live peer.
func (s *session) message(raw []byte) {
	f, err := script.Parse(raw, s.version)
	if err != nil {
		f = script.Fields{Type: codec.Type(raw[0] >> 4), Flags: raw[0] & 0x0F, ID: script.IDOf(raw)}
	}
	id := f.ID
	s.unadapted(&f)
	i := s.find(&f)
	if i < 0 {
		s.extra(&f, raw)
		return
	}
	st := &s.state[i]
	st.status, st.at, st.liveID = matched, s.now(), id
	if i < s.highest {
		s.report.Received.Reordered++
	}
	s.highest = max(s.highest, i)
	for len(s.expected) > 0 && s.state[s.expected[0]].status == matched {
		s.expected = s.expected[1:]
	}
	if f.Type == codec.PINGREQ {
		s.pinged(i)
	}
	differences := s.compare(i, &f, raw)
	if len(differences) == 0 {
		return
	}
	s.report.differ(differences)
	for _, d := range differences {
		if d.Class == Content && s.player.cfg.Policy == Strict {
			s.stop("%s: %s is %s, recorded %s", d.Event, d.Field, d.Live, d.Recorded)
			return
		}
	}
}

// extra takes a packet that was not recorded.
func (s *session) extra(f *script.Fields, raw []byte) {
	cfg := &s.player.cfg
	switch {
	case f.Type == codec.PINGREQ && cfg.As == script.Broker && cfg.Policy != Strict:
		// A play that lasts longer has more of them.
		s.report.Pings++
		s.answer(f, raw)
		return
	case f.Type == codec.PUBLISH && f.Flags&0x08 != 0 && s.repeats(f):
		s.report.Received.Repeated++
		return
	case s.unknowing():
		s.report.Received.Unchecked++
	default:
		s.report.extra(f, raw)
	}
	switch cfg.Policy {
	case Strict:
		if !s.unknowing() {
			s.stop("%s was not recorded", describe(f))
		}
	case Follow:
		s.answer(f, raw)
	case Wait, Skip:
	}
}

// unknowing reports whether the capture lacks some of what the peer sent.
func (s *session) unknowing() bool {
	fl := &s.of.Flags
	if s.player.cfg.As == script.Client {
		return fl.OneSided || fl.MissingBroker+fl.TailBroker > 0 || fl.LostBroker
	}
	return fl.OneSided || fl.MissingClient+fl.TailClient > 0 || fl.LostClient
}

// repeats reports whether a PUBLISH with DUP is one that came before.
func (s *session) repeats(f *script.Fields) bool {
	for i := range s.events {
		if s.state[i].status == matched && s.events[i].Type == codec.PUBLISH && s.state[i].liveID == f.ID {
			return true
		}
	}
	return false
}

// lost hears that the connection has ended.
func (s *session) lost(err error) {
	if s.ended {
		return
	}
	s.gone = true
	kind := script.Abort
	if errors.Is(err, io.EOF) {
		kind = script.Close
	}
	if !s.open {
		s.stop("no connection: %v", err)
		return
	}
	for _, i := range s.expected {
		e := &s.events[i]
		if e.Kind == script.Message || s.state[i].status != pending {
			continue
		}
		s.state[i].status, s.state[i].at = matched, s.now()
		if e.Kind != kind {
			s.report.differ([]Difference{{Event: e.Label(), Frame: e.Frame, Field: "end", Recorded: e.Kind.String(), Live: kind.String(), Class: Detail}})
		}
	}
	for s.next < len(s.own) && s.events[s.own[s.next]].Kind != script.Message {
		s.state[s.own[s.next]].status, s.state[s.own[s.next]].at = sent, s.now() // there is nothing left to close
		s.next++
	}
	s.closed = true
	if s.conn != nil {
		s.conn.Close()
	}
	if s.next < len(s.own) {
		s.stop("the peer ended the connection (%v) before %s (frame %d) was sent", err, s.events[s.own[s.next]].Label(), s.events[s.own[s.next]].Frame)
		return
	}
	s.finish()
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
