package match

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hilnet/link"
	"hilnet/mqtt/codec"
	"hilnet/wire"
)

// An Action is what happens to a frame that was chosen.
type Action string

// The actions.
const (
	Drop      Action = "drop"
	Delay     Action = "delay"     // it arrives By later; others overtake it
	Hold      Action = "hold"      // it waits until Frames others have passed, or until it is released
	Corrupt   Action = "corrupt"   // the bits of one byte are flipped, and the TCP checksum is made right
	Duplicate Action = "duplicate" // a copy goes in front of it
)

// Actions are all of them.
func Actions() []Action { return []Action{Drop, Delay, Hold, Corrupt, Duplicate} }

// AllCopies is the value of Rule.Copies for every copy.
const AllCopies = -1

// Limits of a Rule.
const (
	MaxDelay  = link.MaxDelay
	MaxFrames = 1 << 20
	MaxByte   = 1 << 20
)

// A Rule chooses frames and says what happens to them. Exactly one of Message,
// TCP, Bytes and Frame says what is chosen.
type Rule struct {
	Do       Action
	Up, Down bool // the directions; each counts for itself

	Message codec.Type // an MQTT control packet of this type
	Topic   string     // with PUBLISH: a filter that covers its topic name
	QoS     *uint8     // with PUBLISH
	ID      uint16     // its packet identifier; 0: any
	Dup     *bool      // with PUBLISH

	TCP    string // segments with these flags, such as "SYN+ACK"; see Flags
	Bytes  *Range // segments that carry a byte of this range of their stream
	Frame  uint64 // the frame with this number, from 1
	Nth    uint64 // only this one of those that are chosen, from 1; 0: each
	Copies int    // how many of its copies, the first one included; 0: 1; AllCopies

	By     time.Duration // with Delay
	Frames int           // with Hold; 0: it waits for Matcher.Release or the end of the rule
	Byte   int           // with Corrupt: of the message, else of the TCP payload, from 0

	Off bool // it does nothing until Matcher.Switch
}

// A Range is the bytes From to To of a TCP stream, both included, from 0, the
// first byte of a connection that its sender sends.
type Range struct{ From, To int64 }

// names of the flags, in the order in which they are written.
var flagNames = []struct {
	flag wire.TCPFlags
	name string
}{{wire.TCPSyn, "SYN"}, {wire.TCPFin, "FIN"}, {wire.TCPRst, "RST"}, {wire.TCPPsh, "PSH"}, {wire.TCPAck, "ACK"}}

// Flags reads TCP flags such as "SYN" or "FIN+ACK". A segment fits when it has
// all of them; SYN alone is a SYN without ACK, and ACK alone is a segment with
// no other of these flags and no payload.
func Flags(text string) (wire.TCPFlags, error) {
	var all wire.TCPFlags
	for part := range strings.SplitSeq(text, "+") {
		i := slices.IndexFunc(flagNames, func(f struct {
			flag wire.TCPFlags
			name string
		}) bool {
			return f.name == part
		})
		if i < 0 || all&flagNames[i].flag != 0 {
			return 0, fmt.Errorf("match: %q are not TCP flags: SYN, FIN, RST, PSH, ACK, joined by +", text)
		}
		all |= flagNames[i].flag
	}
	return all, nil
}

// Type returns the MQTT control packet type of a name such as "PUBACK".
func Type(name string) (codec.Type, bool) {
	for t := codec.CONNECT; t <= codec.DISCONNECT; t++ {
		if t.String() == name {
			return t, true
		}
	}
	return 0, false
}

