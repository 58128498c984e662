package distance

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/wire"
)

// Limits of what is remembered of a connection.
const (
	maxSent    = 4096 // segments that wait for their acknowledgement
	maxArrived = 4096
	maxInbound = 1024
)

// burst is how close together segments are that one expiry of a timer sends again.
const burst = 5 * time.Millisecond

// A connection is one of the device's TCP connections.
type connection struct {
	of     *flow.Conversation
	device flow.Side

	opened   bool // its SYN was seen
	seq      bool // next is known
	next     uint32
	sent     []sentSegment // by sequence number, oldest first
	retry    int           // the last one's place in samples, if retryAt is set
	retries  int64         // segments of it
	retryAt  sim.Time
	retried  bool
	acked    bool
	ack      uint32 // the device's last
	window   int64  // that it has advertised, -1 = none
	windowed bool

	answered  bool // SYN,ACK was
	synAck    sim.Time
	synAcked  bool
	peerSeq   bool
	peerNext  uint32
	peerAck   uint32
	peerAcked bool
	duplicate int // acknowledgements of the peer in a row
	duplAt    sim.Time
	arrived   []arrival
	probed    bool // a probe or keep-alive was sent
	probedAt  sim.Time
	heard     sim.Time // the peer's last data
	heardAny  bool

	closed   bool
	closedAt sim.Time
	shut     bool // the device has sent FIN
	peerFIN  bool
	finOwed  bool // the device has not answered it
	finAt    sim.Time
	finEnd   uint32
	last     sim.Time // of its frames

	mqtt session
}

// A sentSegment is one that the peer has not acknowledged.
type sentSegment struct {
	seq, end uint32
	at       sim.Time
	tries    int
	id       uint16
}

// An arrival is data that the device has not acknowledged.
type arrival struct {
	end uint32
	at  sim.Time
}

func after(a, b uint32) bool { return int32(a-b) > 0 }

// sends takes a segment of the device.
func (c *connection) sends(r *reading, f *flow.Frame, s *flow.Result) {
	flags, seq := s.TCP.Flags(), s.TCP.Seq()
	if flags&wire.TCPSyn != 0 && flags&wire.TCPAck == 0 && !c.opened {
		c.opens(r, f, s)
	}
	if c.synAcked && !c.answered && flags&wire.TCPSyn == 0 {
		c.answered = true
		how := "ACK"
		if flags&wire.TCPRst != 0 {
			how = "RST"
		}
		r.add(SYNAnswers, sample{frame: f.Number, at: f.At, what: "SYN,ACK", values: []value{{"answer", how}, {"with", carried(s)}}, after: f.At.Sub(c.synAck), timed: true})
	}
	if flags&wire.TCPRst != 0 {
		c.closes(r, f.At, f.Number, "device", "RST")
		c.answersFIN(r, f, "RST")
		return
	}
	if flags&wire.TCPFin != 0 {
		c.shut = true
		c.closes(r, f.At, f.Number, "device", "FIN")
		c.answersFIN(r, f, "FIN")
	}
	if s.Labels&flow.LabelZeroWindowProbe != 0 || s.Labels&flow.LabelKeepAlive != 0 && c.waiting(seq) == nil {
		c.probes(r, f, s)
		return
	}
	end := seq + uint32(s.Len)
	if flags&(wire.TCPSyn|wire.TCPFin) != 0 {
		end++
	}
	switch {
	case end == seq:
	case c.seq && after(c.next, seq):
		c.again(r, f, s, seq)
	default:
		if s.Len > 0 {
			push := "no"
			if flags&wire.TCPPsh != 0 {
				push = "yes"
			}
			r.add(Segments, sample{frame: f.Number, at: f.At, what: "data", values: []value{number("length", int64(s.Len)), {"push", push}}})
		}
		c.remember(r, seq, end, f.At, s)
		c.next, c.seq = end, true
	}
	if flags&wire.TCPAck != 0 {
		if c.shut && !after(c.finEnd, s.TCP.Ack()) {
			c.answersFIN(r, f, "ACK")
		}
		c.acknowledges(r, f, s)
	}
	c.advertises(r, f, s)
}

