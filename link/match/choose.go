package match

import (
	"encoding/binary"
	"fmt"

	"hilnet/mqtt/codec"
	"hilnet/pcaps/flow"
	"hilnet/trace"
	"hilnet/wire"
)

type tcpFlags = wire.TCPFlags

// watched are the flags that Flags knows.
const watched = wire.TCPSyn | wire.TCPFin | wire.TCPRst | wire.TCPPsh | wire.TCPAck

// Data does nothing: messages and segments are enough.
func (*Matcher) Data(*flow.Chunk) {}

// Message counts a message for the rules.
func (m *Matcher) Message(msg *flow.Message) {
	if m.at == nil {
		return // the table gives a conversation up
	}
	ends := msg.LastFrame == m.frame.ID
	if ends {
		if len(m.messages) < maxNamed {
			m.messages = append(m.messages, msg.Type.String())
		} else {
			m.more++
		}
	}
	w := m.sender(msg)
	for _, r := range m.rules {
		if r.Message != msg.Type || !r.takes(w) || !m.fits(r, msg) {
			continue
		}
		nth := r.count(w)
		if nth == 0 {
			continue
		}
		text := describe(msg)
		if !ends || w != m.at {
			w.tell(&hit{rule: r, nth: nth, text: text}, 0, ": nothing, for the segment with its last byte has passed already")
			r.chosen++
			continue
		}
		r.chosen++
		last := msg.Offset + int64(msg.Len) - 1
		m.at.hit(r, nth, text, msg.Offset, -1)
		m.target(r, target{conversation: msg.Conversation.ID, side: msg.Side, at: last, nth: nth, copies: 1, text: text, begin: msg.Offset})
	}
}

// sender is the way that a message went.
func (m *Matcher) sender(msg *flow.Message) *way {
	half := &msg.Conversation.A
	if msg.Side == flow.SideB {
		half = &msg.Conversation.B
	}
	if half.Outbound >= half.Inbound {
		return m.ways[0]
	}
	return m.ways[1]
}

// count counts what fits and returns its number if the rule chooses it, else 0.
func (r *rule) count(w *way) uint64 {
	i := w.index()
	r.seen[i]++
	if r.Nth == 0 || r.Nth == r.seen[i] {
		return r.seen[i]
	}
	return 0
}

// fits looks at what a rule asks for beside the type.
func (m *Matcher) fits(r *rule, msg *flow.Message) bool {
	if r.Topic == "" && r.QoS == nil && r.ID == 0 && r.Dup == nil {
		return true
	}
	qos := msg.Flags >> 1 & 3
	switch {
	case r.QoS != nil && (*r.QoS != qos), r.Dup != nil && *r.Dup != (msg.Flags&8 != 0):
		return false
	case r.Topic == "" && r.ID == 0:
		return true
	}
	topic, id, ok := fields(msg)
	if !ok {
		m.cannotSee(msg.Conversation, fmt.Sprintf("a %v of %d bytes lacks its begin", msg.Type, msg.Len))
		return false
	}
	return (r.ID == 0 || r.ID == id) && (r.Topic == "" || codec.Match([]byte(r.Topic), topic))
}

// fields returns the topic name of a PUBLISH and the packet identifier.
func fields(msg *flow.Message) (topic []byte, id uint16, ok bool) {
	h, whole, err := codec.ParseHeader(msg.Raw)
	if err != nil || !whole {
		return nil, 0, false
	}
	b := msg.Raw[min(h.Size, len(msg.Raw)):]
	switch msg.Type {
	case codec.PUBLISH:
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return nil, 0, false
		}
		n := int(binary.BigEndian.Uint16(b))
		topic, b = b[2:2+n], b[2+n:]
		if msg.Flags>>1&3 == 0 {
			return topic, 0, true
		}
	case codec.CONNECT, codec.CONNACK, codec.PINGREQ, codec.PINGRESP, codec.DISCONNECT:
		return nil, 0, true
	case codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.SUBSCRIBE, codec.SUBACK, codec.UNSUBSCRIBE, codec.UNSUBACK:
	}
	if len(b) < 2 {
		return topic, 0, false
	}
	return topic, binary.BigEndian.Uint16(b), true
}

// maxText bounds what a message is described with.
const maxText = 200

func describe(msg *flow.Message) string {
	if msg.Truncated() {
		return fmt.Sprintf("%v of %d bytes", msg.Type, msg.Len)
	}
	s := codec.Summary(msg.Raw)
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return s
}

// target remembers what was chosen if more than its first copy is wanted.
func (m *Matcher) target(r *rule, t target) {
	if r.Copies == 1 {
		return
	}
	t.frame = m.frame.ID
	if len(r.targets) == MaxTargets {
		old := &r.targets[0]
		m.at.tell(&hit{rule: r, nth: old.nth, text: old.text}, 0, fmt.Sprintf(": its copies are not waited for any longer, as %d others are", MaxTargets))
		r.targets = append(r.targets[:0], r.targets[1:]...)
	}
	r.targets = append(r.targets, t)
}

