package flow

import (
	"hilnet/sim"
)

type framerState uint8

const (
	framerStart framerState = iota // nothing of the stream was seen
	framerHead                     // too little to tell what it is
	framerSynced
	framerLost
	framerOff // not MQTT
)

// framer finds the message boundaries in one direction.
type framer struct {
	half    *half
	state   framerState
	resumed bool
	lostAt  int64
	passed  int64 // bytes looked at since

	count int // messages so far

	// The message being put together.
	open      bool
	want      int // 0: its header is not complete
	have      int
	missing   int
	full      bool // raw takes no more
	coalesced bool
	raw       []byte
	begun     Message // its first fields

	// Bytes that may turn out to begin with a boundary, and where their chunks
	// end. No messages are open then.
	held   []byte
	at     int64 // stream offset of held
	marks  []mark
	whole  int // bytes of held that are whole packets
	packet int // how many
}

type mark struct {
	end               int // in held
	frame, readyFrame uint64
	at, readyAt       sim.Time
	trimmed           bool
}

const (
	// passOver is how much of a stream that may not be MQTT is searched.
	passOver = 64 << 10
	// maxMarks bounds the segments that rule 3 looks at together.
	maxMarks = 1024
	// keepRaw is the size up to which the buffer of a message is kept for the
	// next one even when the table's memory is more than half full.
	keepRaw = 4 << 10
)

// data takes the next chunk of the stream.
func (f *framer) data(c *Chunk) {
	switch f.state {
	case framerSynced:
		f.cut(c)
	case framerStart, framerHead:
		f.begin(c)
	case framerLost:
		f.search(c)
	case framerOff:
	}
}

// begin tells what the stream is by its first bytes.
func (f *framer) begin(c *Chunk) {
	h := f.half
	if f.state == framerStart {
		f.state = framerHead
		switch known := f.knownMQTT(); {
		case !h.synSeen && known:
			f.lose(c.Offset, ReasonMidstream)
			f.search(c)
			return
		case !h.synSeen:
			f.midstream(c)
			return
		case known:
			f.decide(ProtocolMQTT, EvidencePeer)
			f.state = framerSynced
			f.cut(c)
			return
		}
	}
	b := c.Data
	if len(f.held) > 0 {
		if !f.hold(c) {
			return
		}
		b = f.held
	}
	verdict := judgeHead(b)
	switch verdict {
	case headMore:
		if len(f.held) == 0 {
			f.hold(c)
		}
	case headConnect, headConnack:
		f.decide(ProtocolMQTT, pickEvidence(verdict))
		f.state = framerSynced
		f.replay(c)
	case headTLS, headHTTP:
		f.leave(pickProtocol(verdict), pickEvidence(verdict))
	case headOther:
		f.otherStart(c)
	}
}

// midstream decides how to begin in a stream whose start was not seen.
func (f *framer) midstream(c *Chunk) {
	switch verdict := judgeHead(c.Data); verdict {
	case headTLS, headHTTP:
		f.leave(pickProtocol(verdict), pickEvidence(verdict))
	case headMore, headConnect, headConnack, headOther:
		f.lose(c.Offset, ReasonMidstream)
		f.search(c)
	}
}

// otherStart is for a stream that begins with neither of the starts known.
func (f *framer) otherStart(c *Chunk) {
	if !f.onPort() && !f.knownMQTT() {
		f.leave(ProtocolOther, EvidenceOtherStart)
		return
	}
	first := c.Offset
	if len(f.held) > 0 {
		first = f.at
	}
	f.dropHeld()
	f.lose(first, ReasonNoStart)
	f.search(c)
}

func (f *framer) knownMQTT() bool { return f.half.conn.Protocol == ProtocolMQTT }

func (f *framer) onPort() bool {
	ports, c := f.half.table.config.MQTTPorts, f.half.conn
	return listed(ports, c.A.Addr.Port()) || listed(ports, c.B.Addr.Port())
}

// decide notes what the stream is.
func (f *framer) decide(p Protocol, e Evidence) {
	h := f.half
	if h.pub.Protocol == p {
		return
	}
	h.pub.Protocol, h.pub.Evidence = p, e
	if c := h.conn; c.Protocol == ProtocolUndecided || c.Protocol == ProtocolOther || p == ProtocolMQTT {
		c.Protocol = p
	}
	h.table.tell(h.conn, Notice{Kind: NoticeProtocol, Side: h.side, Offset: h.off})
}

func (f *framer) leave(p Protocol, e Evidence) {
	f.state = framerOff
	f.release()
	f.decide(p, e)
}

// lose notes that boundaries are not known from offset on.
func (f *framer) lose(offset int64, reason Reason) {
	f.state, f.resumed, f.lostAt, f.passed = framerLost, true, offset, 0
	f.half.pub.BoundariesLost++
	f.half.table.tell(f.half.conn, Notice{Kind: NoticeBoundaryLost, Side: f.half.side, Offset: offset, Reason: reason})
}

