package scenarios

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hilnet/link/match"
	"hilnet/mqtt/codec"
)

// A Match is a rule of a link: it chooses frames by what they carry and says
// what happens to them. Exactly one of message, tcp, bytes and frame chooses;
// each direction counts for itself.
type Match struct {
	// What happens to the frame. drop: it is lost. delay: it arrives later, and others overtake it. hold: it waits until others have passed. corrupt: the bits of one byte are flipped, and the TCP checksum is made right. duplicate: it arrives twice.
	Do MatchAction `yaml:"do" required:"true" alt:"duplicate"`
	// MQTT control packets of this type. They are counted over the reassembled TCP stream; the rule acts on the segment with the packet's last byte.
	Message MessageType `yaml:"message" alt:"PINGREQ"`
	// TCP segments with these flags, SYN, FIN, RST, PSH and ACK, joined by +. SYN alone is one without ACK; ACK alone one with no other flag and no payload.
	TCP TCPFlags `yaml:"tcp" alt:"FIN"`
	// TCP segments that carry one of these bytes of their stream, counted from 0 at the beginning of each connection.
	Bytes ByteRange `yaml:"bytes" alt:"7..9"`
	// The frame with this number among those that enter the direction, from 1.
	Frame uint64 `yaml:"frame" min:"1" max:"1000000000000" alt:"9"`
	// Only this one of what is chosen, counted from 1. Default: each.
	Nth uint64 `yaml:"nth" min:"1" max:"1000000000000" alt:"2"`
	// What TCP sends again is a copy of what was chosen. first: copies pass. all: each copy meets the same end. A number: so many copies, the first one included.
	Copies Copies `yaml:"copies" default:"first" alt:"all"`
	// The ways of the link that the rule is for.
	Way Way `yaml:"direction" default:"both" alt:"down"`
	// With PUBLISH: a topic filter that covers its topic name.
	Topic string `yaml:"topic" min:"1" max:"65535" alt:"other/#"`
	// With PUBLISH: its quality of service.
	QoS *QoS `yaml:"qos" alt:"2"`
	// With a message: its packet identifier, 1 to 65535.
	ID int `yaml:"id" min:"1" max:"65535" alt:"2"`
	// With PUBLISH: whether it has the DUP flag.
	Dup *bool `yaml:"dup" alt:"true"`
	// With delay: by how much.
	By Duration `yaml:"by" min:"1ns" max:"4h" alt:"2s"`
	// With hold: how many frames pass before it does, up to 1000000. Default: it waits until the timeline releases it (match_release), or ends the rule.
	Frames int `yaml:"frames" min:"1" max:"1000000" alt:"4"`
	// With corrupt: which byte, from 0; of the message, or else of the TCP payload.
	Byte *int `yaml:"byte" min:"0" max:"1000000" alt:"3"`
}

// MatchAction is what happens to a frame that a rule has chosen.
type MatchAction string

// Values returns the valid actions.
func (MatchAction) Values() []string {
	var all []string
	for _, a := range match.Actions() {
		all = append(all, string(a))
	}
	return all
}

// MessageType is the name of an MQTT control packet type.
type MessageType string

// Values returns the names.
func (MessageType) Values() []string {
	var all []string
	for t := codec.CONNECT; t <= codec.DISCONNECT; t++ {
		all = append(all, t.String())
	}
	return all
}

// TCPFlags are TCP flags such as SYN+ACK.
type TCPFlags string

const tcpFlagsPattern = `(SYN|FIN|RST|PSH|ACK)(\+(SYN|FIN|RST|PSH|ACK))*`

// UnmarshalText reads flags.
func (f *TCPFlags) UnmarshalText(b []byte) error {
	if _, err := match.Flags(string(b)); err != nil {
		return hint("join SYN, FIN, RST, PSH and ACK by +, as in SYN+ACK", "%q are not TCP flags", b)
	}
	*f = TCPFlags(b)
	return nil
}

// MarshalText writes flags.
func (f TCPFlags) MarshalText() ([]byte, error) { return []byte(f), nil }

// A ByteRange is a range of a stream, written as 0..99; both ends belong to it.
// The zero value is none.
type ByteRange struct{ match.Range }

const byteRangePattern = `[0-9]{1,15}(\.\.[0-9]{1,15})?`

// UnmarshalText reads a range, or a single byte.
func (r *ByteRange) UnmarshalText(b []byte) error {
	from, to, ok := strings.Cut(string(b), "..")
	if !ok {
		to = from
	}
	x, err1 := strconv.ParseUint(from, 10, 49)
	y, err2 := strconv.ParseUint(to, 10, 49)
	if err1 != nil || err2 != nil || y < x {
		return hint("write the first and the last byte, as in 0..99", "%q is not a range of bytes", b)
	}
	r.From, r.To = int64(x), int64(y)+1
	return nil
}