// probes takes a segment that only wants an answer. The byte that it may have is sent
// again later, or counts as sent when the peer acknowledges it.
func (c *connection) probes(r *reading, f *flow.Frame, s *flow.Result) {
	x := sample{frame: f.Number, at: f.At, what: "keep-alive"}
	if s.Labels&flow.LabelZeroWindowProbe != 0 {
		x.what = "probe of a closed window"
	}
	if c.probed {
		x.after, x.timed = f.At.Sub(c.probedAt), true
	}
	c.probed, c.probedAt = true, f.At
	r.add(Retries, x)
}

// carried says what a segment of the device carries.
func carried(s *flow.Result) string {
	switch {
	case s.Len > 0:
		return "data"
	case s.TCP.Flags()&wire.TCPFin != 0:
		return "FIN"
	}
	return "nothing"
}

func (c *connection) remember(r *reading, seq, end uint32, at sim.Time, s *flow.Result) {
	if len(c.sent) == maxSent {
		r.notRead(fmt.Sprintf("a segment that waits for its acknowledgement while %d others do, forgotten", maxSent), 1)
		c.sent = append(c.sent[:0], c.sent[1:]...)
	}
	c.sent = append(c.sent, sentSegment{seq, end, at, 1, identification(s)})
}

func identification(s *flow.Result) uint16 {
	if s.IP[0]>>4 != 4 {
		return 0
	}
	return binary.BigEndian.Uint16(s.IP[4:])
}

// waiting returns what has a byte and waits to be acknowledged, nil if nothing does.
func (c *connection) waiting(seq uint32) (found *sentSegment) {
	for i := range c.sent {
		if !after(c.sent[i].seq, seq) && after(c.sent[i].end, seq) {
			found = &c.sent[i]
		}
	}
	return found
}

// again takes a segment that was sent before.
func (c *connection) again(r *reading, f *flow.Frame, s *flow.Result, seq uint32) {
	was := c.waiting(seq)
	switch end := seq + uint32(s.Len); {
	case was != nil:
	case c.peerAcked && !after(end, c.peerAck):
		r.add(Retries, sample{frame: f.Number, at: f.At, what: "what the peer has acknowledged"})
		return
	default: // sent while the NIC was down, or the capturing machine was late
		r.add(Retries, sample{frame: f.Number, at: f.At, what: "what was not seen before"})
		at, _ := slices.BinarySearchFunc(c.sent, seq, func(x sentSegment, seq uint32) int { return cmp.Compare(int32(x.seq-seq), 0) })
		if len(c.sent) < maxSent {
			c.sent = slices.Insert(c.sent, at, sentSegment{seq, end, f.At, 1, identification(s)})
		}
		return
	}
	gap, id := f.At.Sub(was.at), "another"
	if x := identification(s); x == was.id {
		id = "the same"
	}
	was.at, was.id = f.At, identification(s)
	was.tries++
	if c.retried && f.At.Sub(c.retryAt) <= burst {
		c.retries++
		c.retryAt = f.At
		r.samples[Retries][c.retry].values[0] = number("segments", c.retries)
		return
	}
	what, cause := "data", "time"
	switch {
	case s.TCP.Has(wire.TCPSyn):
		what = "SYN"
	case s.TCP.Has(wire.TCPFin) && s.Len == 0:
		what = "FIN"
	}
	const fast, enough = 20 * time.Millisecond, 3 // RFC 5681 section 3.2
	if c.duplicate >= enough && f.At.Sub(c.duplAt) <= fast && was.tries == 2 {
		cause = "duplicate acknowledgements"
	}
	c.retries, c.retryAt, c.retried = 1, f.At, true
	c.retry = r.add(Retries, sample{
		frame: f.Number, at: f.At, what: fmt.Sprintf("%s, try %d", what, was.tries),
		values: []value{number("segments", 1), {"IP identification", id}, {"because of", cause}}, after: gap, timed: true,
	})
}

