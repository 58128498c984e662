package play

import (
	"slices"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/replay/script"
	"hilnet/sim"
)

// Format and Version of the JSON form of a Report.
const (
	Format  = "hilnet-play"
	Version = 1 // grows when a key changes its meaning or goes away
)

// A Verdict is how faithful a play was.
type Verdict string

// The verdicts, the better ones first.
const (
	// Faithful: everything was as recorded, byte for byte, identifiers aside.
	Faithful Verdict = "faithful"
	// Equivalent: every message was there, with differences in details or in their
	// order, or with a beginning that was made up or an end that the capture lacks.
	Equivalent Verdict = "equivalent"
	// Diverged: messages were missing, extra, different or not sent.
	Diverged Verdict = "diverged"
	// Refused: it could not be played.
	Refused Verdict = "refused"
)

var ranks = []Verdict{Faithful, Equivalent, Diverged, Refused}

func worse(a, b Verdict) Verdict {
	return ranks[max(slices.Index(ranks, a), slices.Index(ranks, b))]
}

// A Report is the fidelity report of a play. Times are in nanoseconds.
type Report struct {
	Format  string        `json:"format"`
	Version int           `json:"version"`
	As      string        `json:"as"`
	Timing  Timing        `json:"timing"`
	Speed   float64       `json:"speed"`
	Policy  Policy        `json:"policy"`
	TLS     bool          `json:"tls"`     // played in TLS
	Verdict Verdict       `json:"verdict"` // the worst of the conversations'
	Elapsed time.Duration `json:"elapsed"`
	// Reproduced is the part of the recorded messages, of both sides, that were
	// there again.
	Reproduced    float64         `json:"reproduced"`
	Sent          SentCount       `json:"sent"`
	Received      ReceivedCount   `json:"received"`
	Gaps          Distribution    `json:"gap_errors"`
	Conversations []*Conversation `json:"conversations"`
	// Strangers are connections of the live client beyond those recorded.
	Strangers int `json:"extra_connections"`
	// StrangerReasons say why they are none of the recorded ones.
	StrangerReasons []Tally `json:"extra_connection_reasons"`
	// Drops are frames and segments that the player's own TCP dropped, for want of
	// room or of a way.
	Drops []Tally `json:"player_drops"`
	// NotMQTT and Unlisted are conversations of the capture that are not MQTT, and
	// MQTT ones beyond the limit.
	NotMQTT  uint64 `json:"not_mqtt"`
	Unlisted uint64 `json:"unlisted_conversations"`
}

// A Tally is how often something was so for a reason.
type Tally struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// A SentCount counts the messages of the played side.
type SentCount struct {
	Recorded int `json:"recorded"`
	Sent     int `json:"sent"`
	Skipped  int `json:"skipped"` // by the policy
	NotSent  int `json:"not_sent"`
}

// A ReceivedCount counts the messages of the live peer.
type ReceivedCount struct {
	Recorded  int `json:"recorded"`
	Matched   int `json:"matched"`
	Differing int `json:"differing"` // of those matched
	Missing   int `json:"missing"`
	Extra     int `json:"extra"`
	Reordered int `json:"reordered"`
	Repeated  int `json:"repeated"`  // with DUP, of those matched
	Unchecked int `json:"unchecked"` // which the capture would not have, if they had been there
}

// A Distribution sums up durations.
type Distribution struct {
	Count  int           `json:"count"`
	Min    time.Duration `json:"min"`
	Median time.Duration `json:"median"`
	P99    time.Duration `json:"p99"`
	Max    time.Duration `json:"max"`
	all    []time.Duration
}

func (d *Distribution) add(v ...time.Duration) { d.all = append(d.all, v...) }

func (d *Distribution) sum() {
	d.Count = len(d.all)
	if d.Count == 0 {
		return
	}
	slices.Sort(d.all)
	d.Min, d.Max = d.all[0], d.all[d.Count-1]
	d.Median, d.P99 = d.all[(d.Count-1)/2], d.all[(d.Count*99+99)/100-1]
}