// MarshalText writes a range.
func (r ByteRange) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d..%d", r.From, r.To-1), nil
}

// Copies is how many copies of what it has chosen a rule acts on: 0 is all.
type Copies int

const (
	allCopies     Copies = 0
	maxCopies            = 1_000_000
	copiesPattern        = `(first|all|[0-9]{1,7})`
)

// UnmarshalText reads first, all or a number.
func (c *Copies) UnmarshalText(b []byte) error {
	switch s := string(b); s {
	case "first":
		*c = 1
	case "all":
		*c = allCopies
	default:
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxCopies {
			return hint(fmt.Sprintf("write first, all or a number up to %d", maxCopies), "%q is no number of copies", b)
		}
		*c = Copies(n)
	}
	return nil
}

// MarshalText writes first, all or a number.
func (c Copies) MarshalText() ([]byte, error) {
	switch c {
	case 1:
		return []byte("first"), nil
	case allCopies:
		return []byte("all"), nil
	}
	return strconv.AppendInt(nil, int64(c), 10), nil
}

// Rule returns what package link/match makes of a valid rule.
func (m *Match) Rule() match.Rule {
	up, down := m.Way.Takes()
	r := match.Rule{
		Do: match.Action(m.Do), Up: up, Down: down, Topic: m.Topic, ID: uint16(m.ID), Dup: m.Dup,
		TCP: string(m.TCP), Frame: m.Frame, Nth: m.Nth, Copies: int(m.Copies), By: m.By.Std(), Frames: m.Frames,
	}
	if m.Message != "" {
		r.Message, _ = match.Type(string(m.Message)) // one of Values
	}
	if m.QoS != nil {
		q := uint8(*m.QoS)
		r.QoS = &q
	}
	if m.Byte != nil {
		r.Byte = *m.Byte
	}
	if m.Bytes.To > 0 {
		r.Bytes = &match.Range{From: m.Bytes.From, To: m.Bytes.To - 1}
	}
	if m.Copies == allCopies {
		r.Copies = match.AllCopies
	}
	if m.Frame != 0 {
		r.Copies = 0
	}
	return r
}

// match checks a rule; ends reports whether something ends it or releases what it
// holds.
func (c *checker) match(path string, m *Match, ends bool) {
	if m.Do == MatchAction(match.Drop) && m.Frame != 0 {
		c.failf(path+".frame", fmt.Sprintf("write drop_frames: [%d] in up or down of the link", m.Frame), "frames that are dropped by their number have a list of their own")
		return
	}
	chosen := c.matchChoice(path, m)
	for _, k := range []struct {
		key   string
		set   bool
		goes  bool
		needs string
	}{
		{"topic", m.Topic != "", m.Message == "PUBLISH", "message: PUBLISH"},
		{"qos", m.QoS != nil, m.Message == "PUBLISH", "message: PUBLISH"},
		{"dup", m.Dup != nil, m.Message == "PUBLISH", "message: PUBLISH"},
		{"id", m.ID != 0, slices.Contains(identified, m.Message), "a message that has a packet identifier"},
		{"by", m.By != 0, m.Do == MatchAction(match.Delay), "do: delay"},
		{"frames", m.Frames != 0, m.Do == MatchAction(match.Hold), "do: hold"},
		{"byte", m.Byte != nil, m.Do == MatchAction(match.Corrupt), "do: corrupt"},
		{"nth", m.Nth != 0, m.Frame == 0, "message, tcp or bytes"},
		{"copies", m.Copies != 1, m.Frame == 0, "message, tcp or bytes"},
	} {
		switch {
		case !k.set || k.goes:
			continue
		case m.Frame != 0 && (k.key == "nth" || k.key == "copies"):
			c.failf(join(path, k.key), "remove it, or choose by message, tcp or bytes", "%s does nothing beside frame, which is a single one", k.key)
		default:
			c.failf(join(path, k.key), "remove it, or write "+k.needs, "%s goes only with %s", k.key, k.needs)
		}
		chosen = false
	}
	for _, k := range []struct {
		do  match.Action
		key string
		set bool
		eg  string
	}{{match.Delay, "by", m.By != 0, "by: 5s"}, {match.Hold, "frames", m.Frames != 0 || ends, "frames: 3, or release it in the timeline"}, {match.Corrupt, "byte", m.Byte != nil, "byte: 3"}} {
		if m.Do == MatchAction(k.do) && !k.set {
			c.failf(path, "add it, as in "+k.eg, "%s lacks the key %q", m.Do, k.key)
			chosen = false
		}
	}
	if m.Topic != "" {
		c.topicFilter(path+".topic", m.Topic)
		chosen = chosen && codec.ValidFilter([]byte(m.Topic)) == nil
	}
	if m.QoS != nil && *m.QoS > 2 {
		c.failf(path+".qos", "write 0, 1 or 2", "%d is not a quality of service", *m.QoS)
		chosen = false
	}
	if m.Message != "" {
		c.readable(path + ".message")
	}
	if !chosen || !c.matchPossible(path, m) {
		return
	}
	r := m.Rule()
	if err := r.Validate(); err != nil {
		c.fail(path, err)
	}
}

