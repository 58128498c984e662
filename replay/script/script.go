package script

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/pcaps/flow"
)

// A Role is one of the two ends of a conversation.
type Role uint8

// The roles.
const (
	NoRole Role = iota
	Client
	Broker
)

func (r Role) String() string { return name(int(r), "none", "client", "broker") }

// Peer is the other role.
func (r Role) Peer() Role { return [...]Role{NoRole, Broker, Client}[r] }

func name(i int, names ...string) string {
	if i < len(names) {
		return names[i]
	}
	return "unknown"
}

// A Kind is what an event is.
type Kind uint8

// The kinds.
const (
	NoKind  Kind = iota
	Message      // an MQTT control packet
	Close        // the first FIN of the connection
	Abort        // an RST
)

func (k Kind) String() string { return name(int(k), "none", "message", "close", "abort") }

// A Rule says how the cause of an event was found.
type Rule uint8

// The rules; see the package comment.
const (
	NoRule Rule = iota
	RuleProtocol
	RuleTimer
	RuleAnswer
	RuleSequence
	RuleSpontaneous
)

func (r Rule) String() string {
	return name(int(r), "none", "protocol", "timer", "answer", "sequence", "spontaneous")
}

// AnswerBound is how soon an answer follows what it answers.
const AnswerBound = 250 * time.Millisecond

// Start is the cause of what nothing in the conversation precedes: its opening.
const Start = -1

// An Event is a message of a conversation or the end of it.
type Event struct {
	From Role
	Kind Kind
	Type codec.Type // of a message
	ID   uint16     // of a message that has a packet identifier
	Raw  []byte     // the message as recorded
	// At is when its first byte was seen, Ready since when all of it could be
	// read; since the first frame of the capture.
	At, Ready time.Duration
	Frame     uint64 // of its first byte
	Segments  []int  // sizes of the pieces that its bytes came in

	Cause int // index of an event of the conversation, or Start
	Rule  Rule
	Gap   time.Duration // from the cause to the event, where the sender is; never negative
}

// Label is the event in a few words.
func (e *Event) Label() string {
	switch e.Kind {
	case Close:
		return "FIN"
	case Abort:
		return "RST"
	case Message, NoKind:
	}
	if e.ID != 0 {
		return fmt.Sprintf("%s %d", TypeName(e.Type), e.ID)
	}
	return TypeName(e.Type)
}

// TypeName is the name of a packet type in any version of MQTT.
func TypeName(t codec.Type) string {
	if t == Auth {
		return "AUTH"
	}
	return t.String()
}

// Flags say what of a conversation is not as a player would like it.
type Flags struct {
	OneSided  bool // frames of one direction only
	Midstream bool // its beginning was not seen
	// MissingBytes are those of each side's stream that the capture does not
	// have, or that were not kept.
	MissingClient, MissingBroker int64
	// TailClient and TailBroker are missing bytes behind the last message.
	TailClient, TailBroker int64
	// LostClient, LostBroker: message boundaries of a side were lost.
	LostClient, LostBroker bool
	NoConnect              bool // the first message of the client is no CONNECT
	Unended                bool // the capture ends before the conversation
	RoleUnknown            bool // nobody knows which side is the client
	TLS                    bool // which was not decrypted
	WebSocket              bool // MQTT over WebSocket
	// SnappedClient, SnappedBroker: missing bytes that the capture's snapshot length
	// cut off; TooLongClient, TooLongBroker: the longest message beyond the limit.
	SnappedClient, SnappedBroker int64
	TooLongClient, TooLongBroker int
	Elsewhere                    int // how often other interfaces of the capture have it as well
}

