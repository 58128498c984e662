package distance

import (
	"hilnet/pcaps/flow"
	"hilnet/sim"
)

// closes takes the first FIN or RST of a connection.
func (c *connection) closes(r *reading, at sim.Time, frame uint64, by, how string) {
	if c.closed {
		return
	}
	c.closed, c.closedAt = true, at
	s := sample{frame: frame, at: at, what: "end", values: []value{{"by", by}, {"how", how}, {"said before", "nothing"}}}
	m := &c.mqtt
	switch {
	case m.disconnected:
		s.values[2].text = "DISCONNECT"
		s.after, s.timed = at.Sub(m.disconnectedAt), true
	case m.pinged:
		s.values[2].text = "PINGREQ without an answer"
		s.after, s.timed = at.Sub(m.pingedAt), true
	}
	r.add(Closes, s)
}

// answersFIN takes what the device answers to the peer's FIN: its own, RST, or, when it
// had sent its own before, ACK.
func (c *connection) answersFIN(r *reading, f *flow.Frame, how string) {
	if !c.finOwed {
		return
	}
	c.finOwed = false
	r.add(CloseAnswers, sample{frame: f.Number, at: f.At, what: "FIN", values: []value{{"answer", how}}, after: f.At.Sub(c.finAt), timed: true})
}

// end takes what is not done when the connection, or the capture, ends.
func (c *connection) end(r *reading) {
	if !c.opened && c.of.Client == c.device {
		r.notRead("beginning of a connection, which is not in the capture", 1)
	}
	if !c.closed && c.opened {
		how := "open when last seen"
		if !c.synAcked {
			how = "SYN without an answer"
		}
		r.add(Closes, sample{at: c.last, what: "end", values: []value{{"by", "nobody"}, {"how", how}, {"said before", "nothing"}}})
	}
	if c.synAcked && !c.answered && c.opened {
		r.add(SYNAnswers, sample{at: c.synAck, what: "SYN,ACK", values: []value{{"answer", "none"}, {"with", "nothing"}}})
	}
	if c.finOwed {
		r.add(CloseAnswers, sample{at: c.finAt, what: "FIN", values: []value{{"answer", "none"}}})
	}
	for i := range c.mqtt.inbound {
		c.mqtt.inbound[i].unanswered(r)
	}
}