// senders are the messages that one side only sends (MQTT 3.1.1 table 2.1), by side.
var senders = map[Way][]MessageType{
	Up: {"CONNECT", "SUBSCRIBE", "UNSUBSCRIBE", "PINGREQ", "DISCONNECT"}, Down: {"CONNACK", "SUBACK", "UNSUBACK", "PINGRESP"},
}

// fixedLengths are the bytes of messages that always have so many (MQTT 3.1.1 chapter 3).
var fixedLengths = map[MessageType]int{
	"CONNACK": 4, "PUBACK": 4, "PUBREC": 4, "PUBREL": 4, "PUBCOMP": 4, "UNSUBACK": 4, "PINGREQ": 2, "PINGRESP": 2, "DISCONNECT": 2,
}

// matchPossible refuses a rule that no message can ever meet.
func (c *checker) matchPossible(path string, m *Match) bool {
	length, fixed := fixedLengths[m.Message]
	switch {
	case m.Way == Up && slices.Contains(senders[Down], m.Message), m.Way == Down && slices.Contains(senders[Up], m.Message):
		other := map[Way]Way{Up: Down, Down: Up}[m.Way]
		c.failf(join(path, "direction"), fmt.Sprintf("write direction: %s, or remove it", other), "no %s ever goes %s", m.Message, m.Way)
	case m.ID != 0 && m.QoS != nil && *m.QoS == 0:
		c.failf(join(path, "id"), "remove it, or write qos: 1", "a PUBLISH of QoS 0 has no packet identifier")
	case fixed && m.Byte != nil && *m.Byte >= length:
		c.failf(join(path, "byte"), fmt.Sprintf("write 0 to %d", length-1), "a %s has %d bytes, and no byte %d", m.Message, length, *m.Byte)
	default:
		return true
	}
	return false
}

// readable refuses a rule for MQTT messages where TLS hides them.
func (c *checker) readable(path string) {
	const advice = "choose by tcp, bytes or frame, or connect without TLS"
	switch {
	case slices.ContainsFunc(c.s.Devices, func(d Device) bool { return d.MQTT.TLS != nil }):
		c.failf(path, advice, "MQTT messages cannot be seen: the devices speak TLS")
	case c.s.Broker.Port == portMQTTS:
		c.failf(path, advice, "MQTT messages cannot be seen: the broker's port %d is TLS", portMQTTS)
	}
}

// released reports whether the timeline releases what rules of a link hold.
func (c *checker) released(link string) bool {
	return slices.ContainsFunc(c.s.Timeline, func(a Action) bool { return a.Do == MatchRelease && a.Link == link })
}

// matchAction checks an action on the rules of a link.
func (c *checker) matchAction(path string, a *Action) {
	l := c.s.Link(a.Link)
	if l == nil {
		return // reported
	}
	rules := len(l.Match)
	for i := range c.s.Timeline {
		if b := &c.s.Timeline[i]; b.Do == AddMatch && b.Link == a.Link {
			rules++
		}
	}
	switch {
	case a.Do == MatchRelease && rules == 0:
		c.failf(path, "give the link match: with a rule that holds frames", "the link %s has no rules", a.Link)
	case a.Do == AddMatch && a.Rule == nil:
		c.failf(path, "add rule: {do: drop, message: PUBACK}", "match lacks its rule")
	case a.Do == AddMatch && rules > match.MaxRules:
		c.failf(path, "remove some", "the link %s has %d rules, which is more than %d", a.Link, rules, match.MaxRules)
	case a.Do == AddMatch:
		c.match(path+".rule", a.Rule, a.For > 0 || c.released(a.Link))
	}
}

var identified = []MessageType{"PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK"}

// matchChoice checks that a rule chooses by one thing.
func (c *checker) matchChoice(path string, m *Match) bool {
	var by []string
	for _, k := range []struct {
		key string
		set bool
	}{{"message", m.Message != ""}, {"tcp", m.TCP != ""}, {"bytes", m.Bytes.To > 0}, {"frame", m.Frame != 0}} {
		if k.set {
			by = append(by, k.key)
		}
	}
	switch len(by) {
	case 0:
		c.failf(path, "add message:, tcp:, bytes: or frame:", "the rule does not say what it chooses")
	case 1:
		return true
	default:
		c.failf(join(path, by[1]), "write two rules, or remove one of them", "a rule chooses by one thing, not by %s", strings.Join(by, " and "))
	}
	return false
}
