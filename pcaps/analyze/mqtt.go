package analyze

import (
	"encoding/binary"
	"strings"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/pcaps/flow"
	"hilnet/sim"
)

// maxWaiting bounds the requests of all conversations that wait for their
// answer. Those beyond it are counted, and have no latency.
const maxWaiting = 32_768

// maxOpen is the same for one conversation.
const maxOpen = 1024

// mqttState is what is known of an MQTT session on a connection.
type mqttState struct {
	open        []request
	lastSent    [2]sim.Time // of a message, by side
	lastFrame   [2]uint64
	connected   bool
	refused     bool
	disconnect  bool
	unlistedReq int
	answered    uint64 // the last frame that brought an answer
	ping        ping
}

// A ping is the last PINGREQ.
type ping struct {
	at, answered sim.Time // answered: 0, not yet
	frame        uint64
}

// A request is a message that wants an answer.
type request struct {
	side   flow.Side
	answer codec.Type
	id     uint16
	at     sim.Time
	frame  uint64
	typ    codec.Type
	index  int // in Conversation.Messages, -1 = not listed
}

// answers says which type answers which.
var answers = map[codec.Type]codec.Type{
	codec.CONNECT: codec.CONNACK, codec.PUBREC: codec.PUBREL, codec.PUBREL: codec.PUBCOMP, codec.SUBSCRIBE: codec.SUBACK,
	codec.UNSUBSCRIBE: codec.UNSUBACK, codec.PINGREQ: codec.PINGRESP,
}

// message puts m on the time line.
func (s *session) message(a *Analyzer, m *flow.Message) {
	out := Message{
		At: time.Duration(m.ReadyAt), From: s.name(m.Side), Type: m.Type.String(), Len: m.Len, Frame: m.FirstFrame, LastFrame: m.LastFrame,
		Coalesced: m.Coalesced, Split: m.FirstFrame != m.LastFrame, Missing: m.Missing,
	}
	body := bodyOf(m)
	q := &s.mqtt
	want := answers[m.Type]
	switch m.Type {
	case codec.PUBLISH:
		out.QoS, out.Dup, out.Retain = m.Flags>>1&3, m.Flags&8 != 0, m.Flags&1 != 0
		var rest []byte
		out.Topic, rest = text(body)
		if out.QoS > 0 && len(rest) >= 2 {
			out.ID = binary.BigEndian.Uint16(rest)
		}
		switch out.QoS {
		case 1:
			want = codec.PUBACK
		case 2:
			want = codec.PUBREC
		}
		if out.Dup {
			s.find(a, m.FirstAt, m.FirstFrame, "dup_publish", "the %s published again, with DUP, packet %d on %q", out.From, out.ID, out.Topic)
		}
	case codec.CONNECT:
		s.connect(body)
	case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.SUBSCRIBE, codec.SUBACK, codec.UNSUBSCRIBE, codec.UNSUBACK:
		if len(body) >= 2 {
			out.ID = binary.BigEndian.Uint16(body)
		}
	case codec.CONNACK:
		s.connack(a, m, body)
	case codec.DISCONNECT:
		q.disconnect = true
	case codec.PINGREQ:
		q.ping = ping{at: m.FirstAt, frame: m.FirstFrame}
	case codec.PINGRESP:
		q.ping.answered = m.ReadyAt
	}
	listed := a.room(&s.out.UnlistedMessages)
	q.settle(a, s, m, out.ID)
	if want != 0 && (a.waiting == maxWaiting || len(q.open) == maxOpen) {
		q.unlistedReq++
		want = 0
	}
	if want != 0 {
		r := request{m.Side, want, out.ID, m.FirstAt, m.FirstFrame, m.Type, -1}
		if listed {
			r.index = len(s.out.Messages)
		}
		a.waiting++
		q.open = append(q.open, r)
	}
	if listed {
		s.out.Messages = append(s.out.Messages, out)
	}
	q.lastSent[index(m.Side)], q.lastFrame[index(m.Side)] = m.FirstAt, m.FirstFrame
}

// settle finds the request that m answers: the oldest of its kind.
func (q *mqttState) settle(a *Analyzer, s *session, m *flow.Message, id uint16) {
	for i := range q.open {
		r := &q.open[i]
		if r.side == m.Side || r.answer != m.Type || r.id != id {
			continue
		}
		if r.index >= 0 {
			out := &s.out.Messages[r.index]
			out.Latency, out.Answer = m.ReadyAt.Sub(r.at), m.FirstFrame
		}
		q.open = append(q.open[:i], q.open[i+1:]...)
		q.answered = m.ReadyFrame
		a.waiting--
		return
	}
}

