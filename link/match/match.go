package match

import (
	"fmt"
	"strings"

	"hilnet/link"
	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/trace"
)

// Limits of a Matcher.
const (
	MaxRules         = 1000
	MaxHeld          = 4096    // frames that are delayed or held, in each direction
	MaxMemory        = 4 << 20 // bytes of streams
	MaxConversations = 1024
	// MaxTargets bounds the messages of a rule that more than one copy of is
	// waited for; of more, the oldest is forgotten, which the trace tells.
	MaxTargets = 1024
)

// StageName is the name of the stage in its direction.
const StageName = "match"

// Config of a Matcher.
type Config struct {
	Loop  *sim.Loop
	Trace *trace.Log
	Rules []Rule
	// MQTTPorts are the server's; nil: 1883.
	MQTTPorts []uint16
}

// A Matcher carries out the rules of one link.
type Matcher struct {
	loop  *sim.Loop
	trace *trace.Log
	link  string
	rules []*rule
	table *flow.Table // nil: no rule looks into TCP

	wantsMessages bool
	ways          [2]*way

	// Of the frame that is being fed.
	at       *way
	frame    *link.Frame
	messages []string // the messages that end in it, by type, up to maxNamed
	more     int      // and how many more

	unread     uint64 // connections and pieces of streams that no message can be seen in
	unreadText string // the first one's
	lastUnread uint64 // conversation
}

const maxNamed = 8

// A way is one direction of the link.
type way struct {
	*Matcher
	name string
	up   bool
	env  *link.Env
	next link.Sink

	hits    []hit // of the frame that has entered
	ordinal uint64
	held    []held
	delayed int
}

// A hit is a rule that has chosen the frame.
type hit struct {
	rule *rule
	nth  uint64
	text string
	// at is where the message begins in its stream, and payload where that of the
	// frame does, for Corrupt.
	at, payload int64
}

// A rule is a Rule at work.
type rule struct {
	Rule
	number  int
	words   string
	flags   tcpFlags
	seen    [2]uint64 // messages or segments that fit, by way
	chosen  uint64    // hits
	targets []target  // whose copies are waited for, oldest first
}

// A target is what a rule has chosen, for its copies: a byte, a SYN or a FIN.
type target struct {
	conversation uint64
	side         flow.Side
	at           int64
	flag         tcpFlags // of a segment without payload
	nth          uint64
	copies       int
	frame        uint64 // ID of the one that carried the latest copy
	text         string
	begin        int64
}

// New returns a matcher of rules that are valid.
func New(cfg Config) (*Matcher, error) {
	if len(cfg.Rules) > MaxRules {
		return nil, fmt.Errorf("match: %d rules are more than %d", len(cfg.Rules), MaxRules)
	}
	m := &Matcher{loop: cfg.Loop, trace: cfg.Trace}
	looks := false
	for i, r := range cfg.Rules {
		if err := r.Validate(); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		if r.Copies == 0 {
			r.Copies = 1
		}
		w := &rule{Rule: r, number: i + 1}
		w.words = fmt.Sprintf("rule %d, %s", w.number, &w.Rule)
		if r.TCP != "" {
			w.flags, _ = Flags(r.TCP) // Validate has read them
		}
		looks = looks || r.Frame == 0
		m.wantsMessages = m.wantsMessages || r.Message != 0
		m.rules = append(m.rules, w)
	}
	if !looks {
		return m, nil
	}
	var err error
	m.table, err = flow.New(flow.Config{
		MaxConversations: MaxConversations, MaxMemory: MaxMemory, History: -1, IgnoreChecksums: true,
		MQTTPorts: cfg.MQTTPorts, NoMQTT: !m.wantsMessages,
	}, m)
	if err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	return m, nil
}

// Link returns the name of the link that the rules are for.
func (m *Matcher) Link() string { return m.link }

// Switch puts the rule with this number, from 1, to work, and then it begins to
// count; or it ends the rule, releases what that holds, and forgets the copies that
// it waits for. Nothing happens to a rule that is so already.
func (m *Matcher) Switch(number int, on bool) {
	r := m.rules[number-1]
	if r.Off == !on {
		return
	}
	r.Off, r.seen, r.targets = !on, [2]uint64{}, nil
	if !on {
		m.release(func(h *held) bool { return h.rule == r })
	}
}

