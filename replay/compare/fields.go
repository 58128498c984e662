package compare

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hilnet/pcaps/tlsdec"
)

// Fields are properties of messages and segments, as a set.
type Fields uint32

// The fields. Of messages, then of both, then of segments.
const (
	FieldID      Fields = 1 << iota // packet identifier
	FieldDup                        // DUP flag
	FieldTopic                      // of PUBLISH
	FieldClient                     // client identifier of CONNECT
	FieldLength                     // of the message or of the payload of a segment
	FieldPayload                    // bytes: of a message all but the fields above
	FieldSeq                        // sequence number, from the side's first
	FieldAck                        // acknowledgement, from the other side's first
	FieldWindow                     // as in the header
	FieldOptions                    // TCP options, but for the values of timestamps
	FieldPush                       // PSH flag
	FieldISN                        // the first sequence number of each side
	FieldPorts                      // of client and server
	FieldAddress                    // IP addresses of client and server
	FieldIPID                       // IPv4 identification
	FieldTTL                        // time to live, hop limit
	FieldTSVal                      // TCP timestamp of the sender
	fieldTime                       // only by Config.Time
	fieldCount   = iota
)

var fieldNames = [fieldCount]string{
	"id", "dup", "topic", "client", "length", "payload", "seq", "ack", "window", "options", "push",
	"isn", "port", "address", "ipid", "ttl", "tsval", "time",
}

// DefaultFields are those that two runs of the same program have in common.
const DefaultFields = FieldID | FieldDup | FieldTopic | FieldClient | FieldLength | FieldPayload | FieldSeq | FieldAck | FieldWindow | FieldOptions | FieldPush

// AllFields are all that can be asked for.
const AllFields = fieldTime - 1

// Names returns the names of the fields in f.
func (f Fields) Names() []string {
	names := []string{}
	for i, name := range fieldNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// ParseFields returns the set of the named fields.
func ParseFields(names []string) (Fields, error) {
	var f Fields
	for _, name := range names {
		i := slices.Index(fieldNames[:], name)
		if i < 0 || Fields(1)<<i == fieldTime {
			return 0, fmt.Errorf("%q is no field: write %s", name, strings.Join(AllFields.Names(), ", "))
		}
		f |= 1 << i
	}
	return f, nil
}

// A Level is what is compared.
type Level uint8

// The levels.
const (
	MessagesAndSegments Level = iota
	MessagesOnly
	SegmentsOnly
)

// A Config says what counts. The zero value compares [DefaultFields] of messages and
// segments.
type Config struct {
	MQTTPorts []uint16 // nil = 1883
	By        Level
	Fields    Fields // 0 = DefaultFields
	// Time is how far the times of what both have, counted from the first frame of the
	// conversation, may lie apart. Negative: times are not compared.
	Time     time.Duration
	MaxItems int // segments and messages of one capture. 0 = 500,000
	MaxLines int // differences of messages, and of segments, that are listed; the others are counted. 0 = 1,000
	Context  int // lines around each that are the same
	// Keys read TLS beside those that a capture holds, which are added to them. nil:
	// none are known beforehand.
	Keys *tlsdec.Keys
}

func (c *Config) setDefaults() error {
	if c.MaxItems < 0 || c.MaxLines < 0 || c.Context < 0 || c.By > SegmentsOnly {
		return fmt.Errorf("compare: config %+v", *c)
	}
	if c.Fields == 0 {
		c.Fields = DefaultFields
	}
	if c.MaxItems == 0 {
		c.MaxItems = 500_000
	}
	if c.MaxLines == 0 {
		c.MaxLines = 1000
	}
	return nil
}