// owes reports whether the client, or the server, has a request to answer.
func (q *mqttState) owes(s *session, client bool) bool {
	for i := range q.open {
		if byClient := q.open[i].side == s.of.Client; byClient != client {
			return true
		}
	}
	return false
}

// bodyOf is what follows the fixed header, as far as the capture has it.
func bodyOf(m *flow.Message) []byte {
	for i := 1; i < len(m.Raw) && i <= 4; i++ {
		if m.Raw[i]&0x80 == 0 {
			return m.Raw[i+1:]
		}
	}
	return nil
}

// text reads a string with a length, without what a terminal would obey.
func text(b []byte) (string, []byte) {
	if len(b) < 2 {
		return "", nil
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-2 {
		return "", nil
	}
	return strings.ToValidUTF8(string(b[2:2+min(n, maxText)]), "\uFFFD"), b[2+n:]
}

// connect reads what the client asked for.
func (s *session) connect(body []byte) {
	_, rest := text(body) // protocol name
	if len(rest) < 4 {
		return
	}
	version, keep := rest[0], binary.BigEndian.Uint16(rest[2:])
	rest = rest[4:]
	if version == 5 { // properties
		n, used := binary.Uvarint(rest)
		if used <= 0 || n > uint64(len(rest)-used) {
			rest = nil
		} else {
			rest = rest[used+int(n):]
		}
	}
	s.out.KeepAlive = keep
	s.out.ClientID, _ = text(rest)
}

// connack judges the server's answer.
func (s *session) connack(a *Analyzer, m *flow.Message, body []byte) {
	if len(body) < 2 {
		return
	}
	if body[1] == 0 {
		s.mqtt.connected = true
		return
	}
	s.mqtt.refused = true
	what := codec.ReturnCode(body[1]).String()
	if s.of.MQTTVersion == 5 {
		what = "reason code"
	}
	s.find(a, m.FirstAt, m.FirstFrame, "connack_refused", "the server refused the session: %s (%d)", what, body[1])
}

// conclude says why a session was lost.
func (q *mqttState) conclude(s *session, a *Analyzer) {
	c := s.of
	if c.Protocol != flow.ProtocolMQTT {
		return
	}
	for i := range q.open {
		r := &q.open[i]
		who, peer := s.name(r.side), s.name(r.side.Peer())
		switch r.typ {
		case codec.PINGREQ:
			s.find(a, r.at, r.frame, "ping_unanswered", "the %s sent PINGREQ and got no PINGRESP in %v%s", who, c.Last.Sub(r.at).Round(time.Microsecond), s.cutShort(a, r.at))
		case codec.CONNECT:
			s.find(a, r.at, r.frame, "broker_silent", "the %s sent CONNECT and got no CONNACK in %v: the %s said nothing%s", who, c.Last.Sub(r.at).Round(time.Microsecond), peer, s.cutShort(a, r.at))
		default:
			s.find(a, r.at, r.frame, "unanswered", "the %s sent %v %d and got no %v for it%s", who, r.typ, r.id, r.answer, s.cutShort(a, r.at))
		}
	}
	if q.unlistedReq > 0 {
		s.find(a, c.Last, c.LastFrame, "limit", "the answers to %d requests were not looked for: too many (%d) wait at once", q.unlistedReq, maxOpen)
	}
	q.lost(s, a)
}

// lost explains an end without DISCONNECT.
func (q *mqttState) lost(s *session, a *Analyzer) {
	c := s.of
	if !q.connected || q.disconnect || q.refused || c.EndedBy == flow.NoSide || c.Client == flow.NoSide {
		return
	}
	how := "closed the connection (FIN)"
	if c.End == flow.EndRST {
		how = "reset the connection (RST)"
	}
	by := s.name(c.EndedBy)
	keep := time.Duration(s.out.KeepAlive) * time.Second
	silent := c.Last.Sub(q.lastSent[index(c.Client)])
	if c.EndedBy != c.Client && keep > 0 && silent >= keep+keep/2 {
		s.find(a, q.lastSent[index(c.Client)], q.lastFrame[index(c.Client)], "keepalive_missed",
			"the client sent no message for %v behind frame %d; its keep alive is %v, so the server may end the session after %v",
			silent.Round(time.Millisecond), q.lastFrame[index(c.Client)], keep, keep+keep/2)
	}
	if p := q.ping; c.EndedBy == c.Client && p.frame != 0 && s.shut && p.at < s.close && p.answered > s.close {
		s.find(a, p.at, p.frame, "ping_unanswered", "the client sent PINGREQ and ended the connection %v later, before the PINGRESP came", s.close.Sub(p.at).Round(time.Microsecond))
	}
	s.find(a, c.Last, c.LastFrame, "session_lost", "the session ended without DISCONNECT: the %s %s", by, how)
}