// acknowledges takes the acknowledgement of a segment of the device.
func (c *connection) acknowledges(r *reading, f *flow.Frame, s *flow.Result) {
	ack := s.TCP.Ack()
	covered, first, fin := int64(0), sim.Time(0), false
	kept := c.arrived[:0]
	for _, a := range c.arrived {
		if after(a.end, ack) {
			kept = append(kept, a)
			continue
		}
		if covered++; covered == 1 {
			first = a.at
		}
		fin = fin || c.peerFIN && a.end == c.finEnd
	}
	c.arrived = kept
	moved := !c.acked || ack != c.ack
	window := int64(s.TCP.Window())
	switch {
	case covered > 0:
		what := "of data"
		if fin {
			what = "of FIN"
		}
		r.add(Acknowledgements, sample{
			frame: f.Number, at: f.At, what: what, values: []value{number("segments", covered), {"with", carried(s)}},
			after: f.At.Sub(first), timed: true,
		})
	case moved || s.Len > 0 || s.TCP.Flags()&(wire.TCPSyn|wire.TCPFin) != 0:
	case c.windowed && window != c.window:
		x := sample{frame: f.Number, at: f.At, what: "update", values: []value{number("to", window)}}
		if c.heardAny {
			x.after, x.timed = f.At.Sub(c.heard), true
		}
		r.add(WindowUpdates, x)
	default:
		x := sample{frame: f.Number, at: f.At, what: "repeated"}
		if c.heardAny {
			x.after, x.timed = f.At.Sub(c.heard), true
		}
		r.add(Acknowledgements, x)
	}
	c.ack, c.acked = ack, true
}

// advertises takes the window of a segment of the device.
func (c *connection) advertises(r *reading, f *flow.Frame, s *flow.Result) {
	window := int64(s.TCP.Window())
	if s.TCP.Flags()&wire.TCPSyn == 0 && (!c.windowed || window != c.window) {
		h, o := c.of.Half(c.device), c.of.Half(c.device.Peer())
		scaled := window
		if h.HasScale && o.HasScale {
			scaled <<= h.WindowScale
		}
		r.add(Windows, sample{frame: f.Number, at: f.At, what: "window", values: []value{number("bytes", scaled)}})
	}
	if s.TCP.Flags()&wire.TCPSyn == 0 {
		c.window, c.windowed = window, true
	}
}

// hears takes a segment of the peer.
func (c *connection) hears(r *reading, f *flow.Frame, s *flow.Result) {
	flags, seq := s.TCP.Flags(), s.TCP.Seq()
	if flags&wire.TCPRst != 0 {
		c.closes(r, f.At, f.Number, "peer", "RST")
		return
	}
	end := seq + uint32(s.Len)
	if flags&wire.TCPSyn != 0 {
		if end++; !c.synAcked && flags&wire.TCPAck != 0 {
			c.synAck, c.synAcked = f.At, true
		}
		c.peerNext, c.peerSeq = end, true
	}
	if flags&wire.TCPFin != 0 {
		if end++; !c.peerFIN {
			c.peerFIN, c.finOwed, c.finAt, c.finEnd = true, true, f.At, end
		}
		c.closes(r, f.At, f.Number, "peer", "FIN")
	}
	if s.Len > 0 || flags&wire.TCPFin != 0 {
		c.heard, c.heardAny = f.At, true
		if !c.peerSeq || after(end, c.peerNext) {
			c.peerNext, c.peerSeq = end, true
			if len(c.arrived) == maxArrived {
				r.notRead(fmt.Sprintf("a segment that the device has not acknowledged while %d others wait, forgotten", maxArrived), 1)
				c.arrived = append(c.arrived[:0], c.arrived[1:]...)
			}
			c.arrived = append(c.arrived, arrival{end, f.At})
		}
	}
	if flags&wire.TCPAck == 0 {
		return
	}
	ack := s.TCP.Ack()
	switch {
	case !c.peerAcked || after(ack, c.peerAck):
		c.duplicate = 0
		if len(r.config.Outages) > 0 {
			r.keep(1)
			r.progress = append(r.progress, f.At)
		}
		c.peerAck, c.peerAcked = ack, true
		n := 0
		for n < len(c.sent) && !after(c.sent[n].end, ack) {
			n++
		}
		c.sent = append(c.sent[:0], c.sent[n:]...)
	case ack == c.peerAck && s.Len == 0 && len(c.sent) > 0:
		c.duplicate++
		c.duplAt = f.At
	}
}
