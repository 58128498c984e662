package analyze

import (
	"fmt"
	"time"

	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
	"hilnet/sim"
	"hilnet/wire"
)

// A session is a conversation at work.
type session struct {
	of   *flow.Conversation
	out  *Conversation
	half [2]tally
	mqtt mqttState

	again repetition // the last stall, if it may go on
	close sim.Time   // of the first FIN or RST of the side that ended the connection
	shut  bool

	last      sim.Time // of the segment before
	lastFrame uint64
	lastSide  flow.Side
}

// A tally is what is counted of one side.
type tally struct {
	labels  [labelCount]int
	origins [len(originNames)]int
	dsacks  int
	rtt, ts RTT
	flight  int
	sent    int
	closed  bool     // its window is 0
	heard   sim.Time // when its last segment was seen
	waiting uint64   // frame of its oldest segment that waits for an ACK, as far as is known
	try     silence
	worst   silence // the one with the most retransmissions
}

// A silence is a run of retransmissions without a word of the peer.
type silence struct {
	repeats     int
	first, last uint64
	from, to    sim.Time // from is when the peer was heard last
	answered    bool
}

func index(side flow.Side) int {
	if side == flow.SideB {
		return 1
	}
	return 0
}

// name is what a side is called: client and server, or A and B where nobody knows.
func (s *session) name(side flow.Side) string {
	switch {
	case side == flow.NoSide:
		return ""
	case s.of.Client == flow.NoSide:
		return side.String()
	case side == s.of.Client:
		return "client"
	}
	return "server"
}

// take counts a segment and explains the standstill that it ends.
func (s *session) take(a *Analyzer, seg *Segment) {
	side := seg.Result.Side
	h, o := &s.half[index(side)], &s.half[index(side.Peer())]
	if s.lastFrame != 0 {
		s.stall(a, seg, h, o, seg.At.Sub(s.last))
	}
	for i := range labelCount {
		if seg.Labels&(1<<i) != 0 {
			h.labels[i]++
		}
	}
	if seg.Origin != NoOrigin {
		h.origins[seg.Origin]++
	}
	if seg.DSACK {
		h.dsacks++
	}
	// The RTT is that of what the peer had sent: it is the peer's to wait.
	if seg.ACKsFrame != 0 && !seg.Ambiguous && seg.ACKRTT >= 0 && seg.Flags&wire.TCPRst == 0 {
		o.rtt.add(seg.ACKRTT)
	}
	if seg.TimestampRTT > 0 {
		o.ts.add(seg.TimestampRTT)
	}
	h.flight = max(h.flight, seg.BytesInFlight)
	if seg.InitialRTT != 0 {
		s.out.InitialRTT = seg.InitialRTT
	}
	h.closed = seg.Window == 0 && seg.Flags&(wire.TCPSyn|wire.TCPRst) == 0
	if o.worst.last == o.try.last && o.try.repeats > 0 {
		o.worst.answered = true
	}
	o.try, o.waiting = silence{}, 0
	if seg.Len > 0 || seg.Flags&opening != 0 {
		if h.waiting == 0 {
			h.waiting = seg.Frame
		}
		if seg.Labels.Any(Retransmission) {
			if h.try.repeats == 0 {
				h.try.first, h.try.from = seg.Frame, o.heard
			}
			h.try.repeats++
			h.try.last, h.try.to = seg.Frame, seg.At
			if h.try.repeats >= h.worst.repeats {
				h.worst = h.try
			}
		}
	}
	if seg.Flags&(wire.TCPFin|wire.TCPRst) != 0 && !s.shut {
		s.close, s.shut = seg.At, true
	}
	h.heard = seg.At
	s.last, s.lastFrame, s.lastSide = seg.At, seg.Frame, side
}