// Validate returns what is wrong with the rule.
func (r *Rule) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("match: "+format, args...)) }
	kinds := 0
	for _, is := range []bool{r.Message != 0, r.TCP != "", r.Bytes != nil, r.Frame != 0} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		bad("a rule chooses by one of message, TCP flags, bytes and frame, not by %d", kinds)
	}
	if !slices.Contains(Actions(), r.Do) {
		bad("no action %q", r.Do)
	}
	if !r.Up && !r.Down {
		bad("a rule for no direction")
	}
	if r.Message > codec.DISCONNECT {
		bad("no message type %d", r.Message)
	}
	if r.Message != codec.PUBLISH && (r.Topic != "" || r.QoS != nil || r.Dup != nil) {
		bad("topic, QoS and DUP are PUBLISH's")
	}
	if r.Message == 0 && r.ID != 0 {
		bad("a packet identifier without a message")
	}
	if r.Topic != "" {
		if err := codec.ValidFilter([]byte(r.Topic)); err != nil {
			bad("topic filter %q: %w", r.Topic, err)
		}
	}
	if r.TCP != "" {
		if _, err := Flags(r.TCP); err != nil {
			errs = append(errs, err)
		}
	}
	if b := r.Bytes; b != nil && (b.From < 0 || b.To < b.From) {
		bad("bytes %d..%d are not a range", b.From, b.To)
	}
	if r.Frame != 0 && (r.Nth > 1 || r.Copies > 1 || r.Copies == AllCopies) {
		bad("a frame's number is one frame: no nth, no copies")
	}
	if r.Copies < AllCopies {
		bad("%d copies", r.Copies)
	}
	return errors.Join(append(errs, r.validateAction())...)
}

func (r *Rule) validateAction() error {
	switch {
	case (r.Do == Delay) != (r.By != 0) || r.By < 0 || r.By > MaxDelay:
		return fmt.Errorf("match: %s by %v: a delay needs a time up to %v, the others none", r.Do, r.By, MaxDelay)
	case r.Do != Hold && r.Frames != 0 || r.Frames < 0 || r.Frames > MaxFrames:
		return fmt.Errorf("match: %s for %d frames: a hold takes 0 to %d, the others none", r.Do, r.Frames, MaxFrames)
	case r.Do != Corrupt && r.Byte != 0 || r.Byte < 0 || r.Byte > MaxByte:
		return fmt.Errorf("match: %s byte %d: corrupt needs one from 0 to %d, the others none", r.Do, r.Byte, MaxByte)
	}
	return nil
}

// String describes the rule in words.
func (r *Rule) String() string {
	var b strings.Builder
	b.WriteString(string(r.Do))
	switch {
	case r.Message != 0:
		fmt.Fprintf(&b, " %v", r.Message)
	case r.TCP != "":
		fmt.Fprintf(&b, " %s", r.TCP)
	case r.Bytes != nil:
		fmt.Fprintf(&b, " bytes %d..%d", r.Bytes.From, r.Bytes.To)
	default:
		fmt.Fprintf(&b, " frame %d", r.Frame)
	}
	if r.Nth > 0 {
		fmt.Fprintf(&b, " #%d", r.Nth)
	}
	if r.QoS != nil {
		fmt.Fprintf(&b, " qos %d", *r.QoS)
	}
	if r.Topic != "" {
		fmt.Fprintf(&b, " topic %s", r.Topic)
	}
	if r.ID != 0 {
		fmt.Fprintf(&b, " id %d", r.ID)
	}
	if r.Dup != nil {
		fmt.Fprintf(&b, " dup %t", *r.Dup)
	}
	switch {
	case r.Up != r.Down && r.Up:
		b.WriteString(" up")
	case r.Up != r.Down:
		b.WriteString(" down")
	}
	switch {
	case r.Copies == AllCopies:
		b.WriteString(" copies all")
	case r.Copies > 1:
		fmt.Fprintf(&b, " copies %d", r.Copies)
	}
	switch r.Do {
	case Delay:
		fmt.Fprintf(&b, " by %v", r.By)
	case Hold:
		if r.Frames == 0 {
			b.WriteString(" until it is released")
			break
		}
		fmt.Fprintf(&b, " for %d frames", r.Frames)
	case Corrupt:
		fmt.Fprintf(&b, " byte %d", r.Byte)
	case Drop, Duplicate:
	}
	return b.String()
}
