package flow

import (
	"hilnet/mqtt/codec"
	"hilnet/sim"
)

// Handler receives what a Table finds. The methods are called from within Feed
// and Close, in the order of the stream: Chunks before the Messages that they
// complete. Every argument, and the bytes it points to, is valid during the
// call only, except a Conversation.
type Handler interface {
	// Data gives the next bytes of a stream, or a gap in it.
	Data(*Chunk)
	// Message gives a whole MQTT message.
	Message(*Message)
	// Notice tells of everything else; see NoticeKind.
	Notice(*Notice)
}

// Chunk is a piece of a stream. Chunks of one side are gapless: each begins
// where the one before it ended.
type Chunk struct {
	Conversation *Conversation
	Side         Side
	Offset       int64
	Data         []byte // empty for a gap
	Missing      int64  // > 0: a gap of that length
	Reason       Reason // of a gap

	// Frame and At are those of the frame that brought the bytes first; for a
	// gap the same as Ready.
	Frame uint64
	At    sim.Time
	// ReadyFrame and ReadyAt are those of the frame since which all bytes up to
	// and with these are there: a receiver could not have read them earlier.
	ReadyFrame uint64
	ReadyAt    sim.Time
	// Trimmed tells that the bytes are not the first of their frame's payload.
	Trimmed bool
}

// End is the stream offset behind the chunk.
func (c *Chunk) End() int64 { return c.Offset + int64(len(c.Data)) + c.Missing }

// Message is an MQTT control packet. Nothing but its framing has been judged.
type Message struct {
	Conversation *Conversation
	Side         Side
	Index        int // from 1, of the messages of this side
	Type         codec.Type
	Flags        uint8
	Version      uint8 // protocol level of the connection, 0 = not known
	Offset       int64 // of its first byte in the stream
	Len          int   // of the whole packet
	// Raw is the packet; less than Len bytes of it when it is longer than
	// Config.MaxMessage or than the memory left, or when a gap cuts it.
	Raw     []byte
	Missing int // bytes lost in gaps

	// The frames that brought its first and last byte, and the one since which
	// it could be read.
	FirstFrame, LastFrame, ReadyFrame uint64
	FirstAt, LastAt, ReadyAt          sim.Time

	// Coalesced tells that a frame with its first or last byte holds bytes of
	// another message, too.
	Coalesced bool
	// Resumed tells that its boundaries rest on rule 3 of the package comment.
	Resumed bool
}

// Truncated reports whether Raw is not the whole packet.
func (m *Message) Truncated() bool { return len(m.Raw) < m.Len }

// NoticeKind is the kind of a Notice.
type NoticeKind uint8

// The kinds of notices.
const (
	NoNotice            NoticeKind = iota
	NoticeOpened                   // first frame of a conversation, before anything else
	NoticeEnded                    // last event of a conversation
	NoticeProtocol                 // Half.Protocol of Side was decided
	NoticeOverlap                  // repeated bytes differ: Offset of the first that does, Len of the repeated range
	NoticeBoundaryLost             // message boundaries are lost from Offset on, for Reason
	NoticeBoundaryFound            // a message begins at Offset; Len bytes before it were passed over
	NoticeUnfinished               // message at Offset of Len bytes (0 = not known) was not completed, for Reason
)

func (k NoticeKind) String() string {
	return pick(int(k), "none", "opened", "ended", "protocol", "overlap", "boundary lost", "boundary found", "unfinished message")
}

// Notice is an event that is neither data nor a message.
type Notice struct {
	Kind         NoticeKind
	Conversation *Conversation
	Side         Side // NoSide when it concerns both
	Offset       int64
	Len          int64
	Reason       Reason
	Frame        uint64 // the frame being fed
	At           sim.Time
}
