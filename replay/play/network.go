package play

import "hilnet/replay/script"

// A Network carries the bytes of a play. Its methods, and those of its Conns,
// are called on the loop and do not block.
type Network interface {
	// Dial begins a connection for a conversation. What comes of it, an error
	// included, is told through events, never from within Dial.
	Dial(c *script.Conversation, events *Events) Conn
	// Listen takes connections; accept returns who is to be told of a connection,
	// or nil to refuse it.
	Listen(accept func(Conn) *Events) error
	// Stop ends the listening and every connection.
	Stop()
}

// A dropper is a Network that may drop what came or was to go out, and counts it.
type dropper interface{ Drops() []Tally }

// A shaker is a Network whose clients shake hands before the player hears of them.
type shaker interface{ Shaking() int }

// A Conn is an end of a TCP connection.
type Conn interface {
	// Write sends data, some time. sizes are those of the segments that it went in
	// when it was recorded; they add up to len(data), or are nil. The Conn keeps both.
	Write(data []byte, sizes []int)
	// Close sends what was written, then FIN.
	Close()
	// Abort sends RST.
	Abort()
	// Remote names the peer.
	Remote() string
}

// Events tell of a Conn, on the loop.
type Events struct {
	Connected func()       // dialled only
	Data      func([]byte) // valid until it returns
	// Closed is called once: with io.EOF when the peer has closed its direction, else
	// with why the connection is lost or was never made. Not after Close or Abort.
	Closed func(error)
}