// cutShort says of a wait since at that the capture ended in the middle of it: an
// answer has at least a second, or three round-trip times, to come.
func (s *session) cutShort(a *Analyzer, at sim.Time) string {
	left := a.now.Sub(at)
	if s.of.EndedBy != flow.NoSide || left >= max(shortestIdle, 3*s.roundTrip()) {
		return ""
	}
	when := "there"
	if left > 0 {
		when = left.Round(time.Microsecond).String() + " later"
	}
	return "; but the capture ends " + when + ", perhaps before the answer"
}

// find lists a finding.
func (s *session) find(a *Analyzer, at sim.Time, frame uint64, kind, format string, args ...any) {
	const perConversation = 200
	if len(s.out.Findings) >= perConversation {
		s.out.UnlistedFindings++
		return
	}
	if a.room(&s.out.UnlistedFindings) {
		s.out.Findings = append(s.out.Findings, Finding{At: time.Duration(at), Frame: frame, Kind: kind, Text: fmt.Sprintf(format, args...)})
	}
}

// end writes what was counted.
func (s *session) end(a *Analyzer) {
	c, out := s.of, s.out
	client, server := flow.SideA, flow.SideB
	if c.Client == flow.SideB {
		client, server = server, client
	}
	out.Client, out.Server = c.Half(client).Addr.String(), c.Half(server).Addr.String()
	out.Interface, out.Protocol, out.MQTTVersion = c.Lane, c.Protocol.String(), c.MQTTVersion
	if a.config.Secure != nil {
		out.TLS = tlsdec.Describe(c)
	}
	out.Handshake, out.End, out.EndedBy = c.Handshake.String(), c.End.String(), s.name(c.EndedBy)
	out.Start, out.Duration, out.FirstFrame, out.LastFrame = time.Duration(c.First), c.Last.Sub(c.First), c.FirstFrame, c.LastFrame
	out.ToServer = s.half[index(client)].direction(c.Half(client))
	out.ToClient = s.half[index(server)].direction(c.Half(server))
	s.usual(a)
	s.conclude(a)
	s.mqtt.conclude(s, a)
}

func (t *tally) direction(h *flow.Half) Direction {
	d := Direction{
		Frames: h.Frames, Bytes: h.Bytes, Labels: []Count{}, Origins: []Count{}, DSACKs: t.dsacks, RTT: t.rtt, TimestampRTT: t.ts, MaxBytesInFlight: t.flight,
	}
	for i, n := range t.labels {
		if n > 0 {
			d.Labels = append(d.Labels, Count{labelNames[i], n})
		}
	}
	for i, n := range t.origins {
		if n > 0 {
			d.Origins = append(d.Origins, Count{originNames[i], n})
		}
	}
	return d
}

// conclude says how the connection began and ended, when that was not well.
func (s *session) conclude(a *Analyzer) {
	c := s.of
	if c.Refused {
		s.find(a, c.Last, c.LastFrame, "refused", "the server refused the connection (RST for SYN): nobody listens on its port, or a firewall forbids it")
		return
	}
	opener := c.Client
	if opener != flow.NoSide && c.Half(opener.Peer()).Frames == 0 && c.Half(opener).SYNs > 0 {
		s.find(a, c.First, c.FirstFrame, "no_answer", "the client sent %d SYN and the server did not answer: it is off, unreachable, or the capture has one direction only%s", c.Half(opener).SYNs, s.cutShort(a, c.First))
		return
	}
	for _, side := range []flow.Side{flow.SideA, flow.SideB} {
		w := &s.half[index(side)].worst
		switch {
		case w.repeats < 3:
		case w.answered:
			s.find(a, w.from, w.first, "outage", "the %s sent again %d times, in frames %d to %d, and heard nothing from the %s for %v or more: the way or the %s was gone",
				s.name(side), w.repeats, w.first, w.last, s.name(side.Peer()), w.to.Sub(w.from).Round(time.Millisecond), s.name(side.Peer()))
		default:
			s.find(a, w.from, w.first, "half_open", "the %s sent again %d times, in frames %d to %d, and the %s was not heard any more: it or the way to it is gone, and one side does not know (half-open connection)",
				s.name(side), w.repeats, w.first, w.last, s.name(side.Peer()))
		}
	}
}