// search looks for a boundary by rule 3 of the package comment.
func (f *framer) search(c *Chunk) {
	f.passed += int64(len(c.Data))
	f.half.pub.LostBytes += int64(len(c.Data))
	if len(f.held) > 0 && f.hold(c) {
		if f.prove(f.held) {
			f.found(c, f.at)
			return
		}
		if len(f.held) > 0 {
			return
		}
	}
	f.whole, f.packet = 0, 0
	if c.Trimmed {
		return
	}
	switch {
	case judgeHead(c.Data) == headTLS && !f.knownMQTT():
		f.leave(ProtocolTLS, EvidenceTLSRecord)
		return
	case f.prove(c.Data):
		f.found(c, c.Offset)
	case f.whole >= 0:
		f.hold(c)
	}
	if f.passed > passOver && !f.onPort() && !f.knownMQTT() {
		f.leave(ProtocolOther, EvidenceNoPackets)
	}
}

// prove reports whether b consists of enough whole packets. It goes on where it
// stopped in an earlier, shorter b. When b cannot begin with a boundary it
// gives up what is held and sets f.whole to -1.
func (f *framer) prove(b []byte) bool {
	for f.whole < len(b) {
		n, ok := shape(b[f.whole:])
		if !ok {
			f.dropHeld()
			f.whole = -1
			return false
		}
		if n == 0 {
			return false // not all of the packet is there
		}
		f.whole += n
		f.packet++
	}
	return f.packet >= 2 || f.onPort() || f.knownMQTT()
}

// found resumes at offset with what is held, or c.
func (f *framer) found(c *Chunk, offset int64) {
	h := f.half
	h.pub.LostBytes -= c.End() - offset
	f.decide(ProtocolMQTT, EvidencePackets)
	f.state = framerSynced
	h.table.tell(h.conn, Notice{Kind: NoticeBoundaryFound, Side: h.side, Offset: offset, Len: offset - f.lostAt})
	f.replay(c)
}

// hold keeps c for later; false when there is no room, or none is allowed.
func (f *framer) hold(c *Chunk) bool {
	limit := f.half.table.config.MaxMessage
	if len(f.held)+len(c.Data) > limit || len(f.marks) >= maxMarks {
		f.dropHeld()
		return false
	}
	if len(f.held) == 0 {
		f.at = c.Offset
	}
	grown, ok := f.half.table.mem.extend(f.held, c.Data)
	if !ok {
		f.dropHeld()
		return false
	}
	f.held = grown
	f.marks = append(f.marks, mark{len(f.held), c.Frame, c.ReadyFrame, c.At, c.ReadyAt, c.Trimmed})
	return true
}

// dropHeld gives up what is held.
func (f *framer) dropHeld() {
	f.half.table.mem.drop(&f.held)
	f.marks, f.whole, f.packet = f.marks[:0], 0, 0
}

// replay cuts what is held, of which c is the last part, or else c.
func (f *framer) replay(c *Chunk) {
	if len(f.held) == 0 {
		f.whole, f.packet = 0, 0
		f.cut(c)
		return
	}
	held, marks := f.held, f.marks
	f.held, f.marks = nil, nil
	part, begin := *c, 0
	part.Offset = f.at
	for _, m := range marks {
		part.Data, part.Trimmed = held[begin:m.end], m.trimmed
		part.Frame, part.At, part.ReadyFrame, part.ReadyAt = m.frame, m.at, m.readyFrame, m.readyAt
		f.data(&part)
		part.Offset += int64(m.end - begin)
		begin = m.end
	}
	f.half.table.mem.drop(&held)
	f.dropHeld()
}

// gap takes a hole in the stream.
func (f *framer) gap(c *Chunk) {
	switch f.state {
	case framerStart, framerHead:
		f.dropHeld()
		f.lose(c.Offset, c.Reason)
	case framerLost:
		f.dropHeld()
	case framerSynced:
		n := c.Missing
		if f.open && f.want > 0 && n <= int64(f.want-f.have) {
			f.full = true
			f.have, f.missing = f.have+int(n), f.missing+int(n)
			if f.have == f.want {
				f.complete(c, false)
			}
			return
		}
		if f.open {
			f.abandon(c.Reason)
		}
		f.lose(c.Offset, c.Reason)
	case framerOff:
	}
	if f.state == framerLost {
		f.half.pub.LostBytes += c.Missing
	}
}

// finish ends the stream.
func (f *framer) finish(reason Reason) {
	if f.open {
		f.abandon(reason)
	}
	if f.state == framerHead && len(f.held) > 0 {
		f.lose(f.at, reason)
	}
}

func (f *framer) release() {
	f.dropHeld()
	f.half.table.mem.drop(&f.raw)
	f.marks = nil
}