// A Conversation is the report of one conversation.
type Conversation struct {
	ID          uint64   `json:"id"` // as in replay info
	Incarnation int      `json:"incarnation"`
	Client      string   `json:"client"` // recorded
	Server      string   `json:"server"`
	MQTTLevel   uint8    `json:"mqtt_level"` // 0: not seen
	Flags       []string `json:"flags"`
	TLS         string   `json:"recorded_tls,omitempty"` // what its TLS was, and what was read of it
	Verdict     Verdict  `json:"verdict"`
	Reason      string   `json:"reason,omitempty"` // why it ended early or was refused

	Began    time.Duration `json:"began"` // since the beginning of the play
	Sent     SentCount     `json:"sent"`
	Received ReceivedCount `json:"received"`
	Pings    int           `json:"extra_pings"`
	// Unpinged counts pings of the recorded client that the live one, which goes by
	// its own clock, did not send.
	Unpinged int `json:"fewer_pings"`
	Answered int `json:"answered"` // by protocol, not as recorded
	// Gaps says how much later than after their recorded gap the messages of the
	// played side went out; Answers how long the peer took to answer them, recorded
	// and live, by the messages that MQTT demands.
	Gaps     Distribution `json:"gap_errors"`
	Recorded Distribution `json:"answer_times_recorded"`
	Live     Distribution `json:"answer_times_live"`

	Differences      []Difference `json:"differences"`
	ExtraMessages    []string     `json:"extra_messages"`
	MoreNotListed    int          `json:"more_not_listed"` // differences and extra messages beyond the limit
	Messages         []Message    `json:"messages"`
	contentDiffering bool
	detailDiffering  bool
	resting          sim.Time
}

// A Message is what became of a recorded event.
type Message struct {
	From   string        `json:"from"`
	Event  string        `json:"event"`
	Frame  uint64        `json:"frame"`
	Rule   string        `json:"rule"`
	Cause  uint64        `json:"cause_frame"` // 0: the connection
	Gap    time.Duration `json:"gap"`         // recorded
	Status string        `json:"status"`      // sent, matched, skipped, not sent, missing
	At     time.Duration `json:"at"`          // since the beginning of the play; 0 when it was not there
	Error  time.Duration `json:"gap_error"`   // of what was sent
}

// maxListedDifferences bounds the differences and extra messages of a
// conversation that are listed.
const maxListedDifferences = 200

func describeConversation(c *script.Conversation) *Conversation {
	return &Conversation{
		ID: c.ID, Incarnation: c.Incarnation, Client: c.Client.String(), Server: c.Server.String(), MQTTLevel: c.Version,
		Flags: c.Flags.List(), TLS: c.TLS, Differences: []Difference{}, ExtraMessages: []string{}, Messages: []Message{},
	}
}

func newConversation(s *session) *Conversation { return describeConversation(s.of) }

func refusal(c *script.Conversation, why string) *Conversation {
	r := describeConversation(c)
	r.Verdict, r.Reason = Refused, why
	return r
}

// differ lists differences of one message.
func (c *Conversation) differ(list []Difference) {
	c.Received.Differing++
	for _, d := range list {
		if d.Class == Content {
			c.contentDiffering = true
		} else {
			c.detailDiffering = true
		}
		if len(c.Differences) >= maxListedDifferences {
			c.MoreNotListed++
			continue
		}
		c.Differences = append(c.Differences, d)
	}
}

// extra lists a message that was not recorded.
func (c *Conversation) extra(f *script.Fields, _ []byte) {
	c.Received.Extra++
	if len(c.ExtraMessages) >= maxListedDifferences {
		c.MoreNotListed++
		return
	}
	c.ExtraMessages = append(c.ExtraMessages, describe(f))
}

// unpinged reports whether an event is a ping that the live client did not send,
// or the answer to one.
func (s *session) unpinged(i int) bool {
	e := &s.events[i]
	switch {
	case s.player.cfg.Policy == Strict || s.player.cfg.As != script.Broker:
		return false
	case e.Type == codec.PINGRESP && e.Rule == script.RuleProtocol && e.Cause >= 0:
		return s.state[i].status == skipped && s.state[e.Cause].status == pending
	}
	return e.Type == codec.PINGREQ && s.state[i].status == pending
}