// List names what holds.
func (f *Flags) List() []string {
	all := []string{}
	add := func(on bool, format string, args ...any) {
		if on {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	add(f.TLS, "TLS")
	add(f.WebSocket, "MQTT over WebSocket")
	add(f.OneSided, "one-sided")
	add(f.Midstream, "midstream")
	add(f.NoConnect, "no CONNECT")
	add(f.MissingClient > 0, "gapped: %d bytes of the client's", f.MissingClient)
	add(f.MissingBroker > 0, "gapped: %d bytes of the broker's", f.MissingBroker)
	add(f.TailClient > 0, "the end of the client's stream, %d bytes, is missing", f.TailClient)
	add(f.TailBroker > 0, "the end of the broker's stream, %d bytes, is missing", f.TailBroker)
	add(f.LostClient, "boundaries of the client's messages lost")
	add(f.LostBroker, "boundaries of the broker's messages lost")
	add(f.RoleUnknown, "client unknown")
	add(f.Unended, "unended")
	return all
}

// A Conversation is what happened on one connection.
type Conversation struct {
	ID             uint64 // as in replay info
	Incarnation    int
	Client, Server netip.AddrPort
	Lane           uint32
	Version        uint8 // protocol level: 3, 4 (3.1.1) or 5; 0: not seen
	Flags          Flags
	// TLS says what its TLS is and what was read of it; "" without.
	TLS       string
	Handshake flow.Handshake

	// Begin is its first frame, Open since when the client could send.
	Begin, Open, End time.Duration
	// ToClient and ToServer are the times from where the capture was taken to a
	// side and back, by the handshake; 0 when it was not seen.
	ToClient, ToServer time.Duration
	// After is the conversation whose end made the client open this one, or -1;
	// AfterGap is the time in between.
	After    int
	AfterGap time.Duration

	Facts  [2]Facts // of the client's TCP and the server's
	Events []Event  // in the order in which they could be read
}

// Facts are what a side's TCP said about itself.
type Facts struct {
	MSS         uint16
	WindowScale int // -1: none
	SACK        bool
	Timestamps  bool
	Window      uint16 // of its SYN
	TTL         uint8
}

// Count is how many messages of a role there are.
func (c *Conversation) Count(of Role) int {
	n := 0
	for i := range c.Events {
		if c.Events[i].From == of && c.Events[i].Kind == Message {
			n++
		}
	}
	return n
}

// Unplayable says why a side cannot be played, "" when it can. synthetic allows
// a CONNECT, or CONNACK, in place of the one that the capture does not have.
func (c *Conversation) Unplayable(as Role, synthetic bool) string {
	missing, lost, snapped, tooLong := c.Flags.MissingClient, c.Flags.LostClient, c.Flags.SnappedClient, c.Flags.TooLongClient
	if as == Broker {
		missing, lost, snapped, tooLong = c.Flags.MissingBroker, c.Flags.LostBroker, c.Flags.SnappedBroker, c.Flags.TooLongBroker
	}
	opening := codec.CONNECT
	if as == Broker {
		opening = codec.CONNACK
	}
	switch {
	case c.Flags.TLS && c.TLS == "":
		return "it is TLS whose beginning is not in the capture: nobody can read the MQTT messages"
	case c.Flags.TLS:
		return c.TLS + ": the MQTT messages cannot be read; --keylog names a file with the keys of the session"
	case c.Flags.WebSocket:
		return "it is MQTT over WebSocket, which is not played"
	case c.Flags.RoleUnknown:
		return "nothing in it tells the client from the broker"
	case c.Count(as) == 0 && c.Flags.OneSided:
		return fmt.Sprintf("one-sided: the capture has nothing of the %v", as)
	case c.Count(as) == 0 && (as == Client || c.Flags.TailBroker > 0):
		return fmt.Sprintf("the capture has no message of the %v", as)
	case tooLong > 0:
		return fmt.Sprintf("a message of the %v has %d bytes, which is more than is kept of one", as, tooLong)
	case missing > 0 && snapped > 0:
		return fmt.Sprintf("%d bytes of what the %v sent are missing in the capture, %d of them cut off by its snapshot length", missing, as, snapped)
	case missing > 0:
		return fmt.Sprintf("%d bytes of what the %v sent are missing in the capture", missing, as)
	case lost && !c.Flags.Midstream:
		return fmt.Sprintf("the boundaries of the %v's messages are lost", as)
	case c.First(as) != opening && c.Count(as) > 0 && c.Flags.Midstream && !synthetic:
		return fmt.Sprintf("midstream: the capture has no %v; --synthetic puts one in front", opening)
	}
	return ""
}

// First is the type of the first message of a role, 0 when it has none.
func (c *Conversation) First(as Role) codec.Type {
	for i := range c.Events {
		if c.Events[i].From == as && c.Events[i].Kind == Message {
			return c.Events[i].Type
		}
	}
	return 0
}

// A Script is what a capture has to play.
type Script struct {
	Conversations []*Conversation // in the order of their first frames
	Frames        uint64          // read
	Skipped       uint64          // conversations that are not MQTT
	TLS           uint64          // of these, TLS
	// Halves is how many connections stand in the capture in two halves, one direction
	// at an interface or in a VLAN of its own: Limits.Join puts them together.
	Halves   int
	Unlisted uint64 // MQTT conversations beyond Limits.Conversations
	// Problem is why reading ended before the end of the capture; it names the
	// offset in the file.
	Problem error
}

// Summary is the script in one line.
func (s *Script) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d frames, %d MQTT conversations", s.Frames, len(s.Conversations))
	if n := s.Skipped; n > 0 {
		fmt.Fprintf(&b, ", %d others", n)
	}
	return b.String()
}