// Release sends on what rules hold, in the order in which it came.
func (m *Matcher) Release() { m.release(func(*held) bool { return true }) }

func (m *Matcher) release(which func(*held) bool) {
	for _, w := range m.ways {
		w.free(which)
	}
}

// Attach puts the rules into both directions of a link, before any frame enters.
func (m *Matcher) Attach(l *link.Link) error {
	m.link = l.Name
	for i, d := range []*link.Direction{l.Up.Direction, l.Down.Direction} {
		w := &way{Matcher: m, name: d.Name, up: i == 0}
		m.ways[i] = w
		if err := d.Add(link.AtMatch, StageName, w.build); err != nil {
			return err
		}
		d.Observe(w)
	}
	return nil
}

// Finish ends the run: it writes into the trace what never had anything to do or
// could not be seen, and returns it in words.
func (m *Matcher) Finish() []string {
	var notes []string
	for _, w := range m.ways {
		w.missed()
	}
	for _, r := range m.rules {
		if r.chosen > 0 {
			continue
		}
		text := r.words + ": never had anything to do"
		if n := r.seen[0] + r.seen[1]; n > 0 {
			text += fmt.Sprintf(", only %d came that it counts", n)
		}
		m.trace.Emit(trace.Event{Kind: trace.KindUnused, Node: m.link, Stage: StageName, Count: int64(r.number), Text: text})
		notes = append(notes, m.link+": "+text)
	}
	if m.unread > 0 {
		notes = append(notes, fmt.Sprintf("%s: rules for MQTT messages could not see everything: %s (%d times in all)", m.link, m.unreadText, m.unread))
	}
	return notes
}

// Entered looks at a frame where it enters.
func (w *way) Entered(_ *link.Direction, f *link.Frame) {
	w.missed()
	w.ordinal = f.Ordinal
	m := w.Matcher
	m.at, m.frame, m.messages, m.more = w, f, m.messages[:0], 0
	if m.table != nil {
		direction := flow.Inbound
		if w.up {
			direction = flow.Outbound
		}
		w.segment(m.table.Feed(flow.Frame{Data: f.Data, Link: flow.LinkEthernet, At: f.Entered, Number: f.ID, Direction: direction}))
	}
	for _, r := range m.rules {
		if r.Frame == f.Ordinal && r.takes(w) {
			r.seen[w.index()]++
			r.chosen++
			w.hit(r, 1, fmt.Sprintf("frame %d", f.Ordinal), 0, 0)
		}
	}
	m.at, m.frame = nil, nil
}

func (w *way) index() int {
	if w.up {
		return 0
	}
	return 1
}

// takes reports whether the rule is at work on frames of this way.
func (r *rule) takes(w *way) bool { return !r.Off && (w.up && r.Up || !w.up && r.Down) }

// hit notes that a rule has chosen the frame that enters.
func (w *way) hit(r *rule, nth uint64, text string, begin, payload int64) {
	for i := range w.hits {
		if w.hits[i].rule == r {
			w.hits[i].text += " and " + text // a rule acts once on a frame
			return
		}
	}
	w.hits = append(w.hits, hit{r, nth, text, begin, payload})
}

// missed tells of hits whose frame did not come as far as the rules.
func (w *way) missed() {
	for i := range w.hits {
		w.tell(&w.hits[i], 0, ": nothing, for the frame was dropped in front of the rule")
	}
	w.hits = w.hits[:0]
}

// tell writes into the trace that a rule has chosen a frame.
func (w *way) tell(h *hit, frame uint64, end string) {
	w.trace.Emit(trace.Event{
		Kind: trace.KindMatch, Node: w.link, Stage: w.name + "/" + StageName, Frame: frame, Count: int64(h.nth),
		Text: h.rule.words + ": " + h.text + end,
	})
}

// Left does nothing.
func (*way) Left(*link.Direction, *link.Frame) {}

// Dropped does nothing.
func (*way) Dropped(*link.Direction, *link.Frame, link.Verdict) {}

// others says which messages the frame carries beside one.
func (m *Matcher) others(coalesced bool) string {
	if len(m.messages) < 2 {
		if coalesced {
			return ", in a segment with a part of another message"
		}
		return ""
	}
	s := ", in a segment with " + strings.Join(m.messages, ", ")
	if m.more > 0 {
		s += fmt.Sprintf(" and %d more", m.more)
	}
	return s
}