// conclude counts what became of each event.
func (c *Conversation) conclude(s *session) {
	as := s.player.cfg.As
	for i := range s.events {
		e, st := &s.events[i], &s.state[i]
		m := Message{From: e.From.String(), Event: e.Label(), Frame: e.Frame, Rule: e.Rule.String(), Gap: e.Gap}
		if e.Cause >= 0 {
			m.Cause = s.events[e.Cause].Frame
		}
		if st.status == sent || st.status == matched {
			m.At = st.at.Sub(s.player.began)
		}
		if e.Kind != script.Message || st.synthetic {
			m.Status = endStatus(st.status)
			if st.status == pending && e.From != as && e.Kind != script.Message && c.Reason == "" {
				c.differ([]Difference{{Event: e.Label(), Frame: e.Frame, Field: "end", Recorded: e.Kind.String(), Live: "still open", Class: Detail}})
			}
			c.Messages = append(c.Messages, m)
			continue
		}
		if s.unpinged(i) || st.status == needless {
			m.Status = "not needed"
			if e.From != as && st.status != needless {
				c.Unpinged++
			}
			c.Messages = append(c.Messages, m)
			continue
		}
		if e.From == as {
			m.Status = c.Sent.count(st)
			if st.status == sent && st.timed {
				m.Error = st.off
				c.Gaps.add(st.off)
			}
		} else {
			m.Status = c.Received.count(st)
			if e.Rule == script.RuleProtocol && e.Cause >= 0 && st.status == matched && s.state[e.Cause].status == sent {
				c.Recorded.add(max(0, e.Ready-s.events[e.Cause].At))
				c.Live.add(st.at.Sub(s.state[e.Cause].at))
			}
		}
		c.Messages = append(c.Messages, m)
	}
	c.Gaps.sum()
	c.Recorded.sum()
	c.Live.sum()
	switch {
	case c.Reason != "" || c.contentDiffering || c.Sent.NotSent+c.Sent.Skipped+c.Received.Missing+c.Received.Extra > 0:
		c.Verdict = Diverged
	case c.detailDiffering || c.Received.Reordered+c.Received.Repeated+c.Received.Unchecked+c.Pings+c.Unpinged > 0 || s.state[0].synthetic || s.endless():
		c.Verdict = Equivalent
	default:
		c.Verdict = Faithful
	}
}

// endless reports whether the capture lacks the end of what the played side said.
func (s *session) endless() bool {
	if s.player.cfg.As == script.Client {
		return s.of.Flags.TailClient > 0
	}
	return s.of.Flags.TailBroker > 0
}

func endStatus(s status) string {
	switch s {
	case sent:
		return "sent"
	case matched:
		return "matched"
	case skipped:
		return "skipped"
	case pending, needless:
	}
	return "not seen"
}

func (n *SentCount) count(st *state) string {
	n.Recorded++
	switch st.status {
	case sent:
		n.Sent++
		return "sent"
	case skipped:
		n.Skipped++
		return "skipped"
	case pending, matched, needless:
	}
	n.NotSent++
	return "not sent"
}

func (n *ReceivedCount) count(st *state) string {
	n.Recorded++
	if st.status == matched {
		n.Matched++
		return "matched"
	}
	n.Missing++
	return "missing"
}

// Report says how it went.
func (p *Player) Report() *Report {
	r := &Report{
		Format: Format, Version: Version, As: p.cfg.As.String(), Timing: p.cfg.Timing, Speed: p.cfg.Speed, Policy: p.cfg.Policy, TLS: p.cfg.TLS,
		Verdict: Faithful, Elapsed: p.cfg.Loop.Now().Sub(p.began),
		StrangerReasons: tally(append([]Tally{}, p.strangers...), whySilent, uint64(p.lobbies+p.shaking)), Drops: []Tally{},
		NotMQTT: p.cfg.Script.Skipped, Unlisted: p.cfg.Script.Unlisted, Conversations: []*Conversation{},
	}
	for _, t := range r.StrangerReasons {
		r.Strangers += int(t.Count)
	}
	if d, ok := p.cfg.Network.(dropper); ok {
		r.Drops = append(r.Drops, d.Drops()...)
	}
	r.Conversations = append(r.Conversations, p.refused...)
	for _, s := range p.sessions {
		r.Conversations = append(r.Conversations, s.report)
	}
	slices.SortStableFunc(r.Conversations, func(a, b *Conversation) int { return int(int64(a.ID) - int64(b.ID)) })
	for _, c := range r.Conversations {
		r.Verdict = worse(r.Verdict, c.Verdict)
		r.Sent.add(&c.Sent)
		r.Received.add(&c.Received)
		r.Gaps.add(c.Gaps.all...)
	}
	r.Gaps.sum()
	if r.Unlisted > 0 || r.Strangers > 0 {
		r.Verdict = worse(r.Verdict, Diverged)
	}
	if all := r.Sent.Recorded + r.Received.Recorded; all > 0 {
		r.Reproduced = float64(r.Sent.Sent+r.Received.Matched) / float64(all)
	}
	return r
}

func (n *SentCount) add(o *SentCount) {
	n.Recorded += o.Recorded
	n.Sent += o.Sent
	n.Skipped += o.Skipped
	n.NotSent += o.NotSent
}

func (n *ReceivedCount) add(o *ReceivedCount) {
	n.Recorded += o.Recorded
	n.Matched += o.Matched
	n.Differing += o.Differing
	n.Missing += o.Missing
	n.Extra += o.Extra
	n.Reordered += o.Reordered
	n.Repeated += o.Repeated
	n.Unchecked += o.Unchecked
}
