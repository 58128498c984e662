package codec

import (
	"errors"
	"fmt"
)

// ErrTooLarge is wrapped by the *Error of a frame that is longer than the
// caller's limit. The frame itself may be well-formed.
var ErrTooLarge = errors.New("packet is larger than the limit")

// ErrProtocolLevel is wrapped by the *Error of a CONNECT for another version
// of MQTT, which a server answers with CONNACK return code 1 before it closes
// [MQTT-3.1.2-2].
var ErrProtocolLevel = errors.New("unacceptable protocol level")

// Error is a violation of the standard found in a packet.
type Error struct {
	// Type of the packet; 0 when there is none: an empty packet, a bare string.
	Type Type
	// Clause is the numbered statement, as in "[MQTT-3.1.2-3]". Rules that
	// have no number are cited by section, as in "[section 2.2.3]".
	Clause string
	// Offset of the offending byte from the packet's first byte.
	Offset int
	// Text says what is wrong, in words.
	Text string
	// Err is ErrTooLarge, ErrProtocolLevel or nil.
	Err error
}

func (e *Error) Error() string {
	if e.Type == 0 {
		return fmt.Sprintf("codec: %s at offset %d %s", e.Text, e.Offset, e.Clause)
	}
	return fmt.Sprintf("codec: %v: %s at offset %d %s", e.Type, e.Text, e.Offset, e.Clause)
}

// Unwrap returns ErrTooLarge, ErrProtocolLevel or nil.
func (e *Error) Unwrap() error { return e.Err }
