package anonymize

import (
	"bytes"

	"hilnet/pcaps/flow"
)

// A survey goes through a capture and makes the plans.
type survey struct {
	a       *Anonymizer
	plans   map[direction]*plan
	streams map[direction]*stream
	used    int
	err     error
}

// A stream is one direction while it is surveyed.
type stream struct {
	plan *plan
	mqtt bool // it has had messages
	tls  tlsState
	// The beginning of the message under way: its fixed header, as far as it was seen.
	next     int64  // where it begins
	head     []byte // the bytes from there on
	last     []byte // the last chunk, which Message may have moved next into
	lastFrom int64
}

const fixedHeaderMax = 5 // MQTT 3.1.1 section 2.2

func (s *survey) stream(c *flow.Conversation, side flow.Side) *stream {
	k := direction{c.ID, side}
	st := s.streams[k]
	if st == nil {
		st = &stream{plan: &plan{}}
		s.streams[k], s.plans[k] = st, st.plan
		s.room(256) // of our own structures
	}
	return st
}

// Data takes a piece of a stream.
func (s *survey) Data(c *flow.Chunk) {
	st := s.stream(c.Conversation, c.Side)
	st.collect(st.lastFrom, st.last)
	st.last, st.lastFrom = append(st.last[:0], c.Data...), c.Offset
	if !st.mqtt {
		st.tls.data(s, st.plan, c)
	}
}

// collect adds to the head what data has of it.
func (st *stream) collect(off int64, data []byte) {
	want := st.next + int64(len(st.head))
	if want >= off && want < off+int64(len(data)) {
		data = data[want-off:]
		st.head = append(st.head, data[:min(len(data), fixedHeaderMax-len(st.head))]...)
	}
}

// Message plans a message.
func (s *survey) Message(m *flow.Message) {
	st := s.stream(m.Conversation, m.Side)
	st.mqtt = true
	s.message(st.plan, m)
	st.next, st.head = m.Offset+int64(m.Len), st.head[:0]
}

// Notice plans what a capture has of a message that is not whole, and forgets streams.
func (s *survey) Notice(n *flow.Notice) {
	switch n.Kind {
	case flow.NoticeEnded:
		for _, side := range []flow.Side{flow.SideA, flow.SideB} {
			delete(s.streams, direction{n.Conversation.ID, side})
		}
	case flow.NoticeBoundaryFound:
		st := s.stream(n.Conversation, n.Side)
		st.next, st.head = n.Offset, st.head[:0]
	case flow.NoticeUnfinished:
		st := s.stream(n.Conversation, n.Side)
		st.collect(st.lastFrom, st.last)
		if n.Offset == st.next {
			s.literal(st.plan, n.Offset, fixedHeader(st.head))
		}
	case flow.NoticeBoundaryLost:
		// A remaining length of five bytes ends the messages. What they were may be
		// anything, so a made-up one takes their place.
		st := s.stream(n.Conversation, n.Side)
		st.collect(st.lastFrom, st.last)
		if h := st.head; n.Offset == st.next && len(h) == fixedHeaderMax && h[1]&h[2]&h[3]&h[4]&0x80 != 0 {
			s.literal(st.plan, n.Offset, []byte{0x30, 0xff, 0xff, 0xff, 0xff})
		}
	case flow.NoNotice, flow.NoticeOpened, flow.NoticeProtocol, flow.NoticeOverlap:
	}
}

// fixedHeader returns the fixed header at the beginning of b, as far as it is there.
func fixedHeader(b []byte) []byte {
	for i := 1; i < len(b); i++ {
		if b[i]&0x80 == 0 {
			return b[:i+1]
		}
	}
	return b
}

var tlsVersions = []byte{0, 1, 2, 3, 4}

// looksLikeTLS reports whether b begins with the header of a TLS record.
func looksLikeTLS(b []byte) bool {
	return len(b) >= tlsHeader && b[0] >= tlsChangeCipher && b[0] <= tlsData && b[1] == 3 && bytes.IndexByte(tlsVersions, b[2]) >= 0
}