// segment looks at the segment that was fed.
func (w *way) segment(s flow.Result) {
	for i := range w.hits {
		if w.hits[i].payload < 0 {
			w.hits[i].payload = s.Offset
		}
	}
	if s.Conversation == nil || s.Ignored != flow.NoReason {
		return
	}
	for _, r := range w.rules {
		if !r.takes(w) || r.Frame != 0 {
			continue
		}
		if copied := w.copies(r, &s); copied || r.Message != 0 {
			continue
		}
		at, fits := r.segment(&s)
		if !fits {
			continue
		}
		if nth := r.count(w); nth > 0 {
			r.chosen++
			text := describeSegment(&s)
			w.hit(r, nth, text, s.Offset, s.Offset)
			t := target{conversation: s.Conversation.ID, side: s.Side, at: at, nth: nth, copies: 1, text: text, begin: s.Offset}
			if s.Len == 0 {
				t.flag = s.TCP.Flags() & (wire.TCPSyn | wire.TCPFin)
			}
			w.target(r, t)
		}
	}
}

// segment reports whether a segment that is no copy fits, and by which byte of
// the stream a copy will be known.
func (r *rule) segment(s *flow.Result) (at int64, fits bool) {
	if repeats(s) {
		return 0, false
	}
	if r.Bytes != nil {
		from, to := max(r.Bytes.From, s.Offset), min(r.Bytes.To, s.Offset+int64(s.Len)-1)
		return to, s.Len > 0 && from <= to
	}
	flags := s.TCP.Flags() & watched
	switch {
	case flags&r.flags != r.flags:
		return 0, false
	case r.flags == wire.TCPSyn && flags&wire.TCPAck != 0:
		return 0, false
	case r.flags == wire.TCPAck && (flags != wire.TCPAck || s.Len > 0):
		return 0, false
	}
	return s.Offset + int64(s.Len) - 1, true
}

// repeats reports whether a segment brings nothing that was not sent before.
func repeats(s *flow.Result) bool {
	half := &s.Conversation.A
	if s.Side == flow.SideB {
		half = &s.Conversation.B
	}
	flags := s.TCP.Flags()
	switch {
	case flags&wire.TCPSyn != 0:
		return half.SYNs > 1
	case s.Len > 0:
		return s.Labels&flow.LabelRepeated != 0 && s.Labels&flow.LabelNew == 0
	case flags&wire.TCPFin != 0:
		return half.FINs > 1
	}
	return false
}

// copies counts a segment that carries again what the rule has chosen.
func (w *way) copies(r *rule, s *flow.Result) bool {
	any := false
	for i := 0; i < len(r.targets); i++ {
		t := &r.targets[i]
		if t.conversation != s.Conversation.ID || t.side != s.Side || !carries(s, t) || t.frame == w.frame.ID {
			continue
		}
		any = true
		t.copies++
		t.frame = w.frame.ID
		w.hit(r, t.nth, fmt.Sprintf("copy %d of %s", t.copies, t.text), t.begin, s.Offset)
		r.chosen++
		if r.Copies != AllCopies && t.copies >= r.Copies {
			r.targets = append(r.targets[:i], r.targets[i+1:]...)
			i--
		}
	}
	return any
}

// carries reports whether the segment has the target's last byte, or its flag.
func carries(s *flow.Result, t *target) bool {
	if t.flag != 0 {
		return s.TCP.Has(t.flag)
	}
	return t.at >= s.Offset && t.at < s.Offset+int64(s.Len)
}

func describeSegment(s *flow.Result) string {
	text := "segment"
	for _, f := range flagNames {
		if s.TCP.Has(f.flag) {
			text += " " + f.name
		}
	}
	if s.Len > 0 {
		text += fmt.Sprintf(" with bytes %d..%d", s.Offset, s.Offset+int64(s.Len)-1)
	}
	return text
}

// Notice tells where messages cannot be seen: TLS above all.
func (m *Matcher) Notice(n *flow.Notice) {
	if !m.wantsMessages || m.at == nil {
		return
	}
	switch n.Kind {
	case flow.NoticeProtocol:
		switch p := n.Conversation.Protocol; p {
		case flow.ProtocolTLS, flow.ProtocolHTTP, flow.ProtocolOther:
			m.cannotSee(n.Conversation, fmt.Sprintf("the connection of %v to %v carries %v, in which no MQTT message can be seen", n.Conversation.A.Addr, n.Conversation.B.Addr, p))
		case flow.ProtocolUndecided, flow.ProtocolMQTT:
		}
	case flow.NoticeBoundaryLost:
		m.cannotSee(n.Conversation, fmt.Sprintf("where messages begin is not known from byte %d on: %v", n.Offset, n.Reason))
	case flow.NoNotice, flow.NoticeOpened, flow.NoticeEnded, flow.NoticeOverlap, flow.NoticeBoundaryFound, flow.NoticeUnfinished:
	}
}

// cannotSee tells, once for a connection, that rules may miss messages there.
func (m *Matcher) cannotSee(c *flow.Conversation, text string) {
	if m.lastUnread == c.ID {
		return
	}
	m.lastUnread = c.ID
	if m.unread++; m.unread == 1 {
		m.unreadText = text
	}
	m.trace.Emit(trace.Event{Kind: trace.KindUnread, Node: m.link, Stage: m.at.name + "/" + StageName, Frame: m.frame.ID, Text: text})
}
